/* SPDX-License-Identifier: BSD-3-Clause */
/* See switch_control.h.  Thread: control. */
#include "switch_control.h"

#include <string.h>

#include "control.h"
#include "switch/switch.h"

static void add_counters(struct json_object *o, const struct vh_port_stats *s)
{
	const struct {
		const char *key;
		uint64_t n;
	} row[] = {
		{"rx_frames", s->rx_frames},	   {"rx_bytes", s->rx_bytes},
		{"tx_frames", s->tx_frames},	   {"tx_bytes", s->tx_bytes},
		{"flooded", s->flooded},	   {"drop_full", s->drop_full},
		{"drop_busy", s->drop_busy},	   {"drop_vlan", s->drop_vlan},
		{"drop_invalid", s->drop_invalid}, {"drop_flood", s->drop_flood},
		{"drop_offload", s->drop_offload}, {"software", s->software},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		json_object_object_add(o, row[i].key,
				       json_object_new_int64((int64_t)row[i].n));
}

static void add_queue(void *arg, unsigned pair, const struct vh_port_stats *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "pair", json_object_new_int((int)pair));
	add_counters(o, s);
	json_object_array_add(arg, o);
}

static const char *const kinds[] = {
	[VH_PORT_VHOST] = "vhost",
	[VH_PORT_TAP] = "tap",
	[VH_PORT_PACKET] = "packet",
};

static struct json_object *json_of_vlans(const struct vh_port_vlans *v)
{
	struct json_object *o = json_object_new_object(), *allowed;

	json_object_object_add(o, "native", json_object_new_int(v->native));
	if (!v->trunk)
		return o;
	allowed = json_object_new_array();
	for (int id = 1; id < VH_VLAN_IDS; id++)
		if (v->allowed[id / 64] >> (id % 64) & 1)
			json_object_array_add(allowed, json_object_new_int(id));
	json_object_object_add(o, "trunk", allowed);
	return o;
}

struct listing {
	struct vh_switch *sw;
	struct json_object *ports;
};

static void add_port(void *arg, const struct vh_port_info *info)
{
	struct listing *l = arg;
	struct json_object *o = json_object_new_object(),
			   *queues = json_object_new_array();

	json_object_object_add(o, "name", json_object_new_string(info->name));
	json_object_object_add(o, "address", json_object_new_string(info->address));
	json_object_object_add(o, "kind", json_object_new_string(kinds[info->kind]));
	json_object_object_add(o, "up", json_object_new_boolean(info->up));
	json_object_object_add(o, "macs", json_object_new_int((int)info->macs));
	json_object_object_add(o, "vlans", json_of_vlans(info->vlans));
	add_counters(o, &info->stats);
	vh_switch_each_queue(l->sw, info->name, add_queue, queues);
	json_object_object_add(o, "queues", queues);
	json_object_array_add(l->ports, o);
}

static void list_ports(struct vh_switch *sw, struct control_call *call)
{
	struct json_object *o = json_object_new_object();
	struct listing l = {.sw = sw, .ports = json_object_new_array()};

	vh_switch_each(sw, add_port, &l);
	json_object_object_add(o, "ports", l.ports);
	control_succeed(call, o);
}

static void add(struct vh_switch *sw, struct control_call *call, const char *text)
{
	struct vh_port_params p;
	int err = vh_port_params_parse(&p, text);

	if (err < 0) {
		control_fail(call,
			     "\"%s\" is not NAME=ADDRESS[,queues=N][,vlan=ID|,trunk=ID:ID"
			     ":...[,native=ID]]",
			     text);
		return;
	}
	err = vh_switch_add(sw, &p);
	if (err < 0)
		control_fail(call, "cannot add %s: %s", p.name, strerror(-err));
	else
		control_succeed(call, NULL);
	vh_port_params_fini(&p);
}

static void removed(void *arg)
{
	control_succeed(arg, NULL);
}

void switch_commands(void *arg, struct control_call *call, int argc, char **argv)
{
	struct vh_switch *sw = arg;
	const bool is_port = !strcmp(argv[0], "port") && argc > 1;

	if (!strcmp(argv[0], "stat") || (is_port && !strcmp(argv[1], "list")))
		list_ports(sw, call);
	else if (is_port && argc == 3 && !strcmp(argv[1], "add"))
		add(sw, call, argv[2]);
	else if (!is_port || argc != 3 || strcmp(argv[1], "del") != 0)
		control_fail(call,
			     "there is: stat; port list; port add NAME=ADDRESS[,...]; "
			     "port del NAME");
	else if (vh_switch_remove(sw, argv[2], removed, call) < 0)
		control_fail(call, "no port is called \"%s\"; see: port list", argv[2]);
}
