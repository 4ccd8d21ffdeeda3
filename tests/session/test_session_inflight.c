/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that mean ill with the inflight area, at a real socket: it costs no fd, no
 * mapping and no memory but what is in use of it.
 */
#include "session/raw.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NUM	 16u
#define STRIDE	 320u /* of a ring of 16 */

static int open_tracked(void **state)
{
	struct vh_device_ops ops = raw_hoard;

	ops.flags |= VH_DEVICE_INFLIGHT;
	return raw_open(state, &ops, NULL, 0);
}

static struct vh_wire_inflight area(void)
{
	return (struct vh_wire_inflight){
		.size = STRIDE, .n_queues = 1, .queue_size = NUM};
}

/* 0, 1 (refused) or -1 (closed). */
static int set_area(struct raw *r, struct vh_wire_inflight a, const int *fds, unsigned n)
{
	return raw_tell(r, VH_MSG_SET_INFLIGHT_FD, &a, sizeof(a), fds, n);
}

static void connect_and_negotiate(struct raw *r)
{
	raw_connect(r);
	raw_negotiate(r);
}

/* CVE-2020-10726 */
static void an_area_asked_for_ten_thousand_times_leaves_no_fd(void **state)
{
	const struct vh_wire_inflight a = area();
	struct vh_wire_inflight got;
	struct raw *r = *state;
	int fds[VH_MAX_FDS], n_fds;

	connect_and_negotiate(r);
	n_fds = rig_count_fds();
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t id, flags;
		unsigned n = 0;

		assert_true(raw_say(r, VH_MSG_GET_INFLIGHT_FD, VH_FLAG_VERSION, &a,
				    sizeof(a), NULL, 0));
		peer_read(r->fd, &id, &flags, &got, sizeof(got), fds, &n);
		assert_int_equal(n, 1);
		close(fds[0]);
		if (i % 1000)
			continue;
		raw_wait_for_release(r);
		assert_int_equal(rig_count_fds(), n_fds);
	}
	assert_int_equal(got.size, STRIDE + VH_LASTING);
	raw_expect_service(r);
}

static void an_area_given_a_thousand_times_is_mapped_once(void **state)
{
	struct raw *r = *state;
	const int fd = rig_memfd(4096);
	const unsigned n_maps = rig_count_memfd_maps();
	int n_fds;

	connect_and_negotiate(r);
	n_fds = rig_count_fds();
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(set_area(r, area(), &fd, 1), 0);
		assert_int_equal(rig_count_memfd_maps(), n_maps + 1);
	}
	raw_wait_for_release(r);
	assert_int_equal(rig_count_fds(), n_fds);
	close(fd);
	raw_expect_service(r);
}

/* CVE-2022-0669 */
static void surplus_fds_of_an_area_are_closed(void **state)
{
	static const uint32_t ids[] = {VH_MSG_GET_INFLIGHT_FD, VH_MSG_SET_INFLIGHT_FD};
	const struct vh_wire_inflight a = area();
	struct raw *r = *state;
	const int m = r->mem_fd;
	const int fds[] = {m, r->call, m, m, r->call, m, m, m};
	int n_fds = 0;

	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = i ? 2 : 1; n <= COUNT(fds); n++) {
			connect_and_negotiate(r);
			if (!n_fds)
				n_fds = rig_count_fds();
			assert_int_equal(rig_count_fds(), n_fds);
			assert_true(raw_say(r, ids[i], VH_FLAG_VERSION, &a, sizeof(a),
					    fds, n));
			assert_true(peer_is_closed(r->fd));
		}
	}
	raw_expect_service(r);
}

static void an_area_that_no_file_holds_is_not_mapped(void **state)
{
	static const struct vh_wire_inflight areas[] = {
		{.size = 8192, .n_queues = 1, .queue_size = NUM},
		{.size = STRIDE, .offset = 4096, .n_queues = 1, .queue_size = NUM},
		{.size = STRIDE, .offset = 1ull << 62, .n_queues = 1, .queue_size = NUM},
		{.size = UINT64_MAX - 7, .n_queues = 1, .queue_size = NUM},
		{.size = STRIDE, .n_queues = 65535, .queue_size = NUM},
		{.size = STRIDE, .offset = 4, .n_queues = 1, .queue_size = NUM},
		{.size = STRIDE, .n_queues = 1, .queue_size = 2 * NUM},
	};
	struct raw *r = *state;
	const int fd = rig_memfd(4096);
	const unsigned n_maps = rig_count_memfd_maps();

	for (unsigned i = 0; i < COUNT(areas); i++) {
		connect_and_negotiate(r);
		assert_int_not_equal(set_area(r, areas[i], &fd, 1), 0);
		assert_int_equal(rig_count_memfd_maps(), n_maps);
	}
	connect_and_negotiate(r);
	assert_int_not_equal(set_area(r, area(), &r->call, 1), 0); /* no memory at all */
	close(fd);
	raw_expect_service(r);
}

/* A front-end that names a long file must not make us write all of it. */
static void a_reset_clears_what_is_in_use_of_an_area_and_no_more(void **state)
{
	struct vh_wire_inflight a = area();
	struct raw *r = *state;
	const int fd = rig_memfd(65536);
	uint8_t *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 0x77, 65536);
	a.size = 65536;
	connect_and_negotiate(r);
	assert_int_equal(set_area(r, a, &fd, 1), 0);
	assert_int_equal(raw_tell(r, VH_MSG_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	for (unsigned i = 0; i < STRIDE + VH_LASTING; i++)
		assert_int_equal(p[i], 0);
	for (unsigned i = STRIDE + VH_LASTING; i < 65536; i++)
		assert_int_equal(p[i], 0x77);
	munmap(p, 65536);
	close(fd);
	raw_expect_service(r);
}

static void start_tracked(struct raw *r, int fd)
{
	connect_and_negotiate(r);
	memset(r->mem, 0, RAW_MEMORY);
	assert_int_equal(set_area(r, area(), &fd, 1), 0);
	assert_int_equal(raw_table(r, 2), 0);
	raw_start_ring(r, NUM, 0);
}

static void an_area_that_shrinks_ends_its_connection_only(void **state)
{
	struct raw *r = *state;
	const int fd = rig_memfd(4096);

	raw_use_guard();
	start_tracked(r, fd);
	raw_use_a_chain(r);
	assert_int_equal(ftruncate(fd, 0), 0);
	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	assert_true(peer_is_closed(r->fd));
	close(fd);
	raw_expect_service(r);
}

static void a_spoilt_area_stops_its_ring_only(void **state)
{
	static const uint8_t nonsense[STRIDE] = {
		[8] = 1, [10] = NUM, [12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff};
	struct raw *r = *state;
	const int fd = rig_memfd(4096);
	uint64_t n = 0;

	assert_int_equal(pwrite(fd, nonsense, sizeof(nonsense), 0), sizeof(nonsense));
	start_tracked(r, fd);
	while (read(r->err, &n, sizeof(n)) < 0)
		; /* it comes for sure */
	assert_int_equal(n, 1);
	close(fd);
	raw_expect_service(r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_tracked, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_area_asked_for_ten_thousand_times_leaves_no_fd),
		TEST(an_area_given_a_thousand_times_is_mapped_once),
		TEST(surplus_fds_of_an_area_are_closed),
		TEST(an_area_that_no_file_holds_is_not_mapped),
		TEST(a_reset_clears_what_is_in_use_of_an_area_and_no_more),
		TEST(an_area_that_shrinks_ends_its_connection_only),
		TEST(a_spoilt_area_stops_its_ring_only),
	};

	raw_install_guard();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
