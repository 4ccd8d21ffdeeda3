/* SPDX-License-Identifier: BSD-3-Clause */
/* Both roles in one process: the rng device, served and driven. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vhost/vhost.h>

#include "dev/rng/rng.h"

#define LEN 64

struct served {
	struct vh_reactor *reactor[2];
	struct vh_server *server;
	pthread_t thread;
};

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

static void serve(struct served *s, const char *address)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct vh_reactor_params p = {.size = sizeof(p),
						    .name = "test",
						    .cpu = -1,
						    .poll = VH_POLL_SLEEP};

		assert_int_equal(vh_reactor_create(&p, &s->reactor[i]), 0);
	}
	assert_int_equal(vh_server_create(s->reactor, 2, &s->server), 0);
	assert_int_equal(vh_server_add(s->server, &vh_rng, NULL, address, NULL, 0, NULL),
			 0);
	assert_int_equal(pthread_create(&s->thread, NULL, run, s->server), 0);
}

static void end(struct served *s)
{
	void *result;

	vh_server_stop(s->server);
	assert_int_equal(pthread_join(s->thread, &result), 0);
	assert_null(result);
	vh_server_destroy(s->server);
	vh_reactor_destroy(s->reactor[1]);
	vh_reactor_destroy(s->reactor[0]);
}

static struct vh_client *drive(const char *address, uint64_t features)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = address,
					   .features = features |
						       1ull << VIRTIO_F_VERSION_1,
					   .memory = 1 << 20};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	return c;
}

/* @n buffers, one after the other; all are filled, and not all with zeroes. */
static void use(struct vh_client *c, unsigned n)
{
	struct vh_client_queue *q = vh_client_queue(c, 0);
	uint8_t *b = vh_client_alloc(c, LEN, 64), any = 0;
	const struct iovec iov = {.iov_base = b, .iov_len = LEN};

	assert_non_null(b);
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = 0;

		memset(b, 0, LEN);
		assert_int_equal(vh_client_add(q, &iov, 0, 1, b), 0);
		vh_client_kick(q);
		while (!vh_client_get(q, &len))
			assert_int_equal(vh_client_wait(q, 10000), 1);
		assert_int_equal(len, LEN);
		for (unsigned k = 0; k < LEN; k++)
			any |= b[k];
	}
	assert_int_not_equal(any, 0);
}

static void buffers_are_filled_with_every_ring_feature(void **state)
{
	struct served s;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct vh_client *c;

		serve(&s, "loop:rng");
		c = drive("loop:rng", (uint64_t)(i & 1) << VIRTIO_RING_F_INDIRECT_DESC |
					      (uint64_t)(i >> 1)
						      << VIRTIO_RING_F_EVENT_IDX);
		assert_int_equal(vh_client_start(c, 1, 16), 0);
		use(c, 200);
		vh_client_destroy(c);
		end(&s);
	}
}

static void a_queue_that_was_stopped_starts_where_it_was(void **state)
{
	struct served s;
	struct vh_client *c;

	(void)state;
	serve(&s, "loop:rng");
	c = drive("loop:rng", 1ull << VIRTIO_RING_F_EVENT_IDX);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(vh_client_start(c, 1, 16), 0);
		use(c, 7);
		assert_int_equal(vh_client_stop(c), 0);
	}
	vh_client_destroy(c);
	end(&s);
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void front_ends_come_and_go_and_leave_nothing_behind(void **state)
{
	struct served s;
	unsigned before = 0;

	(void)state;
	serve(&s, "loop:rng");
	for (unsigned i = 0; i < 200; i++) {
		struct vh_client *c = drive("loop:rng", 0);

		assert_int_equal(vh_client_start(c, 1, 16), 0);
		use(c, 3);
		vh_client_destroy(c);
		if (i == 20)
			before = count_fds();
	}
	/* The last one may still be on its way out. */
	assert_in_range(count_fds(), before > 16 ? before - 16 : 0, before + 16);
	end(&s);
}

static void a_server_that_was_restarted_goes_on(void **state)
{
	char address[64];
	struct served s;
	struct vh_client *c;

	(void)state;
	snprintf(address, sizeof(address), "unix:/tmp/vhost-test-rng-%d", (int)getpid());
	serve(&s, address);
	c = drive(address, 1ull << VIRTIO_RING_F_EVENT_IDX);
	assert_int_equal(vh_client_start(c, 1, 16), 0);
	use(c, 5);
	end(&s);
	serve(&s, address);
	assert_int_equal(vh_client_connect(c), 0);
	use(c, 5);
	vh_client_destroy(c);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_filled_with_every_ring_feature),
		cmocka_unit_test(a_queue_that_was_stopped_starts_where_it_was),
		cmocka_unit_test(front_ends_come_and_go_and_leave_nothing_behind),
		cmocka_unit_test(a_server_that_was_restarted_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
