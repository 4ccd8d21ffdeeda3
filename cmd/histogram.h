/* SPDX-License-Identifier: BSD-3-Clause */
/* How long things took: counts of durations, each known to 3 percent. */
#ifndef CMD_HISTOGRAM_H
#define CMD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB	  32 /* buckets for each power of two */
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB * 60)

struct histogram {
	uint64_t n, sum, max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
/* Add all of @from to @to. */
void histogram_merge(struct histogram *to, const struct histogram *from);
/* What @per_mille of a thousand did not exceed, in ns; 0 of none. */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);
double histogram_mean(const struct histogram *h);

#endif
