/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A process can be killed between any two stores, and whoever comes
 * next sees a prefix of them.  So their order is all:
 *
 *   begin   counter, then the mark
 *   stage   next := last_batch_head, last_batch_head := head: the batch is a list
 *   publish the ring's used index
 *   end     the marks of the batch go, then used_idx := the ring's used index
 *
 * If the two indices differ, the process died between publish and end: the list tells
 * which marks to take away.  Else what is marked is what the driver still waits for, and
 * it is done again in the order in which it was begun.
 *
 * How many chains were taken from the available ring follows: as many as were used, and
 * those that are marked.
 *
 * Stores are volatile, so the compiler keeps their order, and a process that died has
 * its stores seen in order by whoever comes later, as the kernel's exit stands between.
 */
#include "ring/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "ring/build.h"

/* vhost-user: struct VhostUserInflight's queue region for split virtqueues. */
enum {
	FEATURES = 0,
	VERSION = 8,
	DESC_NUM = 10,
	LAST_BATCH_HEAD = 12,
	USED_IDX = 14,
	HEADER_SIZE = 16,

	MARK = 0, /* of an entry */
	NEXT = 6,
	COUNTER = 8,
	ENTRY_SIZE = 16,
};

#define OUR_VERSION 1

static uint8_t *entry_of(const struct vh_inflight *in, unsigned head)
{
	return in->region + HEADER_SIZE + (size_t)ENTRY_SIZE * head;
}

/* ---- Life ---- */

int vh_inflight_create(uint8_t *region, uint32_t num, struct vh_inflight **out)
{
	struct vh_inflight *in = calloc(1, sizeof(*in));

	*out = in;
	if (!in)
		return -ENOMEM;
	in->region = region;
	in->resubmit = calloc(2 * (size_t)num, sizeof(*in->resubmit));
	if (!in->resubmit) {
		free(in);
		*out = NULL;
		return -ENOMEM;
	}
	in->staged = in->resubmit + num;
	return 0;
}

void vh_inflight_destroy(struct vh_inflight *in)
{
	if (!in)
		return;
	free(in->resubmit);
	free(in);
}

/* ---- The life of a request ---- */

void vh_inflight_begin(struct vh_inflight *in, uint16_t head)
{
	uint8_t *e = entry_of(in, head);

	vh_guest_write64(e + COUNTER, in->counter++);
	vh_guest_write8(e + MARK, 1);
}

void vh_inflight_stage(struct vh_inflight *in, uint16_t head)
{
	const uint16_t last = in->n_staged ? in->staged[in->n_staged - 1] : head;

	/* The first of a batch ends the list, whose length is known: it leads nowhere. */
	vh_guest_write16(entry_of(in, head) + NEXT, last);
	vh_guest_write16(in->region + LAST_BATCH_HEAD, head);
	in->staged[in->n_staged++] = head;
}

void vh_inflight_end(struct vh_inflight *in, uint16_t used)
{
	for (unsigned i = 0; i < in->n_staged; i++)
		vh_guest_write8(entry_of(in, in->staged[i]) + MARK, 0);
	in->n_staged = 0;
	vh_guest_write16(in->region + USED_IDX, used);
}

/* ---- What a predecessor left ---- */

static int region_begin(const struct vh_ring *r)
{
	struct vh_inflight *in = r->inflight;

	memset(in->region, 0, HEADER_SIZE + (size_t)ENTRY_SIZE * r->num);
	vh_guest_write16(in->region + DESC_NUM, (uint16_t)r->num);
	vh_guest_write16(in->region + USED_IDX, r->used);
	vh_guest_write16(in->region + VERSION, OUR_VERSION);
	return 0;
}

/* It died before it could take the marks of its last batch away: do that. */
static int finish_batch(struct vh_ring *r)
{
	struct vh_inflight *in = r->inflight;
	const uint16_t n = (uint16_t)(r->used - vh_guest_read16(in->region + USED_IDX));
	uint16_t head = vh_guest_read16(in->region + LAST_BATCH_HEAD);

	if (n > r->num)
		return vh_ring_break(r,
				     "the inflight region does not fit the used index");
	for (unsigned i = 0; i < n; i++) {
		if (head >= r->num)
			return vh_ring_break(
				r, "the inflight region's batch leads out of the ring");
		vh_guest_write8(entry_of(in, head) + MARK, 0);
		head = vh_guest_read16(entry_of(in, head) + NEXT);
	}
	vh_guest_write16(in->region + USED_IDX, r->used);
	return 0;
}

struct begun {
	uint64_t counter;
	uint16_t head;
};

static int compare_begun(const void *a, const void *b)
{
	const struct begun *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

static int collect(struct vh_ring *r)
{
	struct vh_inflight *in = r->inflight;
	struct begun *begun = calloc(r->num, sizeof(*begun));
	unsigned n = 0;

	if (!begun)
		return -ENOMEM;
	for (unsigned i = 0; i < r->num; i++) {
		if (!vh_guest_read8(entry_of(in, i) + MARK))
			continue;
		begun[n++] = (struct begun){
			.counter = vh_guest_read64(entry_of(in, i) + COUNTER),
			.head = (uint16_t)i,
		};
	}
	qsort(begun, n, sizeof(*begun), compare_begun);
	for (unsigned i = 0; i < n; i++)
		in->resubmit[i] = begun[i].head;
	in->first = 0;
	in->n = n;
	in->counter = n ? begun[n - 1].counter + 1 : 0;
	free(begun);
	return 0;
}

int vh_inflight_start(struct vh_ring *r)
{
	struct vh_inflight *in = r->inflight;
	const uint16_t version = vh_guest_read16(in->region + VERSION);
	int err;

	in->first = in->n = in->n_staged = 0;
	in->counter = 0;
	if (!version)
		return region_begin(r);
	if (version != OUR_VERSION)
		return vh_ring_break(r, "the inflight region is of an unknown version");
	if (vh_guest_read16(in->region + DESC_NUM) != r->num)
		return vh_ring_break(r,
				     "the inflight region is of a ring of another size");
	err = finish_batch(r);
	return err ? err : collect(r);
}
