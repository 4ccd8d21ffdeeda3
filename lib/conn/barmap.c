/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A place comes from the peer or from the device that relays its messages, and is
 * believed only as far as the window goes.  Each region is a mapping of its own, of whole
 * pages around it: a window may be larger than all that this process can map.
 */
#include "conn/barmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/log.h"
#include "mem/guard.h"
#include "mem/translate.h"

struct bar_mapping {
	struct vh_mapping m;
	struct vh_barmap_window *window; /* a reference */
	uint64_t at;
	void *base; /* what .unmap wants */
	size_t base_len;
};

static struct bar_mapping *bar_mapping_of(struct vh_mapping *m)
{
	return vh_container_of(m, struct bar_mapping, m);
}

void vh_barmap_window_put(struct vh_barmap_window *w)
{
	if (w && !--w->refs)
		w->last(w);
}

static void unmap(struct vh_mapping *m)
{
	struct bar_mapping *b = bar_mapping_of(m);

	if (m->guard)
		vh_guard_remove(m->guard - 1);
	b->window->host->bus->unmap(b->window->host, b->base, b->base_len);
	vh_barmap_window_put(b->window);
	free(b);
}

/* ---- One piece ---- */

static int cannot_map(const char *tag, const char *what, uint64_t len, int err)
{
	vh_log_line(tag, VH_LOG_ERROR, "%s: cannot map %#" PRIx64 " bytes of the BAR: %s",
		    what, len,
		    err == -ENOTSUP ? "it is not memory of its own there"
				    : vh_strerror(err));
	return err;
}

/* The pages around; no sum can overflow, as all of it is inside of a BAR. */
static int map_pages(struct bar_mapping *b, uint64_t len)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct vh_barmap_window *w = b->window;
	const uint64_t first = w->offset + b->at, start = first & ~(page - 1);
	const uint64_t bytes = (first + len - start + page - 1) & ~(page - 1);
	int err;

	if (bytes > SIZE_MAX / 2)
		return -ENOMEM;
	b->base_len = (size_t)bytes;
	err = w->host->bus->map(w->host, w->bar, start, b->base_len, &b->base);
	if (!err)
		b->m.addr = (uint8_t *)b->base + (first - start);
	return err;
}

int vh_barmap_piece(const char *tag, const char *what,
		    const struct vh_barmap_place *place, uint64_t len,
		    struct vh_mapping **mapping)
{
	struct bar_mapping *b;
	int err;

	if (!len || !vh_range_inside(place->at, len, 0, place->window->size)) {
		vh_log_line(tag, VH_LOG_WARN,
			    "%s: %#" PRIx64 " bytes at %#" PRIx64
			    " are not inside of the window of %#" PRIx64 " bytes",
			    what, len, place->at, place->window->size);
		return -EINVAL;
	}
	b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	*b = (struct bar_mapping){
		.m = {.refs = 1, .len = len, .offset = place->at, .unmap = unmap},
		.window = place->window,
		.at = place->at};
	err = map_pages(b, len);
	if (err) {
		free(b);
		return cannot_map(tag, what, len, err);
	}
	place->window->refs++;
	*mapping = &b->m;
	return 0;
}

/* ---- Tables ---- */

static struct vh_mapping *find_old(const struct vh_map *old,
				   const struct vh_wire_region *r)
{
	const struct vh_map_region *o = old ? vh_map_find(old, r->gpa) : NULL;

	if (!o || o->gpa != r->gpa || o->len != r->size || o->uva != r->uva)
		return NULL;
	return o->mapping;
}

static bool is_at(struct vh_mapping *m, const struct vh_barmap_place *place)
{
	const struct bar_mapping *b = bar_mapping_of(m);

	return b->window == place->window && b->at == place->at;
}

static int map_region(const char *tag, const struct vh_wire_region *r,
		      const struct vh_barmap_place *place, const struct vh_map *old,
		      struct vh_mapping **mapping, bool *changed)
{
	struct vh_mapping *same = find_old(old, r);
	char what[48];

	if (same && is_at(same, place)) {
		*mapping = vh_mapping_get(same);
		return 0;
	}
	*changed |= same != NULL;
	snprintf(what, sizeof(what), "region at %#" PRIx64, r->gpa);
	return vh_barmap_piece(tag, what, place, r->size, mapping);
}

int vh_barmap_table(const char *tag, const struct vh_wire_region *r, unsigned n,
		    const struct vh_barmap_place *place, const struct vh_map *old,
		    struct vh_mapping **mapping, bool *changed)
{
	*changed = false;
	for (unsigned i = 0; i < n; i++) {
		int err = map_region(tag, &r[i], &place[i], old, &mapping[i], changed);

		if (err < 0) {
			while (i-- > 0)
				vh_mapping_put(mapping[i]);
			return err;
		}
	}
	return 0;
}
