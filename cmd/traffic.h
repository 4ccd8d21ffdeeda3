/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A traffic generator: one thread that sends into one network card and receives from
 * another, polling both, and checks what arrives.
 */
#ifndef CMD_TRAFFIC_H
#define CMD_TRAFFIC_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "nic.h"

#define TRAFFIC_MAX_SIZES 16
#define TRAFFIC_FRAME_MIN 60
#define TRAFFIC_FRAME_MAX 9014

struct traffic_config {
	unsigned size[TRAFFIC_MAX_SIZES], n_sizes;
	uint64_t seconds, ring;
	bool mergeable, duplex;
	char memory_file[2][PATH_MAX]; /* "": memory without a name */
};

/* What was counted with frames of one size, both directions together. */
struct traffic_row {
	unsigned size;
	double seconds;
	uint64_t sent, received, damaged, reordered;
};

/*
 * One direction: from nic[from] to nic[!from].  Numbers go on from size to size, since
 * frames of the one before may still be under way.
 */
struct traffic_flow {
	unsigned from;
	uint64_t seq, sent, expected;
	uint64_t received, damaged, reordered;
};

struct traffic {
	struct nic nic[2];
	struct traffic_flow flow[2];
};

/* Start both cards of @address.  0 or -errno (logged); traffic_close() in any case. */
int traffic_open(struct traffic *t, const char *const address[2],
		 const struct traffic_config *c);
void traffic_close(struct traffic *t);

/* Send frames of @size for c->seconds, after a time to warm up.  0 and *@row, or -errno.
 */
int traffic_measure(struct traffic *t, unsigned size, const struct traffic_config *c,
		    struct traffic_row *row);

double traffic_mpps(const struct traffic_row *r); /* million frames a second, received */
double traffic_gbps(const struct traffic_row *r);

#endif
