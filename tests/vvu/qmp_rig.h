/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU's monitor, as far as functions are plugged: it has root ports that are free or
 * taken, and a guest that gives back what it is asked for, or does not.  On the test's
 * reactor.
 */
#ifndef TESTS_VVU_QMP_RIG_H
#define TESTS_VVU_QMP_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"

#define FAKE_PORTS 3u

struct fake_qmp {
	struct vh_reactor *reactor;
	char path[108];
	struct vh_event listener, conn;
	char in[16384];
	size_t in_len;
	/* What it is like: the test's to set. */
	unsigned n_ports;
	char used_by[FAKE_PORTS][32]; /* "": free                              */
	bool no_greeting;	      /* it takes connections and says nothing */
	bool no_answers;	      /* but for qmp_capabilities              */
	bool keeps;		      /* the guest gives nothing back          */
	bool event_first;	      /* it is gone before the reply           */
	const char *refuses;	      /* each device_add, with this text       */
	const char *says;	      /* in place of any answer                */
	/* What has happened. */
	unsigned n_connections, n_adds, n_asks;
	char socket[108]; /* of the last device_add that worked */
};

struct vh_reactor *fake_reactor(void);
/* Turns until @yes(@arg); fails after 5 s. */
void fake_until(struct vh_reactor *r, bool (*yes)(const void *arg), const void *arg);
/* Turns as long as there is something to do. */
void fake_settle(struct vh_reactor *r);

void fake_start(struct fake_qmp *q, struct vh_reactor *r, const char *path,
		unsigned n_ports);
void fake_stop(struct fake_qmp *q);
/* It closes the connection that it has. */
void fake_hang_up(struct fake_qmp *q);
/* The guest gives back what is in @port. */
void fake_give_back(struct fake_qmp *q, unsigned port);
void fake_send(struct fake_qmp *q, const char *text);

#endif
