/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port: where frames come in and go out, and its counters.  What is done with
 * frames is forward.c's and egress.c's; ports come and go in switch.c.
 *
 * Counters are plain numbers with one writer at a time, and those of two writers
 * share no cache line:
 *
 *   vh_source.in    frames from the port, by queue pair: the pair's home reactor
 *   vh_sink.out     frames for the port, by queue pair: whoever has borrowed the
 *                   pair's receive queue, so the borrow orders the writers
 *   vh_place.out    what happens without a borrow, by worker: drops because there
 *                   was no queue to borrow, and everything that goes to an uplink
 *
 * Reading sums them up; no sum is a snapshot.
 */
#ifndef VH_SWITCH_PORT_H
#define VH_SWITCH_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <vhost/device.h>

#include "base/barrier.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "dev/net/net.h"
#include "switch/bucket.h"
#include "switch/switch.h"

struct vh_batch;
struct vh_fabric;
struct vh_uplink;
struct vh_worker;

struct vh_in_counters {
	uint64_t frames, bytes, flooded, drop_vlan, drop_invalid, drop_flood;
};

struct vh_out_counters {
	uint64_t frames, bytes, drop_full, drop_busy, drop_offload, software;
};

/* Where frames come from: a pair's transmit queue, or an uplink.  Its home reactor's. */
struct vh_source {
	struct vh_port *port;
	struct vh_worker *worker; /* the home reactor's                              */
	struct vh_queue *queue;	  /* NULL: an uplink                                 */
	struct vh_batch *batch;	  /* what did not fit into the turn, or a spare one  */
	bool pending;		  /* the former                                      */
	uint32_t mean_len;	  /* bytes of its frames lately                      */
	struct vh_in_counters in;
} __attribute__((aligned(64)));

/* Where frames go: a pair's receive queue. */
struct vh_sink {
	struct vh_queue *queue;	    /* constant while it is usable          */
	uint32_t usable;	    /* started and enabled: home reactor    */
	struct vh_out_counters out; /* the borrower's                     */
} __attribute__((aligned(64)));

/* What a worker knows of a port: that worker's alone. */
struct vh_place {
	struct vh_out_counters out;
	uint32_t version; /* of the choice ...                          */
	int32_t sink;	  /* ... of a receive queue; -1: none is usable */
} __attribute__((aligned(64)));

struct vh_port {
	/* Constant while it is published. */
	const char *tag; /* the name */
	char name[VH_PORT_NAME];
	char *address;
	enum vh_port_kind kind;
	uint16_t index, generation;
	unsigned pairs;
	struct vh_port_vlans vlans;
	struct vh_fabric *fabric;
	struct vh_uplink *uplink; /* NULL: a vhost port */
	struct vh_source *source; /* pairs of them      */
	struct vh_sink *sink;	  /* likewise           */
	struct vh_place *place;	  /* one a worker       */

	/* Any thread. */
	uint32_t sinks_version; /* some sink became usable, or ceased to be */
	struct vh_bucket flood;

	/* Control's. */
	struct vh_net net;	  /* a vhost port's device: net.device is NULL */
	struct vh_device_ops ops; /* before it is opened and after it closed   */
	bool linked;		  /* a front-end is connected                  */
	struct vh_list link;	  /* of the switch, in the order of creation   */
	struct vh_removal *removal;
};

/* For a port that is not published yet.  Copies what it needs of @p. */
int vh_port_create(struct vh_fabric *f, const struct vh_port_params *p,
		   struct vh_port **port);
/* Nobody knows it any more.  NULL and half-made ones are fine. */
void vh_port_destroy(struct vh_port *p);

/* A sink became usable or ceased to be: its home reactor. */
void vh_port_set_usable(struct vh_port *p, unsigned pair, bool usable);

/*
 * The sink for this worker: of n usable ones, number (worker mod n).  So with as many
 * pairs as workers no two share one.  NULL: none is usable.
 */
struct vh_sink *vh_port_sink(struct vh_port *p, unsigned worker);

bool vh_port_has_sink(const struct vh_port *p);

/* Sums; control. */
void vh_port_read_stats(const struct vh_port *p, struct vh_port_stats *s);
void vh_port_read_queue_stats(const struct vh_port *p, unsigned pair,
			      struct vh_port_stats *s);

/* Frames in and out, counted a batch at a time. */
void vh_in_counters_add(struct vh_in_counters *to, const struct vh_in_counters *n);
void vh_out_counters_add(struct vh_out_counters *to, const struct vh_out_counters *n);

#endif
