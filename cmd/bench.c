/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost bench: load for somebody's device, through the front-end role. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli.h"

/* An address has a colon before any "=": unix:PATH,server=on. */
static bool is_address(const char *word)
{
	const char *colon = strchr(word, ':'), *equals = strchr(word, '=');

	return colon && (!equals || colon < equals);
}

/* Splits KEY=VALUE in place.  False: too many, or not of that form. */
static bool add_word(struct bench_args *a, char *word)
{
	char *equals = strchr(word, '=');

	if (is_address(word)) {
		if (a->n_addresses == sizeof(a->address) / sizeof(a->address[0]))
			return false;
		a->address[a->n_addresses++] = word;
		return true;
	}
	if (!equals || a->n_keys == sizeof(a->key) / sizeof(a->key[0]))
		return false;
	*equals = '\0';
	a->key[a->n_keys] = word;
	a->value[a->n_keys++] = equals + 1;
	return true;
}

static int unknown_key(const char *key, const char *value, const struct bench_key *keys,
		       size_t n)
{
	complain("%s=%s: there is no such key; there are:", key, value);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  %s=  %s\n", keys[i].key, keys[i].form);
	return EXIT_USAGE;
}

static int read_key(const char *key, const char *value, const struct bench_key *keys,
		    size_t n, void *config)
{
	for (size_t i = 0; i < n; i++) {
		VH_AUTO_FREE char *copy = NULL;

		if (strcmp(keys[i].key, key) != 0)
			continue;
		copy = strdup(value);
		return copy && keys[i].parse(config, copy)
			       ? EXIT_OK
			       : usage_error(&verb_bench, "%s=%s: want %s", key, value,
					     keys[i].form);
	}
	return unknown_key(key, value, keys, n);
}

int bench_read_keys(const struct bench_args *a, const struct bench_key *keys, size_t n,
		    void *config)
{
	int code = EXIT_OK;

	for (unsigned i = 0; i < a->n_keys && code == EXIT_OK; i++)
		code = read_key(a->key[i], a->value[i], keys, n, config);
	return code;
}

static int bench(int argc, char **argv)
{
	struct bench_args a = {0};

	if (!argc)
		return usage_error(&verb_bench, "what to measure is missing: net or blk");
	if (strcmp(argv[0], "net") != 0 && strcmp(argv[0], "blk") != 0)
		return usage_error(&verb_bench,
				   "nothing is measured as \"%s\"; there are: net, blk",
				   argv[0]);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			a.json = true;
		else if (argv[i][0] == '-')
			return usage_error(&verb_bench, "there is no option \"%s\"",
					   argv[i]);
		else if (!add_word(&a, argv[i]))
			return usage_error(&verb_bench,
					   "\"%s\" is neither ADDRESS nor KEY=VALUE",
					   argv[i]);
	}
	return strcmp(argv[0], "net") ? bench_blk(&a) : bench_net(&a);
}

const struct verb verb_bench = {
	.name = "bench",
	.run = bench,
	.summary = "measure somebody's device, as its front-end",
	.usage = "vhost bench net ADDRESS ADDRESS [KEY=VALUE]... [--json]\n"
		 "       vhost bench blk ADDRESS [KEY=VALUE]... [--json]",
	.help = "net: send frames into the first address, count what comes out of the "
		"second.\n\n"
		"  size=N:N:...   frame sizes, 60 to 9014 bytes     "
		"64:128:256:512:1024:1518\n"
		"  seconds=N      for each size                     1\n"
		"  ring=N         entries of each ring              256\n"
		"  mrg=on|off     mergeable receive buffers         on\n"
		"  duplex=on|off  both directions at once           off\n"
		"  memory-file=PATH:PATH  where each end's memory is\n\n"
		"blk: keep a number of requests under way on each queue of a disk.  "
		"rw=write and\n"
		"the like overwrite what is on it.\n\n"
		"  rw=read|write|rw|randread|randwrite|randrw       randread\n"
		"  block-size=SIZE  of a request, 512 to 16M        4096\n"
		"  depth=N:N:...  requests under way on a queue     1:32:128\n"
		"  queues=N       1 to 64                           1\n"
		"  mode=poll|event  look, or wait for calls         poll\n"
		"  size=SIZE      use the first bytes of the disk   all of them\n"
		"  seconds=N      for each depth                    1\n"
		"  verify=on|off  check what was written            off\n"
		"  memory-file=PATH  where the buffers are          without a name\n\n"
		"  --json         one object, for machines\n",
};
