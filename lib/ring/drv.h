/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a ring, as driver.c and the formats share it.  Inside
 * ring/ only.
 */
#ifndef VH_RING_DRV_H
#define VH_RING_DRV_H

#include <linux/virtio_ring.h>

#include "ring/driver.h"

/* What we know of the chain that begins with this descriptor. */
struct vh_drv_slot {
	void *cookie;
	uint64_t seq;	  /* how many were added before it           */
	uint32_t in_len;  /* writable bytes                          */
	uint16_t n_descs; /* of the ring                             */
	bool is_out;	  /* added, and the device is not done       */
};

struct vh_driver_ring {
	/* Constant. */
	uint32_t num;
	bool event_idx;
	unsigned table_segs;	 /* room of an indirect table; 0: there are none   */
	struct vring_desc *desc; /* the three areas, shared                        */
	uint8_t *avail, *used;
	struct vring_desc *table; /* num tables, shared                             */
	uint64_t table_gpa;
	bool (*to_device)(void *arg, const void *p, size_t len, uint64_t *gpa);
	void *arg;

	/* Ours alone: the device cannot write it, so it is believed. */
	struct vring_desc *shadow; /* what desc should say; next also links free ones */
	struct vh_drv_slot *slot;
	uint16_t *order; /* scratch of resubmit                             */
	uint16_t free_head;
	unsigned n_free;	     /* descriptors                                     */
	unsigned n_staged, n_out;    /* chains: not published yet; published, not done  */
	uint64_t seq, seq_published; /* chains added, chains published                  */
	uint16_t avail_next;	     /* entry for the next chain                        */
	uint16_t avail_published;
	uint16_t used_next; /* entry to look at next                           */
	uint16_t used_seen; /* the device's index when we last looked          */
	bool kick_due;	    /* whatever the device says                        */
	const char *why;
};

/* Put @head, whose slot is filled, into the available ring, unseen by the device. */
void vh_split_drv_stage(struct vh_driver_ring *r, uint16_t head);
/* Show what is staged.  True: kick. */
bool vh_split_drv_publish(struct vh_driver_ring *r);
/* The next chain that is done: 1, its head and the length it was given; 0: none. */
int vh_split_drv_get(struct vh_driver_ring *r, uint16_t *head, uint32_t *len);
bool vh_split_drv_arm(struct vh_driver_ring *r);
void vh_split_drv_disarm(struct vh_driver_ring *r);
/* Write both areas of indices anew: @heads are available from used_next on, no other. */
void vh_split_drv_rewrite(struct vh_driver_ring *r, const uint16_t *heads, unsigned n);

#endif
