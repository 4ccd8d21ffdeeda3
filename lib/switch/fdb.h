/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The forwarding table: which port a MAC address was last seen at, in a VLAN.
 * It knows nothing of frames or of ports beyond their number.
 *
 * Thread: find and learn are for any thread; the rest belongs to control.
 */
#ifndef VH_SWITCH_FDB_H
#define VH_SWITCH_FDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vh_fdb;

#define VH_FDB_PORTS 1024

/* After this many ticks without a frame an address is forgotten. */
#define VH_FDB_AGE_TICKS 16

/*
 * @n_entries is a power of two, at least 16; @macs_per_port limits what one port can
 * have in it.  @seed makes the hash unpredictable for who sends frames.
 */
int vh_fdb_create(unsigned n_entries, unsigned macs_per_port, const uint64_t seed[2],
		  struct vh_fdb **f);
void vh_fdb_destroy(struct vh_fdb *f); /* NULL is fine */

/* MAC and VLAN as one number, which is 0 for no MAC that may be learned. */
static inline uint64_t vh_fdb_key(const uint8_t mac[6], uint16_t vlan)
{
	return (uint64_t)mac[0] << 56 | (uint64_t)mac[1] << 48 | (uint64_t)mac[2] << 40 |
	       (uint64_t)mac[3] << 32 | (uint64_t)mac[4] << 24 | (uint64_t)mac[5] << 16 |
	       vlan;
}

/* Where @key is, or false.  Any thread. */
bool vh_fdb_find(const struct vh_fdb *f, uint64_t key, uint16_t *port,
		 uint16_t *generation);

/*
 * @key was seen as the source of a frame from @port, whose generation is @generation.
 * Nothing happens when another thread is just writing, or the port has as many
 * addresses as it may, or is gone.  Any thread.
 */
void vh_fdb_learn(struct vh_fdb *f, uint64_t key, unsigned port, uint16_t generation);

/* The present generation of @port: for learn, by whoever has that port. */
uint16_t vh_fdb_generation(const struct vh_fdb *f, unsigned port);

/* Everything learned at @port is void from now on. */
void vh_fdb_forget_port(struct vh_fdb *f, unsigned port);

/* Time passes: VH_FDB_AGE_TICKS of these are the age limit. */
void vh_fdb_tick(struct vh_fdb *f);

/*
 * Free entries that are too old or void, a stretch at a time.  True when it came
 * around; false: go on later (another thread was writing, or there is more).
 */
bool vh_fdb_sweep(struct vh_fdb *f);

/* How many addresses @port has in the table: as of the last writes, any thread. */
unsigned vh_fdb_count(const struct vh_fdb *f, unsigned port);

#endif
