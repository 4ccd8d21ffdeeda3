/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two rules are in use.  "Sum": a driver maps each fd from 0 on, one behind the other, so
 * that region i is at the sum of all (offset + size) before it, plus its own offset.
 * "Offset": region i is at its offset.  Addresses and sizes are what rings and buffers
 * are found by, and are never changed.  Pure; any thread.
 */
#include "vvu/layout.h"

#include <errno.h>

#include "base/checked.h"

static bool wraps(const struct vh_wire_region *r)
{
	uint64_t end;

	return !vh_add_u64(r->gpa, r->size, &end) || !vh_add_u64(r->uva, r->size, &end) ||
	       !vh_add_u64(r->offset, r->size, &end);
}

const char *vh_layout_check(const struct vh_wire_mem *mem)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct vh_wire_region *r = &mem->region[i];

		if (!r->size)
			return "a region of no bytes";
		if (wraps(r))
			return "a region that wraps around";
		for (unsigned j = 0; j < i; j++)
			if (vh_range_overlaps(r->gpa, r->size, mem->region[j].gpa,
					      mem->region[j].size))
				return "regions that overlap";
	}
	return NULL;
}

static void copy_regions(const struct vh_window_table *placed, struct vh_wire_mem *mem)
{
	*mem = (struct vh_wire_mem){.n = placed->n};
	for (unsigned i = 0; i < placed->n; i++) {
		const struct vh_window_region *r = &placed->region[i];

		mem->region[i] = (struct vh_wire_region){r->gpa, r->size, r->uva, r->at};
	}
}

/* The offset is the gap before the region. */
static int write_gaps(struct vh_wire_mem *mem)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < mem->n; i++) {
		struct vh_wire_region *r = &mem->region[i];
		const uint64_t at = r->offset;

		if (at < end)
			return -EINVAL;
		r->offset = at - end;
		if (!vh_add_u64(at, r->size, &end))
			return -EINVAL;
	}
	return 0;
}

static const struct vh_window_region *find(const struct vh_window_table *placed,
					   const struct vh_wire_region *r)
{
	for (unsigned i = 0; i < placed->n; i++)
		if (placed->region[i].gpa == r->gpa)
			return &placed->region[i];
	return NULL;
}

/* Is each region where a driver of the rule "sum" will look for it? */
static bool is_where_expected(const struct vh_wire_mem *sent,
			      const struct vh_window_table *placed)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < sent->n; i++) {
		const struct vh_wire_region *r = &sent->region[i];
		const struct vh_window_region *p = find(placed, r);

		if (!vh_add_u64(at, r->offset, &at) || !p || p->at != at ||
		    !vh_add_u64(at, r->size, &at))
			return false;
	}
	return true;
}

int vh_layout_write(enum vh_relay_layout layout, const struct vh_wire_mem *sent,
		    const struct vh_window_table *placed, struct vh_wire_mem *mem)
{
	if (placed->n > VH_MAX_TABLE_REGIONS)
		return -EINVAL;
	if (layout == VH_LAYOUT_VERBATIM) {
		*mem = *sent;
		return is_where_expected(sent, placed) ? 0 : -EINVAL;
	}
	copy_regions(placed, mem);
	return layout == VH_LAYOUT_SUM ? write_gaps(mem) : 0;
}
