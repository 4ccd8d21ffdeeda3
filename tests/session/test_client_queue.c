/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's queues, with a back-end that uses the rings as the test says: what
 * comes back, what breaks, and what is still there after the back-end was not.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <sys/uio.h>

#include "fake_backend.h"

#define SIZE 8

static char cookie[32];

/* Add one writable buffer of 16 bytes whose cookie is cookie[i], and publish. */
static void add(struct vh_client *c, struct vh_client_queue *q, unsigned i)
{
	const struct iovec iov = {.iov_base = vh_client_alloc(c, 16, 16), .iov_len = 16};

	assert_int_equal(vh_client_add(q, &iov, 0, 1, &cookie[i]), 0);
	vh_client_kick(q);
}

/* The next chain that comes back must be this one. */
static void expect_back(struct vh_client_queue *q, unsigned i, uint32_t want)
{
	uint32_t len = 0;

	assert_ptr_equal(vh_client_get(q, &len), &cookie[i]);
	assert_int_equal(len, want);
}

static void expect_nothing_back(struct vh_client_queue *q)
{
	uint32_t len;

	assert_null(vh_client_get(q, &len));
}

static struct vh_client *started(struct fake *f, struct vh_client_queue **q)
{
	struct vh_client *c = fake_connected(f);

	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	*q = vh_client_queue(c, 0);
	return c;
}

/* ---- Chains ---- */

static void chains_come_back_with_their_cookies(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	const struct fake_ring *r = &f->ring[0];

	add(c, q, 0);
	add(c, q, 1);
	assert_int_equal(fake_avail_index(r), 2);
	assert_int_equal(vh_client_outstanding(q), 2);
	fake_use(r, 0, fake_avail(r, 1), 5);
	fake_use(r, 1, fake_avail(r, 0), 1000);
	assert_int_equal(vh_client_wait(q, 0), 1);
	expect_back(q, 1, 5);
	expect_back(q, 0, 16);
	expect_nothing_back(q);
	assert_int_equal(vh_client_outstanding(q), 0);
	vh_client_destroy(c);
}

static void only_shared_memory_is_given_to_the_device(void **state)
{
	struct vh_client_queue *q;
	struct vh_client *c = started(*state, &q);
	uint8_t *last = vh_client_alloc(c, 65536, 1);
	char mine[16];
	const struct iovec stack = {mine, sizeof(mine)}, beyond = {last + 65530, 16};

	assert_int_equal(vh_client_add(q, &stack, 1, 0, mine), -EFAULT);
	assert_int_equal(vh_client_add(q, &beyond, 1, 0, mine), -EFAULT);
	assert_int_equal(vh_client_outstanding(q), 0);
	vh_client_destroy(c);
}

static void every_queue_is_kicked_when_it_starts(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	uint64_t n = 0;

	assert_int_equal(read(f->ring[0].kick, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	vh_client_destroy(c);
}

/* ---- Waiting ---- */

static void waiting_for_nothing_ends_in_time(void **state)
{
	struct vh_client_queue *q;
	struct vh_client *c = started(*state, &q);

	add(c, q, 0);
	assert_int_equal(vh_client_wait(q, 0), 0);
	assert_int_equal(vh_client_wait(q, 20), 0);
	vh_client_destroy(c);
}

static void *use_and_call(void *ring)
{
	const struct fake_ring *r = ring;

	while (fake_avail_index(r) == 0)
		sched_yield();
	fake_use(r, 0, fake_avail(r, 0), 1);
	fake_call(r);
	return NULL;
}

static void a_call_wakes_who_waits(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, use_and_call, &f->ring[0]), 0);
	add(c, q, 0);
	assert_int_equal(vh_client_wait(q, -1), 1);
	expect_back(q, 0, 1);
	pthread_join(thread, NULL);
	vh_client_destroy(c);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void what_was_done_before_calls_were_wanted_is_called_for(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	vh_client_want_calls(q, false);
	add(c, q, 0);
	assert_false(is_readable(vh_client_queue_fd(q), 0));
	fake_use(&f->ring[0], 0, fake_avail(&f->ring[0], 0), 1);
	vh_client_want_calls(q, true);
	assert_true(is_readable(vh_client_queue_fd(q), 0));
	expect_back(q, 0, 1);
	vh_client_destroy(c);
}

/* ---- A ring that the back-end broke ---- */

static void a_used_index_out_of_range_breaks_only_its_queue(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = fake_connected(f);
	const struct iovec iov = {vh_client_alloc(c, 16, 16), 16};

	assert_int_equal(vh_client_start(c, 2, SIZE), 0);
	q = vh_client_queue(c, 0);
	add(c, q, 0);
	fake_set_used_index(&f->ring[0], 2);
	assert_int_equal(vh_client_wait(q, -1), -EPROTO);
	assert_int_equal(vh_client_queue_error(q), -EPROTO);
	expect_nothing_back(q);
	assert_int_equal(vh_client_add(q, &iov, 0, 1, cookie), -EPROTO);
	assert_int_equal(vh_client_queue_error(vh_client_queue(c, 1)), 0);
	assert_int_equal(vh_client_handle(c, NULL), 0);
	vh_client_destroy(c);
}

static void a_broken_ring_is_whole_after_a_restart(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	const struct fake_ring *r = &f->ring[0];

	add(c, q, 0);
	add(c, q, 1);
	fake_use(r, 0, fake_avail(r, 0), 3);
	fake_set_used_index(r, 7);
	assert_int_equal(vh_client_wait(q, -1), -EPROTO);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(vh_client_queue_error(q), 0);
	assert_int_equal(r->base, 0);
	assert_int_equal(fake_avail_index(r), 2);
	fake_use(r, 0, fake_avail(r, 0), 4);
	expect_back(q, 0, 4);
	vh_client_destroy(c);
}

static void an_error_that_the_back_end_reports_is_told(void **state)
{
	const uint64_t one = 1;
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	assert_int_equal(vh_client_queue_error(q), 0);
	assert_int_equal(write(f->ring[0].err, &one, sizeof(one)), sizeof(one));
	assert_int_equal(vh_client_wait(q, -1), -EIO);
	assert_int_equal(vh_client_queue_error(q), -EIO);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(vh_client_queue_error(q), 0);
	vh_client_destroy(c);
}

/* ---- Stopping ---- */

static void what_is_done_at_a_stop_is_got_afterwards(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	const struct fake_ring *r = &f->ring[0];

	for (unsigned i = 0; i < 3; i++)
		add(c, q, i);
	fake_use(r, 0, fake_avail(r, 0), 1);
	fake_use(r, 1, fake_avail(r, 1), 2);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_outstanding(q), 3);
	assert_int_equal(vh_client_wait(q, -1), 1);
	expect_back(q, 0, 1);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(r->base, 2);
	assert_int_equal(fake_avail_index(r), 3);
	fake_use(r, 2, fake_avail(r, 2), 3);
	expect_back(q, 1, 2);
	expect_back(q, 2, 3);
	assert_int_equal(vh_client_outstanding(q), 0);
	vh_client_destroy(c);
}

static void what_was_harvested_keeps_its_place_until_it_is_got(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	const struct fake_ring *r = &f->ring[0];
	const struct iovec iov = {vh_client_alloc(c, 16, 16), 16};

	for (unsigned i = 0; i < SIZE; i++) {
		add(c, q, i);
		fake_use(r, i, fake_avail(r, i), i);
	}
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(vh_client_add(q, &iov, 0, 1, cookie), -ENOSPC);
	expect_back(q, 0, 0);
	assert_int_equal(vh_client_add(q, &iov, 0, 1, cookie), 0);
	vh_client_destroy(c);
}

static void chains_that_the_back_end_kept_at_a_stop_are_given_again(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	add(c, q, 0);
	f->base_lie = 1; /* it took the chain, and says so, but gave nothing back */
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(f->ring[0].base, 0);
	assert_int_equal(fake_avail_index(&f->ring[0]), 1);
	vh_client_destroy(c);
}

static void an_empty_queue_may_change_its_size(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	assert_int_equal(vh_client_start(c, 1, SIZE), -EBUSY);
	add(c, q, 0);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 2, 2 * SIZE), -EBUSY);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	fake_use(&f->ring[0], 0, fake_avail(&f->ring[0], 0), 1);
	expect_back(q, 0, 1);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_start(c, 2, 2 * SIZE), 0);
	assert_true(fake_saw(f, VH_MSG_REM_MEM_REG));
	assert_int_equal(f->ring[1].num, 2 * SIZE);
	assert_ptr_equal(vh_client_queue(c, 0), q);
	assert_int_equal(f->ring[0].base, 0);
	vh_client_destroy(c);
}

static void sizes_that_a_ring_cannot_have_are_refused(void **state)
{
	struct vh_client *c = fake_connected(*state);

	assert_int_equal(vh_client_start(c, 0, SIZE), -EINVAL);
	assert_int_equal(vh_client_start(c, 257, SIZE), -EINVAL);
	assert_int_equal(vh_client_start(c, 1, 0), -EINVAL);
	assert_int_equal(vh_client_start(c, 1, 100), -EINVAL);
	assert_int_equal(vh_client_start(c, 1, 65536), -EINVAL);
	assert_int_equal(vh_client_start(c, 1, 1), 0);
	vh_client_destroy(c);
}

static void a_reset_stops_all_and_a_start_gives_everything_again(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	add(c, q, 0);
	assert_int_equal(vh_client_reset(c), 0);
	assert_int_equal(vh_client_start(c, 1, SIZE), 0);
	assert_int_equal(f->ring[0].base, 0);
	assert_int_equal(fake_avail_index(&f->ring[0]), 1);
	assert_int_equal(vh_client_outstanding(q), 1);
	vh_client_destroy(c);
}

/* ---- A back-end that dies ---- */

static void have_it_die(struct fake *f, struct vh_client *c)
{
	uint8_t b;

	f->at = VH_MSG_GET_CONFIG;
	f->deed = FAKE_HANG_UP;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -EPIPE);
}

static void chains_survive_the_death_of_the_back_end(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	const struct fake_ring *r = &f->ring[0];
	uint16_t head[4];

	for (unsigned i = 0; i < 4; i++) {
		add(c, q, i);
		head[i] = fake_avail(r, i);
	}
	fake_use(r, 0, head[2], 9); /* it had taken more than that one */
	have_it_die(f, c);
	assert_int_equal(vh_client_queue_error(q), -EPIPE);
	add(c, q, 4);
	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(vh_client_queue_error(q), 0);
	assert_int_equal(r->base, 1);
	assert_int_equal(fake_avail_index(r), 5);
	assert_int_equal(fake_avail(r, 1), head[0]);
	assert_int_equal(fake_avail(r, 2), head[1]);
	assert_int_equal(fake_avail(r, 3), head[3]);
	expect_back(q, 2, 9);
	fake_use(r, 1, fake_avail(r, 4), 7);
	expect_back(q, 4, 7);
	assert_int_equal(vh_client_outstanding(q), 3);
	vh_client_destroy(c);
}

static void what_was_done_before_the_death_is_got_first(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	add(c, q, 0);
	fake_use(&f->ring[0], 0, fake_avail(&f->ring[0], 0), 2);
	have_it_die(f, c);
	assert_int_equal(vh_client_wait(q, -1), 1);
	expect_back(q, 0, 2);
	assert_int_equal(vh_client_wait(q, -1), -EPIPE);
	vh_client_destroy(c);
}

static void a_back_end_with_fewer_features_cannot_take_over(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c;
	const uint64_t all = f->features | VH_BIT(29); /* EVENT_IDX */

	f->features = all;
	c = started(f, &q);
	have_it_die(f, c);
	f->features = all & ~VH_BIT(29);
	assert_int_equal(vh_client_connect(c), -EPROTO);
	assert_int_equal(vh_client_connect(c), -EPROTO);
	f->features = all | VH_BIT(28);
	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(f->last_u64[VH_MSG_SET_FEATURES], all);
	vh_client_destroy(c);
}

static void a_hang_up_wakes_the_clients_own_thread(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);

	fake_hang_up(f);
	assert_int_equal(vh_client_wait(q, -1), -EPIPE);
	assert_int_equal(vh_client_handle(c, NULL), -EPIPE);
	vh_client_destroy(c);
}

static void *wait_for_ever(void *q)
{
	return (void *)(intptr_t)vh_client_wait(q, -1);
}

static void a_hang_up_that_is_handled_wakes_other_threads(void **state)
{
	struct fake *f = *state;
	struct vh_client_queue *q;
	struct vh_client *c = started(f, &q);
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, q), 0);
	fake_hang_up(f);
	assert_true(is_readable(vh_client_fd(c), 10000));
	while (vh_client_handle(c, NULL) == 0)
		;
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPIPE);
	vh_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(chains_come_back_with_their_cookies),
		FAKE_TEST(only_shared_memory_is_given_to_the_device),
		FAKE_TEST(every_queue_is_kicked_when_it_starts),
		FAKE_TEST(waiting_for_nothing_ends_in_time),
		FAKE_TEST(a_call_wakes_who_waits),
		FAKE_TEST(what_was_done_before_calls_were_wanted_is_called_for),
		FAKE_TEST(a_used_index_out_of_range_breaks_only_its_queue),
		FAKE_TEST(a_broken_ring_is_whole_after_a_restart),
		FAKE_TEST(an_error_that_the_back_end_reports_is_told),
		FAKE_TEST(what_is_done_at_a_stop_is_got_afterwards),
		FAKE_TEST(what_was_harvested_keeps_its_place_until_it_is_got),
		FAKE_TEST(chains_that_the_back_end_kept_at_a_stop_are_given_again),
		FAKE_TEST(an_empty_queue_may_change_its_size),
		FAKE_TEST(sizes_that_a_ring_cannot_have_are_refused),
		FAKE_TEST(a_reset_stops_all_and_a_start_gives_everything_again),
		FAKE_TEST(chains_survive_the_death_of_the_back_end),
		FAKE_TEST(what_was_done_before_the_death_is_got_first),
		FAKE_TEST(a_back_end_with_fewer_features_cannot_take_over),
		FAKE_TEST(a_hang_up_wakes_the_clients_own_thread),
		FAKE_TEST(a_hang_up_that_is_handled_wakes_other_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
