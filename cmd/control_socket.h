/* SPDX-License-Identifier: BSD-3-Clause */
/* A Unix stream socket at @path: listening, or connected.  The fd, or -errno. */
#ifndef CMD_CONTROL_SOCKET_H
#define CMD_CONTROL_SOCKET_H

#include <stdbool.h>

int control_socket(const char *path, bool listening);

#endif
