/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd:N, a UNIX stream socket that this process was started with.  A listening one
 * gives any number of peers, one after the other; a connected one is one peer,
 * and nothing comes after it.  It is ours from the moment it is opened, and
 * stays the caller's when that fails.  Control thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/schemes.h"
#include "conn/socket.h"

struct fd_end {
	struct vh_socket s;
	int peer; /* the connected socket until it is looked for; or -1 */
};

static int connected_look(struct vh_socket *s)
{
	struct fd_end *f = (struct fd_end *)s;

	return f->peer >= 0 ? vh_fd_take(&f->peer) : -EAGAIN;
}

static void connected_next(struct vh_socket *s)
{
	s->c.is_over = true;
}

static void listening_next(struct vh_socket *s)
{
	(void)s;
}

static const struct vh_socket_life connected = {
	.look = connected_look,
	.next = connected_next,
};

static const struct vh_socket_life listening = {
	.look = vh_socket_accept,
	.next = listening_next,
};

static int read_number(const char *tag, const char *text, int *fd)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > INT_MAX) {
		vh_log_line(tag, VH_LOG_ERROR, "fd:%s: want the number of a descriptor",
			    text);
		return -EINVAL;
	}
	*fd = (int)value;
	return 0;
}

/* 0 and whether it listens, or -errno (logged). */
static int check_socket(const char *tag, int fd, bool *listens)
{
	if (fcntl(fd, F_GETFD) < 0) {
		vh_log_line(tag, VH_LOG_ERROR, "fd:%d is not open", fd);
		return -EBADF;
	}
	if (vh_socket_option(fd, SO_DOMAIN) != AF_UNIX ||
	    vh_socket_option(fd, SO_TYPE) != SOCK_STREAM) {
		vh_log_line(tag, VH_LOG_ERROR, "fd:%d is not a UNIX stream socket", fd);
		return -EINVAL;
	}
	*listens = vh_socket_option(fd, SO_ACCEPTCONN) == 1;
	return 0;
}

static int adopt(struct fd_end *f, int fd, bool listens)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (listens)
		return vh_socket_listen(&f->s, fd);
	f->peer = fd;
	vh_socket_look_in(&f->s, 0);
	return 0;
}

static void fd_close(struct vh_connector *c)
{
	struct fd_end *f = (struct fd_end *)vh_socket_of(c);

	vh_socket_fini(&f->s);
	vh_fd_drop(&f->peer);
	free(f);
}

static int fd_open(const char *rest, char *const *options, enum vh_role role,
		   const char *tag, struct vh_connector **c)
{
	bool any_memory = false, listens = false;
	struct fd_end *f;
	int fd = -1, err = vh_socket_read_options(tag, "fd", options, &any_memory);

	if (!err)
		err = read_number(tag, rest, &fd);
	if (!err)
		err = check_socket(tag, fd, &listens);
	if (err < 0)
		return err;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->peer = -1;
	err = vh_socket_init(&f->s, &vh_fd_connector, listens ? &listening : &connected,
			     role, tag);
	f->s.any_memory = any_memory;
	if (!err)
		err = adopt(f, fd, listens);
	if (err < 0)
		fd_close(&f->s.c);
	else
		*c = &f->s.c;
	return err;
}

const struct vh_connector_ops vh_fd_connector = {
	.scheme = "fd",
	.open = fd_open,
	.close = fd_close,
	VH_SOCKET_OPS,
};
