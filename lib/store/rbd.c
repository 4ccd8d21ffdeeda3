/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rbd=POOL/IMAGE: a disk in a Ceph cluster, as the client that /etc/ceph or CEPH_ARGS
 * names.  Never run against a real cluster: tests/store/fake_rbd.c is all that it met.
 *
 * librbd calls back on threads of its own, which only post to the channel's reactor.
 * All channels use one image, which is fit for that.  librbd waits for a cluster that is
 * away by itself.  Threads: see store.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <rbd/librbd.h>

#include "base/log.h"
#include "reactor/reactor.h"
#include "store/kind.h"

struct rbd_store {
	struct vh_store store;
	char *pool; /* "POOL", and behind its end "IMAGE" */
	char *image_name;
	rados_t cluster;
	rados_ioctx_t ctx;
	rbd_image_t image;
};

/* A request under way: one call to librbd after the other. */
struct rbd_run {
	struct vh_post post;
	struct vh_store_io *io;
	rbd_completion_t completion;
	unsigned next_iov; /* what is not done yet: */
	uint64_t done, asked;
	bool flushed;
	ssize_t rc; /* of the last call */
};

static struct rbd_store *rbd_store_of(struct vh_store *s)
{
	return vh_container_of(s, struct rbd_store, store);
}

/* ---- The store ---- */

static void rbd_store_close(struct vh_store *store)
{
	struct rbd_store *s = rbd_store_of(store);

	/* Waits for its callbacks. */
	if (s->image)
		rbd_close(s->image);
	if (s->ctx)
		rados_ioctx_destroy(s->ctx);
	if (s->cluster)
		rados_shutdown(s->cluster);
	free(s->pool);
	free(s);
}

static int split_name(struct rbd_store *s, const char *rest)
{
	char *slash;

	s->pool = strdup(rest);
	if (!s->pool)
		return -ENOMEM;
	slash = strchr(s->pool, '/');
	if (!slash || slash == s->pool || !slash[1])
		return -EINVAL;
	*slash = 0;
	s->image_name = slash + 1;
	return 0;
}

/* Which step it was that failed, for the log. */
static int connect_cluster(struct rbd_store *s, bool readonly, const char **step)
{
	int err;

	*step = "reading Ceph's configuration";
	err = rados_create(&s->cluster, NULL);
	if (!err)
		err = rados_conf_read_file(s->cluster, NULL);
	if (!err)
		err = rados_conf_parse_env(s->cluster, NULL);
	if (!err)
		err = rados_conf_set(s->cluster, "client_mount_timeout", "5");
	if (err)
		return err;
	*step = "connecting to the cluster";
	err = rados_connect(s->cluster);
	if (err)
		return err;
	*step = "opening the pool";
	err = rados_ioctx_create(s->cluster, s->pool, &s->ctx);
	if (err)
		return err;
	*step = "opening the image";
	return readonly ? rbd_open_read_only(s->ctx, s->image_name, &s->image, NULL)
			: rbd_open(s->ctx, s->image_name, &s->image, NULL);
}

static int read_info(struct rbd_store *s)
{
	struct vh_store_info *i = &s->store.info;
	rbd_image_info_t info = {0};
	const int err = rbd_stat(s->image, &info, sizeof(info));

	if (err)
		return err;
	i->capacity = info.size;
	i->block_size = 512;
	i->physical_block = 4096;
	i->optimal_io = info.obj_size <= UINT32_MAX ? (uint32_t)info.obj_size : 0;
	i->discard_unit = 4096;
	i->discard = i->write_zeroes = true;
	return 0;
}

static int rbd_store_open(const struct vh_store_params *p, const char *rest,
			  const char *tag, struct vh_store *below, struct vh_store **out)
{
	const struct {
		const char *tag;
	} who = {tag};
	struct rbd_store *s = calloc(1, sizeof(*s));
	const char *step = "want POOL/IMAGE";
	int err;

	(void)below;
	if (!s)
		return -ENOMEM;
	err = split_name(s, rest);
	if (!err)
		err = connect_cluster(s, p->readonly, &step);
	if (!err)
		err = read_info(s);
	if (err) {
		vh_log(&who, VH_LOG_ERROR, "rbd=%s: %s: %s", rest, step,
		       vh_strerror(err));
		rbd_store_close(&s->store);
		return err;
	}
	s->store.info.readonly = p->readonly;
	*out = &s->store;
	return 0;
}

static int rbd_store_refresh(struct vh_store *store)
{
	const int err = rbd_get_size(rbd_store_of(store)->image, &store->info.capacity);

	if (err)
		vh_log(store, VH_LOG_ERROR, "rbd: the image's size: %s",
		       vh_strerror(err));
	return err;
}

/* ---- Requests ---- */

static void run_answered(rbd_completion_t c, void *arg)
{
	struct rbd_run *run = arg;

	/* librbd's thread: the run is the reactor's from here on. */
	run->rc = rbd_aio_get_return_value(c);
	vh_reactor_post_node(run->io->channel->reactor, &run->post);
}

static int run_data(struct rbd_run *run, rbd_image_t image)
{
	const struct vh_store_io *io = run->io;
	const struct iovec *iov = io->iov + run->next_iov;
	const uint64_t off = io->off + run->done;
	unsigned n = 0;

	while (n < IOV_MAX && run->next_iov < io->n_iov) {
		run->asked += iov[n++].iov_len;
		run->next_iov++;
	}
	return io->op == VH_STORE_READ
		       ? rbd_aio_readv(image, iov, (int)n, off, run->completion)
		       : rbd_aio_writev(image, iov, (int)n, off, run->completion);
}

static int run_call(struct rbd_run *run, rbd_image_t image)
{
	const struct vh_store_io *io = run->io;
	const int thick =
		io->flags & VH_STORE_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION;

	run->asked = 0;
	if (run->done == io->len) {
		run->flushed = true;
		return rbd_aio_flush(image, run->completion);
	}
	if (io->op == VH_STORE_READ || io->op == VH_STORE_WRITE)
		return run_data(run, image);
	run->asked = io->len;
	if (io->op == VH_STORE_DISCARD)
		return rbd_aio_discard(image, io->off, io->len, run->completion);
	return rbd_aio_write_zeroes(image, io->off, io->len, run->completion, thick, 0);
}

static void run_end(struct rbd_run *run, int err)
{
	struct vh_store_io *io = run->io;

	free(run);
	io->done(io, err);
}

static void run_start(struct rbd_run *run)
{
	const rbd_image_t image = rbd_store_of(run->io->channel->store)->image;
	int err = rbd_aio_create_completion(run, run_answered, &run->completion);

	if (!err) {
		err = run_call(run, image);
		if (err)
			rbd_aio_release(run->completion);
	}
	if (err)
		run_end(run, err);
}

static bool run_is_complete(const struct rbd_run *run)
{
	const struct vh_store_io *io = run->io;
	const bool flush = io->op == VH_STORE_FLUSH ||
			   (io->flags & VH_STORE_FUA && io->op != VH_STORE_READ);

	return run->done == io->len && (run->flushed || !flush);
}

static void run_came_back(struct vh_post *post)
{
	struct rbd_run *run = vh_container_of(post, struct rbd_run, post);
	ssize_t rc = run->rc;

	rbd_aio_release(run->completion);
	/* An image that shrank reads short. */
	if (rc >= 0 && run->io->op == VH_STORE_READ && (uint64_t)rc != run->asked)
		rc = -EIO;
	if (rc < 0) {
		run_end(run, (int)rc);
		return;
	}
	run->done += run->asked;
	if (run_is_complete(run))
		run_end(run, 0);
	else
		run_start(run);
}

/* ---- Channels ---- */

static int rbd_channel_open(struct vh_store *s, struct vh_reactor *r,
			    struct vh_store_channel *below, struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void rbd_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

static void rbd_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct rbd_run *run;

	(void)ch;
	if (io->op == VH_STORE_SECURE_ERASE) {
		io->done(io, -EOPNOTSUPP);
		return;
	}
	/* librbd allocates much more than this for each call. */
	run = calloc(1, sizeof(*run));
	if (!run) {
		io->done(io, -ENOMEM);
		return;
	}
	run->io = io;
	run->post.fn = run_came_back;
	run_start(run);
}

/* No cancel: what librbd has, it does. */
const struct vh_store_kind vh_store_rbd = {
	.name = "rbd",
	.open = rbd_store_open,
	.close = rbd_store_close,
	.refresh = rbd_store_refresh,
	.channel_open = rbd_channel_open,
	.channel_close = rbd_channel_close,
	.submit = rbd_submit,
};
