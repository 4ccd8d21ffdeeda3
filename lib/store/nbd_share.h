/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One link for the channels of many reactors, for a server that wants one connection, or
 * has fewer than there are channels.  It lives on the reactor of one of them, its home;
 * others send their requests there.
 */
#ifndef VH_STORE_NBD_SHARE_H
#define VH_STORE_NBD_SHARE_H

#include "store/nbd_link.h"

struct vh_nbd_share;
struct vh_nbd_summons;

struct vh_nbd_member {
	/* Set by its owner: */
	const struct vh_store_channel *channel;
	struct vh_reactor *reactor;
	/* The share's: */
	struct vh_list link;
	struct vh_nbd_summons *summons;
	struct vh_store_io cancel; /* goes to the home among the requests */
};

/* Takes @first's connection.  NULL: no memory. */
struct vh_nbd_share *vh_nbd_share_new(const char *tag, struct vh_nbd_dialer *d,
				      struct vh_nbd_connection *first);
/* It has no members any more. */
void vh_nbd_share_free(struct vh_nbd_share *s);

/* Each on the member's reactor.  Joining: 0, or -ENOMEM. */
int vh_nbd_share_join(struct vh_nbd_share *s, struct vh_nbd_member *m);
/* The same, but -EBUSY if it has a member. */
int vh_nbd_share_join_first(struct vh_nbd_share *s, struct vh_nbd_member *m);
void vh_nbd_share_leave(struct vh_nbd_share *s, struct vh_nbd_member *m);
void vh_nbd_share_submit(struct vh_nbd_share *s, struct vh_nbd_member *m,
			 struct vh_store_io *io);
void vh_nbd_share_cancel(struct vh_nbd_share *s, struct vh_nbd_member *m);

#endif
