/* SPDX-License-Identifier: BSD-3-Clause */
/* See complaint.h. */
#include "store/complaint.h"

#include <time.h>

#include "base/barrier.h"

#define QUIET_NS 10000000000ull

bool vh_complaint_is_due(struct vh_complaint *c, uint64_t now, uint64_t *n_kept)
{
	uint64_t due = vh_load_relaxed(&c->due);

	/* Of two who are first, one speaks; a failure for no reason only delays it. */
	if (now >= due && vh_compare_exchange_release(&c->due, &due, now + QUIET_NS)) {
		*n_kept = vh_exchange(&c->n_kept, 0);
		return true;
	}
	vh_fetch_add(&c->n_kept, 1);
	return false;
}

bool vh_complaint_is_due_now(struct vh_complaint *c, uint64_t *n_kept)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return vh_complaint_is_due(c, ts.tv_sec * 1000000000ull + ts.tv_nsec, n_kept);
}
