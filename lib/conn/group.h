/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The number of a group of users.
 */
#ifndef VH_CONN_GROUP_H
#define VH_CONN_GROUP_H

#include <sys/types.h>

/* Returns 0, -ENOENT when there is no group of that name, or another -errno. */
int vh_group_find(const char *name, gid_t *group);

#endif
