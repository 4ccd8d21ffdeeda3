/* SPDX-License-Identifier: BSD-3-Clause */
/* See size.h.  Any thread. */
#include "store/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"

/* 1024 to the power of the suffix's place in it. */
static const char suffixes[] = "KMGT";

bool vh_parse_size(const char *text, uint64_t *bytes)
{
	const char *suffix = "";
	uint64_t unit = 1;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return false;
		unit = 1ull << (10 * (suffix - suffixes + 1));
	}
	return vh_mul_u64(*bytes, unit, bytes) && *bytes <= INT64_MAX;
}

int vh_store_parse_capacity(const char *tag, const char *kind, const char *text,
			    uint64_t *bytes)
{
	const struct {
		const char *tag;
	} who = {tag};

	if (vh_parse_size(text, bytes) && *bytes && *bytes % 512 == 0)
		return 0;
	vh_log(&who, VH_LOG_ERROR,
	       "%s=%s: want a size that is a multiple of 512, like 4096, 64K or 16G",
	       kind, text);
	return -EINVAL;
}
