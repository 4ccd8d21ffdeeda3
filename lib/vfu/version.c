/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION's JSON.  A client's is checked for the types of what we know, and read for
 * what matters to us.  Ours is short: QEMU takes no reply longer than its request.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "vfu/wire.h"

#define MAX_JSON  4096
#define MAX_DEPTH 8

/* What a client may say, in "capabilities" or in an object there. */
struct key {
	const char *in; /* NULL: in "capabilities" itself */
	const char *name;
	enum json_type type;
	int64_t min, max, multiple; /* of numbers; multiple 0: any */
};

static const struct key keys[] = {
	{NULL, "max_msg_fds", json_type_int, 0, 1024, 0},
	{NULL, "max_data_xfer_size", json_type_int, 0, UINT32_MAX, 0},
	{NULL, "pgsizes", json_type_int, 0, INT64_MAX, 0},
	{NULL, "max_dma_maps", json_type_int, 0, UINT32_MAX, 0},
	{NULL, "write_multiple", json_type_boolean, 0, 0, 0},
	{NULL, "migration", json_type_object, 0, 0, 0},
	{NULL, "twin_socket", json_type_object, 0, 0, 0},
	{"migration", "pgsize", json_type_int, 1, INT64_MAX, 4096},
	{"migration", "max_bitmap_size", json_type_int, 0, INT64_MAX, 0},
	{"twin_socket", "supported", json_type_boolean, 0, 0, 0},
};

static bool number_is_good(const struct key *k, const struct json_object *value)
{
	const int64_t n = json_object_get_int64(value);

	return n >= k->min && n <= k->max && (!k->multiple || n % k->multiple == 0);
}

/* Also true when there is none. */
static bool key_is_good(const struct key *k, struct json_object *caps)
{
	struct json_object *value = caps;

	if (k->in && !json_object_object_get_ex(caps, k->in, &value))
		return true;
	if (!json_object_object_get_ex(value, k->name, &value))
		return true;
	return json_object_is_type(value, k->type) &&
	       (k->type != json_type_int || number_is_good(k, value));
}

static int caps_check(struct json_object *caps, const char **why)
{
	if (!json_object_is_type(caps, json_type_object)) {
		*why = "its capabilities are no JSON object";
		return -EINVAL;
	}
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!key_is_good(&keys[i], caps)) {
			*why = "a capability has a wrong type or value";
			return -EINVAL;
		}
	return 0;
}

/* NULL when it is not one whole JSON value. */
static struct json_object *parse(const char *json)
{
	const size_t len = strnlen(json, MAX_JSON + 1);
	struct json_tokener *t = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *o = NULL;

	if (!t)
		return NULL;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	if (len <= MAX_JSON)
		o = json_tokener_parse_ex(t, json, (int)len + 1);
	if (o && json_tokener_get_parse_end(t) != len) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

int vh_vfu_caps_read(const char *json, struct vh_vfu_caps *caps, const char **why)
{
	struct json_object *root, *o, *value;
	int err = 0;

	*caps = (struct vh_vfu_caps){.max_fds = 1, .max_data = VH_VFU_MAX_DATA};
	if (!json)
		return 0;
	root = parse(json);
	if (!json_object_is_type(root, json_type_object)) {
		json_object_put(root);
		*why = "it holds no JSON object";
		return -EINVAL;
	}
	if (json_object_object_get_ex(root, "capabilities", &o)) {
		err = caps_check(o, why);
		if (!err && json_object_object_get_ex(o, "max_msg_fds", &value))
			caps->max_fds = (uint32_t)json_object_get_int64(value);
		if (!err && json_object_object_get_ex(o, "max_data_xfer_size", &value))
			caps->max_data = (uint32_t)json_object_get_int64(value);
	}
	json_object_put(root);
	return err;
}

size_t vh_vfu_version_encode(uint8_t *payload, uint16_t minor)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":16,"
				   "\"max_data_xfer_size\":1048576}}";
	const struct vh_vfu_version v = {.major = VH_VFU_MAJOR, .minor = minor};

	static_assert(VH_VFU_MAX_DATA == 1048576, "the text above says so");
	memcpy(payload, &v, sizeof(v));
	memcpy(payload + sizeof(v), json, sizeof(json));
	return sizeof(v) + sizeof(json);
}
