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
	struct vh_map *map;           /* a reference each; log and signals may be NULL */
	struct vh_dirty_log *log;
	struct vh_signal *kick, *call;
	uint64_t features;
	bool enabled;
	bool parked;                  /* the ring's memory is gone for now: layout is not valid */
	struct vh_ring_layout layout;
	struct vh_ring *start;        /* a new ring for a queue that starts; the queue takes it */
	uint32_t base;                /* where it starts                                        */
};

#endif
