/* SPDX-License-Identifier: BSD-3-Clause */
/* The forwarding table, by many threads: run it under TSan, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "switch/fdb.h"

#define READERS	  3
#define WRITERS	  2
#define ADDRESSES 64
#define ROUNDS	  20000

/* Small, so that entries are reused for other addresses all the time. */
#define ENTRIES 32

static const uint64_t seed[2] = {1, 2};

struct crowd {
	struct vh_fdb *f;
	pthread_barrier_t start;
	uint32_t stop;
};

struct member {
	struct crowd *crowd;
	unsigned number;
	uint64_t wrong;
	pthread_t thread;
};

/* An address says by its last byte which port it is at: of two, as it moves. */
static uint64_t address(unsigned n)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)n};

	return vh_fdb_key(mac, (uint16_t)(n % 3));
}

static unsigned home_of(unsigned n, unsigned writer)
{
	return n * WRITERS + writer;
}

static void *read_all(void *arg)
{
	struct member *m = arg;
	uint16_t port, generation;

	pthread_barrier_wait(&m->crowd->start);
	for (unsigned i = 0; !__atomic_load_n(&m->crowd->stop, __ATOMIC_RELAXED); i++)
		if (vh_fdb_find(m->crowd->f, address(i % ADDRESSES), &port, &generation))
			m->wrong += port / WRITERS != i % ADDRESSES;
	return NULL;
}

static void *write_all(void *arg)
{
	struct member *m = arg;
	struct vh_fdb *f = m->crowd->f;

	pthread_barrier_wait(&m->crowd->start);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned n = (i * 7 + m->number) % ADDRESSES;
		unsigned port = home_of(n, m->number);

		vh_fdb_learn(f, address(n), port, vh_fdb_generation(f, port));
	}
	return NULL;
}

static void start(struct member *m, struct crowd *c, unsigned number, void *(*fn)(void *))
{
	*m = (struct member){.crowd = c, .number = number};
	assert_int_equal(pthread_create(&m->thread, NULL, fn, m), 0);
}

/* Control's part meanwhile: time, sweeps, ports that go. */
static void be_control(struct vh_fdb *f)
{
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		vh_fdb_tick(f);
		vh_fdb_sweep(f);
		vh_fdb_forget_port(f, i % (ADDRESSES * WRITERS));
	}
}

static void readers_never_see_an_address_at_a_port_where_it_never_was(void **state)
{
	struct crowd c = {0};
	struct member reader[READERS], writer[WRITERS];

	assert_int_equal(vh_fdb_create(ENTRIES, 16, seed, &c.f), 0);
	pthread_barrier_init(&c.start, NULL, READERS + WRITERS + 1);
	for (unsigned i = 0; i < READERS; i++)
		start(&reader[i], &c, i, read_all);
	for (unsigned i = 0; i < WRITERS; i++)
		start(&writer[i], &c, i, write_all);
	pthread_barrier_wait(&c.start);
	be_control(c.f);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writer[i].thread, NULL);
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(reader[i].thread, NULL);
		assert_int_equal(reader[i].wrong, 0);
	}
	pthread_barrier_destroy(&c.start);
	vh_fdb_destroy(c.f);
}

static void counts_are_right_when_the_dust_has_settled(void **state)
{
	struct crowd c = {0};
	struct member writer[WRITERS];
	unsigned counted = 0, found = 0;
	uint16_t port, generation;

	assert_int_equal(vh_fdb_create(ENTRIES, 16, seed, &c.f), 0);
	pthread_barrier_init(&c.start, NULL, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++)
		start(&writer[i], &c, i, write_all);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writer[i].thread, NULL);
	for (unsigned i = 0; i < ADDRESSES * WRITERS; i++)
		counted += vh_fdb_count(c.f, i);
	for (unsigned i = 0; i < ADDRESSES; i++)
		found += vh_fdb_find(c.f, address(i), &port, &generation);
	assert_int_equal(counted, found);
	assert_true(found > 0);
	pthread_barrier_destroy(&c.start);
	vh_fdb_destroy(c.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			readers_never_see_an_address_at_a_port_where_it_never_was),
		cmocka_unit_test(counts_are_right_when_the_dust_has_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
