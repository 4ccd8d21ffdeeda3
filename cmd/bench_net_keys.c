/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of vhost bench net: see bench.h. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "traffic.h"

static bool parse_sizes(void *config, char *text)
{
	struct traffic_config *c = config;
	char *word;

	c->n_sizes = 0;
	while ((word = strsep(&text, ":"))) {
		uint64_t n;

		if (c->n_sizes == TRAFFIC_MAX_SIZES ||
		    !parse_number(word, TRAFFIC_FRAME_MIN, TRAFFIC_FRAME_MAX, &n))
			return false;
		c->size[c->n_sizes++] = (unsigned)n;
	}
	return c->n_sizes > 0;
}

static bool parse_switch(const char *text, bool *on)
{
	*on = !strcmp(text, "on");
	return *on || !strcmp(text, "off");
}

static bool parse_seconds(void *config, char *text)
{
	struct traffic_config *c = config;

	return parse_number(text, 1, 3600, &c->seconds);
}

/* A ring's size is a power of two. */
static bool parse_ring(void *config, char *text)
{
	struct traffic_config *c = config;

	return parse_number(text, 2, 32768, &c->ring) && !(c->ring & (c->ring - 1));
}

static bool parse_mrg(void *config, char *text)
{
	struct traffic_config *c = config;

	return parse_switch(text, &c->mergeable);
}

static bool parse_duplex(void *config, char *text)
{
	struct traffic_config *c = config;

	return parse_switch(text, &c->duplex);
}

static bool parse_memory_file(void *config, char *text)
{
	struct traffic_config *c = config;

	for (unsigned i = 0; i < 2; i++) {
		const char *word = strsep(&text, ":");
		const size_t len = word ? strlen(word) : 0;

		if (!len || len >= sizeof(c->memory_file[i]))
			return false;
		memcpy(c->memory_file[i], word, len + 1);
	}
	return !text;
}

static const struct bench_key keys[] = {
	{"size", parse_sizes, "1 to 16 frame sizes of 60 to 9014, with colons between"},
	{"seconds", parse_seconds, "1 to 3600"},
	{"ring", parse_ring, "a power of two, 2 to 32768"},
	{"mrg", parse_mrg, "on or off"},
	{"duplex", parse_duplex, "on or off"},
	{"memory-file", parse_memory_file, "two paths, with a colon between"},
};

int bench_net_keys(const struct bench_args *a, struct traffic_config *c)
{
	return bench_read_keys(a, keys, sizeof(keys) / sizeof(keys[0]), c);
}
