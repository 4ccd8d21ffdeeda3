/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of vhost bench blk: see bench.h. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "load.h"

static bool parse_depths(void *config, char *text)
{
	struct load_config *c = config;
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

static bool parse_rw(void *config, char *text)
{
	struct load_config *c = config;
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

static bool parse_block_size(void *config, char *text)
{
	struct load_config *c = config;

	return parse_size(text, &c->block_size) && c->block_size >= 512 &&
	       c->block_size <= (16 << 20) && !(c->block_size & (c->block_size - 1));
}

static bool parse_disk_size(void *config, char *text)
{
	struct load_config *c = config;

	return parse_size(text, &c->size) && c->size;
}

static bool parse_queues(void *config, char *text)
{
	struct load_config *c = config;
	uint64_t n;
	const bool fine = parse_number(text, 1, LOAD_MAX_QUEUES, &n);

	c->queues = (unsigned)n;
	return fine;
}

static bool parse_seconds(void *config, char *text)
{
	struct load_config *c = config;

	return parse_number(text, 1, 86400, &c->seconds);
}

static bool parse_mode(void *config, char *text)
{
	struct load_config *c = config;

	c->poll = !strcmp(text, "poll");
	return c->poll || !strcmp(text, "event");
}

static bool parse_verify(void *config, char *text)
{
	struct load_config *c = config;

	c->verify = !strcmp(text, "on");
	return c->verify || !strcmp(text, "off");
}

static bool parse_memory_file(void *config, char *text)
{
	struct load_config *c = config;
	const size_t len = strlen(text);

	if (!len || len >= sizeof(c->memory_file))
		return false;
	memcpy(c->memory_file, text, len + 1);
	return true;
}

static const struct bench_key keys[] = {
	{"rw", parse_rw, "read, write, rw, randread, randwrite or randrw"},
	{"block-size", parse_block_size, "a power of two, 512 to 16M"},
	{"depth", parse_depths, "1 to 16 numbers up to 1024, with colons between"},
	{"queues", parse_queues, "1 to 64"},
	{"mode", parse_mode, "poll or event"},
	{"size", parse_disk_size, "a size, like 64M"},
	{"seconds", parse_seconds, "1 to 86400"},
	{"verify", parse_verify, "on or off"},
	{"memory-file", parse_memory_file, "a path"},
};

int bench_blk_keys(const struct bench_args *a, struct load_config *c)
{
	return bench_read_keys(a, keys, sizeof(keys) / sizeof(keys[0]), c);
}
