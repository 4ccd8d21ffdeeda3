/* SPDX-License-Identifier: BSD-3-Clause */
/* See cli.h. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "said.h"

static void complain_v(const char *format, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, ap);
	fprintf(stderr, "vhost: %s\n", text);
	said_keep(text);
}

void complain(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_v(format, ap);
	va_end(ap);
}

int usage_error(const struct verb *v, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_v(format, ap);
	va_end(ap);
	fprintf(stderr, "Try: vhost %s --help\n", v->name);
	return EXIT_USAGE;
}

bool option_with_value(int argc, char **argv, int *i, const char *name,
		       const char **value)
{
	size_t len = strlen(name);

	if (strncmp(argv[*i], name, len) != 0)
		return false;
	if (argv[*i][len] == '=') {
		*value = &argv[*i][len + 1];
		return true;
	}
	if (argv[*i][len])
		return false;
	*value = *i + 1 < argc ? argv[++*i] : NULL;
	return true;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	return !errno && !*end && *n >= min && *n <= max;
}

bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t n;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	*size = n;
	if (!*end)
		return true;
	unit = strchr(units, *end);
	return unit && !end[1] &&
	       !__builtin_mul_overflow(n, 1ull << (10 * (unit - units + 1)), size);
}

int exit_code_of(int err)
{
	switch (err) {
	case 0:
		return EXIT_OK;
	case -EPROTO:
	case -EPIPE:
	case -ETIMEDOUT: /* all that is waited for is a peer's to do */
	case -EREMOTEIO:
		return EXIT_PEER;
	case -EINVAL:
	case -ENAMETOOLONG:
		return EXIT_USAGE;
	case -ENOTSUP:
	case -ENOSYS:
		return EXIT_UNSUPPORTED;
	default:
		return EXIT_FAILED;
	}
}

int exit_code_of_words(int err)
{
	return err == -EINVAL ? EXIT_USAGE : exit_code_of(err);
}
