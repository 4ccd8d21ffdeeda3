/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * Every frame asks this table twice, on every reactor; it changes a few times a
 * second.  A lock, even a shared one, would make all reactors write one cache
 * line for each frame.  So nothing that only reads or confirms writes anything.
 *
 * An entry is two 64-bit words, key and value, four entries a line.  An address may
 * stand anywhere in the WINDOW entries that begin with the line that its hash names;
 * a hole does not end a search, so taking an entry out needs no tombstone and
 * moves no other entry.
 *
 * Reading: key, value, key again; if both keys are the wanted one, value belongs to
 * it.  That holds because who reuses an entry for another address first stores
 * key 0, then value, then the new key, each visible before the next.
 *
 * Writing (a new address, one that moved, one that is freed) is done under a
 * try-lock.  Who does not get it does not learn: the next frame will.  The one
 * write without the lock is the age: the value is exchanged for one that differs in
 * its tick only, if it is still the value that was read; and that happens once
 * a tick, so a busy entry's line stays shared between the caches.
 *
 * A port that goes gets a new generation, which voids its entries at once.
 *
 * A window that is full of live addresses gives one of the greediest port in it
 * away, if that has more addresses than the port that asks: nobody can crowd out
 * the others.  The hash is seeded, so nobody can aim at a window either.
 */
#include "switch/fdb.h"

#include <errno.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "base/checked.h"

#define LINE	    4  /* entries of a cache line */
#define WINDOW	    16 /* entries where an address may stand */
#define SWEEP_CHUNK 4096

struct entry {
	uint64_t key;	/* 0: free */
	uint64_t value; /* tick << 32 | generation << 16 | port */
};

struct vh_fdb {
	/* Constant. */
	struct entry *entry;
	uint64_t mask, seed[2];
	unsigned shift;
	uint32_t macs_per_port;

	/* Read by all, seldom written: each port's generation, and the time. */
	uint32_t tick __attribute__((aligned(64)));
	uint16_t generation[VH_FDB_PORTS];

	/* Under the lock. */
	uint32_t lock __attribute__((aligned(64)));
	uint32_t count[VH_FDB_PORTS]; /* generation << 16 | addresses */

	/* Control's. */
	uint64_t sweep_at;
};

static unsigned value_port(uint64_t value)
{
	return value & 0xffff;
}

static uint16_t value_generation(uint64_t value)
{
	return (uint16_t)(value >> 16);
}

static uint32_t value_tick(uint64_t value)
{
	return (uint32_t)(value >> 32);
}

static uint64_t make_value(uint32_t tick, unsigned port, uint16_t generation)
{
	return (uint64_t)tick << 32 | (uint32_t)generation << 16 | port;
}

static bool is_void(const struct vh_fdb *f, uint64_t value)
{
	return value_generation(value) != vh_fdb_generation(f, value_port(value));
}

static uint64_t first_slot(const struct vh_fdb *f, uint64_t key)
{
	uint64_t h = (key ^ f->seed[0]) * f->seed[1];

	h ^= h >> 32;
	return ((h * f->seed[1]) >> f->shift) & ~(uint64_t)(LINE - 1);
}

/* Its entry and value, or NULL. */
static struct entry *look_up(const struct vh_fdb *f, uint64_t key, uint64_t *value)
{
	uint64_t slot = first_slot(f, key);

	for (unsigned i = 0; i < WINDOW; i++) {
		struct entry *e = &f->entry[(slot + i) & f->mask];

		if (vh_load_acquire(&e->key) != key)
			continue;
		*value = vh_load_acquire(&e->value);
		/* If value is a later one, so is this key. */
		if (vh_load_relaxed(&e->key) == key)
			return e;
	}
	return NULL;
}

bool vh_fdb_find(const struct vh_fdb *f, uint64_t key, uint16_t *port,
		 uint16_t *generation)
{
	uint64_t value;

	if (!look_up(f, key, &value) || is_void(f, value))
		return false;
	*port = (uint16_t)value_port(value);
	*generation = value_generation(value);
	return true;
}

/* ---- Writing: under the lock ---- */

/* Addresses of the port and generation of @value: what its predecessor left counts not.
 */
static unsigned count_of(const struct vh_fdb *f, uint64_t value)
{
	uint32_t c = f->count[value_port(value)];

	return c >> 16 == value_generation(value) ? c & 0xffff : 0;
}

static void set_count(struct vh_fdb *f, uint64_t value, unsigned n)
{
	vh_store_relaxed(&f->count[value_port(value)],
			 (uint32_t)value_generation(value) << 16 | n);
}

static void uncount(struct vh_fdb *f, uint64_t value)
{
	unsigned n = count_of(f, value);

	if (n)
		set_count(f, value, n - 1);
}

static void release(struct vh_fdb *f, struct entry *e)
{
	uncount(f, vh_load_relaxed(&e->value));
	vh_store_release(&e->key, 0);
}

/* @e is free, or has this key. */
static void occupy(struct vh_fdb *f, struct entry *e, uint64_t key, uint64_t value)
{
	/* Who sees this value sees the key that was 0 before it. */
	vh_store_release(&e->value, value);
	vh_store_release(&e->key, key);
	set_count(f, value, count_of(f, value) + 1);
}

/* A free entry for @key at the port of @value; one is made free if that is fair. */
static struct entry *make_room(struct vh_fdb *f, uint64_t key, uint64_t value)
{
	uint64_t slot = first_slot(f, key);
	struct entry *victim = NULL;
	unsigned most = count_of(f, value);

	for (unsigned i = 0; i < WINDOW; i++) {
		struct entry *e = &f->entry[(slot + i) & f->mask];
		uint64_t theirs = vh_load_relaxed(&e->value);

		if (!vh_load_relaxed(&e->key))
			return e;
		if (is_void(f, theirs)) {
			victim = e;
			break;
		}
		if (count_of(f, theirs) > most) {
			most = count_of(f, theirs);
			victim = e;
		}
	}
	if (victim)
		release(f, victim);
	return victim;
}

static void insert(struct vh_fdb *f, uint64_t key, uint64_t value)
{
	uint64_t old;
	struct entry *e = look_up(f, key, &old);

	if (e)
		uncount(f, old);
	if (count_of(f, value) >= f->macs_per_port) {
		/* It is not where it was, whether or not there is a place where it is. */
		if (e)
			vh_store_release(&e->key, 0);
		return;
	}
	if (!e)
		e = make_room(f, key, value);
	if (e)
		occupy(f, e, key, value);
}

void vh_fdb_learn(struct vh_fdb *f, uint64_t key, unsigned port, uint16_t generation)
{
	const uint64_t now = make_value(vh_load_relaxed(&f->tick), port, generation);
	uint64_t value;
	struct entry *e;

	/* Groups are nobody's address, and all zeros is none. */
	if (key >> 56 & 1 || !(key >> 16))
		return;
	e = look_up(f, key, &value);
	if (e && value == now)
		return;
	if (is_void(f, now))
		return;
	if (e && (uint32_t)value == (uint32_t)now) {
		/* If it fails, somebody else has just written it. */
		vh_compare_exchange_release(&e->value, &value, now);
		return;
	}
	if (!vh_try_lock(&f->lock))
		return;
	insert(f, key, now);
	vh_unlock(&f->lock);
}

/* ---- Control ---- */

uint16_t vh_fdb_generation(const struct vh_fdb *f, unsigned port)
{
	return vh_load_acquire(&f->generation[port]);
}

void vh_fdb_forget_port(struct vh_fdb *f, unsigned port)
{
	vh_store_release(&f->generation[port], (uint16_t)(f->generation[port] + 1));
}

void vh_fdb_tick(struct vh_fdb *f)
{
	vh_store_relaxed(&f->tick, f->tick + 1);
}

bool vh_fdb_sweep(struct vh_fdb *f)
{
	uint64_t end = f->sweep_at + SWEEP_CHUNK;

	if (!vh_try_lock(&f->lock))
		return false;
	for (; f->sweep_at < end && f->sweep_at <= f->mask; f->sweep_at++) {
		struct entry *e = &f->entry[f->sweep_at];
		uint64_t value = vh_load_relaxed(&e->value);

		if (!vh_load_relaxed(&e->key))
			continue;
		if (f->tick - value_tick(value) > VH_FDB_AGE_TICKS || is_void(f, value))
			release(f, e);
	}
	vh_unlock(&f->lock);
	if (f->sweep_at <= f->mask)
		return false;
	f->sweep_at = 0;
	return true;
}

unsigned vh_fdb_count(const struct vh_fdb *f, unsigned port)
{
	uint32_t c = vh_load_relaxed(&f->count[port]);

	return c >> 16 == vh_fdb_generation(f, port) ? c & 0xffff : 0;
}

/* ---- Life ---- */

int vh_fdb_create(unsigned n_entries, unsigned macs_per_port, const uint64_t seed[2],
		  struct vh_fdb **out)
{
	struct vh_fdb *f;

	if (!vh_is_power_of_two(n_entries) || n_entries < WINDOW)
		return -EINVAL;
	f = aligned_alloc(64, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct vh_fdb){
		.entry = aligned_alloc(64, n_entries * sizeof(struct entry)),
		.mask = n_entries - 1,
		.seed = {seed[0], seed[1] | 1},
		.shift = 64 - (unsigned)__builtin_ctz(n_entries),
		.macs_per_port = macs_per_port < 65535 ? macs_per_port : 65535,
	};
	if (!f->entry) {
		free(f);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n_entries; i++)
		f->entry[i] = (struct entry){0};
	*out = f;
	return 0;
}

void vh_fdb_destroy(struct vh_fdb *f)
{
	if (!f)
		return;
	free(f->entry);
	free(f);
}
