/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second way in which a guest can be given the device: behind the generic vhost-user
 * device that its VMM has, on a session of ours, in place of a PCI function over
 * vfio-user.  Memory comes and goes in a shared memory region, at any time.  docs/design/
 * 007 says how a driver uses it.  Control thread.
 */
#ifndef VH_VVU_SHM_H
#define VH_VVU_SHM_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "vvu/relay.h"

struct vh_shm;

struct vh_shm_params {
	const char *vmm;   /* "unix:PATH", where the guest's VMM finds its device      */
	const char *front; /* the front-end's address                                 */
	bool accept_early;
	uint8_t uuid[16];
	uint64_t size; /* of the shared memory; 0: VH_WINDOW_DEFAULT_SIZE      */
};

/* Strings are copied.  0 or -errno (logged). */
int vh_shm_open(struct vh_reactor *r, const struct vh_shm_params *p, struct vh_shm **s);
void vh_shm_close(struct vh_shm *s); /* NULL is fine */

struct vh_shm_stats {
	uint32_t status; /* VH_VVU_BACKEND_UP, FRONTEND_UP */
	struct vh_relay_stats relay;
};

void vh_shm_read_stats(const struct vh_shm *s, struct vh_shm_stats *stats);

#endif
