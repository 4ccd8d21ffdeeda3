/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of one vring.  Pure: no system call, no lock; memory is
 * allocated when the ring is made, and when a chain is longer than any before.
 *
 * One thread at a time uses a ring: the reactor of its queue, or a borrower.
 *
 * Fetching is in two steps: vh_ring_pop() copies chains out of the ring,
 * vh_ring_push() stages used elements, vh_ring_publish() shows them to the
 * driver under one store of the index.  A driver that breaks the rules makes
 * pop return -EPROTO, for ever; ring->why says what it did.
 */
#ifndef VH_RING_RING_H
#define VH_RING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/log.h"
#include "mem/map.h"
#include "ring/chain.h"
#include "ring/format.h"
#include "ring/inflight.h"

/* Where a ring lies, in our addresses. */
struct vh_ring_layout {
	/* Packed: descriptors, driver event area, device event area. */
	uint8_t *desc, *avail, *used;
	uint32_t num;
	bool log_used;	  /* writes to the used area go to the log ...         */
	uint64_t log_gpa; /* ... as if it stood here                           */
};

struct vh_ring {
	/* Constant while it runs. */
	const struct vh_ring_format *format;
	struct vh_queue *queue; /* for its chains                                */
	uint32_t num;
	bool event_idx, indirect;
	/* What a new view may change. */
	struct vh_ring_layout layout;
	struct vh_map *map;	  /* borrowed from the view                        */
	struct vh_dirty_log *log; /* likewise; NULL: nothing is logged             */
	unsigned hint;		  /* of vh_map_gpa()                               */
	/* Where we are: free-running indices. */
	uint16_t avail;		 /* next entry to pop                             */
	uint16_t avail_seen;	 /* the driver's index when we last looked        */
	uint16_t used;		 /* next entry to stage                           */
	uint16_t used_published; /* the driver has seen this much                 */
	uint16_t used_called;	 /* index when call_wanted() was last asked       */
	bool call_due;		 /* a call is wanted whatever that index says     */
	bool armed;		 /* we asked for kicks                            */
	/* Chains. */
	unsigned n_out;		/* popped and not pushed or unpopped             */
	struct vh_chain *chain; /* num of them                                   */
	struct vh_chain *free;
	uint64_t *head_is_out;	      /* split: bit set while that head is with us     */
	struct vh_inflight *inflight; /* requests are tracked there; NULL: they are not */
	const char *why;	      /* it is broken, and how; NULL: it is not        */
};

/*
 * Make a ring of @num entries for @features (VIRTIO_F_RING_PACKED chooses the
 * format).  0, -EINVAL for a size that the format has not, -ENOMEM.
 */
int vh_ring_create(struct vh_queue *queue, uint32_t num, uint64_t features,
		   struct vh_ring **r);
void vh_ring_destroy(struct vh_ring *r); /* NULL is fine */

/*
 * Track requests in @region, vh_inflight_stride() long, from the start on: control
 * thread, before vh_ring_start().  0 or -ENOMEM.
 */
int vh_ring_track(struct vh_ring *r, uint8_t *region);

/*
 * (Re)place it: after this call the ring uses these addresses and nothing older.
 * Legal between two calls of anything else, with chains out.
 */
void vh_ring_place(struct vh_ring *r, const struct vh_ring_layout *l, struct vh_map *map,
		   struct vh_dirty_log *log);

/* Begin at @base, after the first vh_ring_place().  -EINVAL: no such base. */
int vh_ring_start(struct vh_ring *r, uint32_t base);

/* The base for SET/GET_VRING_BASE: of the next chain that was not popped. */
uint32_t vh_ring_base(const struct vh_ring *r);

/* Requests that a predecessor left undone: pop gives these first, alone. */
unsigned vh_ring_owed(const struct vh_ring *r);

/* The device has @c: if the process dies now, somebody will have to do it again. */
void vh_ring_lend(struct vh_ring *r, struct vh_chain *c);

/* Up to @max chains; how many (0: none there, or no memory just now), or -EPROTO. */
int vh_ring_pop(struct vh_ring *r, struct vh_chain **c, unsigned max);

/* Give the @n chains popped last, and nothing else, back to the ring unseen. */
void vh_ring_unpop(struct vh_ring *r, struct vh_chain **c, unsigned n);

/* At least this many entries are available; looks at the driver's index when fewer
 * than @want are known. */
unsigned vh_ring_available(struct vh_ring *r, unsigned want);

/*
 * Stage @c as used with @len bytes written (capped at what it can hold), log
 * what was written, and forget @c.
 */
void vh_ring_push(struct vh_ring *r, struct vh_chain *c, uint32_t len);

/* Show what is staged to the driver.  False: nothing was staged. */
bool vh_ring_publish(struct vh_ring *r);

/* After publish, once: does the driver want a call for what it was not called for yet? */
bool vh_ring_call_wanted(struct vh_ring *r);

/* Ask for a kick.  True: more came meanwhile (and nothing was asked for). */
bool vh_ring_arm(struct vh_ring *r);
/* No kicks needed. */
void vh_ring_disarm(struct vh_ring *r);

#endif
