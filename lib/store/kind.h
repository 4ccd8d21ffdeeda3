/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Write a kind of store: the table of its functions.  Inside store/ only.
 *
 * A store embeds struct vh_store and a channel struct vh_store_channel, as first members.
 * A wrapper has @below, opened before it and closed after it by store.c, and gets a copy
 * of its info; every NULL function of a wrapper passes through, but submit.
 */
#ifndef VH_STORE_KIND_H
#define VH_STORE_KIND_H

#include "store/store.h"

struct vh_store_kind {
	const char *name; /* "file": as in file=PATH */

	/*
	 * Make the store and fill in its info: @rest stands behind the "=".  0 and *@s;
	 * or -errno (logged).
	 */
	int (*open)(const struct vh_store_params *p, const char *rest, const char *tag,
		    struct vh_store *below, struct vh_store **s);
	void (*close)(struct vh_store *s);
	int (*refresh)(struct vh_store *
			       s); /* update info.capacity: 0 or -errno; NULL: constant */

	/*
	 * Make a channel; the common members are filled in afterwards.  It may have set
	 * ch->kind to a table of its own, of which only the channel's part is used.
	 */
	int (*channel_open)(struct vh_store *s, struct vh_reactor *r,
			    struct vh_store_channel *below, struct vh_store_channel **ch);
	void (*channel_close)(struct vh_store_channel *ch);
	void (*memory)(struct vh_store_channel *ch, const struct iovec *region,
		       unsigned n);
	void (*submit)(struct vh_store_channel *ch, struct vh_store_io *io);
	void (*start)(struct vh_store_channel *ch);
	void (*cancel)(struct vh_store_channel *ch);
};

struct vh_store {
	char tag[32];
	const struct vh_store_kind *kind;
	struct vh_store *below; /* a wrapper's */
	struct vh_store_info info;
};

struct vh_store_channel {
	const char *tag; /* the store's */
	const struct vh_store_kind *kind;
	struct vh_store *store;
	struct vh_reactor *reactor;
	struct vh_store_channel *below; /* a wrapper's */
};

extern const struct vh_store_kind vh_store_file, vh_store_memory, vh_store_nbd,
	vh_store_null, vh_store_rbd;
extern const struct vh_store_kind vh_store_volatile, vh_store_delay, vh_store_error,
	vh_store_limit;

#endif
