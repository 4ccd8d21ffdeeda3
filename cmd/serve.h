/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices of vhost serve, for its command line and its control socket. */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include "run.h"

/*
 * Serve what the words DEVICE ADDRESS [KEY=VALUE]... say; takes those of KEY=VALUE apart
 * in place.  An exit code (said).
 */
int serve_add_device(struct run *r, int argc, char **argv);

#endif
