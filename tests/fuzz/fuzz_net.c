/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of hostile guests, and the software that does for a receiver what it did
 * not take.  Input: features of both sides, a virtio-net header, how the frame is
 * cut into segments, the frame, whose last byte is repeated to its length.
 *
 * Pieces cover the payload, each once, and have right checksums, counted here in
 * another way; while the guest scribbles on the frame they stay inside of it.
 */
#include <errno.h>
#include <stdbool.h>

#include "dev/net/frame.h"
#include "fuzz.h"
#include "spec/vhost_user.h"

enum { SCRIBBLE = 1, LONG = 2, SKIP = 4, MAX_SEGS = 8 };

/* Those that matter here, a bit of the input each. */
static const uint8_t feature_bits[16] = {
	VIRTIO_NET_F_CSUM,	 VIRTIO_NET_F_HOST_TSO4,  VIRTIO_NET_F_HOST_TSO6,
	VIRTIO_NET_F_HOST_ECN,	 VIRTIO_NET_F_HOST_USO,	  VIRTIO_NET_F_GUEST_CSUM,
	VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_ECN,
	VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6,
};

struct state {
	struct vh_seg seg[MAX_SEGS];
	unsigned n_seg;
	uint8_t *flat; /* the frame as it was */
	uint32_t len;
	struct vh_frame frame;
	bool scribbles;
};

static uint64_t any_features(struct fuzz_input *in)
{
	const uint16_t bits = fuzz_u16(in);
	uint64_t f = 0;

	for (unsigned i = 0; i < 16; i++)
		if (bits >> i & 1)
			f |= VH_BIT(feature_bits[i]);
	return f;
}

/* ---- The frame ---- */

static void add_seg(struct state *s, const uint8_t *p, uint32_t len)
{
	struct vh_seg *seg = &s->seg[s->n_seg++];

	seg->va = malloc(len);
	FUZZ_CHECK(seg->va);
	memcpy(seg->va, p, len);
	seg->len = len;
}

/* Each segment is a block of its own; @skip bytes stand before the frame. */
static void cut_up(struct state *s, const uint8_t *cuts, uint32_t skip)
{
	uint8_t *all = calloc(1, skip + s->len);
	uint32_t at = 0;

	FUZZ_CHECK(all);
	memcpy(all + skip, s->flat, s->len);
	for (unsigned i = 0; i + 1 < MAX_SEGS && cuts[i]; i++) {
		const uint32_t len = cuts[i];

		if (len >= skip + s->len - at)
			break;
		add_seg(s, all + at, len);
		at += len;
	}
	add_seg(s, all + at, skip + s->len - at);
	free(all);
}

/* What comes before the frame ends in the first segment, as the switch leaves it. */
static void skip_header(struct state *s, uint32_t skip)
{
	struct vh_frame *f = &s->frame;

	f->seg = s->seg;
	f->n_seg = s->n_seg;
	f->len = s->len;
	for (f->skip = skip; f->skip >= f->seg->len; f->seg++, f->n_seg--)
		f->skip -= f->seg->len;
}

static void frame_make(struct state *s, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);
	const uint32_t more = how & LONG ? fuzz_u16(in) : 0;
	const uint32_t skip = how & SKIP ? 12 : 0;
	uint8_t cuts[MAX_SEGS], last;

	s->scribbles = how & SCRIBBLE;
	fuzz_bytes(in, &s->frame.hdr, sizeof(struct virtio_net_hdr));
	fuzz_bytes(in, cuts, sizeof(cuts));
	s->len = (uint32_t)(in->left < VH_FRAME_MAX ? in->left : VH_FRAME_MAX);
	last = s->len ? in->at[s->len - 1] : 0;
	if (s->len + more > VH_FRAME_MAX || s->len + more < VH_FRAME_MIN)
		s->len = s->len < VH_FRAME_MIN ? VH_FRAME_MIN : s->len;
	else
		s->len += more;
	s->flat = malloc(s->len);
	FUZZ_CHECK(s->flat);
	memset(s->flat, last, s->len);
	memcpy(s->flat, in->at, in->left < s->len ? in->left : s->len);
	cut_up(s, cuts, skip);
	skip_header(s, skip);
}

static void frame_free(struct state *s)
{
	while (s->n_seg)
		free(s->seg[--s->n_seg].va);
	free(s->flat);
}

static void scribble(struct state *s)
{
	for (unsigned i = 0; s->scribbles && i < s->n_seg; i++)
		for (uint32_t k = 0; k < s->seg[i].len && k < 80; k++)
			s->seg[i].va[k] ^= 0xff;
}

/* ---- Checksums, byte by byte ---- */

struct sum {
	uint32_t sum;
	bool odd;
};

static void sum_bytes(struct sum *s, const uint8_t *p, uint32_t len)
{
	for (; len--; p++, s->odd = !s->odd) {
		s->sum += s->odd ? *p : (uint32_t)*p << 8;
		s->sum = (s->sum & 0xffff) + (s->sum >> 16);
	}
}

static bool ipv4_sum_is_right(const struct vh_cutter *c, const struct vh_piece *p)
{
	struct sum s = {0};

	sum_bytes(&s, p->head + c->l3, c->l4 - c->l3);
	return s.sum == 0xffff;
}

/* Of TCP or UDP, over what the frame was when nobody scribbles. */
static uint32_t l4_sum(const struct state *st, const struct vh_cutter *c,
		       const struct vh_piece *p, bool with_payload)
{
	const uint32_t len = p->head_len - c->l4 + p->len;
	const uint8_t tail[8] = {
		len >> 24, len >> 16 & 255,   len >> 8 & 255, len & 255, 0, 0,
		0,	   c->is_tcp ? 6 : 17};
	struct sum s = {0};

	sum_bytes(&s, p->head + c->l3 + (c->is_v4 ? 12 : 8), c->is_v4 ? 8 : 32);
	sum_bytes(&s, tail, sizeof(tail));
	if (!with_payload)
		return s.sum;
	sum_bytes(&s, p->head + c->l4, p->head_len - c->l4);
	sum_bytes(&s, st->flat + p->off, p->len);
	return s.sum;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* ---- What must hold ---- */

static void check_header(const struct vh_frame *f, uint64_t features)
{
	const struct virtio_net_hdr_v1 *h = &f->hdr;

	FUZZ_CHECK(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
	if (h->flags) {
		FUZZ_CHECK(features & VH_BIT(VIRTIO_NET_F_CSUM));
		FUZZ_CHECK(h->csum_start + h->csum_offset + 2u <= f->len);
	}
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		FUZZ_CHECK(!h->gso_size && !h->hdr_len);
	else
		FUZZ_CHECK(h->gso_size && h->flags);
}

static void check_segment(const struct state *s, const struct vh_cutter *c,
			  const struct vh_piece *p)
{
	FUZZ_CHECK(p->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE);
	FUZZ_CHECK(p->len <= s->frame.hdr.gso_size);
	FUZZ_CHECK(!c->is_v4 || ipv4_sum_is_right(c, p));
	if (!c->guest_sums) {
		FUZZ_CHECK(!p->hdr.flags);
		FUZZ_CHECK(s->scribbles || l4_sum(s, c, p, true) == 0xffff);
		return;
	}
	FUZZ_CHECK(p->hdr.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
	FUZZ_CHECK(p->hdr.csum_start + p->hdr.csum_offset + 2u <= p->head_len);
	FUZZ_CHECK(get16(p->head + c->l4 + c->sum_at) == l4_sum(s, c, p, false));
}

/* The one piece of a frame whose sum is completed: sum and bytes behind csum_start. */
static void check_completed(const struct state *s, const struct vh_cutter *c,
			    const struct vh_piece *p)
{
	const uint32_t at = c->l4 + c->sum_at;
	struct sum sum = {0};

	FUZZ_CHECK(p->head_len + p->len == s->len && p->off == p->head_len);
	FUZZ_CHECK(!p->hdr.flags && at + 2 <= p->head_len);
	if (s->scribbles)
		return;
	FUZZ_CHECK(memcmp(p->head, s->flat, at) == 0);
	sum_bytes(&sum, s->flat + c->l4, s->len - c->l4);
	FUZZ_CHECK(get16(p->head + at) ==
		   (sum.sum == 0xffff ? 0xffff : 0xffff - sum.sum));
}

static void check_pieces(struct state *s, enum vh_work work, uint64_t features)
{
	static struct vh_cutter c;
	uint32_t next = 0, n = 0;
	struct vh_piece p;

	if (vh_cutter_begin(&c, &s->frame, work, features) < 0)
		return;
	scribble(s);
	for (; vh_cutter_next(&c, &p); n++, next += p.len) {
		FUZZ_CHECK(p.head_len && p.head_len <= VH_HEADERS_MAX);
		FUZZ_CHECK(p.off == (n ? next : p.head_len));
		FUZZ_CHECK(p.len <= s->len - p.off);
		next = p.off;
		if (work == VH_WORK_SEGMENT)
			check_segment(s, &c, &p);
		else
			check_completed(s, &c, &p);
		scribble(s);
	}
	FUZZ_CHECK(n >= 1 && n <= 65535 && next == s->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s = {0};
	struct fuzz_input in = {data, size};
	const uint64_t sender = any_features(&in), receiver = any_features(&in);
	enum vh_work work;

	frame_make(&s, &in);
	if (!vh_frame_check(&s.frame, sender)) {
		check_header(&s.frame, sender);
		work = vh_frame_work(&s.frame, receiver);
		if (work == VH_WORK_CHECKSUM || work == VH_WORK_SEGMENT)
			check_pieces(&s, work, receiver);
	}
	frame_free(&s);
	return 0;
}
