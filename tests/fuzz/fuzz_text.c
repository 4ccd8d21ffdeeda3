/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What people and scripts type: an address and a switch's port.  Input: a byte
 * that says which, then the text.
 */
#include <errno.h>
#include <stdbool.h>

#include "base/log.h"
#include "conn/address.h"
#include "fuzz.h"
#include "switch/switch.h"

static void be_quiet(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	(void)arg;
	(void)level;
	(void)tag;
	FUZZ_CHECK(!strchr(text, '\n'));
}

static bool are_same(char *const *a, char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static void options(char **parts)
{
	const char *server = NULL, *mode = NULL;
	bool on = false;
	const struct vh_option known[] = {
		{"server", "on|off", &server},
		{"mode", "OCTAL", &mode},
		{NULL, NULL, NULL},
	};
	const int err = vh_options_read("fuzz", "unix", parts + 1, known);

	FUZZ_CHECK(err == 0 || err == -EINVAL);
	FUZZ_CHECK(err || !parts[1] || server || mode);
	if (vh_option_on_off("fuzz", "server", server, &on) == 0)
		FUZZ_CHECK(!server || on == !strcmp(server, "on"));
}

/* Parts that are joined and split again are the same parts. */
static void address(const char *text)
{
	char **parts, **again, *joined;

	FUZZ_CHECK(vh_options_split(text, &parts) == 0);
	FUZZ_CHECK(parts[0]);
	FUZZ_CHECK(vh_options_join(parts, &joined) == 0);
	FUZZ_CHECK(vh_options_split(joined, &again) == 0);
	FUZZ_CHECK(are_same(parts, again));
	options(parts);
	vh_options_free(again);
	vh_options_free(parts);
	free(joined);
}

static void check_vlans(const struct vh_port_vlans *v)
{
	FUZZ_CHECK(v->native < VH_VLAN_IDS - 1);
	FUZZ_CHECK(!(v->allowed[0] & 1));
	FUZZ_CHECK(!(v->allowed[VH_VLAN_IDS / 64 - 1] >> 63));
}

static void port(const char *text)
{
	struct vh_port_params p;
	const int err = vh_port_params_parse(&p, text);

	FUZZ_CHECK(err == 0 || err == -EINVAL);
	FUZZ_CHECK((err == 0) == (p.address != NULL));
	if (err)
		return;
	FUZZ_CHECK(p.name[0] && strlen(p.name) < VH_PORT_NAME);
	FUZZ_CHECK(strncmp(text, p.name, strlen(p.name)) == 0);
	FUZZ_CHECK(strlen(p.address) < strlen(text) && strchr(p.address, ':'));
	FUZZ_CHECK(p.queues >= 1 && p.queues <= 128);
	FUZZ_CHECK(p.mtu == 0 || p.mtu >= 68);
	check_vlans(&p.vlans);
	vh_port_params_fini(&p);
	FUZZ_CHECK(!p.address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	const uint8_t which = fuzz_u8(&in);
	char *text = malloc(in.left + 1);

	FUZZ_CHECK(text);
	vh_log_set(VH_LOG_DEBUG, be_quiet, NULL);
	if (in.left)
		memcpy(text, in.at, in.left);
	text[in.left] = '\0';
	if (which & 1)
		port(text);
	else
		address(text);
	free(text);
	return 0;
}
