/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring with a driver that keeps the rules: fetching and giving back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "guest.h"

/* ---- Size and place ---- */

static void only_powers_of_two_up_to_32768_are_sizes(void **state)
{
	static const uint32_t bad[] = {0, 3, 255, 257, 32767, 65536, 0x80000000};
	struct vh_ring *r;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vh_ring_create(NULL, bad[i], guest_features, &r),
				 -EINVAL);
	for (uint32_t num = 1; num <= 32768; num *= 2) {
		assert_int_equal(vh_ring_create(NULL, num, guest_features, &r), 0);
		vh_ring_destroy(r);
	}
}

static void a_packed_ring_is_refused(void **state)
{
	struct vh_ring *r;
	const uint64_t packed = guest_features | 1ULL << VIRTIO_F_RING_PACKED;

	assert_int_equal(vh_ring_create(NULL, 16, packed, &r), -EINVAL);
	assert_null(r);
}

static void a_base_of_more_than_16_bits_is_refused(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	assert_int_equal(vh_ring_start(g.ring, 0x10000), -EINVAL);
	guest_free(&g);
}

/*
 * Start at @base a ring whose used index is @used and to which @n chains were added
 * behind it: where does it begin?
 */
static uint32_t begins_at(uint32_t base, uint16_t used, uint16_t n)
{
	const uint16_t index = (uint16_t)(used + n);
	struct guest g;
	uint32_t at;

	guest_make(&g, 16);
	memcpy(guest_at(&g, USED + 2), &used, 2);
	memcpy(guest_at(&g, AVAIL + 2), &index, 2);
	assert_int_equal(vh_ring_start(g.ring, base), 0);
	at = vh_ring_base(g.ring);
	assert_int_equal(vh_ring_available(g.ring, 16), (uint16_t)(index - at));
	guest_free(&g);
	return at;
}

static void a_base_between_the_used_and_the_available_index_is_believed(void **state)
{
	assert_int_equal(begins_at(100, 100, 0), 100);
	assert_int_equal(begins_at(100, 100, 16), 100);
	assert_int_equal(begins_at(105, 100, 5), 105);
	assert_int_equal(begins_at(116, 100, 16), 116);
	assert_int_equal(begins_at(2, 65530, 16), 2);
}

/* A back-end died, and its front-end does not know where it was. */
static void any_other_base_gives_way_to_the_used_index(void **state)
{
	assert_int_equal(begins_at(0, 100, 0), 100);
	assert_int_equal(begins_at(0, 40000, 16), 40000);
	assert_int_equal(begins_at(99, 100, 5), 100);
	assert_int_equal(begins_at(106, 100, 5), 100);
	assert_int_equal(begins_at(117, 100, 16), 100);
}

static void a_driver_that_is_too_far_ahead_breaks_the_ring_whatever_the_base(void **state)
{
	const uint16_t used = 100, index = 117;
	struct guest g;

	for (uint32_t base = 0; base < 200; base += 20) {
		guest_make(&g, 16);
		memcpy(guest_at(&g, USED + 2), &used, 2);
		memcpy(guest_at(&g, AVAIL + 2), &index, 2);
		assert_int_equal(vh_ring_start(g.ring, base), 0);
		expect_broken(&g, "available index");
		guest_free(&g);
	}
}

static void used_elements_go_on_where_the_ring_in_memory_is(void **state)
{
	struct guest g;

	guest_make_at(&g, 16, 10, 7);
	guest_offer_buffer(&g, 3, LOW, 8, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 5);
	vh_ring_publish(g.ring);
	assert_int_equal(guest_used(&g, 7).id, 3);
	assert_int_equal(guest_used_index(&g), 8);
	guest_free(&g);
}

/* ---- Fetching ---- */

static void an_empty_ring_yields_nothing(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	assert_int_equal(vh_ring_pop(g.ring, &c, 1), 0);
	assert_int_equal(vh_ring_available(g.ring, 1), 0);
	guest_free(&g);
}

static void chains_come_in_the_order_of_the_available_ring(void **state)
{
	static const unsigned head[] = {5, 0, 15, 2};
	struct vh_chain *c[8];
	struct guest g;

	guest_make(&g, 16);
	for (unsigned i = 0; i < 4; i++)
		guest_offer_buffer(&g, head[i], LOW + 64 * i, 10 + i, 0);
	assert_int_equal(vh_ring_available(g.ring, 8), 4);
	assert_int_equal(vh_ring_pop(g.ring, c, 8), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(c[i]->head, head[i]);
		assert_int_equal(c[i]->out_len, 10 + i);
		assert_ptr_equal(c[i]->inl[0].va, guest_at(&g, LOW + 64 * i));
	}
	guest_free(&g);
}

static void a_pop_takes_no_more_than_it_is_asked_for(void **state)
{
	struct vh_chain *c[8];
	struct guest g;

	guest_make(&g, 128);
	for (unsigned i = 0; i < 100; i++)
		guest_offer_buffer(&g, i, LOW, 4, 0);
	assert_int_equal(vh_ring_pop(g.ring, c, 3), 3);
	assert_int_equal(vh_ring_base(g.ring), 3);
	assert_int_equal(vh_ring_available(g.ring, 1), 97);
	guest_free(&g);
}

static void a_whole_ring_can_be_out_at_once(void **state)
{
	struct vh_chain *c[256];
	struct guest g;

	guest_make(&g, 256);
	for (unsigned i = 0; i < 256; i++)
		guest_offer_buffer(&g, 255 - i, LOW + 8 * i, 8, WRITE);
	assert_int_equal(vh_ring_pop(g.ring, c, 256), 256);
	for (unsigned i = 0; i < 256; i++)
		vh_ring_push(g.ring, c[i], i);
	vh_ring_publish(g.ring);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(guest_used(&g, i).id, 255 - i);
	guest_free(&g);
}

static void a_chain_of_descriptors_has_its_segments_in_order(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_desc(&g, 7, LOW, 16, NEXT, 3);
	guest_desc(&g, 3, HIGH, 100, NEXT | WRITE, 9);
	guest_desc(&g, 9, LOW + 512, 1, WRITE, 0);
	guest_offer(&g, 7);
	c = pop_one(&g);
	assert_int_equal(c->n_out, 1);
	assert_int_equal(c->n_in, 2);
	assert_int_equal(c->out_len, 16);
	assert_int_equal(c->in_len, 101);
	assert_int_equal(c->n_descs, 3);
	assert_ptr_equal(vh_chain_segs(c)[0].va, guest_at(&g, LOW));
	assert_ptr_equal(vh_chain_segs(c)[1].va, guest_at(&g, HIGH));
	assert_int_equal(vh_chain_segs(c)[2].gpa, LOW + 512);
	guest_free(&g);
}

static void a_buffer_over_two_regions_becomes_two_segments(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, HIGH - 10, 30, WRITE);
	c = pop_one(&g);
	assert_int_equal(c->n_in, 2);
	assert_int_equal(c->in_len, 30);
	assert_ptr_equal(c->inl[0].va, guest_at(&g, HIGH - 10));
	assert_int_equal(c->inl[0].len, 10);
	assert_ptr_equal(c->inl[1].va, guest_at(&g, HIGH));
	assert_int_equal(c->inl[1].len, 20);
	guest_free(&g);
}

static void a_chain_carries_the_epoch_of_its_map(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 30, 0);
	assert_int_equal(pop_one(&g)->epoch, g.map->epoch);
	guest_free(&g);
}

static void indices_wrap_around(void **state)
{
	struct guest g;

	guest_make_at(&g, 4, 65530, 65530);
	for (unsigned i = 0; i < 20; i++) {
		guest_offer_buffer(&g, i % 4, LOW, 4, WRITE);
		vh_ring_push(g.ring, pop_one(&g), i);
		assert_true(vh_ring_publish(g.ring));
	}
	assert_int_equal(vh_ring_base(g.ring), (65530 + 20) % 65536);
	assert_int_equal(guest_used_index(&g), (65530 + 20) % 65536);
	guest_free(&g);
}

/* ---- Indirect tables ---- */

static void a_table_gives_all_segments_of_a_chain(void **state)
{
	struct vh_chain *c;
	struct guest g;

	if (!(guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		return;
	guest_make(&g, 2);
	/* From the first entry to the last one, then backwards: longer than the ring. */
	guest_table(&g, LOW, 0, HIGH, 1, NEXT, 99);
	for (unsigned i = 99; i > 1; i--)
		guest_table(&g, LOW, i, HIGH + i, 1, NEXT, i - 1);
	guest_table(&g, LOW, 1, HIGH + 1, 1, WRITE, 0);
	guest_offer_buffer(&g, 1, LOW, 1600, TABLE | WRITE);
	c = pop_one(&g);
	assert_int_equal(c->n_out, 99);
	assert_int_equal(c->n_in, 1);
	assert_int_equal(c->n_descs, 1);
	assert_int_equal(vh_chain_segs(c)[0].gpa, HIGH);
	for (unsigned i = 1; i < 100; i++)
		assert_int_equal(vh_chain_segs(c)[i].gpa, HIGH + 100 - i);
	guest_free(&g);
}

static void a_table_may_follow_descriptors_of_the_ring(void **state)
{
	struct vh_chain *c;
	struct guest g;

	if (!(guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		return;
	guest_make(&g, 4);
	guest_desc(&g, 2, LOW, 4, NEXT, 1);
	guest_desc(&g, 1, HIGH, 32, TABLE, 0);
	guest_table(&g, HIGH, 0, LOW + 4, 8, NEXT, 1);
	guest_table(&g, HIGH, 1, LOW + 12, 16, WRITE, 0);
	guest_offer(&g, 2);
	c = pop_one(&g);
	assert_int_equal(c->out_len, 12);
	assert_int_equal(c->in_len, 16);
	guest_free(&g);
}

/* Two entries, of which the second lies on the border of the regions if @at says so. */
static void check_table_at(uint64_t at)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 4);
	guest_table(&g, at, 0, LOW, 8, NEXT, 2);
	guest_table(&g, at, 2, HIGH + 256, 16, WRITE, 0);
	guest_offer_buffer(&g, 0, at, 48, TABLE);
	c = pop_one(&g);
	assert_int_equal(c->out_len, 8);
	assert_int_equal(c->in_len, 16);
	assert_ptr_equal(c->inl[1].va, guest_at(&g, HIGH + 256));
	guest_free(&g);
}

static void a_table_over_two_regions_is_read(void **state)
{
	if (!(guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		return;
	check_table_at(HIGH - 16); /* between two entries */
	check_table_at(HIGH - 40); /* in the middle of one */
	check_table_at(HIGH - 35); /* in the middle of a word */
}

static void a_table_that_is_not_aligned_is_read(void **state)
{
	if (!(guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		return;
	check_table_at(LOW + 1024 + 1);
	check_table_at(LOW + 1024 + 4);
}

/* ---- Empty buffers ---- */

static void empty_buffers_are_skipped(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 4);
	guest_desc(&g, 0, LOW, 0, NEXT, 1);
	guest_desc(&g, 1, LOW, 5, NEXT, 2);
	guest_desc(&g, 2, HOLE, 0, WRITE, 0);
	guest_offer(&g, 0);
	c = pop_one(&g);
	assert_int_equal(c->n_out, 1);
	assert_int_equal(c->n_in, 0);
	assert_int_equal(c->out_len, 5);
	guest_free(&g);
}

static void a_chain_of_nothing_is_an_empty_chain(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 4);
	guest_offer_buffer(&g, 0, LOW, 0, WRITE);
	c = pop_one(&g);
	assert_int_equal(c->n_out + c->n_in, 0);
	assert_int_equal(vh_chain_writable(c), 0);
	vh_ring_push(g.ring, c, 100);
	vh_ring_publish(g.ring);
	assert_int_equal(guest_used(&g, 0).len, 0);
	guest_free(&g);
}

/* ---- Giving back ---- */

static void unpopped_chains_are_popped_again(void **state)
{
	struct vh_chain *c[4], *again[4];
	struct guest g;

	guest_make(&g, 16);
	for (unsigned i = 0; i < 4; i++)
		guest_offer_buffer(&g, 8 + i, LOW, 1 + i, 0);
	assert_int_equal(vh_ring_pop(g.ring, c, 4), 4);
	vh_ring_unpop(g.ring, c + 1, 3);
	assert_int_equal(vh_ring_base(g.ring), 1);
	assert_int_equal(g.ring->n_out, 1);
	assert_int_equal(vh_ring_pop(g.ring, again, 4), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(again[i]->head, 9 + i);
	guest_free(&g);
}

static void the_driver_sees_nothing_before_publish(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 2, LOW, 10, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 4);
	assert_int_equal(guest_used_index(&g), 0);
	assert_true(vh_ring_publish(g.ring));
	assert_int_equal(guest_used_index(&g), 1);
	assert_int_equal(guest_used(&g, 0).id, 2);
	assert_int_equal(guest_used(&g, 0).len, 4);
	assert_false(vh_ring_publish(g.ring));
	guest_free(&g);
}

static void chains_may_complete_in_any_order(void **state)
{
	struct vh_chain *c[3];
	struct guest g;

	guest_make(&g, 16);
	for (unsigned i = 0; i < 3; i++)
		guest_offer_buffer(&g, i, LOW, 10, WRITE);
	assert_int_equal(vh_ring_pop(g.ring, c, 3), 3);
	vh_ring_push(g.ring, c[2], 1);
	vh_ring_push(g.ring, c[0], 1);
	vh_ring_publish(g.ring);
	assert_int_equal(guest_used(&g, 0).id, 2);
	assert_int_equal(guest_used(&g, 1).id, 0);
	assert_int_equal(g.ring->n_out, 1);
	guest_free(&g);
}

static void a_used_length_is_capped_at_what_the_chain_holds(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 10, WRITE);
	vh_ring_push(g.ring, pop_one(&g), 11);
	guest_offer_buffer(&g, 1, LOW, 10, 0);
	vh_ring_push(g.ring, pop_one(&g), 1);
	vh_ring_publish(g.ring);
	assert_int_equal(guest_used(&g, 0).len, 10);
	assert_int_equal(guest_used(&g, 1).len, 0);
	guest_free(&g);
}

static void a_ring_that_moves_goes_on_at_its_new_place(void **state)
{
	struct vh_ring_layout moved;
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 10, WRITE);
	c = pop_one(&g);
	/* The same ring, mapped elsewhere: its areas copied into the other regions. */
	memcpy(guest_at(&g, LOW + 0x1000), guest_at(&g, DESC), 256);
	memcpy(guest_at(&g, LOW + 0x2000), guest_at(&g, AVAIL), 64);
	moved = (struct vh_ring_layout){.desc = guest_at(&g, LOW + 0x1000),
					.avail = guest_at(&g, LOW + 0x2000),
					.used = guest_at(&g, LOW + 0x3000),
					.num = 16};
	vh_ring_place(g.ring, &moved, g.map, NULL);
	assert_int_equal(vh_ring_base(g.ring), 1);
	assert_int_equal(vh_ring_available(g.ring, 1), 0);
	vh_ring_push(g.ring, c, 3);
	vh_ring_publish(g.ring);
	assert_int_equal(guest_used_index(&g), 0);
	assert_int_equal(moved.used[2], 1);
	assert_int_equal(moved.used[8], 3);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_powers_of_two_up_to_32768_are_sizes),
		cmocka_unit_test(a_packed_ring_is_refused),
		cmocka_unit_test(a_base_of_more_than_16_bits_is_refused),
		cmocka_unit_test(
			a_base_between_the_used_and_the_available_index_is_believed),
		cmocka_unit_test(any_other_base_gives_way_to_the_used_index),
		cmocka_unit_test(
			a_driver_that_is_too_far_ahead_breaks_the_ring_whatever_the_base),
		cmocka_unit_test(used_elements_go_on_where_the_ring_in_memory_is),
		cmocka_unit_test(an_empty_ring_yields_nothing),
		cmocka_unit_test(chains_come_in_the_order_of_the_available_ring),
		cmocka_unit_test(a_pop_takes_no_more_than_it_is_asked_for),
		cmocka_unit_test(a_whole_ring_can_be_out_at_once),
		cmocka_unit_test(a_chain_of_descriptors_has_its_segments_in_order),
		cmocka_unit_test(a_buffer_over_two_regions_becomes_two_segments),
		cmocka_unit_test(a_chain_carries_the_epoch_of_its_map),
		cmocka_unit_test(indices_wrap_around),
		cmocka_unit_test(a_table_gives_all_segments_of_a_chain),
		cmocka_unit_test(a_table_may_follow_descriptors_of_the_ring),
		cmocka_unit_test(a_table_over_two_regions_is_read),
		cmocka_unit_test(a_table_that_is_not_aligned_is_read),
		cmocka_unit_test(empty_buffers_are_skipped),
		cmocka_unit_test(a_chain_of_nothing_is_an_empty_chain),
		cmocka_unit_test(unpopped_chains_are_popped_again),
		cmocka_unit_test(the_driver_sees_nothing_before_publish),
		cmocka_unit_test(chains_may_complete_in_any_order),
		cmocka_unit_test(a_used_length_is_capped_at_what_the_chain_holds),
		cmocka_unit_test(a_ring_that_moves_goes_on_at_its_new_place),
	};

	return guest_run(tests, sizeof(tests) / sizeof(tests[0]));
}
