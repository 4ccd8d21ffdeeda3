/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listening at a path of the file system, for every protocol over UNIX stream
 * sockets.  A path that is taken is freed only if it is a socket on which nobody
 * listens any more, and given up at the end only if it is still ours.  Mode and
 * group are set before the first connection is possible.  Control thread.
 */
#ifndef VH_CONN_LISTEN_H
#define VH_CONN_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

struct vh_listen {
	const char *tag; /* for the log; borrowed */
	struct sockaddr_un addr;
	bool bound; /* the path is ours: this inode */
	dev_t dev;
	ino_t ino;
};

/* Who may connect; see vh_listen_read_access(). */
struct vh_listen_access {
	mode_t mode;
	gid_t group;
};

#define VH_LISTEN_AS_IT_IS (-1u) /* mode: as umask says; group: the process's */

/* 0, or -errno (logged): @path is empty or too long. */
int vh_listen_set_path(struct vh_listen *l, const char *path);

/* Options mode=OCTAL and group=NAME; NULL: not given.  0 or -errno (logged). */
int vh_listen_read_access(const char *tag, const char *mode, const char *group,
			  struct vh_listen_access *a);

/* A listening, non-blocking socket, or -errno (logged); vh_listen_end() in any case. */
int vh_listen_start(struct vh_listen *l, const struct vh_listen_access *a);
/* Unlinks the path; the socket is the caller's to close. */
void vh_listen_end(const struct vh_listen *l);

/* For those that connect: a non-blocking socket, or -errno; and one attempt. */
int vh_listen_socket(void);
int vh_listen_connect(const struct sockaddr_un *addr, int fd);

#endif
