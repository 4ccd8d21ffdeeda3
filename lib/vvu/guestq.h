/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two queues of messages between a relay and a guest's driver: split rings in the
 * guest's memory, one message to a buffer.  Where they are and when they may be touched
 * is the register front-end's, who gives it struct vh_guestq_ops.  Control thread.
 */
#ifndef VH_VVU_GUESTQ_H
#define VH_VVU_GUESTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "ring/ring.h"
#include "vfu/vfu.h"
#include "vvu/relay.h"

enum { VH_GUESTQ_RX, VH_GUESTQ_TX, VH_GUESTQ_COUNT }; /* as the driver sees them */

struct vh_guestq_place {
	uint32_t size;
	uint64_t desc, avail, used; /* addresses of the guest's */
	uint64_t features;	    /* of the ring              */
};

struct vh_guestq_ops {
	/* Where queue @q is; false: it must not be touched, now. */
	bool (*where)(void *arg, unsigned q, struct vh_guestq_place *p);
	/* Buffers of @q were used, and the driver wants to know. */
	void (*used)(void *arg, unsigned q);
	/* The driver broke a queue, or sent what is no message. */
	void (*broken)(void *arg, const char *why);
	/* A queue is not in the guest's memory.  NULL: it may be, later. */
	void (*lost)(void *arg);
};

struct vh_guestq {
	const char *tag; /* borrowed */
	struct vh_reactor *reactor;
	struct vh_vfu *vfu;	/* the owner's, set before .where says yes */
	struct vh_relay *relay; /* likewise                                */
	const struct vh_guestq_ops *ops;
	void *arg;
	struct vh_map *map; /* of the guest's memory; NULL: looked up when it is needed */
	struct vh_ring *ring[VH_GUESTQ_COUNT];
	bool placed[VH_GUESTQ_COUNT]; /* in @map */
	bool told;		      /* that one cannot be reached */
	bool told_empty;	      /* that the driver gave no buffers */
	struct vh_deferred again;     /* look at both at the end of the turn */
};

void vh_guestq_init(struct vh_guestq *g, struct vh_reactor *r, const char *tag,
		    const struct vh_guestq_ops *ops, void *arg);
/* Forget the rings: the driver begins anew.  Again is fine. */
void vh_guestq_stop(struct vh_guestq *g);

/* 0, or -errno: a queue is where nothing is, or of no size that there is. */
int vh_guestq_check(struct vh_guestq *g);
/*
 * The driver says that it is ready: both queues are looked at.  It should have given
 * buffers by now, and a log line says what may be wrong if there are none.
 */
void vh_guestq_driver_is_ready(struct vh_guestq *g);
/* The guest's memory is another: nothing of the old one is used after this. */
void vh_guestq_unmap(struct vh_guestq *g);

/* vh_relay_ops.deliver; NULL and 0 for an empty buffer. */
int vh_guestq_deliver(struct vh_guestq *g, const void *msg, size_t len);
/* The driver put something into queue @q, or may have. */
void vh_guestq_notified(struct vh_guestq *g, unsigned q);
/* Into both, to be looked at at the end of the turn. */
void vh_guestq_look_again(struct vh_guestq *g);

#endif
