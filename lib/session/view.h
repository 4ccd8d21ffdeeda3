/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A view: all that a queue needs to run, in one immutable piece.  Control makes
 * it, exactly one of session, mailbox and queue owns it, and it comes back to
 * control, which alone frees it.
 */
#ifndef VH_SESSION_VIEW_H
#define VH_SESSION_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/signal.h"
#include "mem/log.h"
#include "mem/map.h"
#include "ring/ring.h"

struct vh_view {
	struct vh_map *map; /* a reference each; the others may be NULL       */
	struct vh_dirty_log *log;
	struct vh_signal *kick, *call;
	struct vh_signal *log_call; /* told when something was logged (SET_LOG_FD)    */
	uint64_t features;
	bool enabled;
	bool parked; /* the ring's memory is gone for now: no layout   */
	struct vh_ring_layout layout;
	struct vh_ring *start; /* a new ring for a queue that starts: it takes it */
	uint32_t base;	       /* where that one starts                          */
};

/* Control thread.  Drops its references and a ring that nobody took; NULL is fine. */
void vh_view_destroy(struct vh_view *v);

#endif
