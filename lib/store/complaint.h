/* SPDX-License-Identifier: BSD-3-Clause */
/* A line of the log that must not become a flood: at once, then one in 10 s.  Any thread.
 */
#ifndef VH_STORE_COMPLAINT_H
#define VH_STORE_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
struct vh_complaint {
	uint64_t due;	 /* ns of CLOCK_MONOTONIC: not again before */
	uint64_t n_kept; /* not told since the last                 */
};

/* Shall it be said?  Then *@n_kept were swallowed before this one. */
bool vh_complaint_is_due(struct vh_complaint *c, uint64_t now, uint64_t *n_kept);

/* The same, now. */
bool vh_complaint_is_due_now(struct vh_complaint *c, uint64_t *n_kept);

#endif
