/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of fuzz_blk's guest and the driver in it.  It makes rings that keep the
 * rules (fuzz_ring has the others) of requests that need not, and knows which bytes a
 * device may write.  After OP_POKE it does not know that any more.
 */
#ifndef TESTS_FUZZ_BLK_GUEST_H
#define TESTS_FUZZ_BLK_GUEST_H

#include <stdbool.h>

#include "fuzz.h"
#include "ring/ring.h"

enum {
	BLK_GUEST_NUM = 64,
	BLK_GUEST_SLOTS = 8, /* requests at once */
	BLK_GUEST_DESCS = BLK_GUEST_NUM / BLK_GUEST_SLOTS,
	BLK_GUEST_REGION = 8192,
	BLK_GUEST_MEMORY = 2 * BLK_GUEST_REGION, /* two that touch in the guest */
};

enum blk_guest_op {
	OP_REQUEST, /* type, sector, how, cuts, data, status; see blk_guest.c */
	OP_WRITE,   /* where, how many, bytes                                 */
	OP_RANGE,   /* where, sector, number, flags: of DISCARD and its kin   */
	OP_POKE,    /* where, 8 bytes: into descriptors or indirect tables    */
	OP_GUEST_COUNT
};

struct blk_guest {
	uint8_t *desc, *avail, *used; /* blocks of their own */
	struct vh_mapping mapping[3]; /* the third: indirect tables      */
	struct vh_map *map;	      /* given to whoever asks first */
	struct vh_ring_layout layout;
	uint8_t was[BLK_GUEST_MEMORY];	   /* as it was when no request was out   */
	bool may_change[BLK_GUEST_MEMORY]; /* ... and the bytes that may differ */
	uint32_t room[BLK_GUEST_SLOTS];	   /* writable bytes of the request there */
	bool busy[BLK_GUEST_SLOTS];
	uint16_t offered, seen;
	bool wild;
};

void blk_guest_make(struct blk_guest *g);
void blk_guest_free(struct blk_guest *g); /* but for the map */
void blk_guest_op(struct blk_guest *g, struct fuzz_input *in, enum blk_guest_op op);

/* Take back what is used, and check it and what has changed. */
void blk_guest_reap(struct blk_guest *g);
/* All is done, or the device is @broken. */
void blk_guest_expect_done(const struct blk_guest *g, bool broken);

#endif
