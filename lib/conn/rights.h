/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and fds over a UNIX stream socket, without ever waiting.  Any thread. */
#ifndef VH_CONN_RIGHTS_H
#define VH_CONN_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VH_RIGHTS_MAX 253u /* the kernel's limit, SCM_MAX_FD */

struct vh_rights {
	int *fds; /* who owns them is the caller's business; close-on-exec   */
	unsigned n, max;
	bool came; /* some fds did with this read, whatever became of them    */
	bool lost; /* there were more than @max, or this process may have no more */
};

/*
 * Read up to @len bytes, and append the fds that came with them to @r; those that have
 * no room are closed.  How many bytes; 0: the end; -errno.
 */
ssize_t vh_rights_recv(int socket, void *buf, size_t len, struct vh_rights *r);

/* How many bytes went out, with all of @fds (borrowed) if any did; or -errno. */
ssize_t vh_rights_send(int socket, const void *bytes, size_t len, const int *fds,
		       unsigned n_fds);

#endif
