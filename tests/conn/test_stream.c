/* SPDX-License-Identifier: BSD-3-Clause */
/* Framing: what a hostile peer may do to one connected socket. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "conn/stream.h"

#define HEADER 12

/* SET_MEM_TABLE of one region, header and payload. */
struct table {
	uint32_t header[3];
	uint32_t n, pad;
	uint64_t region[4];
} __attribute__((packed));

static const struct table one_region = {
	{VH_MSG_SET_MEM_TABLE, 1, 40}, 1, 0, {0, 4096, 0, 0}};

/* ---- Reading ---- */

static void a_message_that_comes_byte_by_byte_is_complete(void **state)
{
	int fd = rig_memfd(4096);
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	for (size_t i = 0; i < sizeof(one_region); i++) {
		assert_int_equal(vh_stream_read(&l.s, &m), 0);
		peer_send_bytes(l.peer, (const uint8_t *)&one_region + i, 1, &fd, i == 0);
	}
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(m.mem.region[0].size, 4096);
	assert_int_equal(m.n_fds, 1);
	vh_msg_close(&m);
	assert_int_equal(vh_stream_read(&l.s, &m), 0);
	close(fd);
	rig_link_close(&l);
}

static void messages_sent_at_once_come_one_by_one_with_their_own_fds(void **state)
{
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	for (uint64_t i = 0; i < 2; i++)
		peer_send(l.peer, VH_MSG_SET_VRING_KICK, 1, &i, 8, &fds[i], 1);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vh_stream_read(&l.s, &m), 1);
		assert_int_equal(m.u64, i);
		assert_int_equal(m.n_fds, 1);
		vh_msg_close(&m);
	}
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_GET_FEATURES);
	assert_int_equal(m.n_fds, 0);
	close(fds[0]);
	close(fds[1]);
	rig_link_close(&l);
}

static void received_fds_are_closed_on_exec(void **state)
{
	int fd = eventfd(0, 0);
	const uint64_t index = 0;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_send(l.peer, VH_MSG_SET_VRING_KICK, 1, &index, 8, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	vh_msg_close(&m);
	close(fd);
	rig_link_close(&l);
}

static void every_number_of_fds_on_every_message_leaves_none_open(void **state)
{
	static const uint8_t zeros[64];
	int fds[9], before;

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	before = rig_count_fds();
	for (uint32_t id = 0; id < 50; id++) {
		for (unsigned n = 0; n <= 9; n++) {
			struct rig_link l;
			struct vh_msg m;

			rig_link_open(&l);
			peer_send(l.peer, id, 1, zeros, n % 2 ? 8 : 0, fds, n);
			if (vh_stream_read(&l.s, &m) == 1)
				vh_msg_close(&m);
			rig_link_close(&l);
			assert_int_equal(rig_count_fds(), before);
		}
	}
	for (unsigned i = 0; i < 9; i++)
		close(fds[i]);
}

static void more_fds_than_eight_break_the_link(void **state)
{
	int fds[9];
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	rig_link_open(&l);
	peer_send(l.peer, VH_MSG_GET_FEATURES, 1, NULL, 0, fds, 9);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("descriptors were lost"), 1);
	for (unsigned i = 0; i < 9; i++)
		close(fds[i]);
	rig_link_close(&l);
}

/* The reader has seen @first bytes when the rest comes with an fd. */
static void expect_late_fd_breaks(size_t first)
{
	int fd = rig_memfd(4096);
	struct rig_link l;
	struct vh_msg m;

	rig_log_clear();
	rig_link_open(&l);
	peer_send_bytes(l.peer, &one_region, first, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 0);
	peer_send_bytes(l.peer, (const uint8_t *)&one_region + first,
			sizeof(one_region) - first, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("did not come with its first byte"), 1);
	close(fd);
	rig_link_close(&l);
}

static void an_fd_in_the_middle_of_a_message_breaks_the_link(void **state)
{
	(void)state;
	expect_late_fd_breaks(1);
	expect_late_fd_breaks(HEADER - 1);
	expect_late_fd_breaks(HEADER);
	expect_late_fd_breaks(HEADER + 1);
	expect_late_fd_breaks(sizeof(one_region) - 1);
}

static void an_fd_with_the_payload_breaks_the_link_also_when_all_is_there(void **state)
{
	int fd = rig_memfd(4096);
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_send_bytes(l.peer, &one_region, HEADER, NULL, 0);
	peer_send_bytes(l.peer, (const uint8_t *)&one_region + HEADER, 40, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("SET_MEM_TABLE: descriptors did not come"), 1);
	close(fd);
	rig_link_close(&l);
}

static void a_bad_header_breaks_the_link(void **state)
{
	static const struct {
		uint32_t flags, size;
	} bad[] = {{0, 0},    {2, 0},	      {3, 0}, {1 | 16, 0}, {1u | 1u << 31, 0},
		   {1, 8193}, {1, UINT32_MAX}};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const uint32_t header[3] = {1, bad[i].flags, bad[i].size};
		struct rig_link l;
		struct vh_msg m;

		rig_log_clear();
		rig_link_open(&l);
		peer_send_bytes(l.peer, header, sizeof(header), NULL, 0);
		assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
		assert_int_equal(rig_logged("message header"), 0);
		assert_int_equal(rig_logged("1 test GET_FEATURES: "), 1);
		rig_link_close(&l);
	}
}

static void a_wrong_payload_breaks_the_link_and_names_the_message(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_ask(l.peer, VH_MSG_SET_VRING_NUM);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("SET_VRING_NUM: "), 1);
	rig_link_close(&l);
}

static void the_largest_payload_of_an_unknown_message_is_read_past(void **state)
{
	static const uint8_t payload[8192];
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_send(l.peer, 9999, 1, payload, sizeof(payload), NULL, 0);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, 9999);
	vh_msg_close(&m);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_GET_FEATURES);
	rig_link_close(&l);
}

static void a_hang_up_between_messages_is_no_fault(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	close(vh_fd_take(&l.peer));
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	assert_int_equal(rig_logged("peer"), 0);
	rig_link_close(&l);
}

static void a_hang_up_in_the_middle_of_a_message_leaves_no_fd(void **state)
{
	int fd = rig_memfd(4096), before;

	(void)state;
	before = rig_count_fds();
	for (size_t len = 1; len < sizeof(one_region); len++) {
		struct rig_link l;
		struct vh_msg m;

		rig_log_clear();
		rig_link_open(&l);
		peer_send_bytes(l.peer, &one_region, len, &fd, 1);
		close(vh_fd_take(&l.peer));
		assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
		assert_int_equal(rig_logged("in the middle of a message"), 1);
		rig_link_close(&l);
		assert_int_equal(rig_count_fds(), before);
	}
	close(fd);
}

/*
 * The peer gave us its socket, so it can still set options on it: here, that the
 * kernel shall attach a pidfd, or credentials, to what we receive.
 */
static void expect_no_fd_by_option(int option, int want)
{
	const int on = 1;
	struct rig_link l;
	struct vh_msg m;
	int before;

	rig_link_open(&l);
	before = rig_count_fds();
	if (setsockopt(l.s.fd, SOL_SOCKET, option, &on, sizeof(on)) == 0) {
		peer_ask(l.peer, VH_MSG_GET_FEATURES);
		assert_int_equal(vh_stream_read(&l.s, &m), want);
	} else {
		assert_int_equal(errno, ENOPROTOOPT); /* before Linux 6.5 */
	}
	vh_stream_close(&l.s);
	assert_int_equal(rig_count_fds(), before - 1);
	rig_link_close(&l);
}

static void socket_options_of_the_peer_bring_in_no_fd(void **state)
{
	(void)state;
	expect_no_fd_by_option(76 /* SO_PASSPIDFD */, -EPROTO);
	expect_no_fd_by_option(SO_PASSCRED, 1);
}

static void a_stream_that_was_made_with_credentials_works(void **state)
{
	const int on = 1;
	int pair[2];
	struct vh_stream s;
	struct vh_msg m;

	(void)state;
	peer_pair(pair);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)),
			 0);
	vh_stream_init(&s, "test", VH_CHANNEL_MAIN, true);
	assert_int_equal(vh_stream_open(&s, pair[0]), 0);
	peer_ask(pair[1], VH_MSG_GET_FEATURES);
	assert_int_equal(vh_stream_read(&s, &m), 1);
	vh_stream_close(&s);
	close(pair[1]);
}

static void a_socket_that_was_made_blocking_does_not_block(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	assert_int_equal(fcntl(l.s.fd, F_SETFL, 0), 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 0);
	rig_link_close(&l);
}

static void expect_not_taken(int fd)
{
	struct vh_stream s;

	rig_log_clear();
	vh_stream_init(&s, "test", VH_CHANNEL_BACKEND, true);
	assert_int_equal(vh_stream_open(&s, fd), -EINVAL);
	assert_int_equal(rig_logged("is not a connected UNIX stream socket"), 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken all the same */
}

static void only_a_connected_unix_stream_socket_is_taken(void **state)
{
	const struct rig *rig = *state;

	expect_not_taken(eventfd(0, EFD_CLOEXEC));
	expect_not_taken(rig_memfd(4096));
	expect_not_taken(socket(AF_UNIX, SOCK_DGRAM, 0));
	expect_not_taken(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	expect_not_taken(socket(AF_INET, SOCK_STREAM, 0));
	expect_not_taken(peer_listen(rig->path));
	unlink(rig->path);
}

/* ---- Replies ---- */

static void a_reader_of_replies_takes_the_expected_one_once(void **state)
{
	const uint64_t features = 1 << 30;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	l.s.serves = false;
	l.s.expect = (struct vh_expect){.id = VH_MSG_GET_FEATURES};
	for (unsigned i = 0; i < 2; i++)
		peer_send(l.peer, VH_MSG_GET_FEATURES, 5, &features, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.u64, features);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	rig_link_close(&l);
}

static void a_reply_to_a_server_breaks_the_link(void **state)
{
	const uint64_t u64 = 0;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_send(l.peer, VH_MSG_SET_OWNER, 5, &u64, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	rig_link_close(&l);
}

static void an_ack_on_the_backend_channel_needs_no_announcement(void **state)
{
	const uint64_t u64 = 7;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	l.s.serves = false;
	l.s.channel = VH_CHANNEL_BACKEND;
	peer_send(l.peer, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, 5, &u64, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_true(m.is_reply);
	assert_int_equal(m.u64, 7);
	rig_link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_message_that_comes_byte_by_byte_is_complete),
		RIG_TEST(messages_sent_at_once_come_one_by_one_with_their_own_fds),
		RIG_TEST(received_fds_are_closed_on_exec),
		RIG_TEST(every_number_of_fds_on_every_message_leaves_none_open),
		RIG_TEST(more_fds_than_eight_break_the_link),
		RIG_TEST(an_fd_in_the_middle_of_a_message_breaks_the_link),
		RIG_TEST(an_fd_with_the_payload_breaks_the_link_also_when_all_is_there),
		RIG_TEST(a_bad_header_breaks_the_link),
		RIG_TEST(a_wrong_payload_breaks_the_link_and_names_the_message),
		RIG_TEST(the_largest_payload_of_an_unknown_message_is_read_past),
		RIG_TEST(a_hang_up_between_messages_is_no_fault),
		RIG_TEST(a_hang_up_in_the_middle_of_a_message_leaves_no_fd),
		RIG_TEST(socket_options_of_the_peer_bring_in_no_fd),
		RIG_TEST(a_stream_that_was_made_with_credentials_works),
		RIG_TEST(a_socket_that_was_made_blocking_does_not_block),
		RIG_TEST(only_a_connected_unix_stream_socket_is_taken),
		RIG_TEST(a_reader_of_replies_takes_the_expected_one_once),
		RIG_TEST(a_reply_to_a_server_breaks_the_link),
		RIG_TEST(an_ack_on_the_backend_channel_needs_no_announcement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
