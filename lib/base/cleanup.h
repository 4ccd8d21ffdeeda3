/* SPDX-License-Identifier: BSD-3-Clause */
/* What dies with its scope: VH_AUTO_FD int fd = -1; VH_AUTO_FREE char *s = NULL. */
#ifndef VH_BASE_CLEANUP_H
#define VH_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void vh_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void vh_cleanup_free(void *p)
{
	free(*(void **)p);
}

#define VH_AUTO_FD   __attribute__((cleanup(vh_cleanup_fd)))
#define VH_AUTO_FREE __attribute__((cleanup(vh_cleanup_free)))

/* Move an fd out of @fd, which then owns none. */
static inline int vh_fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Close @fd if it is one; it is none afterwards. */
static inline void vh_fd_drop(int *fd)
{
	if (*fd >= 0)
		close(vh_fd_take(fd));
}

#endif
