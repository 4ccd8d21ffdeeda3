/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of an address: lists of parts between commas, a literal comma is ",,". */
#ifndef VH_CONN_ADDRESS_H
#define VH_CONN_ADDRESS_H

#include <stdbool.h>

/* "a,b=1,,2" becomes {"a", "b=1,2", NULL}.  0 or -ENOMEM. */
int vh_options_split(const char *text, char ***parts);

/* The reverse; *@text is the caller's to free.  0 or -ENOMEM. */
int vh_options_join(char *const *parts, char **text);

void vh_options_free(char **parts); /* NULL is fine */

/* One option that a scheme has; a table of them ends with a name of NULL. */
struct vh_option {
	const char *name;
	const char *form;   /* "on|off": for the text of errors                     */
	const char **value; /* NULL on entry; points into the options when it is given */
};

/*
 * Find the values of @options ("key=value", NULL-terminated).  0, or -EINVAL when
 * one is unknown, has no value or comes twice: logged, with what @scheme has.
 */
int vh_options_read(const char *tag, const char *scheme, char *const *options,
		    const struct vh_option *known);

/* *@on stays as it is when @value is NULL.  0, or -EINVAL (logged, as option @name). */
int vh_option_on_off(const char *tag, const char *name, const char *value, bool *on);

#endif
