/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * Control wants to change what a queue uses: its memory, its log, its doorbells,
 * whether it runs at all.  The queue's reactor is in the middle of a batch, and
 * the device may hold chains whose pointers lead into the old memory for
 * milliseconds.  A lock taken for each batch would cost every frame, and
 * would not cover the device's chains anyway.
 *
 * So the change is one immutable view, posted to the queue's home reactor, which
 * swaps it between two batches.  The hand-over comes back to control with the
 * old view when the queue has settled:
 *
 *   PAUSED   at once: nothing of the old view is used any more, because what the
 *            device still holds points into memory that the new view has too
 *   RETIRED  when the last chain fetched under an older memory epoch is done;
 *            fetching goes on, under the new view
 *   DRAINED  when no chain is out; nothing is fetched meanwhile, prefetched chains
 *            go back to the ring, and the old view is used to the end.  Only what
 *            a predecessor left undone is finished first: the base that the answer
 *            tells is behind it.
 *
 * A view without ring memory (parked) is adopted like DRAINED, but keeps the ring
 * with its indices, for the view that brings the memory back.
 *
 * One hand-over at a time is under way for a request; the end of the session may
 * overtake one that waits.  They settle in order, since the later one asks for
 * at least as much.
 *
 * A queue that other reactors borrow is changed under the borrow only: when a
 * borrower has it, the hand-over goes to the end of the mailbox and tries again.
 */
#include "session/adopt.h"

#include "base/barrier.h"
#include "base/log.h"
#include "session/device.h"
#include "session/queue.h"

#define FIRST_WARNING_NS (1ull * 1000 * 1000 * 1000)
#define NEXT_WARNING_NS	 (10ull * 1000 * 1000 * 1000)

/* ---- Home reactor ---- */

static void settled_on_control(struct vh_post *post)
{
	vh_queue_settled(vh_container_of(post, struct vh_handover, post));
}

/* Does the queue have to stop fetching before it can take @h's view? */
static bool wants_drain(const struct vh_handover *h)
{
	return h->settle == VH_SETTLE_DRAINED || !h->view || h->view->parked;
}

static bool is_settled(const struct vh_queue *q, const struct vh_handover *h)
{
	if (!q->view)
		return true;
	if (h->drains)
		return vh_queue_outstanding(q) == 0 && !vh_queue_owes(q);
	/* Chains of the present epoch do not hold it up, those of the other parity do. */
	return h->settle == VH_SETTLE_PAUSED || q->out[~q->view->map->epoch & 1] == 0;
}

/* The ring goes back to control with the view that it used. */
static void stop(struct vh_queue *q, struct vh_handover *h)
{
	if (q->ring) {
		if (q->device->ops.queue_stop)
			q->device->ops.queue_stop(q);
		h->base = vh_ring_base(q->ring);
		h->ring = q->ring;
		q->ring = NULL;
	}
	h->view = q->view;
	q->view = NULL;
	vh_store_relaxed(&q->stats.started, false);
}

static void tell_memory(struct vh_queue *q, const struct vh_view *old)
{
	const struct vh_device_ops *ops = &q->device->ops;

	if (ops->queue_memory && (!old || old->map != q->view->map))
		ops->queue_memory(q, (const struct vh_memory *)q->view->map);
}

/* Nothing is out any more: drop the ring memory, keep the ring. */
static void park(struct vh_queue *q, struct vh_handover *h)
{
	struct vh_view *parked = h->view;

	h->view = q->view;
	q->view = parked;
	tell_memory(q, h->view);
}

static void finish(struct vh_queue *q, struct vh_handover *h)
{
	if (h->drains) {
		if (q->ring)
			vh_queue_publish(q);
		if (h->view)
			park(q, h);
		else
			stop(q, h);
		vh_queue_poll_again(q);
	}
}

/* All that have settled, in order, into @done; how many. */
static unsigned settle(struct vh_queue *q, struct vh_handover *done[VH_HANDOVERS])
{
	unsigned n = 0;

	while (q->waiting[0] && is_settled(q, q->waiting[0])) {
		done[n] = q->waiting[0];
		q->waiting[0] = q->waiting[1];
		q->waiting[1] = NULL;
		finish(q, done[n++]);
	}
	if (!q->waiting[0])
		vh_timer_disarm(q->home, &q->late);
	return n;
}

/* The last touch of a queue: control may free it as soon as it has the hand-over. */
static void give_back(struct vh_handover *const *done, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		done[i]->post.fn = settled_on_control;
		vh_reactor_post_node(done[i]->queue->control, &done[i]->post);
	}
}

void vh_queue_settle(struct vh_queue *q)
{
	struct vh_handover *done[VH_HANDOVERS];

	give_back(done, settle(q, done));
}

static bool start_ring(struct vh_queue *q, struct vh_view *v)
{
	q->ring = v->start;
	v->start = NULL;
	q->broken = q->unpolled = false;
	q->head = q->n_ready = 0;
	q->out[0] = q->out[1] = 0;
	vh_ring_place(q->ring, &v->layout, v->map, v->log);
	if (vh_ring_start(q->ring, v->base) < 0) {
		vh_log(q, VH_LOG_WARN, "cannot start at base %u: %s", v->base,
		       q->ring->why ? q->ring->why : "no such base");
		return false;
	}
	if (vh_ring_base(q->ring) != v->base && !q->ring->inflight)
		vh_log(q, VH_LOG_INFO,
		       "base %u does not fit what is in the ring: going on at %u",
		       v->base, vh_ring_base(q->ring));
	return true;
}

/* Tell the device what has become of its queue.  False: it will not have it. */
static bool announce(struct vh_queue *q, const struct vh_view *old, bool starts)
{
	const struct vh_device_ops *ops = &q->device->ops;
	bool was = old && !starts && old->enabled;

	vh_store_relaxed(&q->stats.started, true);
	vh_store_relaxed(&q->stats.enabled, q->view->enabled);
	if (starts && ops->queue_start && ops->queue_start(q) < 0)
		return false;
	tell_memory(q, starts ? NULL : old);
	if (q->view->enabled != was && ops->queue_enabled)
		ops->queue_enabled(q, q->view->enabled);
	return true;
}

/* Take a view that has a ring, now; what is out goes on under it. */
static void swap(struct vh_queue *q, struct vh_handover *h)
{
	struct vh_view *v = h->view, *old = q->view;
	bool starts = v->start != NULL, fine = true;

	vh_queue_unfetch(q); /* they were translated under the old map */
	if (q->ring && !starts)
		vh_queue_publish(
			q); /* what is staged is logged and called under the old view */
	q->view = v;
	h->view = old;
	if (starts)
		fine = start_ring(q, v);
	else
		vh_ring_place(q->ring, &v->layout, v->map, v->log);
	q->fetching = true;
	q->finishing = false;
	fine = announce(q, old, starts) && fine;
	/* Who served the ring before may have filled it and not lived to call, or called
	 * when the front-end had let go of that fd already. */
	if (starts && v->call)
		vh_signal_fire(v->call);
	if (!fine)
		vh_queue_report_broken(q);
	vh_queue_poll_again(q);
}

static void adopt(struct vh_queue *q, struct vh_handover *h)
{
	h->drains = wants_drain(h);
	if (!h->drains) {
		swap(q, h);
	} else if (q->view) {
		q->fetching = false;
		q->finishing = !h->abandons && !q->broken;
		vh_queue_unfetch(q);
		if (vh_queue_owes(q))
			vh_queue_wake(q);
		if (vh_queue_outstanding(q) && q->device->ops.queue_drain)
			q->device->ops.queue_drain(q);
	}
	q->waiting[q->waiting[0] ? 1 : 0] = h;
	q->waiting_since = vh_reactor_now(q->home);
	vh_timer_arm(q->home, &q->late, FIRST_WARNING_NS);
}

static void adopt_on_home(struct vh_post *post)
{
	struct vh_handover *h = vh_container_of(post, struct vh_handover, post);
	struct vh_queue *q = h->queue;
	struct vh_handover *done[VH_HANDOVERS];
	unsigned n;

	if ((q->blocked && q->blocked != h) || (q->shared && !vh_try_lock(&q->lock))) {
		q->blocked = q->blocked ? q->blocked : h; /* later ones stay behind it */
		vh_reactor_post_node(q->home, post);
		return;
	}
	q->blocked = NULL;
	adopt(q, h);
	n = settle(q, done);
	if (q->shared)
		vh_unlock(&q->lock);
	give_back(done, n);
}

void vh_queue_is_late(struct vh_timer *t)
{
	struct vh_queue *q = vh_container_of(t, struct vh_queue, late);

	if (!q->waiting[0])
		return;
	vh_log(q, VH_LOG_WARN,
	       "the front-end has waited %llu s for %u buffer chains that the device "
	       "still has",
	       (unsigned long long)((vh_reactor_now(q->home) - q->waiting_since) /
				    1000000000),
	       vh_queue_outstanding(q));
	vh_timer_arm(q->home, t, NEXT_WARNING_NS);
}

/* ---- Control ---- */

void vh_queue_hand_over(struct vh_handover *h)
{
	h->under_way = true;
	h->ring = NULL;
	h->base = 0;
	h->post.fn = adopt_on_home;
	vh_reactor_post_node(h->queue->home, &h->post);
}
