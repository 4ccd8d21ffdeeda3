/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost stat: a live table of a running daemon.  On a terminal it stays in place; else
 * new lines come below those before.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"
#include "stat_table.h"

#define HOME_AND_CLEAR "\033[H\033[J"

static double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct view {
	bool once, json;
	struct json_object *last; /* answer; NULL: none yet      */
	double last_at;		  /* when it came, in seconds    */
};

static void show(const struct view *v, struct json_object *now, double at)
{
	const bool in_place = isatty(STDOUT_FILENO) && !v->once;

	if (v->json) {
		puts(json_object_to_json_string_ext(
			now, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		if (in_place)
			fputs(HOME_AND_CLEAR, stdout);
		stat_table_print(now, v->last, at - v->last_at, in_place || !v->last);
	}
	fflush(stdout);
}

static int watch(struct view *v, int fd)
{
	char *words[] = {(char *)"stat"};
	bool fine;

	do {
		struct json_object *now;
		double at;

		if (v->last)
			sleep(1);
		now = control_ask(fd, 1, words);
		at = now_seconds();
		fine = now && control_ok(now);
		if (fine)
			show(v, now, at);
		json_object_put(v->last);
		v->last = now;
		v->last_at = at;
	} while (fine && !v->once);
	json_object_put(v->last);
	return fine ? EXIT_OK : EXIT_FAILED;
}

static int stat_verb(int argc, char **argv)
{
	const char *address = NULL;
	struct view v = {0};
	int fd, code;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--once"))
			v.once = true;
		else if (!strcmp(argv[i], "--json"))
			v.json = true;
		else if (argv[i][0] == '-')
			return usage_error(&verb_stat, "there is no option \"%s\"",
					   argv[i]);
		else if (address)
			return usage_error(&verb_stat, "\"%s\" is one CONTROL too many",
					   argv[i]);
		else
			address = argv[i];
	}
	if (!address)
		return usage_error(&verb_stat,
				   "CONTROL, the socket of a daemon, is missing");
	fd = control_connect(address);
	if (fd < 0)
		return exit_code_of_words(fd);
	code = watch(&v, fd);
	close(fd);
	return code;
}

const struct verb verb_stat = {
	.name = "stat",
	.run = stat_verb,
	.summary = "show what a running daemon does, live",
	.usage = "vhost stat CONTROL [--once] [--json]",
	.help = "  CONTROL  unix:PATH, the control socket of the daemon\n"
		"  --once   one table, not a new one each second\n"
		"  --json   all counters, an object a line\n",
};
