/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest of vhost demo: a process that sends its peer frames of all sizes under
 * a window with acknowledgements, and checks every frame that it gets.
 */
#ifndef CMD_DEMO_GUEST_H
#define CMD_DEMO_GUEST_H

#include <stdint.h>

#define N_GUESTS	2
#define LATENCY_BUCKETS 256 /* see latency_bucket() */

/* In memory shared with the parent; written by the guest only. */
struct guest_stats {
	uint64_t tx_frames, tx_bytes;
	uint64_t rx_frames, rx_bytes;
	uint64_t damaged, duplicated, reordered, lost;
	uint64_t rng_bytes;
	uint64_t latency[LATENCY_BUCKETS]; /* one way, from queued to checked */
};

struct demo_shared {
	uint32_t stop; /* the parent: send nothing new */
	struct guest_stats guest[N_GUESTS];
};

/*
 * Be guest @index until @shared->stop and until all that was sent is acknowledged.
 * Drives the switch at @net and, if not NULL, the random number device at @rng.
 * An exit code.
 */
int guest_run(unsigned index, const char *net, const char *rng,
	      struct demo_shared *shared);

/* Latencies are counted in buckets an eighth of a power of two wide; the value
 * below which @percent of them lie, in microseconds. */
double latency_percentile(const struct guest_stats *s, double percent);

#endif
