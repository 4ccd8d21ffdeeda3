/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost bench net: frames into one network device, and out of another. */
#include <inttypes.h>
#include <stdio.h>
#include <json-c/json.h>

#include "bench.h"
#include "cli.h"
#include "traffic.h"

/* ---- Results ---- */

static void print_row(const struct traffic_row *r)
{
	printf("%6u %9.3f %9.3f %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %9" PRIu64 "\n",
	       r->size, traffic_mpps(r), traffic_gbps(r), r->sent, r->received,
	       r->damaged, r->reordered);
	fflush(stdout);
}

static struct json_object *json_of_row(const struct traffic_row *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "size", json_object_new_int((int)r->size));
	json_object_object_add(o, "mpps", json_object_new_double(traffic_mpps(r)));
	json_object_object_add(o, "gbps", json_object_new_double(traffic_gbps(r)));
	json_object_object_add(o, "sent", json_object_new_int64((int64_t)r->sent));
	json_object_object_add(o, "received",
			       json_object_new_int64((int64_t)r->received));
	json_object_object_add(o, "damaged", json_object_new_int64((int64_t)r->damaged));
	json_object_object_add(o, "reordered",
			       json_object_new_int64((int64_t)r->reordered));
	return o;
}

static int measure_all(struct traffic *t, const struct traffic_config *c, bool json)
{
	struct json_object *rows = json_object_new_array(), *o = json_object_new_object();
	uint64_t received = 0, wrong = 0;
	int err = 0;

	if (!json)
		printf("%6s %9s %9s %12s %12s %8s %9s\n", "SIZE", "MPPS", "GBIT/S",
		       "SENT", "RECEIVED", "DAMAGED", "REORDERED");
	for (unsigned i = 0; i < c->n_sizes && !err; i++) {
		struct traffic_row r = {0};

		err = traffic_measure(t, c->size[i], c, &r);
		received += r.received;
		wrong += r.damaged + r.reordered;
		json_object_array_add(rows, json_of_row(&r));
		if (!json)
			print_row(&r);
	}
	json_object_object_add(o, "schema", json_object_new_int(1));
	json_object_object_add(o, "rows", rows);
	if (json)
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	if (err || wrong)
		return EXIT_PEER;
	return received ? EXIT_OK : EXIT_FAILED;
}

/* ---- All of it ---- */

int bench_net(const struct bench_args *a)
{
	struct traffic_config c = {.size = {64, 128, 256, 512, 1024, 1518},
				   .n_sizes = 6,
				   .seconds = 1,
				   .ring = 256,
				   .mergeable = true};
	struct traffic t;
	int err, code = EXIT_OK;

	if (a->n_addresses != 2)
		return usage_error(&verb_bench, "bench net takes two addresses, not %u",
				   a->n_addresses);
	code = bench_net_keys(a, &c);
	if (code != EXIT_OK)
		return code;
	err = traffic_open(&t, a->address, &c);
	code = err ? exit_code_of(err) : measure_all(&t, &c, a->json);
	traffic_close(&t);
	return code;
}
