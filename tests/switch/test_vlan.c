/* SPDX-License-Identifier: BSD-3-Clause */
/* What ports take, and how frames look when they leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "switch/vlan.h"

#define UNTAGGED (-1)

static const struct vh_port_vlans unaware;

static struct vh_port_vlans access_port(uint16_t id)
{
	return (struct vh_port_vlans){.native = id};
}

/* A trunk of VLANs 10, 20 and 4094. */
static struct vh_port_vlans trunk(uint16_t native)
{
	struct vh_port_vlans v = {.trunk = true, .native = native};

	v.allowed[0] = 1ULL << 10 | 1ULL << 20;
	v.allowed[4094 / 64] = 1ULL << (4094 % 64);
	return v;
}

/* From 1..6 to 7..12, of type 0x0800, with a tag of that TCI. */
static struct vh_eth frame(int tci)
{
	struct vh_eth e = {
		.raw = {7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 8, 0, 0x45, 0, 0, 0x54}};

	if (tci != UNTAGGED) {
		const uint8_t tag[] = {0x81, 0, (uint8_t)(tci >> 8), (uint8_t)tci, 8, 0};

		memcpy(e.raw + 12, tag, sizeof(tag));
	}
	return e;
}

/* The VLAN that a frame is in at a port, or -1: it does not get in. */
static int vlan_at(struct vh_port_vlans p, struct vh_eth e)
{
	return vh_vlan_classify(&p, &e, 60) ? e.vlan : -1;
}

static struct vh_eth classified(struct vh_port_vlans p, struct vh_eth e)
{
	assert_true(vh_vlan_classify(&p, &e, 60));
	return e;
}

/* ---- In ---- */

static void an_access_port_takes_untagged_frames_and_its_own_tag(void **state)
{
	assert_int_equal(vlan_at(access_port(10), frame(UNTAGGED)), 10);
	assert_int_equal(vlan_at(access_port(10), frame(10)), 10);
	assert_int_equal(vlan_at(access_port(10), frame(0)), 10);
	assert_int_equal(vlan_at(access_port(10), frame(0xe000)), 10);
	assert_int_equal(vlan_at(access_port(10), frame(0xf00a)), 10);
}

static void an_access_port_takes_no_other_tag(void **state)
{
	assert_int_equal(vlan_at(access_port(10), frame(11)), -1);
	assert_int_equal(vlan_at(access_port(10), frame(4095)), -1);
	assert_int_equal(vlan_at(access_port(10), frame(0x100a)), 10);
	assert_int_equal(vlan_at(access_port(10), frame(0x010a)), -1);
}

static void a_trunk_takes_what_it_allows(void **state)
{
	assert_int_equal(vlan_at(trunk(0), frame(10)), 10);
	assert_int_equal(vlan_at(trunk(0), frame(4094)), 4094);
	assert_int_equal(vlan_at(trunk(0), frame(11)), -1);
	assert_int_equal(vlan_at(trunk(0), frame(4095)), -1);
}

static void untagged_frames_on_a_trunk_belong_to_its_native_vlan_or_to_none(void **state)
{
	assert_int_equal(vlan_at(trunk(0), frame(UNTAGGED)), -1);
	assert_int_equal(vlan_at(trunk(0), frame(0)), -1);
	assert_int_equal(vlan_at(trunk(30), frame(UNTAGGED)), 30);
	assert_int_equal(vlan_at(trunk(30), frame(0x2000)), 30);
	assert_int_equal(vlan_at(trunk(30), frame(30)), 30);
}

static void an_unaware_port_takes_everything_into_domain_0(void **state)
{
	assert_int_equal(vlan_at(unaware, frame(UNTAGGED)), 0);
	assert_int_equal(vlan_at(unaware, frame(10)), 0);
	assert_int_equal(classified(unaware, frame(10)).len, VH_ETH_LEN);
}

static void a_frame_that_ends_in_its_tag_is_not_taken(void **state)
{
	struct vh_port_vlans p = trunk(0);

	for (unsigned len = 14; len < 18; len++) {
		struct vh_eth e = frame(10);

		assert_false(vh_vlan_classify(&p, &e, len));
	}
}

static void a_service_tag_is_payload(void **state)
{
	struct vh_eth e = frame(20);

	e.raw[12] = 0x88;
	e.raw[13] = 0xa8;
	assert_int_equal(vlan_at(access_port(10), e), 10);
	assert_int_equal(classified(access_port(10), e).len, VH_ETH_LEN);
	assert_int_equal(vlan_at(trunk(0), e), -1);
}

/* ---- Out ---- */

static enum vh_vlan_form form(struct vh_port_vlans out, struct vh_port_vlans in, int tci)
{
	struct vh_eth e = classified(in, frame(tci));

	return vh_vlan_form(&out, &e);
}

static void ports_send_their_own_vlans_only(void **state)
{
	assert_int_equal(form(access_port(10), trunk(0), 10), VH_VLAN_UNTAGGED);
	assert_int_equal(form(access_port(11), trunk(0), 10), VH_VLAN_NOT_HERE);
	assert_int_equal(form(trunk(0), access_port(10), UNTAGGED), VH_VLAN_TAGGED);
	assert_int_equal(form(trunk(0), access_port(11), UNTAGGED), VH_VLAN_NOT_HERE);
	assert_int_equal(form(trunk(30), access_port(30), UNTAGGED), VH_VLAN_UNTAGGED);
	assert_int_equal(form(trunk(10), access_port(10), UNTAGGED), VH_VLAN_UNTAGGED);
}

static void unaware_ports_keep_to_themselves(void **state)
{
	assert_int_equal(form(unaware, unaware, 10), VH_VLAN_AS_IS);
	assert_int_equal(form(unaware, access_port(10), UNTAGGED), VH_VLAN_NOT_HERE);
	assert_int_equal(form(unaware, trunk(0), 10), VH_VLAN_NOT_HERE);
	assert_int_equal(form(access_port(10), unaware, UNTAGGED), VH_VLAN_NOT_HERE);
	assert_int_equal(form(access_port(10), unaware, 10), VH_VLAN_NOT_HERE);
	assert_int_equal(form(trunk(0), unaware, 10), VH_VLAN_NOT_HERE);
	assert_int_equal(form(trunk(30), unaware, UNTAGGED), VH_VLAN_NOT_HERE);
}

static void a_tag_is_not_taken_off_in_front_of_another(void **state)
{
	struct vh_port_vlans in = trunk(0), native = trunk(10), same = trunk(0),
			     guest = access_port(10);
	struct vh_eth e = frame(10);

	memcpy(e.raw + 16, "\x81\x00", 2);
	assert_true(vh_vlan_classify(&in, &e, 60));
	assert_int_equal(vh_vlan_form(&native, &e), VH_VLAN_NOT_HERE);
	assert_int_equal(vh_vlan_form(&guest, &e), VH_VLAN_NOT_HERE);
	assert_int_equal(vh_vlan_form(&same, &e), VH_VLAN_TAGGED);
}

static void a_tag_is_put_in_with_the_priority_that_the_frame_had(void **state)
{
	static const uint8_t with_tag[] = {7, 8, 9, 10,	  11, 12,   1,	  2, 3,
					   4, 5, 6, 0x81, 0,  0xa0, 0x0a, 8, 0};
	struct vh_eth e = classified(access_port(10), frame(0xa000));
	uint8_t out[VH_ETH_MAX];

	assert_int_equal(vh_vlan_header(&e, VH_VLAN_TAGGED, out), 18);
	assert_memory_equal(out, with_tag, sizeof(with_tag));
	e = classified(access_port(10), frame(UNTAGGED));
	assert_int_equal(vh_vlan_header(&e, VH_VLAN_TAGGED, out), 18);
	assert_int_equal(out[14], 0);
	assert_int_equal(out[15], 10);
}

static void a_tag_is_taken_off(void **state)
{
	const struct vh_eth plain = frame(UNTAGGED);
	struct vh_eth e = classified(trunk(0), frame(0xe00a));
	uint8_t out[VH_ETH_MAX];

	assert_int_equal(vh_vlan_header(&e, VH_VLAN_UNTAGGED, out), 14);
	assert_memory_equal(out, plain.raw, 14);
}

static void a_tag_stays_as_it_is_between_trunks(void **state)
{
	const struct vh_eth tagged = frame(0xfffe);
	struct vh_eth e = classified(trunk(0), tagged);
	uint8_t out[VH_ETH_MAX];

	assert_int_equal(e.vlan, 4094);
	assert_int_equal(vh_vlan_header(&e, VH_VLAN_TAGGED, out), 18);
	assert_memory_equal(out, tagged.raw, 18);
}

static void domain_0_passes_headers_untouched(void **state)
{
	const struct vh_eth tagged = frame(10);
	struct vh_eth e = classified(unaware, tagged);
	uint8_t out[VH_ETH_MAX];

	assert_int_equal(vh_vlan_header(&e, VH_VLAN_AS_IS, out), 14);
	assert_memory_equal(out, tagged.raw, 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_port_takes_untagged_frames_and_its_own_tag),
		cmocka_unit_test(an_access_port_takes_no_other_tag),
		cmocka_unit_test(a_trunk_takes_what_it_allows),
		cmocka_unit_test(
			untagged_frames_on_a_trunk_belong_to_its_native_vlan_or_to_none),
		cmocka_unit_test(an_unaware_port_takes_everything_into_domain_0),
		cmocka_unit_test(a_frame_that_ends_in_its_tag_is_not_taken),
		cmocka_unit_test(a_service_tag_is_payload),
		cmocka_unit_test(ports_send_their_own_vlans_only),
		cmocka_unit_test(unaware_ports_keep_to_themselves),
		cmocka_unit_test(a_tag_is_not_taken_off_in_front_of_another),
		cmocka_unit_test(a_tag_is_put_in_with_the_priority_that_the_frame_had),
		cmocka_unit_test(a_tag_is_taken_off),
		cmocka_unit_test(a_tag_stays_as_it_is_between_trunks),
		cmocka_unit_test(domain_0_passes_headers_untouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
