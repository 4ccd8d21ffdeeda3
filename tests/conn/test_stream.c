/* SPDX-License-Identifier: BSD-3-Clause */
/* Framing: what a hostile peer may do to one connected socket. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "conn/stream.h"

#define HEADER 12

/* A stream that serves the main channel, and its peer. */
struct link {
	struct vh_stream s;
	int peer;
};

static void link_open(struct link *l)
{
	int pair[2];

	peer_pair(pair);
	vh_stream_init(&l->s, "test", VH_CHANNEL_MAIN, true);
	assert_int_equal(vh_stream_open(&l->s, pair[0]), 0);
	l->peer = pair[1];
}

static void link_close(struct link *l)
{
	vh_stream_close(&l->s);
	if (l->peer >= 0)
		close(l->peer);
}

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
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
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
	link_close(&l);
}

static void messages_sent_at_once_come_one_by_one_with_their_own_fds(void **state)
{
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
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
	link_close(&l);
}

static void received_fds_are_closed_on_exec(void **state)
{
	int fd = eventfd(0, 0);
	const uint64_t index = 0;
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_send(l.peer, VH_MSG_SET_VRING_KICK, 1, &index, 8, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	vh_msg_close(&m);
	close(fd);
	link_close(&l);
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
			struct link l;
			struct vh_msg m;

			link_open(&l);
			peer_send(l.peer, id, 1, zeros, n % 2 ? 8 : 0, fds, n);
			if (vh_stream_read(&l.s, &m) == 1)
				vh_msg_close(&m);
			link_close(&l);
			assert_int_equal(rig_count_fds(), before);
		}
	}
	for (unsigned i = 0; i < 9; i++)
		close(fds[i]);
}

static void more_fds_than_eight_break_the_link(void **state)
{
	int fds[9];
	struct link l;
	struct vh_msg m;

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	link_open(&l);
	peer_send(l.peer, VH_MSG_GET_FEATURES, 1, NULL, 0, fds, 9);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("descriptors were lost"), 1);
	for (unsigned i = 0; i < 9; i++)
		close(fds[i]);
	link_close(&l);
}

/* The reader has seen @first bytes when the rest comes with an fd. */
static void expect_late_fd_breaks(size_t first)
{
	int fd = rig_memfd(4096);
	struct link l;
	struct vh_msg m;

	rig_log_clear();
	link_open(&l);
	peer_send_bytes(l.peer, &one_region, first, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 0);
	peer_send_bytes(l.peer, (const uint8_t *)&one_region + first,
			sizeof(one_region) - first, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("did not come with its first byte"), 1);
	close(fd);
	link_close(&l);
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
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_send_bytes(l.peer, &one_region, HEADER, NULL, 0);
	peer_send_bytes(l.peer, (const uint8_t *)&one_region + HEADER, 40, &fd, 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("SET_MEM_TABLE: descriptors did not come"), 1);
	close(fd);
	link_close(&l);
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
		struct link l;
		struct vh_msg m;

		rig_log_clear();
		link_open(&l);
		peer_send_bytes(l.peer, header, sizeof(header), NULL, 0);
		assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
		assert_int_equal(rig_logged("message header"), 0);
		assert_int_equal(rig_logged("1 test GET_FEATURES: "), 1);
		link_close(&l);
	}
}

static void a_wrong_payload_breaks_the_link_and_names_the_message(void **state)
{
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_ask(l.peer, VH_MSG_SET_VRING_NUM);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	assert_int_equal(rig_logged("SET_VRING_NUM: "), 1);
	link_close(&l);
}

static void the_largest_payload_of_an_unknown_message_is_read_past(void **state)
{
	static const uint8_t payload[8192];
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_send(l.peer, 9999, 1, payload, sizeof(payload), NULL, 0);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, 9999);
	vh_msg_close(&m);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_GET_FEATURES);
	link_close(&l);
}

static void a_hang_up_between_messages_is_no_fault(void **state)
{
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	close(vh_fd_take(&l.peer));
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	assert_int_equal(rig_logged("peer"), 0);
	link_close(&l);
}

static void a_hang_up_in_the_middle_of_a_message_leaves_no_fd(void **state)
{
	int fd = rig_memfd(4096), before;

	(void)state;
	before = rig_count_fds();
	for (size_t len = 1; len < sizeof(one_region); len++) {
		struct link l;
		struct vh_msg m;

		rig_log_clear();
		link_open(&l);
		peer_send_bytes(l.peer, &one_region, len, &fd, 1);
		close(vh_fd_take(&l.peer));
		assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
		assert_int_equal(rig_logged("in the middle of a message"), 1);
		link_close(&l);
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
	struct link l;
	struct vh_msg m;
	int before;

	link_open(&l);
	before = rig_count_fds();
	if (setsockopt(l.s.fd, SOL_SOCKET, option, &on, sizeof(on)) == 0) {
		peer_ask(l.peer, VH_MSG_GET_FEATURES);
		assert_int_equal(vh_stream_read(&l.s, &m), want);
	} else {
		assert_int_equal(errno, ENOPROTOOPT); /* before Linux 6.5 */
	}
	vh_stream_close(&l.s);
	assert_int_equal(rig_count_fds(), before - 1);
	link_close(&l);
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
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	assert_int_equal(fcntl(l.s.fd, F_SETFL, 0), 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 0);
	link_close(&l);
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
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	l.s.serves = false;
	l.s.expect = (struct vh_expect){.id = VH_MSG_GET_FEATURES};
	for (unsigned i = 0; i < 2; i++)
		peer_send(l.peer, VH_MSG_GET_FEATURES, 5, &features, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.u64, features);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	link_close(&l);
}

static void a_reply_to_a_server_breaks_the_link(void **state)
{
	const uint64_t u64 = 0;
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_send(l.peer, VH_MSG_SET_OWNER, 5, &u64, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPROTO);
	link_close(&l);
}

static void an_ack_on_the_backend_channel_needs_no_announcement(void **state)
{
	const uint64_t u64 = 7;
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	l.s.serves = false;
	l.s.channel = VH_CHANNEL_BACKEND;
	peer_send(l.peer, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, 5, &u64, 8, NULL, 0);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_true(m.is_reply);
	assert_int_equal(m.u64, 7);
	link_close(&l);
}

/* ---- Writing ---- */

static void what_is_sent_arrives_with_its_fds(void **state)
{
	int fds[8], got[8];
	unsigned n_got;
	uint8_t payload[8 + 8 * 32];
	uint32_t id, flags;
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.need_reply = true;
	m.mem.n = m.n_fds = 8;
	for (unsigned i = 0; i < 8; i++)
		m.fds[i] = fds[i] = rig_memfd(4096);
	assert_int_equal(vh_stream_write(&l.s, &m), 0);
	assert_int_equal(
		peer_read(l.peer, &id, &flags, payload, sizeof(payload), got, &n_got),
		sizeof(payload));
	assert_int_equal(id, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(flags, 9);
	assert_int_equal(n_got, 8);
	for (unsigned i = 0; i < 8; i++) {
		close(got[i]);
		close(fds[i]);
	}
	link_close(&l);
}

/* Write SET_VRING_NUM 0, 1, 2 ... until one is refused; which one that is. */
static uint32_t fill(struct vh_stream *s, int err)
{
	struct vh_msg m;
	uint32_t n = 0;
	int got;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
	while ((m.state.num = n, got = vh_stream_write(s, &m)) == 0) {
		assert_true(s->out_cost <= VH_STREAM_MAX_OUT);
		assert_true(n++ < 10 * 1000 * 1000);
	}
	assert_int_equal(got, err);
	return n;
}

static void a_peer_that_never_reads_costs_a_mebibyte_at_most(void **state)
{
	struct link l;
	struct vh_msg m;
	uint32_t id, flags, payload[2], n;

	(void)state;
	link_open(&l);
	n = fill(&l.s, -ENOBUFS);
	assert_true(vh_stream_has_output(&l.s));
	/* It was only slow: now all comes, complete and in order, and there is room. */
	for (uint32_t i = 0; i < n; i++) {
		vh_stream_flush(&l.s);
		assert_int_equal(peer_read(l.peer, &id, &flags, payload, 8, NULL, NULL),
				 8);
		assert_int_equal(payload[1], i);
	}
	assert_false(vh_stream_has_output(&l.s));
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	assert_int_equal(vh_stream_write(&l.s, &m), 0);
	link_close(&l);
}

static void queued_fds_are_duplicates_and_go_out_with_their_message(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), got[8];
	uint32_t id, flags;
	uint64_t payload;
	unsigned n_fds;
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	fill(&l.s, -ENOBUFS);
	for (uint32_t i = 0; i < 100; i++)
		assert_true(peer_read(l.peer, &id, &flags, &payload, 8, NULL, NULL) == 8);
	vh_stream_flush(&l.s);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_KICK);
	m.fds[m.n_fds++] = fd;
	assert_int_equal(vh_stream_write(&l.s, &m), 0);
	assert_true(vh_stream_has_output(&l.s));
	vh_msg_close(&m);
	do {
		vh_stream_flush(&l.s);
		assert_int_equal(peer_read(l.peer, &id, &flags, &payload, 8, got, &n_fds),
				 8);
		assert_int_equal(n_fds, id == VH_MSG_SET_VRING_KICK);
	} while (id != VH_MSG_SET_VRING_KICK);
	assert_int_equal(l.s.n_out_fds, 0);
	close(got[0]);
	link_close(&l);
}

static void queued_fds_are_bounded_and_closed_with_the_link(void **state)
{
	struct link l;
	struct vh_msg m;
	unsigned n = 0;
	int err;

	(void)state;
	link_open(&l);
	fill(&l.s, -ENOBUFS);
	/* Room for bytes, but the socket stays full. */
	l.s.out_cost -= 64 * 1024;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_KICK);
	m.fds[m.n_fds++] = eventfd(0, EFD_CLOEXEC);
	while ((err = vh_stream_write(&l.s, &m)) == 0)
		n++;
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(n, VH_STREAM_MAX_OUT_FDS);
	vh_msg_close(&m);
	link_close(&l);
}

static void writing_to_a_peer_that_went_is_an_error_and_no_signal(void **state)
{
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	close(vh_fd_take(&l.peer));
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	assert_int_equal(vh_stream_write(&l.s, &m), -EPIPE);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	link_close(&l);
}

static void what_came_before_a_failed_write_is_still_read(void **state)
{
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	assert_int_equal(shutdown(l.peer, SHUT_RD), 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	assert_int_equal(vh_stream_write(&l.s, &m), -EPIPE);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	link_close(&l);
}

static void a_message_that_has_no_bytes_is_refused(void **state)
{
	struct link l;
	struct vh_msg m;

	(void)state;
	link_open(&l);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.size = VH_MAX_CONFIG + 1;
	assert_int_equal(vh_stream_write(&l.s, &m), -EMSGSIZE);
	link_close(&l);
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
		RIG_TEST(what_is_sent_arrives_with_its_fds),
		RIG_TEST(a_peer_that_never_reads_costs_a_mebibyte_at_most),
		RIG_TEST(queued_fds_are_duplicates_and_go_out_with_their_message),
		RIG_TEST(queued_fds_are_bounded_and_closed_with_the_link),
		RIG_TEST(writing_to_a_peer_that_went_is_an_error_and_no_signal),
		RIG_TEST(what_came_before_a_failed_write_is_still_read),
		RIG_TEST(a_message_that_has_no_bytes_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
