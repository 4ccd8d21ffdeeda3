/* SPDX-License-Identifier: BSD-3-Clause */
/* See pair.h. */
#include "pair.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/uio.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "base/barrier.h"

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

void pair_open(struct pair *p, unsigned n, enum vh_poll_mode poll)
{
	p->n = n;
	for (unsigned i = 0; i < n; i++) {
		const struct vh_reactor_params params = {.size = sizeof(params),
							 .name = "test",
							 .cpu = -1,
							 .poll = i ? poll
								   : VH_POLL_SLEEP};

		assert_int_equal(vh_reactor_create(&params, &p->reactor[i]), 0);
	}
	assert_int_equal(vh_server_create(p->reactor, n, &p->server), 0);
}

struct vh_device *pair_add(struct pair *p, const struct vh_device_ops *ops, void *ctx,
			   const char *address)
{
	struct vh_device *d;

	assert_int_equal(vh_server_add(p->server, ops, ctx, address, NULL, 0, &d), 0);
	return d;
}

void pair_start(struct pair *p)
{
	assert_int_equal(pthread_create(&p->thread, NULL, run, p->server), 0);
}

void pair_wait(struct pair *p)
{
	void *result;

	assert_int_equal(pthread_join(p->thread, &result), 0);
	assert_null(result);
	vh_server_destroy(p->server);
	while (p->n)
		vh_reactor_destroy(p->reactor[--p->n]);
}

void pair_end(struct pair *p)
{
	vh_server_stop(p->server);
	pair_wait(p);
}

struct vh_client *pair_client(const char *address, uint64_t features)
{
	const struct vh_client_params params = {.size = sizeof(params),
						.address = address,
						.features = features |
							    1ull << VIRTIO_F_VERSION_1,
						.memory = 1 << 20,
						.timeout_ms = 60000};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&params, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	return c;
}

void pair_use(struct vh_client *c, unsigned index, unsigned n)
{
	struct vh_client_queue *q = vh_client_queue(c, index);
	uint8_t *b = vh_client_alloc(c, 1, 64);
	const struct iovec iov = {.iov_base = b, .iov_len = 1};
	uint32_t len;

	assert_non_null(b);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(vh_client_add(q, &iov, 0, 1, b), 0);
		vh_client_kick(q);
		while (!vh_client_get(q, &len))
			assert_int_equal(vh_client_wait(q, 60000), 1);
	}
}

/* ---- The keeper ---- */

static struct keeper *keeper_of(struct vh_queue *q)
{
	return vh_device_ctx(vh_queue_device(q));
}

static int keeper_start(struct vh_queue *q)
{
	if (vh_queue_index(q) == 0)
		keeper_of(q)->queue = q;
	return 0;
}

static void keeper_process(struct vh_queue *q)
{
	struct keeper *k = keeper_of(q);
	struct vh_chain *c;

	while ((c = vh_queue_next(q))) {
		const uint32_t n = vh_load_relaxed(&k->n_kept);

		if (vh_queue_index(q) == 0 && vh_load_relaxed(&k->keeps)) {
			k->kept[n] = c;
			vh_store_release(&k->n_kept, n + 1);
		} else {
			vh_chain_complete(c, 0);
		}
	}
}

static void let_go(void *arg)
{
	struct keeper *k = arg;
	uint32_t n = vh_load_relaxed(&k->n_kept);

	vh_store_relaxed(&k->keeps, 0);
	while (n)
		vh_chain_complete(k->kept[--n], 0);
	vh_store_release(&k->n_kept, 0);
}

static int keeper_read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	(void)d;
	if (off || len > 1)
		return -EINVAL;
	if (len)
		*(uint8_t *)buf = 42;
	return 0;
}

static void keeper_reset(struct vh_device *d)
{
	struct keeper *k = vh_device_ctx(d);

	vh_fetch_add(&k->n_resets, 1);
}

const struct vh_device_ops keeper_ops = {
	.size = sizeof(keeper_ops),
	.name = "keeper",
	.virtio_id = VIRTIO_ID_RNG,
	.queues = 2,
	.process = keeper_process,
	.queue_start = keeper_start,
	.read_config = keeper_read_config,
	.reset = keeper_reset,
};

void keeper_keep(struct keeper *k)
{
	vh_store_relaxed(&k->keeps, 1);
}

void keeper_let_go(struct keeper *k)
{
	assert_int_equal(vh_reactor_post(vh_queue_reactor(k->queue), let_go, k), 0);
}

void keeper_wait(const struct keeper *k, unsigned n)
{
	while (vh_load_acquire(&k->n_kept) != n)
		sched_yield();
}
