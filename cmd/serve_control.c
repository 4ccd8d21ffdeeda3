/* SPDX-License-Identifier: BSD-3-Clause */
/* What a control socket of vhost serve understands: stat, device add|del|list|resize. */
#include <errno.h>
#include <string.h>

#include <vhost/device.h>
#include <vhost/stats.h>

#include "control.h"
#include "serve.h"

static void add_count(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)n));
}

struct json_object *json_of_queue(const struct vh_queue_stats *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "started", json_object_new_boolean(s->started));
	json_object_object_add(o, "enabled", json_object_new_boolean(s->enabled));
	add_count(o, "chains", s->chains);
	add_count(o, "completed", s->completed);
	add_count(o, "bytes_out", s->bytes_out);
	add_count(o, "bytes_in", s->bytes_in);
	add_count(o, "kicks", s->kicks);
	add_count(o, "calls", s->calls);
	add_count(o, "rejected", s->rejected);
	return o;
}

static struct json_object *json_of_queues(const struct vh_device *d, unsigned n)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < n; i++) {
		struct vh_queue_stats s;

		vh_queue_read_stats(vh_device_queue(d, i), &s);
		json_object_array_add(list, json_of_queue(&s));
	}
	return list;
}

static void add_device(void *arg, struct vh_device *d)
{
	struct json_object *o = json_object_new_object();
	struct vh_device_stats s;

	vh_device_read_stats(d, &s);
	json_object_object_add(o, "name", json_object_new_string(s.tag));
	json_object_object_add(o, "address", json_object_new_string(s.address));
	json_object_object_add(o, "connected", json_object_new_boolean(s.connected));
	add_count(o, "connections", s.connections);
	add_count(o, "faults", s.faults);
	add_count(o, "regions", s.n_regions);
	json_object_object_add(o, "queues", json_of_queues(d, s.n_queues));
	json_object_array_add(arg, o);
}

static void list_devices(struct run *r, struct control_call *call)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	vh_server_each(r->server, add_device, list);
	json_object_object_add(o, "devices", list);
	control_succeed(call, o);
}

struct search {
	const char *name;
	struct vh_device *found;
};

static void look_at(void *arg, struct vh_device *d)
{
	struct search *s = arg;

	if (!strcmp(vh_device_tag(d), s->name))
		s->found = d;
}

static void removed(void *arg)
{
	control_succeed(arg, NULL);
}

static void remove_device(struct run *r, struct control_call *call, struct vh_device *d)
{
	vh_server_remove(r->server, d, removed, call);
}

/* To the size that the disk's file has now. */
static void resize_device(struct run *r, struct control_call *call, struct vh_device *d)
{
	int err = vh_server_refresh(r->server, d);

	if (err == -ENOTSUP)
		control_fail(call, "%s has no size that could change", vh_device_tag(d));
	else if (err < 0)
		control_fail(call, "cannot resize %s: %s", vh_device_tag(d),
			     strerror(-err));
	else
		control_succeed(call, NULL);
}

static void add_named(struct run *r, struct control_call *call, int argc, char **argv)
{
	if (serve_add_device(r, argc, argv) == EXIT_OK)
		control_succeed(call, NULL);
	else
		control_fail(call, "cannot add %s", argc ? argv[0] : "nothing");
}

static const struct {
	const char *word;
	void (*run)(struct run *r, struct control_call *call, struct vh_device *d);
} device_commands[] = {
	{"del", remove_device},
	{"resize", resize_device},
};

/* "device WORD NAME".  False: there is no such command. */
static bool run_on_device(struct run *r, struct control_call *call, const char *word,
			  const char *name)
{
	struct search s = {.name = name};

	for (size_t i = 0; i < sizeof(device_commands) / sizeof(device_commands[0]);
	     i++) {
		if (strcmp(device_commands[i].word, word) != 0)
			continue;
		vh_server_each(r->server, look_at, &s);
		if (s.found)
			device_commands[i].run(r, call, s.found);
		else
			control_fail(call, "no device is called \"%s\"; see: device list",
				     name);
		return true;
	}
	return false;
}

void control_serve_commands(void *arg, struct control_call *call, int argc, char **argv)
{
	struct run *r = arg;
	const bool is_device = !strcmp(argv[0], "device") && argc > 1;

	if (!strcmp(argv[0], "stat") || (is_device && !strcmp(argv[1], "list")))
		list_devices(r, call);
	else if (is_device && !strcmp(argv[1], "add"))
		add_named(r, call, argc - 2, argv + 2);
	else if (!is_device || argc != 3 || !run_on_device(r, call, argv[1], argv[2]))
		control_fail(call,
			     "there is: stat; device list; device del NAME; device "
			     "resize NAME; device add DEVICE ADDRESS [KEY=VALUE]...");
}
