/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps of requests by threads that block in system calls, where io_uring is not to be
 * had.  The threads belong to the store; each channel queues its requests for them, and
 * what ended comes back to the channel's reactor as a message.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "reactor/reactor.h"
#include "store/file.h"

/* As many requests as a disk can be expected to work on at a time. */
#define N_THREADS 16

struct vh_file_pool {
	struct vh_file *file;
	pthread_t thread[N_THREADS];
	unsigned n_threads;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t more;
	struct vh_list queue;
	bool ending;
};

/* ---- The threads ---- */

static void ended(struct vh_post *post)
{
	struct vh_store_io *io = vh_container_of(post, struct vh_store_io, post);

	io->done(io, io->err);
}

static void do_all_steps(struct vh_file *f, struct vh_store_io *io)
{
	vh_step_call_all(f, io);
	vh_reactor_post_node(io->channel->reactor, &io->post);
}

/* NULL: it is over. */
static struct vh_store_io *next_request(struct vh_file_pool *pool)
{
	struct vh_store_io *io = NULL;

	pthread_mutex_lock(&pool->lock);
	while (vh_list_is_empty(&pool->queue) && !pool->ending)
		pthread_cond_wait(&pool->more, &pool->lock);
	if (!vh_list_is_empty(&pool->queue)) {
		io = vh_container_of(pool->queue.next, struct vh_store_io, link);
		vh_list_remove(&io->link);
	}
	pthread_mutex_unlock(&pool->lock);
	return io;
}

static void *thread_main(void *arg)
{
	struct vh_file_pool *pool = arg;
	struct vh_store_io *io;

	while ((io = next_request(pool)))
		do_all_steps(pool->file, io);
	return NULL;
}

/* Signals are for the threads of the application. */
static int start_threads(struct vh_file_pool *pool)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!err && pool->n_threads < N_THREADS) {
		err = -pthread_create(&pool->thread[pool->n_threads], NULL, thread_main,
				      pool);
		if (!err)
			pthread_setname_np(pool->thread[pool->n_threads++], "disk");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* Fewer will do, none will not. */
	return pool->n_threads ? 0 : err;
}

int vh_file_pool_create(struct vh_file *f, const char *tag)
{
	const struct {
		const char *tag;
	} who = {tag};
	struct vh_file_pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool)
		return -ENOMEM;
	pool->file = f;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	vh_list_init(&pool->queue);
	err = start_threads(pool);
	if (err) {
		vh_log(&who, VH_LOG_ERROR, "no threads for %s: %s", f->path,
		       vh_strerror(err));
		vh_file_pool_destroy(pool);
		return err;
	}
	f->pool = pool;
	return 0;
}

void vh_file_pool_destroy(struct vh_file_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* ---- The channel ---- */

static struct vh_file_pool *pool_of(struct vh_store_channel *ch)
{
	return vh_file_of(ch->store)->pool;
}

static void threads_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct vh_file_pool *pool = pool_of(ch);

	if (!vh_step_begin(pool->file, io)) {
		io->done(io, io->err);
		return;
	}
	io->post.fn = ended;
	pthread_mutex_lock(&pool->lock);
	vh_list_append(&pool->queue, &io->link);
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

/* Those that no thread took yet. */
static void threads_cancel(struct vh_store_channel *ch)
{
	struct vh_file_pool *pool = pool_of(ch);
	struct vh_list mine;

	vh_list_init(&mine);
	pthread_mutex_lock(&pool->lock);
	vh_list_for_each (l, &pool->queue) {
		if (vh_container_of(l, struct vh_store_io, link)->channel != ch)
			continue;
		vh_list_remove(l);
		vh_list_append(&mine, l);
	}
	pthread_mutex_unlock(&pool->lock);
	while (!vh_list_is_empty(&mine)) {
		struct vh_store_io *io =
			vh_container_of(mine.next, struct vh_store_io, link);

		vh_list_remove(&io->link);
		vh_step_end(pool->file, io, -ECANCELED);
		io->done(io, io->err);
	}
}

static void threads_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

static const struct vh_store_kind threads_kind = {
	.name = "file",
	.channel_close = threads_channel_close,
	.submit = threads_submit,
	.cancel = threads_cancel,
};

int vh_threads_channel_open(struct vh_store *s, struct vh_reactor *r,
			    struct vh_store_channel *below, struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	if (!*ch)
		return -ENOMEM;
	(*ch)->kind = &threads_kind;
	return 0;
}
