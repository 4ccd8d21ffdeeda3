/* SPDX-License-Identifier: BSD-3-Clause */
/* See hold.h. */
#include "store/hold.h"

#include <errno.h>
#include <stdlib.h>

static struct vh_hold *hold_of(struct vh_store_channel *ch)
{
	return vh_container_of(ch, struct vh_hold, ch);
}

static struct vh_store_io *io_of(struct vh_list *l)
{
	return vh_container_of(l, struct vh_store_io, link);
}

static void set_timer(struct vh_hold *h)
{
	const uint64_t now = vh_reactor_now(h->ch.reactor);
	uint64_t due;

	if (vh_list_is_empty(&h->held)) {
		vh_timer_disarm(h->ch.reactor, &h->timer);
		return;
	}
	due = io_of(h->held.next)->progress;
	vh_timer_arm(h->ch.reactor, &h->timer, due > now ? due - now : 0);
}

static void let_go(struct vh_timer *t)
{
	struct vh_hold *h = vh_container_of(t, struct vh_hold, timer);
	const uint64_t now = vh_reactor_now(h->ch.reactor);

	while (!vh_list_is_empty(&h->held) && io_of(h->held.next)->progress <= now) {
		struct vh_store_io *io = io_of(h->held.next);

		vh_list_remove(&io->link);
		vh_store_submit(h->ch.below, io);
	}
	vh_store_start(h->ch.below);
	set_timer(h);
}

void vh_hold_until(struct vh_store_channel *ch, struct vh_store_io *io, uint64_t due)
{
	struct vh_hold *h = hold_of(ch);
	struct vh_list *after = h->held.prev;

	/* Nobody overtakes one that is due, but whose timer did not run yet. */
	if (due <= vh_reactor_now(ch->reactor) &&
	    (after == &h->held || io_of(h->held.next)->progress > due)) {
		vh_store_submit(ch->below, io);
		return;
	}
	io->progress = due;
	while (after != &h->held && io_of(after)->progress > due)
		after = after->prev;
	/* Before the one that comes after it. */
	vh_list_append(after->next, &io->link);
	if (h->held.next == &io->link)
		set_timer(h);
}

void vh_hold_cancel(struct vh_store_channel *ch)
{
	struct vh_hold *h = hold_of(ch);
	struct vh_list batch;

	/* What is submitted meanwhile is not meant. */
	vh_list_append(&h->held, &batch);
	vh_list_remove(&h->held);
	while (!vh_list_is_empty(&batch)) {
		struct vh_store_io *io = io_of(batch.next);

		vh_list_remove(&io->link);
		io->done(io, -ECANCELED);
	}
	set_timer(h);
}

int vh_hold_channel_open(struct vh_store *s, struct vh_reactor *r,
			 struct vh_store_channel *below, struct vh_store_channel **ch)
{
	struct vh_hold *h = calloc(1, sizeof(*h));

	(void)s;
	(void)r;
	(void)below;
	if (!h)
		return -ENOMEM;
	vh_list_init(&h->held);
	vh_timer_init(&h->timer, let_go);
	*ch = &h->ch;
	return 0;
}

void vh_hold_channel_close(struct vh_store_channel *ch)
{
	struct vh_hold *h = hold_of(ch);

	vh_timer_disarm(ch->reactor, &h->timer);
	free(h);
}
