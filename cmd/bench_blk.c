/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost bench blk: requests to a disk, how many and how long each takes. */
#include <inttypes.h>
#include <stdio.h>
#include <json-c/json.h>

#include "bench.h"
#include "cli.h"
#include "load.h"

/* ---- Results ---- */

static double iops_of(const struct load_row *r)
{
	return (double)(r->reads + r->writes) / r->seconds;
}

static double mbps_of(const struct load_row *r, const struct load_config *c)
{
	return iops_of(r) * (double)c->block_size / 1e6;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void print_head(void)
{
	printf("%5s %10s %10s %9s %9s %9s %9s %9s %7s\n", "DEPTH", "IOPS", "MB/S",
	       "MEAN us", "P50 us", "P99 us", "P99.9 us", "MAX us", "ERRORS");
}

static void print_row(const struct load_row *r, const struct load_config *c)
{
	const struct histogram *h = &r->latency;

	printf("%5u %10.0f %10.1f %9.1f %9.1f %9.1f %9.1f %9.1f %7" PRIu64 "\n", r->depth,
	       iops_of(r), mbps_of(r, c), histogram_mean(h) / 1000,
	       us(histogram_at(h, 500)), us(histogram_at(h, 990)),
	       us(histogram_at(h, 999)), us(h->max), r->errors);
	if (r->wrong)
		printf("      %" PRIu64 " blocks were not as they were written\n",
		       r->wrong);
	fflush(stdout);
}

static void add_double(struct json_object *o, const char *key, double v)
{
	json_object_object_add(o, key, json_object_new_double(v));
}

static void add_count(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)n));
}

static struct json_object *json_of_row(const struct load_row *r,
				       const struct load_config *c)
{
	struct json_object *o = json_object_new_object();

	add_count(o, "depth", r->depth);
	add_double(o, "iops", iops_of(r));
	add_double(o, "mbps", mbps_of(r, c));
	add_double(o, "mean_us", histogram_mean(&r->latency) / 1000);
	add_double(o, "p50_us", us(histogram_at(&r->latency, 500)));
	add_double(o, "p99_us", us(histogram_at(&r->latency, 990)));
	add_double(o, "p999_us", us(histogram_at(&r->latency, 999)));
	add_double(o, "max_us", us(r->latency.max));
	add_count(o, "reads", r->reads);
	add_count(o, "writes", r->writes);
	add_count(o, "errors", r->errors);
	add_count(o, "wrong", r->wrong);
	return o;
}

static int measure_all(struct load *l, const struct load_config *c, bool json)
{
	struct json_object *rows = json_object_new_array(), *o = json_object_new_object();
	uint64_t bad = 0;
	int err = 0;

	if (!json)
		print_head();
	for (unsigned i = 0; i < c->n_depths && !err; i++) {
		struct load_row r;

		err = load_measure(l, c->depth[i], &r);
		bad += r.errors + r.wrong;
		json_object_array_add(rows, json_of_row(&r, c));
		if (!json)
			print_row(&r, c);
	}
	json_object_object_add(o, "schema", json_object_new_int(1));
	json_object_object_add(o, "rows", rows);
	if (json)
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return err || bad ? EXIT_PEER : EXIT_OK;
}

/* ---- All of it ---- */

int bench_blk(const struct bench_args *a)
{
	struct load_config c = {.depth = {1, 32, 128},
				.n_depths = 3,
				.queues = 1,
				.reads = 100,
				.random = true,
				.block_size = 4096,
				.seconds = 1,
				.poll = true};
	struct load *l;
	int code = EXIT_OK;

	if (a->n_addresses != 1)
		return usage_error(&verb_bench, "bench blk takes one address, not %u",
				   a->n_addresses);
	code = bench_blk_keys(a, &c);
	if (code == EXIT_OK)
		code = load_open(a->address[0], &c, &l);
	if (code != EXIT_OK)
		return code;
	code = measure_all(l, &c, a->json);
	load_close(l);
	return code;
}
