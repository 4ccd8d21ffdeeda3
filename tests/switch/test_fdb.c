/* SPDX-License-Identifier: BSD-3-Clause */
/* The forwarding table, by one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "switch/fdb.h"

#define ENTRIES 1024
#define MACS	100

static const uint64_t seed[2] = {0x0123456789abcdef, 0xfedcba9876543211};

static int make(void **state)
{
	struct vh_fdb *f;
	int err = vh_fdb_create(ENTRIES, MACS, seed, &f);

	*state = f;
	return err;
}

static int unmake(void **state)
{
	vh_fdb_destroy(*state);
	return 0;
}

/* The @n-th address that a port can have, in VLAN 0. */
static uint64_t address(unsigned n)
{
	const uint8_t mac[6] = {
		2,	   0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
		(uint8_t)n};

	return vh_fdb_key(mac, 0);
}

static void learn(struct vh_fdb *f, uint64_t key, unsigned port)
{
	vh_fdb_learn(f, key, port, vh_fdb_generation(f, port));
}

/* The port, or -1. */
static int find(struct vh_fdb *f, uint64_t key)
{
	uint16_t port, generation;

	if (!vh_fdb_find(f, key, &port, &generation))
		return -1;
	assert_int_equal(generation, vh_fdb_generation(f, port));
	return port;
}

static void sweep(struct vh_fdb *f)
{
	unsigned rounds = 1;

	while (!vh_fdb_sweep(f))
		assert_in_range(++rounds, 1, ENTRIES);
}

static void pass_ticks(struct vh_fdb *f, unsigned n)
{
	while (n--)
		vh_fdb_tick(f);
	sweep(f);
}

static void sizes_that_are_no_power_of_two_or_too_small_are_refused(void **state)
{
	static const unsigned bad[] = {0, 1, 8, 15, 17, 1000};
	struct vh_fdb *f;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vh_fdb_create(bad[i], MACS, seed, &f), -EINVAL);
}

static void an_address_is_found_where_it_was_learned(void **state)
{
	struct vh_fdb *f = *state;

	assert_int_equal(find(f, address(1)), -1);
	learn(f, address(1), 7);
	assert_int_equal(find(f, address(1)), 7);
	assert_int_equal(find(f, address(2)), -1);
	assert_int_equal(vh_fdb_count(f, 7), 1);
}

static void the_same_address_in_another_vlan_is_another_one(void **state)
{
	static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};
	struct vh_fdb *f = *state;

	learn(f, vh_fdb_key(mac, 10), 1);
	learn(f, vh_fdb_key(mac, 20), 2);
	assert_int_equal(find(f, vh_fdb_key(mac, 10)), 1);
	assert_int_equal(find(f, vh_fdb_key(mac, 20)), 2);
	assert_int_equal(find(f, vh_fdb_key(mac, 0)), -1);
}

static void an_address_moves_at_once(void **state)
{
	struct vh_fdb *f = *state;

	learn(f, address(1), 7);
	learn(f, address(1), 8);
	assert_int_equal(find(f, address(1)), 8);
	learn(f, address(1), 7);
	assert_int_equal(find(f, address(1)), 7);
	assert_int_equal(vh_fdb_count(f, 7), 1);
	assert_int_equal(vh_fdb_count(f, 8), 0);
}

static void learning_again_changes_no_count(void **state)
{
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < 1000; i++) {
		learn(f, address(1), 7);
		vh_fdb_tick(f);
	}
	assert_int_equal(vh_fdb_count(f, 7), 1);
}

static void groups_and_no_address_are_not_learned(void **state)
{
	static const uint8_t not_learned[][6] = {
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x01, 0x00, 0x5e, 0, 0, 1},
		{0x03, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0},
	};
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < sizeof(not_learned) / sizeof(not_learned[0]); i++) {
		learn(f, vh_fdb_key(not_learned[i], 5), 3);
		assert_int_equal(find(f, vh_fdb_key(not_learned[i], 5)), -1);
	}
	assert_int_equal(vh_fdb_count(f, 3), 0);
}

static void a_port_has_no_more_addresses_than_it_may(void **state)
{
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < MACS + 50; i++)
		learn(f, address(i), 3);
	assert_int_equal(vh_fdb_count(f, 3), MACS);
	assert_int_equal(find(f, address(MACS - 1)), 3);
	assert_int_equal(find(f, address(MACS)), -1);
	learn(f, address(MACS), 4);
	assert_int_equal(find(f, address(MACS)), 4);
}

static void an_address_that_moves_to_a_full_port_is_forgotten(void **state)
{
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < MACS; i++)
		learn(f, address(i), 3);
	learn(f, address(5000), 4);
	learn(f, address(5000), 3);
	assert_int_equal(find(f, address(5000)), -1);
	assert_int_equal(vh_fdb_count(f, 3), MACS);
	assert_int_equal(vh_fdb_count(f, 4), 0);
}

static void an_address_that_is_silent_is_forgotten_after_its_time(void **state)
{
	struct vh_fdb *f = *state;

	learn(f, address(1), 1);
	learn(f, address(2), 1);
	pass_ticks(f, VH_FDB_AGE_TICKS);
	assert_int_equal(find(f, address(1)), 1);
	learn(f, address(2), 1);
	pass_ticks(f, 1);
	assert_int_equal(find(f, address(1)), -1);
	assert_int_equal(find(f, address(2)), 1);
	assert_int_equal(vh_fdb_count(f, 1), 1);
	pass_ticks(f, VH_FDB_AGE_TICKS);
	assert_int_equal(vh_fdb_count(f, 1), 0);
}

static void being_asked_for_keeps_no_address_alive(void **state)
{
	struct vh_fdb *f = *state;

	learn(f, address(1), 1);
	for (unsigned i = 0; i <= VH_FDB_AGE_TICKS; i++) {
		assert_int_equal(find(f, address(1)), 1);
		pass_ticks(f, 1);
	}
	assert_int_equal(find(f, address(1)), -1);
}

static void a_port_that_went_takes_its_addresses_along(void **state)
{
	struct vh_fdb *f = *state;

	learn(f, address(1), 1);
	learn(f, address(2), 2);
	vh_fdb_forget_port(f, 1);
	assert_int_equal(find(f, address(1)), -1);
	assert_int_equal(find(f, address(2)), 2);
	assert_int_equal(vh_fdb_count(f, 1), 0);
}

static void what_a_port_sends_after_it_went_is_not_learned(void **state)
{
	struct vh_fdb *f = *state;
	uint16_t was = vh_fdb_generation(f, 1);

	learn(f, address(1), 1);
	vh_fdb_forget_port(f, 1);
	vh_fdb_learn(f, address(1), 1, was);
	vh_fdb_learn(f, address(2), 1, was);
	assert_int_equal(find(f, address(1)), -1);
	assert_int_equal(find(f, address(2)), -1);
}

static void a_new_port_in_an_old_slot_starts_with_nothing(void **state)
{
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < MACS; i++)
		learn(f, address(i), 1);
	vh_fdb_forget_port(f, 1);
	for (unsigned i = 0; i < MACS; i++)
		learn(f, address(1000 + i), 1);
	assert_int_equal(vh_fdb_count(f, 1), MACS);
	learn(f, address(5), 2);
	assert_int_equal(find(f, address(5)), 2);
	sweep(f);
	assert_int_equal(vh_fdb_count(f, 1), MACS);
	assert_int_equal(find(f, address(1000)), 1);
}

static void void_entries_make_room(void **state)
{
	struct vh_fdb *f;

	assert_int_equal(vh_fdb_create(16, 16, seed, &f), 0);
	for (unsigned i = 0; i < 16; i++)
		learn(f, address(i), 1);
	assert_int_equal(vh_fdb_count(f, 1), 16);
	vh_fdb_forget_port(f, 1);
	for (unsigned i = 0; i < 16; i++) {
		learn(f, address(100 + i), 2);
		assert_int_equal(find(f, address(100 + i)), 2);
	}
	vh_fdb_destroy(f);
}

static void the_greediest_port_makes_room_for_the_others(void **state)
{
	struct vh_fdb *f;

	assert_int_equal(vh_fdb_create(16, 16, seed, &f), 0);
	for (unsigned i = 0; i < 16; i++)
		learn(f, address(i), 1);
	for (unsigned i = 0; i < 16; i++)
		learn(f, address(100 + i), 2);
	assert_int_equal(vh_fdb_count(f, 1), 8);
	assert_int_equal(vh_fdb_count(f, 2), 8);
	learn(f, address(200), 1);
	assert_int_equal(find(f, address(200)), -1);
	vh_fdb_destroy(f);
}

/* Half full is too much: then one window of some hundreds is full by chance. */
static void a_table_that_is_a_quarter_full_keeps_every_address(void **state)
{
	struct vh_fdb *f = *state;

	for (unsigned i = 0; i < ENTRIES / 4; i++)
		learn(f, address(i), i % VH_FDB_PORTS);
	for (unsigned i = 0; i < ENTRIES / 4; i++)
		assert_int_equal(find(f, address(i)), i % VH_FDB_PORTS);
}

static void the_last_port_is_as_good_as_the_first(void **state)
{
	struct vh_fdb *f = *state;

	learn(f, address(1), VH_FDB_PORTS - 1);
	learn(f, address(2), 0);
	assert_int_equal(find(f, address(1)), VH_FDB_PORTS - 1);
	assert_int_equal(find(f, address(2)), 0);
	vh_fdb_forget_port(f, VH_FDB_PORTS - 1);
	assert_int_equal(find(f, address(1)), -1);
	assert_int_equal(find(f, address(2)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes_that_are_no_power_of_two_or_too_small_are_refused),
		TEST(an_address_is_found_where_it_was_learned),
		TEST(the_same_address_in_another_vlan_is_another_one),
		TEST(an_address_moves_at_once),
		TEST(learning_again_changes_no_count),
		TEST(groups_and_no_address_are_not_learned),
		TEST(a_port_has_no_more_addresses_than_it_may),
		TEST(an_address_that_moves_to_a_full_port_is_forgotten),
		TEST(an_address_that_is_silent_is_forgotten_after_its_time),
		TEST(being_asked_for_keeps_no_address_alive),
		TEST(a_port_that_went_takes_its_addresses_along),
		TEST(what_a_port_sends_after_it_went_is_not_learned),
		TEST(a_new_port_in_an_old_slot_starts_with_nothing),
		TEST(void_entries_make_room),
		TEST(the_greediest_port_makes_room_for_the_others),
		TEST(a_table_that_is_a_quarter_full_keeps_every_address),
		TEST(the_last_port_is_as_good_as_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
