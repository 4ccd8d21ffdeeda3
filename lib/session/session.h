/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session: one device's side of the protocol.  The shell in which the
 * machine (proto), the connector and the queues meet.  Control thread.
 */
#ifndef VH_SESSION_SESSION_H
#define VH_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/connector.h"
#include "mem/log.h"
#include "mem/map.h"
#include "proto/backend.h"
#include "reactor/reactor.h"
#include "session/adopt.h"

struct vh_device;

enum vh_session_state {
	VH_SESSION_WAITING, /* for a front-end                          */
	VH_SESSION_UP,
	VH_SESSION_ENDING, /* the link is down, queues still settle    */
	VH_SESSION_CLOSED,
};

struct vh_session {
	char tag[32];
	struct vh_device *device;
	struct vh_reactor *control;
	enum vh_session_state state;
	bool closing; /* ENDING leads to CLOSED         */

	struct vh_connector *conn;
	struct vh_event readable; /* the connector has news         */
	struct vh_event shrunk;	  /* an eventfd: a mapped file shrank under us */

	struct vh_backend machine;
	struct vh_msg request; /* the one being answered; ours while machine.phase
				  is not IDLE                    */
	struct vh_msg made;    /* GET_INFLIGHT_FD: what its reply is to carry    */

	/* What views are made of. */
	struct vh_map *map;
	struct vh_map *old_map; /* until the change is committed  */
	struct vh_dirty_log *log, *old_log;
	struct vh_signal *log_call;
	uint8_t *lasting;	     /* VH_LASTING bytes in there; or NULL         */
	struct vh_mapping *inflight; /* the area; NULL: requests are not tracked */
	struct {
		struct vh_signal *kick, *call, *err;
	} vring[VH_MAX_VRINGS];
	bool has_ring[VH_MAX_VRINGS]; /* its queue was given one        */

	uint64_t connections, faults;
};

/* Wait for a front-end at @address.  0 or -errno (logged). */
int vh_session_open(struct vh_session *s, struct vh_device *d, struct vh_reactor *control,
		    const char *address);
/* Ends; vh_device's removal goes on when the state is CLOSED
 * (vh_server_session_closed()). */
void vh_session_close(struct vh_session *s);

/* No front-end can come any more. */
bool vh_session_is_over(const struct vh_session *s);

/* Take the link down: the peer is at fault in the way that @why, a literal, says. */
void vh_session_fault(struct vh_session *s, const char *why);

/* One event for the machine, and what follows from it. */
void vh_session_step(struct vh_session *s, const struct vh_backend_event *ev);

/* What device and library offer to a front-end. */
void vh_session_offer(const struct vh_session *s, struct vh_offer *offer);

/* ---- effects.c ---- */

/* Do what @fx says; the machine may be stepped again from in here. */
void vh_session_apply(struct vh_session *s, const struct vh_effects *fx);
/* Every queue has stopped, nobody uses the peer's memory any more. */
void vh_session_ended(struct vh_session *s);
/* Everything that the connection brought is let go. */
void vh_session_release_all(struct vh_session *s);

/* ---- The server's ---- */

/* @s, which is the device's, has reached CLOSED. */
void vh_server_session_closed(struct vh_session *s);
/* vh_session_is_over(), from now on. */
void vh_server_session_over(struct vh_session *s);

#endif
