/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of live migration: one bit for each 4096 bytes of guest
 * physical space, set atomically, never outside of the log.
 */
#ifndef VH_MEM_LOG_H
#define VH_MEM_LOG_H

#include <stdint.h>

#include "mem/map.h"

struct vh_dirty_log {
	unsigned refs; /* control thread */
	uint8_t *bits;
	uint64_t len;		    /* bytes of the bitmap */
	struct vh_mapping *mapping; /* owned reference */
};

/* Takes @mapping, also on failure. */
int vh_dirty_log_create(struct vh_mapping *mapping, struct vh_dirty_log **log);
struct vh_dirty_log *vh_dirty_log_get(struct vh_dirty_log *log);
void vh_dirty_log_put(struct vh_dirty_log *log);

/* [gpa, gpa + len) was written.  Any thread.  What lies beyond the log is ignored. */
void vh_dirty_log_mark(struct vh_dirty_log *log, uint64_t gpa, uint64_t len);

#endif
