/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost probe: what does a back-end offer?  Connects as a front-end and asks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <json-c/json.h>
#include <linux/virtio_ids.h>

#include <vhost/vhost.h>

#include "cli.h"
#include "findings.h"

static const char *virtio_name(const struct findings *f, unsigned bit, char buf[16])
{
	const char *name = vh_feature_name(f->virtio_id, bit);

	snprintf(buf, 16, "bit %u", bit);
	return name ? name : buf;
}

static const char *protocol_name(const struct findings *f, unsigned bit, char buf[16])
{
	const char *name = vh_protocol_feature_name(bit);

	(void)f;
	snprintf(buf, 16, "bit %u", bit);
	return name ? name : buf;
}

typedef const char *name_fn(const struct findings *f, unsigned bit, char buf[16]);

/* ---- For people ---- */

static void print_bits(const struct findings *f, const char *title, uint64_t bits,
		       name_fn *name)
{
	char buf[16];

	printf("%-18s 0x%016" PRIx64 "\n", title, bits);
	for (unsigned bit = 0; bit < 64; bit++)
		if (bits >> bit & 1)
			printf("  %2u  %s\n", bit, name(f, bit, buf));
}

static void print_findings(const struct findings *f)
{
	printf("%-18s %s\n", "address", f->address);
	printf("%-18s %s\n", "device",
	       f->virtio_id == VIRTIO_ID_NET	 ? "net (by its features)"
	       : f->virtio_id == VIRTIO_ID_BLOCK ? "blk (by its features)"
						 : "unknown");
	print_bits(f, "virtio features", f->info.offered_features, virtio_name);
	print_bits(f, "protocol features", f->info.offered_protocol_features,
		   protocol_name);
	if (f->info.queue_num)
		printf("%-18s %u\n", "queues", f->info.queue_num);
	printf("%-18s %u\n", "memory slots", f->info.memory_slots);
	printf("%-18s %zu bytes\n", "config space", f->config_len);
	for (size_t i = 0; i < f->config_len; i++)
		printf("%s%02x%s", i % 16 ? " " : "  ", f->config[i],
		       i % 16 == 15 || i + 1 == f->config_len ? "\n" : "");
}

/* ---- For machines ---- */

static struct json_object *json_bits(const struct findings *f, uint64_t bits,
				     name_fn *name)
{
	struct json_object *list = json_object_new_array();
	char buf[16];

	for (unsigned bit = 0; bit < 64; bit++)
		if (bits >> bit & 1)
			json_object_array_add(list,
					      json_object_new_string(name(f, bit, buf)));
	return list;
}

static void print_json(const struct findings *f)
{
	struct json_object *o = json_object_new_object();
	char hex[2 * FINDINGS_MAX_CONFIG + 1] = "";

	for (size_t i = 0; i < f->config_len; i++)
		snprintf(&hex[2 * i], 3, "%02x", f->config[i]);
	json_object_object_add(o, "schema", json_object_new_int(1));
	json_object_object_add(o, "address", json_object_new_string(f->address));
	json_object_object_add(o, "virtio_id", json_object_new_int((int)f->virtio_id));
	json_object_object_add(o, "virtio_features",
			       json_bits(f, f->info.offered_features, virtio_name));
	json_object_object_add(
		o, "protocol_features",
		json_bits(f, f->info.offered_protocol_features, protocol_name));
	json_object_object_add(o, "queues", json_object_new_int((int)f->info.queue_num));
	json_object_object_add(o, "memory_slots",
			       json_object_new_int((int)f->info.memory_slots));
	json_object_object_add(o, "config", json_object_new_string(hex));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static int probe(int argc, char **argv)
{
	struct findings f = {0};
	bool json = false;
	int err;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (argv[i][0] == '-')
			return usage_error(&verb_probe, "there is no option \"%s\"",
					   argv[i]);
		else if (f.address)
			return usage_error(&verb_probe, "\"%s\" is one ADDRESS too many",
					   argv[i]);
		else
			f.address = argv[i];
	}
	if (!f.address)
		return usage_error(&verb_probe,
				   "ADDRESS, like unix:/run/vm.sock, is missing");
	err = findings_read(f.address, &f);
	if (err)
		return exit_code_of_words(err);
	if (json)
		print_json(&f);
	else
		print_findings(&f);
	return EXIT_OK;
}

const struct verb verb_probe = {
	.name = "probe",
	.run = probe,
	.summary = "show what a back-end offers",
	.usage = "vhost probe ADDRESS [--json]",
	.help = "  ADDRESS  unix:PATH[,server=on|off], or fd:N\n"
		"  --json   one object, for machines\n",
};
