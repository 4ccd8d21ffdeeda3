/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The batch calls of a switch, under a borrow.  See queue.h.
 *
 * Chains from vh_queue_reserve() are pushed or unreserved before the queue is
 * returned, so a hand-over, which needs the borrow, never meets them; they are
 * not counted as lent.
 *
 * Thread: the reactor that borrowed the queue.
 */
#include <errno.h>

#include "base/barrier.h"
#include "session/device.h"
#include "session/queue.h"

void vh_queue_share(struct vh_queue *q)
{
	q->shared = true;
}

int vh_queue_borrow(struct vh_queue *q)
{
	if (q->shared && !vh_try_lock(&q->lock))
		return -EBUSY;
	if (q->fetching && q->view->enabled)
		return 0;
	if (q->shared)
		vh_unlock(&q->lock);
	return -ENOTCONN;
}

void vh_queue_return(struct vh_queue *q)
{
	if (q->shared)
		vh_unlock(&q->lock);
}

unsigned vh_queue_next_batch(struct vh_queue *q, struct vh_chain **c, unsigned n)
{
	unsigned got = 0;

	while (got < n && (c[got] = vh_queue_next(q)))
		got++;
	return got;
}

unsigned vh_queue_reserve(struct vh_queue *q, size_t bytes, struct vh_chain **c,
			  unsigned max)
{
	size_t room = 0;
	unsigned n = 0;

	while (room < bytes || !n) {
		if (n == max)
			return 0;
		if (n == q->n_ready && !vh_queue_fetch(q))
			return 0;
		c[n] = q->ready[q->head + n];
		room += c[n++]->in_len;
	}
	q->head += n;
	q->n_ready -= n;
	return n;
}

void vh_queue_unreserve(struct vh_queue *q, unsigned n)
{
	q->head -= n;
	q->n_ready += n;
}

void vh_queue_push_batch(struct vh_queue *q, struct vh_chain **c, const uint32_t *len,
			 unsigned n)
{
	uint64_t in = 0, out = 0;

	for (unsigned i = 0; i < n; i++) {
		if (c[i]->lent) {
			c[i]->lent = false;
			q->out[c[i]->epoch & 1]--;
		} else {
			vh_count(&q->stats.chains, 1);
		}
		in += len[i];
		out += c[i]->out_len;
		vh_ring_push(q->ring, c[i], len[i]);
	}
	vh_count(&q->stats.completed, n);
	vh_count(&q->stats.bytes_in, in);
	vh_count(&q->stats.bytes_out, out);
}

void vh_queue_publish_and_signal(struct vh_queue *q)
{
	vh_queue_publish(q);
	if (q->waiting[0]) /* on the home reactor only: a shared queue has nothing lent */
		vh_reactor_defer(q->home, &q->flush);
}

void vh_queue_want_kicks(struct vh_queue *q, bool on)
{
	q->unpolled = !on;
	vh_queue_poll_again(q);
	if (!on && q->ring)
		vh_ring_disarm(q->ring);
}
