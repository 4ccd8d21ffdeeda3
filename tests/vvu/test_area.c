/* SPDX-License-Identifier: BSD-3-Clause */
/* The device's own memory: who shares it, and whose marks come where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vvu/area.h"

static struct vh_area *area_make(void)
{
	struct vh_area *a;

	assert_int_equal(vh_area_create("area", &a), 0);
	return a;
}

static uint8_t *guest_maps(const struct vh_area *a)
{
	void *va = mmap(NULL, VH_AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			vh_area_fd(a), 0);

	assert_ptr_not_equal(va, MAP_FAILED);
	return va;
}

static void what_the_guest_writes_is_seen_by_who_maps_the_duplicate(void **state)
{
	struct vh_area *a = area_make();
	uint8_t *guest = guest_maps(a), *other;
	int fd = vh_area_dup(a);

	(void)state;
	assert_true(fd >= 0);
	guest[VH_AREA_INFLIGHT_OFFSET + 5] = 7;
	other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, VH_AREA_INFLIGHT_OFFSET);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(other[5], 7);
	munmap(other, 4096);
	munmap(guest, VH_AREA_SIZE);
	close(fd);
	vh_area_destroy(a);
}

static void the_file_cannot_be_resized(void **state)
{
	struct vh_area *a = area_make();

	(void)state;
	assert_int_equal(ftruncate(vh_area_fd(a), 4096), -1);
	assert_int_equal(ftruncate(vh_area_fd(a), 2 * VH_AREA_SIZE), -1);
	vh_area_destroy(a);
}

static void it_knows_its_file_when_it_comes_back(void **state)
{
	struct vh_area *a = area_make(), *b = area_make();
	int fd = vh_area_dup(a);

	(void)state;
	assert_true(vh_area_is(a, fd));
	assert_false(vh_area_is(b, fd));
	assert_false(vh_area_is(a, -1));
	close(fd);
	vh_area_destroy(a);
	vh_area_destroy(b);
}

static void clearing_one_half_leaves_the_other(void **state)
{
	struct vh_area *a = area_make();
	uint8_t *guest = guest_maps(a);

	(void)state;
	memset(guest, 1, VH_AREA_SIZE);
	vh_area_clear_inflight(a);
	assert_int_equal(guest[VH_AREA_INFLIGHT_OFFSET], 0);
	assert_int_equal(guest[VH_AREA_HALF - 1], 0);
	assert_int_equal(guest[VH_AREA_LOG_OFFSET], 1);
	vh_area_clear_log(a);
	assert_int_equal(guest[VH_AREA_LOG_OFFSET], 0);
	assert_int_equal(guest[VH_AREA_SIZE - 1], 0);
	munmap(guest, VH_AREA_SIZE);
	vh_area_destroy(a);
}

/* ---- The log ---- */

static void marks_move_to_the_log_beside_those_that_are_there(void **state)
{
	static const size_t at[] = {0, 7, 8, 100, 998};
	struct vh_area *a = area_make();
	uint8_t *ours = vh_area_at(a, VH_AREA_LOG_OFFSET), log[999] = {0};

	(void)state;
	log[7] = 0x80;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		ours[at[i]] = (uint8_t)(i + 1);
	assert_int_equal(vh_area_merge_log(a, log, sizeof(log)), 5);
	assert_int_equal(log[0], 1);
	assert_int_equal(log[7], 0x82);
	assert_int_equal(log[8], 3);
	assert_int_equal(log[100], 4);
	assert_int_equal(log[998], 5);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		assert_int_equal(ours[at[i]], 0);
	assert_int_equal(vh_area_merge_log(a, log, sizeof(log)), 0);
	vh_area_destroy(a);
}

static void a_log_may_stand_at_any_address_and_end_anywhere(void **state)
{
	struct vh_area *a = area_make();
	uint8_t *ours = vh_area_at(a, VH_AREA_LOG_OFFSET), log[32] = {0};

	(void)state;
	memset(ours, 0xff, 32);
	assert_int_equal(vh_area_merge_log(a, log + 1, 13), 13);
	assert_int_equal(log[0], 0);
	assert_int_equal(log[1], 0xff);
	assert_int_equal(log[13], 0xff);
	assert_int_equal(log[14], 0);
	assert_int_equal(ours[13], 0xff);
	vh_area_destroy(a);
}

static void a_log_that_is_longer_than_ours_gets_what_we_have(void **state)
{
	struct vh_area *a = area_make();
	const size_t len = VH_AREA_HALF + 4096;
	uint8_t *log = calloc(1, len);

	(void)state;
	assert_non_null(log);
	vh_area_at(a, VH_AREA_LOG_OFFSET)[VH_AREA_HALF - 1] = 1;
	assert_int_equal(vh_area_merge_log(a, log, len), 1);
	assert_int_equal(log[VH_AREA_HALF - 1], 1);
	free(log);
	vh_area_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_guest_writes_is_seen_by_who_maps_the_duplicate),
		cmocka_unit_test(the_file_cannot_be_resized),
		cmocka_unit_test(it_knows_its_file_when_it_comes_back),
		cmocka_unit_test(clearing_one_half_leaves_the_other),
		cmocka_unit_test(marks_move_to_the_log_beside_those_that_are_there),
		cmocka_unit_test(a_log_may_stand_at_any_address_and_end_anywhere),
		cmocka_unit_test(a_log_that_is_longer_than_ours_gets_what_we_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
