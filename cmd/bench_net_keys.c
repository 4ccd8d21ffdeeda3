/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of vhost bench net: see bench.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench.h"
#include "cli.h"
#include "traffic.h"

static bool parse_sizes(struct traffic_config *c, char *text)
{
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

static bool parse_seconds(struct traffic_config *c, char *text)
{
	return parse_number(text, 1, 3600, &c->seconds);
}

/* A ring's size is a power of two. */
static bool parse_ring(struct traffic_config *c, char *text)
{
	return parse_number(text, 2, 32768, &c->ring) && !(c->ring & (c->ring - 1));
}

static bool parse_mrg(struct traffic_config *c, char *text)
{
	return parse_switch(text, &c->mergeable);
}

static bool parse_duplex(struct traffic_config *c, char *text)
{
	return parse_switch(text, &c->duplex);
}

static const struct {
	const char *key;
	bool (*parse)(struct traffic_config *c, char *text);
	const char *form; /* for the text of errors */
} keys[] = {
	{"size", parse_sizes, "1 to 16 frame sizes of 60 to 9014, with colons between"},
	{"seconds", parse_seconds, "1 to 3600"},
	{"ring", parse_ring, "a power of two, 2 to 32768"},
	{"mrg", parse_mrg, "on or off"},
	{"duplex", parse_duplex, "on or off"},
};

int bench_net_key(struct traffic_config *c, const char *key, const char *value)
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
		"%s=%s: there is size=, seconds=, ring=, mrg= and duplex=", key, value);
}
