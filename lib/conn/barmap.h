/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer's memory by way of BARs, for connectors in a guest: the memory path of
 * connector.h, where a region has a place in place of a file.  Control thread.
 */
#ifndef VH_CONN_BARMAP_H
#define VH_CONN_BARMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/map.h"
#include "pci/host.h"

/* Part of a BAR where memory of the peer is to be seen. */
struct vh_barmap_window {
	unsigned refs; /* its owner's, and one of each mapping             */
	struct vh_pci_host *host;
	unsigned bar;
	uint64_t offset, size; /* in the BAR */
	/* The last reference went: undo and free. */
	void (*last)(struct vh_barmap_window *w);
};

void vh_barmap_window_put(struct vh_barmap_window *w); /* NULL is fine */

struct vh_barmap_place {
	struct vh_barmap_window *window;
	uint64_t at; /* in it */
};

/*
 * As vh_connector_map(), with @place[i] for @r[i].  Regions that have their numbers and
 * their place of @old keep their mapping.
 */
int vh_barmap_table(const char *tag, const struct vh_wire_region *r, unsigned n,
		    const struct vh_barmap_place *place, const struct vh_map *old,
		    struct vh_mapping **mapping, bool *changed);

/* Map @len bytes at @place; @what names them in the log.  0 or -errno (logged). */
int vh_barmap_piece(const char *tag, const char *what,
		    const struct vh_barmap_place *place, uint64_t len,
		    struct vh_mapping **mapping);

#endif
