/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log.  It marks pages and knows nothing of rings; the order "data
 * first, then the mark" is its caller's.  Any thread marks, control creates and
 * frees.
 *
 * Marks are never saved by looking whether a page is marked already: the reader
 * could take the old mark and the old page while our data is still on its way.
 * Bits are set byte by byte, which is the layout the format has on every host,
 * and needs no alignment of a log that a peer placed.
 */
#include "mem/log.h"

#include <errno.h>
#include <stdlib.h>

#include "base/barrier.h"

#define BYTE_SPAN (8ULL * VH_LOG_PAGE) /* guest bytes behind one byte of the log */

int vh_dirty_log_create(struct vh_mapping *mapping, struct vh_dirty_log **log)
{
	struct vh_dirty_log *l = calloc(1, sizeof(*l));

	*log = l;
	if (!l) {
		vh_mapping_put(mapping);
		return -ENOMEM;
	}
	*l = (struct vh_dirty_log){
		.refs = 1,
		.bits = mapping->addr,
		.len = mapping->len,
		.mapping = mapping,
	};
	return 0;
}

struct vh_dirty_log *vh_dirty_log_get(struct vh_dirty_log *log)
{
	if (log)
		log->refs++;
	return log;
}

void vh_dirty_log_put(struct vh_dirty_log *log)
{
	if (!log || --log->refs)
		return;
	vh_mapping_put(log->mapping);
	free(log);
}

/* The last byte of [gpa, gpa + len) that there is: len may come from a guest. */
static uint64_t range_last(uint64_t gpa, uint64_t len)
{
	return len - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + (len - 1);
}

void vh_dirty_log_mark(struct vh_dirty_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t last, byte, last_byte;
	uint8_t mask;

	if (!len)
		return;
	last = range_last(gpa, len);
	last_byte = last / BYTE_SPAN;
	mask = (uint8_t)(0xff << (gpa / VH_LOG_PAGE % 8));
	for (byte = gpa / BYTE_SPAN; byte < last_byte && byte < log->len; byte++) {
		vh_fetch_or_release(&log->bits[byte], mask);
		mask = 0xff;
	}
	mask &= (uint8_t)(0xff >> (7 - last / VH_LOG_PAGE % 8));
	if (byte < log->len)
		vh_fetch_or_release(&log->bits[byte], mask);
}
