/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks and calls: when they are asked for, and when they are wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guest.h"

static bool has_event_idx(void)
{
	return guest_features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
}

/* @n chains come and go, and are published. */
static void use(struct guest *g, unsigned n)
{
	while (n--) {
		guest_offer_buffer(g, g->avail & (g->num - 1), LOW, 8, WRITE);
		vh_ring_push(g->ring, pop_one(g), 8);
	}
	vh_ring_publish(g->ring);
}

/* ---- Calls ---- */

static void the_first_call_after_the_start_is_always_wanted(void **state)
{
	struct guest g;

	guest_make_at(&g, 16, 1000, 1000);
	guest_want_calls(&g, VRING_AVAIL_F_NO_INTERRUPT, 50);
	use(&g, 1);
	assert_true(vh_ring_call_wanted(g.ring));
	use(&g, 1);
	assert_false(vh_ring_call_wanted(g.ring));
	guest_free(&g);
}

static void a_flag_turns_calls_off(void **state)
{
	struct guest g;

	if (has_event_idx())
		return;
	guest_make(&g, 16);
	use(&g, 1);
	vh_ring_call_wanted(g.ring);
	guest_want_calls(&g, 0, 0);
	use(&g, 1);
	assert_true(vh_ring_call_wanted(g.ring));
	guest_want_calls(&g, VRING_AVAIL_F_NO_INTERRUPT, 0);
	use(&g, 1);
	assert_false(vh_ring_call_wanted(g.ring));
	guest_free(&g);
}

/* Of @n elements published in one go from index @at on, is the one at @event called? */
static bool event_is_called(uint16_t at, unsigned n, uint16_t event)
{
	struct guest g;
	bool wanted;

	guest_make_at(&g, 16, (uint16_t)(at - 1), (uint16_t)(at - 1));
	use(&g, 1);
	vh_ring_call_wanted(g.ring);
	guest_want_calls(&g, VRING_AVAIL_F_NO_INTERRUPT,
			 event); /* the flag says nothing */
	use(&g, n);
	wanted = vh_ring_call_wanted(g.ring);
	guest_free(&g);
	return wanted;
}

static void an_event_index_calls_when_its_element_is_published(void **state)
{
	if (!has_event_idx())
		return;
	assert_true(event_is_called(100, 5, 100));
	assert_true(event_is_called(100, 5, 104));
	assert_false(event_is_called(100, 5, 99));
	assert_false(event_is_called(100, 5, 105));
	assert_true(event_is_called(65534, 5, 0));
	assert_false(event_is_called(65534, 5, 3));
}

static void an_event_is_found_in_what_several_publishes_showed(void **state)
{
	struct guest g;

	if (!has_event_idx())
		return;
	guest_make(&g, 16);
	use(&g, 1);
	vh_ring_call_wanted(g.ring);
	guest_want_calls(&g, 0, 2);
	for (unsigned i = 0; i < 10; i++)
		use(&g, 1);
	assert_true(vh_ring_call_wanted(g.ring));
	guest_free(&g);
}

static void a_driver_that_was_not_called_for_a_whole_round_is_called(void **state)
{
	struct guest g;

	if (!has_event_idx())
		return;
	guest_make(&g, 256);
	use(&g, 1);
	vh_ring_call_wanted(g.ring);
	guest_want_calls(&g, 0, 30000);
	for (unsigned i = 0; i < 65536 / 256; i++)
		use(&g, 256);
	use(&g, 1);
	/* By the indices alone, only one element would have been published. */
	assert_true(vh_ring_call_wanted(g.ring));
	guest_free(&g);
}

/* ---- Kicks ---- */

static void a_ring_that_starts_asks_for_kicks(void **state)
{
	struct guest g;

	guest_make_at(&g, 16, 77, 77);
	if (has_event_idx())
		assert_int_equal(guest_avail_event(&g), 77);
	else
		assert_int_equal(guest_used_flags(&g), 0);
	guest_free(&g);
}

static void an_armed_ring_asks_for_the_next_entry(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	vh_ring_disarm(g.ring);
	use(&g, 3);
	assert_false(vh_ring_arm(g.ring));
	if (has_event_idx())
		assert_int_equal(guest_avail_event(&g), 3);
	else
		assert_int_equal(guest_used_flags(&g), 0);
	guest_free(&g);
}

static void arming_finds_what_came_meanwhile(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	vh_ring_disarm(g.ring);
	guest_offer_buffer(&g, 0, LOW, 8, WRITE);
	assert_true(vh_ring_arm(g.ring));
	if (!has_event_idx())
		assert_int_equal(guest_used_flags(&g), VRING_USED_F_NO_NOTIFY);
	assert_int_equal(vh_ring_available(g.ring, 1), 1);
	guest_free(&g);
}

static void a_disarmed_ring_wants_no_kicks(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	vh_ring_disarm(g.ring);
	use(&g, 1);
	if (has_event_idx()) /* a driver at entry 1 has passed it */
		assert_int_equal(guest_avail_event(&g), 0);
	else
		assert_int_equal(guest_used_flags(&g), VRING_USED_F_NO_NOTIFY);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_call_after_the_start_is_always_wanted),
		cmocka_unit_test(a_flag_turns_calls_off),
		cmocka_unit_test(an_event_index_calls_when_its_element_is_published),
		cmocka_unit_test(an_event_is_found_in_what_several_publishes_showed),
		cmocka_unit_test(
			a_driver_that_was_not_called_for_a_whole_round_is_called),
		cmocka_unit_test(a_ring_that_starts_asks_for_kicks),
		cmocka_unit_test(an_armed_ring_asks_for_the_next_entry),
		cmocka_unit_test(arming_finds_what_came_meanwhile),
		cmocka_unit_test(a_disarmed_ring_wants_no_kicks),
	};

	return guest_run(tests, sizeof(tests) / sizeof(tests[0]));
}
