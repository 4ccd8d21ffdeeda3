/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports as people type them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <vhost/log.h>

#include "switch/switch.h"

static char last_error[256];

static void remember(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	strncpy(last_error, text, sizeof(last_error) - 1);
}

static int listen_to_errors(void **state)
{
	vh_log_set(VH_LOG_ERROR, remember, NULL);
	return 0;
}

static bool allows(const struct vh_port_params *p, unsigned id)
{
	return p->vlans.allowed[id / 64] >> (id % 64) & 1;
}

static unsigned n_allowed(const struct vh_port_params *p)
{
	unsigned n = 0;

	for (unsigned id = 0; id < VH_VLAN_IDS; id++)
		n += allows(p, id);
	return n;
}

static void a_name_and_an_address_are_enough(void **state)
{
	struct vh_port_params p;

	assert_int_equal(vh_port_params_parse(&p, "vm1=unix:/run/vm1.sock"), 0);
	assert_string_equal(p.name, "vm1");
	assert_string_equal(p.address, "unix:/run/vm1.sock");
	assert_int_equal(p.queues, 1);
	assert_int_equal(p.mtu, 0);
	assert_false(p.vlans.trunk);
	assert_int_equal(p.vlans.native, 0);
	vh_port_params_fini(&p);
	assert_null(p.address);
}

static void an_access_port_has_one_vlan(void **state)
{
	struct vh_port_params p;

	assert_int_equal(vh_port_params_parse(&p, "a=unix:/x,queues=8,vlan=100,mtu=9000"),
			 0);
	assert_string_equal(p.address, "unix:/x");
	assert_int_equal(p.queues, 8);
	assert_int_equal(p.mtu, 9000);
	assert_false(p.vlans.trunk);
	assert_int_equal(p.vlans.native, 100);
	vh_port_params_fini(&p);
}

static void a_trunk_has_a_list_and_perhaps_a_native_vlan(void **state)
{
	struct vh_port_params p;

	assert_int_equal(vh_port_params_parse(&p, "t=unix:/x,trunk=1:64:4094,native=7"),
			 0);
	assert_true(p.vlans.trunk);
	assert_int_equal(p.vlans.native, 7);
	assert_true(allows(&p, 1) && allows(&p, 64) && allows(&p, 4094));
	assert_int_equal(n_allowed(&p), 3);
	vh_port_params_fini(&p);
	assert_int_equal(vh_port_params_parse(&p, "t=unix:/x,trunk=5"), 0);
	assert_int_equal(p.vlans.native, 0);
	assert_int_equal(n_allowed(&p), 1);
	vh_port_params_fini(&p);
}

static void other_options_stay_part_of_the_address(void **state)
{
	static const struct {
		const char *text, *address;
	} rows[] = {
		{"a=unix:/x,server=off", "unix:/x,server=off"},
		{"a=unix:/x,vlan=1,server=off,mode=0600", "unix:/x,server=off,mode=0600"},
		{"a=unix:/x,server=off,queues=2,mode=0600",
		 "unix:/x,server=off,mode=0600"},
		{"a=unix:/x,,y,queues=2", "unix:/x,,y"},
		{"a=unix:/x,,queues=2", "unix:/x,,queues=2"},
		{"a=unix:/x,,,queues=2", "unix:/x,,"},
		{"a=unix:/x=y,queues=2", "unix:/x=y"},
		{"a=unix:/x,", "unix:/x,"},
		{"a=unix:/x,vlanx=3", "unix:/x,vlanx=3"},
		{"a=unix:/x,queues", "unix:/x,queues"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vh_port_params p;

		assert_int_equal(vh_port_params_parse(&p, rows[i].text), 0);
		assert_string_equal(p.address, rows[i].address);
		vh_port_params_fini(&p);
	}
}

static void what_is_wrong_is_refused_and_named(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"", "NAME=ADDRESS"},
		{"=unix:/x", "NAME=ADDRESS"},
		{"a", "NAME=ADDRESS"},
		{"abcdefghijklmnopqrstuvwxyzabcdef=unix:/x", "31"},
		{"a b=unix:/x", "name"},
		{"a,b=unix:/x", "name"},
		{"a=/run/x", "no address"},
		{"a=", "no address"},
		{"a=unix:/x,queues=0", "queues=0"},
		{"a=unix:/x,queues=129", "1 to 128"},
		{"a=unix:/x,queues=2x", "queues=2x"},
		{"a=unix:/x,queues=", "queues="},
		{"a=unix:/x,queues=-1", "queues=-1"},
		{"a=unix:/x,queues= 1", "queues= 1"},
		{"a=unix:/x,queues=99999999999999999999", "queues="},
		{"a=unix:/x,vlan=0", "1 to 4094"},
		{"a=unix:/x,vlan=4095", "1 to 4094"},
		{"a=unix:/x,trunk=", "trunk="},
		{"a=unix:/x,trunk=1:", "trunk=1:"},
		{"a=unix:/x,trunk=1::2", "trunk=1::2"},
		{"a=unix:/x,trunk=1:4095", "1 to 4094"},
		{"a=unix:/x,trunk=1,native=0", "native=0"},
		{"a=unix:/x,vlan=1,trunk=2", "one of them"},
		{"a=unix:/x,native=2", "trunk="},
		{"a=unix:/x,vlan=1,native=2", "trunk="},
		{"a=unix:/x,mtu=67", "mtu=67"},
		{"a=unix:/x,mtu=65536", "mtu=65536"},
		{"a=tap:tap0,queues=2", "one queue pair"},
		{"a=packet:eth0,queues=2", "one queue pair"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vh_port_params p;

		memset(last_error, 0, sizeof(last_error));
		assert_int_equal(vh_port_params_parse(&p, rows[i].text), -EINVAL);
		assert_non_null(strstr(last_error, rows[i].says));
		assert_null(p.address);
	}
}

static void names_of_31_characters_are_fine(void **state)
{
	struct vh_port_params p;

	assert_int_equal(
		vh_port_params_parse(&p, "abcdefghijklmnopqrstuvwxyzabcde=loop:x"), 0);
	assert_int_equal(strlen(p.name), 31);
	vh_port_params_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_and_an_address_are_enough),
		cmocka_unit_test(an_access_port_has_one_vlan),
		cmocka_unit_test(a_trunk_has_a_list_and_perhaps_a_native_vlan),
		cmocka_unit_test(other_options_stay_part_of_the_address),
		cmocka_unit_test(what_is_wrong_is_refused_and_named),
		cmocka_unit_test(names_of_31_characters_are_fine),
	};

	return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
