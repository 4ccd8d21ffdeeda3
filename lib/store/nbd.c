/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd=URI: a disk that an NBD server has, over whatever libnbd's URIs can name.
 *
 * Where the server lets a disk have many connections that agree with each other, each
 * channel has one of its own, else all share one.  A server may promise that and yet take
 * only so many; so the connection that the store was opened with is always one that can
 * be shared, the first channel has it, and channels that get none of their own join it.
 * Threads: see store.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/complaint.h"
#include "store/kind.h"
#include "store/nbd_link.h"
#include "store/nbd_share.h"

struct nbd_store {
	struct vh_store store;
	char *uri;
	struct vh_nbd_dialer dialer;
	struct vh_nbd_caps caps; /* when it was opened */
	struct vh_nbd_share *share;
	struct vh_complaint refused; /* any thread */
};

struct nbd_channel {
	struct vh_store_channel channel;
	struct vh_nbd_member member;
	bool shares;		 /* the store's link        */
	struct vh_nbd_link link; /* of its own, if not that */
};

static struct nbd_store *nbd_store_of(struct vh_store *s)
{
	return vh_container_of(s, struct nbd_store, store);
}

static struct nbd_channel *nbd_channel_of(struct vh_store_channel *ch)
{
	return vh_container_of(ch, struct nbd_channel, channel);
}

static struct vh_nbd_share *share_of(const struct nbd_channel *c)
{
	return nbd_store_of(c->channel.store)->share;
}

/* ---- The store ---- */

static void nbd_store_close(struct vh_store *store)
{
	struct nbd_store *s = nbd_store_of(store);

	vh_nbd_dialer_fini(&s->dialer);
	vh_nbd_share_free(s->share);
	free(s->uri);
	free(s);
}

static void fill_info(struct vh_store_info *i, const struct vh_nbd_caps *caps)
{
	i->capacity = caps->size;
	i->block_size = caps->min_block > 512 ? caps->min_block : 512;
	i->physical_block = i->block_size;
	if (caps->preferred > i->block_size && caps->preferred <= 65536 &&
	    caps->preferred % i->block_size == 0)
		i->physical_block = caps->preferred;
	i->optimal_io = caps->preferred > i->block_size ? caps->preferred : 0;
	i->discard_unit = i->physical_block;
	i->readonly = caps->readonly;
	i->discard = caps->trim && !caps->readonly;
	i->write_zeroes = !caps->readonly;
}

static void warn_of_shortcomings(const struct nbd_store *s, const char *tag)
{
	const struct {
		const char *tag;
	} who = {tag};
	const struct vh_nbd_caps *caps = &s->caps;

	if (!caps->readonly && !caps->flush)
		vh_log(&who, VH_LOG_WARN,
		       "nbd=%s: the server has no flush: whether data are safe is up to "
		       "it",
		       s->uri);
	if (caps->size % s->store.info.block_size)
		vh_log(&who, VH_LOG_WARN,
		       "nbd=%s: its last %u bytes are out of reach: no whole block",
		       s->uri, (unsigned)(caps->size % s->store.info.block_size));
}

static int nbd_store_connect(struct nbd_store *s, const char *tag)
{
	const struct {
		const char *tag;
	} who = {tag};
	struct vh_nbd_connection first;
	const int err = vh_nbd_connect(s->uri, -1, VH_NBD_TIMEOUT_MS, &first);

	if (err) {
		vh_log(&who, VH_LOG_ERROR,
		       "nbd=%s: %s; want the URI of a server that runs, like "
		       "nbd://host/export or nbd+unix:///export?socket=PATH",
		       s->uri, first.cause);
		return err;
	}
	s->caps = first.caps;
	s->dialer.size = s->caps.size;
	fill_info(&s->store.info, &s->caps);
	warn_of_shortcomings(s, tag);
	/* The tag is filled in when we return, and stays where it is. */
	s->share = vh_nbd_share_new(s->store.tag, &s->dialer, &first);
	if (!s->share)
		vh_nbd_close(first.nbd);
	return s->share ? 0 : -ENOMEM;
}

static int nbd_store_open(const struct vh_store_params *p, const char *rest,
			  const char *tag, struct vh_store *below, struct vh_store **out)
{
	struct nbd_store *s = calloc(1, sizeof(*s));
	int err;

	(void)p;
	(void)below;
	if (!s)
		return -ENOMEM;
	s->uri = strdup(rest);
	err = vh_nbd_dialer_init(&s->dialer, s->uri);
	if (!err)
		err = s->uri ? nbd_store_connect(s, tag) : -ENOMEM;
	if (err) {
		nbd_store_close(&s->store);
		return err;
	}
	*out = &s->store;
	return 0;
}

/* A server says its size when it is connected to, so we know what the last one said. */
static int nbd_store_refresh(struct vh_store *store)
{
	store->info.capacity = vh_nbd_dialer_size(&nbd_store_of(store)->dialer);
	return 0;
}

/* ---- Channels ---- */

static void own_link_done(struct vh_nbd_link *l, struct vh_store_io *io, int err)
{
	(void)l;
	io->done(io, err);
}

static void tell_refusal(struct nbd_store *s, const char *cause)
{
	uint64_t n_kept;

	if (!vh_complaint_is_due_now(&s->refused, &n_kept))
		return;
	vh_log(&s->store, VH_LOG_WARN,
	       "nbd=%s: no connection for each data thread (%s): some share one, "
	       "which is slower; let the server take more at a time, like qemu-nbd "
	       "--shared=0",
	       s->uri, cause);
}

static bool own_link_refused(struct vh_nbd_link *l, const char *cause)
{
	struct nbd_channel *c = vh_container_of(l, struct nbd_channel, link);

	if (vh_nbd_share_join(share_of(c), &c->member) < 0)
		return false;
	tell_refusal(nbd_store_of(c->channel.store), cause);
	vh_nbd_link_detach(l);
	c->shares = true;
	while (!vh_list_is_empty(&l->waiting))
		vh_nbd_share_submit(share_of(c), &c->member,
				    vh_container_of(vh_list_take(&l->waiting),
						    struct vh_store_io, link));
	return true;
}

static void own_link_open(struct nbd_store *s, struct nbd_channel *c,
			  struct vh_reactor *r)
{
	struct vh_nbd_connection none = {.caps = s->caps};

	vh_nbd_link_init(&c->link, s->store.tag, &s->dialer, &none);
	c->link.done = own_link_done;
	c->link.refused = own_link_refused;
	vh_nbd_link_attach(&c->link, r);
}

static int nbd_channel_open(struct vh_store *store, struct vh_reactor *r,
			    struct vh_store_channel *below, struct vh_store_channel **ch)
{
	struct nbd_store *s = nbd_store_of(store);
	struct nbd_channel *c = calloc(1, sizeof(*c));
	int err;

	(void)below;
	if (!c)
		return -ENOMEM;
	c->member.channel = &c->channel;
	c->member.reactor = r;
	err = s->caps.multi_conn ? vh_nbd_share_join_first(s->share, &c->member)
				 : vh_nbd_share_join(s->share, &c->member);
	if (err && err != -EBUSY) {
		free(c);
		return err;
	}
	c->shares = !err;
	if (!c->shares)
		own_link_open(s, c, r);
	*ch = &c->channel;
	return 0;
}

static void nbd_channel_close(struct vh_store_channel *ch)
{
	struct nbd_channel *c = nbd_channel_of(ch);

	if (c->shares) {
		vh_nbd_share_leave(share_of(c), &c->member);
	} else {
		vh_nbd_link_detach(&c->link);
		vh_nbd_link_fini(&c->link);
	}
	free(c);
}

static void nbd_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct nbd_channel *c = nbd_channel_of(ch);

	if (c->shares)
		vh_nbd_share_submit(share_of(c), &c->member, io);
	else
		vh_nbd_link_submit(&c->link, io);
}

static void nbd_cancel(struct vh_store_channel *ch)
{
	struct nbd_channel *c = nbd_channel_of(ch);

	if (c->shares)
		vh_nbd_share_cancel(share_of(c), &c->member);
	else
		vh_nbd_link_cancel(&c->link, ch);
}

const struct vh_store_kind vh_store_nbd = {
	.name = "nbd",
	.open = nbd_store_open,
	.close = nbd_store_close,
	.refresh = nbd_store_refresh,
	.channel_open = nbd_channel_open,
	.channel_close = nbd_channel_close,
	.submit = nbd_submit,
	.cancel = nbd_cancel,
};
