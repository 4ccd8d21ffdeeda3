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
#include "session/adopt.h"
#include "session/view.h"

#define VH_BATCH 64

/* A request's hand-over, and the one that ends the session while that waits. */
enum vh_handover_slot { VH_HANDOVER_REQUEST, VH_HANDOVER_END, VH_HANDOVERS };

struct vh_queue {
	/* Constant. */
	struct vh_device *device;
	struct vh_reactor *home, *control;
	unsigned index;
	char tag[40]; /* "net0/q1"                                  */
	bool shared;  /* other reactors may borrow it               */

	/* Whoever has the queue: the home reactor, or a borrower. */
	uint32_t lock __attribute__((aligned(64))); /* the borrow's try-lock          */
	struct vh_ring *ring;	/* NULL: stopped                              */
	struct vh_view *view;	/* owned; NULL: stopped                       */
	bool fetching;		/* chains may be taken from the ring          */
	bool finishing;		/* of these only the owed ones, and then stop */
	bool broken;		/* the driver broke the rules; control knows  */
	unsigned head, n_ready; /* ready[head .. head + n_ready) is prefetched */
	unsigned out[2];	/* chains lent, by parity of their map epoch  */
	struct vh_chain *ready[VH_BATCH];
	struct vh_queue_stats stats; /* written by vh_count() only                 */

	/* The home reactor's alone. */
	void *priv;
	unsigned budget; /* chains that this turn may still take       */
	bool unpolled;	 /* vh_queue_want_kicks(q, false)              */
	bool polled;	 /* the poller is registered                   */
	struct vh_poller poller;
	struct vh_deferred flush; /* publish, call and settle: end of the turn  */
	struct vh_handover
		*waiting[VH_HANDOVERS]; /* adopted, not yet settled; in order */
	struct vh_handover *blocked;	/* waits for a borrower to return the queue   */
	struct vh_timer late;		/* a hand-over that waits is logged           */
	uint64_t waiting_since;		/* ns */

	/* Control's alone, but for the one that is under way. */
	struct vh_handover handover[VH_HANDOVERS];
	struct vh_post broken_post;
	uint32_t broken_posted; /* any thread: it is on its way to control    */
};

/* Control thread, before it runs and after it stopped. */
void vh_queue_init(struct vh_queue *q, struct vh_device *d, unsigned index,
		   struct vh_reactor *home, struct vh_reactor *control);

/* ---- Between queue.c and adopt.c ---- */

/* Start or stop looking at the ring, after view, ring or fetching changed. */
void vh_queue_poll_again(struct vh_queue *q);
/* The driver (or the device, at the start) broke it: no more fetching, control stops it.
 */
void vh_queue_report_broken(struct vh_queue *q);
/* The timer of q->late. */
void vh_queue_is_late(struct vh_timer *t);
/* Give prefetched chains back to the ring. */
void vh_queue_unfetch(struct vh_queue *q);
/* Publish what is staged and call the driver. */
void vh_queue_publish(struct vh_queue *q);
/* Top up ready[].  False: nothing more is there, or it is full. */
bool vh_queue_fetch(struct vh_queue *q);
/* Is there something to finish before the queue can stop? */
bool vh_queue_owes(const struct vh_queue *q);
/* Chains that the device has. */
unsigned vh_queue_outstanding(const struct vh_queue *q);

/* ---- For a switch: batches, under a borrow ---- */

/*
 * Let reactors other than the home one borrow @q: before the device's first
 * connection, from .open.
 */
void vh_queue_share(struct vh_queue *q);

/*
 * Use @q from the calling reactor until vh_queue_return(): a check when the queue is
 * not shared, one try-lock when it is.  -EBUSY: somebody else has it (nobody spins);
 * -ENOTCONN: it is not running, or it is disabled.
 */
int vh_queue_borrow(struct vh_queue *q);
void vh_queue_return(struct vh_queue *q);

/* The next chains of @q, at most @n; how many (0: none there). */
unsigned vh_queue_next_batch(struct vh_queue *q, struct vh_chain **c, unsigned n);

/*
 * Chains that together can take @bytes: all of them, or none (0).  At most @max, and
 * at most VH_BATCH.  With @max 1, the first chain must do.
 */
unsigned vh_queue_reserve(struct vh_queue *q, size_t bytes, struct vh_chain **c,
			  unsigned max);

/* Give the @n chains of the last vh_queue_reserve() back unused. */
void vh_queue_unreserve(struct vh_queue *q, unsigned n);

/*
 * Stage @n used elements, shown to the driver all at once by publish; of
 * chains from next_batch (home reactor) or reserve (borrower).
 */
void vh_queue_push_batch(struct vh_queue *q, struct vh_chain **c, const uint32_t *len,
			 unsigned n);

/* Show what is staged and call the driver if it wants that: once a batch. */
void vh_queue_publish_and_signal(struct vh_queue *q);

/*
 * Off: kicks are of no use and .process need not run, since the switch drops when a
 * ring is empty.  Home reactor, from .queue_start on.
 */
void vh_queue_want_kicks(struct vh_queue *q, bool on);

#endif
