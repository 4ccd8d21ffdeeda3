/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that a wrapper holds back until their time comes, and then hands to the
 * channel below.  One for a channel, on its reactor.  io->progress is the time.
 */
#ifndef VH_STORE_HOLD_H
#define VH_STORE_HOLD_H

#include "reactor/reactor.h"
#include "store/kind.h"

struct vh_hold {
	struct vh_store_channel ch; /* first: a wrapper's channel is no more than this */
	struct vh_list held;	    /* the earliest first */
	struct vh_timer timer;
};

/* The functions of a wrapper's table. */
int vh_hold_channel_open(struct vh_store *s, struct vh_reactor *r,
			 struct vh_store_channel *below, struct vh_store_channel **ch);
void vh_hold_channel_close(struct vh_store_channel *ch);
void vh_hold_cancel(struct vh_store_channel *ch);

/* Hand @io down at @due, in ns of the reactor's clock: at once if that is past. */
void vh_hold_until(struct vh_store_channel *ch, struct vh_store_io *io, uint64_t due);

#endif
