/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flood limit of a port: so many copies a second, and a tenth of a second's worth
 * of them at once.  Any thread: the reactors of a port's queues share its bucket,
 * which is touched for flooded frames only.
 *
 * It is one number, the time when all copies so far are paid for.  Copies are
 * charged after they were made, since nobody knows before how many it takes; so
 * one batch may run into debt, and the next ones wait until it is paid.
 */
#ifndef VH_SWITCH_BUCKET_H
#define VH_SWITCH_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/barrier.h"

#define VH_BUCKET_BURST_NS 100000000ULL

struct vh_bucket {
	uint64_t paid_at; /* ns of vh_reactor_now() */
};

static inline bool vh_bucket_has_any(const struct vh_bucket *b, uint64_t now)
{
	return vh_load_relaxed(&b->paid_at) <= now;
}

static inline void vh_bucket_charge(struct vh_bucket *b, uint64_t now, uint64_t copies,
				    uint32_t per_s)
{
	const uint64_t burst = now > VH_BUCKET_BURST_NS ? now - VH_BUCKET_BURST_NS : 0;
	uint64_t was = vh_load_relaxed(&b->paid_at);

	/* Only other reactors of the same port are in the way; a charge may get lost. */
	for (unsigned tries = 0; tries < 8; tries++) {
		uint64_t from = was > burst ? was : burst;

		if (vh_compare_exchange_release(&b->paid_at, &was,
						from + copies * 1000000000ULL / per_s))
			return;
	}
}

#endif
