/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of RUN: see run.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* Behind @first CPUs of other sets.  One that is named twice counts once, as for taskset.
 */
static bool add_core(struct run *r, unsigned first, int core)
{
	for (unsigned i = first; i < r->n_cores; i++)
		if (r->core[i] == core)
			return true;
	if (r->n_cores == MAX_CORES)
		return false;
	r->core[r->n_cores++] = core;
	return true;
}

/* "0,2-3", as in taskset; or with colons. */
static bool parse_cores(struct run *r, const char *text)
{
	const uint64_t limit = (uint64_t)sysconf(_SC_NPROCESSORS_CONF) - 1;
	const unsigned set = r->n_cores;
	char *copy = strdup(text), *rest = copy, *word;
	bool fine = copy != NULL;

	while (fine && (word = strsep(&rest, ",:"))) {
		char *dash = strchr(word, '-');
		uint64_t first, last;

		if (dash)
			*dash = '\0';
		fine = parse_number(word, 0, limit, &first) &&
		       parse_number(dash ? dash + 1 : word, first, limit, &last);
		for (uint64_t c = first; fine && c <= last; c++)
			fine = add_core(r, set, (int)c);
	}
	free(copy);
	return fine;
}

bool run_add_set(struct run *r, const char *list, struct core_set *set)
{
	set->first = r->n_cores;
	if (list && !parse_cores(r, list))
		return false;
	if (!list) {
		if (r->n_cores == MAX_CORES)
			return false;
		r->core[r->n_cores++] = -1;
	}
	set->n = r->n_cores - set->first;
	return true;
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
		r->n_cores = 0;
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
