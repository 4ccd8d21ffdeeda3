/* SPDX-License-Identifier: BSD-3-Clause */
/* See words.h. */
#include "store/words.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define DAY_NS (24 * 3600 * 1000000000ull)

bool vh_word_next(const char **at, char sep, char word[VH_WORD_MAX])
{
	const char *end;
	size_t len;

	if (!*at)
		return false;
	end = strchrnul(*at, sep);
	len = (size_t)(end - *at);
	if (!len || len >= VH_WORD_MAX)
		return false;
	memcpy(word, *at, len);
	word[len] = 0;
	*at = *end ? end + 1 : NULL;
	return true;
}

bool vh_word_begins(const char *word, const char *prefix, const char **rest)
{
	const size_t len = strlen(prefix);

	*rest = word + len;
	return !strncmp(word, prefix, len);
}

/* Digits, and what follows them. */
static bool parse_digits(const char *text, uint64_t *n, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	*rest = end;
	return !errno;
}

bool vh_parse_count(const char *text, uint64_t *n)
{
	const char *rest;

	return parse_digits(text, n, &rest) && !*rest && *n;
}

bool vh_parse_time(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"", 1000000}, {"ms", 1000000}, {"us", 1000}, {"s", 1000000000}};
	const char *unit;

	if (!parse_digits(text, ns, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(units[i].name, unit)) {
			if (*ns > DAY_NS / units[i].ns)
				return false;
			*ns *= units[i].ns;
			return true;
		}
	return false;
}

static const char *const op_names[] = {
	[VH_STORE_READ] = "read",
	[VH_STORE_WRITE] = "write",
	[VH_STORE_FLUSH] = "flush",
	[VH_STORE_DISCARD] = "discard",
	[VH_STORE_WRITE_ZEROES] = "write-zeroes",
	[VH_STORE_SECURE_ERASE] = "secure-erase",
};

static_assert(sizeof(op_names) / sizeof(op_names[0]) == VH_STORE_OPS, "a name for each");

const char *vh_store_op_name(enum vh_store_op op)
{
	return op_names[op];
}

bool vh_store_parse_op(const char *name, enum vh_store_op *op)
{
	for (unsigned i = 0; i < VH_STORE_OPS; i++)
		if (!strcmp(op_names[i], name)) {
			*op = i;
			return true;
		}
	return false;
}

int vh_store_wrong(const char *tag, const char *key, const char *value, const char *want)
{
	const struct {
		const char *tag;
	} who = {tag};

	vh_log(&who, VH_LOG_ERROR, "%s=%s: want %s", key, value, want);
	return -EINVAL;
}
