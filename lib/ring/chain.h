/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chain: one buffer chain, copied out of the ring, every segment translated
 * and checked.  The first line holds what the switch needs of a frame.
 */
#ifndef VH_RING_CHAIN_H
#define VH_RING_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vhost/device.h>

#include "base/seg.h"

#define VH_CHAIN_INLINE 2
/* Segments of one chain; longer ones are refused.  virtio-blk's are up to 1026. */
#define VH_CHAIN_MAX_SEGS 2048

struct vh_chain {
	/* Line 0. */
	struct vh_queue *queue;
	uint16_t head;	  /* split: index of its first descriptor; packed: buffer id */
	uint16_t n_out;	  /* readable segments, which come first                     */
	uint16_t n_in;	  /* writable segments, behind them                          */
	uint16_t n_descs; /* ring entries it takes (packed)                          */
	struct vh_seg inl[VH_CHAIN_INLINE];

	/* Line 1. */
	struct vh_seg *more; /* all segments, if more than two; kept for reuse */
	uint32_t more_cap;
	uint32_t epoch;		  /* of the map it was translated with                  */
	uint32_t out_len, in_len; /* bytes in all: each chain is under 4 GiB           */
	uint32_t out_done, in_done; /* vh_chain_read() and _write() came this far      */
	uint32_t in_tail;  /* bytes at the end that vh_chain_write_tail() will write */
	struct iovec *iov; /* room for all segments; filled when a device asks   */
	bool lent;	   /* the device has it (or a borrower)                  */
	bool owed;	   /* a predecessor of ours took it from the ring        */
	struct vh_chain *next_free;
} __attribute__((aligned(64)));

/* Its segments: n_out readable ones, then n_in writable ones. */
static inline struct vh_seg *vh_chain_segs(struct vh_chain *c)
{
	return c->n_out + c->n_in <= VH_CHAIN_INLINE ? c->inl : c->more;
}

#endif
