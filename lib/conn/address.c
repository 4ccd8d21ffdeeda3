/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes the text of an address apart and puts it together again.  It does not
 * know what the parts mean.  Control thread, or before there are threads.
 */
#include "conn/address.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

/* ---- Splitting and joining ---- */

/*
 * All parts lie behind the pointers in one block, so that one free() does.  No
 * text has more parts than one for each character and one more.
 */
int vh_options_split(const char *text, char ***parts)
{
	const size_t len = strlen(text), most = len + 2;
	char **list = malloc(most * sizeof(char *) + len + 1);
	char *out;
	size_t n = 0;

	*parts = list;
	if (!list)
		return -ENOMEM;
	out = (char *)(list + most);
	list[n++] = out;
	for (; *text; text++) {
		if (*text != ',') {
			*out++ = *text;
		} else if (text[1] == ',') {
			*out++ = *text++;
		} else {
			*out++ = '\0';
			list[n++] = out;
		}
	}
	*out = '\0';
	list[n] = NULL;
	return 0;
}

int vh_options_join(char *const *parts, char **text)
{
	size_t len = 0;
	char *out;

	for (char *const *part = parts; *part; part++)
		len += 2 * strlen(*part) + 1;
	*text = out = malloc(len + 1);
	if (!out)
		return -ENOMEM;
	for (char *const *part = parts; *part; part++) {
		if (part != parts)
			*out++ = ',';
		for (const char *c = *part; *c; c++) {
			if (*c == ',')
				*out++ = ',';
			*out++ = *c;
		}
	}
	*out = '\0';
	return 0;
}

void vh_options_free(char **parts)
{
	free(parts);
}

/* ---- Options ---- */

/* "server=on|off, mode=OCTAL", or "none"; cut off where @buf ends. */
static void list_options(const struct vh_option *known, char *buf, size_t size)
{
	size_t len = 0;

	snprintf(buf, size, "none");
	for (const struct vh_option *o = known; o->name && len < size; o++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s=%s",
					o == known ? "" : ", ", o->name, o->form);
}

static const struct vh_option *find_option(const struct vh_option *known,
					   const char *text, size_t name_len)
{
	for (const struct vh_option *o = known; o->name; o++)
		if (strlen(o->name) == name_len && !strncmp(o->name, text, name_len))
			return o;
	return NULL;
}

static int read_option(const char *tag, const char *scheme, const char *text,
		       const struct vh_option *known)
{
	const size_t name_len = strcspn(text, "=");
	const struct vh_option *o = find_option(known, text, name_len);
	char list[256];

	if (!o) {
		list_options(known, list, sizeof(list));
		vh_log_line(tag, VH_LOG_ERROR, "%s: has no option \"%.*s\"; it has %s",
			    scheme, (int)name_len, text, list);
		return -EINVAL;
	}
	if (text[name_len] != '=' || *o->value) {
		vh_log_line(tag, VH_LOG_ERROR, "%s: option \"%s\": want %s=%s, once",
			    scheme, text, o->name, o->form);
		return -EINVAL;
	}
	*o->value = text + name_len + 1;
	return 0;
}

int vh_options_read(const char *tag, const char *scheme, char *const *options,
		    const struct vh_option *known)
{
	int err = 0;

	for (; *options && !err; options++)
		err = read_option(tag, scheme, *options, known);
	return err;
}

int vh_option_on_off(const char *tag, const char *name, const char *value, bool *on)
{
	const bool is_on = value && strcmp(value, "on") == 0;
	const bool is_off = value && strcmp(value, "off") == 0;

	if (!value)
		return 0;
	if (!is_on && !is_off) {
		vh_log_line(tag, VH_LOG_ERROR, "%s=%s: want %s=on or %s=off", name, value,
			    name, name);
		return -EINVAL;
	}
	*on = is_on;
	return 0;
}
