/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames go where their address was seen, and nowhere else. */
#include "rig.h"

#include <string.h>

/* Three ports with a card each; card i is station i + 1. */
static struct rig rig;
static struct card card[3];

static void open_card(unsigned i, const char *address)
{
	card_open(&card[i], address, 0);
	card_fill(&card[i], 64, 2048, 2048);
}

static int begin_with(const struct vh_switch_params *p)
{
	rig_start(&rig, p);
	rig_add(&rig, "a=loop:a");
	rig_add(&rig, "b=loop:b");
	rig_add(&rig, "c=loop:c");
	open_card(0, "loop:a");
	open_card(1, "loop:b");
	open_card(2, "loop:c");
	return 0;
}

static int begin(void **state)
{
	return begin_with(NULL);
}

static int end(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		if (card[i].client)
			card_close(&card[i]);
	rig_stop(&rig);
	return 0;
}

static void say(unsigned i, unsigned to, unsigned from, uint32_t seq)
{
	card_say(&card[i], to, from, seq);
	card_sync(&rig, &card[i]);
}

/* Everybody has been heard. */
static void introduce(void)
{
	for (unsigned i = 0; i < 3; i++)
		say(i, EVERYBODY, i + 1, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(card_drain(&card[i]), 2);
}

static void an_unknown_address_is_flooded_to_all_but_the_sender(void **state)
{
	say(0, 99, 1, 5);
	card_hears_nothing(&card[0]);
	card_hears(&card[1], 99, 1, 5);
	card_hears(&card[2], 99, 1, 5);
	assert_int_equal(rig_stats(&rig, "a").flooded, 1);
}

static void a_known_address_gets_its_frames_alone(void **state)
{
	introduce();
	say(0, 3, 1, 5);
	say(2, 1, 3, 6);
	card_hears(&card[2], 3, 1, 5);
	card_hears(&card[0], 1, 3, 6);
	for (unsigned i = 0; i < 3; i++)
		card_hears_nothing(&card[i]);
	assert_int_equal(rig_stats(&rig, "a").flooded, 1);
}

static void groups_go_to_all_though_somebody_sent_from_one(void **state)
{
	uint8_t frame[FRAME_LEN];

	frame_make(frame, EVERYBODY, 1, FRAME_LEN, 1);
	memset(frame + 6, 0xff, 6);
	card_send(&card[0], NULL, frame, FRAME_LEN);
	card_sync(&rig, &card[0]);
	say(1, EVERYBODY, 2, 2);
	assert_int_equal(card_drain(&card[0]), 1);
	assert_int_equal(card_drain(&card[1]), 1);
	assert_int_equal(card_drain(&card[2]), 2);
	assert_int_equal(rig_macs(&rig, "a"), 0);
}

static void no_frame_comes_back_to_the_port_it_came_from(void **state)
{
	introduce();
	say(0, EVERYBODY, 10, 1); /* a second station behind the same port */
	card_drain(&card[1]);
	card_drain(&card[2]);
	say(0, 10, 1, 2);
	say(0, 1, 1, 3);
	for (unsigned i = 0; i < 3; i++)
		card_hears_nothing(&card[i]);
}

static void a_station_that_moves_is_found_where_it_was_heard_last(void **state)
{
	introduce();
	say(2, EVERYBODY, 2, 1);
	card_drain(&card[0]);
	card_drain(&card[1]);
	say(0, 2, 1, 2);
	card_hears(&card[2], 2, 1, 2);
	card_hears_nothing(&card[1]);
	say(1, EVERYBODY, 2, 3);
	card_drain(&card[2]);
	card_drain(&card[0]);
	say(0, 2, 1, 4);
	card_hears(&card[1], 2, 1, 4);
	card_hears_nothing(&card[2]);
}

static void a_port_that_was_removed_is_unknown_and_its_name_is_free(void **state)
{
	introduce();
	rig_remove(&rig, "b");
	card_close(&card[1]);
	say(0, 2, 1, 1);
	card_hears(&card[2], 2, 1, 1); /* flooded */
	rig_add(&rig, "b=loop:b2");
	open_card(1, "loop:b2");
	say(0, 2, 1, 2);
	card_hears(&card[1], 2, 1, 2);
	assert_int_equal(rig_macs(&rig, "b"), 0);
}

static void a_card_may_go_and_come_again(void **state)
{
	introduce();
	for (unsigned i = 0; i < 5; i++) {
		card_close(&card[1]);
		open_card(1, "loop:b");
		say(0, 2, 1, i);
		card_hears(&card[1], 2, 1, i);
	}
}

static void frames_keep_their_order_whoever_gets_them(void **state)
{
	introduce();
	for (uint32_t i = 0; i < 60; i++)
		card_say(&card[0], i % 3 == 2 ? EVERYBODY : 2 + i % 3, 1, i);
	card_sync(&rig, &card[0]);
	for (uint32_t i = 0; i < 60; i++) {
		if (i % 3 != 1)
			card_hears(&card[1], i % 3 ? EVERYBODY : 2, 1, i);
		if (i % 3 != 0)
			card_hears(&card[2], i % 3 == 1 ? 3 : EVERYBODY, 1, i);
	}
	card_hears_nothing(&card[1]);
	card_hears_nothing(&card[2]);
}

static void both_sides_count_frames_and_bytes(void **state)
{
	struct vh_port_stats a, b;

	introduce();
	for (unsigned i = 0; i < 100; i++) {
		say(0, 2, 1, i);
		card_hears(&card[1], 2, 1, i);
	}
	a = rig_stats(&rig, "a");
	b = rig_stats(&rig, "b");
	assert_int_equal(a.rx_frames, 101);
	assert_int_equal(a.rx_bytes, 101 * FRAME_LEN);
	assert_int_equal(b.tx_frames, 102);
	assert_int_equal(b.tx_bytes, 102 * FRAME_LEN);
	assert_int_equal(b.drop_full + b.drop_busy + a.drop_invalid, 0);
}

static void a_reverse_arp_tells_everybody_where_a_guest_is(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
	static struct card_frame f;

	assert_int_equal(vh_client_send_rarp(card[0].client, mac), 0);
	rig_settle(&rig);
	assert_true(card_take(&card[1], &f));
	assert_int_equal(f.len, 60);
	assert_memory_equal(f.data, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x07\x80\x35",
			    14);
	assert_memory_equal(f.data + 14, "\0\1\x8\0\6\4\0\3\x02\0\0\0\0\x07", 14);
	assert_int_equal(card_drain(&card[2]), 1);
	card_hears_nothing(&card[0]);
	say(1, 7, 2, 1);
	card_hears(&card[0], 7, 2, 1);
	card_hears_nothing(&card[2]);
}

/* ---- Limits ---- */

static void a_port_learns_no_more_addresses_than_it_may(void **state)
{
	say(0, EVERYBODY, 1, 0);
	for (unsigned i = 0; i < 20; i++) /* 02:00:00:00:01:i */
		say(0, EVERYBODY, 0x100 + i, 0);
	assert_int_equal(rig_macs(&rig, "a"), 8);
	card_drain(&card[1]);
	card_drain(&card[2]);
	say(1, 0x100 + 19, 2, 1); /* it is not known, and not forgotten either */
	card_hears(&card[0], 0x100 + 19, 2, 1);
	card_hears(&card[2], 0x100 + 19, 2, 1);
	say(1, 1, 2, 2);
	card_hears(&card[0], 1, 2, 2);
	card_hears_nothing(&card[2]);
	say(2, EVERYBODY, 3, 3); /* another port has room of its own */
	assert_int_equal(rig_macs(&rig, "c"), 1);
}

static int begin_with_few_macs(void **state)
{
	return begin_with(&(struct vh_switch_params){.macs_per_port = 8});
}

/* A copy a second: two at once, then nothing for a while. */
static void a_port_floods_no_more_than_it_may_and_others_go_on(void **state)
{
	struct vh_port_stats a;

	for (unsigned i = 0; i < 50; i++)
		say(0, EVERYBODY, 1, i);
	a = rig_stats(&rig, "a");
	assert_int_equal(a.flooded + a.drop_flood, 50);
	assert_in_range(a.flooded, 1, 25);
	assert_int_equal(card_drain(&card[1]), a.flooded);
	assert_int_equal(card_drain(&card[2]), a.flooded);
	say(1, 1, 2, 7);
	card_hears(&card[0], 1, 2, 7);
	say(1, EVERYBODY, 2, 8);
	card_hears(&card[2], EVERYBODY, 2, 8);
	say(0, 2, 1, 9); /* what it sends to one station is not limited */
	card_drain(&card[0]);
	assert_int_equal(card_drain(&card[1]), 1);
}

static int begin_with_little_flood(void **state)
{
	return begin_with(&(struct vh_switch_params){.flood_per_s = 1});
}

static bool a_has_no_address(void *arg)
{
	return rig_info(&rig, "a").macs == 0;
}

static void a_station_that_is_silent_is_flooded_to_again(void **state)
{
	introduce();
	assert_int_equal(rig_macs(&rig, "a"), 1);
	rig_until(&rig, a_has_no_address, NULL);
	say(1, 1, 2, 1);
	card_hears(&card[0], 1, 2, 1);
	card_hears(&card[2], 1, 2, 1);
}

static int begin_with_short_memory(void **state)
{
	return begin_with(&(struct vh_switch_params){.age_s = 1});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_address_is_flooded_to_all_but_the_sender),
		TEST(a_known_address_gets_its_frames_alone),
		TEST(groups_go_to_all_though_somebody_sent_from_one),
		TEST(no_frame_comes_back_to_the_port_it_came_from),
		TEST(a_station_that_moves_is_found_where_it_was_heard_last),
		TEST(a_port_that_was_removed_is_unknown_and_its_name_is_free),
		TEST(a_card_may_go_and_come_again),
		TEST(frames_keep_their_order_whoever_gets_them),
		TEST(both_sides_count_frames_and_bytes),
		TEST(a_reverse_arp_tells_everybody_where_a_guest_is),
		cmocka_unit_test_setup_teardown(
			a_port_learns_no_more_addresses_than_it_may, begin_with_few_macs,
			end),
		cmocka_unit_test_setup_teardown(
			a_port_floods_no_more_than_it_may_and_others_go_on,
			begin_with_little_flood, end),
	};
	/* It takes a second. */
	const struct CMUnitTest slow[] = {
		cmocka_unit_test_setup_teardown(
			a_station_that_is_silent_is_flooded_to_again,
			begin_with_short_memory, end),
	};

	return RIG_RUN_CELLS(tests) + cmocka_run_group_tests(slow, NULL, NULL);
}
