/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds for doorbells, which a VMM has for writes to their registers, so that no
 * message comes for each.  They are ours, since what is behind a doorbell is another fd
 * with each session.  Made when a VMM first asks for them.  Control thread.
 */
#ifndef VH_VVU_BELLS_H
#define VH_VVU_BELLS_H

#include <stdint.h>

#include "reactor/reactor.h"
#include "vfu/vfu.h"

struct vh_bell;

struct vh_bells {
	const char *tag; /* borrowed */
	struct vh_reactor *reactor;
	unsigned n_vrings;		     /* VH_VVU_N_DOORBELLS() of them */
	uint64_t offset, stride;	     /* of them, in their region */
	void (*rung)(void *arg, unsigned n); /* somebody wrote to one    */
	void *arg;
	struct vh_bell *bell; /* of each; NULL: nobody asked */
	unsigned n_bells;
};

/*
 * vh_vfu_ops.io_fds of their region.  There is seldom room for all: the log's is first,
 * then a call and an error for each vring.
 */
unsigned vh_bells_list(struct vh_bells *b, struct vh_vfu_io_fd *io, unsigned max);
/* Whoever asked is gone. */
void vh_bells_forget(struct vh_bells *b);

#endif
