/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of a ring format, device side: split.c now; packed fits the same
 * table.  All on batches, so the indirect call is paid once a batch.  ring.c is
 * the only caller; it keeps count of chains, epochs and breakage.
 */
#ifndef VH_RING_FORMAT_H
#define VH_RING_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct vh_ring;
struct vh_chain;

struct vh_ring_format {
	const char *name;
	bool (*size_is_valid)(uint32_t num);
	int (*start)(struct vh_ring *r, uint32_t base);
	uint32_t (*base)(const struct vh_ring *r);
	unsigned (*available)(struct vh_ring *r, unsigned want);
	int (*pop)(struct vh_ring *r, struct vh_chain **c, unsigned max);
	void (*unpop)(struct vh_ring *r, struct vh_chain **c, unsigned n);
	void (*push)(struct vh_ring *r, struct vh_chain *c, uint32_t len);
	void (*publish)(struct vh_ring *r);
	bool (*call_wanted)(struct vh_ring *r);
	bool (*arm)(struct vh_ring *r);
	void (*disarm)(struct vh_ring *r);
};

extern const struct vh_ring_format vh_ring_split;

#endif
