/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters.  They are plain numbers kept by the thread that does the work and
 * may be read from any other; each is exact, but a set of them is no snapshot.
 */
#ifndef VHOST_STATS_H
#define VHOST_STATS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vh_device;
struct vh_queue;

struct vh_queue_stats {
	uint64_t chains;    /* taken from the ring                          */
	uint64_t completed; /* given back                                   */
	uint64_t bytes_out; /* readable by the device, in completed chains  */
	uint64_t bytes_in;  /* written by the device                        */
	uint64_t kicks;	    /* wake-ups by the driver                       */
	uint64_t calls;	    /* notifications sent to the driver             */
	uint64_t rejected;  /* chains or rings that broke the rules         */
	bool started, enabled;
};

/* Any thread. */
void vh_queue_read_stats(const struct vh_queue *q, struct vh_queue_stats *s);

struct vh_device_stats {
	const char *tag;     /* "rng0"; lives as long as the device   */
	const char *address; /* likewise                              */
	bool connected;
	uint64_t connections; /* front-ends seen                       */
	uint64_t faults;      /* connections or rings stopped for cause */
	uint64_t features;    /* acknowledged virtio features          */
	uint64_t protocol_features;
	unsigned n_queues;
	unsigned n_regions; /* memory slots in use                   */
};

/* Control thread. */
void vh_device_read_stats(const struct vh_device *d, struct vh_device_stats *s);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
