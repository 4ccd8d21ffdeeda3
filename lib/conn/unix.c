/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix:PATH, a socket of the file system, listening or connecting, whichever of
 * the two roles we have.  Only life is here, the rest is socket.c.
 *
 * Listening: a path that is taken is freed only if it is a socket on which
 * nobody listens any more, and given up at the end only if it is still ours.
 * Mode and group are set before the first connection is possible.
 *
 * Connecting: for ever, after 100 ms at first and at most 1 s later; at once
 * when the peer we lost was one that talked to us.  Control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/group.h"
#include "conn/schemes.h"
#include "conn/socket.h"

#define FIRST_WAIT_MS 100
#define MAX_WAIT_MS   1000
#define BACKLOG	      16
#define NO_ID	      (-1u)

struct unix_end {
	struct vh_socket s;
	struct sockaddr_un addr;
	/* listening */
	bool bound; /* the path is ours: this inode */
	dev_t dev;
	ino_t ino;
	/* connecting */
	bool complained;
	unsigned wait_ms; /* the last wait; 0: none since we talked to somebody */
};

struct unix_options {
	bool server, any_memory;
	mode_t mode; /* NO_ID: as umask says */
	gid_t group; /* NO_ID: leave it      */
};

static struct unix_end *unix_of(struct vh_socket *s)
{
	return (struct unix_end *)s;
}

/* Logs and returns @err. */
static int failed(const struct unix_end *u, const char *doing, int err)
{
	vh_log(&u->s.c, VH_LOG_ERROR, "cannot %s %s: %s", doing, u->addr.sun_path,
	       vh_strerror(err));
	return err;
}

static int make_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static int try_connect(const struct unix_end *u, int fd)
{
	return connect(fd, (const struct sockaddr *)&u->addr, sizeof(u->addr)) < 0
		       ? -errno
		       : 0;
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
		       u->addr.sun_path, vh_strerror(err));
	u->complained = true;
	wait_longer(u);
	return -EAGAIN;
}

static int connecting_look(struct vh_socket *s)
{
	struct unix_end *u = unix_of(s);
	VH_AUTO_FD int fd = make_socket();
	int err = fd < 0 ? fd : try_connect(u, fd);

	if (err)
		return connect_later(u, err);
	vh_log(&s->c, VH_LOG_INFO, "connected to %s", u->addr.sun_path);
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

/* 0: nobody listens on the path any more; else -errno (logged). */
static int probe(const struct unix_end *u)
{
	VH_AUTO_FD int fd = make_socket();
	int err = fd < 0 ? fd : try_connect(u, fd);

	if (err == -ECONNREFUSED || err == -ENOENT)
		return 0;
	if (err && err != -EAGAIN && err != -EPROTOTYPE)
		return failed(u, "find out who listens on", err);
	vh_log(&u->s.c, VH_LOG_ERROR,
	       "somebody listens on %s already: stop them, or choose another path",
	       u->addr.sun_path);
	return -EADDRINUSE;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The path is taken; free it if what is there is a socket that somebody left behind. */
static int remove_stale(const struct unix_end *u)
{
	const char *path = u->addr.sun_path;
	struct stat before, now;
	int err;

	if (lstat(path, &before) < 0)
		return errno == ENOENT ? 0 : failed(u, "look at", -errno);
	if (!S_ISSOCK(before.st_mode)) {
		vh_log(&u->s.c, VH_LOG_ERROR,
		       "%s exists and is not a socket: choose another path", path);
		return -EEXIST;
	}
	err = probe(u);
	if (err)
		return err;
	/* Somebody who starts now may have freed it before us and be there already. */
	if (lstat(path, &now) < 0 || !is_same_file(&before, &now))
		return 0;
	if (unlink(path) < 0)
		return failed(u, "remove the stale socket", -errno);
	vh_log(&u->s.c, VH_LOG_INFO, "removed the stale socket %s", path);
	return 0;
}

static int try_bind(const struct unix_end *u, int fd)
{
	return bind(fd, (const struct sockaddr *)&u->addr, sizeof(u->addr)) < 0 ? -errno
										: 0;
}

static int bind_path(struct unix_end *u, int fd)
{
	int err = try_bind(u, fd);
	struct stat st;

	if (err == -EADDRINUSE) {
		err = remove_stale(u);
		if (err < 0)
			return err;
		err = try_bind(u, fd);
	}
	if (err < 0)
		return failed(u, "listen on", err);
	if (lstat(u->addr.sun_path, &st) < 0)
		return failed(u, "look at", -errno);
	u->bound = true;
	u->dev = st.st_dev;
	u->ino = st.st_ino;
	return 0;
}

static void unlink_path(const struct unix_end *u)
{
	struct stat st;

	if (u->bound && lstat(u->addr.sun_path, &st) == 0 && st.st_dev == u->dev &&
	    st.st_ino == u->ino)
		unlink(u->addr.sun_path);
}

static int set_access(const struct unix_end *u, const struct unix_options *o)
{
	if (o->group != NO_ID && lchown(u->addr.sun_path, NO_ID, o->group) < 0)
		return failed(u, "set the group of", -errno);
	if (o->mode != NO_ID && chmod(u->addr.sun_path, o->mode) < 0)
		return failed(u, "set the mode of", -errno);
	return 0;
}

static int start_listening(struct unix_end *u, const struct unix_options *o)
{
	VH_AUTO_FD int fd = make_socket();
	int err;

	if (fd < 0)
		return failed(u, "make a socket for", fd);
	err = bind_path(u, fd);
	if (!err)
		err = set_access(u, o);
	if (err)
		return err;
	if (listen(fd, BACKLOG) < 0)
		return failed(u, "listen on", -errno);
	vh_log(&u->s.c, VH_LOG_INFO, "listening on %s", u->addr.sun_path);
	return vh_socket_listen(&u->s, vh_fd_take(&fd));
}

/* ---- Options ---- */

static int read_mode(const char *tag, const char *text, mode_t *mode)
{
	char *end;
	unsigned long value;

	if (!text)
		return 0;
	value = strtoul(text, &end, 8);
	if (*text < '0' || *text > '7' || *end || value > 0777) {
		vh_log_line(tag, VH_LOG_ERROR, "mode=%s: want an octal number up to 777",
			    text);
		return -EINVAL;
	}
	*mode = (mode_t)value;
	return 0;
}

static int read_group(const char *tag, const char *name, gid_t *group)
{
	const int err = name ? vh_group_find(name, group) : 0;

	if (err != -ENOENT)
		return err;
	vh_log_line(tag, VH_LOG_ERROR, "group=%s: there is no such group", name);
	return -EINVAL;
}

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

	*o = (struct unix_options){
		.server = role == VH_ROLE_BACKEND, .mode = NO_ID, .group = NO_ID};
	if (!err)
		err = vh_option_on_off(tag, "server", server, &o->server);
	if (!err)
		err = vh_option_on_off(tag, "any-memory", any_memory, &o->any_memory);
	if (!err)
		err = read_mode(tag, mode, &o->mode);
	if (!err)
		err = read_group(tag, group, &o->group);
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

	unlink_path(u);
	vh_socket_fini(&u->s);
	free(u);
}

static int set_path(struct unix_end *u, const char *path)
{
	const size_t len = strlen(path), max = sizeof(u->addr.sun_path) - 1;

	u->addr.sun_family = AF_UNIX;
	if (!len || len > max) {
		vh_log(&u->s.c, VH_LOG_ERROR,
		       "path \"%s\" has %zu bytes, a socket's has 1 to %zu", path, len,
		       max);
		return len ? -ENAMETOOLONG : -EINVAL;
	}
	memcpy(u->addr.sun_path, path, len);
	return 0;
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
	if (!err)
		err = set_path(u, rest);
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
