/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGHUP: have every device look again at what stands behind it, a disk at the size
 * of its file.  Thread: control.
 */
#ifndef CMD_HANGUP_H
#define CMD_HANGUP_H

#include "reactor/reactor.h"

struct vh_server;

struct hangup {
	struct vh_event event; /* a signalfd */
	struct vh_reactor *reactor;
	struct vh_server *server;
};

/*
 * Before other threads are there, which are to have it blocked, too.  0 or -errno
 * (said).
 */
int hangup_open(struct hangup *h, struct vh_reactor *control, struct vh_server *server);
/* A zeroed one is fine. */
void hangup_close(struct hangup *h);

#endif
