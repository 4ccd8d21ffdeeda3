/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost: the command.  Finds the verb, or the program that it was called as (a link
 * such as vhost-user-rng); everything else is in the verb's file.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vhost/vhost.h>

#include "cli.h"
#include "program.h"
#include "said.h"

static const struct verb *const verbs[] = {
	&verb_demo, &verb_serve, &verb_switch, &verb_probe,
	&verb_vvu,  &verb_bench, &verb_stat,   &verb_ctl,
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *f)
{
	fputs("Usage: vhost [-q|-v|-vv] VERB ...\n"
	      "       vhost --help | --version | VERB --help\n\n"
	      "Virtio devices outside the VMM.\n\n",
	      f);
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(f, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n  -q       errors only\n"
	      "  -v       the life of connections and devices, too\n"
	      "  -vv      and every message of the protocol\n"
	      "\nExit status: 0 ok, 1 failed, 2 usage, 3 the peer is at fault, "
	      "4 not supported here.\n",
	      f);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0)
			continue;
		printf("Usage: %s\n\n%c%s.\n\n%s", v->usage, toupper(v->summary[0]),
		       v->summary + 1, v->help);
		return EXIT_OK;
	}
	return v->run(argc, argv);
}

/* How much to say: -q errors, nothing warnings, -v the life cycle, -vv every message. */
static bool log_option(const char *arg, enum vh_log_level *level)
{
	if (!strcmp(arg, "-q"))
		*level = VH_LOG_ERROR;
	else if (!strcmp(arg, "-v"))
		*level = VH_LOG_INFO;
	else if (!strcmp(arg, "-vv"))
		*level = VH_LOG_DEBUG;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	const struct program *program = program_find(argv[0]);
	enum vh_log_level level = VH_LOG_WARN;
	const struct verb *v;
	int i = 1;

	while (i < argc && log_option(argv[i], &level))
		i++;
	said_start(level);
	if (program)
		return program_run(program, argc - i, argv + i);
	if (i == argc) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (!strcmp(argv[i], "--version")) {
		printf("vhost %s\n", vh_version());
		return EXIT_OK;
	}
	v = find_verb(argv[i]);
	if (v)
		return run_verb(v, argc - i - 1, argv + i + 1);
	complain(argv[i][0] == '-' ? "there is no option \"%s\""
				   : "no verb is called \"%s\"",
		 argv[i]);
	print_help(stderr);
	return EXIT_USAGE;
}
