/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load for a disk: requests of one size and pattern, a number of them under way all the
 * time on each queue.
 */
#ifndef CMD_LOAD_H
#define CMD_LOAD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

#define LOAD_MAX_ROWS	16
#define LOAD_MAX_QUEUES 64
#define LOAD_MAX_DEPTH	1024

struct load_config {
	unsigned depth[LOAD_MAX_ROWS], n_depths; /* requests under way on a queue */
	unsigned queues, reads;			 /* reads of 100                  */
	uint64_t block_size, seconds;
	uint64_t size; /* use so many bytes of the disk; 0: all */
	bool random, poll, verify;
	char memory_file[PATH_MAX]; /* "": memory without a name */
};

struct load_row {
	unsigned depth;
	double seconds;
	uint64_t reads, writes, errors, wrong; /* wrong: read, but not as written */
	struct histogram latency;	       /* ns */
};

struct load;

/* Connect.  0, or an exit code (said). */
int load_open(const char *address, const struct load_config *c, struct load **l);
/* One row of the table.  0 or -errno (logged). */
int load_measure(struct load *l, unsigned depth, struct load_row *row);
void load_close(struct load *l);

#endif
