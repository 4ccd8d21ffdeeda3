/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames come in: read the headers once, check them, learn the sender, find where it
 * goes.  From here on only our copies of the headers count; the rest of the frame
 * stays in the sender's memory until it is copied to its receiver.
 *
 * All groups, also the reserved ones (bridges keep 01-80-C2-00-00-0X to themselves),
 * are flooded: this switch speaks no spanning tree, so it must let those pass
 * who do, or they could not find a loop through it.
 *
 * Thread: the source's home reactor.
 */
#include <string.h>

#include "switch/forward.h"

#define SOURCE_AT  6			     /* of the second address */
#define OFFSET_MAX (UINT16_MAX - VH_TAG_LEN) /* it may yet get a tag in front */

void vh_ingress_begin(struct vh_ingress *in, struct vh_source *s, struct vh_batch *b,
		      uint64_t features)
{
	*in = (struct vh_ingress){
		.source = s,
		.batch = b,
		.features = features,
		.hdr_len = vh_net_header_len(features),
		.to = VH_TO_ALL, /* where key 0 leads */
	};
	b->n = b->n_chains = 0;
	b->at = b->end = b->cursor = b->tries = 0;
}

/* A port may flood, or it has flooded too much lately. */
static uint16_t flood(struct vh_ingress *in)
{
	struct vh_source *s = in->source;

	if (!vh_bucket_has_any(&s->port->flood, vh_reactor_now(s->worker->reactor))) {
		in->in.drop_flood++;
		return VH_TO_NOBODY;
	}
	in->in.flooded++;
	return VH_TO_ALL;
}

static void find_destination(struct vh_ingress *in, struct vh_packet *p)
{
	const struct vh_port *from = in->source->port;
	const uint64_t key = vh_fdb_key(p->eth.raw, p->eth.vlan);

	if (p->eth.raw[0] & 1) {
		p->to = flood(in);
		return;
	}
	if (key != in->dst) {
		in->dst = key;
		if (!vh_fdb_find(from->fabric->fdb, key, &in->to, &in->generation))
			in->to = VH_TO_ALL;
	}
	p->generation = in->generation;
	if (in->to == VH_TO_ALL)
		p->to = flood(in);
	else
		p->to = in->to == from->index ? VH_TO_NOBODY : in->to;
}

static void learn_source(struct vh_ingress *in, const struct vh_packet *p)
{
	const struct vh_port *from = in->source->port;
	const uint64_t key = vh_fdb_key(p->eth.raw + SOURCE_AT, p->eth.vlan);

	/* Only within a batch: in between it may have been seen elsewhere. */
	if (key == in->src)
		return;
	in->src = key;
	vh_fdb_learn(from->fabric->fdb, key, from->index, from->generation);
}

static void read_ethernet(struct vh_packet *p)
{
	const struct vh_frame *f = &p->frame;

	if (f->seg->len - f->skip >= VH_ETH_MAX && f->len >= VH_ETH_MAX) {
		memcpy(p->eth.raw, f->seg->va + f->skip, VH_ETH_MAX);
		return;
	}
	memset(p->eth.raw, 0, sizeof(p->eth.raw));
	vh_frame_read(f, 0, p->eth.raw, f->len < VH_ETH_MAX ? f->len : VH_ETH_MAX);
}

/* Does the header make sense with a frame that begins like this? */
static bool header_is_fine(struct vh_packet *p)
{
	struct virtio_net_hdr_v1 *h = &p->frame.hdr;

	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    (h->csum_start < p->eth.len || h->csum_start > OFFSET_MAX))
		return false;
	if (h->hdr_len > p->frame.len || h->hdr_len > OFFSET_MAX)
		h->hdr_len = 0; /* a hint, which may be missing */
	return true;
}

/* Put the packet, whose frame is filled, into the batch, if anybody is to get it. */
static void admit(struct vh_ingress *in, struct vh_packet *p)
{
	const struct vh_port *from = in->source->port;

	if (vh_frame_check(&p->frame, in->features)) {
		in->in.drop_invalid++;
		return;
	}
	read_ethernet(p);
	if (!vh_vlan_classify(&from->vlans, &p->eth, p->frame.len)) {
		in->in.drop_vlan++;
		return;
	}
	if (!header_is_fine(p)) {
		in->in.drop_invalid++;
		return;
	}
	in->in.frames++;
	in->in.bytes += p->frame.len;
	learn_source(in, p);
	find_destination(in, p);
	if (p->to != VH_TO_NOBODY)
		in->batch->n++;
}

/* Read the virtio-net header, however it is cut up, and step behind it. */
static void take_header(struct vh_packet *p, unsigned hdr_len)
{
	struct vh_frame *f = &p->frame;

	memset(&f->hdr, 0, sizeof(f->hdr));
	if (f->seg->len >= sizeof(struct virtio_net_hdr))
		memcpy(&f->hdr, f->seg->va, sizeof(struct virtio_net_hdr));
	else
		vh_frame_read(f, 0, &f->hdr, sizeof(struct virtio_net_hdr));
	for (f->skip = hdr_len; f->skip >= f->seg->len; f->seg++, f->n_seg--)
		f->skip -= f->seg->len;
	f->len -= hdr_len;
}

void vh_ingress_chain(struct vh_ingress *in, struct vh_chain *c)
{
	struct vh_packet *p = &in->batch->packet[in->batch->n];

	in->batch->chain[in->batch->n_chains++] = c;
	if (c->out_len < in->hdr_len + VH_FRAME_MIN ||
	    c->out_len > in->hdr_len + VH_FRAME_MAX) {
		in->in.drop_invalid++;
		return;
	}
	p->frame.seg = vh_chain_segs(c);
	p->frame.n_seg = c->n_out;
	p->frame.skip = 0;
	p->frame.len = c->out_len;
	take_header(p, in->hdr_len);
	admit(in, p);
}

void vh_ingress_frame(struct vh_ingress *in, const struct vh_frame *f)
{
	struct vh_packet *p = &in->batch->packet[in->batch->n];

	if (f->len < VH_FRAME_MIN || f->len > VH_FRAME_MAX) {
		in->in.drop_invalid++;
		return;
	}
	p->frame = *f;
	admit(in, p);
}

void vh_ingress_end(struct vh_ingress *in)
{
	if (in->in.frames)
		in->source->mean_len = (uint32_t)(in->in.bytes / in->in.frames);
	vh_in_counters_add(&in->source->in, &in->in);
}
