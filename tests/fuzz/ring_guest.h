/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of fuzz_ring's guest, and the driver that writes into it. */
#ifndef TESTS_FUZZ_RING_GUEST_H
#define TESTS_FUZZ_RING_GUEST_H

#include "fuzz.h"
#include "ring/ring.h"

enum { GUEST_MAX_NUM = 256, GUEST_REGIONS = 7 };

/* What the driver does. */
enum guest_op {
	OP_OFFER,	/* head: make it available                         */
	OP_DESC,	/* index, buffer, flags, next                      */
	OP_TABLE,	/* the same, in a table somewhere in low memory    */
	OP_LINK,	/* n: descriptors 0 to n - 1 become one chain      */
	OP_POKE,	/* region, offset, 8 bytes                         */
	OP_AVAIL_INDEX, /* the driver's index moves by so much             */
	OP_GUEST_COUNT
};

/* The areas of the ring are regions that never go. */
struct guest {
	uint32_t num;
	struct vh_mapping mapping[GUEST_REGIONS];
	struct vh_ring_layout layout;
	struct vh_map *map;
	uint32_t epoch;
};

void guest_make(struct guest *g, uint32_t num);
/* A new map, with one more reference to each region of the set @which. */
void guest_map(struct guest *g, unsigned which);
void guest_op(struct guest *g, struct fuzz_input *in, enum guest_op op);

/* A region's mapping, or a log's. */
void guest_mapping_make(struct vh_mapping *m, uint64_t len);

#endif
