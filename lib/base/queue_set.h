/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of virtqueue indices. */
#ifndef VH_BASE_QUEUE_SET_H
#define VH_BASE_QUEUE_SET_H

#include <stdbool.h>
#include <stdint.h>

/* Message 12 to 14 carry the index in 8 bits, so there cannot be more. */
#ifndef VH_MAX_VRINGS
#define VH_MAX_VRINGS 256
#endif

struct vh_queue_set {
	uint64_t word[(VH_MAX_VRINGS + 63) / 64];
};

static inline void vh_queue_set_add(struct vh_queue_set *s, unsigned q)
{
	s->word[q / 64] |= 1ULL << (q % 64);
}

static inline void vh_queue_set_remove(struct vh_queue_set *s, unsigned q)
{
	s->word[q / 64] &= ~(1ULL << (q % 64));
}

static inline bool vh_queue_set_has(const struct vh_queue_set *s, unsigned q)
{
	return s->word[q / 64] >> (q % 64) & 1;
}

static inline bool vh_queue_set_is_empty(const struct vh_queue_set *s)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < sizeof(s->word) / sizeof(s->word[0]); i++)
		any |= s->word[i];
	return !any;
}

/* The smallest member that is at least @from, or VH_MAX_VRINGS. */
static inline unsigned vh_queue_set_next(const struct vh_queue_set *s, unsigned from)
{
	while (from < VH_MAX_VRINGS && !vh_queue_set_has(s, from))
		from++;
	return from;
}

#define vh_queue_set_for_each(q, set)                                     \
	for (unsigned q = vh_queue_set_next((set), 0); q < VH_MAX_VRINGS; \
	     q = vh_queue_set_next((set), q + 1))

#endif
