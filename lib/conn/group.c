/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups as this machine knows them, in a file or in a directory service.
 * Thread: control.
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>

#include "conn/group.h"

enum { LEN_MAX = 1 << 16 }; /* a group may have many members */

int vh_group_find(const char *name, gid_t *group)
{
	struct group entry, *found = NULL;
	char *buf = malloc(LEN_MAX);

	if (!buf)
		return -ENOMEM;
	if (getgrnam_r(name, &entry, buf, LEN_MAX, &found) == 0 && found)
		*group = found->gr_gid;
	free(buf);
	return found ? 0 : -ENOENT;
}
