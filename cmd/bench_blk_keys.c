/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of vhost bench blk: see bench.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench.h"
#include "cli.h"
#include "load.h"

static bool parse_depths(struct load_config *c, char *text)
{
	char *word;

	c->n_depths = 0;
	while ((word = strsep(&text, ":"))) {
		uint64_t n;

		if (c->n_depths == LOAD_MAX_ROWS ||
		    !parse_number(word, 1, LOAD_MAX_DEPTH, &n))
			return false;
		c->depth[c->n_depths++] = (unsigned)n;
	}
	return c->n_depths > 0;
}

static bool parse_rw(struct load_config *c, char *text)
{
	static const struct {
		const char *name;
		unsigned reads;
	} ways[] = {{"read", 100}, {"write", 0}, {"rw", 50}};

	c->random = !strncmp(text, "rand", 4);
	if (c->random)
		text += 4;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(ways[i].name, text)) {
			c->reads = ways[i].reads;
			return true;
		}
	}
	return false;
}

static bool parse_block_size(struct load_config *c, char *text)
{
	return parse_size(text, &c->block_size) && c->block_size >= 512 &&
	       c->block_size <= (16 << 20) && !(c->block_size & (c->block_size - 1));
}

static bool parse_disk_size(struct load_config *c, char *text)
{
	return parse_size(text, &c->size) && c->size;
}

static bool parse_queues(struct load_config *c, char *text)
{
	uint64_t n;
	const bool fine = parse_number(text, 1, LOAD_MAX_QUEUES, &n);

	c->queues = (unsigned)n;
	return fine;
}

static bool parse_seconds(struct load_config *c, char *text)
{
	return parse_number(text, 1, 86400, &c->seconds);
}

static bool parse_mode(struct load_config *c, char *text)
{
	c->poll = !strcmp(text, "poll");
	return c->poll || !strcmp(text, "event");
}

static bool parse_verify(struct load_config *c, char *text)
{
	c->verify = !strcmp(text, "on");
	return c->verify || !strcmp(text, "off");
}

static const struct {
	const char *key;
	bool (*parse)(struct load_config *c, char *text);
	const char *form; /* for the text of errors */
} keys[] = {
	{"rw", parse_rw, "read, write, rw, randread, randwrite or randrw"},
	{"block-size", parse_block_size, "a power of two, 512 to 16M"},
	{"depth", parse_depths, "1 to 16 numbers up to 1024, with colons between"},
	{"queues", parse_queues, "1 to 64"},
	{"mode", parse_mode, "poll or event"},
	{"size", parse_disk_size, "a size, like 64M"},
	{"seconds", parse_seconds, "1 to 86400"},
	{"verify", parse_verify, "on or off"},
};

int bench_blk_key(struct load_config *c, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		VH_AUTO_FREE char *copy = NULL;

		if (strcmp(keys[i].key, key) != 0)
			continue;
		copy = strdup(value); /* which a parser takes apart */
		return copy && keys[i].parse(c, copy)
			       ? EXIT_OK
			       : usage_error(&verb_bench, "%s=%s: want %s", key, value,
					     keys[i].form);
	}
	return usage_error(
		&verb_bench,
		"%s=%s: there is rw=, block-size=, depth=, queues=, mode=, size=, "
		"seconds= and verify=",
		key, value);
}
