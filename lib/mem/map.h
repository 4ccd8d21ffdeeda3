/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map: the peer's memory as we reach it.  Immutable once made; a change of
 * memory makes a new map, which shares the mappings that stayed equal.
 *
 * Counts belong to the control thread; translation is for every thread that
 * holds the map through a view.
 */
#ifndef VH_MEM_MAP_H
#define VH_MEM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spec/vhost_user.h"

/* One mapping of a file (or window) of the peer, made and undone by a connector. */
struct vh_mapping {
	unsigned refs;
	uint8_t *addr;	   /* the region's first byte                          */
	uint64_t len;	   /* the region's length                              */
	uint64_t dev, ino; /* of the file behind it; 0, 0 where there is none  */
	uint64_t offset;   /* in that file                                     */
	unsigned guard;	   /* 1 + its slot of mem/guard.h; 0: not guarded      */
	bool readonly;	   /* writing there is a fault                         */
	void (*unmap)(struct vh_mapping *m); /* undo and free                   */
};

struct vh_map_region {
	uint64_t gpa, uva, len;
	uint8_t *va;
	struct vh_mapping *mapping;
	bool readonly;
};

struct vh_map {
	unsigned refs;
	uint32_t epoch; /* chains fetched under an older one may dangle */
	unsigned n;
	bool has_readonly;	       /* one of them is */
	struct vh_map_region region[]; /* sorted by gpa, disjoint         */
};

struct vh_mapping *vh_mapping_get(struct vh_mapping *m);
void vh_mapping_put(struct vh_mapping *m); /* the last one unmaps; NULL is fine */

/*
 * Make a map of @n regions; takes one reference on each of @mapping, also on
 * failure.  @region is sorted by gpa and disjoint (the machine saw to it; it is
 * checked again here).  0, -EINVAL or -ENOMEM.
 */
int vh_map_create(const struct vh_wire_region *region, struct vh_mapping *const *mapping,
		  unsigned n, uint32_t epoch, struct vh_map **map);
struct vh_map *vh_map_get(struct vh_map *m); /* NULL is fine */
void vh_map_put(struct vh_map *m);	     /* NULL is fine */

/* Our address of [uva, uva + len), which must lie in one region; or NULL. */
void *vh_map_uva(const struct vh_map *m, uint64_t uva, uint64_t len);
/* The same, to write there, too. */
void *vh_map_uva_writable(const struct vh_map *m, uint64_t uva, uint64_t len);
/* The guest physical address of that byte; false if it is in no region. */
bool vh_map_uva_to_gpa(const struct vh_map *m, uint64_t uva, uint64_t *gpa);

#endif
