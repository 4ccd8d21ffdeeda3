/* SPDX-License-Identifier: BSD-3-Clause */
/* See stat_table.h. */
#include "stat_table.h"

#include <string.h>
#include <json-c/json.h>

#include "table.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- What is in an answer ---- */

static uint64_t number(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? (uint64_t)json_object_get_int64(v)
						     : 0;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static uint64_t drops(struct json_object *port)
{
	static const char *const keys[] = {"drop_full",	   "drop_busy",	 "drop_vlan",
					   "drop_invalid", "drop_flood", "drop_offload"};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		sum += number(port, keys[i]);
	return sum;
}

/* The same object in the last answer, for rates; NULL: it is new. */
static struct json_object *before(struct json_object *last, const char *name)
{
	for (size_t i = 0; last && i < json_object_array_length(last); i++) {
		struct json_object *o = json_object_array_get_idx(last, i);

		if (!strcmp(text(o, "name"), name))
			return o;
	}
	return NULL;
}

static uint64_t sum_queues(struct json_object *device, const char *key)
{
	struct json_object *queues;
	uint64_t sum = 0;

	if (!device || !json_object_object_get_ex(device, "queues", &queues))
		return 0;
	for (size_t i = 0; i < json_object_array_length(queues); i++)
		sum += number(json_object_array_get_idx(queues, i), key);
	return sum;
}

/* ---- Ports of a switch ---- */

/* Frames and bytes of one direction: so many, and so many a second. */
static void add_traffic(struct table *t, struct json_object *p, struct json_object *old,
			double seconds, const char *frames, const char *bytes)
{
	table_count(t, number(p, frames));
	table_rate(t, number(p, frames), number(old, frames), old ? seconds : 0);
	table_rate(t, number(p, bytes), number(old, bytes), old ? seconds : 0);
}

static void add_port(struct table *t, struct json_object *p, struct json_object *old,
		     double seconds)
{
	table_text(t, text(p, "name"));
	table_text(t, text(p, "kind"));
	table_text(t, number(p, "up") ? "yes" : "no");
	add_traffic(t, p, old, seconds, "rx_frames", "rx_bytes");
	add_traffic(t, p, old, seconds, "tx_frames", "tx_bytes");
	table_count(t, drops(p));
	table_count(t, number(p, "macs"));
}

static const char *const port_titles[] = {"PORT",   "KIND",   "UP",  "RX",
					  "RX/s",   "RX B/s", "TX",  "TX/s",
					  "TX B/s", "DROPS",  "MACS"};

/* ---- Devices ---- */

static void add_sum(struct table *t, struct json_object *d, struct json_object *old,
		    double seconds, const char *key)
{
	table_count(t, sum_queues(d, key));
	table_rate(t, sum_queues(d, key), sum_queues(old, key), old ? seconds : 0);
}

static void add_device(struct table *t, struct json_object *d, struct json_object *old,
		       double seconds)
{
	table_text(t, text(d, "name"));
	table_text(t, number(d, "connected") ? "yes" : "no");
	add_sum(t, d, old, seconds, "completed");
	add_sum(t, d, old, seconds, "bytes_in");
	add_sum(t, d, old, seconds, "bytes_out");
	table_count(t, sum_queues(d, "kicks"));
	table_count(t, sum_queues(d, "calls"));
	table_count(t, sum_queues(d, "rejected"));
}

static const char *const device_titles[] = {"DEVICE",	"UP",	  "CHAINS",    "CHAINS/s",
					    "BYTES IN", "IN B/s", "BYTES OUT", "OUT B/s",
					    "KICKS",	"CALLS",  "REJECTED"};

/* ---- Relays, of vhost vvu ---- */

static void add_relay(struct table *t, struct json_object *r, struct json_object *old,
		      double seconds)
{
	static const char *const counts[] = {"sessions", "to_driver", "to_frontend"};
	static const char *const rates[] = {"kicks", "doorbells", "vmm_messages"};

	table_text(t, text(r, "name"));
	table_text(t, number(r, "driver") ? "yes" : "no");
	table_text(t, number(r, "session") ? "yes" : "no");
	for (size_t i = 0; i < N(counts); i++)
		table_count(t, number(r, counts[i]));
	for (size_t i = 0; i < N(rates); i++) {
		table_count(t, number(r, rates[i]));
		table_rate(t, number(r, rates[i]), number(old, rates[i]),
			   old ? seconds : 0);
	}
	table_count(t, number(r, "faults"));
}

static const char *const relay_titles[] = {
	"RELAY",   "DRIVER", "UP",	"SESSIONS", "TO DRIVER", "TO FRONT", "KICKS",
	"KICKS/s", "BELLS",  "BELLS/s", "VMM",	    "VMM/s",	 "FAULTS"};

/* ---- All ---- */

static const struct {
	const char *key; /* of the list in an answer */
	const char *const *titles;
	unsigned n_columns, n_left;
	void (*add)(struct table *t, struct json_object *o, struct json_object *old,
		    double seconds);
} kinds[] = {
	{"ports", port_titles, N(port_titles), 3, add_port},
	{"devices", device_titles, N(device_titles), 2, add_device},
	{"relays", relay_titles, N(relay_titles), 3, add_relay},
};

void stat_table_print(struct json_object *now, struct json_object *last, double seconds,
		      bool titles)
{
	for (size_t k = 0; k < N(kinds); k++) {
		struct table t = {.titles = kinds[k].titles,
				  .n_columns = kinds[k].n_columns,
				  .n_left = kinds[k].n_left};
		struct json_object *list, *old = NULL;

		if (!json_object_object_get_ex(now, kinds[k].key, &list))
			continue;
		json_object_object_get_ex(last, kinds[k].key, &old);
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);

			kinds[k].add(&t, o, before(old, text(o, "name")), seconds);
		}
		table_print(&t, titles);
		table_fini(&t);
	}
}
