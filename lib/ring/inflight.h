/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight region of a split ring: which requests the device has, in memory that
 * outlives it, so that its successor finishes them.  Layout and rules are those of
 * vhost-user, "Inflight I/O tracking"; other back-end programs can take over.
 *
 * The front-end keeps the region and can write to it: what is read back is checked.
 * Thread: the ring's, but for create and destroy.
 */
#ifndef VH_RING_INFLIGHT_H
#define VH_RING_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct vh_ring;

struct vh_inflight {
	uint8_t *region;  /* of this ring, shared                                    */
	uint64_t counter; /* of the next request                                     */
	/* Requests of our predecessor, oldest first, in resubmit[first .. n). */
	uint16_t *resubmit;
	unsigned first, n;
	/* Staged used elements, not published. */
	uint16_t *staged;
	unsigned n_staged;
};

/* Control thread.  @region is shared and vh_inflight_stride(@num) long. */
int vh_inflight_create(uint8_t *region, uint32_t num, struct vh_inflight **in);
void vh_inflight_destroy(struct vh_inflight *in); /* NULL is fine */

/*
 * The ring starts and its used index, r->used, is known: begin a new region, or find out
 * what a predecessor left.  0; -EPROTO: the region is broken, and so is the ring.
 */
int vh_inflight_start(struct vh_ring *r);

/* The device has @head: from here on somebody will finish it. */
void vh_inflight_begin(struct vh_inflight *in, uint16_t head);

/* @head's used element is staged. */
void vh_inflight_stage(struct vh_inflight *in, uint16_t head);

/* All that is staged was published, and the used index is @used. */
void vh_inflight_end(struct vh_inflight *in, uint16_t used);

/* Requests of the predecessor that were not taken yet. */
static inline unsigned vh_inflight_owed(const struct vh_inflight *in)
{
	return in ? in->n - in->first : 0;
}

#endif
