/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost stat: a live table of a running daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"

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

static uint64_t rate(struct json_object *o, struct json_object *old, const char *key)
{
	return old ? number(o, key) - number(old, key) : 0;
}

static void print_ports(struct json_object *ports, struct json_object *last)
{
	printf("%-12s %-6s %-4s %14s %14s %11s %11s %11s %5s\n", "PORT", "KIND", "UP",
	       "RX FRAMES", "TX FRAMES", "RX/s", "TX/s", "DROPS", "MACS");
	for (size_t i = 0; i < json_object_array_length(ports); i++) {
		struct json_object *p = json_object_array_get_idx(ports, i);
		struct json_object *old = before(last, text(p, "name"));

		printf("%-12s %-6s %-4s %14" PRIu64 " %14" PRIu64 " %11" PRIu64
		       " %11" PRIu64 " %11" PRIu64 " %5" PRIu64 "\n",
		       text(p, "name"), text(p, "kind"), number(p, "up") ? "yes" : "no",
		       number(p, "rx_frames"), number(p, "tx_frames"),
		       rate(p, old, "rx_frames"), rate(p, old, "tx_frames"), drops(p),
		       number(p, "macs"));
	}
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

static void print_devices(struct json_object *devices, struct json_object *last)
{
	printf("%-10s %-9s %12s %12s %14s %14s %10s %10s\n", "DEVICE", "CONNECTED",
	       "CHAINS", "CHAINS/s", "BYTES IN", "BYTES OUT", "KICKS", "CALLS");
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		struct json_object *old = before(last, text(d, "name"));
		uint64_t chains = sum_queues(d, "completed");

		printf("%-10s %-9s %12" PRIu64 " %12" PRIu64 " %14" PRIu64 " %14" PRIu64
		       " %10" PRIu64 " %10" PRIu64 "\n",
		       text(d, "name"), number(d, "connected") ? "yes" : "no", chains,
		       old ? chains - sum_queues(old, "completed") : 0,
		       sum_queues(d, "bytes_in"), sum_queues(d, "bytes_out"),
		       sum_queues(d, "kicks"), sum_queues(d, "calls"));
	}
}

static void print_table(struct json_object *now, struct json_object *last)
{
	struct json_object *list, *old = NULL;

	if (json_object_object_get_ex(now, "ports", &list)) {
		json_object_object_get_ex(last, "ports", &old);
		print_ports(list, old);
	} else if (json_object_object_get_ex(now, "devices", &list)) {
		json_object_object_get_ex(last, "devices", &old);
		print_devices(list, old);
	}
}

static void show(struct json_object *now, struct json_object *last, bool json)
{
	if (json) {
		puts(json_object_to_json_string_ext(
			now, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		if (isatty(STDOUT_FILENO) && last)
			fputs("\033[H\033[J", stdout);
		print_table(now, last);
	}
	fflush(stdout);
}

static int watch(int fd, bool once, bool json)
{
	struct json_object *last = NULL, *now;
	char *words[] = {(char *)"stat"};
	bool fine;

	for (;;) {
		now = control_ask(fd, 1, words);
		fine = now && control_ok(now);
		if (fine)
			show(now, last, json);
		json_object_put(last);
		last = now;
		if (!fine || once)
			break;
		sleep(1);
	}
	json_object_put(last);
	return fine ? EXIT_OK : EXIT_FAILED;
}

static int stat_verb(int argc, char **argv)
{
	const char *address = NULL;
	bool once = false, json = false;
	int fd, code;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--once"))
			once = true;
		else if (!strcmp(argv[i], "--json"))
			json = true;
		else if (argv[i][0] == '-')
			return usage_error(&verb_stat, "there is no option \"%s\"",
					   argv[i]);
		else if (address)
			return usage_error(&verb_stat, "\"%s\" is one CONTROL too many",
					   argv[i]);
		else
			address = argv[i];
	}
	if (!address)
		return usage_error(&verb_stat,
				   "CONTROL, the socket of a daemon, is missing");
	fd = control_connect(address);
	if (fd < 0)
		return exit_code_of_words(fd);
	code = watch(fd, once, json);
	close(fd);
	return code;
}

const struct verb verb_stat = {
	.name = "stat",
	.run = stat_verb,
	.summary = "show what a running daemon does, live",
	.usage = "vhost stat CONTROL [--once] [--json]\n\n"
		 "  CONTROL  unix:PATH, the control socket of the daemon\n",
};
