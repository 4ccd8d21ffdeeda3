/* SPDX-License-Identifier: BSD-3-Clause */
/* See blocks.h: a hash table that grows. */
#include "store/blocks.h"

#include <stdlib.h>

#define FIRST_BUCKETS 256

void vh_blocks_init(struct vh_blocks *b, uint32_t block_size)
{
	*b = (struct vh_blocks){.block_size = block_size};
}

void vh_blocks_fini(struct vh_blocks *b)
{
	for (size_t i = 0; i < b->n_buckets; i++)
		while (b->bucket[i]) {
			struct vh_block *block = b->bucket[i];

			b->bucket[i] = block->next;
			free(block);
		}
	free(b->bucket);
	vh_blocks_init(b, b->block_size);
}

/* Neighbours of a disk go to different buckets by themselves. */
static struct vh_block **bucket_of(const struct vh_blocks *b, uint64_t number)
{
	return &b->bucket[(number ^ number >> 32) & (b->n_buckets - 1)];
}

/* The link that points to it, or the last one of its bucket. */
static struct vh_block **link_to(const struct vh_blocks *b, uint64_t number)
{
	struct vh_block **link = bucket_of(b, number);

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	return link;
}

struct vh_block *vh_blocks_find(const struct vh_blocks *b, uint64_t number)
{
	return b->n ? *link_to(b, number) : NULL;
}

/* Twice the buckets; where there is no memory the chains grow instead. */
static void grow(struct vh_blocks *b)
{
	struct vh_blocks more = *b;

	more.n_buckets = b->n_buckets ? 2 * b->n_buckets : FIRST_BUCKETS;
	more.bucket = calloc(more.n_buckets, sizeof(*more.bucket));
	if (!more.bucket)
		return;
	for (size_t i = 0; i < b->n_buckets; i++)
		while (b->bucket[i]) {
			struct vh_block *block = b->bucket[i];
			struct vh_block **to = bucket_of(&more, block->number);

			b->bucket[i] = block->next;
			block->next = *to;
			*to = block;
		}
	free(b->bucket);
	b->bucket = more.bucket;
	b->n_buckets = more.n_buckets;
}

static void add(struct vh_blocks *b, struct vh_block *block)
{
	struct vh_block **to = bucket_of(b, block->number);

	block->next = *to;
	*to = block;
	b->n++;
}

struct vh_block *vh_blocks_get(struct vh_blocks *b, uint64_t number)
{
	struct vh_block *block = vh_blocks_find(b, number);

	if (block)
		return block;
	if (b->n >= b->n_buckets)
		grow(b);
	block = b->n_buckets ? malloc(sizeof(*block) + b->block_size) : NULL;
	if (block) {
		block->number = number;
		add(b, block);
	}
	return block;
}

/* There are buckets: it was here before. */
void vh_blocks_put(struct vh_blocks *b, struct vh_block *block)
{
	struct vh_block *was = vh_blocks_take(b, block->number);

	if (was != block)
		free(was);
	add(b, block);
}

struct vh_block *vh_blocks_take(struct vh_blocks *b, uint64_t number)
{
	struct vh_block **link = b->n ? link_to(b, number) : NULL;
	struct vh_block *block = link ? *link : NULL;

	if (!block)
		return NULL;
	*link = block->next;
	b->n--;
	return block;
}

static int by_number(const void *x, const void *y)
{
	const uint64_t a = (*(struct vh_block *const *)x)->number;
	const uint64_t b = (*(struct vh_block *const *)y)->number;

	return a < b ? -1 : a > b;
}

/* Take them out one by one, or, when there are fewer blocks than numbers, look at all. */
static size_t take_into(struct vh_blocks *b, uint64_t from, uint64_t to,
			struct vh_block **taken)
{
	size_t n = 0;

	if (to - from <= b->n) {
		for (uint64_t i = from; i < to; i++)
			if ((taken[n] = vh_blocks_take(b, i)))
				n++;
		return n;
	}
	for (size_t i = 0; i < b->n_buckets; i++)
		for (struct vh_block **link = &b->bucket[i]; *link;) {
			struct vh_block *block = *link;

			if (block->number < from || block->number >= to) {
				link = &block->next;
				continue;
			}
			*link = block->next;
			b->n--;
			taken[n++] = block;
		}
	return n;
}

struct vh_block **vh_blocks_take_range(struct vh_blocks *b, uint64_t from, uint64_t to,
				       size_t *n)
{
	const size_t most = to - from < b->n ? to - from : b->n;
	struct vh_block **taken = most ? calloc(most + 1, sizeof(*taken)) : NULL;

	*n = most;
	if (!taken)
		return NULL;
	*n = take_into(b, from, to, taken);
	if (!*n) {
		free(taken);
		return NULL;
	}
	qsort(taken, *n, sizeof(*taken), by_number);
	return taken;
}
