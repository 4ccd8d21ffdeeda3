/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer's memory by way of files that it passes: what every connector over
 * sockets does for the memory path of connector.h.  Control thread.
 */
#ifndef VH_CONN_FDMAP_H
#define VH_CONN_FDMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/map.h"
#include "wire/msg.h"

struct vh_fdmap_rules {
	const char *tag; /* for the log                                          */
	bool any_file;	 /* not only shared memory, where no page can be withheld */
	bool readonly;	 /* of a table: a file that is only to be read is fine   */
};

/* What is to be mapped; @what names it in the log. */
struct vh_fdmap_piece {
	const char *what;
	int fd; /* borrowed: it may be closed once it is mapped */
	uint64_t offset, size;
};

/* 0 and *@mapping, or -errno (logged). */
int vh_fdmap_piece(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		   struct vh_mapping **mapping);

/* As vh_connector_map() and vh_connector_map_area(); fds are closed once mapped. */
int vh_fdmap_table(const struct vh_fdmap_rules *rules, const struct vh_wire_region *r,
		   unsigned n, struct vh_msg *m, const struct vh_map *old,
		   struct vh_mapping **mapping, bool *changed);
int vh_fdmap_area(const struct vh_fdmap_rules *rules, struct vh_msg *m,
		  struct vh_mapping **mapping);

/* As vh_connector_make_area(). */
int vh_fdmap_make_area(const struct vh_fdmap_rules *rules, uint64_t size,
		       struct vh_msg *m);

#endif
