/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups of /etc/group and no others: what a static program can know, since directory
 * services are libraries that the C library loads.  Thread: control.
 */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/group.h"

enum { LEN_MAX = 1 << 16 }; /* a group may have many members */

static bool find_in(FILE *file, const char *name, char *buf, gid_t *group)
{
	struct group entry, *found = NULL;

	while (fgetgrent_r(file, &entry, buf, LEN_MAX, &found) == 0 && found) {
		if (strcmp(entry.gr_name, name) == 0) {
			*group = entry.gr_gid;
			return true;
		}
	}
	return false;
}

int vh_group_find(const char *name, gid_t *group)
{
	FILE *file = fopen("/etc/group", "re");
	char *buf;
	bool found;

	if (!file)
		return -ENOENT;
	buf = malloc(LEN_MAX);
	found = buf && find_in(file, name, buf, group);
	fclose(file);
	if (!buf)
		return -ENOMEM;
	free(buf);
	return found ? 0 : -ENOENT;
}
