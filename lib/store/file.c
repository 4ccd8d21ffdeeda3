/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file=PATH: a raw disk image or a block device.  Opening and closing, on the control
 * thread; file.h tells where the rest is.
 */
#include "store/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

struct speaker {
	const char *tag;
};

static void file_close(struct vh_store *s)
{
	struct vh_file *f = vh_file_of(s);

	vh_file_pool_destroy(f->pool);
	vh_fd_drop(&f->fd);
	free(f->path);
	free(f);
}

/* None for memory; io_uring if it can be had, else threads. */
static int choose_engine(struct vh_file *f, const struct vh_store_params *p,
			 const char *tag)
{
	const struct speaker who = {tag};
	int err;

	f->is_sync = f->is_memory && p->aio == VH_STORE_AIO_BEST;
	if (f->is_sync)
		return 0;
	if (p->aio == VH_STORE_AIO_THREADS)
		return vh_file_pool_create(f, tag);
	err = vh_uring_try();
	if (!err)
		return 0;
	vh_log(&who, p->aio == VH_STORE_AIO_URING ? VH_LOG_ERROR : VH_LOG_WARN,
	       "io_uring: %s; for speed %s", vh_strerror(err),
	       err == -ENOMEM
		       ? "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)"
		       : "permit it (sysctl kernel.io_uring_disabled=0, the container's "
			 "seccomp profile)");
	return p->aio == VH_STORE_AIO_URING ? err : vh_file_pool_create(f, tag);
}

static int file_open(const struct vh_store_params *p, const char *rest, const char *tag,
		     struct vh_store *below, struct vh_store **out)
{
	struct vh_file *f = calloc(1, sizeof(*f));
	int err;

	(void)below;
	if (!f)
		return -ENOMEM;
	f->fd = -1;
	f->path = strdup(rest);
	f->register_memory = p->register_;
	err = f->path ? vh_file_probe(f, p, tag) : -ENOMEM;
	if (!err)
		err = choose_engine(f, p, tag);
	if (err)
		file_close(&f->store);
	else
		*out = &f->store;
	return err;
}

static int file_refresh(struct vh_store *s)
{
	struct vh_file *f = vh_file_of(s);
	uint64_t bytes;
	int err = vh_file_size(f, &bytes);

	if (err)
		vh_log(s, VH_LOG_ERROR, "%s: no size: %s", f->path, vh_strerror(err));
	else
		s->info.capacity = bytes;
	return err;
}

static int file_channel_open(struct vh_store *s, struct vh_reactor *r,
			     struct vh_store_channel *below, struct vh_store_channel **ch)
{
	const struct vh_file *f = vh_file_of(s);

	if (f->is_sync)
		return vh_sync_channel_open(s, r, below, ch);
	return f->pool ? vh_threads_channel_open(s, r, below, ch)
		       : vh_uring_channel_open(s, r, below, ch);
}

const struct vh_store_kind vh_store_file = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.refresh = file_refresh,
	.channel_open = file_channel_open,
};
