/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue of a device: the ring, its home reactor, its present view; and
 * the batch calls that a switch uses beside <vhost/device.h>.
 *
 * Thread: the home reactor, or a borrower.  Control only hands it views
 * (adopt.h).
 */
#ifndef VH_SESSION_QUEUE_H
#define VH_SESSION_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <vhost/device.h>
#include <vhost/stats.h>

#include "base/list.h"
#include "reactor/reactor.h"
#include "ring/ring.h"
#include "session/view.h"

#define VH_BATCH 64

struct vh_handover;

struct vh_queue {
	/* Constant. */
	struct vh_device *device;
	struct vh_reactor *home;
	unsigned index;
	char tag[40];                   /* "net0/q1"                                */

	/* The home reactor's, or the borrower's: under the borrow. */
	uint32_t borrowed;              /* the try-lock; unused when never shared   */
	bool shared;                    /* other reactors may borrow it             */
	bool published;                 /* used elements went out since the last call check */
	struct vh_ring *ring;           /* NULL: stopped or parked                  */
	unsigned head, n_ready;         /* ready[head .. head + n_ready) prefetched */
	struct vh_chain *ready[VH_BATCH];
	struct vh_view *view;           /* owned; NULL: stopped                     */
	struct vh_queue_stats stats;    /* written by vh_count() only               */

	/* The home reactor's alone. */
	void *priv;
	unsigned budget;                /* chains that this turn may still take     */
	bool draining;                  /* no fetching                              */
	bool broken;                    /* reported to control; no fetching         */
	unsigned out[2];                /* chains lent, by parity of their map epoch */
	struct vh_handover *waiting;    /* adopted, but not yet settled             */
	struct vh_poller poller;
	struct vh_deferred flush;       /* publish and call at the end of the turn  */
	struct vh_timer late;           /* a hand-over that waits is logged         */
};

/* ---- For a switch: batches, under a borrow ---- */

/*
 * Let reactors other than the home one borrow @q: before the device's first
 * connection, from .open.
 */
void vh_queue_share(struct vh_queue *q);

/*
 * Use @q from the calling reactor until vh_queue_return(): a check when the queue is
 * not shared, one try-lock when it is.  False: somebody else has it (nobody spins), or
 * it is not running, or it is disabled.
 */
bool vh_queue_borrow(struct vh_queue *q);
void vh_queue_return(struct vh_queue *q);

/* The next chains of @q, at most @n; how many (0: none there). */
unsigned vh_queue_next_batch(struct vh_queue *q, struct vh_chain **c, unsigned n);

/*
 * Chains that together can take @bytes: all of them, or none (0).  At most @max.
 * With @max 1, the first chain must do.
 */
unsigned vh_queue_reserve(struct vh_queue *q, size_t bytes, struct vh_chain **c, unsigned max);

/* Give the chains of the last vh_queue_reserve() back unused. */
void vh_queue_unreserve(struct vh_queue *q, struct vh_chain **c, unsigned n);

/* Stage @n used elements, shown to the driver all at once by publish. */
void vh_queue_push_batch(struct vh_queue *q, struct vh_chain **c, const uint32_t *len,
			 unsigned n);

/* Show what is staged and call the driver if it wants that: once a batch. */
void vh_queue_publish_and_signal(struct vh_queue *q);

/* Kicks are of no use: the switch drops when a ring is empty. */
void vh_queue_want_kicks(struct vh_queue *q, bool on);

#endif
