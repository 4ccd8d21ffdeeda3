/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices of the command line of vhost serve, and whose threads are whose. */
#include <string.h>

#include "cli.h"
#include "serve.h"

/* Take "cores=LIST" out of the words of a device; NULL: it is not there. */
static const char *take_cores(struct serve_entry *e)
{
	for (int i = 2; i < e->argc; i++) {
		const char *word = e->argv[i];

		if (strncmp(word, "cores=", 6) != 0)
			continue;
		for (e->argc--; i < e->argc; i++)
			e->argv[i] = e->argv[i + 1];
		return word + 6;
	}
	return NULL;
}

/* What one device does shall not disturb another: each has a thread of its own. */
static int place(struct run *r, struct serve_entry *e, const struct core_set *shared)
{
	const char *list = take_cores(e);

	if (!list && shared->n)
		e->set = *shared;
	else if (!run_add_set(r, list, &e->set))
		return usage_error(r->verb,
				   "cores=%s: want CPUs of this machine, like 0:2-3",
				   list ? list : "");
	return EXIT_OK;
}

int serve_read_entries(struct run *r, int argc, char **argv, struct serve_entry *e,
		       unsigned *n)
{
	const struct core_set shared = {.first = 0, .n = r->n_cores};
	int start = 0, code = EXIT_OK;

	for (int i = 0; i < argc; i++)
		if (argv[i][0] == '-' && strcmp(argv[i], "--") != 0)
			return usage_error(r->verb, "there is no option \"%s\"", argv[i]);
	for (int i = 0; i <= argc && code == EXIT_OK; i++) {
		if (i < argc && strcmp(argv[i], "--") != 0)
			continue;
		if (*n == SERVE_MAX_DEVICES)
			return usage_error(r->verb, "more than %d devices",
					   SERVE_MAX_DEVICES);
		e[*n] = (struct serve_entry){.argc = i - start, .argv = argv + start};
		code = place(r, &e[(*n)++], &shared);
		start = i + 1;
	}
	return code;
}

int serve_add_entries(struct run *r, struct serve_entry *e, unsigned n)
{
	const struct core_set all = {.first = 0, .n = r->n_reactors - 1};
	int code = EXIT_OK;

	for (unsigned i = 0; i < n && code == EXIT_OK; i++) {
		run_use_set(r, &e[i].set);
		code = serve_add_device(r, e[i].argc, e[i].argv);
	}
	run_use_set(r, &all); /* those that come later */
	return code;
}
