/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions of the front-end's memory that the guest does not reach by itself: this process
 * has them mapped, and makes each access for the guest.  Always correct, and slow.  What
 * is no region reads as 0 and swallows writes.  Control thread.
 */
#ifndef VH_VVU_TRAP_H
#define VH_VVU_TRAP_H

#include <stddef.h>
#include <stdint.h>

#include "spec/vhost_user.h"
#include "wire/msg.h"

struct vh_trap;

/* For the part [@start, @end) of a window.  0 or -errno (logged); @tag is copied. */
int vh_trap_create(const char *tag, uint64_t start, uint64_t end, struct vh_trap **t);
void vh_trap_destroy(struct vh_trap *t); /* NULL is fine */

/* One file more, for good: @size bytes of @fd (borrowed) at @at, which may be outside of
 * that part. */
int vh_trap_add_file(struct vh_trap *t, int fd, uint64_t size, uint64_t at);

/*
 * In place of the regions that there are: those of @m, SET_MEM_TABLE with its fds, whose
 * bit is set in @mask; @at[i] becomes the place of region i.  All or nothing, and what
 * there was stays when it is nothing: -ENOSPC, the part is too small; -errno; logged.
 */
int vh_trap_place(struct vh_trap *t, const struct vh_msg *m, unsigned mask,
		  uint64_t at[VH_MAX_TABLE_REGIONS]);
void vh_trap_drop(struct vh_trap *t);

void vh_trap_read(struct vh_trap *t, uint64_t offset, void *buf, size_t len);
void vh_trap_write(struct vh_trap *t, uint64_t offset, const void *buf, size_t len);

#endif
