/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver on another processor that writes each word of the ring and of an indirect
 * table over and over, a good value now and a bad one then.  Who checks one value and
 * uses another gives out a segment that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "guest.h"
#include "mem/translate.h"

#define NUM	 4
#define TURNS	 30000
#define CHAINS	 8
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct race {
	struct guest g;
	pthread_t driver;
	uint32_t stop;
	uint16_t base; /* where the device is, for the driver's index */
};

/* ---- The driver ---- */

static uint32_t dice(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* A descriptor is two words: its address; length, flags and next. */
static void scribble_desc(uint8_t *at, uint32_t *seed)
{
	static const uint64_t gpa[] = {LOW,	  HIGH - 8, HIGH,
				       HOLE - 16, HOLE,	    UINT64_MAX - 4};
	static const uint32_t len[] = {16, 32, 0, 15, 0x10000, 0xffffffff};
	static const uint16_t flags[] = {0, WRITE, NEXT, NEXT | WRITE, TABLE, 7};
	static const uint16_t next[] = {0, 1, 2, NUM, 0xffff};
	uint64_t rest = len[dice(seed, COUNT(len))];

	rest |= (uint64_t)flags[dice(seed, COUNT(flags))] << 32;
	rest |= (uint64_t)next[dice(seed, COUNT(next))] << 48;
	__atomic_store_n((uint64_t *)(void *)at, gpa[dice(seed, COUNT(gpa))],
			 __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(void *)(at + 8), rest, __ATOMIC_RELAXED);
}

static void scribble_avail(struct race *r, uint32_t *seed)
{
	static const uint16_t head[] = {0, 1, 2, 3, NUM, 0xffff};
	uint16_t *avail = (uint16_t *)(void *)guest_at(&r->g, AVAIL);
	const uint16_t base = __atomic_load_n(&r->base, __ATOMIC_RELAXED);

	__atomic_store_n(&avail[2 + dice(seed, NUM)], head[dice(seed, COUNT(head))],
			 __ATOMIC_RELAXED);
	__atomic_store_n(&avail[1], (uint16_t)(base + dice(seed, NUM + 2)),
			 __ATOMIC_RELAXED);
}

static void *scribble(void *arg)
{
	struct race *r = arg;
	uint32_t seed = 7;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		scribble_desc(guest_at(&r->g, DESC + 16 * dice(&seed, NUM)), &seed);
		scribble_desc(guest_at(&r->g, LOW + 16 * dice(&seed, 2)), &seed);
		scribble_avail(r, &seed);
	}
	return NULL;
}

/* ---- The device ---- */

static void expect_mapped(const struct guest *g, const struct vh_seg *seg)
{
	const struct vh_map_region *region = vh_map_find(g->map, seg->gpa);

	assert_non_null(region);
	assert_true(seg->len && seg->len <= region->len - (seg->gpa - region->gpa));
	assert_ptr_equal(seg->va, region->va + (seg->gpa - region->gpa));
}

static void expect_sound(const struct guest *g, struct vh_chain *c)
{
	const struct vh_seg *seg = vh_chain_segs(c);
	uint64_t out = 0, in = 0;

	assert_true(c->head < NUM);
	for (unsigned i = 0; i < c->n_out + c->n_in; i++) {
		expect_mapped(g, &seg[i]);
		*(i < c->n_out ? &out : &in) += seg[i].len;
	}
	assert_int_equal(out, c->out_len);
	assert_int_equal(in, c->in_len);
}

static void start_again(struct race *r)
{
	struct guest *g = &r->g;

	vh_ring_destroy(g->ring);
	assert_int_equal(vh_ring_create(NULL, NUM, g->features, &g->ring), 0);
	vh_ring_place(g->ring, &g->layout, g->map, NULL);
	assert_int_equal(vh_ring_start(g->ring, guest_used_index(g)), 0);
	__atomic_store_n(&r->base, (uint16_t)vh_ring_base(g->ring), __ATOMIC_RELAXED);
}

/* How many chains came. */
static unsigned turn(struct race *r)
{
	struct vh_chain *c[CHAINS];
	const int n = vh_ring_pop(r->g.ring, c, CHAINS);

	if (n < 0) {
		assert_int_equal(n, -EPROTO);
		start_again(r);
		return 0;
	}
	assert_true(n <= NUM);
	for (int i = 0; i < n; i++)
		expect_sound(&r->g, c[i]);
	for (int i = 0; i < n; i++)
		vh_ring_push(r->g.ring, c[i], UINT32_MAX);
	vh_ring_publish(r->g.ring);
	__atomic_store_n(&r->base, (uint16_t)vh_ring_base(r->g.ring), __ATOMIC_RELAXED);
	return (unsigned)n;
}

static void words_that_change_while_they_are_read_give_only_what_is_mapped(void **state)
{
	struct race r = {0};
	unsigned n = 0;

	guest_make(&r.g, NUM);
	assert_int_equal(pthread_create(&r.driver, NULL, scribble, &r), 0);
	for (unsigned i = 0; i < TURNS || !n; i++)
		n += turn(&r);
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	pthread_join(r.driver, NULL);
	guest_free(&r.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			words_that_change_while_they_are_read_give_only_what_is_mapped),
	};

	return guest_run(tests, COUNT(tests));
}
