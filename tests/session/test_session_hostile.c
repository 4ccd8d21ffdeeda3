/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that mean ill, at a real socket: what they send, and in which order,
 * costs their own connection at most, and no fd, no mapping and nobody else's
 * device.
 */
#include "session/raw.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- File descriptors ---- */

static void surplus_fds_of_any_message_are_closed(void **state)
{
	struct raw *r = *state;
	static const uint8_t payload[256];
	const int fds[] = {r->call, r->mem_fd, r->call, r->mem_fd,
			   r->call, r->mem_fd, r->call, r->mem_fd};
	int n_fds = 0;

	for (uint32_t id = 1; id < 50; id++) {
		for (unsigned n = 0; n <= COUNT(fds); n++) {
			raw_connect(r);
			if (!n_fds)
				n_fds = rig_count_fds();
			assert_int_equal(rig_count_fds(), n_fds);
			raw_say(r, id, VH_FLAG_VERSION, payload, raw_size_of(id), fds, n);
		}
	}
	raw_expect_service(r);
}

static void fds_given_a_thousand_times_are_kept_once(void **state)
{
	struct raw *r = *state;
	static const uint32_t ids[] = {VH_MSG_SET_VRING_CALL, VH_MSG_SET_VRING_ERR,
				       VH_MSG_SET_VRING_KICK, VH_MSG_SET_LOG_FD};
	const uint64_t index = 0;
	int n_fds = 0;

	raw_run(r, 16, 0);
	for (unsigned i = 0; i < 1000; i++) {
		const uint32_t id = ids[i % COUNT(ids)];
		const uint32_t size = id == VH_MSG_SET_LOG_FD ? 0 : sizeof(index);

		assert_int_equal(raw_tell(r, id, &index, size, &r->call, 1), 0);
		raw_wait_for_release(r);
		if (i == COUNT(ids))
			n_fds = rig_count_fds();
		else if (i > COUNT(ids))
			assert_int_equal(rig_count_fds(), n_fds);
	}
}

static void a_channel_given_a_hundred_times_is_kept_once(void **state)
{
	struct raw *r = *state;
	int n_fds = 0;

	raw_run(r, 16, 0);
	for (unsigned i = 0; i < 100; i++) {
		int pair[2];

		peer_pair(pair);
		assert_int_equal(
			raw_tell(r, VH_MSG_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
		close(pair[1]);
		raw_wait_for_release(r);
		if (!i)
			n_fds = rig_count_fds();
		assert_int_equal(rig_count_fds(), n_fds);
		close(pair[0]);
	}
}

/* ---- Memory ---- */

static int add_region(struct raw *r, uint64_t gpa, uint64_t size, uint64_t uva,
		      uint64_t offset)
{
	const struct vh_wire_mem_reg m = {.region = {gpa, size, uva, offset}};

	return raw_tell(r, VH_MSG_ADD_MEM_REG, &m, sizeof(m), &r->mem_fd, 1);
}

static void regions_that_no_file_holds_are_not_mapped(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	static const struct {
		uint64_t size, offset;
	} bad[] = {
		{0, 0},
		{UINT64_MAX, 0},
		{UINT64_MAX - 4095, 4096},
		{1ull << 63, 0},
		{RAW_MEMORY + 1, 0},
		{4096, RAW_MEMORY},
		{4096, UINT64_MAX - 4095},
		{4096, RAW_MEMORY - 4095},
	};

	for (unsigned i = 0; i < COUNT(bad); i++) {
		raw_run(r, 16, 0);
		assert_int_equal(rig_count_memfd_maps(), n_maps + 2);
		assert_int_not_equal(
			add_region(r, 0x40000000, bad[i].size, 0x1000, bad[i].offset), 0);
		raw_connect(r);
		assert_int_equal(rig_count_memfd_maps(), n_maps);
	}
	raw_expect_service(r);
}

static void tables_sent_a_thousand_times_are_mapped_once(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();

	raw_run(r, 16, 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(raw_table(r, 2), 0);
	raw_wait_for_release(r);
	assert_int_equal(rig_count_memfd_maps(), n_maps + 2);
	raw_use_a_chain(r);
}

static void expect_ack(struct raw *r, uint32_t id)
{
	uint32_t got, flags;
	uint64_t ack = 1;

	assert_int_equal(peer_read(r->fd, &got, &flags, &ack, sizeof(ack), NULL, NULL),
			 8);
	assert_int_equal(got, id);
	assert_int_equal(ack, 0);
}

static void memory_stays_until_the_chains_that_use_it_are_done(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	const struct vh_wire_mem_reg m = {.region = {RAW_BUFFERS,
						     RAW_MEMORY - RAW_BUFFERS,
						     RAW_UVA + RAW_BUFFERS, 0}};

	raw_run(r, 16, 0);
	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	raw_wait_held(r, 1);
	assert_true(raw_say(r, VH_MSG_REM_MEM_REG, VH_FLAG_VERSION | VH_FLAG_NEED_REPLY,
			    &m, sizeof(m), NULL, 0));
	assert_false(raw_is_answered(r));
	assert_int_equal(rig_count_memfd_maps(), n_maps + 2);
	raw_release(r);
	expect_ack(r, VH_MSG_REM_MEM_REG);
	assert_int_equal(raw_used_index(r), 1);
	raw_wait_for_release(r);
	assert_int_equal(rig_count_memfd_maps(), n_maps + 1);
}

/* What is offered afterwards is a buffer in memory that has gone. */
static void a_buffer_in_memory_that_has_gone_breaks_the_ring(void **state)
{
	struct raw *r = *state;
	uint64_t n;

	raw_run(r, 16, 0);
	assert_int_equal(raw_table(r, 1), 0);
	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	while (read(r->err, &n, sizeof(n)) < 0)
		sched_yield();
	assert_int_equal(raw_stop_ring(r), 0);
	raw_expect_service(r);
}

static void the_end_of_a_link_waits_for_chains_that_are_out(void **state)
{
	struct raw *r = *state;

	for (unsigned i = 0; i < 20; i++) {
		raw_run(r, 16, 0);
		raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
		raw_offer(r, 0);
		raw_wait_held(r, 1);
		raw_hang_up(r);
	}
	raw_expect_service(r);
}

/* ---- The log ---- */

static int set_log(struct raw *r, int fd, uint64_t size, uint64_t offset)
{
	const struct vh_wire_log log = {size, offset};
	uint64_t any;

	/* Answered by a header alone. */
	return raw_ask(r, VH_MSG_SET_LOG_BASE, &log, sizeof(log), &fd, 1, &any);
}

static void a_log_that_is_replaced_in_mid_flight_gets_no_more_marks(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	const int old = rig_memfd(4096), new = rig_memfd(4096);
	uint64_t features;

	raw_run(r, 16, 0);
	assert_int_equal(set_log(r, old, 64, 0), 1);
	assert_int_equal(raw_ask(r, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0, &features), 0);
	assert_int_equal(raw_tell_u64(r, VH_MSG_SET_FEATURES, features), 0);
	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	raw_wait_held(r, 1);
	assert_int_equal(set_log(r, new, 64, 0), 1);
	raw_wait_for_release(r);
	assert_int_equal(rig_count_memfd_maps(), n_maps + 3);
	raw_release(r);
	raw_wait_used(r, 1);
	assert_int_equal(rig_byte_at(old, RAW_BUFFERS / 4096 / 8), 0);
	assert_int_equal(rig_byte_at(new, RAW_BUFFERS / 4096 / 8),
			 1 << RAW_BUFFERS / 4096 % 8);
	close(old);
	close(new);
}

static void a_log_that_its_file_does_not_hold_is_not_mapped(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	const int fd = rig_memfd(4096);
	static const struct {
		uint64_t size, offset;
	} bad[] = {
		{0, 0},	   {UINT64_MAX, 0}, {UINT64_MAX, 1},	      {1, UINT64_MAX},
		{4096, 1}, {4097, 0},	    {1ull << 63, 1ull << 63}, {1, 4096},
	};

	for (unsigned i = 0; i < COUNT(bad); i++) {
		raw_run(r, 16, 0);
		assert_int_equal(set_log(r, fd, bad[i].size, bad[i].offset), -1);
		raw_connect(r);
		assert_int_equal(rig_count_memfd_maps(), n_maps);
	}
	close(fd);
	raw_expect_service(r);
}

/* ---- Files that shrink ---- */

static void a_file_that_shrinks_ends_its_connection_only(void **state)
{
	struct raw *r = *state;
	const uint64_t one = 1;

	raw_use_guard();
	raw_run(r, 16, 0);
	assert_int_equal(ftruncate(r->mem_fd, 4096), 0); /* only descriptors are left */
	assert_int_equal(write(r->kick, &one, sizeof(one)), sizeof(one));
	assert_true(peer_is_closed(r->fd));
	assert_int_equal(ftruncate(r->mem_fd, RAW_MEMORY), 0);
	raw_expect_service(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW_TEST(surplus_fds_of_any_message_are_closed),
		RAW_TEST(fds_given_a_thousand_times_are_kept_once),
		RAW_TEST(a_channel_given_a_hundred_times_is_kept_once),
		RAW_TEST(regions_that_no_file_holds_are_not_mapped),
		RAW_TEST(tables_sent_a_thousand_times_are_mapped_once),
		RAW_TEST(memory_stays_until_the_chains_that_use_it_are_done),
		RAW_TEST(a_buffer_in_memory_that_has_gone_breaks_the_ring),
		RAW_TEST(the_end_of_a_link_waits_for_chains_that_are_out),
		RAW_TEST(a_log_that_is_replaced_in_mid_flight_gets_no_more_marks),
		RAW_TEST(a_log_that_its_file_does_not_hold_is_not_mapped),
		RAW_TEST(a_file_that_shrinks_ends_its_connection_only),
	};

	raw_install_guard();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
