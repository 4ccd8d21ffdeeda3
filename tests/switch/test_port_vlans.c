/* SPDX-License-Identifier: BSD-3-Clause */
/* VLANs between ports: who gets a frame, and in which form. */
#include "rig.h"

#include <string.h>

#define UNTAGGED (-1)

/* a, b: access to 10; c: access to 20; t: trunk of 10 and 20, native 20; u, v: unaware */
enum { A, B, C, T, U, V, CARDS };

static struct rig rig;
static struct card card[CARDS];

static int begin(void **state)
{
	static const char *const port[CARDS] = {
		"a=loop:a,vlan=10", "b=loop:b,vlan=10",
		"c=loop:c,vlan=20", "t=loop:t,trunk=10:20,native=20",
		"u=loop:u",	    "v=loop:v"};
	static const char *const address[CARDS] = {"loop:a", "loop:b", "loop:c",
						   "loop:t", "loop:u", "loop:v"};

	rig_start(&rig, NULL);
	for (unsigned i = 0; i < CARDS; i++) {
		rig_add(&rig, port[i]);
		card_open(&card[i], address[i],
			  VH_BIT(VIRTIO_NET_F_CSUM) | VH_BIT(VIRTIO_NET_F_GUEST_CSUM));
		card_fill(&card[i], 16, 2048, 2048);
	}
	return 0;
}

static int end(void **state)
{
	for (unsigned i = 0; i < CARDS; i++)
		card_close(&card[i]);
	rig_stop(&rig);
	return 0;
}

/* A frame with a tag of that TCI; its length. */
static uint32_t make(uint8_t *frame, unsigned to, unsigned from, int tci)
{
	frame_make(frame, to, from, 60, 1);
	if (tci == UNTAGGED)
		return 60;
	memmove(frame + 16, frame + 12, 48);
	frame[12] = 0x81;
	frame[13] = 0;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
	return 64;
}

static void say(unsigned i, unsigned to, int tci)
{
	uint8_t frame[64];
	uint32_t len = make(frame, to, i + 1, tci);

	card_send(&card[i], NULL, frame, len);
	card_sync(&rig, &card[i]);
}

static void hears(unsigned i, unsigned to, unsigned from, int tci)
{
	static struct card_frame f;
	uint8_t frame[64];
	uint32_t len = make(frame, to, from + 1, tci);

	assert_true(card_take(&card[i], &f));
	assert_int_equal(f.len, len);
	assert_memory_equal(f.data, frame, len);
}

static void nobody_hears_more(void)
{
	for (unsigned i = 0; i < CARDS; i++)
		card_hears_nothing(&card[i]);
}

static void frames_of_an_access_port_stay_in_its_vlan(void **state)
{
	say(A, EVERYBODY, UNTAGGED);
	hears(B, EVERYBODY, A, UNTAGGED);
	hears(T, EVERYBODY, A, 10);
	say(C, EVERYBODY, UNTAGGED);
	hears(T, EVERYBODY, C, UNTAGGED); /* its native one */
	nobody_hears_more();
}

static void a_trunk_says_by_its_tag_who_is_meant(void **state)
{
	say(T, EVERYBODY, 10);
	hears(A, EVERYBODY, T, UNTAGGED);
	hears(B, EVERYBODY, T, UNTAGGED);
	say(T, EVERYBODY, UNTAGGED);
	hears(C, EVERYBODY, T, UNTAGGED);
	say(T, EVERYBODY, 20);
	hears(C, EVERYBODY, T, UNTAGGED);
	nobody_hears_more();
}

static void what_a_port_may_not_send_is_dropped_and_counted(void **state)
{
	say(A, EVERYBODY, 20);
	say(T, EVERYBODY, 30);
	nobody_hears_more();
	assert_int_equal(rig_stats(&rig, "a").drop_vlan, 1);
	assert_int_equal(rig_stats(&rig, "t").drop_vlan, 1);
	assert_int_equal(rig_macs(&rig, "a") + rig_macs(&rig, "t"), 0);
}

static void ports_without_vlans_are_among_themselves(void **state)
{
	say(U, EVERYBODY, UNTAGGED);
	hears(V, EVERYBODY, U, UNTAGGED);
	say(V, EVERYBODY, 10);
	hears(U, EVERYBODY, V, 10);
	nobody_hears_more();
}

static void a_station_is_known_in_its_vlan_only(void **state)
{
	say(A, EVERYBODY, UNTAGGED);
	hears(B, EVERYBODY, A, UNTAGGED);
	hears(T, EVERYBODY, A, 10);
	say(T, A + 1, 10);
	hears(A, A + 1, T, UNTAGGED);
	say(T, A + 1, 20); /* unknown there, so it is flooded there */
	hears(C, A + 1, T, UNTAGGED);
	say(C, A + 1, UNTAGGED);
	hears(T, A + 1, C, UNTAGGED);
	nobody_hears_more();
}

/* A tag within: it must not be what a trunk sees outermost at the other end. */
static void no_frame_gets_out_of_its_vlan_by_a_second_tag(void **state)
{
	uint8_t frame[68], inner[64];

	make(inner, EVERYBODY, T + 1, 10);
	memcpy(frame, inner, 12);
	memcpy(frame + 12, "\x81\0\0\x14", 4); /* 20, the native one */
	memcpy(frame + 16, inner + 12, 52);
	card_send(&card[T], NULL, frame, 68);
	card_send(&card[C], NULL, frame, 68);
	card_sync(&rig, &card[T]);
	card_sync(&rig, &card[C]);
	nobody_hears_more();
}

/* The offsets of the virtio-net header move with the tag. */
static void a_checksum_is_where_it_was_with_and_without_a_tag(void **state)
{
	static struct card_frame f;
	struct virtio_net_hdr_v1 h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 38, .csum_offset = 6};
	uint8_t frame[64];
	uint32_t len = make(frame, EVERYBODY, 1, 10);

	card_send(&card[T], &h, frame, len);
	card_sync(&rig, &card[T]);
	assert_true(card_take(&card[A], &f));
	assert_int_equal(f.hdr.csum_start, 34);
	assert_int_equal(f.hdr.csum_offset, 6);
	h.csum_start = 34;
	len = make(frame, EVERYBODY, 1, UNTAGGED);
	card_send(&card[B], &h, frame, len);
	card_sync(&rig, &card[B]);
	assert_true(card_take(&card[T], &f));
	assert_int_equal(f.hdr.csum_start, 38);
	assert_int_equal(f.hdr.csum_offset, 6);
}

/* Into the tag: what is meant by that? */
static void a_checksum_that_begins_in_the_tag_is_dropped(void **state)
{
	struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_offset = 6};
	uint8_t frame[64];
	uint32_t len = make(frame, EVERYBODY, 1, 10);

	for (h.csum_start = 14; h.csum_start < 18; h.csum_start++)
		card_send(&card[T], &h, frame, len);
	card_sync(&rig, &card[T]);
	assert_int_equal(rig_stats(&rig, "t").drop_invalid, 4);
	nobody_hears_more();
}

/* With the tag in front it would begin at byte 65536. */
static void a_checksum_that_a_tag_would_push_out_of_reach_is_dropped(void **state)
{
	static uint8_t frame[65550];
	struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = 65532};

	frame_make(frame, EVERYBODY, 1, sizeof(frame), 1);
	card_send(&card[A], &h, frame, sizeof(frame));
	card_sync(&rig, &card[A]);
	assert_int_equal(rig_stats(&rig, "a").drop_invalid, 1);
	h.csum_start = 65531;
	card_send(&card[A], &h, frame, sizeof(frame));
	card_sync(&rig, &card[A]);
	assert_int_equal(rig_stats(&rig, "a").drop_invalid, 1);
	nobody_hears_more();
}

static void a_frame_that_ends_in_its_tag_is_dropped(void **state)
{
	uint8_t frame[64];

	make(frame, EVERYBODY, 1, 10);
	for (uint32_t len = 14; len < 18; len++)
		card_send(&card[T], NULL, frame, len);
	card_sync(&rig, &card[T]);
	assert_int_equal(rig_stats(&rig, "t").drop_vlan, 4);
	card_send(&card[T], NULL, frame, 18);
	card_sync(&rig, &card[T]);
	assert_int_equal(card_drain(&card[A]), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_of_an_access_port_stay_in_its_vlan),
		TEST(a_trunk_says_by_its_tag_who_is_meant),
		TEST(what_a_port_may_not_send_is_dropped_and_counted),
		TEST(ports_without_vlans_are_among_themselves),
		TEST(a_station_is_known_in_its_vlan_only),
		TEST(no_frame_gets_out_of_its_vlan_by_a_second_tag),
		TEST(a_checksum_is_where_it_was_with_and_without_a_tag),
		TEST(a_checksum_that_begins_in_the_tag_is_dropped),
		TEST(a_checksum_that_a_tag_would_push_out_of_reach_is_dropped),
		TEST(a_frame_that_ends_in_its_tag_is_dropped),
	};

	return RIG_RUN_CELLS(tests);
}
