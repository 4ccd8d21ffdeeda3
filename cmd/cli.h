/* SPDX-License-Identifier: BSD-3-Clause */
/* What all verbs share: exit codes, words of the command line, messages for people. */
#ifndef CMD_CLI_H
#define CMD_CLI_H

#include <stdbool.h>
#include <stdint.h>

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PEER = 3,	      /* the peer is at fault */
	EXIT_UNSUPPORTED = 4, /* not supported here   */
};

/* A verb: its arguments behind the verb's name; returns an exit code. */
struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* a sentence without its capital and its full stop */
	const char *usage;   /* how it is typed                                  */
	/*
	 * What the words mean, line by line.  Shell completion reads it: "  --option
	 * WORD", "  --option one|two", "  key=VALUE", "  DEVICE  one, two", and a command
	 * a line.
	 */
	const char *help;
};

extern const struct verb verb_bench, verb_ctl, verb_demo, verb_probe, verb_serve,
	verb_stat, verb_switch, verb_vvu;

/* Print "vhost: ..." to stderr and how to get help; EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct verb *v,
						      const char *format, ...);
/* Print "vhost: ..." to stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/*
 * Is argv[*i] the option @name?  Then *@value is what stands behind "=" or in
 * the next word, and *@i is on the last word used.  NULL in *@value: it is missing.
 */
bool option_with_value(int argc, char **argv, int *i, const char *name,
		       const char **value);

/* "64K", "16M", "2G", "4096".  False: not a size. */
bool parse_size(const char *text, uint64_t *size);
/* A decimal number from @min to @max.  False: it is not. */
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n);

/* The exit code for a -errno of the library. */
int exit_code_of(int err);
/* And for one about what was typed, where -EINVAL is a matter of usage. */
int exit_code_of_words(int err);

#endif
