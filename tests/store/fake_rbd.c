/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See fake_rbd.h.  Two threads take calls from one list, do them and call back, as
 * librbd's do; closing the image waits for them.
 */
#include "store/fake_rbd.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rbd/librbd.h>

#include "base/list.h"

enum what { READ, WRITE, FLUSH, DISCARD, ZERO };

static const char *const names[] = {"readv ", "writev ", "flush ", "discard ",
				    "write_zeroes "};

struct call {
	struct vh_list link;
	rbd_callback_t fn;
	void *arg;
	enum what what;
	const struct iovec *iov;
	int n_iov;
	uint64_t off, len;
	ssize_t rc;
};

struct fake_rbd fake_rbd;
char fake_image[FAKE_IMAGE];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct vh_list calls;
static bool closing, held;
static pthread_t threads[2];

void fake_rbd_reset(void)
{
	fake_rbd = (struct fake_rbd){.size = FAKE_IMAGE};
	memset(fake_image, 0, sizeof(fake_image));
	vh_list_init(&calls);
	closing = held = false;
}

void fake_rbd_hold(bool hold)
{
	pthread_mutex_lock(&lock);
	held = hold;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static int fails(const char *function)
{
	return fake_rbd.fail_at && !strcmp(fake_rbd.fail_at, function)
		       ? fake_rbd.fail_with
		       : 0;
}

static void count(int n)
{
	pthread_mutex_lock(&lock);
	fake_rbd.n_objects += (unsigned)n;
	pthread_mutex_unlock(&lock);
}

/* ---- Calls ---- */

static ssize_t copy(struct call *c)
{
	uint64_t at = c->off;

	for (int i = 0; i < c->n_iov; i++) {
		size_t n = c->iov[i].iov_len;

		if (at + n > fake_rbd.size)
			n = at < fake_rbd.size ? fake_rbd.size - at : 0;
		if (c->what == READ)
			memcpy(c->iov[i].iov_base, fake_image + at, n);
		else
			memcpy(fake_image + at, c->iov[i].iov_base, n);
		at += n;
	}
	return c->what == READ ? (ssize_t)(at - c->off) : 0;
}

static ssize_t perform(struct call *c)
{
	if (fake_rbd.fail_answers)
		return fake_rbd.fail_with;
	if (c->what == READ || c->what == WRITE)
		return copy(c);
	if (c->what == DISCARD || c->what == ZERO)
		memset(fake_image + c->off, 0, c->len);
	return 0;
}

/* Under the lock. */
static struct call *next_call(void)
{
	struct vh_list *link;

	while (held || (vh_list_is_empty(&calls) && !closing))
		pthread_cond_wait(&changed, &lock);
	if (vh_list_is_empty(&calls))
		return NULL;
	link = fake_rbd.backwards ? calls.prev : calls.next;
	vh_list_remove(link);
	return vh_container_of(link, struct call, link);
}

static void *run(void *arg)
{
	struct call *c;

	(void)arg;
	pthread_mutex_lock(&lock);
	while ((c = next_call())) {
		c->rc = perform(c);
		pthread_mutex_unlock(&lock);
		c->fn(c, c->arg);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int start(rbd_completion_t completion, const struct call *what)
{
	struct call *c = completion;
	size_t used;
	const int err = fails("rbd_aio");

	if (err)
		return err;
	c->what = what->what;
	c->iov = what->iov;
	c->n_iov = what->n_iov;
	c->off = what->off;
	c->len = what->len;
	pthread_mutex_lock(&lock);
	used = strlen(fake_rbd.history);
	snprintf(fake_rbd.history + used, sizeof(fake_rbd.history) - used, "%s",
		 names[c->what]);
	if ((unsigned)c->n_iov > fake_rbd.max_iov)
		fake_rbd.max_iov = (unsigned)c->n_iov;
	vh_list_append(&calls, &c->link);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

int rbd_aio_create_completion(void *cb_arg, rbd_callback_t complete_cb,
			      rbd_completion_t *c)
{
	struct call *call = calloc(1, sizeof(*call));
	const int err = fails("rbd_aio_create_completion");

	if (err) {
		free(call);
		return err;
	}
	call->fn = complete_cb;
	call->arg = cb_arg;
	*c = call;
	count(1);
	return 0;
}

ssize_t rbd_aio_get_return_value(rbd_completion_t c)
{
	return ((struct call *)c)->rc;
}

void rbd_aio_release(rbd_completion_t c)
{
	free(c);
	count(-1);
}

int rbd_aio_readv(rbd_image_t image, const struct iovec *iov, int iovcnt, uint64_t off,
		  rbd_completion_t c)
{
	return start(
		c, &(struct call){.what = READ, .iov = iov, .n_iov = iovcnt, .off = off});
}

int rbd_aio_writev(rbd_image_t image, const struct iovec *iov, int iovcnt, uint64_t off,
		   rbd_completion_t c)
{
	return start(c, &(struct call){
				.what = WRITE, .iov = iov, .n_iov = iovcnt, .off = off});
}

int rbd_aio_flush(rbd_image_t image, rbd_completion_t c)
{
	return start(c, &(struct call){.what = FLUSH});
}

int rbd_aio_discard(rbd_image_t image, uint64_t off, uint64_t len, rbd_completion_t c)
{
	return start(c, &(struct call){.what = DISCARD, .off = off, .len = len});
}

int rbd_aio_write_zeroes(rbd_image_t image, uint64_t off, size_t len, rbd_completion_t c,
			 int zero_flags, int op_flags)
{
	return start(c, &(struct call){.what = ZERO, .off = off, .len = len});
}

/* ---- Images ---- */

static int open_image(rbd_image_t *image, bool readonly)
{
	const int err = fails("rbd_open");

	if (err)
		return err;
	fake_rbd.readonly = readonly;
	closing = false;
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	*image = &fake_rbd;
	count(1);
	return 0;
}

int rbd_open(rados_ioctx_t io, const char *name, rbd_image_t *image, const char *snap)
{
	return strcmp(name, "image") ? -ENOENT : open_image(image, false);
}

int rbd_open_read_only(rados_ioctx_t io, const char *name, rbd_image_t *image,
		       const char *snap)
{
	return open_image(image, true);
}

int rbd_close(rbd_image_t image)
{
	pthread_mutex_lock(&lock);
	closing = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	count(-1);
	return 0;
}

int rbd_stat(rbd_image_t image, rbd_image_info_t *info, size_t infosize)
{
	*info = (rbd_image_info_t){.size = fake_rbd.size, .obj_size = 4u << 20};
	return fails("rbd_stat");
}

int rbd_get_size(rbd_image_t image, uint64_t *size)
{
	*size = fake_rbd.size;
	return fails("rbd_get_size");
}

/* ---- The cluster ---- */

static int made(const char *function, void **object)
{
	const int err = fails(function);

	if (err)
		return err;
	*object = &fake_rbd;
	count(1);
	return 0;
}

int rados_create(rados_t *cluster, const char *const id)
{
	return made("rados_create", cluster);
}

int rados_conf_read_file(rados_t cluster, const char *path)
{
	return fails("rados_conf_read_file");
}

int rados_conf_parse_env(rados_t cluster, const char *var)
{
	return fails("rados_conf_parse_env");
}

int rados_conf_set(rados_t cluster, const char *option, const char *value)
{
	return fails("rados_conf_set");
}

int rados_connect(rados_t cluster)
{
	return fails("rados_connect");
}

void rados_shutdown(rados_t cluster)
{
	count(-1);
}

int rados_ioctx_create(rados_t cluster, const char *pool_name, rados_ioctx_t *ioctx)
{
	return made("rados_ioctx_create", ioctx);
}

void rados_ioctx_destroy(rados_ioctx_t io)
{
	count(-1);
}
