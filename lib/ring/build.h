/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How formats make chains out of what they find in a ring.  Inside ring/ only.
 */
#ifndef VH_RING_BUILD_H
#define VH_RING_BUILD_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "mem/translate.h"
#include "ring/ring.h"

/* A ring breaks once; the first reason is kept. */
static inline int vh_ring_break(struct vh_ring *r, const char *why)
{
	if (!r->why)
		r->why = why;
	return -EPROTO;
}

/* An unused chain, empty; there is one, as no more than num are ever out. */
static inline struct vh_chain *vh_chain_alloc(struct vh_ring *r, uint16_t head)
{
	struct vh_chain *c = r->free;

	r->free = c->next_free;
	c->head = head;
	c->n_out = c->n_in = 0;
	c->n_descs = 1;
	c->epoch = r->map->epoch;
	c->out_len = c->in_len = 0;
	c->out_done = c->in_done = c->in_tail = 0;
	c->lent = c->owed = false;
	return c;
}

/* The chain that was used last is taken next: its lines are still in the cache. */
static inline void vh_chain_free(struct vh_ring *r, struct vh_chain *c)
{
	c->next_free = r->free;
	r->free = c;
}

/*
 * The commonest chain by far: make @c the one buffer [gpa, gpa + len).  False, with
 * nothing done, when that is not all in one region, or empty.
 */
static inline bool vh_chain_set(struct vh_ring *r, struct vh_chain *c, uint64_t gpa,
				uint32_t len, bool writable)
{
	uint64_t whole = len;
	uint8_t *va = vh_map_gpa(r->map, gpa, &whole, &r->hint);

	if (!va || whole != len || !len ||
	    (writable && !vh_map_is_writable(r->map, &r->hint)))
		return false;
	c->inl[0].va = va;
	c->inl[0].gpa = gpa;
	c->inl[0].len = len;
	c->n_in = writable;
	c->n_out = !writable;
	c->in_len = writable ? len : 0;
	c->out_len = writable ? 0 : len;
	return true;
}

/*
 * Append the buffer [gpa, gpa + len) to @c, in as many segments as it touches
 * regions.  An empty one adds none.  0; -ENOMEM; -EPROTO: the ring is broken.
 */
int vh_chain_add(struct vh_ring *r, struct vh_chain *c, uint64_t gpa, uint32_t len,
		 bool writable);

/* The first @len bytes of the writable part of @c were written. */
void vh_chain_log(struct vh_chain *c, struct vh_dirty_log *log, uint32_t len);

#endif
