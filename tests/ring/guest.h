/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest made by hand, with one split ring: tests write its words one by one,
 * also wrong ones.  Include the headers of cmocka first.
 */
#ifndef TESTS_RING_GUEST_H
#define TESTS_RING_GUEST_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdint.h>

#include "ring/ring.h"

/*
 * Guest memory: the areas of the ring in one region; two more that touch in the
 * guest and not in our address space, and nothing behind them.
 */
#define DESC	  0x0u
#define AVAIL	  0x80000u
#define USED	  0xa0000u
#define LOW	  0x200000u
#define HIGH	  0x210000u
#define HOLE	  0x220000u
#define LOG_PAGES (HOLE / 4096)

enum {
	NEXT = VRING_DESC_F_NEXT,
	WRITE = VRING_DESC_F_WRITE,
	TABLE = VRING_DESC_F_INDIRECT
};

struct guest {
	uint32_t num;
	uint64_t features;
	struct vh_map *map;
	struct vh_dirty_log *log;
	struct vh_ring *ring;
	struct vh_ring_layout layout;
	uint16_t avail; /* the driver's index */
};

/* The features of this run of the test program's tests. */
extern uint64_t guest_features;

/* Make a ring of @num entries with guest_features, started at 0. */
void guest_make(struct guest *g, uint32_t num);
/* The same, started at @base where the used index is @used. */
void guest_make_at(struct guest *g, uint32_t num, uint16_t base, uint16_t used);
void guest_free(struct guest *g);

/* Our address of that byte. */
uint8_t *guest_at(const struct guest *g, uint64_t gpa);

void guest_desc(struct guest *g, unsigned i, uint64_t gpa, uint32_t len, unsigned flags,
		unsigned next);
/* A descriptor anywhere: entry @i of the table at @table; it may be unaligned. */
void guest_table(struct guest *g, uint64_t table, unsigned i, uint64_t gpa, uint32_t len,
		 unsigned flags, unsigned next);
/* Make @head available. */
void guest_offer(struct guest *g, unsigned head);
/* One readable or writable buffer, available as descriptor @i. */
void guest_offer_buffer(struct guest *g, unsigned i, uint64_t gpa, uint32_t len,
			unsigned flags);

/* pop says that the ring is broken, for the reason that has @word in it. */
void expect_broken(struct guest *g, const char *word);
/* The only chain there is. */
struct vh_chain *pop_one(struct guest *g);

uint16_t guest_used_index(const struct guest *g);
struct vring_used_elem guest_used(const struct guest *g, unsigned i);
void guest_want_calls(struct guest *g, uint16_t flags, uint16_t used_event);
uint16_t guest_used_flags(const struct guest *g);
uint16_t guest_avail_event(const struct guest *g);

/* From now on everything is logged, the used ring as if it stood at its own place. */
void guest_log_on(struct guest *g);
bool guest_is_dirty(const struct guest *g, uint64_t gpa);
void guest_log_clear(struct guest *g);

/* Run @tests once for each of the four sets of ring features. */
struct CMUnitTest;
int guest_run(const struct CMUnitTest *tests, size_t n);

#endif
