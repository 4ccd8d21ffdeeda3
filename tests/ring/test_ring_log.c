/* SPDX-License-Identifier: BSD-3-Clause */
/* What a ring marks in the dirty log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guest.h"

static void written_pages_are_marked_and_no_others(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	guest_offer_buffer(&g, 0, LOW + 4096, 3 * 4096, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 4097);
	assert_false(guest_is_dirty(&g, LOW));
	assert_true(guest_is_dirty(&g, LOW + 4096));
	assert_true(guest_is_dirty(&g, LOW + 8192));
	assert_false(guest_is_dirty(&g, LOW + 12288));
	guest_free(&g);
}

static void readable_buffers_are_not_marked(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	guest_desc(&g, 0, LOW, 100, NEXT, 1);
	guest_desc(&g, 1, HIGH, 100, WRITE, 0);
	guest_offer(&g, 0);
	vh_ring_push(g.ring, pop_one(&g), 100);
	assert_false(guest_is_dirty(&g, LOW));
	assert_true(guest_is_dirty(&g, HIGH));
	guest_free(&g);
}

static void both_regions_of_a_buffer_over_a_border_are_marked(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	guest_offer_buffer(&g, 0, HIGH - 1, 2, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 2);
	assert_true(guest_is_dirty(&g, HIGH - 1));
	assert_true(guest_is_dirty(&g, HIGH));
	guest_free(&g);
}

static void nothing_written_marks_nothing(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	guest_offer_buffer(&g, 0, LOW, 100, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 0);
	guest_offer_buffer(&g, 1, LOW, 0,
			   WRITE); /* an empty buffer, said to be written */
	vh_ring_push(g.ring, pop_one(&g), 0xffffffff);
	assert_false(guest_is_dirty(&g, LOW));
	guest_free(&g);
}

static void a_log_that_comes_while_chains_are_out_misses_none(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 10, WRITE);
	c = pop_one(&g);
	guest_log_on(&g);
	vh_ring_push(g.ring, c, 10);
	assert_true(guest_is_dirty(&g, LOW));
	guest_free(&g);
}

static void a_log_that_is_taken_away_is_not_touched(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	guest_offer_buffer(&g, 0, LOW, 10, WRITE);
	c = pop_one(&g);
	vh_ring_place(g.ring, &g.layout, g.map, NULL);
	vh_ring_push(g.ring, c, 10);
	vh_ring_publish(g.ring);
	assert_false(guest_is_dirty(&g, LOW));
	assert_false(guest_is_dirty(&g, USED));
	guest_free(&g);
}

/* One chain at index @at of a big ring is published; is that place of the area marked? */
static bool used_is_marked(uint16_t at, unsigned n, uint64_t off)
{
	struct guest g;
	bool marked;

	guest_make_at(&g, 4096, at, at);
	guest_log_on(&g);
	for (unsigned i = 0; i < n; i++) {
		guest_offer_buffer(&g, i, LOW, 0, WRITE);
		vh_ring_push(g.ring, pop_one(&g), 0);
	}
	assert_false(guest_is_dirty(&g, USED + off));
	vh_ring_publish(g.ring);
	marked = guest_is_dirty(&g, USED + off);
	guest_free(&g);
	return marked;
}

static void used_elements_and_index_are_marked(void **state)
{
	assert_true(used_is_marked(1024, 1, 0));
	assert_true(used_is_marked(1024, 1, 8192));
	assert_false(used_is_marked(1024, 1, 4096));
	assert_false(used_is_marked(1024, 1, 12288));
	assert_true(
		used_is_marked(1022, 2, 8192)); /* the last four bytes of entry 1023 */
}

static void used_elements_over_the_end_of_the_ring_are_marked(void **state)
{
	assert_true(used_is_marked(4094, 2 + 520, 4096)); /* entries 0 to 519 */
	assert_true(used_is_marked(4094, 2 + 520, 4 + 8 * 4095));
	assert_false(used_is_marked(4094, 2 + 500, 4096));
	assert_false(used_is_marked(4094, 2 + 520, 8192));
}

static void the_used_ring_is_marked_only_if_that_was_asked_for(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	g.layout.log_used = false;
	vh_ring_place(g.ring, &g.layout, g.map, g.log);
	guest_offer_buffer(&g, 0, LOW, 10, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 10);
	vh_ring_publish(g.ring);
	assert_true(guest_is_dirty(&g, LOW));
	assert_false(guest_is_dirty(&g, USED));
	guest_free(&g);
}

static void the_used_ring_is_marked_where_the_driver_says(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	g.layout.log_gpa = 0x120000; /* not memory at all, but inside the log */
	vh_ring_place(g.ring, &g.layout, g.map, g.log);
	guest_offer_buffer(&g, 0, LOW, 10, 0);
	vh_ring_push(g.ring, pop_one(&g), 0);
	vh_ring_publish(g.ring);
	assert_true(guest_is_dirty(&g, 0x120000));
	assert_false(guest_is_dirty(&g, USED));
	guest_free(&g);
}

static void asking_for_kicks_is_marked(void **state)
{
	struct guest g;

	guest_make(&g, 4096);
	guest_log_on(&g);
	vh_ring_arm(g.ring);
	if (guest_features & 1ULL << VIRTIO_RING_F_EVENT_IDX)
		assert_true(guest_is_dirty(&g, USED + 4 + 8 * 4096));
	else
		assert_true(guest_is_dirty(&g, USED));
	guest_free(&g);
}

static void a_log_address_that_wraps_marks_nothing(void **state)
{
	static const uint8_t clean[LOG_PAGES / 8];
	struct guest g;

	guest_make(&g, 16);
	guest_log_on(&g);
	g.layout.log_gpa = UINT64_MAX - 2;
	vh_ring_place(g.ring, &g.layout, g.map, g.log);
	guest_offer_buffer(&g, 0, LOW, 10, 0);
	vh_ring_push(g.ring, pop_one(&g), 0);
	vh_ring_publish(g.ring);
	/* Behind the wrap is page 0, which the log has; it was not written. */
	assert_memory_equal(g.log->bits, clean, sizeof(clean));
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_pages_are_marked_and_no_others),
		cmocka_unit_test(readable_buffers_are_not_marked),
		cmocka_unit_test(both_regions_of_a_buffer_over_a_border_are_marked),
		cmocka_unit_test(nothing_written_marks_nothing),
		cmocka_unit_test(a_log_that_comes_while_chains_are_out_misses_none),
		cmocka_unit_test(a_log_that_is_taken_away_is_not_touched),
		cmocka_unit_test(used_elements_and_index_are_marked),
		cmocka_unit_test(used_elements_over_the_end_of_the_ring_are_marked),
		cmocka_unit_test(the_used_ring_is_marked_only_if_that_was_asked_for),
		cmocka_unit_test(the_used_ring_is_marked_where_the_driver_says),
		cmocka_unit_test(asking_for_kicks_is_marked),
		cmocka_unit_test(a_log_address_that_wraps_marks_nothing),
	};

	return guest_run(tests, sizeof(tests) / sizeof(tests[0]));
}
