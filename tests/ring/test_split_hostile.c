/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers that break the rules of the split ring.  Each rule has its test; what
 * a break leads to is the same everywhere: pop says -EPROTO, for ever, and no
 * chain is lost or given out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "guest.h"

static bool has_tables(void)
{
	return guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
}

/* ---- The available ring ---- */

static void an_available_index_too_far_ahead_breaks_the_ring(void **state)
{
	const uint16_t index = 17;
	struct guest g;

	guest_make(&g, 16);
	memcpy(guest_at(&g, AVAIL + 2), &index, 2);
	expect_broken(&g, "available index");
	assert_int_equal(vh_ring_base(g.ring), 0);
	guest_free(&g);
}

static void an_available_index_that_goes_back_breaks_the_ring(void **state)
{
	const uint16_t index = 0;
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 4, 0);
	pop_one(&g);
	memcpy(guest_at(&g, AVAIL + 2), &index, 2);
	expect_broken(&g, "available index");
	guest_free(&g);
}

/* No honest driver can know that it is done; what is staged is bounded by this. */
static void a_chain_offered_again_before_it_was_shown_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 2);
	for (unsigned i = 0; i < 2; i++) {
		guest_offer_buffer(&g, i, LOW, 4, WRITE);
		vh_ring_push(g.ring, pop_one(&g), 4);
	}
	guest_offer(&g, 0);
	expect_broken(&g, "available index");
	guest_free(&g);

	guest_make(&g, 2);
	for (unsigned i = 0; i < 8; i++) {
		guest_offer_buffer(&g, i % 2, LOW, 4, WRITE);
		vh_ring_push(g.ring, pop_one(&g), 4);
		vh_ring_publish(g.ring);
	}
	guest_free(&g);
}

static void arming_a_ring_finds_a_bad_index(void **state)
{
	const uint16_t index = 17;
	struct guest g;

	guest_make(&g, 16);
	memcpy(guest_at(&g, AVAIL + 2), &index, 2);
	assert_true(vh_ring_arm(g.ring));
	expect_broken(&g, "available index");
	guest_free(&g);
}

static void a_head_outside_of_the_ring_breaks_it(void **state)
{
	static const unsigned head[] = {16, 255, 0x8000, 0xffff};
	struct guest g;

	for (unsigned i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		guest_make(&g, 16);
		guest_offer(&g, head[i]);
		expect_broken(&g, "head");
		guest_free(&g);
	}
}

static void a_head_that_is_still_out_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 3, LOW, 4, 0);
	pop_one(&g);
	guest_offer(&g, 3);
	expect_broken(&g, "still have");
	guest_free(&g);
}

static void a_head_twice_in_one_batch_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 3, LOW, 4, 0);
	guest_offer(&g, 3);
	expect_broken(&g, "still have");
	guest_free(&g);
}

static void good_chains_before_a_bad_one_go_back(void **state)
{
	struct guest g;

	guest_make(&g, 64);
	for (unsigned i = 0; i < 40; i++) /* more than one pass of pop */
		guest_offer_buffer(&g, i, LOW, 4, 0);
	guest_offer(&g, 64);
	vh_ring_available(g.ring, 64);
	expect_broken(&g, "head");
	assert_int_equal(g.ring->n_out, 0);
	guest_free(&g);
}

static void chains_of_a_broken_ring_can_still_complete(void **state)
{
	struct vh_chain *c;
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 3, LOW, 4, WRITE);
	c = pop_one(&g);
	guest_offer(&g, 99);
	expect_broken(&g, "head");
	vh_ring_push(g.ring, c, 4);
	assert_true(vh_ring_publish(g.ring));
	assert_int_equal(guest_used_index(&g), 1);
	guest_free(&g);
}

/* ---- Descriptors ---- */

/* The one descriptor of a ring of 16, and what is said of it. */
static void check_buffer(uint64_t gpa, uint32_t len, unsigned flags, unsigned next,
			 const char *why)
{
	struct guest g;

	guest_make(&g, 16);
	guest_desc(&g, 0, gpa, len, flags, next);
	guest_offer(&g, 0);
	expect_broken(&g, why);
	guest_free(&g);
}

static void a_next_outside_of_the_ring_breaks_it(void **state)
{
	check_buffer(LOW, 4, NEXT, 16, "next");
	check_buffer(LOW, 4, NEXT, 0xffff, "next");
}

static void a_descriptor_that_is_its_own_next_breaks_the_ring(void **state)
{
	check_buffer(LOW, 4, NEXT, 0, "loop");
}

static void a_loop_of_descriptors_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	for (unsigned i = 0; i < 16; i++)
		guest_desc(&g, i, LOW, 4, NEXT, (i + 1) % 16);
	guest_offer(&g, 5);
	expect_broken(&g, "loop");
	guest_free(&g);
}

static void a_loop_of_empty_descriptors_breaks_the_ring(void **state)
{
	check_buffer(LOW, 0, NEXT, 0, "loop");
	check_buffer(LOW, 0, NEXT | WRITE, 0, "loop");
}

static void a_readable_buffer_behind_a_writable_one_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_desc(&g, 0, LOW, 4, NEXT | WRITE, 1);
	guest_desc(&g, 1, LOW, 4, 0, 0);
	guest_offer(&g, 0);
	expect_broken(&g, "behind a writable");
	guest_free(&g);
}

static void a_buffer_outside_of_memory_breaks_the_ring(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{HOLE, 1},		  /* right behind the last region */
		{0x100000, 1},		  /* between two regions          */
		{HOLE - 1, 2},		  /* one byte too long            */
		{0x100000 - 1, 2},	  /* runs into a hole             */
		{HIGH - 1, 0x10002},	  /* over a whole region and out  */
		{0x100000 - 4, 0x100008}, /* over a hole into a region    */
		{UINT64_MAX - 1, 1},
		{1ULL << 63, 0xffffffff},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_buffer(bad[i].gpa, bad[i].len, 0, 0, "outside of guest memory");
		check_buffer(bad[i].gpa, bad[i].len, WRITE, 0, "outside of guest memory");
	}
}

static void protect(struct guest *g, uint64_t gpa)
{
	for (unsigned i = 0; i < g->map->n; i++)
		g->map->region[i].readonly |= g->map->region[i].gpa == gpa;
	g->map->has_readonly = true;
}

static void a_buffer_to_write_in_memory_to_read_breaks_the_ring(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {{LOW, 4}, {LOW + 16, 0xfff0}, {HIGH - 4, 8}};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct guest g;

		guest_make(&g, 16);
		protect(&g, LOW);
		guest_offer_buffer(&g, 0, bad[i].gpa, bad[i].len, WRITE);
		expect_broken(&g, "only to be read");
		guest_free(&g);
	}
}

static void memory_to_read_is_read_and_other_memory_is_written(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	protect(&g, LOW);
	guest_desc(&g, 0, LOW, 4, NEXT, 1);
	guest_desc(&g, 1, HIGH, 4, WRITE, 0);
	guest_offer(&g, 0);
	assert_int_equal(vh_chain_writable(pop_one(&g)), 4);
	guest_free(&g);
}

static void a_buffer_that_wraps_breaks_the_ring(void **state)
{
	check_buffer(UINT64_MAX, 2, 0, 0, "wraps");
	check_buffer(UINT64_MAX - 0xfffffffe, 0xffffffff, WRITE, 0, "wraps");
}

static void unknown_flags_are_ignored(void **state)
{
	struct guest g;

	guest_make(&g, 16);
	guest_offer_buffer(&g, 0, LOW, 4, 0xfff8);
	assert_int_equal(pop_one(&g)->out_len, 4);
	guest_free(&g);
}

/* ---- Totals ---- */

static void mapping_undo(struct vh_mapping *m)
{
	munmap(m->addr, m->len);
}

/* A map of one region so big that lengths can add up; nobody touches its memory. */
static struct vh_map *huge_map(struct vh_mapping *m, uint64_t len)
{
	const struct vh_wire_region r = {
		.gpa = 1ULL << 40, .size = len, .uva = 1ULL << 40};
	struct vh_map *map;

	*m = (struct vh_mapping){.refs = 1, .len = len, .unmap = mapping_undo};
	m->addr = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	assert_ptr_not_equal(m->addr, MAP_FAILED);
	assert_int_equal(vh_map_create(&r, &m, 1, 1, &map), 0);
	return map;
}

/* Two buffers of a huge region: 0, or why the ring broke. */
static const char *two_buffers(uint32_t len0, unsigned flags0, uint32_t len1,
			       unsigned flags1)
{
	struct vh_mapping m;
	struct vh_map *map = huge_map(&m, 1ULL << 32);
	struct vh_chain *c;
	const char *why;
	struct guest g;

	guest_make(&g, 16);
	vh_ring_place(g.ring, &g.layout, map, NULL);
	guest_desc(&g, 0, 1ULL << 40, len0, NEXT | flags0, 1);
	guest_desc(&g, 1, 1ULL << 40, len1, flags1, 0);
	guest_offer(&g, 0);
	if (vh_ring_pop(g.ring, &c, 1) == 1)
		assert_int_equal((uint64_t)c->in_len + c->out_len, (uint64_t)len0 + len1);
	why = g.ring->why;
	guest_free(&g);
	vh_map_put(map);
	return why;
}

static void a_chain_of_4_gib_breaks_the_ring(void **state)
{
	assert_null(two_buffers(0x80000000, 0, 0x7fffffff, 0));
	assert_null(two_buffers(0x80000000, 0, 0x7fffffff, WRITE));
	assert_non_null(two_buffers(0x80000000, 0, 0x80000000, 0));
	assert_non_null(two_buffers(0x80000000, 0, 0x80000000, WRITE));
	assert_non_null(two_buffers(0xffffffff, WRITE, 0xffffffff, WRITE));
}

static void offer_chain_of(struct guest *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		guest_desc(g, i, LOW + i, 1, i + 1 < n ? NEXT : 0, i + 1);
	guest_offer(g, 0);
}

static void a_chain_of_too_many_segments_breaks_the_ring(void **state)
{
	struct guest g;

	guest_make(&g, 4096);
	offer_chain_of(&g, VH_CHAIN_MAX_SEGS);
	assert_int_equal(pop_one(&g)->n_out, VH_CHAIN_MAX_SEGS);
	guest_free(&g);

	guest_make(&g, 4096);
	offer_chain_of(&g, VH_CHAIN_MAX_SEGS + 1);
	expect_broken(&g, "too many");
	guest_free(&g);
}

/* ---- Indirect tables ---- */

static void a_table_that_was_not_negotiated_breaks_the_ring(void **state)
{
	if (!has_tables())
		check_buffer(LOW, 16, TABLE, 0, "not negotiated");
}

static void a_descriptor_with_a_table_and_a_next_breaks_the_ring(void **state)
{
	if (has_tables())
		check_buffer(LOW, 16, TABLE | NEXT, 1, "behind its indirect table");
}

static void a_table_of_a_bad_length_breaks_the_ring(void **state)
{
	static const uint32_t bad[] = {
		0, 1, 15, 17, 40, VH_CHAIN_MAX_SEGS * 16 + 16, 0xfffffff0, 0xffffffff};

	for (unsigned i = 0; has_tables() && i < sizeof(bad) / sizeof(bad[0]); i++)
		check_buffer(LOW, bad[i], TABLE, 0, "bad length");
}

static void a_table_outside_of_memory_breaks_the_ring(void **state)
{
	if (!has_tables())
		return;
	check_buffer(HOLE, 16, TABLE, 0, "outside of guest memory");
	check_buffer(HOLE - 8, 16, TABLE, 0, "outside of guest memory");
	check_buffer(1ULL << 63, 16, TABLE, 0, "outside of guest memory");
	check_buffer(UINT64_MAX - 14, 16, TABLE, 0, "wraps");
}

/* What stands in the part that is there is good; the walk goes on into the hole. */
static void a_table_that_ends_in_a_hole_breaks_the_ring(void **state)
{
	struct guest g;

	if (!has_tables())
		return;
	guest_make(&g, 16);
	guest_table(&g, HOLE - 16, 0, LOW, 4, NEXT, 1);
	guest_offer_buffer(&g, 0, HOLE - 16, 32, TABLE);
	expect_broken(&g, "outside of guest memory");
	guest_free(&g);
}

/* A table of two at LOW, whose first entry this is. */
static void check_table(uint64_t gpa, uint32_t len, unsigned flags, unsigned next,
			const char *why)
{
	struct guest g;

	if (!has_tables())
		return;
	guest_make(&g, 16);
	guest_table(&g, LOW, 0, gpa, len, flags, next);
	guest_offer_buffer(&g, 0, LOW, 32, TABLE);
	expect_broken(&g, why);
	guest_free(&g);
}

static void a_table_in_a_table_breaks_the_ring(void **state)
{
	check_table(HIGH, 16, TABLE, 0, "in an indirect table");
	check_table(LOW, 32, TABLE, 0, "in an indirect table");
}

static void a_next_outside_of_the_table_breaks_the_ring(void **state)
{
	check_table(HIGH, 16, NEXT, 2, "next");
	check_table(HIGH, 16, NEXT, 0xffff, "next");
}

static void a_loop_in_a_table_breaks_the_ring(void **state)
{
	check_table(HIGH, 16, NEXT, 0, "loop");
	check_table(HIGH, 0, NEXT, 0, "loop");
}

static void a_bad_buffer_in_a_table_breaks_the_ring(void **state)
{
	check_table(HOLE, 16, 0, 0, "outside of guest memory");
	check_table(UINT64_MAX, 16, 0, 0, "wraps");
}

/* The bound of a table is its own length, whatever the ring's size is. */
static void the_longest_table_is_bounded_too(void **state)
{
	struct guest g;

	if (!has_tables())
		return;
	guest_make(&g, 1);
	for (unsigned i = 0; i < VH_CHAIN_MAX_SEGS; i++)
		guest_table(&g, LOW, i, HIGH, 1, NEXT, (i + 1) % VH_CHAIN_MAX_SEGS);
	guest_offer_buffer(&g, 0, LOW, VH_CHAIN_MAX_SEGS * 16, TABLE);
	expect_broken(&g, "loop");
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_available_index_too_far_ahead_breaks_the_ring),
		cmocka_unit_test(an_available_index_that_goes_back_breaks_the_ring),
		cmocka_unit_test(
			a_chain_offered_again_before_it_was_shown_breaks_the_ring),
		cmocka_unit_test(arming_a_ring_finds_a_bad_index),
		cmocka_unit_test(a_head_outside_of_the_ring_breaks_it),
		cmocka_unit_test(a_head_that_is_still_out_breaks_the_ring),
		cmocka_unit_test(a_head_twice_in_one_batch_breaks_the_ring),
		cmocka_unit_test(good_chains_before_a_bad_one_go_back),
		cmocka_unit_test(chains_of_a_broken_ring_can_still_complete),
		cmocka_unit_test(a_next_outside_of_the_ring_breaks_it),
		cmocka_unit_test(a_descriptor_that_is_its_own_next_breaks_the_ring),
		cmocka_unit_test(a_loop_of_descriptors_breaks_the_ring),
		cmocka_unit_test(a_loop_of_empty_descriptors_breaks_the_ring),
		cmocka_unit_test(a_readable_buffer_behind_a_writable_one_breaks_the_ring),
		cmocka_unit_test(a_buffer_outside_of_memory_breaks_the_ring),
		cmocka_unit_test(a_buffer_to_write_in_memory_to_read_breaks_the_ring),
		cmocka_unit_test(memory_to_read_is_read_and_other_memory_is_written),
		cmocka_unit_test(a_buffer_that_wraps_breaks_the_ring),
		cmocka_unit_test(unknown_flags_are_ignored),
		cmocka_unit_test(a_chain_of_4_gib_breaks_the_ring),
		cmocka_unit_test(a_chain_of_too_many_segments_breaks_the_ring),
		cmocka_unit_test(a_table_that_was_not_negotiated_breaks_the_ring),
		cmocka_unit_test(a_descriptor_with_a_table_and_a_next_breaks_the_ring),
		cmocka_unit_test(a_table_of_a_bad_length_breaks_the_ring),
		cmocka_unit_test(a_table_outside_of_memory_breaks_the_ring),
		cmocka_unit_test(a_table_that_ends_in_a_hole_breaks_the_ring),
		cmocka_unit_test(a_table_in_a_table_breaks_the_ring),
		cmocka_unit_test(a_next_outside_of_the_table_breaks_the_ring),
		cmocka_unit_test(a_loop_in_a_table_breaks_the_ring),
		cmocka_unit_test(a_bad_buffer_in_a_table_breaks_the_ring),
		cmocka_unit_test(the_longest_table_is_bounded_too),
	};

	return guest_run(tests, sizeof(tests) / sizeof(tests[0]));
}
