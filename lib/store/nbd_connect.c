/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See nbd_connect.h.
 *
 * A call belongs to two threads: the reactor that wants it, which may abandon it at any
 * time and be gone, and the thread that connects.  The dialer's lock decides who is
 * first: what is abandoned before it was posted is freed by its thread, else by the
 * reactor, when it runs the post.
 */
#include "store/nbd_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "reactor/reactor.h"

/* What the protocol lets a client assume where the server does not say. */
#define DEFAULT_PREFERRED  4096u
#define DEFAULT_MAX_LENGTH (32u << 20)

struct vh_nbd_call {
	struct vh_post post;
	struct vh_nbd_dialer *dialer; /* may be gone once it is abandoned */
	struct vh_reactor *reactor;
	vh_nbd_call_fn *fn;
	void *arg;
	struct vh_nbd_connection result;
	bool abandoned; /* written by its reactor, under the lock */
};

/* ---- One connection ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int failed(struct vh_nbd_connection *c, int err, const char *cause)
{
	snprintf(c->cause, sizeof(c->cause), "%s", cause);
	if (c->nbd)
		nbd_close(c->nbd);
	c->nbd = NULL;
	c->err = err ? -err : -EIO;
	return c->err;
}

static int failed_in_libnbd(struct vh_nbd_connection *c)
{
	const int err = nbd_get_errno();
	const char *text = nbd_get_error();

	return failed(c, err, text ? text : "libnbd did not say why");
}

bool vh_nbd_notify(struct nbd_handle *nbd, uint32_t events)
{
	const unsigned direction = nbd_aio_get_direction(nbd);

	/* Not both: the first may change what the second would have to be. */
	if (direction & LIBNBD_AIO_DIRECTION_READ &&
	    events & (POLLIN | POLLHUP | POLLERR))
		return nbd_aio_notify_read(nbd) == 0;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE &&
	    events & (POLLOUT | POLLHUP | POLLERR))
		return nbd_aio_notify_write(nbd) == 0;
	return true;
}

bool vh_nbd_is_gone(struct nbd_handle *nbd)
{
	return nbd_aio_is_dead(nbd) == 1 || nbd_aio_is_closed(nbd) == 1;
}

uint32_t vh_nbd_wanted_events(struct nbd_handle *nbd)
{
	const unsigned direction = nbd_aio_get_direction(nbd);

	return (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
}

static int handshake(struct vh_nbd_connection *c, int stop_fd, int timeout_ms)
{
	const int64_t deadline = now_ms() + timeout_ms;

	while (nbd_aio_is_connecting(c->nbd) == 1) {
		struct pollfd fds[2] = {
			{.fd = nbd_aio_get_fd(c->nbd),
			 .events = (short)vh_nbd_wanted_events(c->nbd)},
			{.fd = stop_fd, .events = POLLIN},
		};
		const int64_t left = deadline - now_ms();

		if (left <= 0)
			return failed(c, ETIMEDOUT, "the server does not answer");
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			return failed(c, errno, "poll failed");
		if (fds[1].revents)
			return failed(c, ECANCELED, "nobody wants it any more");
		if (!vh_nbd_notify(c->nbd, (uint32_t)(unsigned short)fds[0].revents))
			return failed_in_libnbd(c);
	}
	return nbd_aio_is_ready(c->nbd) == 1
		       ? 0
		       : failed(c, ECONNRESET, "the server closed the connection");
}

static uint32_t block_size(struct nbd_handle *nbd, int which, uint32_t otherwise)
{
	const int64_t n = nbd_get_block_size(nbd, which);

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : otherwise;
}

static int read_caps(struct vh_nbd_connection *c)
{
	const int64_t size = nbd_get_size(c->nbd);
	struct vh_nbd_caps *caps = &c->caps;

	if (size < 0)
		return failed_in_libnbd(c);
	caps->size = (uint64_t)size;
	caps->min_block = block_size(c->nbd, LIBNBD_SIZE_MINIMUM, 1);
	caps->preferred = block_size(c->nbd, LIBNBD_SIZE_PREFERRED, DEFAULT_PREFERRED);
	caps->max_length = block_size(c->nbd, LIBNBD_SIZE_MAXIMUM, DEFAULT_MAX_LENGTH);
	if (caps->max_length > DEFAULT_MAX_LENGTH)
		caps->max_length = DEFAULT_MAX_LENGTH;
	if (!vh_is_power_of_two(caps->min_block) || caps->min_block > 65536 ||
	    caps->max_length < caps->min_block)
		return failed(c, EPROTO, "the server wants blocks of an impossible size");
	caps->max_length -= caps->max_length % caps->min_block;
	caps->readonly = nbd_is_read_only(c->nbd) == 1;
	caps->flush = nbd_can_flush(c->nbd) == 1;
	caps->fua = nbd_can_fua(c->nbd) == 1;
	caps->trim = nbd_can_trim(c->nbd) == 1;
	caps->zero = nbd_can_zero(c->nbd) == 1;
	caps->multi_conn = nbd_can_multi_conn(c->nbd) == 1;
	return 0;
}

/*
 * A host that vanished says nothing: without this, requests that it had received would
 * wait for ever.  Fails, harmlessly, on sockets that are not TCP.
 */
static void keep_alive(int fd)
{
	static const struct {
		int level, option, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},		{IPPROTO_TCP, TCP_KEEPIDLE, 10},
		{IPPROTO_TCP, TCP_KEEPINTVL, 5},	{IPPROTO_TCP, TCP_KEEPCNT, 4},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].option,
				 &options[i].value, sizeof(options[i].value));
}

int vh_nbd_connect(const char *uri, int stop_fd, int timeout_ms,
		   struct vh_nbd_connection *c)
{
	int err;

	memset(c, 0, sizeof(*c));
	c->nbd = nbd_create();
	/* The URI is the operator's own word: it may name key files.  Reads go into the
	 * guest's memory, which needs no cleaning before.  */
	if (!c->nbd || nbd_set_uri_allow_local_file(c->nbd, true) < 0 ||
	    nbd_set_pread_initialize(c->nbd, false) < 0 ||
	    nbd_aio_connect_uri(c->nbd, uri) < 0)
		return failed_in_libnbd(c);
	err = handshake(c, stop_fd, timeout_ms);
	if (!err)
		err = read_caps(c);
	if (!err)
		keep_alive(nbd_aio_get_fd(c->nbd));
	return err;
}

void vh_nbd_close(struct nbd_handle *nbd)
{
	if (!nbd)
		return;
	if (nbd_aio_is_ready(nbd) == 1)
		(void)nbd_aio_disconnect(nbd, 0);
	nbd_close(nbd);
}

/* ---- By a thread ---- */

int vh_nbd_dialer_init(struct vh_nbd_dialer *d, const char *uri)
{
	*d = (struct vh_nbd_dialer){.uri = uri};
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->call_ended, NULL);
	d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return d->stop_fd < 0 ? -errno : 0;
}

void vh_nbd_dialer_fini(struct vh_nbd_dialer *d)
{
	if (d->stop_fd >= 0)
		(void)eventfd_write(d->stop_fd, 1);
	pthread_mutex_lock(&d->lock);
	while (d->n_calls)
		pthread_cond_wait(&d->call_ended, &d->lock);
	pthread_mutex_unlock(&d->lock);
	pthread_cond_destroy(&d->call_ended);
	pthread_mutex_destroy(&d->lock);
	if (d->stop_fd >= 0)
		close(d->stop_fd);
}

uint64_t vh_nbd_dialer_size(struct vh_nbd_dialer *d)
{
	uint64_t size;

	pthread_mutex_lock(&d->lock);
	size = d->size;
	pthread_mutex_unlock(&d->lock);
	return size;
}

static void call_free(struct vh_nbd_call *call)
{
	vh_nbd_close(call->result.nbd);
	free(call);
}

static void call_arrived(struct vh_post *post)
{
	struct vh_nbd_call *call = vh_container_of(post, struct vh_nbd_call, post);

	if (!call->abandoned) {
		call->fn(call->arg, &call->result);
		call->result.nbd = NULL;
	}
	call_free(call);
}

static void *call_run(void *arg)
{
	struct vh_nbd_call *call = arg;
	struct vh_nbd_dialer *d = call->dialer;

	(void)vh_nbd_connect(d->uri, d->stop_fd, VH_NBD_TIMEOUT_MS, &call->result);
	pthread_mutex_lock(&d->lock);
	if (call->result.nbd)
		d->size = call->result.caps.size;
	/* Under the lock: who would abandon it, before its reactor goes, waits for us. */
	if (!call->abandoned)
		vh_reactor_post_node(call->reactor, &call->post);
	else
		call_free(call);
	d->n_calls--;
	pthread_cond_broadcast(&d->call_ended);
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* The application's signals are not for threads that it does not know of. */
static int start_thread(void *(*fn)(void *arg), void *arg)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_detach(thread);
	return err;
}

int vh_nbd_call_start(struct vh_nbd_dialer *d, struct vh_reactor *r, vh_nbd_call_fn *fn,
		      void *arg, struct vh_nbd_call **out)
{
	struct vh_nbd_call *call = calloc(1, sizeof(*call));
	int err;

	if (!call)
		return -ENOMEM;
	*call = (struct vh_nbd_call){
		.post.fn = call_arrived,
		.dialer = d,
		.reactor = r,
		.fn = fn,
		.arg = arg,
	};
	pthread_mutex_lock(&d->lock);
	err = start_thread(call_run, call);
	d->n_calls += !err;
	/* Before its thread can end. */
	*out = err ? NULL : call;
	pthread_mutex_unlock(&d->lock);
	if (err)
		free(call);
	return err;
}

void vh_nbd_call_abandon(struct vh_nbd_call *call)
{
	struct vh_nbd_dialer *d = call->dialer;

	pthread_mutex_lock(&d->lock);
	call->abandoned = true;
	pthread_mutex_unlock(&d->lock);
}
