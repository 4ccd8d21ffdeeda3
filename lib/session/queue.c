/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path of a virtqueue, for a device that takes chains one by one:
 * prefetch, lend, complete, publish, call.  batch.c has the calls for a switch.
 *
 * Thread: the queue's home reactor, where nothing else is said.
 */
#include "session/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/barrier.h"
#include "base/log.h"
#include "session/device.h"

/* ---- What a model may ask ---- */

struct vh_device *vh_queue_device(const struct vh_queue *q)
{
	return q->device;
}

unsigned vh_queue_index(const struct vh_queue *q)
{
	return q->index;
}

struct vh_reactor *vh_queue_reactor(const struct vh_queue *q)
{
	return q->home;
}

void *vh_queue_priv(const struct vh_queue *q)
{
	return q->priv;
}

void vh_queue_set_priv(struct vh_queue *q, void *priv)
{
	q->priv = priv;
}

bool vh_queue_is_enabled(const struct vh_queue *q)
{
	return q->view && q->view->enabled;
}

uint64_t vh_queue_features(const struct vh_queue *q)
{
	return q->view ? q->view->features : 0;
}

void vh_queue_wake(struct vh_queue *q)
{
	if (q->polled)
		vh_poller_wake(q->home, &q->poller);
}

void vh_queue_read_stats(const struct vh_queue *q, struct vh_queue_stats *s)
{
	s->chains = vh_load_relaxed(&q->stats.chains);
	s->completed = vh_load_relaxed(&q->stats.completed);
	s->bytes_out = vh_load_relaxed(&q->stats.bytes_out);
	s->bytes_in = vh_load_relaxed(&q->stats.bytes_in);
	s->kicks = vh_load_relaxed(&q->poller.kicks);
	s->calls = vh_load_relaxed(&q->stats.calls);
	s->rejected = vh_load_relaxed(&q->stats.rejected);
	s->started = vh_load_relaxed(&q->stats.started);
	s->enabled = vh_load_relaxed(&q->stats.enabled);
}

unsigned vh_queue_outstanding(const struct vh_queue *q)
{
	return q->out[0] + q->out[1];
}

bool vh_queue_owes(const struct vh_queue *q)
{
	return q->finishing && q->ring && (vh_ring_owed(q->ring) || q->n_ready);
}

/* ---- Broken rings ---- */

static void broken_on_control(struct vh_post *post)
{
	struct vh_queue *q = vh_container_of(post, struct vh_queue, broken_post);
	const struct vh_backend_event ev = {.type = VH_EV_BROKEN, .vring = q->index};

	vh_store_release(&q->broken_posted, 0);
	vh_session_step(&q->device->session, &ev);
}

void vh_queue_report_broken(struct vh_queue *q)
{
	if (q->broken)
		return;
	q->broken = true;
	q->fetching = false;
	if (q->finishing)
		vh_reactor_defer(q->home, &q->flush); /* somebody waits for it to stop */
	q->finishing = false;
	vh_count(&q->stats.rejected, 1);
	if (!vh_exchange(&q->broken_posted, 1))
		vh_reactor_post_node(q->control, &q->broken_post);
}

/* ---- Taking chains ---- */

void vh_queue_unfetch(struct vh_queue *q)
{
	if (q->n_ready)
		vh_ring_unpop(q->ring, &q->ready[q->head], q->n_ready);
	q->head = q->n_ready = 0;
}

/* May chains be taken at all? */
static bool may_fetch(const struct vh_queue *q)
{
	if (q->finishing)
		return vh_ring_owed(q->ring);
	return q->fetching &&
	       (q->view->enabled || (q->device->ops.flags & VH_DEVICE_RUNS_DISABLED));
}

bool vh_queue_fetch(struct vh_queue *q)
{
	int n;

	if (!may_fetch(q) || q->n_ready == VH_BATCH)
		return false;
	if (q->head)
		memmove(q->ready, &q->ready[q->head], q->n_ready * sizeof(q->ready[0]));
	q->head = 0;
	n = vh_ring_pop(q->ring, &q->ready[q->n_ready], VH_BATCH - q->n_ready);
	if (n < 0) {
		vh_log(q, VH_LOG_WARN, "the driver broke the ring: %s; the device stops",
		       q->ring->why);
		vh_queue_report_broken(q);
		return false;
	}
	q->n_ready += (unsigned)n;
	return n > 0;
}

struct vh_chain *vh_queue_next(struct vh_queue *q)
{
	struct vh_chain *c;

	if (!q->budget || (!q->n_ready && !vh_queue_fetch(q)))
		return NULL;
	q->n_ready--;
	q->budget--;
	c = q->ready[q->head++];
	vh_ring_lend(q->ring, c);
	q->out[c->epoch & 1]++;
	vh_count(&q->stats.chains, 1);
	return c;
}

/* ---- Giving them back ---- */

void vh_chain_complete(struct vh_chain *c, size_t written)
{
	struct vh_queue *q = c->queue;
	uint32_t len = written < c->in_len ? (uint32_t)written : c->in_len;

	vh_count(&q->stats.completed, 1);
	vh_count(&q->stats.bytes_out, c->out_len);
	vh_count(&q->stats.bytes_in, len);
	q->out[c->epoch & 1]--;
	c->lent = false;
	vh_ring_push(q->ring, c, len);
	vh_reactor_defer(q->home, &q->flush);
}

void vh_chain_reject(struct vh_chain *c, const char *why)
{
	struct vh_queue *q = c->queue;

	vh_log(q, VH_LOG_WARN,
	       "the driver broke the device's rules: %s; the device stops", why);
	q->out[c->epoch & 1]--;
	c->lent = false;
	vh_queue_report_broken(q);
	vh_reactor_defer(q->home, &q->flush);
}

void vh_queue_publish(struct vh_queue *q)
{
	if (!vh_ring_publish(q->ring))
		return;
	if (q->view->log_call && q->view->log)
		vh_signal_fire(q->view->log_call);
	if (!q->view->call || !vh_ring_call_wanted(q->ring))
		return;
	vh_signal_fire(q->view->call);
	vh_count(&q->stats.calls, 1);
}

static void flush(struct vh_deferred *d)
{
	struct vh_queue *q = vh_container_of(d, struct vh_queue, flush);

	if (q->ring)
		vh_queue_publish(q);
	if (q->waiting[0])
		vh_queue_settle(q);
}

/* ---- Polling ---- */

static unsigned poller_work(struct vh_poller *p, unsigned budget)
{
	struct vh_queue *q = vh_container_of(p, struct vh_queue, poller);
	unsigned done;

	q->budget = budget;
	q->device->ops.process(q);
	done = budget - q->budget;
	q->budget = ~0u; /* completions outside of .process take what they like */
	return done;
}

static bool poller_arm(struct vh_poller *p)
{
	struct vh_queue *q = vh_container_of(p, struct vh_queue, poller);

	/* Prefetched chains that the device did not want yet are no reason to spin. */
	return vh_ring_arm(q->ring);
}

static void poller_disarm(struct vh_poller *p)
{
	struct vh_queue *q = vh_container_of(p, struct vh_queue, poller);

	vh_ring_disarm(q->ring);
}

static const struct vh_poller_ops poller_ops = {
	.work = poller_work,
	.arm = poller_arm,
	.disarm = poller_disarm,
};

void vh_queue_poll_again(struct vh_queue *q)
{
	int fd = q->view && q->view->kick ? q->view->kick->fd : -1;
	bool wanted = q->view && q->ring && !q->view->parked && may_fetch(q) &&
		      !q->unpolled;

	if (q->polled && (!wanted || fd != q->poller.fd)) {
		vh_poller_remove(q->home, &q->poller);
		q->polled = false;
	}
	if (!wanted)
		return;
	if (q->polled) {
		vh_poller_wake(q->home, &q->poller);
		return;
	}
	q->poller.fd = fd;
	if (vh_poller_add(q->home, &q->poller) < 0) {
		vh_queue_report_broken(q);
		return;
	}
	q->polled = true;
	/* A ring begins with kicks wanted, and one that is always polled never arms. */
	vh_ring_disarm(q->ring);
}

void vh_queue_init(struct vh_queue *q, struct vh_device *d, unsigned index,
		   struct vh_reactor *home, struct vh_reactor *control)
{
	memset(q, 0, sizeof(*q));
	q->device = d;
	q->index = index;
	q->home = home;
	q->control = control;
	q->budget = ~0u;
	snprintf(q->tag, sizeof(q->tag), "%s/q%u", d->tag, index);
	q->poller.ops = &poller_ops;
	q->poller.fd = -1;
	q->flush.fn = flush;
	vh_list_init(&q->flush.link);
	vh_timer_init(&q->late, vh_queue_is_late);
	q->broken_post.fn = broken_on_control;
	for (unsigned i = 0; i < VH_HANDOVERS; i++)
		q->handover[i].queue = q;
}
