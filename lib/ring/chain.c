/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device does with a chain: copy in and out, look at the buffers.  How a
 * chain comes and goes is not known here.  Runs on the reactor of its queue.
 *
 * The readable and the writable part each have a cursor, counted in bytes;
 * reading and writing advance it, iovecs begin there.
 */
#include "ring/chain.h"

#include <errno.h>
#include <string.h>

struct vh_queue *vh_chain_queue(const struct vh_chain *c)
{
	return c->queue;
}

size_t vh_chain_readable(const struct vh_chain *c)
{
	return c->out_len - c->out_done;
}

size_t vh_chain_writable(const struct vh_chain *c)
{
	return c->in_len - c->in_tail - c->in_done;
}

/* The segment that holds byte *@off of a part, and in *@off the place in it. */
static const struct vh_seg *seg_at(const struct vh_seg *seg, uint32_t *off)
{
	while (*off >= seg->len)
		*off -= (seg++)->len;
	return seg;
}

int vh_chain_read(struct vh_chain *c, void *buf, size_t len)
{
	uint32_t off = c->out_done;
	const struct vh_seg *seg;
	uint8_t *to = buf;

	if (len > vh_chain_readable(c))
		return -ENODATA;
	if (!len)
		return 0;
	c->out_done += (uint32_t)len;
	for (seg = seg_at(vh_chain_segs(c), &off); len; seg++, off = 0) {
		size_t here = seg->len - off < len ? seg->len - off : len;

		memcpy(to, seg->va + off, here);
		to += here;
		len -= here;
	}
	return 0;
}

/* @len bytes of @from to byte @off of the writable part, where there is room for them. */
static void write_at(struct vh_chain *c, uint32_t off, const uint8_t *from, size_t len)
{
	const struct vh_seg *seg;

	if (!len)
		return;
	for (seg = seg_at(vh_chain_segs(c) + c->n_out, &off); len; seg++, off = 0) {
		size_t here = seg->len - off < len ? seg->len - off : len;

		memcpy(seg->va + off, from, here);
		from += here;
		len -= here;
	}
}

int vh_chain_write(struct vh_chain *c, const void *buf, size_t len)
{
	if (len > vh_chain_writable(c))
		return -ENOSPC;
	write_at(c, c->in_done, buf, len);
	c->in_done += (uint32_t)len;
	return 0;
}

int vh_chain_set_tail(struct vh_chain *c, size_t len)
{
	if (len > vh_chain_writable(c) + c->in_tail)
		return -ENOSPC;
	c->in_tail = (uint32_t)len;
	return 0;
}

void vh_chain_write_tail(struct vh_chain *c, const void *buf)
{
	write_at(c, c->in_len - c->in_tail, buf, c->in_tail);
}

/* @seg up to @end, from byte @off on, as an iovec. */
static unsigned segs_to_iov(const struct vh_seg *seg, const struct vh_seg *end,
			    uint32_t off, struct iovec *iov)
{
	unsigned n = 0;

	for (seg = seg_at(seg, &off); seg < end; seg++, off = 0)
		iov[n++] = (struct iovec){seg->va + off, seg->len - off};
	return n;
}

/* Without its last @len bytes, of which it has more. */
static unsigned iov_cut_end(struct iovec *iov, unsigned n, size_t len)
{
	while (len >= iov[n - 1].iov_len)
		len -= iov[--n].iov_len;
	iov[n - 1].iov_len -= len;
	return n;
}

unsigned vh_chain_iov_out(struct vh_chain *c, const struct iovec **iov)
{
	const struct vh_seg *out = vh_chain_segs(c);

	*iov = c->iov;
	if (c->out_done == c->out_len)
		return 0;
	return segs_to_iov(out, out + c->n_out, c->out_done, c->iov);
}

unsigned vh_chain_iov_in(struct vh_chain *c, const struct iovec **iov)
{
	const struct vh_seg *in = vh_chain_segs(c) + c->n_out;
	struct iovec *to = c->iov + c->n_out; /* leaves that of the other part alone */

	*iov = to;
	if (!vh_chain_writable(c))
		return 0;
	return iov_cut_end(to, segs_to_iov(in, in + c->n_in, c->in_done, to), c->in_tail);
}
