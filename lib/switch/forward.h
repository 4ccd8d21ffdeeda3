/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of frames through the switch: a batch comes in at a source, is looked up
 * (ingress.c), taken to where it goes (forward.c), and copied there (egress.c).
 *
 * Thread: the source's home reactor, all the way.
 */
#ifndef VH_SWITCH_FORWARD_H
#define VH_SWITCH_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/net/frame.h"
#include "session/queue.h"
#include "switch/fdb.h"
#include "switch/port.h"
#include "switch/vlan.h"

#define VH_TO_ALL    0xfffe /* flood it                      */
#define VH_TO_NOBODY 0xffff /* done, or nobody may have it   */

struct vh_packet {
	struct vh_frame frame;
	struct vh_eth eth;
	uint16_t to;	     /* port, or one of the above    */
	uint16_t generation; /* of that port                 */
};

struct vh_batch {
	struct vh_packet packet[VH_BATCH]; /* those to be forwarded          */
	unsigned n;
	struct vh_chain *chain[VH_BATCH]; /* all that were taken, to give back */
	unsigned n_chains;
	/* How far it is. */
	unsigned at, end; /* the present run: [at, end); none yet: end <= at */
	unsigned cursor;  /* of a run to all: the port that is next         */
	unsigned tries;	  /* of those that were busy                        */
	uint64_t again[VH_SWITCH_MAX_PORTS / 64]; /* of a run to all: who was busy */
};

/* What a source may still cause in this turn. */
struct vh_turn {
	int64_t copies, bytes;
	bool patient; /* come again in other turns for who is busy, for a while */
};

#define VH_TURN_COPIES 256
#define VH_TURN_BYTES  (256 * 1024)

static inline struct vh_turn vh_turn_begin(void)
{
	return (struct vh_turn){
		.copies = VH_TURN_COPIES, .bytes = VH_TURN_BYTES, .patient = true};
}

/* What all workers share. */
struct vh_fabric {
	struct vh_fdb *fdb;
	uint32_t flood_per_s;
	unsigned n_workers;
	struct vh_worker *worker;
	uint32_t n_slots; /* no port stands behind these: only grows */
	struct vh_port *slot[VH_SWITCH_MAX_PORTS];
};

/* One data reactor. */
struct vh_worker {
	struct vh_fabric *fabric;
	struct vh_reactor *reactor;
	unsigned index;
	struct vh_batch *batch; /* for whoever has its turn */
	/* Lists of a batch's packets by destination: see forward.c. */
	uint8_t first[VH_SWITCH_MAX_PORTS], last[VH_SWITCH_MAX_PORTS], next[VH_BATCH];
} __attribute__((aligned(64)));

static inline struct vh_port *vh_fabric_port(const struct vh_fabric *f, unsigned slot)
{
	return vh_load_acquire(&f->slot[slot]);
}

/* ---- ingress.c ---- */

/* What is known while a batch comes in. */
struct vh_ingress {
	struct vh_source *source;
	struct vh_batch *batch;
	uint64_t features; /* of the sender */
	unsigned hdr_len;
	struct vh_in_counters in;
	uint64_t src, dst;	 /* keys of the packet before ... */
	uint16_t to, generation; /* ... and where the latter led  */
};

void vh_ingress_begin(struct vh_ingress *in, struct vh_source *s, struct vh_batch *b,
		      uint64_t features);
/* A chain from the guest; the batch has it until it is complete. */
void vh_ingress_chain(struct vh_ingress *in, struct vh_chain *c);
/* A frame in memory of ours; seg stays valid until the batch is done. */
void vh_ingress_frame(struct vh_ingress *in, const struct vh_frame *f);
void vh_ingress_end(struct vh_ingress *in);

/* ---- forward.c ---- */

/*
 * Forward what ingress put into @s->worker->batch.  False: the turn is over, or somebody
 * has a queue that it needs; then @s->pending is set, and the rest is to be done in
 * the next turn.
 */
bool vh_forward(struct vh_source *s, struct vh_turn *turn);

/* Go on with what is pending; the same. */
bool vh_forward_pending(struct vh_source *s, struct vh_turn *turn);

/* The transmit queue of @n's port has something. */
void vh_forward_transmit(struct vh_net *n, struct vh_queue *q);

/* ---- rarp.c ---- */

/*
 * Control: have the switch see and flood a RARP frame of @mac as if it came from that
 * port: so that everybody learns where a guest has moved.  0 or -ENOMEM.
 */
int vh_rarp_send(const struct vh_port *p, const uint8_t mac[6]);

/* ---- egress.c ---- */

/*
 * Copy @n packets of the batch to a port; 0, or -EBUSY: somebody has the queue, nothing
 * was done.  Drops are counted where they happen.
 */
int vh_egress(struct vh_worker *w, struct vh_port *to, const struct vh_batch *b,
	      const uint8_t *packets, unsigned n);

/* They are not to wait any longer for a queue that is busy. */
void vh_egress_drop_busy(struct vh_worker *w, struct vh_port *to, unsigned n);

#endif
