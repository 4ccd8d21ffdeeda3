/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory of a device: a range, number 1, in which the driver sees files that the
 * device chooses.  The front-end shows them, and is asked for that on the back-end
 * channel.  Control thread.
 */
#ifndef VH_SESSION_SHMEM_H
#define VH_SESSION_SHMEM_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/msg.h"

struct vh_device;

/*
 * From .open: the device has @size bytes of it, a power of two of pages.  @answered:
 * the front-end has done, or (not @ok) refused, the oldest thing that it was asked for.
 * When the link goes all is gone, and so are the answers.
 */
void vh_device_set_shmem(struct vh_device *d, uint64_t size,
			 void (*answered)(struct vh_device *d, bool ok));

/*
 * Show @len bytes of @fd (borrowed) from @offset on, at @at, where nothing may be shown;
 * and take exactly that away again.  Whole pages.  Not before the driver runs: some
 * VMMs do not survive it.  0 and an answer to come; -ENOTCONN: the front-end cannot be
 * asked; or another -errno.
 */
int vh_device_shmem_map(struct vh_device *d, uint64_t at, int fd, uint64_t offset,
			uint64_t len);
int vh_device_shmem_unmap(struct vh_device *d, uint64_t at, uint64_t len);

/* ---- The session's ---- */

/* @m came on the back-end channel. */
void vh_shmem_take_answer(struct vh_device *d, const struct vh_msg *m);

#endif
