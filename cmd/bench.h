/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of vhost bench: KIND ADDRESS... [KEY=VALUE]... [--json]; exit codes. */
#ifndef CMD_BENCH_H
#define CMD_BENCH_H

#include <stdbool.h>

struct bench_args {
	const char *address[8];
	unsigned n_addresses;
	char *key[32], *value[32];
	unsigned n_keys;
	bool json;
};

struct traffic_config;
struct load_config;

int bench_net(const struct bench_args *a);
/* Read one of its keys into @c: 0 or an exit code (said). */
int bench_net_key(struct traffic_config *c, const char *key, const char *value);

int bench_blk(const struct bench_args *a);
int bench_blk_key(struct load_config *c, const char *key, const char *value);

#endif
