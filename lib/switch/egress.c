/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames go out: into a receive queue, which is borrowed meanwhile, or to an uplink.
 *
 * A receiver that has no buffers, or too small ones, does not get the frame; it is
 * counted and nobody waits.  Without mergeable buffers a frame must fit into the first
 * one.  With them it is spread over as many as it takes, of which the receiver
 * sees all or none, under one store of the used index.
 *
 * Thread: the source's home reactor.
 */
#include <errno.h>
#include <linux/virtio_net.h>

#include "spec/vhost_user.h"
#include "switch/deliver.h"
#include "switch/forward.h"
#include "switch/uplink.h"

#define STAGE (2 * VH_BATCH)

/* A receiver while we send to it. */
struct egress {
	const struct vh_port *port;
	struct vh_queue *queue; /* borrowed; NULL: an uplink */
	uint64_t features;
	unsigned hdr_len, max_chains;
	struct vh_out_counters n;
	unsigned staged;
	struct vh_chain *chain[STAGE];
	uint32_t len[STAGE];
	struct vh_out out;
};

static void flush(struct egress *e)
{
	vh_queue_push_batch(e->queue, e->chain, e->len, e->staged);
	e->staged = 0;
}

static bool into_ring(struct egress *e)
{
	unsigned n;

	if (e->staged + e->max_chains > STAGE)
		flush(e);
	n = vh_queue_reserve(e->queue, vh_out_len(&e->out), &e->chain[e->staged],
			     e->max_chains);
	if (!n)
		return false;
	if (n > 1)
		vh_out_set_buffers(&e->out, (uint16_t)n);
	vh_out_copy(&e->out, &e->chain[e->staged], n, &e->len[e->staged]);
	e->staged += n;
	return true;
}

/* False: it was dropped. */
static bool send_out(struct egress *e)
{
	bool sent = e->queue ? into_ring(e) : vh_uplink_send(e->port->uplink, &e->out);

	if (!sent) {
		e->n.drop_full++;
		return false;
	}
	e->n.frames++;
	e->n.bytes += vh_out_len(&e->out) - e->hdr_len;
	return true;
}

static void send_pieces(struct egress *e, const struct vh_packet *p,
			enum vh_vlan_form form, enum vh_work work)
{
	struct vh_cutter cutter;
	struct vh_piece piece;

	if (work == VH_WORK_DROP ||
	    vh_cutter_begin(&cutter, &p->frame, work, e->features) < 0) {
		e->n.drop_offload++;
		return;
	}
	e->n.software++;
	while (vh_cutter_next(&cutter, &piece)) {
		if (!vh_out_piece(&e->out, &p->frame, &piece, &p->eth, form,
				  e->hdr_len)) {
			e->n.drop_offload++;
			return;
		}
		if (!send_out(e)) {
			/* The rest would only cost us: it is not even cut. */
			e->n.drop_full += vh_cutter_left(&cutter);
			return;
		}
	}
}

static void send_packet(struct egress *e, const struct vh_packet *p)
{
	const struct virtio_net_hdr_v1 *h = &p->frame.hdr;
	const enum vh_vlan_form form = vh_vlan_form(&e->port->vlans, &p->eth);
	enum vh_work work = VH_WORK_NONE;

	if (h->flags | h->gso_type)
		work = vh_frame_work(&p->frame, e->features);
	if (work != VH_WORK_NONE) {
		send_pieces(e, p, form, work);
		return;
	}
	vh_out_whole(&e->out, &p->frame, &p->eth, form, e->hdr_len);
	send_out(e);
}

static void send_all(struct egress *e, const struct vh_batch *b, const uint8_t *packets,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		send_packet(e, &b->packet[packets[i]]);
}

static void to_uplink(struct vh_worker *w, struct vh_port *to, const struct vh_batch *b,
		      const uint8_t *packets, unsigned n)
{
	struct egress e;

	e.port = to;
	e.queue = NULL;
	e.features = vh_uplink_features(to->uplink);
	e.hdr_len = vh_uplink_header_len(to->uplink);
	e.n = (struct vh_out_counters){0};
	send_all(&e, b, packets, n);
	vh_out_counters_add(&to->place[w->index].out, &e.n);
}

static void to_borrowed(struct vh_port *to, struct vh_sink *sink,
			const struct vh_batch *b, const uint8_t *packets, unsigned n)
{
	struct egress e; /* not initialised as a whole: it is large */

	e.port = to;
	e.queue = sink->queue;
	e.features = vh_queue_features(sink->queue);
	e.hdr_len = vh_net_header_len(e.features);
	e.max_chains = e.features & VH_BIT(VIRTIO_NET_F_MRG_RXBUF) ? VH_BATCH : 1;
	e.n = (struct vh_out_counters){0};
	e.staged = 0;
	send_all(&e, b, packets, n);
	if (e.staged)
		flush(&e);
	vh_queue_publish_and_signal(sink->queue);
	vh_out_counters_add(&sink->out, &e.n);
}

int vh_egress(struct vh_worker *w, struct vh_port *to, const struct vh_batch *b,
	      const uint8_t *packets, unsigned n)
{
	struct vh_sink *sink;
	int err;

	if (to->uplink) {
		to_uplink(w, to, b, packets, n);
		return 0;
	}
	sink = vh_port_sink(to, w->index);
	err = sink ? vh_queue_borrow(sink->queue) : -ENOTCONN;
	if (err == -EBUSY)
		return err;
	if (err < 0) {
		vh_count(&to->place[w->index].out.drop_full, n);
		return 0;
	}
	to_borrowed(to, sink, b, packets, n);
	vh_queue_return(sink->queue);
	return 0;
}

void vh_egress_drop_busy(struct vh_worker *w, struct vh_port *to, unsigned n)
{
	vh_count(&to->place[w->index].out.drop_busy, n);
}
