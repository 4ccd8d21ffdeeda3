/* SPDX-License-Identifier: BSD-3-Clause */
/* The region table: what it refuses, what it finds, what it counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "mem/map.h"
#include "mem/translate.h"

static unsigned n_unmapped;

static void count_unmap(struct vh_mapping *m)
{
	n_unmapped++;
	free(m);
}

/* A mapping whose memory is not there: nobody looks into it. */
static struct vh_mapping *mapping_make(uintptr_t addr, uint64_t len)
{
	struct vh_mapping *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->refs = 1;
	m->addr = (uint8_t *)addr;
	m->len = len;
	m->unmap = count_unmap;
	return m;
}

/* vh_map_create() with mappings that fit @r, the first at 0x10000000, and so on. */
static int create(const struct vh_wire_region *r, unsigned n, struct vh_map **map)
{
	struct vh_mapping **m = calloc(n ? n : 1, sizeof(*m));
	int err;

	assert_non_null(m);
	for (unsigned i = 0; i < n; i++)
		m[i] = mapping_make(0x10000000u * (i + 1), r[i].size);
	n_unmapped = 0;
	err = vh_map_create(r, m, n, 1, map);
	free(m);
	return err;
}

static const struct vh_wire_region three[] = {
	{.gpa = 0x0, .size = 0x1000, .uva = 0x7000},
	{.gpa = 0x1000, .size = 0x2000, .uva = 0x20000},
	{.gpa = 0x100000000, .size = 0x1000, .uva = 0x10000},
};

static uint8_t *translate(const struct vh_map *m, uint64_t gpa, uint64_t *len)
{
	unsigned hint = 0;

	return vh_map_gpa(m, gpa, len, &hint);
}

/* ---- What is refused ---- */

static void check_refused(const struct vh_wire_region *r, unsigned n)
{
	struct vh_map *map;

	assert_int_equal(create(r, n, &map), -EINVAL);
	assert_null(map);
	assert_int_equal(n_unmapped, n);
}

static void regions_out_of_order_are_refused(void **state)
{
	const struct vh_wire_region r[] = {{.gpa = 0x2000, .size = 0x1000},
					   {.gpa = 0x1000, .size = 0x1000}};

	check_refused(r, 2);
}

static void regions_that_overlap_are_refused(void **state)
{
	const struct vh_wire_region by_a_byte[] = {{.gpa = 0x1000, .size = 0x1001},
						   {.gpa = 0x2000, .size = 0x1000}};
	const struct vh_wire_region twice[] = {{.gpa = 0x1000, .size = 0x1000},
					       {.gpa = 0x1000, .size = 0x1000}};

	check_refused(by_a_byte, 2);
	check_refused(twice, 2);
}

static void a_region_that_wraps_is_refused(void **state)
{
	const struct vh_wire_region gpa = {.gpa = UINT64_MAX - 0xfff, .size = 0x1001};
	const struct vh_wire_region uva = {.uva = UINT64_MAX - 0xfff, .size = 0x1001};
	const struct vh_wire_region size = {.gpa = 1, .size = UINT64_MAX};

	check_refused(&gpa, 1);
	check_refused(&uva, 1);
	check_refused(&size, 1);
}

static void an_empty_region_is_refused(void **state)
{
	const struct vh_wire_region r = {.gpa = 0x1000};

	check_refused(&r, 1);
}

static void a_mapping_of_another_length_is_refused(void **state)
{
	struct vh_mapping *m = mapping_make(0x1000, 0x1000);
	struct vh_wire_region r = {.size = 0x2000};
	struct vh_map *map;

	assert_int_equal(vh_map_create(&r, &m, 1, 1, &map), -EINVAL);
	m = mapping_make(0x1000, 0x1000);
	r.size = 0x800;
	assert_int_equal(vh_map_create(&r, &m, 1, 1, &map), -EINVAL);
}

static void more_regions_than_slots_are_refused(void **state)
{
	struct vh_wire_region *r = calloc(VH_MAX_SLOTS + 1, sizeof(*r));
	struct vh_map *map;

	assert_non_null(r);
	for (unsigned i = 0; i <= VH_MAX_SLOTS; i++)
		r[i] = (struct vh_wire_region){.gpa = i * 0x1000, .size = 0x1000};
	check_refused(r, VH_MAX_SLOTS + 1);
	assert_int_equal(create(r, VH_MAX_SLOTS, &map), 0);
	vh_map_put(map);
	free(r);
}

/* ---- What is found ---- */

static void an_address_is_found_in_its_region_and_no_other(void **state)
{
	struct vh_map *map;
	uint64_t len = 1;

	assert_int_equal(create(three, 3, &map), 0);
	assert_ptr_equal(translate(map, 0, &len), 0x10000000);
	assert_ptr_equal(translate(map, 0xfff, &len), 0x10000fff);
	assert_ptr_equal(translate(map, 0x1000, &len), 0x20000000);
	assert_ptr_equal(translate(map, 0x2fff, &len), 0x20001fff);
	assert_null(translate(map, 0x3000, &len));
	assert_null(translate(map, 0xffffffff, &len));
	assert_ptr_equal(translate(map, 0x100000000, &len), 0x30000000);
	assert_null(translate(map, 0x100001000, &len));
	assert_null(translate(map, UINT64_MAX, &len));
	vh_map_put(map);
}

static void every_region_of_a_full_table_is_found(void **state)
{
	struct vh_wire_region *r = calloc(VH_MAX_SLOTS, sizeof(*r));
	struct vh_map *map;

	assert_non_null(r);
	for (unsigned i = 0; i < VH_MAX_SLOTS; i++) /* each followed by a hole */
		r[i] = (struct vh_wire_region){.gpa = i * 0x2000 + 0x1000,
					       .size = 0x1000};
	assert_int_equal(create(r, VH_MAX_SLOTS, &map), 0);
	for (unsigned i = 0; i < VH_MAX_SLOTS; i++) {
		assert_ptr_equal(vh_map_find(map, r[i].gpa), &map->region[i]);
		assert_ptr_equal(vh_map_find(map, r[i].gpa + 0xfff), &map->region[i]);
		assert_null(vh_map_find(map, r[i].gpa - 1));
		assert_null(vh_map_find(map, r[i].gpa + 0x1000));
	}
	vh_map_put(map);
	free(r);
}

static void a_range_is_cut_at_the_end_of_its_region(void **state)
{
	struct vh_map *map;
	uint64_t len = 0x10;

	assert_int_equal(create(three, 3, &map), 0);
	translate(map, 0xff8, &len);
	assert_int_equal(len, 8); /* although the next region follows at once */
	len = UINT64_MAX;
	translate(map, 0x1000, &len);
	assert_int_equal(len, 0x2000);
	len = 8;
	translate(map, 0xff8, &len);
	assert_int_equal(len, 8);
	vh_map_put(map);
}

static void a_hint_of_a_bigger_map_does_no_harm(void **state)
{
	struct vh_map *map;
	unsigned hint = 2;
	uint64_t len = 1;

	assert_int_equal(create(three, 2, &map), 0);
	assert_ptr_equal(vh_map_gpa(map, 0x1000, &len, &hint), 0x20000000);
	assert_int_equal(hint, 1);
	vh_map_put(map);
}

static void a_user_range_must_lie_in_one_region(void **state)
{
	struct vh_map *map;

	assert_int_equal(create(three, 3, &map), 0);
	assert_ptr_equal(vh_map_uva(map, 0x20010, 0x1ff0), 0x20000010);
	assert_null(vh_map_uva(map, 0x20010, 0x1ff1));
	assert_null(vh_map_uva(map, 0x1ffff, 2));
	assert_null(vh_map_uva(map, 0x20000, UINT64_MAX));
	assert_null(vh_map_uva(map, UINT64_MAX, 2));
	vh_map_put(map);
}

static void a_user_address_has_a_guest_address(void **state)
{
	struct vh_map *map;
	uint64_t gpa = 0;

	assert_int_equal(create(three, 3, &map), 0);
	assert_true(vh_map_uva_to_gpa(map, 0x21234, &gpa));
	assert_int_equal(gpa, 0x2234);
	assert_true(vh_map_uva_to_gpa(map, 0x10fff, &gpa));
	assert_int_equal(gpa, 0x100000fff);
	assert_false(vh_map_uva_to_gpa(map, 0x11000, &gpa));
	vh_map_put(map);
}

static void a_map_of_nothing_finds_nothing(void **state)
{
	struct vh_map *map;
	uint64_t len = 1;

	assert_int_equal(create(NULL, 0, &map), 0);
	assert_null(translate(map, 0, &len));
	assert_null(vh_map_uva(map, 0, 1));
	vh_map_put(map);
}

/* ---- What is counted ---- */

static void a_mapping_lives_as_long_as_one_map_has_it(void **state)
{
	struct vh_mapping *m = mapping_make(0x1000, 0x1000);
	const struct vh_wire_region r = {.size = 0x1000};
	struct vh_map *first, *second;

	n_unmapped = 0;
	assert_int_equal(vh_map_create(&r, &m, 1, 1, &first), 0);
	vh_mapping_get(m);
	assert_int_equal(vh_map_create(&r, &m, 1, 2, &second), 0);
	vh_map_put(first);
	assert_int_equal(n_unmapped, 0);
	vh_map_put(second);
	assert_int_equal(n_unmapped, 1);
}

static void a_map_lives_as_long_as_it_is_referenced(void **state)
{
	struct vh_map *map;

	assert_int_equal(create(three, 3, &map), 0);
	assert_ptr_equal(vh_map_get(map), map);
	vh_map_put(map);
	assert_int_equal(n_unmapped, 0);
	vh_map_put(map);
	assert_int_equal(n_unmapped, 3);
}

static void no_map_and_no_mapping_are_fine(void **state)
{
	assert_null(vh_map_get(NULL));
	vh_map_put(NULL);
	vh_mapping_put(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_out_of_order_are_refused),
		cmocka_unit_test(regions_that_overlap_are_refused),
		cmocka_unit_test(a_region_that_wraps_is_refused),
		cmocka_unit_test(an_empty_region_is_refused),
		cmocka_unit_test(a_mapping_of_another_length_is_refused),
		cmocka_unit_test(more_regions_than_slots_are_refused),
		cmocka_unit_test(an_address_is_found_in_its_region_and_no_other),
		cmocka_unit_test(every_region_of_a_full_table_is_found),
		cmocka_unit_test(a_range_is_cut_at_the_end_of_its_region),
		cmocka_unit_test(a_hint_of_a_bigger_map_does_no_harm),
		cmocka_unit_test(a_user_range_must_lie_in_one_region),
		cmocka_unit_test(a_user_address_has_a_guest_address),
		cmocka_unit_test(a_map_of_nothing_finds_nothing),
		cmocka_unit_test(a_mapping_lives_as_long_as_one_map_has_it),
		cmocka_unit_test(a_map_lives_as_long_as_it_is_referenced),
		cmocka_unit_test(no_map_and_no_mapping_are_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
