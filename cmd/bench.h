/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of vhost bench: KIND ADDRESS... [KEY=VALUE]... [--json]; exit codes. */
#ifndef CMD_BENCH_H
#define CMD_BENCH_H

#include <stdbool.h>
#include <stddef.h>

struct bench_args {
	const char *address[8];
	unsigned n_addresses;
	char *key[32], *value[32];
	unsigned n_keys;
	bool json;
};

/* A KEY=VALUE of one kind. */
struct bench_key {
	const char *key;
	bool (*parse)(void *config,
		      char *text); /* takes @text apart; false: it is wrong */
	const char *form;	   /* for the text of errors */
};

/* Read all of @a's into @config: 0 or an exit code (said). */
int bench_read_keys(const struct bench_args *a, const struct bench_key *keys, size_t n,
		    void *config);

struct traffic_config;
struct load_config;

int bench_net(const struct bench_args *a);
int bench_net_keys(const struct bench_args *a, struct traffic_config *c);

int bench_blk(const struct bench_args *a);
int bench_blk_keys(const struct bench_args *a, struct load_config *c);

#endif
