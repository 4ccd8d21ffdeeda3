/* SPDX-License-Identifier: BSD-3-Clause */
/* See together_rig.h. */
#include "together_rig.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define MEMORY (4u << 20)
#define BAR    (64u << 20)

/* ---- The device that is served: what is written comes back turned over ---- */

static void echo_process(struct vh_queue *q)
{
	struct vh_chain *c;

	while ((c = vh_queue_next(q))) {
		uint8_t bytes[64];
		const size_t len = vh_chain_readable(c);

		if (len > sizeof(bytes) || vh_chain_writable(c) < len ||
		    vh_chain_read(c, bytes, len) < 0) {
			vh_chain_reject(c, "an echo has as much room as it says");
			return;
		}
		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)~bytes[i];
		vh_chain_write(c, bytes, len);
		vh_chain_complete(c, len);
	}
}

static int echo_read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	if (off + len > 4)
		return -1;
	memset(buf, 0x2a, len);
	return 0;
}

static const struct vh_device_ops echo = {
	.size = sizeof(echo),
	.name = "echo",
	.virtio_id = VIRTIO_ID_RNG,
	.queues = 2,
	.flags = VH_DEVICE_INFLIGHT,
	.process = echo_process,
	.read_config = echo_read_config,
};

/* ---- Life ---- */

int together_setup(void **state)
{
	struct together *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	vfu_test_bus_add();
	rig_setup((void **)&t->rig);
	snprintf(t->vmm, sizeof(t->vmm), "%s/vmm", t->rig->dir);
	snprintf(t->memory, sizeof(t->memory), "%s/memory", t->rig->dir);
	snprintf(t->front, sizeof(t->front), "unix:%s/front", t->rig->dir);
	snprintf(t->served, sizeof(t->served), "vvu:test:%s", t->vmm);
	*state = t;
	return 0;
}

int together_teardown(void **state)
{
	struct together *t = *state;
	int result;

	together_stop(t);
	together_close(t);
	unlink(t->memory);
	result = rig_teardown((void **)&t->rig);
	free(t);
	return result;
}

static void *run(void *reactor)
{
	vh_reactor_run(reactor);
	return NULL;
}

void together_open(struct together *t, bool polls_doorbells)
{
	const struct vh_reactor_params reactor = {.size = sizeof(reactor),
						  .name = "vvu",
						  .cpu = -1,
						  .poll = VH_POLL_ADAPTIVE};
	struct vh_vvu_pci_params p = {.pci = t->vmm,
				      .tag = "vvu",
				      .front = t->front,
				      .accept_early = true,
				      .poll_doorbells = polls_doorbells,
				      .uuid = {1, 2, 3}};
	char memory[96];

	snprintf(memory, sizeof(memory), "file:%s,size=%u", t->memory, MEMORY);
	assert_int_equal(vh_reactor_create(&reactor, &t->reactor), 0);
	assert_int_equal(vh_window_static(memory, BAR, "window", &t->window), 0);
	assert_int_equal(vh_area_create("area", &t->area), 0);
	p.window = t->window;
	p.area = t->area;
	assert_int_equal(vh_vvu_pci_open(t->reactor, &p, &t->device), 0);
	assert_int_equal(pthread_create(&t->thread, NULL, run, t->reactor), 0);
}

void together_close(struct together *t)
{
	if (!t->reactor)
		return;
	vh_reactor_stop(t->reactor);
	pthread_join(t->thread, NULL);
	vh_vvu_pci_close(t->device);
	vh_area_destroy(t->area);
	vh_window_destroy(t->window);
	vh_reactor_destroy(t->reactor);
	t->reactor = NULL;
}

void together_serve(struct together *t, enum vh_poll_mode poll)
{
	pair_open(&t->pair, 2, poll);
	/* Its queues are not the control reactor's, which talks to the VMM. */
	assert_int_equal(vh_server_spread(t->pair.server, 1, 1), 0);
	t->served_device = pair_add(&t->pair, &echo, NULL, t->served);
	pair_start(&t->pair);
	t->serves = true;
}

void together_stop(struct together *t)
{
	if (t->serves)
		pair_end(&t->pair);
	t->serves = false;
}

/* ---- The front-end ---- */

struct vh_client *together_client(struct together *t, uint64_t features, bool track)
{
	char address[96];
	const struct vh_client_params params = {.size = sizeof(params),
						.address = address,
						.features = features |
							    1ull << VIRTIO_F_VERSION_1,
						.memory = 1 << 20,
						.file = t->memory,
						.track = track,
						.timeout_ms = 60000};
	struct vh_client *c;

	snprintf(address, sizeof(address), "%s", t->front);
	assert_int_equal(vh_client_create(&params, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(vh_client_start(c, 2, 64), 0);
	return c;
}

void together_echo(struct vh_client *c, unsigned index, unsigned n)
{
	struct vh_client_queue *q = vh_client_queue(c, index);
	uint8_t *b = vh_client_alloc(c, 16, 16);
	const struct iovec iov[2] = {{.iov_base = b, .iov_len = 8},
				     {.iov_base = b + 8, .iov_len = 8}};
	uint32_t len;

	assert_non_null(b);
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t there = i * 0x9e3779b97f4a7c15;
		uint64_t back;

		memcpy(b, &there, 8);
		assert_int_equal(vh_client_add(q, iov, 1, 1, b), 0);
		vh_client_kick(q);
		while (!vh_client_get(q, &len))
			assert_int_equal(vh_client_wait(q, 60000), 1);
		assert_int_equal(len, 8);
		memcpy(&back, b + 8, 8);
		assert_int_equal(back, ~there);
	}
}

/* ---- Statistics ---- */

struct reading {
	struct together *t;
	struct vh_vvu_pci_stats *s;
	int done;
};

static void read_stats(void *arg)
{
	struct reading *r = arg;

	vh_vvu_pci_read_stats(r->t->device, r->s);
	eventfd_write(r->done, 1);
}

void together_stats(struct together *t, struct vh_vvu_pci_stats *s)
{
	struct reading r = {t, s, eventfd(0, EFD_CLOEXEC)};
	eventfd_t n;

	assert_true(r.done >= 0);
	assert_int_equal(vh_reactor_post(t->reactor, read_stats, &r), 0);
	assert_int_equal(eventfd_read(r.done, &n), 0);
	close(r.done);
}
