/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-blk device model: its life and its queues.  Requests are in request.c,
 * config space in config.c.
 *
 * All queues that live on one reactor share a lane, and with it a channel to the store,
 * which is open while any of them runs.  A lane belongs to its reactor.
 */
#include "dev/blk/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_ids.h>

#include "base/barrier.h"
#include "base/log.h"

#define NS_PER_S 1000000000ull

static struct blk *blk_of(const struct vh_device *d)
{
	return vh_device_priv(d);
}

static struct blk_lane *lane_of(const struct vh_queue *q)
{
	return blk_of(vh_queue_device(q))->lane[vh_queue_index(q)];
}

/* ---- Options ---- */

static int wrong(struct vh_device *d, const char *key, const char *value,
		 const char *want)
{
	vh_log_line(vh_device_tag(d), VH_LOG_ERROR, "%s=%s: want %s", key, value, want);
	return -EINVAL;
}

static bool parse_number(const char *text, unsigned max, unsigned *n)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || text[0] == '-' || v > max)
		return false;
	*n = (unsigned)v;
	return true;
}

static int blk_config(struct vh_device *d, const char *key, const char *value)
{
	struct blk *b = blk_of(d);
	unsigned n;
	int taken = vh_store_param(&b->params, vh_device_tag(d), key, value);

	if (taken)
		return taken < 0 ? taken : 0;
	if (!strcmp(key, "serial")) {
		if (strlen(value) > VIRTIO_BLK_ID_BYTES)
			return wrong(d, key, value, "at most 20 bytes");
		snprintf(b->serial, sizeof(b->serial), "%s", value);
	} else if (!strcmp(key, "num-queues")) {
		if (!parse_number(value, BLK_MAX_QUEUES, &n) || !n)
			return wrong(d, key, value, "a number from 1 to 64");
		b->n_queues = (uint16_t)n;
	} else if (!strcmp(key, "drain-timeout")) {
		if (!parse_number(value, 86400, &n))
			return wrong(d, key, value, "seconds, 0 (never) to 86400");
		b->drain_timeout = n;
	} else {
		return wrong(d, key, value,
			     "an option of blk or of its store; see man vhost-serve");
	}
	return 0;
}

static uint16_t blk_n_queues(struct vh_device *d)
{
	struct blk *b = blk_of(d);

	if (!b->n_queues)
		b->n_queues = BLK_MAX_QUEUES;
	return b->n_queues;
}

/* ---- Lanes ---- */

static void lane_start(struct vh_deferred *d)
{
	struct blk_lane *l = vh_container_of(d, struct blk_lane, start);

	if (l->channel)
		vh_store_start(l->channel);
}

static void lane_is_late(struct vh_timer *t)
{
	struct blk_lane *l = vh_container_of(t, struct blk_lane, late);

	if (!l->channel)
		return;
	vh_log_line("blk", VH_LOG_WARN,
		    "drain-timeout=%u is over: giving up the requests that the store can",
		    l->blk->drain_timeout);
	vh_store_cancel(l->channel);
}

/* drain-timeout is for those who are waited for, not for what comes later. */
void vh_blk_lane_is_idle(struct blk_lane *l, unsigned q)
{
	l->draining &= ~(1ull << q);
	if (!l->draining)
		vh_timer_disarm(l->reactor, &l->late);
}

static struct blk_lane *lane_create(struct blk *b, struct vh_reactor *r)
{
	struct blk_lane *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->blk = b;
	l->reactor = r;
	l->start.fn = lane_start;
	vh_list_init(&l->start.link);
	vh_timer_init(&l->late, lane_is_late);
	return l;
}

static int make_lanes(struct vh_device *d, struct blk *b)
{
	for (unsigned i = 0; i < b->n_queues; i++) {
		struct vh_reactor *r = vh_queue_reactor(vh_device_queue(d, i));

		for (unsigned j = 0; j < i && !b->lane[i]; j++)
			if (b->lane[j]->reactor == r)
				b->lane[i] = b->lane[j];
		if (!b->lane[i])
			b->lane[i] = lane_create(b, r);
		if (!b->lane[i])
			return -ENOMEM;
	}
	return 0;
}

static void free_lanes(struct blk *b)
{
	for (unsigned i = 0; i < b->n_queues; i++) {
		struct blk_lane *l = b->lane[i];

		if (!l)
			continue;
		for (unsigned j = i; j < b->n_queues; j++)
			if (b->lane[j] == l)
				b->lane[j] = NULL;
		vh_blk_requests_free(l);
		free(l);
	}
}

/* ---- Queues ---- */

static void forget_memory(struct blk_lane *l)
{
	free(l->memory);
	l->memory = NULL;
	l->n_memory = 0;
}

static int blk_queue_start(struct vh_queue *q)
{
	struct blk_lane *l = lane_of(q);
	int err = 0;

	if (!l->channel)
		err = vh_store_channel_open(l->blk->store, l->reactor, &l->channel);
	if (err)
		return err;
	l->n_queues++;
	vh_queue_set_priv(q, l);
	return 0;
}

/* No request of the queue is under way.  One that could not start has no lane. */
static void blk_queue_stop(struct vh_queue *q)
{
	struct blk_lane *l = vh_queue_priv(q);

	vh_queue_set_priv(q, NULL);
	if (!l || --l->n_queues)
		return;
	vh_timer_disarm(l->reactor, &l->late);
	vh_reactor_undefer(&l->start);
	vh_store_channel_close(l->channel);
	l->channel = NULL;
	forget_memory(l);
}

/* Every queue of a lane tells of the same memory: the first one will do. */
static bool knows_memory(const struct blk_lane *l, const struct iovec *iov, unsigned n)
{
	return l->memory && l->n_memory == n && !memcmp(l->memory, iov, n * sizeof(*iov));
}

static void blk_queue_memory(struct vh_queue *q, const struct vh_memory *m)
{
	struct blk_lane *l = vh_queue_priv(q);
	const unsigned n = vh_memory_count(m);
	struct iovec *iov = calloc(n ? n : 1, sizeof(*iov));

	if (!iov || !l) {
		free(iov);
		return; /* registration is a hint, and so is its absence */
	}
	for (unsigned i = 0; i < n; i++) {
		const struct vh_memory_region r = vh_memory_at(m, i);

		iov[i] = (struct iovec){.iov_base = r.addr, .iov_len = r.len};
	}
	if (knows_memory(l, iov, n)) {
		free(iov);
		return;
	}
	vh_store_channel_memory(l->channel, iov, n);
	forget_memory(l);
	l->memory = iov;
	l->n_memory = n;
}

static void blk_queue_drain(struct vh_queue *q)
{
	struct blk_lane *l = lane_of(q);

	if (!l->blk->drain_timeout)
		return;
	l->draining |= 1ull << vh_queue_index(q);
	if (!vh_timer_is_armed(&l->late))
		vh_timer_arm(l->reactor, &l->late, l->blk->drain_timeout * NS_PER_S);
}

/* ---- Life ---- */

static int blk_open(struct vh_device *d)
{
	struct blk *b = blk_of(d);
	int err;

	b->wce = 1;
	err = vh_store_open(&b->params, vh_device_tag(d), &b->store);
	if (err)
		return err;
	b->capacity = vh_store_info(b->store)->capacity;
	err = make_lanes(d, b);
	if (err) {
		free_lanes(b);
		vh_store_close(b->store);
	}
	return err;
}

static void blk_close(struct vh_device *d)
{
	struct blk *b = blk_of(d);

	free_lanes(b);
	vh_store_close(b->store);
}

static int blk_refresh(struct vh_device *d)
{
	struct blk *b = blk_of(d);
	int changed = vh_store_refresh(b->store);

	if (changed <= 0)
		return changed;
	vh_store_relaxed(&b->capacity, vh_store_info(b->store)->capacity);
	vh_log_line(vh_device_tag(d), VH_LOG_INFO, "the disk has %llu bytes now",
		    (unsigned long long)b->capacity);
	vh_device_config_changed(d);
	return 0;
}

static void blk_reset(struct vh_device *d)
{
	vh_store_relaxed(&blk_of(d)->wce, 1);
}

const struct vh_device_ops vh_blk = {
	.size = sizeof(vh_blk),
	.name = "blk",
	.virtio_id = VIRTIO_ID_BLOCK,
	.flags = VH_DEVICE_INFLIGHT,
	.queues = BLK_MAX_QUEUES,
	.priv_size = sizeof(struct blk),
	.config = blk_config,
	.n_queues = blk_n_queues,
	.open = blk_open,
	.close = blk_close,
	.offer = vh_blk_offer,
	.read_config = vh_blk_read_config,
	.write_config = vh_blk_write_config,
	.process = vh_blk_process,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.queue_memory = blk_queue_memory,
	.queue_drain = blk_queue_drain,
	.reset = blk_reset,
	.lasting = vh_blk_lasting,
	.refresh = blk_refresh,
};
