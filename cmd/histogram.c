/* SPDX-License-Identifier: BSD-3-Clause */
/* See histogram.h: 32 buckets a power of two, below 32 ns one a ns. */
#include "histogram.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < HISTOGRAM_SUB)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns) - 5; /* log2(HISTOGRAM_SUB) */
	return (power + 1) * HISTOGRAM_SUB + (unsigned)(ns >> power) - HISTOGRAM_SUB;
}

/* The largest duration that falls into bucket @i. */
static uint64_t end_of(unsigned i)
{
	const unsigned power = i / HISTOGRAM_SUB;

	if (!power)
		return i;
	return ((uint64_t)(i % HISTOGRAM_SUB + HISTOGRAM_SUB + 1) << (power - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	h->n++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
	h->bucket[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	to->n += from->n;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
	const uint64_t rank = (h->n * per_mille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->n; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return end_of(i) < h->max ? end_of(i) : h->max;
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->n ? (double)h->sum / (double)h->n : 0;
}
