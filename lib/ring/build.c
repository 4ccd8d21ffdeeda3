/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains are put together here, for every format: order of readable and
 * writable parts, totals, translation, and room for long ones.  Which
 * descriptors make a chain is for the formats.  Runs on the ring's thread.
 */
#include "ring/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Segments and iovecs of a long chain come in one piece, the segments first. */
static int chain_grow(struct vh_chain *c, uint32_t n)
{
	uint32_t cap = c->more_cap ? 2 * c->more_cap : 16;
	struct vh_seg *more = malloc(cap * (sizeof(*more) + sizeof(*c->iov)));

	if (!more)
		return -ENOMEM;
	if (n > VH_CHAIN_INLINE)
		memcpy(more, c->more, n * sizeof(*more));
	free(c->more);
	c->more = more;
	c->more_cap = cap;
	c->iov = (struct iovec *)&more[cap];
	return 0;
}

/* The place of segment number @n, which all those before it have filled up. */
static struct vh_seg *chain_seg(struct vh_chain *c, uint32_t n)
{
	if (n < VH_CHAIN_INLINE)
		return &c->inl[n];
	if (n >= c->more_cap && chain_grow(c, n) < 0)
		return NULL;
	if (n == VH_CHAIN_INLINE)
		memcpy(c->more, c->inl, sizeof(c->inl));
	return &c->more[n];
}

static int chain_add_seg(struct vh_ring *r, struct vh_chain *c, uint64_t gpa,
			 uint32_t len, uint8_t *va, bool writable)
{
	uint32_t n = c->n_out + c->n_in;
	struct vh_seg *seg;

	if (n == VH_CHAIN_MAX_SEGS)
		return vh_ring_break(r, "a chain has too many segments");
	seg = chain_seg(c, n);
	if (!seg)
		return -ENOMEM;
	*seg = (struct vh_seg){.va = va, .gpa = gpa, .len = len};
	if (writable)
		c->n_in++;
	else
		c->n_out++;
	return 0;
}

static int chain_add_length(struct vh_ring *r, struct vh_chain *c, uint32_t len,
			    bool writable)
{
	if (!writable && c->n_in)
		return vh_ring_break(r, "a readable buffer stands behind a writable one");
	if ((uint64_t)c->out_len + c->in_len + len > UINT32_MAX)
		return vh_ring_break(r, "a chain is longer than 4 GiB");
	if (writable)
		c->in_len += len;
	else
		c->out_len += len;
	return 0;
}

int vh_chain_add(struct vh_ring *r, struct vh_chain *c, uint64_t gpa, uint32_t len,
		 bool writable)
{
	uint64_t end;
	int err = chain_add_length(r, c, len, writable);

	if (!err && !vh_add_u64(gpa, len, &end))
		err = vh_ring_break(r, "a buffer wraps around the address space");
	while (!err && len) {
		uint64_t here = len;
		uint8_t *va = vh_map_gpa(r->map, gpa, &here, &r->hint);

		if (!va)
			return vh_ring_break(r, "a buffer is outside of guest memory");
		if (writable && !vh_map_is_writable(r->map, &r->hint))
			return vh_ring_break(r, "a buffer to write is in memory that is "
						"only to be read");
		err = chain_add_seg(r, c, gpa, (uint32_t)here, va, writable);
		gpa += here;
		len -= (uint32_t)here;
	}
	return err;
}

void vh_chain_log(struct vh_chain *c, struct vh_dirty_log *log, uint32_t len)
{
	const struct vh_seg *seg = vh_chain_segs(c) + c->n_out;

	for (uint32_t here; len; seg++, len -= here) {
		here = seg->len < len ? seg->len : len;
		vh_dirty_log_mark(log, seg->gpa, here);
	}
}
