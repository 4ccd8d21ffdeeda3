/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The region table.  It does not map anything: mappings are made and undone by
 * connectors, and only counted here.  Made, counted and freed on the control
 * thread; looked up on any.
 *
 * Regions are sorted by guest address and disjoint, so a lookup is a binary
 * search; most buffers lie in the region of the one before and never get here
 * (the hint of vh_map_gpa()).  Lookups by user address happen once per message
 * and are plain loops.
 */
#include "mem/map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "mem/translate.h"

struct vh_mapping *vh_mapping_get(struct vh_mapping *m)
{
	if (m)
		m->refs++;
	return m;
}

void vh_mapping_put(struct vh_mapping *m)
{
	if (m && !--m->refs)
		m->unmap(m);
}

/* Nothing here may fail for a table that the machine accepted. */
static bool region_is_valid(const struct vh_wire_region *r, const struct vh_mapping *m)
{
	uint64_t end;

	return r->size && vh_add_u64(r->gpa, r->size, &end) &&
	       vh_add_u64(r->uva, r->size, &end) && m && m->len == r->size;
}

static bool table_is_valid(const struct vh_wire_region *r, struct vh_mapping *const *m,
			   unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!region_is_valid(&r[i], m[i]))
			return false;
		if (i &&
		    (r[i].gpa < r[i - 1].gpa || r[i].gpa - r[i - 1].gpa < r[i - 1].size))
			return false;
	}
	return n <= VH_MAX_SLOTS;
}

static struct vh_map *map_alloc(const struct vh_wire_region *r,
				struct vh_mapping *const *m, unsigned n, uint32_t epoch)
{
	struct vh_map *map = malloc(sizeof(*map) + n * sizeof(map->region[0]));

	if (!map)
		return NULL;
	*map = (struct vh_map){.refs = 1, .epoch = epoch, .n = n};
	for (unsigned i = 0; i < n; i++) {
		map->region[i] = (struct vh_map_region){
			.gpa = r[i].gpa,
			.uva = r[i].uva,
			.len = r[i].size,
			.va = m[i]->addr,
			.mapping = m[i],
			.readonly = m[i]->readonly,
		};
		map->has_readonly |= m[i]->readonly;
	}
	return map;
}

int vh_map_create(const struct vh_wire_region *region, struct vh_mapping *const *mapping,
		  unsigned n, uint32_t epoch, struct vh_map **map)
{
	bool valid = table_is_valid(region, mapping, n);

	*map = valid ? map_alloc(region, mapping, n, epoch) : NULL;
	if (*map)
		return 0;
	for (unsigned i = 0; i < n; i++)
		vh_mapping_put(mapping[i]);
	return valid ? -ENOMEM : -EINVAL;
}

struct vh_map *vh_map_get(struct vh_map *m)
{
	if (m)
		m->refs++;
	return m;
}

void vh_map_put(struct vh_map *m)
{
	if (!m || --m->refs)
		return;
	for (unsigned i = 0; i < m->n; i++)
		vh_mapping_put(m->region[i].mapping);
	free(m);
}

const struct vh_map_region *vh_map_find(const struct vh_map *m, uint64_t gpa)
{
	unsigned low = 0, high = m->n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		const struct vh_map_region *r = &m->region[mid];

		if (gpa < r->gpa)
			high = mid;
		else if (gpa - r->gpa < r->len)
			return r;
		else
			low = mid + 1;
	}
	return NULL;
}

/* The region that holds all of [uva, uva + len). */
static const struct vh_map_region *map_find_uva(const struct vh_map *m, uint64_t uva,
						uint64_t len)
{
	for (unsigned i = 0; i < m->n; i++)
		if (vh_range_inside(uva, len, m->region[i].uva, m->region[i].len))
			return &m->region[i];
	return NULL;
}

void *vh_map_uva(const struct vh_map *m, uint64_t uva, uint64_t len)
{
	const struct vh_map_region *r = map_find_uva(m, uva, len);

	return r ? r->va + (uva - r->uva) : NULL;
}

void *vh_map_uva_writable(const struct vh_map *m, uint64_t uva, uint64_t len)
{
	const struct vh_map_region *r = map_find_uva(m, uva, len);

	return r && !r->readonly ? r->va + (uva - r->uva) : NULL;
}

bool vh_map_uva_to_gpa(const struct vh_map *m, uint64_t uva, uint64_t *gpa)
{
	const struct vh_map_region *r = map_find_uva(m, uva, 1);

	if (r)
		*gpa = r->gpa + (uva - r->uva);
	return r;
}
