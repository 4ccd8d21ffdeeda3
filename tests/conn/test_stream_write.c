/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes out over one connected socket, and what piles up. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "conn/stream.h"

static void what_is_sent_arrives_with_its_fds(void **state)
{
	int fds[8], got[8];
	unsigned n_got;
	uint8_t payload[8 + 8 * 32];
	uint32_t id, flags;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
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
	rig_link_close(&l);
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
	struct rig_link l;
	struct vh_msg m;
	uint32_t id, flags, payload[2], n;

	(void)state;
	rig_link_open(&l);
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
	rig_link_close(&l);
}

static void queued_fds_are_duplicates_and_go_out_with_their_message(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), got[8];
	uint32_t id, flags;
	uint64_t payload;
	unsigned n_fds;
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
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
	rig_link_close(&l);
}

static void queued_fds_are_bounded_and_closed_with_the_link(void **state)
{
	struct rig_link l;
	struct vh_msg m;
	unsigned n = 0;
	int err;

	(void)state;
	rig_link_open(&l);
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
	rig_link_close(&l);
}

static void writing_to_a_peer_that_went_is_an_error_and_no_signal(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	close(vh_fd_take(&l.peer));
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	assert_int_equal(vh_stream_write(&l.s, &m), -EPIPE);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	rig_link_close(&l);
}

static void what_came_before_a_failed_write_is_still_read(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	peer_ask(l.peer, VH_MSG_GET_FEATURES);
	assert_int_equal(shutdown(l.peer, SHUT_RD), 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	assert_int_equal(vh_stream_write(&l.s, &m), -EPIPE);
	assert_int_equal(vh_stream_read(&l.s, &m), 1);
	assert_int_equal(m.id, VH_MSG_GET_FEATURES);
	assert_int_equal(vh_stream_read(&l.s, &m), -EPIPE);
	rig_link_close(&l);
}

static void a_message_that_has_no_bytes_is_refused(void **state)
{
	struct rig_link l;
	struct vh_msg m;

	(void)state;
	rig_link_open(&l);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.size = VH_MAX_CONFIG + 1;
	assert_int_equal(vh_stream_write(&l.s, &m), -EMSGSIZE);
	rig_link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
