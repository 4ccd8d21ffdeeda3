/* SPDX-License-Identifier: BSD-3-Clause */
/* A window that is not mapped: each access is made for the guest. */
#include "window_rig.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/guard.h"

#define SIZE (1u << 20)

static struct vh_window *window_make(void)
{
	struct vh_window *w;

	assert_int_equal(vh_window_trap(SIZE, "test", &w), 0);
	rig_forget();
	return w;
}

/* ---- What the guest sees ---- */

static void regions_are_packed_page_by_page(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = 100, .uva = 0x1000, .offset = PAGE},
		{.gpa = 0x100000, .size = 2 * PAGE, .uva = 0x9000, .offset = 16},
	};
	struct vh_window *w = window_make();
	int fds[] = {rig_file(NULL, 4 * PAGE), rig_file(NULL, 4 * PAGE)};
	struct vh_window_table t;

	(void)state;
	assert_int_equal(rig_place(w, r, 2, fds, &t), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.region[0].at, 0);
	assert_int_equal(t.region[0].size, 100);
	assert_int_equal(t.region[1].at, PAGE + 16);
	assert_int_equal(t.region[1].gpa, 0x100000);
	assert_int_equal(t.region[1].uva, 0x9000);
	vh_window_destroy(w);
	close(fds[0]);
	close(fds[1]);
}

static void accesses_of_any_width_reach_the_file(void **state)
{
	static const struct vh_wire_region r = {.size = 2 * PAGE, .offset = PAGE};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, 4 * PAGE);
	uint8_t *front = rig_map(fd, 4 * PAGE) + PAGE, bytes[37], back[37];
	struct vh_window_table t;

	(void)state;
	assert_int_equal(rig_place(w, &r, 1, &fd, &t), 0);
	for (size_t len = 1; len <= 8; len++)
		for (uint64_t at = 0; at < 8; at++) {
			memset(front, 0, 16);
			rig_write(w, at, 0x1122334455667788, len);
			assert_memory_equal(front + at,
					    "\x88\x77\x66\x55\x44\x33\x22\x11", len);
			assert_int_equal(front[at + len], 0);
			assert_int_equal(rig_read(w, at, len),
					 0x1122334455667788 & (~0ull >> (64 - 8 * len)));
		}
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	w->ops->write(w, 3, bytes, sizeof(bytes));
	w->ops->read(w, 3, back, sizeof(back));
	assert_memory_equal(front + 3, bytes, sizeof(bytes));
	assert_memory_equal(back, bytes, sizeof(bytes));
	munmap(front - PAGE, 4 * PAGE);
	close(fd);
	vh_window_destroy(w);
}

static void beside_the_regions_zero_is_read_and_nothing_written(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = PAGE, .offset = 0},
		{.gpa = PAGE, .size = PAGE, .offset = PAGE},
	};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, 4 * PAGE), fds[] = {fd, fd};
	uint8_t *front = rig_map(fd, 4 * PAGE);
	struct vh_window_table t;

	(void)state;
	memset(front, 0xee, 4 * PAGE);
	assert_int_equal(rig_place(w, r, 2, fds, &t), 0);
	assert_int_equal(rig_read(w, 2 * PAGE - 4, 8), 0xeeeeeeee);
	assert_int_equal(rig_read(w, 2 * PAGE, 8), 0);
	assert_int_equal(rig_read(w, SIZE - 8, 8), 0);
	rig_write(w, 2 * PAGE - 4, 0, 8);
	assert_int_equal(front[2 * PAGE - 4], 0);
	assert_int_equal(front[2 * PAGE], 0xee);
	/* one access, two regions */
	rig_write(w, PAGE - 4, 0x0807060504030201, 8);
	assert_int_equal(rig_read(w, PAGE - 4, 8), 0x0807060504030201);
	munmap(front, 4 * PAGE);
	close(fd);
	vh_window_destroy(w);
}

/* ---- Tables that change ---- */

static void a_dropped_table_reads_as_zero_and_can_come_back(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, PAGE);
	struct vh_window_table t;

	(void)state;
	assert_int_equal(rig_place(w, &r, 1, &fd, &t), 0);
	rig_write(w, 8, 77, 4);
	w->ops->drop(w);
	assert_int_equal(rig_read(w, 8, 4), 0);
	rig_write(w, 8, 78, 4);
	assert_int_equal(rig_place(w, &r, 1, &fd, &t), 0);
	assert_int_equal(rig_read(w, 8, 4), 77);
	close(fd);
	vh_window_destroy(w);
}

static void an_equal_table_of_other_files_lands_at_equal_places(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = PAGE},
		{.gpa = 0x100000, .size = 3 * PAGE, .offset = PAGE},
	};
	struct vh_window *w = window_make();
	int one[] = {rig_file(NULL, 4 * PAGE), rig_file(NULL, 4 * PAGE)};
	int other[] = {rig_file(NULL, 4 * PAGE), rig_file(NULL, 4 * PAGE)};
	struct vh_window_table t, u;

	(void)state;
	assert_int_equal(rig_place(w, r, 2, one, &t), 0);
	assert_int_equal(rig_place(w, r, 2, other, &u), 0);
	assert_memory_equal(t.region, u.region, 2 * sizeof(t.region[0]));
	for (unsigned i = 0; i < 2; i++) {
		close(one[i]);
		close(other[i]);
	}
	vh_window_destroy(w);
}

static void a_table_that_fails_leaves_the_old_one(void **state)
{
	static const struct {
		struct vh_wire_region region;
		int err;
	} cases[] = {
		{{.size = SIZE + 1}, -ENOSPC},
		{{.size = UINT64_MAX}, -ENOSPC},
		{{.size = SIZE, .offset = 1}, -ENOSPC},
		{{.size = 5 * PAGE}, -EINVAL},
		{{.size = PAGE, .offset = UINT64_MAX}, -EINVAL},
		{{.size = 0}, -EINVAL},
	};
	static const struct vh_wire_region good = {.size = PAGE};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, 4 * PAGE), pair[] = {fd, fd};
	struct vh_window_table t;
	unsigned fds;

	(void)state;
	assert_int_equal(rig_place(w, &good, 1, &fd, &t), 0);
	rig_write(w, 8, 77, 4);
	fds = rig_count_fds();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vh_wire_region two[] = {good, cases[i].region};

		assert_int_equal(rig_place(w, two, 2, pair, &t), cases[i].err);
		assert_int_equal(rig_read(w, 8, 4), 77);
	}
	assert_int_equal(rig_count_fds(), fds);
	close(fd);
	vh_window_destroy(w);
}

static void it_says_once_how_to_make_it_fast(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, PAGE);
	struct vh_window_table t;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_place(w, &r, 1, &fd, &t), 0);
	assert_int_equal(rig_logged("--memory file:PATH"), 1);
	close(fd);
	vh_window_destroy(w);
}

/* cmocka takes SIGBUS for itself in each test, and the guard takes it once. */
static struct sigaction of_guard;

static void guard_install(void)
{
	static uint8_t byte;
	unsigned slot;

	if (!vh_guard_add(&byte, 1, -1, &slot))
		vh_guard_remove(slot);
	sigaction(SIGBUS, NULL, &of_guard);
}

static void a_file_that_shrinks_reads_as_zero_and_is_told(void **state)
{
	static const struct vh_wire_region r = {.size = 4 * PAGE};
	struct vh_window *w = window_make();
	int fd = rig_file(NULL, 4 * PAGE);
	struct vh_window_table t;

	(void)state;
	sigaction(SIGBUS, &of_guard, NULL);
	assert_int_equal(rig_place(w, &r, 1, &fd, &t), 0);
	rig_write(w, PAGE, 77, 4);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(rig_read(w, PAGE, 4), 0);
	rig_write(w, 3 * PAGE, 78, 4);
	assert_int_equal(rig_logged("has shrunk"), 1);
	close(fd);
	vh_window_destroy(w);
}

static void a_bar_of_no_power_of_two_is_refused(void **state)
{
	static const uint64_t sizes[] = {1, 2048, 5 * PAGE, 1ull << 48, UINT64_MAX};
	struct vh_window *w;

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(vh_window_trap(sizes[i], "test", &w), -EINVAL);
}

/* ---- Which kind ---- */

static void it_takes_the_kind_that_suits(void **state)
{
	static const struct {
		const char *memory, *window;
		int err;
	} cases[] = {
		{NULL, NULL, 0},
		{NULL, "static", -EINVAL},
		{"file:/nowhere/at/all", NULL, -ENOENT},
		{"file:/nowhere/at/all", "hotplug:/nowhere", -EINVAL},
		{NULL, "dynamic", -EINVAL},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct vh_window_wish wish = {.memory = cases[i].memory,
						    .window = cases[i].window,
						    .tag = "test"};
		struct vh_window *w;

		rig_forget();
		assert_int_equal(vh_window_open(NULL, &wish, &w), cases[i].err);
		assert_int_equal(!w, cases[i].err != 0);
		assert_int_equal(rig_logged("test: "), cases[i].err != 0);
		vh_window_destroy(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_packed_page_by_page),
		cmocka_unit_test(accesses_of_any_width_reach_the_file),
		cmocka_unit_test(beside_the_regions_zero_is_read_and_nothing_written),
		cmocka_unit_test(a_dropped_table_reads_as_zero_and_can_come_back),
		cmocka_unit_test(an_equal_table_of_other_files_lands_at_equal_places),
		cmocka_unit_test(a_table_that_fails_leaves_the_old_one),
		cmocka_unit_test(it_says_once_how_to_make_it_fast),
		cmocka_unit_test(a_file_that_shrinks_reads_as_zero_and_is_told),
		cmocka_unit_test(a_bar_of_no_power_of_two_is_refused),
		cmocka_unit_test(it_takes_the_kind_that_suits),
	};

	guard_install();
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
