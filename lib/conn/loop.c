/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop:NAME, both roles in one process.  A back-end announces the name, the
 * front-ends that want it find it, in any order; they meet over a socket pair,
 * so what one says to the other is checked like anybody's.
 *
 * Each end has its own control thread, so the registry, and what ends write to
 * each other, is under one lock.  It is held for a walk over the ends and never
 * while anything of theirs is called; waking an end is setting its timer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "conn/schemes.h"
#include "conn/socket.h"

struct loop_end {
	struct vh_socket s;
	char *name;
	/* under the lock: */
	struct vh_list link;
	bool busy;   /* a back-end that has a peer, or one that waits in @offered */
	int offered; /* the socket of a new peer, until look() takes it; or -1    */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vh_list ends = {&ends, &ends};

static struct loop_end *loop_of(struct vh_socket *s)
{
	return (struct loop_end *)s;
}

/* ---- Under the lock ---- */

static struct loop_end *find_backend(const char *name)
{
	vh_list_for_each (l, &ends) {
		struct loop_end *e = vh_container_of(l, struct loop_end, link);

		if (e->s.c.role == VH_ROLE_BACKEND && !strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static void wake_frontends(const char *name)
{
	vh_list_for_each (l, &ends) {
		struct loop_end *e = vh_container_of(l, struct loop_end, link);

		if (e->s.c.role == VH_ROLE_FRONTEND && !strcmp(e->name, name))
			vh_socket_look_in(&e->s, 0);
	}
}

/* The front-end's end of a new pair, or -EAGAIN. */
static int meet(const char *name)
{
	struct loop_end *backend = find_backend(name);
	int pair[2];

	if (!backend || backend->busy)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	backend->busy = true;
	backend->offered = pair[0];
	vh_socket_look_in(&backend->s, 0);
	return pair[1];
}

/* ---- Life of a front-end ---- */

/* How soon to try again when there was no pair to be had. */
#define STARVED_MS 200

static int frontend_look(struct vh_socket *s)
{
	int fd;

	/* One that has its peer may be woken for another back-end's sake. */
	if (vh_stream_is_open(&s->main))
		return -EAGAIN;
	pthread_mutex_lock(&lock);
	fd = meet(loop_of(s)->name);
	pthread_mutex_unlock(&lock);
	if (fd < 0 && fd != -EAGAIN) {
		vh_log(&s->c, VH_LOG_WARN, "cannot make a socket pair: %s",
		       vh_strerror(fd));
		vh_socket_look_in(s, STARVED_MS);
		return -EAGAIN;
	}
	return fd;
}

static void frontend_next(struct vh_socket *s)
{
	vh_socket_look_in(s, 0);
}

static const struct vh_socket_life frontend = {
	.look = frontend_look,
	.next = frontend_next,
};

/* ---- Life of a back-end ---- */

static int backend_look(struct vh_socket *s)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = vh_fd_take(&loop_of(s)->offered);
	pthread_mutex_unlock(&lock);
	return fd >= 0 ? fd : -EAGAIN;
}

static void backend_next(struct vh_socket *s)
{
	pthread_mutex_lock(&lock);
	loop_of(s)->busy = false;
	wake_frontends(loop_of(s)->name);
	pthread_mutex_unlock(&lock);
}

static const struct vh_socket_life backend = {
	.look = backend_look,
	.next = backend_next,
};

/* ---- Opening and closing ---- */

static int join(struct loop_end *e)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (e->s.c.role == VH_ROLE_BACKEND && find_backend(e->name))
		err = -EADDRINUSE;
	else
		vh_list_append(&ends, &e->link);
	if (!err && e->s.c.role == VH_ROLE_BACKEND)
		wake_frontends(e->name);
	pthread_mutex_unlock(&lock);
	if (err)
		vh_log(&e->s.c, VH_LOG_ERROR, "loop:%s has a back-end already", e->name);
	else if (e->s.c.role == VH_ROLE_FRONTEND)
		vh_socket_look_in(&e->s, 0);
	return err;
}

static void loop_close(struct vh_connector *c)
{
	struct loop_end *e = loop_of(vh_socket_of(c));

	pthread_mutex_lock(&lock);
	vh_list_remove(&e->link);
	vh_fd_drop(&e->offered);
	pthread_mutex_unlock(&lock);
	vh_socket_fini(&e->s);
	free(e->name);
	free(e);
}

static int loop_open(const char *rest, char *const *options, enum vh_role role,
		     const char *tag, struct vh_connector **c)
{
	bool any_memory = false;
	struct loop_end *e;
	int err = vh_socket_read_options(tag, "loop", options, &any_memory);

	if (err < 0)
		return err;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	vh_list_init(&e->link);
	e->offered = -1;
	e->name = strdup(rest);
	err = vh_socket_init(&e->s, &vh_loop_connector,
			     role == VH_ROLE_BACKEND ? &backend : &frontend, role, tag);
	e->s.any_memory = any_memory;
	e->s.readonly = true; /* front-ends of ours know what they do */
	if (!err)
		err = e->name ? join(e) : -ENOMEM;
	if (err < 0)
		loop_close(&e->s.c);
	else
		*c = &e->s.c;
	return err;
}

const struct vh_connector_ops vh_loop_connector = {
	.scheme = "loop",
	.open = loop_open,
	.close = loop_close,
	VH_SOCKET_OPS,
};
