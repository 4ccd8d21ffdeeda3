/* SPDX-License-Identifier: BSD-3-Clause */
/* See program.h.  Puts the words of a program into those of vhost serve. */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* An option of one program and the KEY=VALUE that it stands for. */
struct program_option {
	const char *name, *form; /* form: of its value; NULL: it has none       */
	const char *key; /* "file"; with the value, if it has none: "readonly=on" */
	const char *help;
};

struct program {
	const char *name, *device;
	struct program_option option[4]; /* up to one without a name */
};

/* A new one is a row here, and in programs of cmd/meson.build. */
static const struct program programs[] = {
	{.name = "vhost-user-rng", .device = "rng"},
	{.name = "vhost-user-blk",
	 .device = "blk",
	 .option = {{"--blk-file", "PATH", "file", "the disk: a file or a block device"},
		    {"--read-only", NULL, "readonly=on", "refuse writes"}}},
};

#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

const struct program *program_find(const char *argv0)
{
	const char *slash = strrchr(argv0, '/'), *name = slash ? slash + 1 : argv0;

	for (size_t i = 0; i < N_PROGRAMS; i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	return NULL;
}

/* ---- What is typed ---- */

struct words {
	const struct program *program;
	char *address; /* owned; NULL: not given yet                         */
	char **argv;   /* of vhost serve; [0] DEVICE, [1] ADDRESS, then these */
	int argc;
	char **owned; /* those of them that are to be freed                  */
	int n_owned;
};

static void print_help(const struct program *p)
{
	printf("Usage: %s --socket-path=PATH|--fd=N", p->name);
	for (const struct program_option *o = p->option; o->name; o++)
		printf(" [%s%s%s]", o->name, o->form ? "=" : "", o->form ? o->form : "");
	printf(" [RUN]\n       %s --print-capabilities\n\n"
	       "The same as vhost serve %s, with the options of the vhost-user back-end\n"
	       "program conventions.\n\n"
	       "  --socket-path=PATH     listen on PATH\n"
	       "  --fd=N                 use descriptor N, connected or listening\n"
	       "  --print-capabilities   say what it can do, as JSON, and do nothing "
	       "else\n",
	       p->name, p->device);
	for (const struct program_option *o = p->option; o->name; o++)
		printf("  %-22s %s\n", o->name, o->help);
	fputs("\nRUN is what vhost serve --help says.\n", stdout);
}

static int wrong(const struct program *p, const char *what, const char *word)
{
	complain("%s%s%s", what, word ? " " : "", word ? word : "");
	fprintf(stderr, "Try: %s --help\n", p->name);
	return EXIT_USAGE;
}

/* "unix:PATH", in which a comma of the path is two, or "fd:N". */
static int set_address(struct words *w, const char *scheme, const char *rest)
{
	char *out;

	if (w->address)
		return wrong(w->program, "--socket-path or --fd was given twice:", rest);
	w->address = out = malloc(strlen(scheme) + 2 * strlen(rest) + 1);
	if (!out)
		return EXIT_FAILED;
	out = stpcpy(out, scheme);
	for (; *rest; rest++) {
		if (*rest == ',')
			*out++ = ',';
		*out++ = *rest;
	}
	*out = '\0';
	return EXIT_OK;
}

static int add_key(struct words *w, const struct program_option *o, const char *value)
{
	char *word = NULL;

	if (asprintf(&word, "%s%s%s", o->key, value ? "=" : "", value ? value : "") < 0)
		return EXIT_FAILED;
	w->owned[w->n_owned++] = word;
	w->argv[w->argc++] = word;
	return EXIT_OK;
}

/* -1: it is none of the program's own; else an exit code. */
static int own_option(struct words *w, int argc, char **argv, int *i)
{
	for (const struct program_option *o = w->program->option; o->name; o++) {
		const char *value;

		if (!o->form && !strcmp(argv[*i], o->name))
			return add_key(w, o, NULL);
		if (!o->form || !option_with_value(argc, argv, i, o->name, &value))
			continue;
		return value ? add_key(w, o, value)
			     : wrong(w->program, "a value is missing behind", o->name);
	}
	return -1;
}

static int read_word(struct words *w, int argc, char **argv, int *i)
{
	const char *value;
	int code;

	if (option_with_value(argc, argv, i, "--socket-path", &value))
		return value ? set_address(w, "unix:", value)
			     : wrong(w->program, "a path is missing behind", argv[*i]);
	if (option_with_value(argc, argv, i, "--fd", &value))
		return value ? set_address(w, "fd:", value)
			     : wrong(w->program, "a number is missing behind", argv[*i]);
	code = own_option(w, argc, argv, i);
	if (code < 0) {
		w->argv[w->argc++] = argv[*i]; /* of RUN, or serve will say what it is */
		code = EXIT_OK;
	}
	return code;
}

/* ---- All of it ---- */

static int run_words(struct words *w, int argc, char **argv)
{
	int code = EXIT_OK;

	w->argv[0] = (char *)w->program->device;
	w->argc = 2;
	for (int i = 0; i < argc && code == EXIT_OK; i++)
		code = read_word(w, argc, argv, &i);
	if (code != EXIT_OK)
		return code;
	if (!w->address)
		return wrong(w->program, "--socket-path=PATH or --fd=N is missing", NULL);
	w->argv[1] = w->address;
	return verb_serve.run(w->argc, w->argv);
}

static bool has_word(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

int program_run(const struct program *p, int argc, char **argv)
{
	char *ask[] = {(char *)p->device, (char *)"--print-capabilities"};
	struct words w = {.program = p};
	int code = EXIT_FAILED;

	if (has_word(argc, argv, "--print-capabilities"))
		return verb_serve.run(2, ask);
	if (has_word(argc, argv, "--help")) {
		print_help(p);
		return EXIT_OK;
	}
	w.argv = calloc((size_t)argc + 3, sizeof(w.argv[0]));
	w.owned = calloc((size_t)argc + 1, sizeof(w.owned[0]));
	if (w.argv && w.owned)
		code = run_words(&w, argc, argv);
	while (w.n_owned)
		free(w.owned[--w.n_owned]);
	free(w.owned);
	free(w.argv);
	free(w.address);
	return code;
}
