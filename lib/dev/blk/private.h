/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share; nobody else includes it. */
#ifndef VH_DEV_BLK_PRIVATE_H
#define VH_DEV_BLK_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/blk/blk.h"
#include "reactor/reactor.h"
#include "spec/virtio_blk.h"
#include "store/store.h"

#define BLK_SECTOR     512u
#define BLK_MAX_QUEUES 64

/*
 * What a driver may ask for at once.  The status and the header take two descriptors
 * more, and a ring of 128 entries must hold a chain of one request.  SeaBIOS multiplies
 * the two and keeps 16 bits of the sectors: it never boots if these are zeroes.
 */
#define BLK_SEG_MAX	126
#define BLK_SIZE_MAX	(256u << 10)
#define BLK_RANGES	16
#define BLK_MAX_SECTORS (1u << 22) /* of one range: 2 GiB */

/* A reactor's part of a disk.  That reactor's alone, once the device is open. */
struct blk_lane {
	struct blk *blk;
	struct vh_reactor *reactor;
	unsigned n_queues; /* started                                     */
	struct vh_store_channel *channel; /* NULL while none is           */
	struct iovec *memory;		  /* what the channel knows of     */
	unsigned n_memory;
	struct vh_deferred start;	/* end of the turn: go          */
	struct vh_timer late;		/* drain-timeout                */
	struct blk_request *free;	/* requests to be used again    */
	uint64_t draining;		/* a bit for each queue that is waited for */
	unsigned n_out[BLK_MAX_QUEUES]; /* requests under way, of each queue */
};

struct blk {
	/* Constant once it is open. */
	struct vh_store_params params;
	struct vh_store *store;
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	uint16_t n_queues;
	uint32_t drain_timeout;		       /* seconds; 0: none */
	struct blk_lane *lane[BLK_MAX_QUEUES]; /* of each queue; shared by a reactor's */

	/* Written by control, read by all. */
	uint64_t capacity; /* bytes */
	uint8_t *lasting;  /* control's alone; NULL: nothing lasts        */
	uint32_t wce;	   /* the driver's choice: a volatile cache  */
};

/* ---- config.c: control thread ---- */

uint64_t vh_blk_offer(struct vh_device *d);
int vh_blk_read_config(struct vh_device *d, size_t off, void *buf, size_t len);
int vh_blk_write_config(struct vh_device *d, size_t off, const void *buf, size_t len);

void vh_blk_lasting(struct vh_device *d, uint8_t *bytes);

/* ---- blk.c: the queue's reactor ---- */

/* Queue @q has no request under way any more. */
void vh_blk_lane_is_idle(struct blk_lane *l, unsigned q);

static inline void vh_blk_lane_count(struct blk_lane *l, unsigned q, int more)
{
	l->n_out[q] += (unsigned)more;
	if (!l->n_out[q] && l->draining)
		vh_blk_lane_is_idle(l, q);
}

/* ---- request.c: the queue's reactor ---- */

/* Take what is there. */
void vh_blk_process(struct vh_queue *q);

/* Free what @lane keeps for reuse. */
void vh_blk_requests_free(struct blk_lane *lane);

#endif
