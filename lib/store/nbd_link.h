/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link to an NBD server that outlives its connections: requests that a connection took
 * with it are sent again over the next one.  It belongs to the thread of the reactor
 * that it is attached to.
 */
#ifndef VH_STORE_NBD_LINK_H
#define VH_STORE_NBD_LINK_H

#include "reactor/reactor.h"
#include "store/nbd_connect.h"
#include "store/store.h"

struct vh_nbd_link {
	const char *tag;
	struct vh_nbd_dialer *dialer;
	struct vh_reactor *reactor; /* NULL: attached to none */
	/* The request is done; it may be submitted again at once. */
	void (*done)(struct vh_nbd_link *l, struct vh_store_io *io, int err);
	/*
	 * The server is there, but has not one connection for this link.  True: somebody
	 * else has taken what is @waiting, and it is detached for good; false: it tries
	 * again.  NULL: it always does, as it does once it was connected.
	 */
	bool (*refused)(struct vh_nbd_link *l, const char *cause);

	struct vh_nbd_connection now; /* .nbd is NULL: not connected */
	struct vh_event event;
	uint32_t watched;	  /* what epoll watches for      */
	struct vh_nbd_call *call; /* connecting, if not NULL     */
	struct vh_timer retry;
	uint64_t delay;	  /* ns before the next call               */
	uint64_t lost_at; /* 0: it was never connected, or it is    */
	char told[256];	  /* the cause that was last logged        */

	/* A request is on one of these two... */
	struct vh_list waiting; /* for a connection                  */
	struct vh_list sent;	/* commands of it are under way, or about to be */
	/* ... and a command on one of these. */
	struct vh_list commands; /* libnbd's                              */
	struct vh_list answered;
	bool settling; /* somebody goes through the answers */
	bool broken;   /* the connection is of no use       */
};

/* Takes @first's connection, if there is one. */
void vh_nbd_link_init(struct vh_nbd_link *l, const char *tag, struct vh_nbd_dialer *d,
		      struct vh_nbd_connection *first);
/* It is detached and has no requests. */
void vh_nbd_link_fini(struct vh_nbd_link *l);

/* Move it to another thread by detaching and attaching; requests may be under way. */
void vh_nbd_link_attach(struct vh_nbd_link *l, struct vh_reactor *r);
void vh_nbd_link_detach(struct vh_nbd_link *l);

void vh_nbd_link_submit(struct vh_nbd_link *l, struct vh_store_io *io);
/* Of @ch only. */
void vh_nbd_link_cancel(struct vh_nbd_link *l, const struct vh_store_channel *ch);

#endif
