/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of RUN: see run.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* A CPU that is named twice counts once, as for taskset. */
static bool add_core(struct run *r, int core)
{
	for (unsigned i = 0; i < r->n_cores; i++)
		if (r->core[i] == core)
			return true;
	if (r->n_cores == MAX_CORES)
		return false;
	r->core[r->n_cores++] = core;
	return true;
}

static bool add_cores(struct run *r, uint64_t first, uint64_t last)
{
	bool fine = first <= last;

	for (uint64_t c = first; c <= last && fine; c++)
		fine = add_core(r, (int)c);
	return fine;
}

/* "0,2-3", as in taskset. */
static bool parse_cores(struct run *r, const char *text)
{
	const uint64_t limit = (uint64_t)sysconf(_SC_NPROCESSORS_CONF) - 1;
	char *copy = strdup(text), *rest = copy, *word;
	bool fine = copy != NULL;

	r->n_cores = 0;
	while (fine && (word = strsep(&rest, ","))) {
		char *dash = strchr(word, '-');
		uint64_t first, last;

		if (dash)
			*dash = '\0';
		fine = parse_number(word, 0, limit, &first) &&
		       parse_number(dash ? dash + 1 : word, 0, limit, &last) &&
		       add_cores(r, first, last);
	}
	free(copy);
	return fine;
}

static bool parse_poll(struct run *r, const char *text)
{
	static const char *const names[] = {
		[VH_POLL_ADAPTIVE] = "adaptive",
		[VH_POLL_BUSY] = "busy",
		[VH_POLL_SLEEP] = "sleep",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			r->poll = (enum vh_poll_mode)i;
			return true;
		}
	}
	return false;
}

static int wrong(const struct run *r, const char *what, const char *value)
{
	usage_error(r->verb, value ? "%s, not \"%s\"" : "%s", what, value);
	return -1;
}

int run_option(struct run *r, int argc, char **argv, int *i)
{
	const char *value;

	if (option_with_value(argc, argv, i, "--cores", &value)) {
		if (!value || !parse_cores(r, value))
			return wrong(r, "--cores takes CPUs of this machine, like 0,2-3",
				     value);
	} else if (option_with_value(argc, argv, i, "--poll", &value)) {
		if (!value || !parse_poll(r, value))
			return wrong(r, "--poll is busy, adaptive or sleep", value);
	} else if (option_with_value(argc, argv, i, "--control", &value)) {
		if (!value || strncmp(value, "unix:", 5) != 0 || !value[5])
			return wrong(r, "--control takes unix:PATH", value);
		r->control = value;
	} else {
		return 0;
	}
	return 1;
}

int run_take_options(struct run *r, int argc, char **argv)
{
	int left = 0;

	for (int i = 0; i < argc; i++) {
		int found = run_option(r, argc, argv, &i);

		if (found < 0)
			return -1;
		if (!found)
			argv[left++] = argv[i];
	}
	return left;
}
