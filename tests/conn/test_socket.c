/* SPDX-License-Identifier: BSD-3-Clause */
/* An endpoint that has its peer: news, hold, the back-end channel, doorbells. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct vh_msg message(enum vh_channel channel, uint32_t id)
{
	struct vh_msg m;

	vh_msg_init(&m, channel, id);
	return m;
}

/* ---- News ---- */

static void a_new_peer_is_news_before_its_messages(void **state)
{
	struct vh_connector *c;
	char address[16];
	int pair[2];

	(void)state;
	peer_pair(pair);
	peer_ask(pair[1], VH_MSG_GET_FEATURES);
	snprintf(address, sizeof(address), "fd:%d", pair[0]);
	c = rig_open(address, VH_ROLE_BACKEND);
	rig_expect(c, VH_NEWS_UP);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(pair[1]);
}

static void messages_before_a_hang_up_come_before_its_news(void **state)
{
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_ask(peer, VH_MSG_SET_OWNER);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	close(peer);
	rig_expect_message(c, VH_MSG_SET_OWNER);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect_quiet(c);
	vh_connector_close(c);
}

static void a_broken_protocol_is_the_end_of_the_link(void **state)
{
	const uint64_t u64 = 0;
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, VH_MSG_GET_FEATURES, 1, &u64, 8, NULL, 0);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect_quiet(c);
	assert_true(peer_is_closed(peer));
	vh_connector_close(c);
	close(peer);
}

static void half_a_message_is_no_news_and_wakes_nobody(void **state)
{
	static const uint8_t half[7] = {VH_MSG_GET_FEATURES, 0, 0, 0, 1};
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send_bytes(peer, half, sizeof(half), NULL, 0);
	rig_expect_quiet(c);
	close(peer);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
}

static void urgent_bytes_are_bytes_like_others(void **state)
{
	static const uint8_t header[12] = {VH_MSG_GET_FEATURES, 0, 0, 0, 1};
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	for (unsigned i = 0; i < sizeof(header); i++)
		if (send(peer, header + i, 1, MSG_OOB | MSG_NOSIGNAL) < 0) {
			assert_int_equal(errno, EOPNOTSUPP); /* this kernel has none */
			peer_send_bytes(peer, header + i, 1, NULL, 0);
		}
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(peer);
}

static void after_disconnect_there_is_no_peer_and_no_news(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	vh_connector_disconnect(c);
	vh_connector_disconnect(c);
	rig_expect_quiet(c);
	assert_int_equal(vh_connector_send(c, &m), -EPIPE);
	assert_true(peer_is_closed(peer));
	vh_connector_close(c);
	close(peer);
}

static void a_failed_send_is_followed_by_down(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_FRONTEND, &peer);
	assert_int_equal(shutdown(peer, SHUT_RD), 0);
	assert_int_equal(vh_connector_send(c, &m), -EPIPE);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
	close(peer);
}

/* ---- Sending ---- */

static void a_slow_peer_gets_all_messages_in_order(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
	struct vh_connector *c;
	uint32_t id, flags, payload[2], n = 0;
	int peer, err;

	(void)state;
	c = rig_open_pair(VH_ROLE_FRONTEND, &peer);
	while ((err = vh_connector_send(c, &m)) == 0)
		m.state.num = ++n;
	assert_int_equal(err, -ENOBUFS);
	for (uint32_t i = 0; i < n; i++) {
		struct pollfd p = {.fd = peer, .events = POLLIN};

		while (poll(&p, 1, 0) == 0) /* the socket is empty: EPOLLOUT */
			rig_expect_quiet(c);
		assert_int_equal(peer_read(peer, &id, &flags, payload, 8, NULL, NULL), 8);
		assert_int_equal(payload[1], i);
	}
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(peer);
}

static void a_peer_that_never_reads_can_be_dropped(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_FRONTEND, &peer);
	while (vh_connector_send(c, &m) == 0)
		;
	rig_expect_quiet(c);
	vh_connector_disconnect(c);
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(peer);
}

static void a_reply_is_read_as_it_was_expected(void **state)
{
	const struct vh_expect e = {.id = VH_MSG_SET_OWNER, .acked = true};
	const uint64_t ack = 0;
	struct vh_connector *c;
	struct vh_msg m;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_FRONTEND, &peer);
	vh_connector_expect(c, &e);
	peer_send(peer, VH_MSG_SET_OWNER, 5, &ack, 8, NULL, 0);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_true(m.is_reply);
	assert_int_equal(m.payload, VH_PAYLOAD_ACK);
	peer_send(peer, VH_MSG_SET_OWNER, 5, &ack, 8, NULL, 0);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
	close(peer);
}

/* ---- Hold ---- */

static void a_held_peer_is_not_read_and_wakes_nobody(void **state)
{
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	vh_connector_hold(c, true);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect_quiet(c);
	vh_connector_hold(c, false);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	close(peer);
}

static void a_hang_up_during_hold_is_news_at_once(void **state)
{
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	vh_connector_hold(c, true);
	peer_ask(peer, VH_MSG_GET_FEATURES);
	rig_expect_quiet(c);
	close(peer);
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect_quiet(c);
	vh_connector_close(c);
}

static void half_a_hang_up_during_hold_is_a_hang_up(void **state)
{
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	vh_connector_hold(c, true);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
	close(peer);
}

static void answers_go_out_during_hold(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	struct vh_connector *c;
	uint32_t id, flags;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	vh_connector_hold(c, true);
	assert_int_equal(vh_connector_send(c, &m), 0);
	assert_int_equal(peer_read(peer, &id, &flags, NULL, 0, NULL, NULL), 0);
	vh_connector_close(c);
	close(peer);
}

/* ---- The back-end channel ---- */

struct channelled {
	struct vh_connector *c;
	int peer, channel;
};

static struct channelled open_channelled(enum vh_role role)
{
	struct channelled x;
	int pair[2];

	x.c = rig_open_pair(role, &x.peer);
	peer_pair(pair);
	assert_int_equal(vh_connector_set_channel(x.c, pair[0]), 0);
	x.channel = pair[1];
	return x;
}

static void close_channelled(struct channelled *x)
{
	vh_connector_close(x->c);
	vh_fd_drop(&x->peer);
	vh_fd_drop(&x->channel);
}

static void both_channels_are_used_each_for_its_own(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	const uint64_t ack = 0;
	struct channelled x = open_channelled(VH_ROLE_BACKEND);
	uint32_t id, flags;

	(void)state;
	m.need_reply = true;
	assert_int_equal(vh_connector_send(x.c, &m), 0);
	assert_int_equal(peer_read(x.channel, &id, &flags, NULL, 0, NULL, NULL), 0);
	assert_int_equal(id, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(flags, 9);
	peer_send(x.channel, id, 5, &ack, 8, NULL, 0);
	assert_int_equal(rig_next(x.c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.channel, VH_CHANNEL_BACKEND);
	assert_true(m.is_reply);
	peer_ask(x.peer, VH_MSG_GET_FEATURES);
	rig_expect_message(x.c, VH_MSG_GET_FEATURES);
	close_channelled(&x);
}

static void a_front_end_gets_the_requests_of_the_backend_channel(void **state)
{
	struct channelled x = open_channelled(VH_ROLE_FRONTEND);
	struct vh_msg m;

	(void)state;
	peer_ask(x.channel, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(rig_next(x.c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.channel, VH_CHANNEL_BACKEND);
	assert_false(m.is_reply);
	close_channelled(&x);
}

static void the_backend_channel_is_read_during_hold(void **state)
{
	const uint64_t ack = 0;
	struct channelled x = open_channelled(VH_ROLE_BACKEND);

	(void)state;
	vh_connector_hold(x.c, true);
	peer_ask(x.peer, VH_MSG_GET_FEATURES);
	peer_send(x.channel, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, 5, &ack, 8, NULL, 0);
	rig_expect_message(x.c, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	rig_expect_quiet(x.c);
	close_channelled(&x);
}

static void a_new_channel_replaces_the_old_one(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	struct channelled x = open_channelled(VH_ROLE_BACKEND);
	uint32_t id, flags;
	int pair[2];

	(void)state;
	peer_pair(pair);
	assert_int_equal(vh_connector_set_channel(x.c, pair[0]), 0);
	assert_true(peer_is_closed(x.channel));
	assert_int_equal(vh_connector_send(x.c, &m), 0);
	assert_int_equal(peer_read(pair[1], &id, &flags, NULL, 0, NULL, NULL), 0);
	close(pair[1]);
	close_channelled(&x);
}

static void the_link_goes_on_without_the_channel_that_was_closed(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	struct channelled x = open_channelled(VH_ROLE_BACKEND);

	(void)state;
	vh_fd_drop(&x.channel);
	rig_expect_quiet(x.c);
	assert_int_equal(vh_connector_send(x.c, &m), -ENOTCONN);
	peer_ask(x.peer, VH_MSG_GET_FEATURES);
	rig_expect_message(x.c, VH_MSG_GET_FEATURES);
	close_channelled(&x);
}

static void sending_to_a_channel_that_was_just_closed_says_so(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	struct channelled x = open_channelled(VH_ROLE_BACKEND);

	(void)state;
	vh_fd_drop(&x.channel);
	assert_int_equal(vh_connector_send(x.c, &m), -ENOTCONN);
	rig_expect_quiet(x.c);
	close_channelled(&x);
}

static void rubbish_in_the_channel_ends_the_link(void **state)
{
	struct channelled x = open_channelled(VH_ROLE_BACKEND);

	(void)state;
	peer_ask(x.channel, VH_MSG_BACKEND_CONFIG_CHANGE_MSG); /* not an ack */
	rig_expect(x.c, VH_NEWS_DOWN);
	assert_true(peer_is_closed(x.peer));
	assert_true(peer_is_closed(x.channel));
	rig_expect_quiet(x.c);
	close_channelled(&x);
}

static void the_channel_goes_with_the_link(void **state)
{
	struct channelled x = open_channelled(VH_ROLE_BACKEND);

	(void)state;
	vh_fd_drop(&x.peer);
	rig_expect(x.c, VH_NEWS_DOWN);
	assert_true(peer_is_closed(x.channel));
	close_channelled(&x);
}

/*
 * The peer keeps a duplicate of the socket that it gave us, so our close() does
 * not take it out of an epoll set by itself.
 */
static void a_socket_that_somebody_else_holds_wakes_nobody_once_closed(void **state)
{
	struct vh_connector *c;
	int peer, pair[2], kept;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_pair(pair);
	kept = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
	assert_int_equal(vh_connector_set_channel(c, pair[0]), 0);
	vh_connector_disconnect(c);
	peer_ask(pair[1], VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	rig_expect_quiet(c);
	close(kept);
	close(pair[1]);
	close(peer);
	vh_connector_close(c);
}

static void a_channel_that_is_no_socket_is_refused_and_closed(void **state)
{
	struct vh_msg m = message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	assert_int_equal(vh_connector_set_channel(c, eventfd(0, 0)), -EINVAL);
	assert_int_equal(rig_logged("the back-end channel is not"), 1);
	assert_int_equal(vh_connector_send(c, &m), -ENOTCONN);
	rig_expect_quiet(c);
	vh_connector_close(c);
	close(peer);
}

static void there_is_no_channel_without_a_peer(void **state)
{
	struct vh_connector *c;
	int peer, pair[2];

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	vh_connector_disconnect(c);
	peer_pair(pair);
	assert_int_equal(vh_connector_set_channel(c, pair[0]), -EPIPE);
	close(pair[1]);
	close(peer);
	vh_connector_close(c);
}

/* ---- Doorbells ---- */

static void an_eventfd_becomes_a_doorbell(void **state)
{
	const uint64_t index = 3;
	struct vh_connector *c;
	struct vh_signal *s;
	struct vh_msg m;
	int peer, fd = eventfd(0, EFD_CLOEXEC);
	uint64_t n = 0;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, VH_MSG_SET_VRING_CALL, 1, &index, 8, &fd, 1);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_signal(c, &m, &s), 0);
	vh_msg_close(&m);
	vh_signal_fire(s);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	vh_signal_put(s);
	vh_connector_close(c);
	close(peer);
	close(fd);
}

static void the_no_fd_bit_is_no_doorbell(void **state)
{
	const uint64_t index = 3 | VH_VRING_NO_FD;
	struct vh_connector *c;
	struct vh_signal *s;
	struct vh_msg m;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, VH_MSG_SET_VRING_CALL, 1, &index, 8, NULL, 0);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_signal(c, &m, &s), 0);
	assert_null(s);
	vh_connector_close(c);
	close(peer);
}

static void anything_but_an_eventfd_is_refused_as_a_doorbell(void **state)
{
	const uint64_t index = 3;
	struct vh_connector *c;
	struct vh_signal *s;
	struct vh_msg m;
	int peer, pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, VH_MSG_SET_VRING_CALL, 1, &index, 8, &pipes[1], 1);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_signal(c, &m, &s), -EINVAL);
	assert_null(s);
	assert_int_equal(rig_logged("SET_VRING_CALL: its descriptor is not an eventfd"),
			 1);
	vh_msg_close(&m);
	vh_connector_close(c);
	close(peer);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_new_peer_is_news_before_its_messages),
		RIG_TEST(messages_before_a_hang_up_come_before_its_news),
		RIG_TEST(a_broken_protocol_is_the_end_of_the_link),
		RIG_TEST(half_a_message_is_no_news_and_wakes_nobody),
		RIG_TEST(urgent_bytes_are_bytes_like_others),
		RIG_TEST(after_disconnect_there_is_no_peer_and_no_news),
		RIG_TEST(a_failed_send_is_followed_by_down),
		RIG_TEST(a_slow_peer_gets_all_messages_in_order),
		RIG_TEST(a_peer_that_never_reads_can_be_dropped),
		RIG_TEST(a_reply_is_read_as_it_was_expected),
		RIG_TEST(a_held_peer_is_not_read_and_wakes_nobody),
		RIG_TEST(a_hang_up_during_hold_is_news_at_once),
		RIG_TEST(half_a_hang_up_during_hold_is_a_hang_up),
		RIG_TEST(answers_go_out_during_hold),
		RIG_TEST(both_channels_are_used_each_for_its_own),
		RIG_TEST(a_front_end_gets_the_requests_of_the_backend_channel),
		RIG_TEST(the_backend_channel_is_read_during_hold),
		RIG_TEST(a_new_channel_replaces_the_old_one),
		RIG_TEST(the_link_goes_on_without_the_channel_that_was_closed),
		RIG_TEST(sending_to_a_channel_that_was_just_closed_says_so),
		RIG_TEST(rubbish_in_the_channel_ends_the_link),
		RIG_TEST(the_channel_goes_with_the_link),
		RIG_TEST(a_socket_that_somebody_else_holds_wakes_nobody_once_closed),
		RIG_TEST(a_channel_that_is_no_socket_is_refused_and_closed),
		RIG_TEST(there_is_no_channel_without_a_peer),
		RIG_TEST(an_eventfd_becomes_a_doorbell),
		RIG_TEST(the_no_fd_bit_is_no_doorbell),
		RIG_TEST(anything_but_an_eventfd_is_refused_as_a_doorbell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
