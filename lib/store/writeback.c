/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The jobs of a cache: what of it goes to the store below, and when.  See "Theory of
 * operation" in volatile.c.  A job runs on the reactor of its request.
 */
#include <errno.h>
#include <stdlib.h>

#include "reactor/reactor.h"
#include "store/volatile.h"

#define PART_MAX 256 /* blocks */

/* A run of blocks that is written at once. */
struct part {
	struct vh_store_io io;
	struct vh_job *job;
	struct iovec iov[PART_MAX];
};

static void job_begin(struct vh_job *j);

static void begin_posted(struct vh_post *post)
{
	job_begin(vh_container_of(post, struct vh_store_io, post)->own);
}

/* The next one begins on its own reactor, and not from inside of this one. */
static void job_end(struct vh_job *j, int err)
{
	struct vh_store_io *io = j->io, *next = NULL;
	struct vh_cache *c = vh_cache_of(io);

	pthread_mutex_lock(&c->lock);
	vh_list_remove(&io->link);
	if (!vh_list_is_empty(&c->jobs))
		next = vh_container_of(c->jobs.next, struct vh_store_io, link);
	pthread_mutex_unlock(&c->lock);
	if (next)
		vh_reactor_post_node(next->channel->reactor, &next->post);
	free(j);
	io->done(io, err);
}

/* What could not be written, or dropped, is dirty again, unless there is a newer
 * version. */
static void settle_moving(struct vh_cache *c, int err)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n_moving; i++) {
		struct vh_block *b = c->moving[i];

		if (err && !vh_blocks_find(&c->dirty, b->number))
			vh_blocks_put(&c->dirty, b);
		else
			free(b);
	}
	free(c->moving);
	c->moving = NULL;
	c->n_moving = 0;
	pthread_mutex_unlock(&c->lock);
}

static void below_done(struct vh_store_io *below, int err)
{
	struct vh_job *j = vh_container_of(below, struct vh_job, below);

	/* What a flush is for was settled before. */
	if (j->kind == VH_JOB_DROP)
		settle_moving(vh_cache_of(j->io), err);
	job_end(j, err);
}

static void hand_down(struct vh_job *j, enum vh_store_op op)
{
	struct vh_store_channel *below = j->io->channel->below;

	j->below = (struct vh_store_io){.op = op, .done = below_done};
	if (op != VH_STORE_FLUSH) {
		j->below.flags = j->io->flags;
		j->below.off = j->io->off;
		j->below.len = j->io->len;
	}
	vh_store_submit(below, &j->below);
	vh_store_start(below);
}

static void part_ended(struct vh_job *j, int err)
{
	j->err = j->err ? j->err : err;
	if (--j->n_parts)
		return;
	settle_moving(vh_cache_of(j->io), j->err);
	if (j->err || !j->flush)
		job_end(j, j->err);
	else
		hand_down(j, VH_STORE_FLUSH);
}

static void part_done(struct vh_store_io *io, int err)
{
	struct part *p = vh_container_of(io, struct part, io);
	struct vh_job *j = p->job;

	free(p);
	part_ended(j, err);
}

/* Of blocks that follow each other: how many. */
static size_t run_length(struct vh_block *const *b, size_t n)
{
	size_t i = 1;

	while (i < n && i < PART_MAX && b[i]->number == b[0]->number + i)
		i++;
	return i;
}

static void write_run(struct vh_job *j, struct vh_block *const *b, size_t n)
{
	const uint32_t size = vh_cache_of(j->io)->block_size;
	struct part *p = calloc(1, sizeof(*p));

	j->n_parts++;
	if (!p) {
		part_ended(j, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < n; i++)
		p->iov[i] = (struct iovec){.iov_base = b[i]->data, .iov_len = size};
	p->job = j;
	p->io = (struct vh_store_io){
		.op = VH_STORE_WRITE,
		.off = b[0]->number * size,
		.len = n * size,
		.iov = p->iov,
		.n_iov = (unsigned)n,
		.done = part_done,
	};
	vh_store_submit(j->io->channel->below, &p->io);
}

static int take_blocks(struct vh_cache *c, struct vh_job *j)
{
	pthread_mutex_lock(&c->lock);
	c->moving = vh_blocks_take_range(&c->dirty, j->from, j->to, &c->n_moving);
	if (!c->moving && c->n_moving) {
		c->n_moving = 0;
		j->err = -ENOMEM;
	}
	pthread_mutex_unlock(&c->lock);
	return j->err;
}

static void write_back(struct vh_job *j)
{
	struct vh_store_channel *below = j->io->channel->below;
	struct vh_cache *c = vh_cache_of(j->io);
	size_t n;

	j->n_parts = 1;
	for (size_t i = 0; i < c->n_moving; i += n) {
		n = run_length(&c->moving[i], c->n_moving - i);
		write_run(j, &c->moving[i], n);
	}
	vh_store_start(below);
	part_ended(j, 0);
}

static void job_begin(struct vh_job *j)
{
	struct vh_cache *c = vh_cache_of(j->io);

	if (take_blocks(c, j))
		job_end(j, j->err);
	else if (j->kind == VH_JOB_DROP)
		hand_down(j, j->io->op);
	else
		write_back(j);
}

void vh_job_add(const struct vh_job *j)
{
	struct vh_cache *c = vh_cache_of(j->io);
	struct vh_store_io *io = j->io;
	struct vh_job *copy = malloc(sizeof(*copy));
	bool is_first;

	if (!copy) {
		io->done(io, -ENOMEM);
		return;
	}
	*copy = *j;
	io->own = copy;
	io->post.fn = begin_posted;
	pthread_mutex_lock(&c->lock);
	is_first = vh_list_is_empty(&c->jobs);
	vh_list_append(&c->jobs, &io->link);
	pthread_mutex_unlock(&c->lock);
	if (is_first)
		job_begin(copy);
}

static void take_waiting(struct vh_cache *c, struct vh_store_channel *ch,
			 struct vh_list *mine)
{
	vh_list_init(mine);
	pthread_mutex_lock(&c->lock);
	vh_list_for_each (l, &c->jobs) {
		if (l == c->jobs.next ||
		    vh_container_of(l, struct vh_store_io, link)->channel != ch)
			continue;
		vh_list_remove(l);
		vh_list_append(mine, l);
	}
	pthread_mutex_unlock(&c->lock);
}

void vh_job_cancel(struct vh_cache *c, struct vh_store_channel *ch)
{
	struct vh_list mine;

	take_waiting(c, ch, &mine);
	while (!vh_list_is_empty(&mine)) {
		struct vh_store_io *io =
			vh_container_of(mine.next, struct vh_store_io, link);

		vh_list_remove(&io->link);
		free(io->own);
		io->done(io, -ECANCELED);
	}
}
