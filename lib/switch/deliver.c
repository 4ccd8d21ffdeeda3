/* SPDX-License-Identifier: BSD-3-Clause */
/* The one copy: see deliver.h. */
#include "switch/deliver.h"

#include <stddef.h>
#include <string.h>

/* ---- What goes out ---- */

/* Offsets in the virtio-net header count from the Ethernet header, which may change. */
static void write_header(struct vh_out *o, const struct virtio_net_hdr_v1 *from,
			 int shift, unsigned hdr_len)
{
	struct virtio_net_hdr_v1 h = *from;

	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		h.csum_start = (uint16_t)(h.csum_start + shift);
	if (h.hdr_len >= VH_ETH_MAX)
		h.hdr_len = (uint16_t)(h.hdr_len + shift);
	h.num_buffers = 1;
	memcpy(o->head, &h, sizeof(h));
	o->head_len = hdr_len;
}

/* How many bytes longer the Ethernet header got. */
static int write_ethernet(struct vh_out *o, const struct vh_eth *e,
			  enum vh_vlan_form form)
{
	unsigned n = vh_vlan_header(e, form, o->head + o->head_len);

	o->head_len += n;
	return (int)n - e->len;
}

static int growth(const struct vh_eth *e, enum vh_vlan_form form)
{
	return (form == VH_VLAN_TAGGED ? VH_ETH_MAX : VH_ETH_LEN) - e->len;
}

void vh_out_whole(struct vh_out *o, const struct vh_frame *f, const struct vh_eth *e,
		  enum vh_vlan_form form, unsigned hdr_len)
{
	write_header(o, &f->hdr, growth(e, form), hdr_len);
	write_ethernet(o, e, form);
	o->frame = f;
	o->off = e->len;
	o->len = f->len - e->len;
}

bool vh_out_piece(struct vh_out *o, const struct vh_frame *f, const struct vh_piece *p,
		  const struct vh_eth *e, enum vh_vlan_form form, unsigned hdr_len)
{
	if (p->head_len < e->len || p->head_len > VH_HEADERS_MAX)
		return false;
	write_header(o, &p->hdr, growth(e, form), hdr_len);
	write_ethernet(o, e, form);
	memcpy(o->head + o->head_len, p->head + e->len, p->head_len - e->len);
	o->head_len += p->head_len - e->len;
	o->frame = f;
	o->off = p->off;
	o->len = p->len;
	return true;
}

void vh_out_set_buffers(struct vh_out *o, uint16_t n)
{
	memcpy(o->head + offsetof(struct virtio_net_hdr_v1, num_buffers), &n, sizeof(n));
}

/* ---- Into chains ---- */

/* A place in the writable part of a row of chains. */
struct place {
	struct vh_chain *const *chain; /* the next one                  */
	const struct vh_seg *seg;      /* of the chain before           */
	unsigned n_seg;		       /* from seg on                   */
	uint32_t off;		       /* in *seg                       */
};

static void next_segment(struct place *p)
{
	if (p->n_seg) {
		p->seg++;
		p->n_seg--;
	}
	while (!p->n_seg) {
		struct vh_chain *c = *p->chain++;

		p->seg = vh_chain_segs(c) + c->n_out;
		p->n_seg = c->n_in;
	}
	p->off = 0;
}

static void put(struct place *p, const uint8_t *from, uint32_t len)
{
	while (len) {
		uint32_t n;

		while (!p->n_seg || p->off == p->seg->len)
			next_segment(p);
		n = p->seg->len - p->off < len ? p->seg->len - p->off : len;
		memcpy(p->seg->va + p->off, from, n);
		p->off += n;
		from += n;
		len -= n;
	}
}

/* The segment of the frame where @off is, which becomes an offset in it. */
static const struct vh_seg *find_segment(const struct vh_frame *f, uint32_t *off)
{
	const struct vh_seg *s = f->seg;

	for (*off += f->skip; *off >= s->len; s++)
		*off -= s->len;
	return s;
}

static void put_rest(struct place *p, const struct vh_out *o)
{
	uint32_t off = o->off, left = o->len;
	const struct vh_seg *s;

	if (!left)
		return;
	for (s = find_segment(o->frame, &off); left; s++, off = 0) {
		uint32_t n = s->len - off < left ? s->len - off : left;

		put(p, s->va + off, n);
		left -= n;
	}
}

/* Nearly every frame: one segment there has all the room, and one here all the rest. */
static bool copy_straight(const struct vh_out *o, struct vh_chain *c)
{
	const struct vh_seg *to = vh_chain_segs(c) + c->n_out;
	const struct vh_frame *f = o->frame;
	uint8_t *at = to->va;

	if (!c->n_in || to->len < vh_out_len(o) ||
	    f->skip + o->off + o->len > f->seg->len)
		return false;
	memcpy(at, o->head, o->head_len);
	memcpy(at + o->head_len, f->seg->va + f->skip + o->off, o->len);
	return true;
}

/* All but the last are full. */
static void share_out(uint32_t bytes, struct vh_chain *const *c, unsigned n,
		      uint32_t *len)
{
	for (unsigned i = 0; i < n; i++) {
		len[i] = bytes < c[i]->in_len ? bytes : c[i]->in_len;
		bytes -= len[i];
	}
}

void vh_out_copy(const struct vh_out *o, struct vh_chain *const *c, unsigned n,
		 uint32_t *len)
{
	struct place p = {.chain = c};

	if (n == 1 && copy_straight(o, c[0])) {
		len[0] = vh_out_len(o);
		return;
	}
	put(&p, o->head, o->head_len);
	put_rest(&p, o);
	share_out(vh_out_len(o), c, n, len);
}

/* ---- Into an iovec ---- */

unsigned vh_out_iov(const struct vh_out *o, struct iovec *iov, unsigned max)
{
	uint32_t off = o->off, left = o->len;
	const struct vh_seg *s;
	unsigned n = 1;

	iov[0] = (struct iovec){.iov_base = (void *)o->head, .iov_len = o->head_len};
	if (!left)
		return n;
	for (s = find_segment(o->frame, &off); left; s++, off = 0) {
		uint32_t len = s->len - off < left ? s->len - off : left;

		if (n == max)
			return 0;
		iov[n++] = (struct iovec){.iov_base = s->va + off, .iov_len = len};
		left -= len;
	}
	return n;
}
