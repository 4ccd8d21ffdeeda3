/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's queues: made, started, stopped and started again.  Client's thread,
 * while no other uses the queues.
 *
 * Theory of operation.  Whatever happened to the device before, a queue starts
 * like this: what is done is taken out of the ring and kept for the user, then
 * all else that was with the device is made available anew, in the order in
 * which it was added, and the device is told to begin there.  For a device that
 * stopped in good order that changes nothing, and for one that died, was reset
 * or lied about its base nothing is lost.
 *
 * With an inflight area nothing is made available anew: the device finds there what
 * its predecessor had, and goes on behind that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "session/client.h"

#define PAGE 4096u

/* ---- Making queues ---- */

static int eventfd_make(int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

static void queue_drop_ring(struct vh_client_queue *q)
{
	vh_driver_ring_destroy(q->ring);
	free(q->done);
	q->ring = NULL;
	q->done = NULL;
}

static void queue_destroy(struct vh_client_queue *q)
{
	if (!q)
		return;
	queue_drop_ring(q);
	vh_fd_drop(&q->kick);
	vh_fd_drop(&q->call);
	vh_fd_drop(&q->err);
	free(q);
}

static int queue_create(struct vh_client *c, unsigned index)
{
	struct vh_client_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	*q = (struct vh_client_queue){.client = c,
				      .index = index,
				      .kick = -1,
				      .call = -1,
				      .err = -1,
				      .calls_wanted = true};
	err = eventfd_make(&q->kick);
	if (!err)
		err = eventfd_make(&q->call);
	if (!err)
		err = eventfd_make(&q->err);
	if (err)
		queue_destroy(q);
	else
		c->queue[index] = q;
	return err;
}

/* @mem is where its ring goes. */
static int queue_make_ring(struct vh_client_queue *q, void *mem, uint32_t num)
{
	struct vh_client *c = q->client;

	q->num = num;
	q->first_done = q->n_done = 0;
	q->done = calloc(num, sizeof(*q->done));
	if (!q->done)
		return -ENOMEM;
	return vh_driver_ring_create(mem, num, c->features, vh_client_to_device, c,
				     &q->ring);
}

void vh_client_drop_inflight(struct vh_client *c)
{
	vh_fd_drop(&c->inflight_fd);
	memset(&c->inflight, 0, sizeof(c->inflight));
	memset(&c->fe.inflight, 0, sizeof(c->fe.inflight));
}

static void drop_rings(struct vh_client *c)
{
	vh_client_drop_inflight(c);
	for (unsigned i = 0; i < c->n_queues; i++)
		queue_drop_ring(c->queue[i]);
	c->n_queues = 0;
	c->ring_size = 0;
	if (c->rings.len)
		vh_frontend_drop_region(&c->fe, c->rings.gpa);
	vh_client_memory_release(&c->rings);
}

void vh_client_queues_destroy(struct vh_client *c)
{
	drop_rings(c);
	for (unsigned i = 0; i < VH_MAX_VRINGS; i++)
		queue_destroy(c->queue[i]);
}

/* Bytes that each ring gets: whole pages. */
static size_t ring_stride(const struct vh_client *c, uint32_t num)
{
	return (vh_driver_ring_bytes(num, c->features) + PAGE - 1) / PAGE * PAGE;
}

/* Behind the buffers, wherever these end. */
static uint64_t rings_gpa(const struct vh_client *c)
{
	const uint64_t end = VH_CLIENT_GPA + c->ram.len;

	return (end + VH_CLIENT_GPA - 1) / VH_CLIENT_GPA * VH_CLIENT_GPA;
}

static int make_rings(struct vh_client *c, unsigned n, uint32_t num)
{
	const size_t stride = ring_stride(c, num);
	int err = vh_client_memory_make(c, &c->rings, rings_gpa(c), n * stride, false);

	for (unsigned i = 0; i < n && !err; i++) {
		if (!c->queue[i])
			err = queue_create(c, i);
		if (!err) {
			c->n_queues = i + 1;
			err = queue_make_ring(c->queue[i], c->rings.va + i * stride, num);
		}
	}
	c->ring_size = num;
	if (!err)
		return 0;
	vh_log(c, VH_LOG_ERROR, "cannot make %u queues of %u entries: %s", n, num,
	       vh_strerror(err));
	drop_rings(c);
	return err;
}

static bool some_chain_is_out(const struct vh_client *c)
{
	for (unsigned i = 0; i < c->n_queues; i++) {
		if (vh_client_outstanding(c->queue[i]))
			return true;
	}
	return false;
}

static int resize(struct vh_client *c, unsigned n, uint32_t num)
{
	if (c->n_queues == n && c->ring_size == num)
		return 0;
	if (some_chain_is_out(c)) {
		vh_log(c, VH_LOG_ERROR,
		       "cannot change %u queues of %u entries to %u of %u: they hold "
		       "chains",
		       c->n_queues, c->ring_size, n, num);
		return -EBUSY;
	}
	drop_rings(c);
	c->features = c->fe.features;
	return make_rings(c, n, num);
}

/* ---- Starting ---- */

/*
 * A new kick for each start: a back-end that died may be slow to do so and read
 * kicks that are meant for its successor.
 */
static int prepare_queue(struct vh_client *c, struct vh_client_queue *q, bool tracked)
{
	struct vh_frontend_vring *v = &c->fe.vring[q->index];
	const uint64_t mem = (uintptr_t)c->rings.va + q->index * ring_stride(c, q->num);
	struct vh_driver_ring_places p;
	int kick, err = eventfd_make(&kick);

	if (err) {
		vh_log(c, VH_LOG_ERROR, "cannot make an eventfd: %s", vh_strerror(err));
		return err;
	}
	vh_fd_drop(&q->kick);
	q->kick = kick;
	vh_client_queue_rewind(q, tracked);
	vh_driver_ring_places(q->num, c->features, &p);
	v->num = q->num;
	v->base = vh_driver_ring_base(q->ring);
	v->addr = (struct vh_wire_addr){
		.desc = mem + p.desc, .avail = mem + p.avail, .used = mem + p.used};
	return 0;
}

/*
 * Does the next device know what the last one had?  After one that broke a ring nothing
 * of what it noted is believed either.
 */
static bool is_tracked(const struct vh_client *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		if (vh_driver_ring_why(c->queue[i]->ring))
			return false;
	return c->inflight.size && vh_frontend_has(&c->fe, VH_PF_INFLIGHT_SHMFD);
}

static int prepare(struct vh_client *c)
{
	const bool tracked = is_tracked(c);
	int err = vh_client_memory_offer(c, &c->ram);

	if (!tracked)
		vh_client_drop_inflight(c);
	c->fe.inflight = c->inflight;

	if (!err)
		err = vh_client_memory_offer(c, &c->rings);
	for (unsigned i = 0; i < c->n_queues && !err; i++)
		err = prepare_queue(c, c->queue[i], tracked);
	return err;
}

int vh_client_run(struct vh_client *c)
{
	int err = prepare(c);

	if (err)
		return err;
	c->fe.n_vrings = c->n_queues;
	err = vh_client_pursue(c, VH_GOAL_MEMORY);
	if (!err)
		err = vh_client_pursue(c, VH_GOAL_RUNNING);
	if (err)
		return err;
	for (unsigned i = 0; i < c->n_queues; i++) {
		vh_store_relaxed(&c->queue[i]->gone, false);
		vh_client_queue_kick(c->queue[i]);
	}
	return 0;
}

int vh_client_start(struct vh_client *c, unsigned n, unsigned size)
{
	int err;

	vh_store_relaxed(&c->thread, pthread_self());
	if (c->link != VH_CLIENT_READY)
		return -EPIPE;
	if (c->running)
		return -EBUSY;
	if (!n || n > VH_MAX_VRINGS || !vh_driver_ring_bytes(size, c->fe.features)) {
		vh_log(c, VH_LOG_ERROR,
		       "cannot start %u queues of %u entries: want 1 to %u, of a power "
		       "of two "
		       "up to %u",
		       n, size, VH_MAX_VRINGS, VH_MAX_RING_SIZE);
		return -EINVAL;
	}
	err = resize(c, n, size);
	if (!err)
		err = vh_client_run(c);
	c->running = !err;
	return err;
}

/* ---- Stopping ---- */

/* Nothing depends on it, since a start goes by the used ring: but it tells of a bug. */
static void check_base(const struct vh_client *c, const struct vh_client_queue *q)
{
	const uint32_t base = c->fe.vring[q->index].base;
	const uint32_t used = vh_driver_ring_base(q->ring);

	if (base != used)
		vh_log(c, VH_LOG_WARN,
		       "queue %u: the back-end stopped at %u, but gave back chains up to "
		       "%u",
		       q->index, base, used);
}

int vh_client_stop(struct vh_client *c)
{
	int err;

	vh_store_relaxed(&c->thread, pthread_self());
	if (!c->running)
		return 0;
	c->running = false;
	err = vh_client_pursue(c, VH_GOAL_STOPPED);
	for (unsigned i = 0; i < c->n_queues; i++) {
		vh_client_queue_harvest(c->queue[i]);
		if (!err)
			check_base(c, c->queue[i]);
	}
	return err;
}

int vh_client_reset(struct vh_client *c)
{
	struct vh_msg m, reply;
	int err;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_RESET_DEVICE);
	err = vh_client_ask(c, &m, &reply);
	if (err)
		return err;
	c->running = false;
	for (unsigned i = 0; i < c->n_queues; i++)
		vh_client_queue_harvest(c->queue[i]);
	return 0;
}

struct vh_client_queue *vh_client_queue(struct vh_client *c, unsigned index)
{
	return index < c->n_queues ? c->queue[index] : NULL;
}
