/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * volatile=on: a disk with a write cache that a power cut empties.  What is written stays
 * in our memory until it is flushed, so killing the process is the power cut.
 * volatile=reorder: as a real cache may, it writes some of it, or parts of some, early.
 *
 * Theory of operation: the cache belongs to the disk, a lock guards it.  A write is done
 * when it is in @dirty.  Whatever changes the store below is a job, and there is one at a
 * time, first come, first served, on the reactor of the request that it is for; so an old
 * version of a block can never reach the store after a newer one.  A job takes its blocks
 * from @dirty to @moving, writes them, and flushes if that is what it is for.  Reads find
 * a block in @dirty, else in @moving, else below.
 *
 * What a read finds here is copied when it is submitted, and laid over what comes from
 * below when that is there: by then the blocks may have moved on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "store/iov.h"
#include "store/volatile.h"
#include "store/words.h"

/* A disk that is never flushed would take all memory: then it writes by itself. */
#define DIRTY_MAX (256u << 20)

/* ---- Opening and closing ---- */

static int volatile_open(const struct vh_store_params *p, const char *rest,
			 const char *tag, struct vh_store *below, struct vh_store **s)
{
	struct vh_cache *c;

	(void)p;
	if (strcmp(rest, "on") != 0 && strcmp(rest, "reorder") != 0)
		return vh_store_wrong(tag, "volatile", rest, "on, reorder or off");
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->block_size = below->info.block_size;
	c->reorder = !strcmp(rest, "reorder");
	if (getrandom(&c->random, sizeof(c->random), GRND_NONBLOCK) < 0 || !c->random)
		c->random = 1;
	pthread_mutex_init(&c->lock, NULL);
	vh_blocks_init(&c->dirty, c->block_size);
	vh_list_init(&c->jobs);
	*s = &c->store;
	return 0;
}

static void volatile_close(struct vh_store *s)
{
	struct vh_cache *c = vh_container_of(s, struct vh_cache, store);

	vh_blocks_fini(&c->dirty);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static int volatile_channel_open(struct vh_store *s, struct vh_reactor *r,
				 struct vh_store_channel *below,
				 struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void volatile_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

/* ---- Writes ---- */

static uint64_t random_below(struct vh_cache *c, uint64_t n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random % n;
}

/* Half of the writes go to the disk early, from some block of theirs to some other. */
static bool goes_early(struct vh_cache *c, const struct vh_job *j, struct vh_job *early)
{
	const uint64_t n = j->to - j->from;

	if (!c->reorder || !n || random_below(c, 2))
		return false;
	*early = *j;
	early->from += random_below(c, n);
	early->to -= random_below(c, early->to - early->from);
	return true;
}

static int put_blocks(struct vh_cache *c, const struct vh_store_io *io, struct vh_job *j)
{
	for (uint64_t i = j->from; i < j->to; i++) {
		struct vh_block *b = vh_blocks_get(&c->dirty, i);

		if (!b)
			return -ENOMEM;
		vh_iov_to_buf(io->iov, io->n_iov, (i - j->from) * c->block_size, b->data,
			      c->block_size);
	}
	return 0;
}

static void submit_write(struct vh_cache *c, struct vh_store_io *io, struct vh_job *j)
{
	bool needs_job = io->flags & VH_STORE_FUA;
	struct vh_job early;
	int err;

	pthread_mutex_lock(&c->lock);
	err = put_blocks(c, io, j);
	if (!err && !needs_job && goes_early(c, j, &early)) {
		needs_job = true;
		*j = early;
	}
	if (!needs_job && c->dirty.n * c->block_size > DIRTY_MAX) {
		needs_job = true;
		j->from = 0;
		j->to = UINT64_MAX;
	}
	pthread_mutex_unlock(&c->lock);
	if (err || !needs_job)
		io->done(io, err);
	else
		vh_job_add(j);
}

/* ---- Reads ---- */

/* What was here when a read was submitted. */
struct overlay {
	struct vh_store_io below;
	struct vh_store_io *io;
	uint64_t n;
	struct {
		uint64_t skip; /* bytes of the request before it */
		char *data;
	} found[];
};

static const struct vh_block *find_moving(const struct vh_cache *c, uint64_t number)
{
	size_t low = 0, high = c->n_moving;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (c->moving[middle]->number == number)
			return c->moving[middle];
		if (c->moving[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct vh_block *find(const struct vh_cache *c, uint64_t number)
{
	const struct vh_block *b = vh_blocks_find(&c->dirty, number);

	return b ? b : find_moving(c, number);
}

static uint64_t count_found(const struct vh_cache *c, const struct vh_job *j)
{
	uint64_t n = 0;

	if (!c->dirty.n && !c->n_moving)
		return 0;
	for (uint64_t i = j->from; i < j->to; i++)
		n += find(c, i) != NULL;
	return n;
}

/* NULL: no memory. */
static struct overlay *make_overlay(const struct vh_cache *c, const struct vh_job *j,
				    uint64_t n)
{
	const size_t head =
		sizeof(struct overlay) + n * sizeof(((struct overlay *)NULL)->found[0]);
	struct overlay *o = malloc(head + n * c->block_size);

	if (!o)
		return NULL;
	o->n = 0;
	o->io = j->io;
	for (uint64_t i = j->from; i < j->to; i++) {
		const struct vh_block *b = find(c, i);

		if (!b)
			continue;
		o->found[o->n].skip = (i - j->from) * c->block_size;
		o->found[o->n].data = (char *)o + head + o->n * c->block_size;
		memcpy(o->found[o->n++].data, b->data, c->block_size);
	}
	return o;
}

static void lay_over(struct vh_store_io *below, int err)
{
	struct overlay *o = vh_container_of(below, struct overlay, below);
	struct vh_store_io *io = o->io;

	for (uint64_t i = 0; !err && i < o->n; i++)
		vh_iov_from_buf(io->iov, io->n_iov, o->found[i].skip, o->found[i].data,
				vh_cache_of(io)->block_size);
	free(o);
	io->done(io, err);
}

static void submit_read(struct vh_cache *c, struct vh_store_io *io,
			const struct vh_job *j)
{
	struct vh_store_channel *below = io->channel->below;
	struct overlay *o = NULL;
	uint64_t n;

	pthread_mutex_lock(&c->lock);
	n = count_found(c, j);
	if (n)
		o = make_overlay(c, j, n);
	pthread_mutex_unlock(&c->lock);
	if (!n) {
		vh_store_submit(below, io);
	} else if (!o) {
		io->done(io, -ENOMEM);
	} else if (n == j->to - j->from) {
		lay_over(&o->below, 0);
	} else {
		o->below = (struct vh_store_io){
			.op = VH_STORE_READ,
			.off = io->off,
			.len = io->len,
			.iov = io->iov,
			.n_iov = io->n_iov,
			.done = lay_over,
		};
		vh_store_submit(below, &o->below);
	}
}

/* ---- Requests ---- */

static void volatile_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct vh_cache *c = vh_cache_of(io);
	struct vh_job j = {
		.io = io,
		.flush = io->op == VH_STORE_FLUSH || io->flags & VH_STORE_FUA,
		.from = io->off / c->block_size,
		.to = (io->off + io->len) / c->block_size,
	};

	(void)ch;
	switch (io->op) {
	case VH_STORE_READ:
		submit_read(c, io, &j);
		return;
	case VH_STORE_WRITE:
		submit_write(c, io, &j);
		return;
	case VH_STORE_FLUSH:
		j.from = 0;
		j.to = UINT64_MAX;
		break;
	default:
		j.kind = VH_JOB_DROP;
	}
	vh_job_add(&j);
}

static void volatile_cancel(struct vh_store_channel *ch)
{
	vh_job_cancel(vh_container_of(ch->store, struct vh_cache, store), ch);
}

const struct vh_store_kind vh_store_volatile = {
	.name = "volatile",
	.open = volatile_open,
	.close = volatile_close,
	.channel_open = volatile_channel_open,
	.channel_close = volatile_channel_close,
	.submit = volatile_submit,
	.cancel = volatile_cancel,
};
