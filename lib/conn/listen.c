/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a path at which somebody listens.  Who connects is for others. */
#include "conn/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/group.h"

#define BACKLOG 16

/* Logs and returns @err. */
static int failed(const struct vh_listen *l, const char *doing, int err)
{
	vh_log(l, VH_LOG_ERROR, "cannot %s %s: %s", doing, l->addr.sun_path,
	       vh_strerror(err));
	return err;
}

int vh_listen_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int vh_listen_connect(const struct sockaddr_un *addr, int fd)
{
	return connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
}

/* ---- The path ---- */

int vh_listen_set_path(struct vh_listen *l, const char *path)
{
	const size_t len = strlen(path), max = sizeof(l->addr.sun_path) - 1;

	l->addr.sun_family = AF_UNIX;
	if (!len || len > max) {
		vh_log(l, VH_LOG_ERROR,
		       "path \"%s\" has %zu bytes, a socket's has 1 to %zu", path, len,
		       max);
		return len ? -ENAMETOOLONG : -EINVAL;
	}
	memcpy(l->addr.sun_path, path, len);
	return 0;
}

/* 0: nobody listens on the path any more; else -errno (logged). */
static int probe(const struct vh_listen *l)
{
	VH_AUTO_FD int fd = vh_listen_socket();
	int err = fd < 0 ? fd : vh_listen_connect(&l->addr, fd);

	if (err == -ECONNREFUSED || err == -ENOENT)
		return 0;
	if (err && err != -EAGAIN && err != -EPROTOTYPE)
		return failed(l, "find out who listens on", err);
	vh_log(l, VH_LOG_ERROR,
	       "somebody listens on %s already: stop them, or choose another path",
	       l->addr.sun_path);
	return -EADDRINUSE;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The path is taken; free it if what is there is a socket that somebody left behind. */
static int remove_stale(const struct vh_listen *l)
{
	const char *path = l->addr.sun_path;
	struct stat before, now;
	int err;

	if (lstat(path, &before) < 0)
		return errno == ENOENT ? 0 : failed(l, "look at", -errno);
	if (!S_ISSOCK(before.st_mode)) {
		vh_log(l, VH_LOG_ERROR,
		       "%s exists and is not a socket: choose another path", path);
		return -EEXIST;
	}
	err = probe(l);
	if (err)
		return err;
	/* Somebody who starts now may have freed it before us and be there already. */
	if (lstat(path, &now) < 0 || !is_same_file(&before, &now))
		return 0;
	if (unlink(path) < 0)
		return failed(l, "remove the stale socket", -errno);
	vh_log(l, VH_LOG_INFO, "removed the stale socket %s", path);
	return 0;
}

static int try_bind(const struct vh_listen *l, int fd)
{
	return bind(fd, (const struct sockaddr *)&l->addr, sizeof(l->addr)) < 0 ? -errno
										: 0;
}

static int bind_path(struct vh_listen *l, int fd)
{
	int err = try_bind(l, fd);
	struct stat st;

	if (err == -EADDRINUSE) {
		err = remove_stale(l);
		if (err < 0)
			return err;
		err = try_bind(l, fd);
	}
	if (err < 0)
		return failed(l, "listen on", err);
	if (lstat(l->addr.sun_path, &st) < 0)
		return failed(l, "look at", -errno);
	l->bound = true;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

void vh_listen_end(const struct vh_listen *l)
{
	struct stat st;

	if (l->bound && lstat(l->addr.sun_path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->addr.sun_path);
}

static int set_access(const struct vh_listen *l, const struct vh_listen_access *a)
{
	if (a->group != VH_LISTEN_AS_IT_IS &&
	    lchown(l->addr.sun_path, VH_LISTEN_AS_IT_IS, a->group) < 0)
		return failed(l, "set the group of", -errno);
	if (a->mode != VH_LISTEN_AS_IT_IS && chmod(l->addr.sun_path, a->mode) < 0)
		return failed(l, "set the mode of", -errno);
	return 0;
}

int vh_listen_start(struct vh_listen *l, const struct vh_listen_access *a)
{
	VH_AUTO_FD int fd = vh_listen_socket();
	int err;

	if (fd < 0)
		return failed(l, "make a socket for", fd);
	err = bind_path(l, fd);
	if (!err)
		err = set_access(l, a);
	if (err)
		return err;
	if (listen(fd, BACKLOG) < 0)
		return failed(l, "listen on", -errno);
	vh_log(l, VH_LOG_INFO, "listening on %s", l->addr.sun_path);
	return vh_fd_take(&fd);
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

int vh_listen_read_access(const char *tag, const char *mode, const char *group,
			  struct vh_listen_access *a)
{
	int err;

	*a = (struct vh_listen_access){.mode = VH_LISTEN_AS_IT_IS,
				       .group = VH_LISTEN_AS_IT_IS};
	err = read_mode(tag, mode, &a->mode);
	return err ? err : read_group(tag, group, &a->group);
}
