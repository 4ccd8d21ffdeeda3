/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices of vhost serve, for its command line and its control socket. */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include "run.h"

#define SERVE_MAX_DEVICES 256

/* The words of a device on the command line, which stand between "--"s, and its threads.
 */
struct serve_entry {
	int argc;
	char **argv;
	struct core_set set;
};

/* Before run_start(), into @e, with room for SERVE_MAX_DEVICES.  An exit code (said). */
int serve_read_entries(struct run *r, int argc, char **argv, struct serve_entry *e,
		       unsigned *n);
int serve_add_entries(struct run *r, struct serve_entry *e, unsigned n);

/* "DEVICE --print-capabilities": an exit code. */
int serve_print_capabilities(int argc, char **argv);

/*
 * Serve what the words DEVICE ADDRESS [KEY=VALUE]... say; takes those of KEY=VALUE apart
 * in place.  An exit code (said).
 */
int serve_add_device(struct run *r, int argc, char **argv);

#endif
