/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a ring starts, parks and stops.
 *
 * A ring starts as soon as it is complete (kicked, with a size, addresses and
 * memory under them), whichever of these comes last.  Front-ends may change
 * memory under a running ring, and remove and re-add the very region that holds
 * it; such a ring stays started, but is parked: its view has no ring pointers.
 *
 * Every function here names the queues whose views change; none waits for them.
 */
#include "proto/backend_handler.h"

#include "base/checked.h"

/*
 * One region has to hold all of it: areas are used through one pointer.  Files are
 * mapped by pages, so an area is as aligned in our address space as in its file,
 * whatever its address in the front-end's is.
 */
static bool area_resolves(const struct vh_backend *b, uint64_t uva, uint64_t len,
			  unsigned align)
{
	for (unsigned i = 0; i < b->n_regions; i++) {
		const struct vh_wire_region *r = &b->region[i];

		if (vh_range_inside(uva, len, r->uva, r->size))
			return (r->offset + (uva - r->uva)) % align == 0;
	}
	return false;
}

/* "Split Virtqueues", each area with its event index. */
bool vh_backend_ring_resolves(const struct vh_backend *b, const struct vh_vring *v)
{
	const uint64_t num = v->num;

	return area_resolves(b, v->addr.desc, 16 * num, 16) &&
	       area_resolves(b, v->addr.avail, 6 + 2 * num, 2) &&
	       area_resolves(b, v->addr.used, 6 + 8 * num, 4);
}

bool vh_backend_ring_is_complete(const struct vh_backend *b, const struct vh_vring *v)
{
	return v->kicked && v->num && v->has_addr && !v->broken &&
	       vh_backend_ring_resolves(b, v);
}

bool vh_backend_any_started(const struct vh_backend *b)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++)
		if (b->vring[q].started)
			return true;
	return false;
}

bool vh_backend_runs(const struct vh_backend *b, unsigned q)
{
	return q < b->offer.n_vrings && b->vring[q].started && !b->vring[q].parked;
}

void vh_backend_view(struct vh_effects *fx, unsigned q, enum vh_settle level)
{
	vh_queue_set_add(&fx->views, q);
	if (level > fx->settle)
		fx->settle = level;
}

void vh_backend_view_started(struct vh_backend *b, struct vh_effects *fx,
			     enum vh_settle level)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++)
		if (b->vring[q].started)
			vh_backend_view(fx, q, level);
}

void vh_backend_update_ring(struct vh_backend *b, unsigned q, struct vh_effects *fx)
{
	struct vh_vring *v = &b->vring[q];

	if (v->started || !vh_backend_ring_is_complete(b, v))
		return;
	if (v->fresh)
		v->base = 0;
	v->fresh = false;
	v->started = true;
	vh_backend_view(fx, q, VH_SETTLE_PAUSED);
}

void vh_backend_update_rings(struct vh_backend *b, struct vh_effects *fx)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++) {
		struct vh_vring *v = &b->vring[q];

		if (v->started)
			v->parked = !vh_backend_ring_resolves(b, v);
		else
			vh_backend_update_ring(b, q, fx);
	}
}

void vh_backend_stop_ring(struct vh_backend *b, unsigned q, struct vh_effects *fx)
{
	struct vh_vring *v = &b->vring[q];

	if (v->started)
		vh_backend_view(fx, q, VH_SETTLE_DRAINED);
	v->started = false;
	v->parked = false;
	v->kicked = false;
}

void vh_backend_stop_rings(struct vh_backend *b, struct vh_effects *fx)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++)
		vh_backend_stop_ring(b, q, fx);
}
