/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of a disk in memory, found by their number.  The caller serialises. */
#ifndef VH_STORE_BLOCKS_H
#define VH_STORE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

struct vh_block {
	struct vh_block *next; /* in its bucket */
	uint64_t number;
	char data[];
};

struct vh_blocks {
	uint32_t block_size;
	size_t n, n_buckets; /* a power of two, or 0 */
	struct vh_block **bucket;
};

void vh_blocks_init(struct vh_blocks *b, uint32_t block_size);
void vh_blocks_fini(struct vh_blocks *b);

/* NULL: it is not there. */
struct vh_block *vh_blocks_find(const struct vh_blocks *b, uint64_t number);

/* The block, new or old, to be filled; NULL: no memory. */
struct vh_block *vh_blocks_get(struct vh_blocks *b, uint64_t number);

/* Put it back (one that was taken out); what was there with its number goes. */
void vh_blocks_put(struct vh_blocks *b, struct vh_block *block);

/* Take it out; it is the caller's to free().  NULL: it is not there. */
struct vh_block *vh_blocks_take(struct vh_blocks *b, uint64_t number);

/*
 * Take out all with numbers of [from, to): an array in their order, to free() with what
 * is in it, and how many; NULL for none, or, with *@n not 0, for want of memory.
 */
struct vh_block **vh_blocks_take_range(struct vh_blocks *b, uint64_t from, uint64_t to,
				       size_t *n);

#endif
