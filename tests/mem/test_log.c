/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bits of the dirty log a range sets, and that nothing else is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mem/log.h"

#define BYTES 16 /* of the log: 128 pages */
#define PAGES (8 * BYTES)
#define EDGE  8 /* bytes on both sides that must stay as they are */

struct fixture {
	uint8_t memory[EDGE + BYTES + EDGE];
	struct vh_mapping mapping;
	struct vh_dirty_log *log;
};

static unsigned n_unmapped;

static void count_unmap(struct vh_mapping *m)
{
	n_unmapped++;
}

static void fixture_make(struct fixture *f)
{
	*f = (struct fixture){.mapping = {.refs = 1, .len = BYTES, .unmap = count_unmap}};
	memset(f->memory, 0xa5, EDGE);
	memset(f->memory + EDGE + BYTES, 0xa5, EDGE);
	f->mapping.addr = f->memory + EDGE;
	assert_int_equal(vh_dirty_log_create(&f->mapping, &f->log), 0);
}

/* Exactly the pages from @first to @last are marked (none, if @first is the greater). */
static void expect_pages(const struct fixture *f, unsigned first, unsigned last)
{
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(f->log->bits[page / 8] >> (page % 8) & 1,
				 page >= first && page <= last);
	for (unsigned i = 0; i < EDGE; i++) {
		assert_int_equal(f->memory[i], 0xa5);
		assert_int_equal(f->memory[EDGE + BYTES + i], 0xa5);
	}
}

static void check(uint64_t gpa, uint64_t len, unsigned first, unsigned last)
{
	struct fixture f;

	fixture_make(&f);
	vh_dirty_log_mark(f.log, gpa, len);
	expect_pages(&f, first, last);
	vh_dirty_log_put(f.log);
}

static void every_range_of_whole_pages_marks_its_pages(void **state)
{
	for (unsigned first = 0; first < PAGES; first++)
		for (unsigned last = first; last < PAGES; last++)
			check(first * 4096ULL, (last - first + 1) * 4096ULL, first, last);
}

static void a_page_is_marked_for_any_of_its_bytes(void **state)
{
	check(0, 1, 0, 0);
	check(4095, 1, 0, 0);
	check(4096, 1, 1, 1);
	check(4095, 2, 0, 1);
	check(4097, 4096, 1, 2);
	check(8 * 4096 - 1, 2, 7, 8);
	check(PAGES * 4096 - 1, 1, PAGES - 1, PAGES - 1);
}

static void a_length_of_zero_marks_nothing(void **state)
{
	check(0, 0, 1, 0);
	check(4096, 0, 1, 0);
	check(PAGES * 4096, 0, 1, 0);
	check(UINT64_MAX, 0, 1, 0);
}

static void what_is_beyond_the_log_is_ignored(void **state)
{
	check(PAGES * 4096, 1, 1, 0);
	check(PAGES * 4096, UINT64_MAX, 1, 0);
	check(UINT64_MAX, 1, 1, 0);
	check(1ULL << 63, 1ULL << 62, 1, 0);
}

static void a_range_that_leaves_the_log_is_cut(void **state)
{
	check((PAGES - 2) * 4096, 1ULL << 40, PAGES - 2, PAGES - 1);
	check((PAGES - 11) * 4096 + 5, 0xffffffff, PAGES - 11, PAGES - 1);
}

static void a_range_that_wraps_marks_nothing_behind_the_wrap(void **state)
{
	check(UINT64_MAX - 4095, 8192, 1, 0);
	check(UINT64_MAX, UINT64_MAX, 1, 0);
	check(4096, UINT64_MAX, 1, PAGES - 1);
}

static void marks_stay(void **state)
{
	struct fixture f;

	fixture_make(&f);
	vh_dirty_log_mark(f.log, 2 * 4096, 1);
	vh_dirty_log_mark(f.log, 4 * 4096, 1);
	vh_dirty_log_mark(f.log, 3 * 4096, 1);
	vh_dirty_log_mark(f.log, 3 * 4096, 1);
	expect_pages(&f, 2, 4);
	vh_dirty_log_put(f.log);
}

static void the_log_owns_its_mapping(void **state)
{
	struct fixture f;

	n_unmapped = 0;
	fixture_make(&f);
	assert_ptr_equal(vh_dirty_log_get(f.log), f.log);
	vh_dirty_log_put(f.log);
	assert_int_equal(n_unmapped, 0);
	vh_dirty_log_put(f.log);
	assert_int_equal(n_unmapped, 1);
	assert_null(vh_dirty_log_get(NULL));
	vh_dirty_log_put(NULL);
}

/* ---- Two threads in one byte ---- */

#define ROUNDS 20000

struct marker {
	struct vh_dirty_log *log;
	unsigned page;
	unsigned lost;
};

/* Marks its page and takes the mark away again, which must be there each time. */
static void *mark_and_take(void *arg)
{
	struct marker *m = arg;
	const uint8_t bit = (uint8_t)(1 << m->page);

	for (unsigned i = 0; i < ROUNDS; i++) {
		vh_dirty_log_mark(m->log, m->page * 4096ULL, 1);
		if (!(__atomic_fetch_and(m->log->bits, (uint8_t)~bit, __ATOMIC_ACQ_REL) &
		      bit))
			m->lost++;
	}
	return NULL;
}

static void marks_of_two_threads_in_one_byte_are_not_lost(void **state)
{
	struct marker m[2];
	pthread_t t[2];
	struct fixture f;

	fixture_make(&f);
	for (unsigned i = 0; i < 2; i++) {
		m[i] = (struct marker){.log = f.log, .page = 3 * i};
		assert_int_equal(pthread_create(&t[i], NULL, mark_and_take, &m[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(m[i].lost, 0);
	}
	vh_dirty_log_put(f.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_range_of_whole_pages_marks_its_pages),
		cmocka_unit_test(a_page_is_marked_for_any_of_its_bytes),
		cmocka_unit_test(a_length_of_zero_marks_nothing),
		cmocka_unit_test(what_is_beyond_the_log_is_ignored),
		cmocka_unit_test(a_range_that_leaves_the_log_is_cut),
		cmocka_unit_test(a_range_that_wraps_marks_nothing_behind_the_wrap),
		cmocka_unit_test(marks_stay),
		cmocka_unit_test(the_log_owns_its_mapping),
		cmocka_unit_test(marks_of_two_threads_in_one_byte_are_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
