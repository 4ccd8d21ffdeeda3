/* SPDX-License-Identifier: BSD-3-Clause */
/* An endpoint that has its peer: news, hold, doorbells. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

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
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
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
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
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

static void the_bytes_of_a_message_are_those_that_came(void **state)
{
	const uint8_t payload[] = "nobody defined this";
	struct vh_connector *c;
	const uint8_t *bytes;
	size_t len;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	peer_send(peer, 9999, 1, payload, sizeof(payload), NULL, 0);
	rig_expect_message(c, 9999);
	bytes = vh_connector_bytes(c, VH_CHANNEL_MAIN, &len);
	assert_int_equal(len, 12 + sizeof(payload));
	assert_memory_equal(bytes + 12, payload, sizeof(payload));
	vh_connector_close(c);
	close(peer);
}

static void bytes_go_out_as_they_are(void **state)
{
	const uint32_t sent[] = {9999, 5, 4, 0x12345678};
	uint32_t id, flags, payload;
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	assert_int_equal(vh_connector_send_bytes(c, VH_CHANNEL_BACKEND, sent, 16),
			 -ENOTCONN);
	assert_int_equal(vh_connector_send_bytes(c, VH_CHANNEL_MAIN, sent, 16), 0);
	assert_int_equal(peer_read(peer, &id, &flags, &payload, 4, NULL, NULL), 4);
	assert_int_equal(id, 9999);
	assert_int_equal(flags, 5);
	assert_int_equal(payload, 0x12345678);
	close(peer);
	rig_expect(c, VH_NEWS_DOWN);
	assert_int_equal(vh_connector_send_bytes(c, VH_CHANNEL_MAIN, sent, 16), -EPIPE);
	vh_connector_close(c);
}

/* ---- Sending ---- */

static void a_slow_peer_gets_all_messages_in_order(void **state)
{
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
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
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
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
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
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
		RIG_TEST(the_bytes_of_a_message_are_those_that_came),
		RIG_TEST(bytes_go_out_as_they_are),
		RIG_TEST(a_held_peer_is_not_read_and_wakes_nobody),
		RIG_TEST(a_hang_up_during_hold_is_news_at_once),
		RIG_TEST(half_a_hang_up_during_hold_is_a_hang_up),
		RIG_TEST(answers_go_out_during_hold),
		RIG_TEST(an_eventfd_becomes_a_doorbell),
		RIG_TEST(the_no_fd_bit_is_no_doorbell),
		RIG_TEST(anything_but_an_eventfd_is_refused_as_a_doorbell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
