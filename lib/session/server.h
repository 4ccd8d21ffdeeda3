/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device asks of its server.  Any thread: constant. */
#ifndef VH_SESSION_SERVER_H
#define VH_SESSION_SERVER_H

#include <vhost/server.h>

/* The reactor that runs all sessions. */
struct vh_reactor *vh_server_control(const struct vh_server *s);

/* The home of the @i-th queue that asks. */
struct vh_reactor *vh_server_home(const struct vh_server *s, unsigned i);

#endif
