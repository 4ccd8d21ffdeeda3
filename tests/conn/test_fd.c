/* SPDX-License-Identifier: BSD-3-Clause */
/* fd: a socket that this process was started with. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_fd(int fd, enum vh_role role, struct vh_connector **c)
{
	char address[16];

	snprintf(address, sizeof(address), "fd:%d", fd);
	return vh_connector_open(address, role, "test", c);
}

static void a_listening_socket_gives_one_peer_after_the_other(void **state)
{
	const struct rig *rig = *state;
	int listener = peer_listen(rig->path);
	struct vh_connector *c;

	assert_int_equal(open_fd(listener, VH_ROLE_BACKEND, &c), 0);
	rig_expect_quiet(c);
	for (unsigned i = 0; i < 3; i++) {
		int peer = peer_connect(rig->path), second = peer_connect(rig->path);

		rig_expect(c, VH_NEWS_UP);
		rig_expect_quiet(c);
		assert_true(peer_is_closed(second));
		close(second);
		close(peer);
		rig_expect(c, VH_NEWS_DOWN);
	}
	vh_connector_close(c);
	/* It was not us who made the path. */
	assert_int_equal(unlink(rig->path), 0);
}

static void a_connected_socket_is_one_peer_and_nothing_comes_after_it(void **state)
{
	struct vh_connector *c;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_BACKEND, &peer);
	rig_expect_quiet(c);
	close(peer);
	assert_false(c->is_over);
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect_quiet(c);
	assert_true(c->is_over);
	vh_connector_close(c);
}

static void a_connected_socket_serves_a_front_end_too(void **state)
{
	struct vh_connector *c;
	uint32_t id, flags;
	struct vh_msg m;
	int peer;

	(void)state;
	c = rig_open_pair(VH_ROLE_FRONTEND, &peer);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_connector_send(c, &m), 0);
	assert_int_equal(peer_read(peer, &id, &flags, NULL, 0, NULL, NULL), 0);
	assert_int_equal(id, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	close(peer);
}

static void an_inherited_socket_is_not_inherited_further(void **state)
{
	struct vh_connector *c;
	int pair[2];

	(void)state;
	peer_pair(pair);
	assert_int_equal(fcntl(pair[0], F_SETFD, 0), 0);
	assert_int_equal(open_fd(pair[0], VH_ROLE_BACKEND, &c), 0);
	assert_true(fcntl(pair[0], F_GETFD) & FD_CLOEXEC);
	vh_connector_close(c);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	close(pair[1]);
}

static void what_is_no_unix_stream_socket_is_refused_and_stays_open(void **state)
{
	int fds[] = {eventfd(0, EFD_CLOEXEC), rig_memfd(1),
		     socket(AF_UNIX, SOCK_DGRAM, 0), socket(AF_INET, SOCK_STREAM, 0)};
	struct vh_connector *c;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(open_fd(fds[i], VH_ROLE_BACKEND, &c), -EINVAL);
		assert_int_equal(rig_logged("is not a UNIX stream socket"), i + 1);
		assert_int_equal(close(fds[i]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_listening_socket_gives_one_peer_after_the_other),
		RIG_TEST(a_connected_socket_is_one_peer_and_nothing_comes_after_it),
		RIG_TEST(a_connected_socket_serves_a_front_end_too),
		RIG_TEST(an_inherited_socket_is_not_inherited_further),
		RIG_TEST(what_is_no_unix_stream_socket_is_refused_and_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
