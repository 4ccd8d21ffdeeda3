/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What holds in every state of the back-end machine, whatever came.  For tests:
 * the library itself does not call it.
 */
#include <stddef.h>

#include "base/checked.h"
#include "proto/backend_handler.h"

static const char *check_negotiation(const struct vh_backend *b)
{
	if (b->features & ~b->offer.features || b->features_before & ~b->offer.features)
		return "a feature is in force that was not offered";
	if (b->protocol_features & ~b->offer.protocol_features)
		return "a protocol feature is in force that was not offered";
	if (b->offer.n_vrings > VH_MAX_VRINGS)
		return "more vrings than there can be";
	return NULL;
}

static bool table_is_sound(const struct vh_wire_region *r, unsigned n)
{
	uint64_t end;

	for (unsigned i = 0; i < n; i++) {
		if (!r[i].size || !vh_add_u64(r[i].gpa, r[i].size, &end) ||
		    !vh_add_u64(r[i].uva, r[i].size, &end) ||
		    !vh_add_u64(r[i].offset, r[i].size, &end))
			return false;
		/* Sorted and disjoint from its neighbour is disjoint from all. */
		if (i && r[i].gpa - r[i - 1].gpa < r[i - 1].size)
			return false;
		if (i && r[i].gpa <= r[i - 1].gpa)
			return false;
		for (unsigned j = 0; j < i; j++)
			if (vh_range_overlaps(r[i].uva, r[i].size, r[j].uva, r[j].size))
				return false;
	}
	return true;
}

static const char *check_memory(const struct vh_backend *b)
{
	if (b->n_regions > VH_MAX_SLOTS || b->n_next > VH_MAX_SLOTS)
		return "more memory regions than slots";
	if (!table_is_sound(b->region, b->n_regions))
		return "the memory table in force is not sound";
	if (!table_is_sound(b->next, b->n_next))
		return "the next memory table is not sound";
	if (b->n_next && b->phase != VH_PHASE_ACTION)
		return "a next memory table, and nobody is mapping it";
	return NULL;
}

static const char *check_inflight(const struct vh_backend *b)
{
	if (b->inflight_queues > b->offer.n_vrings)
		return "an inflight area for vrings that there are not";
	for (unsigned q = 0; q < b->inflight_queues; q++)
		if (b->vring[q].num > b->inflight_size)
			return "a ring is larger than its part of the inflight area";
	if (b->inflight_queues_next && b->phase != VH_PHASE_ACTION)
		return "a next inflight area, and nobody is mapping it";
	return NULL;
}

static const char *check_vring(const struct vh_backend *b, const struct vh_vring *v)
{
	if (v->num && (v->num > VH_MAX_RING_SIZE || !vh_is_power_of_two(v->num)))
		return "a ring has a size that no ring has";
	if (v->started && (!v->kicked || !v->num || !v->has_addr || v->broken))
		return "a ring is started that lacks something, or is broken";
	if (v->parked && !v->started)
		return "a ring is parked that is not started";
	if (v->started && v->parked == vh_backend_ring_resolves(b, v))
		return "a ring runs without memory, or is parked though it has some";
	if (!v->started && vh_backend_ring_is_complete(b, v))
		return "a ring has all it needs and is not started";
	return NULL;
}

static const char *check_vrings(const struct vh_backend *b)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++) {
		const char *fault = check_vring(b, &b->vring[q]);

		if (fault)
			return fault;
	}
	for (unsigned q = b->offer.n_vrings; q < VH_MAX_VRINGS; q++) {
		const struct vh_vring *v = &b->vring[q];

		if (v->num || v->has_addr || v->kicked || v->started || v->enabled ||
		    v->broken)
			return "a vring that does not exist was written to";
	}
	return NULL;
}

static const char *check_phase(const struct vh_backend *b)
{
	const bool waits = b->phase == VH_PHASE_ACTION || b->phase == VH_PHASE_VIEWS;

	if (b->phase > VH_PHASE_GONE)
		return "no such phase";
	if ((b->phase == VH_PHASE_VIEWS) == vh_queue_set_is_empty(&b->waiting))
		return "waits for no queue, or for one without need";
	if (b->phase == VH_PHASE_ACTION && !b->request)
		return "an action that nobody asked for";
	if (!waits && (b->request || b->need_reply || b->settle || b->fault_due ||
		       b->gone_due || b->vring_index || b->features_before))
		return "something is left of a request that is over";
	if (b->request && (b->gone_due || !vh_rule_of(VH_CHANNEL_MAIN, b->request)))
		return "a request is under way that cannot be";
	if (b->vring_index && b->vring_index >= b->offer.n_vrings)
		return "a request names a vring that does not exist";
	if (vh_queue_set_next(&b->waiting, b->offer.n_vrings) < VH_MAX_VRINGS)
		return "waits for a queue that does not exist";
	if ((b->gone_due || b->phase == VH_PHASE_GONE) && vh_backend_any_started(b))
		return "a ring is started and the link is gone";
	return NULL;
}

const char *vh_backend_check(const struct vh_backend *b)
{
	const char *fault = check_negotiation(b);

	if (!fault)
		fault = check_memory(b);
	if (!fault)
		fault = check_vrings(b);
	if (!fault)
		fault = check_inflight(b);
	if (!fault)
		fault = check_phase(b);
	return fault;
}
