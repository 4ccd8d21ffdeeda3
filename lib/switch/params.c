/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "NAME=ADDRESS,OPTION=VALUE..." as people type it.  Pure but for the log and
 * memory for the address.
 *
 * Options that are not the switch's own stay part of the address: they are the
 * connector's, which knows its own.
 */
#include "switch/switch.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define MAX_QUEUES 128
#define MIN_MTU	   68

struct parser {
	const char *tag; /* for the log: what was typed */
	struct vh_port_params *p;
	bool has_vlan, has_trunk, has_native;
};

/* A decimal number from @min to @max and nothing else, up to @end. */
static bool parse_number(const char *s, const char *end, unsigned long min,
			 unsigned long max, unsigned long *n)
{
	char *stop;

	if (s == end || !isdigit((unsigned char)*s))
		return false;
	*n = strtoul(s, &stop, 10);
	return stop == end && *n >= min && *n <= max;
}

static int bad(const struct parser *x, const char *key, const char *value,
	       const char *right)
{
	vh_log(x, VH_LOG_ERROR, "%s=%s: must be %s", key, value, right);
	return -EINVAL;
}

static int parse_queues(struct parser *x, const char *v)
{
	unsigned long n;

	if (!parse_number(v, v + strlen(v), 1, MAX_QUEUES, &n))
		return bad(x, "queues", v, "the number of queue pairs, 1 to 128");
	x->p->queues = (unsigned)n;
	return 0;
}

static int parse_mtu(struct parser *x, const char *v)
{
	unsigned long n;

	if (!parse_number(v, v + strlen(v), MIN_MTU, 65535, &n))
		return bad(x, "mtu", v, "a number of bytes, 68 to 65535");
	x->p->mtu = (uint16_t)n;
	return 0;
}

static int parse_native(struct parser *x, const char *key, const char *v, bool *seen)
{
	unsigned long id;

	if (!parse_number(v, v + strlen(v), 1, VH_VLAN_IDS - 2, &id))
		return bad(x, key, v, "a VLAN id, 1 to 4094");
	x->p->vlans.native = (uint16_t)id;
	*seen = true;
	return 0;
}

static int parse_vlan(struct parser *x, const char *v)
{
	return parse_native(x, "vlan", v, &x->has_vlan);
}

static int parse_native_vlan(struct parser *x, const char *v)
{
	return parse_native(x, "native", v, &x->has_native);
}

static int parse_trunk(struct parser *x, const char *v)
{
	for (const char *s = v;; s++) {
		const char *end = s + strcspn(s, ":");
		unsigned long id;

		if (!parse_number(s, end, 1, VH_VLAN_IDS - 2, &id))
			return bad(x, "trunk", v,
				   "VLAN ids, 1 to 4094, with colons between");
		x->p->vlans.allowed[id / 64] |= 1ULL << (id % 64);
		s = end;
		if (!*s)
			break;
	}
	x->p->vlans.trunk = x->has_trunk = true;
	return 0;
}

static const struct {
	const char *key;
	int (*parse)(struct parser *x, const char *value);
} options[] = {
	{"queues", parse_queues},      {"mtu", parse_mtu},
	{"vlan", parse_vlan},	       {"trunk", parse_trunk},
	{"native", parse_native_vlan},
};

/* Parse "KEY=VALUE" if it is ours: 1; 0: it is not; or -errno. */
static int parse_option(struct parser *x, const char *text)
{
	size_t key_len = strcspn(text, "=");

	for (size_t i = 0; text[key_len] && i < sizeof(options) / sizeof(options[0]);
	     i++) {
		int err;

		if (strlen(options[i].key) != key_len ||
		    strncmp(options[i].key, text, key_len) != 0)
			continue;
		err = options[i].parse(x, text + key_len + 1);
		return err < 0 ? err : 1;
	}
	return 0;
}

/* Where the part that begins at @s ends: a comma that is not one of a pair, or the end.
 */
static char *part_end(char *s)
{
	while (*s && (s[0] != ',' || s[1] == ','))
		s += s[0] == ',' ? 2 : 1;
	return s;
}

/* Take our options out of @address, which shrinks in place. */
static int take_options(struct parser *x, char *address)
{
	char *from = part_end(address), *to = from;

	while (*from) {
		char *part = from + 1, *end = part_end(part), was = *end;
		size_t len = (size_t)(end - from);
		int taken;

		*end = '\0';
		taken = parse_option(x, part);
		*end = was;
		if (taken < 0)
			return taken;
		if (!taken) {
			memmove(to, from, len);
			to += len;
		}
		from = end;
	}
	*to = '\0';
	return 0;
}

static int check_vlans(const struct parser *x)
{
	if (x->has_vlan && x->has_trunk) {
		vh_log(x, VH_LOG_ERROR,
		       "vlan= makes an access port and trunk= a trunk: "
		       "give one of them");
		return -EINVAL;
	}
	if (x->has_native && !x->has_trunk) {
		vh_log(x, VH_LOG_ERROR,
		       "native= goes with trunk=; for an access port say "
		       "vlan=");
		return -EINVAL;
	}
	return 0;
}

static bool is_uplink(const char *address)
{
	return !strncmp(address, "tap:", 4) || !strncmp(address, "packet:", 7);
}

static int check(const struct parser *x)
{
	const struct vh_port_params *p = x->p;

	if (!strchr(p->address, ':')) {
		vh_log(x, VH_LOG_ERROR,
		       "\"%s\" is no address: it must be SCHEME:REST, as in "
		       "unix:/run/port.sock or tap:tap0",
		       p->address);
		return -EINVAL;
	}
	if (is_uplink(p->address) && p->queues > 1) {
		vh_log(x, VH_LOG_ERROR, "an uplink has one queue pair, not %u",
		       p->queues);
		return -EINVAL;
	}
	return check_vlans(x);
}

static int parse_name(struct parser *x, const char *text, size_t len)
{
	if (len == 0 || len >= VH_PORT_NAME || text[len] != '=') {
		vh_log(x, VH_LOG_ERROR,
		       "must be NAME=ADDRESS, with a name of 1 to %d "
		       "characters",
		       VH_PORT_NAME - 1);
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++) {
		if (isgraph((unsigned char)text[i]) && text[i] != ',' && text[i] != '"')
			continue;
		vh_log(x, VH_LOG_ERROR,
		       "the name before \"=\" must be of letters, digits "
		       "and signs, without spaces, commas and quotes");
		return -EINVAL;
	}
	memcpy(x->p->name, text, len);
	return 0;
}

int vh_port_params_parse(struct vh_port_params *p, const char *text)
{
	struct parser x = {.tag = text, .p = p};
	size_t name_len = strcspn(text, "=");
	int err;

	*p = (struct vh_port_params){.queues = 1};
	err = parse_name(&x, text, name_len);
	if (err < 0)
		return err;
	p->address = strdup(text + name_len + 1);
	err = p->address ? take_options(&x, p->address) : -ENOMEM;
	if (!err)
		err = check(&x);
	if (err < 0)
		vh_port_params_fini(p);
	return err;
}

void vh_port_params_fini(struct vh_port_params *p)
{
	free(p->address);
	p->address = NULL;
}
