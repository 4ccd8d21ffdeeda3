/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic on numbers from outside: true and a result, or false on overflow. */
#ifndef VH_BASE_CHECKED_H
#define VH_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool vh_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool vh_mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* Is [start, start + len) inside [outer, outer + outer_len)?  No sum can overflow. */
static inline bool vh_range_inside(uint64_t start, uint64_t len, uint64_t outer,
				   uint64_t outer_len)
{
	return start >= outer && len <= outer_len && start - outer <= outer_len - len;
}

/* Do two ranges share a byte?  Neither may wrap; empty ones share nothing. */
static inline bool vh_range_overlaps(uint64_t a, uint64_t a_len, uint64_t b,
				     uint64_t b_len)
{
	return a_len && b_len && (a <= b ? b - a < a_len : a - b < b_len);
}

static inline bool vh_is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

#endif
