/* SPDX-License-Identifier: BSD-3-Clause */
/* unix: how peers come and go. */
#include "rig.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* It tries @n times without success, and sleeps @ms or more in between. */
static void expect_attempts(struct vh_connector *c, unsigned n, int64_t ms)
{
	struct pollfd p = {.fd = vh_connector_poll_fd(c), .events = POLLIN};
	int64_t last = 0;

	for (unsigned i = 0; i < n; i++) {
		enum vh_news news;
		struct vh_msg m;

		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_true(!i || now_ms() - last >= ms);
		last = now_ms();
		assert_int_equal(vh_connector_recv(c, &m, &news), 0);
		assert_int_equal(news, VH_NEWS_NOTHING);
	}
}

/* ---- Listening ---- */

static void a_back_end_listens_and_takes_one_peer_after_the_other(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	for (unsigned i = 0; i < 3; i++) {
		int peer = peer_connect(rig->path);

		rig_expect(c, VH_NEWS_UP);
		peer_ask(peer, VH_MSG_GET_FEATURES);
		rig_expect_message(c, VH_MSG_GET_FEATURES);
		close(peer);
		rig_expect(c, VH_NEWS_DOWN);
		rig_expect_quiet(c);
	}
	vh_connector_close(c);
	assert_false(rig_path_exists(rig));
}

static void a_second_connection_is_closed_and_the_first_goes_on(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int peer = peer_connect(rig->path);

	rig_expect(c, VH_NEWS_UP);
	for (unsigned i = 0; i < 20; i++) {
		int second = peer_connect(rig->path);

		rig_expect_quiet(c);
		assert_true(peer_is_closed(second));
		close(second);
	}
	assert_int_equal(rig_logged("closed a second connection"), 1);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	close(peer);
}

static void a_second_connection_is_closed_during_hold(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int peer = peer_connect(rig->path), second;

	rig_expect(c, VH_NEWS_UP);
	vh_connector_hold(c, true);
	second = peer_connect(rig->path);
	rig_expect_quiet(c);
	assert_true(peer_is_closed(second));
	vh_connector_close(c);
	close(second);
	close(peer);
}

static void with_patience_others_wait_for_the_first_to_go(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int first = peer_connect(rig->path), second;

	c->patient = true;
	rig_expect(c, VH_NEWS_UP);
	second = peer_connect(rig->path);
	peer_ask(second, VH_MSG_SET_OWNER);
	rig_expect_quiet(c);
	close(first);
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect(c, VH_NEWS_UP);
	rig_expect_message(c, VH_MSG_SET_OWNER);
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(second);
}

static void who_waits_gets_in_when_the_first_is_disconnected(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int first = peer_connect(rig->path), second;

	rig_expect(c, VH_NEWS_UP);
	second = peer_connect(rig->path);
	vh_connector_disconnect(c);
	rig_expect(c, VH_NEWS_UP);
	peer_ask(second, VH_MSG_GET_FEATURES);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	close(first);
	close(second);
}

static void hold_ends_with_its_peer(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int peer = peer_connect(rig->path);

	rig_expect(c, VH_NEWS_UP);
	vh_connector_hold(c, true);
	close(peer);
	rig_expect(c, VH_NEWS_DOWN);
	peer = peer_connect(rig->path);
	rig_expect(c, VH_NEWS_UP);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	close(peer);
}

static void a_thousand_peers_leave_no_fd(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	const int before = rig_count_fds();
	struct vh_msg m;

	for (unsigned i = 0; i < 1000; i++) {
		const uint64_t index = 0;
		int peer = peer_connect(rig->path), pair[2];

		rig_expect(c, VH_NEWS_UP);
		peer_pair(pair);
		peer_send(peer, VH_MSG_SET_BACKEND_REQ_FD, 1, NULL, 0, pair, 1);
		assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
		assert_int_equal(vh_connector_set_channel(c, vh_msg_take_fd(&m, 0)), 0);
		peer_send(peer, VH_MSG_SET_VRING_KICK, 1, &index, 5, pair, 1);
		close(peer);
		close(pair[0]);
		close(pair[1]);
		/* Half of them go, half are sent away. */
		if (i % 2)
			rig_expect(c, VH_NEWS_DOWN);
		else
			vh_connector_disconnect(c);
	}
	rig_expect_quiet(c);
	assert_int_equal(rig_count_fds(), before);
	vh_connector_close(c);
}

/* ---- Connecting ---- */

static void a_front_end_connects(void **state)
{
	const struct rig *rig = *state;
	int listener = peer_listen(rig->path), peer;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_FRONTEND);

	rig_expect(c, VH_NEWS_UP);
	assert_int_equal(rig_logged("connected to"), 1);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	vh_connector_close(c);
	assert_true(peer_is_closed(peer));
	assert_true(rig_path_exists(rig));
	close(peer);
	close(listener);
	unlink(rig->path);
}

static void connecting_waits_for_a_listener_and_says_so_once(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_FRONTEND);
	int listener;

	expect_attempts(c, 3, 90);
	assert_int_equal(rig_logged("waiting for somebody to listen on"), 1);
	assert_int_equal(rig_logged("No such file"), 1);
	listener = peer_listen(rig->path);
	rig_expect(c, VH_NEWS_UP);
	assert_int_equal(rig_logged("connected to"), 1);
	vh_connector_close(c);
	close(listener);
	unlink(rig->path);
}

static void connecting_again_is_immediate_after_a_peer_that_talked(void **state)
{
	const struct vh_expect e = {.id = VH_MSG_GET_FEATURES};
	const struct rig *rig = *state;
	const uint64_t features = 0;
	int listener = peer_listen(rig->path);
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_FRONTEND);

	for (unsigned i = 0; i < 200; i++) { /* 20 s if it waited */
		int peer;

		rig_expect(c, VH_NEWS_UP);
		peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		vh_connector_expect(c, &e);
		peer_send(peer, VH_MSG_GET_FEATURES, 5, &features, 8, NULL, 0);
		rig_expect_message(c, VH_MSG_GET_FEATURES);
		close(peer);
		rig_expect(c, VH_NEWS_DOWN);
	}
	vh_connector_close(c);
	close(listener);
	unlink(rig->path);
}

static void a_peer_that_never_talks_is_not_tried_in_a_circle(void **state)
{
	const struct rig *rig = *state;
	int listener = peer_listen(rig->path);
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_FRONTEND);
	int64_t start;

	rig_expect(c, VH_NEWS_UP);
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	start = now_ms();
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect(c, VH_NEWS_UP);
	assert_true(now_ms() - start >= 90);
	vh_connector_close(c);
	close(listener);
	unlink(rig->path);
}

static void a_listener_that_restarts_is_found_again(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *b = rig_open(rig->address, VH_ROLE_BACKEND);
	struct vh_connector *f = rig_open(rig->address, VH_ROLE_FRONTEND);

	for (unsigned i = 0; i < 3; i++) {
		rig_expect(f, VH_NEWS_UP);
		rig_expect(b, VH_NEWS_UP);
		vh_connector_close(b);
		rig_expect(f, VH_NEWS_DOWN);
		b = rig_open(rig->address, VH_ROLE_BACKEND);
	}
	vh_connector_close(f);
	vh_connector_close(b);
}

static void a_back_end_connects_to_a_front_end_that_listens(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *f = rig_open_with(rig, "server=on", VH_ROLE_FRONTEND);
	struct vh_connector *b = rig_open_with(rig, "server=off", VH_ROLE_BACKEND);
	struct vh_msg m;

	rig_expect(b, VH_NEWS_UP);
	rig_expect(f, VH_NEWS_UP);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_connector_send(f, &m), 0);
	rig_expect_message(b, VH_MSG_GET_FEATURES);
	vh_connector_close(f);
	rig_expect(b, VH_NEWS_DOWN);
	vh_connector_close(b);
	assert_false(rig_path_exists(rig));
}

/* ---- No fds left ---- */

/* Until it is undone, nothing can be opened.  *@old is what was before. */
static void allow_no_more_fds(struct rlimit *old)
{
	int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
	struct rlimit none;

	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
	none = (struct rlimit){.rlim_cur = lowest, .rlim_max = old->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void accepting_without_fds_waits_and_works_later(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int peer = peer_connect(rig->path);
	struct rlimit old;

	allow_no_more_fds(&old);
	expect_attempts(c, 3, 190);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(
		rig_logged("cannot accept a connection yet: Too many open files"), 1);
	rig_expect(c, VH_NEWS_UP);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	close(peer);
	rig_expect(c, VH_NEWS_DOWN);
	/* The listener is watched again. */
	peer = peer_connect(rig->path);
	rig_expect(c, VH_NEWS_UP);
	vh_connector_close(c);
	close(peer);
}

static void connecting_without_fds_waits_and_works_later(void **state)
{
	const struct rig *rig = *state;
	int listener = peer_listen(rig->path);
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_FRONTEND);
	struct rlimit old;

	allow_no_more_fds(&old);
	expect_attempts(c, 2, 90);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(rig_logged("Too many open files"), 1);
	rig_expect(c, VH_NEWS_UP);
	vh_connector_close(c);
	close(listener);
	unlink(rig->path);
}

static void fds_of_a_message_that_cannot_be_opened_end_the_link(void **state)
{
	const uint64_t index = 0;
	struct vh_connector *c;
	struct vh_msg m;
	enum vh_news news;
	struct rlimit old;
	int peer, err, fd = 0;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, VH_MSG_SET_VRING_KICK, 1, &index, 8, &fd, 1);
	allow_no_more_fds(&old);
	err = vh_connector_recv(c, &m, &news);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(err, 0);
	assert_int_equal(news, VH_NEWS_DOWN);
	assert_int_equal(rig_logged("ulimit -n"), 1);
	vh_connector_close(c);
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_back_end_listens_and_takes_one_peer_after_the_other),
		RIG_TEST(a_second_connection_is_closed_and_the_first_goes_on),
		RIG_TEST(a_second_connection_is_closed_during_hold),
		RIG_TEST(with_patience_others_wait_for_the_first_to_go),
		RIG_TEST(who_waits_gets_in_when_the_first_is_disconnected),
		RIG_TEST(hold_ends_with_its_peer),
		RIG_TEST(a_thousand_peers_leave_no_fd),
		RIG_TEST(a_front_end_connects),
		RIG_TEST(connecting_waits_for_a_listener_and_says_so_once),
		RIG_TEST(connecting_again_is_immediate_after_a_peer_that_talked),
		RIG_TEST(a_peer_that_never_talks_is_not_tried_in_a_circle),
		RIG_TEST(a_listener_that_restarts_is_found_again),
		RIG_TEST(a_back_end_connects_to_a_front_end_that_listens),
		RIG_TEST(accepting_without_fds_waits_and_works_later),
		RIG_TEST(connecting_without_fds_waits_and_works_later),
		RIG_TEST(fds_of_a_message_that_cannot_be_opened_end_the_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
