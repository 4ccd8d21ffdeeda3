/* SPDX-License-Identifier: BSD-3-Clause */
/* The second socket of a link: requests of the back-end. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

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
	struct vh_msg m =
		rig_message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
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
	struct vh_msg m =
		rig_message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
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
	struct vh_msg m =
		rig_message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
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
	struct vh_msg m =
		rig_message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
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
	struct vh_msg m =
		rig_message(VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
