/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * A batch is cut into runs: of frames that go to one port each, and of frames that
 * go to all.  Runs are done one after the other, and within a run each receiver
 * gets its frames in their order; so no receiver sees the order of a sender's
 * frames changed.  Within a run, a receiver's queue is borrowed, published and
 * signalled once, and no two are borrowed at a time.
 *
 * A run of frames to one port each is sorted into lists, one a receiver, without
 * allocation: first[] and last[] of a port, next[] of a packet.  A packet that is
 * done goes to nobody, so the same code goes on with what is left.
 *
 * A run to all has a cursor over the ports.  Copies and bytes are counted against
 * the turn, and a run is no longer than what the turn has left; a run that used it
 * up is left where it is and goes on in the next turn, after other queues had
 * theirs.  Until then its chains stay with us.
 *
 * A queue that somebody else has just borrowed is tried again at the end of the
 * run, and then in the next turns; after some of those the frames are dropped.
 * Nobody waits in a loop.  Borrowers are only our own reactors, in the middle of
 * a batch, so a port cannot use this to hold others up.
 *
 * Thread: the source's home reactor.
 */
#include "switch/forward.h"

#include <string.h>

#define NONE	  0xff /* end of a list: packets are fewer */
#define MAX_TRIES 64

/* What it costs to cut a segment and sum it, as if it were so many bytes more. */
#define SEGMENT_COST 256

/* In bytes.  Whether somebody needs the segments is not known yet. */
static int64_t cost_of(const struct vh_packet *p)
{
	const struct vh_frame *f = &p->frame;

	return f->hdr.gso_size ? f->len + f->len / f->hdr.gso_size * SEGMENT_COST
			       : f->len;
}

/* ---- Frames to one port each ---- */

static void sort_packet(struct vh_worker *w, unsigned to, unsigned i)
{
	if (w->first[to] == NONE)
		w->first[to] = (uint8_t)i;
	else
		w->next[w->last[to]] = (uint8_t)i;
	w->last[to] = (uint8_t)i;
	w->next[i] = NONE;
}

/* Lists of the packets from b->at to @end; how many receivers @to there are. */
static unsigned sort_run(struct vh_worker *w, const struct vh_batch *b, unsigned end,
			 uint16_t *to)
{
	unsigned n = 0;

	for (unsigned i = b->at; i < end; i++) {
		const uint16_t port = b->packet[i].to;

		if (port == VH_TO_NOBODY)
			continue;
		if (w->first[port] == NONE)
			to[n++] = port;
		sort_packet(w, port, i);
	}
	return n;
}

/* Those of a list that may go to @port; the others are dropped. */
static unsigned choose_packets(const struct vh_worker *w, struct vh_source *s,
			       const struct vh_batch *b, const struct vh_port *port,
			       unsigned first, uint8_t *chosen)
{
	unsigned n = 0;

	for (unsigned i = first; i != NONE; i = w->next[i]) {
		const struct vh_packet *p = &b->packet[i];

		if (p->generation != port->generation)
			continue; /* it went to a port that is gone */
		if (vh_vlan_form(&port->vlans, &p->eth) == VH_VLAN_NOT_HERE)
			vh_count(&s->in.drop_vlan, 1);
		else
			chosen[n++] = (uint8_t)i;
	}
	return n;
}

static void finish_list(struct vh_worker *w, struct vh_batch *b, unsigned to,
			struct vh_turn *turn)
{
	for (unsigned i = w->first[to]; i != NONE; i = w->next[i]) {
		b->packet[i].to = VH_TO_NOBODY;
		turn->bytes -= cost_of(&b->packet[i]);
		turn->copies--;
	}
	w->first[to] = NONE;
}

/* 0, or -EBUSY.  @give_up: drop them then. */
static int send_list(struct vh_source *s, struct vh_batch *b, unsigned to,
		     struct vh_turn *turn, bool give_up)
{
	struct vh_worker *w = s->worker;
	struct vh_port *port = vh_fabric_port(w->fabric, to);
	uint8_t chosen[VH_BATCH];

	if (port) {
		unsigned n = choose_packets(w, s, b, port, w->first[to], chosen);
		int err = n ? vh_egress(w, port, b, chosen, n) : 0;

		if (err < 0 && !give_up)
			return err;
		if (err < 0)
			vh_egress_drop_busy(w, port, n);
	}
	finish_list(w, b, to, turn);
	return 0;
}

static bool may_give_up(const struct vh_batch *b, const struct vh_turn *turn)
{
	return !turn->patient || b->tries >= MAX_TRIES;
}

static bool forward_to_each(struct vh_source *s, struct vh_batch *b, unsigned end,
			    struct vh_turn *turn)
{
	struct vh_worker *w = s->worker;
	uint16_t to[VH_BATCH];
	unsigned n = sort_run(w, b, end, to), busy = 0, still = 0;

	for (unsigned i = 0; i < n; i++)
		if (send_list(s, b, to[i], turn, false) < 0)
			to[busy++] = to[i];
	for (unsigned i = 0; i < busy; i++) {
		if (send_list(s, b, to[i], turn, may_give_up(b, turn)) < 0) {
			w->first[to[i]] = NONE; /* the lists are made anew next time */
			still++;
		}
	}
	b->tries += still != 0;
	return !still;
}

/* ---- Frames to all ---- */

static unsigned choose_members(const struct vh_batch *b, unsigned end,
			       const struct vh_port *port, struct vh_turn *turn,
			       uint8_t *chosen)
{
	unsigned n = 0;

	for (unsigned i = b->at; i < end; i++) {
		if (vh_vlan_form(&port->vlans, &b->packet[i].eth) == VH_VLAN_NOT_HERE)
			continue;
		chosen[n++] = (uint8_t)i;
		turn->bytes -= cost_of(&b->packet[i]);
	}
	turn->copies -= n + 1; /* looking at a port is work, too */
	return n;
}

static int flood_to(struct vh_source *s, const struct vh_batch *b, unsigned end,
		    unsigned slot, struct vh_turn *turn, bool give_up)
{
	struct vh_worker *w = s->worker;
	struct vh_port *port = vh_fabric_port(w->fabric, slot);
	uint8_t chosen[VH_BATCH];
	unsigned n;
	int err;

	if (!port || port == s->port)
		return 0;
	n = choose_members(b, end, port, turn, chosen);
	if (!n)
		return 0;
	err = vh_egress(w, port, b, chosen, n);
	if (err < 0 && !give_up)
		return err;
	if (err < 0)
		vh_egress_drop_busy(w, port, n);
	else
		vh_bucket_charge(&s->port->flood, vh_reactor_now(w->reactor), n,
				 w->fabric->flood_per_s);
	return 0;
}

static bool is_over(const struct vh_turn *turn)
{
	return turn->copies <= 0 || turn->bytes <= 0;
}

/* The first round: everybody. */
static bool flood_to_everybody(struct vh_source *s, struct vh_batch *b, unsigned end,
			       struct vh_turn *turn)
{
	const unsigned n_slots = vh_load_acquire(&s->worker->fabric->n_slots);

	for (; b->cursor < n_slots; b->cursor++) {
		if (is_over(turn))
			return false;
		if (flood_to(s, b, end, b->cursor, turn, false) < 0)
			b->again[b->cursor / 64] |= 1ULL << (b->cursor % 64);
	}
	return true;
}

/* Later rounds: who was busy. */
static bool flood_again(struct vh_source *s, struct vh_batch *b, unsigned end,
			struct vh_turn *turn)
{
	bool all = true;

	for (unsigned i = 0; i < sizeof(b->again) / sizeof(b->again[0]); i++) {
		for (uint64_t left = b->again[i]; left; left &= left - 1) {
			const unsigned bit = (unsigned)__builtin_ctzll(left);

			if (flood_to(s, b, end, i * 64 + bit, turn,
				     may_give_up(b, turn)) < 0)
				all = false;
			else
				b->again[i] &= ~(1ULL << bit);
		}
	}
	b->tries += !all;
	return all;
}

static bool forward_to_all(struct vh_source *s, struct vh_batch *b, unsigned end,
			   struct vh_turn *turn)
{
	if (!flood_to_everybody(s, b, end, turn) || !flood_again(s, b, end, turn))
		return false;
	b->cursor = 0;
	return true;
}

/* ---- A batch ---- */

static bool is_to_all(const struct vh_batch *b, unsigned i)
{
	return b->packet[i].to == VH_TO_ALL;
}

/* From b->at: at least one packet, and otherwise as many as the turn can pay. */
static unsigned run_end(const struct vh_batch *b, const struct vh_turn *turn)
{
	const bool to_all = is_to_all(b, b->at);
	int64_t left = turn->bytes;
	unsigned end = b->at;

	do
		left -= cost_of(&b->packet[end++]);
	while (end < b->n && left > 0 && is_to_all(b, end) == to_all);
	return end;
}

static bool forward_batch(struct vh_source *s, struct vh_batch *b, struct vh_turn *turn)
{
	while (b->at < b->n) {
		bool done;

		if (is_over(turn))
			return false;
		if (b->end <= b->at)
			b->end = run_end(b, turn);
		if (is_to_all(b, b->at))
			done = forward_to_all(s, b, b->end, turn);
		else
			done = forward_to_each(s, b, b->end, turn);
		if (!done)
			return false;
		b->tries = 0;
		b->at = b->end;
	}
	return true;
}

/* Give the sender its chains back. */
static void complete(struct vh_source *s, struct vh_batch *b)
{
	static const uint32_t nothing_written[VH_BATCH];

	if (!b->n_chains)
		return;
	vh_queue_push_batch(s->queue, b->chain, nothing_written, b->n_chains);
	vh_queue_publish_and_signal(s->queue);
	b->n_chains = 0;
}

bool vh_forward(struct vh_source *s, struct vh_turn *turn)
{
	struct vh_worker *w = s->worker;
	struct vh_batch *b = w->batch;

	if (forward_batch(s, b, turn)) {
		complete(s, b);
		return true;
	}
	w->batch = s->batch;
	s->batch = b;
	s->pending = true;
	return false;
}

bool vh_forward_pending(struct vh_source *s, struct vh_turn *turn)
{
	if (!forward_batch(s, s->batch, turn))
		return false;
	complete(s, s->batch);
	s->pending = false;
	return true;
}

/* ---- A transmit queue ---- */

/* As many as are likely to fit into the turn. */
static unsigned batch_size(const struct vh_source *s, const struct vh_turn *turn)
{
	int64_t n = s->mean_len ? turn->bytes / s->mean_len : VH_BATCH;

	return n >= VH_BATCH ? VH_BATCH : n > 0 ? (unsigned)n : 1;
}

/* False: there is no more for now. */
static bool transmit_batch(struct vh_source *s, struct vh_turn *turn)
{
	struct vh_chain *chain[VH_BATCH];
	unsigned want = batch_size(s, turn);
	unsigned n = vh_queue_next_batch(s->queue, chain, want);
	struct vh_ingress in;

	if (!n)
		return false;
	vh_ingress_begin(&in, s, s->worker->batch, vh_queue_features(s->queue));
	for (unsigned i = 0; i < n; i++)
		vh_ingress_chain(&in, chain[i]);
	vh_ingress_end(&in);
	return vh_forward(s, turn) && n == want;
}

/* A disabled queue is emptied without effect. */
static void discard(struct vh_source *s)
{
	struct vh_batch *b = s->worker->batch;

	b->n_chains = vh_queue_next_batch(s->queue, b->chain, VH_BATCH);
	complete(s, b);
}

void vh_forward_transmit(struct vh_net *n, struct vh_queue *q)
{
	struct vh_source *s = vh_queue_priv(q);
	struct vh_turn turn = vh_turn_begin();

	if (s->pending && !vh_forward_pending(s, &turn)) {
		q->budget = 0; /* the queue has work left: have it looked at again */
		return;
	}
	if (!vh_queue_is_enabled(q)) {
		discard(s);
		return;
	}
	while (!is_over(&turn) && transmit_batch(s, &turn))
		;
	if (s->pending)
		q->budget = 0;
}
