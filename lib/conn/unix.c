/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix:PATH, a socket of the file system, listening or connecting, whichever of
 * the two roles we have.  Only life is here; the path of one that listens is
 * listen.c, the rest is socket.c.
 *
 * Connecting: for ever, after 100 ms at first and at most 1 s later; at once
 * when the peer we lost was one that talked to us.  Control thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/listen.h"
#include "conn/schemes.h"
#include "conn/socket.h"

#define FIRST_WAIT_MS 100
#define MAX_WAIT_MS   1000

struct unix_end {
	struct vh_socket s;
	struct vh_listen path;
	/* connecting */
	bool complained;
	unsigned wait_ms; /* the last wait; 0: none since we talked to somebody */
};

struct unix_options {
	bool server, any_memory;
	struct vh_listen_access access;
};

static struct unix_end *unix_of(struct vh_socket *s)
{
	return (struct unix_end *)s;
}

/* ---- Connecting ---- */

static void wait_longer(struct unix_end *u)
{
	u->wait_ms = !u->wait_ms ? FIRST_WAIT_MS : 2 * u->wait_ms;
	if (u->wait_ms > MAX_WAIT_MS)
		u->wait_ms = MAX_WAIT_MS;
	vh_socket_look_in(&u->s, u->wait_ms);
}

static int connect_later(struct unix_end *u, int err)
{
	if (!u->complained)
		vh_log(&u->s.c, VH_LOG_WARN, "waiting for somebody to listen on %s: %s",
		       u->path.addr.sun_path, vh_strerror(err));
	u->complained = true;
	wait_longer(u);
	return -EAGAIN;
}

static int connecting_look(struct vh_socket *s)
{
	struct unix_end *u = unix_of(s);
	VH_AUTO_FD int fd = vh_listen_socket();
	int err = fd < 0 ? fd : vh_listen_connect(&u->path.addr, fd);

	if (err)
		return connect_later(u, err);
	vh_log(&s->c, VH_LOG_INFO, "connected to %s", u->path.addr.sun_path);
	u->complained = false;
	return vh_fd_take(&fd);
}

/* A peer that closes at once (a busy one does) must not make us turn in a circle. */
static void connecting_next(struct vh_socket *s)
{
	struct unix_end *u = unix_of(s);

	if (s->heard) {
		u->wait_ms = 0;
		vh_socket_look_in(s, 0);
	} else {
		wait_longer(u);
	}
}

static const struct vh_socket_life connecting = {
	.look = connecting_look,
	.next = connecting_next,
};

/* ---- Listening ---- */

/* The listener tells; nothing has to be done for that. */
static void listening_next(struct vh_socket *s)
{
	(void)s;
}

static const struct vh_socket_life listening = {
	.look = vh_socket_accept,
	.next = listening_next,
};

static int start_listening(struct unix_end *u, const struct unix_options *o)
{
	const int fd = vh_listen_start(&u->path, &o->access);

	return fd < 0 ? fd : vh_socket_listen(&u->s, fd);
}

/* ---- Options ---- */

static int read_options(const char *tag, char *const *options, enum vh_role role,
			struct unix_options *o)
{
	const char *server = NULL, *mode = NULL, *group = NULL, *any_memory = NULL;
	const struct vh_option known[] = {
		{.name = "server", .form = "on|off", .value = &server},
		{.name = "mode", .form = "OCTAL", .value = &mode},
		{.name = "group", .form = "NAME", .value = &group},
		VH_SOCKET_OPTION(any_memory),
		{.name = NULL},
	};
	int err = vh_options_read(tag, "unix", options, known);

	*o = (struct unix_options){.server = role == VH_ROLE_BACKEND};
	if (!err)
		err = vh_option_on_off(tag, "server", server, &o->server);
	if (!err)
		err = vh_option_on_off(tag, "any-memory", any_memory, &o->any_memory);
	if (!err)
		err = vh_listen_read_access(tag, mode, group, &o->access);
	if (!err && !o->server && (mode || group)) {
		vh_log_line(tag, VH_LOG_ERROR,
			    "mode= and group= are for a socket that listens (server=on)");
		err = -EINVAL;
	}
	return err;
}

/* ---- Life ---- */

static void unix_close(struct vh_connector *c)
{
	struct unix_end *u = unix_of(vh_socket_of(c));

	vh_listen_end(&u->path);
	vh_socket_fini(&u->s);
	free(u);
}

static int unix_open(const char *rest, char *const *options, enum vh_role role,
		     const char *tag, struct vh_connector **c)
{
	struct unix_options o;
	struct unix_end *u;
	int err = read_options(tag, options, role, &o);

	if (err < 0)
		return err;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	err = vh_socket_init(&u->s, &vh_unix_connector,
			     o.server ? &listening : &connecting, role, tag);
	u->s.any_memory = o.any_memory;
	u->path.tag = u->s.c.tag;
	if (!err)
		err = vh_listen_set_path(&u->path, rest);
	if (!err && o.server)
		err = start_listening(u, &o);
	if (err < 0) {
		unix_close(&u->s.c);
		return err;
	}
	if (!o.server)
		vh_socket_look_in(&u->s, 0);
	*c = &u->s.c;
	return 0;
}

const struct vh_connector_ops vh_unix_connector = {
	.scheme = "unix",
	.open = unix_open,
	.close = unix_close,
	VH_SOCKET_OPS,
};
