/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is @fd shared memory: memfd, or a file of tmpfs or hugetlbfs?  Only these have seals,
 * and asking for them asks nobody else, while fstat() of a file of FUSE or of a network
 * waits for whoever serves it.  So what a peer passes as memory is asked this first.
 */
#ifndef VH_BASE_MEMORY_FD_H
#define VH_BASE_MEMORY_FD_H

#include <fcntl.h>
#include <stdbool.h>

static inline bool vh_fd_is_memory(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

#endif
