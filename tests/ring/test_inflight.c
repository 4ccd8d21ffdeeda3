/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight region: a device that is killed at any instruction, and regions that a
 * front-end has spoilt.
 *
 * The killed device is a child that works on shared memory while we step it, one
 * instruction at a time, and keep each state that the memory goes through.  From every
 * one of them a successor must find all that the driver still waits for, and nothing
 * else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/virtio_ring.h>

#include "mem/map.h"
#include "ring/ring.h"

#define NUM	 8u
#define N_HEADS	 6u
#define MEM_SIZE 4096u
#define REGION	 2048u /* the inflight region's place in the memory */

enum { DESC = 0, AVAIL = 512, USED = 1024, BUFFERS = 1536 };

/* In the order in which the driver made them available. */
static const uint16_t heads[N_HEADS] = {3, 0, 5, 1, 7, 2};

/* ---- A driver's memory, and a device on it ---- */

struct bench {
	uint8_t *mem; /* MEM_SIZE bytes, shared */
	struct vh_mapping mapping;
	struct vh_map *map;
	struct vh_ring *ring;
};

static void mapping_stays(struct vh_mapping *m)
{
	(void)m;
}

static void write16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint16_t read16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void driver_offers_all(uint8_t *mem)
{
	for (unsigned i = 0; i < N_HEADS; i++) {
		const struct vring_desc d = {.addr = BUFFERS + 16ull * i,
					     .len = 16,
					     .flags = VRING_DESC_F_WRITE};

		memcpy(mem + DESC + sizeof(d) * heads[i], &d, sizeof(d));
		write16(mem + AVAIL + 4 + 2 * i, heads[i]);
	}
	write16(mem + AVAIL + 2, N_HEADS);
}

static void bench_open(struct bench *b, uint8_t *mem)
{
	const struct vh_wire_region r = {.gpa = 0, .size = MEM_SIZE, .uva = 0};
	struct vh_mapping *mapping = &b->mapping;

	b->mem = mem;
	b->mapping = (struct vh_mapping){
		.refs = 2, .addr = mem, .len = MEM_SIZE, .unmap = mapping_stays};
	assert_int_equal(vh_map_create(&r, &mapping, 1, 0, &b->map), 0);
	assert_int_equal(vh_ring_create(NULL, NUM, 0, &b->ring), 0);
	assert_int_equal(vh_ring_track(b->ring, mem + REGION), 0);
	vh_ring_place(b->ring,
		      &(struct vh_ring_layout){.desc = mem + DESC,
					       .avail = mem + AVAIL,
					       .used = mem + USED,
					       .num = NUM},
		      b->map, NULL);
}

static void bench_close(struct bench *b)
{
	vh_ring_destroy(b->ring);
	vh_map_put(b->map);
}

/* The base that a front-end tells after a death: the used index. */
static int bench_start(struct bench *b)
{
	return vh_ring_start(b->ring, read16(b->mem + USED + 2));
}

static unsigned take(struct bench *b, struct vh_chain **c, unsigned max)
{
	int n = vh_ring_pop(b->ring, c, max);

	for (int i = 0; i < n; i++)
		vh_ring_lend(b->ring, c[i]);
	return n < 0 ? 0 : (unsigned)n;
}

/* ---- Every instruction ---- */

/* Four are taken; two of them end, out of order; the rest comes, and ends in two batches.
 */
static void work(struct bench *b)
{
	struct vh_chain *c[N_HEADS];

	take(b, c, 4);
	vh_ring_push(b->ring, c[2], 16);
	vh_ring_push(b->ring, c[0], 16);
	vh_ring_publish(b->ring);
	take(b, c + 4, 2);
	vh_ring_push(b->ring, c[5], 16);
	vh_ring_publish(b->ring);
	vh_ring_push(b->ring, c[1], 16);
	vh_ring_push(b->ring, c[4], 16);
	vh_ring_push(b->ring, c[3], 16);
	vh_ring_publish(b->ring);
}

static void be_stepped(uint8_t *mem)
{
	struct bench b;

	bench_open(&b, mem);
	if (bench_start(&b) || ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	raise(SIGSTOP);
	work(&b);
	_exit(0);
}

/* Is it still alive after its next instruction? */
static bool step(pid_t child, int *status)
{
	if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
		return false;
	return waitpid(child, status, 0) == child && WIFSTOPPED(*status);
}

/* The heads that are used, as bits; each once. */
static unsigned used_heads(const uint8_t *mem)
{
	unsigned set = 0;

	for (unsigned i = 0; i < read16(mem + USED + 2); i++) {
		uint32_t id;

		memcpy(&id, mem + USED + 4 + 8 * (i % NUM), sizeof(id));
		assert_true(id < NUM);
		assert_false(set & 1u << id); /* twice */
		set |= 1u << id;
	}
	return set;
}

/* From this state of the memory on, everything is done that was not done, once. */
static void successor_finishes(const uint8_t *state)
{
	static uint8_t mem[MEM_SIZE] __attribute__((aligned(64)));
	struct vh_chain *c[N_HEADS];
	struct bench b;
	unsigned n;

	memcpy(mem, state, MEM_SIZE);
	used_heads(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	while ((n = take(&b, c, N_HEADS))) {
		for (unsigned i = 0; i < n; i++)
			vh_ring_push(b.ring, c[i], 16);
		vh_ring_publish(b.ring);
	}
	assert_null(b.ring->why);
	assert_int_equal(read16(mem + USED + 2), N_HEADS);
	assert_int_equal(used_heads(mem), 0xaf); /* all of heads[] */
	for (unsigned i = 0; i < NUM; i++)
		assert_int_equal(mem[REGION + 16 + 16 * i], 0);
	bench_close(&b);
}

static void a_device_may_be_killed_at_any_instruction(void **state)
{
	uint8_t *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t last[MEM_SIZE];
	unsigned n_states = 0;
	int status;
	pid_t child;

	(void)state;
	assert_ptr_not_equal(mem, MAP_FAILED);
	driver_offers_all(mem);
	child = fork();
	if (!child)
		be_stepped(mem);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSTOPPED(status))
		skip(); /* nobody may trace here */
	memset(last, 0, sizeof(last));
	do {
		if (!memcmp(last, mem, MEM_SIZE))
			continue;
		memcpy(last, mem, MEM_SIZE);
		successor_finishes(last);
		n_states++;
	} while (step(child, &status));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* 6 times begin (2 stores), push (4) and end (1), 3 times publish (2), and the
	 * start. */
	assert_in_range(n_states, 40, 60);
	munmap(mem, MEM_SIZE);
}

/* ---- What a successor finds ---- */

static void what_was_begun_first_comes_first(void **state)
{
	uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
	struct vh_chain *c[N_HEADS];
	struct bench b;

	(void)state;
	driver_offers_all(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(take(&b, c, 4), 4);
	vh_ring_push(b.ring, c[1], 0);
	vh_ring_publish(b.ring);
	bench_close(&b);

	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(vh_ring_owed(b.ring), 3);
	assert_int_equal(take(&b, c, N_HEADS), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(c[i]->head, heads[i < 1 ? i : i + 1]);
	assert_int_equal(vh_ring_owed(b.ring), 0);
	assert_int_equal(take(&b, c, N_HEADS), 2); /* those that nobody had taken */
	assert_int_equal(c[0]->head, heads[4]);
	assert_int_equal(vh_ring_base(b.ring), N_HEADS);
	bench_close(&b);
}

static void what_was_given_back_unseen_is_still_owed(void **state)
{
	uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
	struct vh_chain *c[N_HEADS];
	struct bench b;

	(void)state;
	driver_offers_all(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(take(&b, c, 3), 3);
	bench_close(&b);

	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(vh_ring_pop(b.ring, c, N_HEADS), 3);
	vh_ring_unpop(b.ring, c + 1, 2);
	assert_int_equal(vh_ring_owed(b.ring), 2);
	assert_int_equal(vh_ring_pop(b.ring, c + 1, N_HEADS), 2);
	assert_int_equal(c[1]->head, heads[1]);
	assert_int_equal(c[2]->head, heads[2]);
	bench_close(&b);
}

static void a_chain_that_was_only_fetched_is_not_marked(void **state)
{
	uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
	struct vh_chain *c[N_HEADS];
	struct bench b;

	(void)state;
	driver_offers_all(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(vh_ring_pop(b.ring, c, N_HEADS), N_HEADS);
	for (unsigned i = 0; i < NUM; i++)
		assert_int_equal(mem[REGION + 16 + 16 * i], 0);
	bench_close(&b);
}

/* ---- Drivers that use heads again before they were told that they are used ---- */

static void more_heads_than_the_ring_has_are_not_staged(void **state)
{
	uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
	struct vh_chain *c[NUM];
	struct bench b;

	(void)state;
	driver_offers_all(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(take(&b, c, 4), 4);
	bench_close(&b);

	for (unsigned i = 0; i < NUM; i++)
		write16(mem + AVAIL + 4 + 2 * i, (uint16_t)i);
	write16(mem + AVAIL + 2, 4 + NUM); /* and 4 are owed */
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(take(&b, c, NUM), 4);
	for (unsigned i = 0; i < 4; i++)
		vh_ring_push(b.ring, c[i], 16);
	assert_int_equal(vh_ring_pop(b.ring, c, NUM), -EPROTO);
	bench_close(&b);
}

/* ---- Spoilt regions ---- */

static void expect_refused(void (*spoil)(uint8_t *region), const char *word)
{
	uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
	struct vh_chain *c[N_HEADS];
	struct bench b;

	driver_offers_all(mem);
	bench_open(&b, mem);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(take(&b, c, 4), 4);
	bench_close(&b);
	spoil(mem + REGION);

	bench_open(&b, mem);
	assert_true(bench_start(&b) < 0);
	assert_non_null(strstr(b.ring->why, word));
	assert_int_equal(vh_ring_pop(b.ring, c, N_HEADS), -EPROTO);
	bench_close(&b);
}

static void spoil_version(uint8_t *r)
{
	write16(r + 8, 2);
}

static void spoil_size(uint8_t *r)
{
	write16(r + 10, 2 * NUM);
}

static void spoil_used(uint8_t *r)
{
	write16(r + 14, 0x8000);
}

static void spoil_batch(uint8_t *r)
{
	write16(r + 14, 0xffff); /* one was published */
	write16(r + 12, NUM);
}

static void a_region_that_cannot_be_right_is_refused(void **state)
{
	(void)state;
	expect_refused(spoil_version, "version");
	expect_refused(spoil_size, "another size");
	expect_refused(spoil_used, "used index");
	expect_refused(spoil_batch, "out of the ring");
}

/* CVE-2026-86565, QEMU's issues 3974 and 4403: nothing but refusal or chains of this
 * ring. */
static void any_region_does_no_harm(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t mem[MEM_SIZE] __attribute__((aligned(64))) = {0};
		struct vh_chain *c[N_HEADS];
		struct bench b;
		unsigned n;

		driver_offers_all(mem);
		write16(mem + REGION + 8, 1);
		write16(mem + REGION + 10, NUM);
		for (unsigned i = 0; i < 8; i++)
			mem[REGION + rand_r(&seed) % (16 + 16 * NUM)] =
				(uint8_t)rand_r(&seed);
		bench_open(&b, mem);
		if (!bench_start(&b))
			while ((n = take(&b, c, N_HEADS)))
				while (n)
					vh_ring_push(b.ring, c[--n], 0);
		vh_ring_publish(b.ring);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_may_be_killed_at_any_instruction),
		cmocka_unit_test(what_was_begun_first_comes_first),
		cmocka_unit_test(what_was_given_back_unseen_is_still_owed),
		cmocka_unit_test(a_chain_that_was_only_fetched_is_not_marked),
		cmocka_unit_test(more_heads_than_the_ring_has_are_not_staged),
		cmocka_unit_test(a_region_that_cannot_be_right_is_refused),
		cmocka_unit_test(any_region_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
