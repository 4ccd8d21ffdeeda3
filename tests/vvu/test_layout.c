/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver that computes places by its rule finds each region where it was put. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vvu/layout.h"

#define KIB 1024ull

static struct vh_window_table table_of(const struct vh_window_region *r, unsigned n)
{
	struct vh_window_table t = {.n = n};

	for (unsigned i = 0; i < n; i++)
		t.region[i] = r[i];
	return t;
}

/* Where a driver of the rule "sum" looks for region @i. */
static uint64_t sum_of(const struct vh_wire_mem *mem, unsigned i)
{
	uint64_t at = 0;

	for (unsigned j = 0; j < i; j++)
		at += mem->region[j].offset + mem->region[j].size;
	return at + mem->region[i].offset;
}

static void regions_back_to_back_have_offsets_of_zero(void **state)
{
	const struct vh_window_region r[] = {{0, 64 * KIB, 1 << 20, 0},
					     {64 * KIB, 128 * KIB, 2 << 20, 64 * KIB},
					     {1 << 30, 64 * KIB, 3 << 20, 192 * KIB}};
	const struct vh_window_table t = table_of(r, 3);
	struct vh_wire_mem mem;

	(void)state;
	assert_int_equal(vh_layout_write(VH_LAYOUT_SUM, NULL, &t, &mem), 0);
	assert_int_equal(mem.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mem.region[i].offset, 0);
}

static void holes_are_told_as_gaps(void **state)
{
	const struct vh_window_region r[] = {{0, 64 * KIB, 1 << 20, 4 * KIB},
					     {1 << 30, 64 * KIB, 2 << 20, 1 << 20},
					     {1 << 20, 64 * KIB, 3 << 20, 1ull << 40}};
	const struct vh_window_table t = table_of(r, 3);
	struct vh_wire_mem mem;

	(void)state;
	assert_int_equal(vh_layout_write(VH_LAYOUT_SUM, NULL, &t, &mem), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(sum_of(&mem, i), r[i].at);
		assert_int_equal(mem.region[i].gpa, r[i].gpa);
		assert_int_equal(mem.region[i].size, r[i].size);
		assert_int_equal(mem.region[i].uva, r[i].uva);
	}
}

static void the_other_rule_takes_the_place_itself(void **state)
{
	const struct vh_window_region r[] = {{0, 64 * KIB, 1 << 20, 4 * KIB},
					     {1 << 30, 64 * KIB, 2 << 20, 1 << 20}};
	const struct vh_window_table t = table_of(r, 2);
	struct vh_wire_mem mem;

	(void)state;
	assert_int_equal(vh_layout_write(VH_LAYOUT_OFFSET, NULL, &t, &mem), 0);
	assert_int_equal(mem.region[0].offset, r[0].at);
	assert_int_equal(mem.region[1].offset, r[1].at);
}

static void regions_on_top_of_each_other_have_no_sum(void **state)
{
	const struct vh_window_region r[] = {{0, 64 * KIB, 1 << 20, 0},
					     {1 << 30, 64 * KIB, 2 << 20, 60 * KIB}};
	const struct vh_window_region wraps[] = {{0, 64 * KIB, 0, UINT64_MAX - 4095}};
	struct vh_window_table t = table_of(r, 2);
	struct vh_wire_mem mem;

	(void)state;
	assert_int_equal(vh_layout_write(VH_LAYOUT_SUM, NULL, &t, &mem), -EINVAL);
	assert_int_equal(vh_layout_write(VH_LAYOUT_OFFSET, NULL, &t, &mem), 0);
	t = table_of(wraps, 1);
	assert_int_equal(vh_layout_write(VH_LAYOUT_SUM, NULL, &t, &mem), -EINVAL);
	t.n = VH_MAX_TABLE_REGIONS + 1;
	assert_int_equal(vh_layout_write(VH_LAYOUT_SUM, NULL, &t, &mem), -EINVAL);
}

static void verbatim_is_for_places_as_the_first_device_had_them(void **state)
{
	const struct vh_wire_mem sent = {
		.n = 2,
		.region = {{0, 64 * KIB, 1 << 20, 0},
			   {1 << 30, 64 * KIB, 2 << 20, 64 * KIB}}};
	const struct vh_window_region good[] = {{0, 64 * KIB, 1 << 20, 0},
						{1 << 30, 64 * KIB, 2 << 20, 128 * KIB}};
	const struct vh_window_region dense[] = {{0, 64 * KIB, 1 << 20, 0},
						 {1 << 30, 64 * KIB, 2 << 20, 64 * KIB}};
	struct vh_window_table t = table_of(good, 2);
	struct vh_wire_mem mem;

	(void)state;
	assert_int_equal(vh_layout_write(VH_LAYOUT_VERBATIM, &sent, &t, &mem), 0);
	assert_memory_equal(&mem, &sent, sizeof(sent));
	t = table_of(dense, 2);
	assert_int_equal(vh_layout_write(VH_LAYOUT_VERBATIM, &sent, &t, &mem), -EINVAL);
}

static void regions_that_make_no_sense_are_found(void **state)
{
	const struct vh_wire_mem good = {
		.n = 2, .region = {{0, 4096, 0, 0}, {4096, 4096, 4096, 1 << 20}}};
	const struct vh_wire_region bad[] = {
		{8192, 0, 0, 0},
		{UINT64_MAX - 4095, 8192, 0, 0},
		{8192, 8192, UINT64_MAX - 4095, 0},
		{8192, 8192, 0, UINT64_MAX - 4095},
		{4096, 1, 0, 0},
		{0, 8192, 0, 0},
	};

	(void)state;
	assert_null(vh_layout_check(&good));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vh_wire_mem mem = good;

		mem.region[mem.n++] = bad[i];
		assert_non_null(vh_layout_check(&mem));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_back_to_back_have_offsets_of_zero),
		cmocka_unit_test(holes_are_told_as_gaps),
		cmocka_unit_test(the_other_rule_takes_the_place_itself),
		cmocka_unit_test(regions_on_top_of_each_other_have_no_sum),
		cmocka_unit_test(verbatim_is_for_places_as_the_first_device_had_them),
		cmocka_unit_test(regions_that_make_no_sense_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
