/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See nbd_share.h.
 *
 * Theory of operation.  The first to join is the home, which has the link.  Others put
 * what they want into the inbox and summon the home's reactor.  When the home leaves, it
 * detaches the link and names another, which attaches it as soon as it is summoned.
 *
 * Each member has a summons of its own.  With one for all, that went on from a reactor
 * that is no home any more to the one that is, nobody would hear of the new home while
 * the old one's reactor does not run, and it need not run once its channel is closed.  So
 * a summons may also outlive its member, and the store: it holds a reference.
 *
 * The link belongs to the home, once that has attached it; the rest is under the lock.
 */
#include "store/nbd_share.h"

#include <errno.h>
#include <stdlib.h>

#include "store/kind.h"

#define CANCEL VH_STORE_OPS /* an operation that only the inbox knows */

struct vh_nbd_summons {
	struct vh_post post;
	struct vh_nbd_share *share;
	/* Under the share's lock: */
	struct vh_nbd_member *member; /* NULL: it left */
	bool posted;
};

struct vh_nbd_share {
	struct vh_nbd_link link;
	/* Under the lock: */
	pthread_mutex_t lock;
	unsigned refs; /* the store's, and the summons' */
	struct vh_list members;
	struct vh_nbd_member *home; /* NULL: no members */
	bool attached;		    /* the home has the link */
	struct vh_list inbox;
};

static void share_unlock_and_put(struct vh_nbd_share *s)
{
	const unsigned left = --s->refs;

	pthread_mutex_unlock(&s->lock);
	if (left)
		return;
	vh_nbd_link_fini(&s->link);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- Back to who asked ---- */

static void come_home(struct vh_post *post)
{
	struct vh_store_io *io = vh_container_of(post, struct vh_store_io, post);

	io->done(io, io->err);
}

static void share_done(struct vh_nbd_link *l, struct vh_store_io *io, int err)
{
	if (io->channel->reactor == l->reactor) {
		io->done(io, err);
		return;
	}
	io->err = err;
	io->post.fn = come_home;
	vh_reactor_post_node(io->channel->reactor, &io->post);
}

/* ---- To the home ---- */

/* Under the lock, so that the home cannot leave before its reactor has the message. */
static void summon(struct vh_nbd_share *s)
{
	struct vh_nbd_summons *u = s->home ? s->home->summons : NULL;

	if (!u || u->posted)
		return;
	u->posted = true;
	s->refs++;
	vh_reactor_post_node(s->home->reactor, &u->post);
}

/* The oldest of the inbox, or NULL.  A member that only wants to cancel may leave then.
 */
static struct vh_store_io *inbox_take(struct vh_nbd_share *s,
				      const struct vh_store_channel **cancel)
{
	struct vh_store_io *io = NULL;

	pthread_mutex_lock(&s->lock);
	if (!vh_list_is_empty(&s->inbox)) {
		io = vh_container_of(s->inbox.next, struct vh_store_io, link);
		vh_list_remove(&io->link);
		*cancel = io->op == CANCEL ? io->channel : NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return io;
}

static void inbox_empty(struct vh_nbd_share *s)
{
	const struct vh_store_channel *cancel;
	struct vh_store_io *io;

	while ((io = inbox_take(s, &cancel)))
		if (cancel)
			vh_nbd_link_cancel(&s->link, cancel);
		else
			vh_nbd_link_submit(&s->link, io);
}

/* On the reactor of the home, or of who was it. */
static void share_summoned(struct vh_post *post)
{
	struct vh_nbd_summons *u = vh_container_of(post, struct vh_nbd_summons, post);
	struct vh_nbd_share *s = u->share;
	bool attach;

	pthread_mutex_lock(&s->lock);
	u->posted = false;
	if (!u->member) {
		free(u);
		share_unlock_and_put(s);
		return;
	}
	attach = !s->attached;
	s->attached = true;
	pthread_mutex_unlock(&s->lock);
	if (attach)
		vh_nbd_link_attach(&s->link, u->member->reactor);
	inbox_empty(s);
	pthread_mutex_lock(&s->lock);
	share_unlock_and_put(s);
}

/* ---- Members ---- */

static struct vh_nbd_summons *summons_new(struct vh_nbd_share *s, struct vh_nbd_member *m)
{
	struct vh_nbd_summons *u = malloc(sizeof(*u));

	if (u)
		*u = (struct vh_nbd_summons){
			.post.fn = share_summoned,
			.share = s,
			.member = m,
		};
	return u;
}

static int join(struct vh_nbd_share *s, struct vh_nbd_member *m, bool only_first)
{
	bool is_first, joins;

	vh_list_init(&m->cancel.link);
	m->summons = summons_new(s, m);
	if (!m->summons)
		return -ENOMEM;
	pthread_mutex_lock(&s->lock);
	is_first = !s->home;
	joins = is_first || !only_first;
	if (joins)
		vh_list_append(&s->members, &m->link);
	if (is_first) {
		s->home = m;
		s->attached = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (is_first)
		vh_nbd_link_attach(&s->link, m->reactor);
	if (!joins)
		free(m->summons);
	return joins ? 0 : -EBUSY;
}

int vh_nbd_share_join(struct vh_nbd_share *s, struct vh_nbd_member *m)
{
	return join(s, m, false);
}

int vh_nbd_share_join_first(struct vh_nbd_share *s, struct vh_nbd_member *m)
{
	return join(s, m, true);
}

/* Under the lock. */
static void summons_release(struct vh_nbd_summons *u)
{
	u->member = NULL;
	if (!u->posted)
		free(u);
}

/* Under the lock. */
static void choose_home(struct vh_nbd_share *s)
{
	s->home = vh_list_is_empty(&s->members)
			  ? NULL
			  : vh_container_of(s->members.next, struct vh_nbd_member, link);
	s->attached = false;
	summon(s);
}

void vh_nbd_share_leave(struct vh_nbd_share *s, struct vh_nbd_member *m)
{
	pthread_mutex_lock(&s->lock);
	vh_list_remove(&m->cancel.link);
	vh_list_remove(&m->link);
	if (s->home == m) {
		if (s->attached)
			vh_nbd_link_detach(&s->link);
		choose_home(s);
	}
	summons_release(m->summons);
	pthread_mutex_unlock(&s->lock);
}

void vh_nbd_share_submit(struct vh_nbd_share *s, struct vh_nbd_member *m,
			 struct vh_store_io *io)
{
	bool here;

	pthread_mutex_lock(&s->lock);
	here = s->home == m && s->attached;
	if (!here) {
		vh_list_append(&s->inbox, &io->link);
		summon(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (here)
		vh_nbd_link_submit(&s->link, io);
}

/* Move what is still in the inbox to @to. */
static void take_back(struct vh_nbd_share *s, const struct vh_nbd_member *m,
		      struct vh_list *to)
{
	vh_list_for_each (link, &s->inbox) {
		if (vh_container_of(link, struct vh_store_io, link)->channel !=
		    m->channel)
			continue;
		vh_list_remove(link);
		vh_list_append(to, link);
	}
}

void vh_nbd_share_cancel(struct vh_nbd_share *s, struct vh_nbd_member *m)
{
	struct vh_list batch;
	bool here;

	vh_list_init(&batch);
	pthread_mutex_lock(&s->lock);
	vh_list_remove(&m->cancel.link);
	take_back(s, m, &batch);
	here = s->home == m && s->attached;
	if (!here) {
		m->cancel.op = CANCEL;
		m->cancel.channel = (struct vh_store_channel *)m->channel;
		vh_list_append(&s->inbox, &m->cancel.link);
		summon(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (here)
		vh_nbd_link_cancel(&s->link, m->channel);
	while (!vh_list_is_empty(&batch)) {
		struct vh_store_io *io =
			vh_container_of(batch.next, struct vh_store_io, link);

		vh_list_remove(&io->link);
		io->done(io, -ECANCELED);
	}
}

/* ---- The whole ---- */

struct vh_nbd_share *vh_nbd_share_new(const char *tag, struct vh_nbd_dialer *d,
				      struct vh_nbd_connection *first)
{
	struct vh_nbd_share *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->refs = 1;
	vh_list_init(&s->members);
	vh_list_init(&s->inbox);
	vh_nbd_link_init(&s->link, tag, d, first);
	s->link.done = share_done;
	return s;
}

void vh_nbd_share_free(struct vh_nbd_share *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	share_unlock_and_put(s);
}
