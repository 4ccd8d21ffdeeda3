/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest physical address to ours: the only way from a number in a descriptor to
 * a pointer.  Inline, because every buffer of every ring comes through here.
 */
#ifndef VH_MEM_TRANSLATE_H
#define VH_MEM_TRANSLATE_H

#include "base/checked.h"
#include "mem/map.h"

/* Finds the region of @gpa; NULL if there is none. */
const struct vh_map_region *vh_map_find(const struct vh_map *m, uint64_t gpa);

/*
 * Our address of @gpa, and in *@len (wanted on entry, at least 1) how many bytes
 * from there are in the same region; NULL when @gpa is in no region.  *@hint
 * remembers the region between calls; it belongs to the caller, and starts at 0.
 */
static inline uint8_t *vh_map_gpa(const struct vh_map *m, uint64_t gpa, uint64_t *len,
				  unsigned *hint)
{
	const struct vh_map_region *r;
	uint64_t left;

	if (*hint < m->n && gpa - m->region[*hint].gpa < m->region[*hint].len) {
		r = &m->region[*hint];
	} else {
		r = vh_map_find(m, gpa);
		if (!r)
			return NULL;
		*hint = (unsigned)(r - m->region);
	}
	left = r->len - (gpa - r->gpa);
	if (*len > left)
		*len = left;
	return r->va + (gpa - r->gpa);
}

/* May the region be written to in which vh_map_gpa() has just found something? */
static inline bool vh_map_is_writable(const struct vh_map *m, const unsigned *hint)
{
	return !m->has_readonly || !m->region[*hint].readonly;
}

#endif
