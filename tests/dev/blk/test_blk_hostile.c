/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that go, take their memory away or mean ill while the disk has requests of
 * theirs.  A `delay=` keeps those under way for as long as a test needs.
 */
#include "session/raw.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>

#include <vhost/stats.h>

#include "dev/blk/blk.h"
#include "spec/virtio_blk.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define SECTOR	  512u
#define NO_STATUS 0xee

/* A request's place in the second region: header, status, data. */
#define PLACE(slot) (RAW_BUFFERS + 0x4000u * (slot))
#define STATUS	    0x100u
#define DATA	    0x1000u

static int open_disk(void **state, const char *delay, const char *error,
		     const char *timeout)
{
	const struct vh_param params[] = {{"memory", "8M"},
					  {"delay", delay},
					  {"error", error},
					  {"drain-timeout", timeout}};

	return raw_open(state, &vh_blk, params, COUNT(params));
}

static int open_slow(void **state)
{
	return open_disk(state, "40ms", "off", "0");
}

static int open_brisk(void **state)
{
	return open_disk(state, "5ms", "off", "0");
}

static int open_stalled(void **state)
{
	return open_disk(state, "write:1200ms", "off", "0");
}

static int open_hopeless(void **state)
{
	return open_disk(state, "write:3600s,read:3600s", "off", "1");
}

static int open_with_timeout(void **state)
{
	return open_disk(state, "write:700ms", "off", "1");
}

static int open_failing(void **state)
{
	return open_disk(state, "40ms", "EIO:write:at=0-512", "0");
}

/* ---- Requests ---- */

static void ask(struct raw *r, unsigned slot, uint32_t type, uint64_t sector,
		uint32_t len)
{
	const struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	const unsigned in = type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0;
	const unsigned first = 3 * slot;

	memcpy(r->mem + PLACE(slot), &h, sizeof(h));
	r->mem[PLACE(slot) + STATUS] = NO_STATUS;
	raw_desc(r, first, PLACE(slot), sizeof(h), VRING_DESC_F_NEXT, first + 1);
	raw_desc(r, first + 1, PLACE(slot) + DATA, len, VRING_DESC_F_NEXT | in,
		 first + 2);
	raw_desc(r, first + 2, PLACE(slot) + STATUS, 1, VRING_DESC_F_WRITE, 0);
	raw_offer(r, first);
}

static uint8_t status_of(const struct raw *r, unsigned slot)
{
	return r->mem[PLACE(slot) + STATUS];
}

static bool is_filled(const struct raw *r, unsigned slot, uint8_t byte, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (r->mem[PLACE(slot) + DATA + i] != byte)
			return false;
	return true;
}

static void fill(struct raw *r, unsigned slot, uint8_t byte, uint32_t len)
{
	memset(r->mem + PLACE(slot) + DATA, byte, len);
}

/* Requests that the disk got, since it is served. */
static uint64_t n_taken(const struct raw *r)
{
	struct vh_queue_stats s;

	vh_queue_read_stats(vh_device_queue(r->device, 0), &s);
	return s.chains;
}

static void set_flag(void *flag)
{
	__atomic_store_n((bool *)flag, true, __ATOMIC_RELEASE);
}

/* A chain is counted before it is read: that was done when the reactor's turn is over. */
static void wait_taken(const struct raw *r, uint64_t n)
{
	bool over = false;

	while (n_taken(r) != n)
		sched_yield();
	assert_int_equal(vh_reactor_post(r->reactor[1], set_flag, &over), 0);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* Requests are under way, none is done. */
static void start_requests(struct raw *r, unsigned n, uint32_t type)
{
	const uint64_t before = n_taken(r);

	for (unsigned i = 0; i < n; i++) {
		fill(r, i, (uint8_t)(0x10 + i), SECTOR);
		ask(r, i, type, 8 * i, SECTOR);
	}
	wait_taken(r, before + n);
}

static void expect_sector(struct raw *r, uint64_t sector, uint8_t byte)
{
	const uint16_t used = raw_used_index(r);

	fill(r, 20, (uint8_t)~byte, SECTOR);
	ask(r, 20, VIRTIO_BLK_T_IN, sector, SECTOR);
	raw_wait_used(r, (uint16_t)(used + 1));
	assert_int_equal(status_of(r, 20), VIRTIO_BLK_S_OK);
	assert_true(is_filled(r, 20, byte, SECTOR));
}

/* ---- Those who go ---- */

static void a_front_end_that_dies_in_mid_write_leaves_whole_sectors(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();

	raw_run(r, 64, 0);
	start_requests(r, 8, VIRTIO_BLK_T_OUT);
	raw_hang_up(r);
	raw_connect(r); /* waits until the requests are done and the memory is gone */
	assert_int_equal(rig_count_memfd_maps(), n_maps);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_OK);
	raw_run(r, 64, 0);
	for (unsigned i = 0; i < 8; i++)
		expect_sector(r, 8 * i, (uint8_t)(0x10 + i));
}

static void a_message_that_is_cut_off_costs_its_connection_only(void **state)
{
	struct raw *r = *state;
	const struct vh_wire_header h = {VH_MSG_SET_MEM_TABLE, VH_FLAG_VERSION, 40};

	for (unsigned cut = 1; cut < sizeof(h); cut += 2) {
		raw_run(r, 64, 0);
		start_requests(r, 4, VIRTIO_BLK_T_OUT);
		peer_send_bytes(r->fd, &h, cut, &r->mem_fd, 1);
		raw_hang_up(r);
	}
	raw_run(r, 64, 0);
	expect_sector(r, 8, 0x11);
}

static void two_hundred_reconnects_with_requests_under_way_leave_nothing(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	size_t heap = 0;
	int n_fds = 0;

	for (unsigned i = 0; i < 200; i++) {
		raw_run(r, 64, 0);
		start_requests(r, 1 + i % 16, i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT);
		raw_hang_up(r);
		raw_connect(r);
		if (i == 20) {
			n_fds = rig_count_fds();
			heap = mallinfo2().uordblks;
		}
		assert_int_equal(rig_count_memfd_maps(), n_maps);
	}
	assert_int_equal(rig_count_fds(), n_fds);
	assert_true(mallinfo2().uordblks < heap + 65536); /* 0 under a sanitizer, which
							     looks for leaks itself */
}

/* ---- Those who take their memory away ---- */

static int remove_buffers(struct raw *r)
{
	const struct vh_wire_mem_reg reg = {
		.region = {RAW_BUFFERS, RAW_MEMORY - RAW_BUFFERS, RAW_UVA + RAW_BUFFERS,
			   RAW_BUFFERS}};

	return raw_tell(r, VH_MSG_REM_MEM_REG, &reg, sizeof(reg), NULL, 0);
}

static int replace_table(struct raw *r)
{
	return raw_table(r, 1);
}

static void expect_waits(struct raw *r, int (*take_away)(struct raw *r))
{
	unsigned n_maps;

	raw_run(r, 64, 0);
	n_maps = rig_count_memfd_maps();
	start_requests(r, 8, VIRTIO_BLK_T_IN);
	assert_int_equal(take_away(r), 0);
	assert_int_equal(raw_used_index(r), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_OK);
	raw_wait_for_release(r);
	assert_int_equal(rig_count_memfd_maps(), n_maps - 1); /* so nobody writes there */
	assert_int_equal(raw_stop_ring(r), 8);
	raw_hang_up(r);
}

static void memory_that_goes_waits_for_the_requests_that_use_it(void **state)
{
	expect_waits(*state, remove_buffers);
	expect_waits(*state, replace_table);
}

static void a_request_in_memory_that_is_gone_stops_the_disk_only(void **state)
{
	struct raw *r = *state;

	raw_run(r, 64, 0);
	assert_int_equal(remove_buffers(r), 0);
	ask(r, 0, VIRTIO_BLK_T_IN, 0, SECTOR);
	while (!rig_logged("outside of guest memory"))
		sched_yield();
	assert_int_equal(status_of(r, 0), NO_STATUS);
	raw_run(r, 64, 0);
	expect_sector(r, 0, 0);
}

/* ---- Those who change what was asked for ---- */

static void a_request_that_changes_under_way_stays_what_it_was(void **state)
{
	const struct virtio_blk_outhdr other = {.type = VIRTIO_BLK_T_IN, .sector = 64};
	struct raw *r = *state;

	raw_run(r, 64, 0);
	start_requests(r, 1, VIRTIO_BLK_T_OUT);
	memcpy(r->mem + PLACE(0), &other, sizeof(other));
	raw_desc(r, 0, PLACE(9), 4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	raw_desc(r, 1, PLACE(9), 4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	raw_desc(r, 2, PLACE(9), 4096, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	raw_wait_used(r, 1);
	assert_int_equal(status_of(r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(r->mem[PLACE(9)], 0);
	expect_sector(r, 0, 0x10);
	expect_sector(r, 64, 0);
}

/* ---- Stores that take their time ---- */

static void a_store_that_stalls_is_waited_for_and_that_is_said(void **state)
{
	struct raw *r = *state;

	rig_log_clear();
	raw_run(r, 64, 0);
	start_requests(r, 3, VIRTIO_BLK_T_OUT);
	assert_int_equal(raw_stop_ring(r), 3);
	assert_int_equal(raw_used_index(r), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_OK);
	assert_int_equal(rig_logged("for 3 buffer chains"), 1);
}

static void drain_timeout_fails_what_the_store_gives_up(void **state)
{
	struct raw *r = *state;

	rig_log_clear();
	raw_run(r, 64, 0);
	start_requests(r, 3, VIRTIO_BLK_T_OUT);
	assert_int_equal(raw_stop_ring(r), 3);
	assert_int_equal(raw_used_index(r), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_logged("drain-timeout=1"), 1);
}

static void drain_timeout_holds_for_a_front_end_that_went(void **state)
{
	struct raw *r = *state;

	raw_run(r, 64, 0);
	start_requests(r, 3, VIRTIO_BLK_T_IN);
	raw_hang_up(r);
	raw_connect(r);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_IOERR);
		assert_true(is_filled(r, i, (uint8_t)(0x10 + i), SECTOR));
	}
}

/* The ring's own memory goes and comes back, and the first wait ended in time. */
static void drain_timeout_is_not_for_what_comes_after_the_wait(void **state)
{
	struct raw *r = *state;

	raw_run(r, 64, 0);
	start_requests(r, 1, VIRTIO_BLK_T_OUT);
	assert_int_equal(raw_table(r, 0), 0);
	assert_int_equal(status_of(r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(raw_table(r, 2), 0);
	ask(r, 1, VIRTIO_BLK_T_OUT, 8, SECTOR);
	raw_wait_used(r, 2);
	assert_int_equal(status_of(r, 1), VIRTIO_BLK_S_OK);
}

/* ---- Stores that fail ---- */

static void an_error_reaches_its_own_request_only(void **state)
{
	struct raw *r = *state;

	raw_run(r, 64, 0);
	start_requests(r, 8, VIRTIO_BLK_T_OUT); /* the first one fails */
	raw_wait_used(r, 8);
	assert_int_equal(status_of(r, 0), VIRTIO_BLK_S_IOERR);
	for (unsigned i = 1; i < 8; i++)
		assert_int_equal(status_of(r, i), VIRTIO_BLK_S_OK);
	expect_sector(r, 0, 0);
	for (unsigned i = 1; i < 8; i++)
		expect_sector(r, 8 * i, (uint8_t)(0x10 + i));
}

#define TEST(open, fn) cmocka_unit_test_setup_teardown(fn, open, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(open_slow, a_front_end_that_dies_in_mid_write_leaves_whole_sectors),
		TEST(open_slow, a_message_that_is_cut_off_costs_its_connection_only),
		TEST(open_brisk,
		     two_hundred_reconnects_with_requests_under_way_leave_nothing),
		TEST(open_slow, memory_that_goes_waits_for_the_requests_that_use_it),
		TEST(open_slow, a_request_in_memory_that_is_gone_stops_the_disk_only),
		TEST(open_slow, a_request_that_changes_under_way_stays_what_it_was),
		TEST(open_stalled, a_store_that_stalls_is_waited_for_and_that_is_said),
		TEST(open_hopeless, drain_timeout_fails_what_the_store_gives_up),
		TEST(open_hopeless, drain_timeout_holds_for_a_front_end_that_went),
		TEST(open_with_timeout,
		     drain_timeout_is_not_for_what_comes_after_the_wait),
		TEST(open_failing, an_error_reaches_its_own_request_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
