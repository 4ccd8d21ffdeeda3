/* SPDX-License-Identifier: BSD-3-Clause */
/* loop: both roles in one process, in any order, on any threads. */
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct vh_connector *backend(void)
{
	return rig_open("loop:x", VH_ROLE_BACKEND);
}

static struct vh_connector *frontend(void)
{
	return rig_open("loop:x", VH_ROLE_FRONTEND);
}

static void send_request(struct vh_connector *c, uint32_t id)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	assert_int_equal(vh_connector_send(c, &m), 0);
}

/* Both see each other, and a request and its reply go through. */
static void expect_meeting(struct vh_connector *b, struct vh_connector *f)
{
	const struct vh_expect e = {.id = VH_MSG_GET_FEATURES};
	struct vh_msg request, reply;

	rig_expect(f, VH_NEWS_UP);
	rig_expect(b, VH_NEWS_UP);
	vh_connector_expect(f, &e);
	send_request(f, VH_MSG_GET_FEATURES);
	assert_int_equal(rig_next(b, &request), VH_NEWS_MESSAGE);
	vh_msg_init_reply(&reply, &request, VH_PAYLOAD_U64);
	reply.u64 = 42;
	assert_int_equal(vh_connector_send(b, &reply), 0);
	assert_int_equal(rig_next(f, &reply), VH_NEWS_MESSAGE);
	assert_int_equal(reply.u64, 42);
}

static void the_ends_meet_when_the_back_end_is_first(void **state)
{
	struct vh_connector *b = backend(), *f;

	(void)state;
	rig_expect_quiet(b);
	f = frontend();
	expect_meeting(b, f);
	vh_connector_close(b);
	vh_connector_close(f);
}

static void the_ends_meet_when_the_front_end_is_first(void **state)
{
	struct vh_connector *f = frontend(), *b;
	enum vh_news news;
	struct vh_msg m;

	(void)state;
	assert_int_equal(vh_connector_recv(f, &m, &news), 0);
	assert_int_equal(news, VH_NEWS_NOTHING);
	b = backend();
	expect_meeting(b, f);
	vh_connector_close(f);
	vh_connector_close(b);
}

static void names_are_apart(void **state)
{
	struct vh_connector *b = backend(), *f = rig_open("loop:xy", VH_ROLE_FRONTEND);
	struct vh_connector *other = rig_open("loop:xy", VH_ROLE_BACKEND);

	(void)state;
	expect_meeting(other, f);
	rig_expect_quiet(b);
	vh_connector_close(b);
	vh_connector_close(f);
	vh_connector_close(other);
}

static void a_name_has_one_back_end(void **state)
{
	struct vh_connector *b = backend(), *second;

	(void)state;
	assert_int_equal(vh_connector_open("loop:x", VH_ROLE_BACKEND, "test", &second),
			 -EADDRINUSE);
	assert_int_equal(rig_logged("loop:x has a back-end already"), 1);
	vh_connector_close(b);
	b = backend();
	vh_connector_close(b);
}

static void a_front_end_that_reopens_meets_the_same_back_end(void **state)
{
	struct vh_connector *b = backend();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct vh_connector *f = frontend();

		expect_meeting(b, f);
		vh_connector_close(f);
		rig_expect(b, VH_NEWS_DOWN);
	}
	rig_expect_quiet(b);
	vh_connector_close(b);
}

static void a_back_end_that_reopens_meets_the_same_front_end(void **state)
{
	struct vh_connector *f = frontend();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct vh_connector *b = backend();

		expect_meeting(b, f);
		vh_connector_close(b);
		rig_expect(f, VH_NEWS_DOWN);
	}
	vh_connector_close(f);
}

static void either_end_may_disconnect_and_they_meet_again(void **state)
{
	struct vh_connector *b = backend(), *f = frontend();

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		expect_meeting(b, f);
		vh_connector_disconnect(i % 2 ? b : f);
		rig_expect(i % 2 ? f : b, VH_NEWS_DOWN);
	}
	vh_connector_close(b);
	vh_connector_close(f);
}

static void a_second_front_end_waits_until_the_back_end_is_free(void **state)
{
	struct vh_connector *b = backend(), *f = frontend(), *second = frontend();
	enum vh_news news;
	struct vh_msg m;

	(void)state;
	expect_meeting(b, f);
	assert_int_equal(vh_connector_recv(second, &m, &news), 0);
	assert_int_equal(news, VH_NEWS_NOTHING);
	vh_connector_close(f);
	rig_expect(b, VH_NEWS_DOWN);
	expect_meeting(b, second);
	vh_connector_close(b);
	vh_connector_close(second);
}

static void an_end_that_closes_before_it_is_noticed_leaves_nothing(void **state)
{
	struct vh_connector *b = backend(), *f = frontend();

	(void)state;
	rig_expect(f, VH_NEWS_UP);
	vh_connector_close(b); /* with the socket that it never took */
	rig_expect(f, VH_NEWS_DOWN);
	b = backend();
	rig_expect(f, VH_NEWS_UP);
	vh_connector_close(f);
	rig_expect(b, VH_NEWS_UP);
	rig_expect(b, VH_NEWS_DOWN);
	vh_connector_close(b);
}

static void fds_pass_through_the_loop(void **state)
{
	struct vh_connector *b = backend(), *f = frontend();
	struct vh_msg m;

	(void)state;
	expect_meeting(b, f);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = m.n_fds = 1;
	m.mem.region[0].size = 4096;
	m.fds[0] = rig_memfd(4096);
	assert_int_equal(vh_connector_send(f, &m), 0);
	vh_msg_close(&m);
	assert_int_equal(rig_next(b, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.n_fds, 1);
	vh_msg_close(&m);
	vh_connector_close(b);
	vh_connector_close(f);
}

static void what_the_other_end_says_is_checked(void **state)
{
	struct vh_connector *b = backend(), *f = frontend();

	(void)state;
	expect_meeting(b, f);
	send_request(f, VH_MSG_SET_MEM_TABLE);
	send_request(f, VH_MSG_SET_BACKEND_REQ_FD); /* without its fd */
	rig_expect_message(b, VH_MSG_SET_MEM_TABLE);
	rig_expect(b, VH_NEWS_DOWN);
	vh_connector_close(b);
	vh_connector_close(f);
}

/* Opens and closes a back-end, while the test does so with a front-end. */
static void *reopen_backend(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		struct vh_connector *b = backend();

		rig_expect(b, VH_NEWS_UP);
		vh_connector_close(b);
	}
	return arg;
}

static void the_ends_may_be_on_two_threads(void **state)
{
	struct vh_connector *f = frontend();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reopen_backend, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		rig_expect(f, VH_NEWS_UP);
		rig_expect(f, VH_NEWS_DOWN);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	vh_connector_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_ends_meet_when_the_back_end_is_first),
		RIG_TEST(the_ends_meet_when_the_front_end_is_first),
		RIG_TEST(names_are_apart),
		RIG_TEST(a_name_has_one_back_end),
		RIG_TEST(a_front_end_that_reopens_meets_the_same_back_end),
		RIG_TEST(a_back_end_that_reopens_meets_the_same_front_end),
		RIG_TEST(either_end_may_disconnect_and_they_meet_again),
		RIG_TEST(a_second_front_end_waits_until_the_back_end_is_free),
		RIG_TEST(an_end_that_closes_before_it_is_noticed_leaves_nothing),
		RIG_TEST(fds_pass_through_the_loop),
		RIG_TEST(what_the_other_end_says_is_checked),
		RIG_TEST(the_ends_may_be_on_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
