/* SPDX-License-Identifier: BSD-3-Clause */
/* The readiness protocol of systemd's Type=notify services. */
#ifndef CMD_NOTIFY_H
#define CMD_NOTIFY_H

/*
 * Tell whoever waits at $NOTIFY_SOCKET (a path, or "@" and an abstract name) that
 * @state is so: "READY=1", "STOPPING=1".  Does nothing when nobody waits.
 */
void notify_systemd(const char *state);

#endif
