/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest may send: headers in any layout, and headers that lie. */
#include "rig.h"

#include <string.h>
#include <sys/uio.h>

#define CSUM	VH_BIT(VIRTIO_NET_F_CSUM)
#define OFFLOAD (CSUM | VH_BIT(VIRTIO_NET_F_HOST_TSO4))

static struct rig rig;
static struct card sender, receiver;

static int begin(void **state)
{
	rig_start(&rig, NULL);
	rig_add(&rig, "a=loop:a");
	rig_add(&rig, "b=loop:b");
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 64, 2048, 2048);
	card_open(&sender, "loop:a", OFFLOAD);
	return 0;
}

static int end(void **state)
{
	card_close(&sender);
	card_close(&receiver);
	rig_stop(&rig);
	return 0;
}

static uint64_t invalid(void)
{
	return rig_stats(&rig, "a").drop_invalid;
}

/* It arrives as it is, or it does not and is counted as invalid. */
static bool passes(const struct virtio_net_hdr_v1 *hdr, uint32_t len)
{
	static struct card_frame f;
	const uint64_t before = invalid();
	uint8_t frame[2000];
	bool passed;

	frame_make(frame, EVERYBODY, 1, len, 1);
	card_send(&sender, hdr, frame, len);
	card_sync(&rig, &sender);
	passed = card_take(&receiver, &f);
	if (passed && !hdr) {
		assert_int_equal(f.len, len);
		assert_memory_equal(f.data, frame, len);
	}
	assert_int_equal(invalid(), before + !passed);
	return passed;
}

static void header_and_frame_may_be_cut_anywhere(void **state)
{
	static struct card_frame f;
	uint8_t frame[200];

	for (unsigned piece = 1; piece < 90; piece++) {
		const uint32_t len = 14 + piece % 60;

		frame_make(frame, EVERYBODY, 1, len, piece);
		card_send_cut(&sender, NULL, frame, len, piece);
		card_sync(&rig, &sender);
		assert_true(card_take(&receiver, &f));
		assert_int_equal(f.len, len);
		assert_memory_equal(f.data, frame, len);
	}
	assert_int_equal(invalid(), 0);
}

static void a_legacy_header_may_be_cut_anywhere(void **state)
{
	static struct card_frame f;
	uint8_t frame[200];

	card_close(&sender);
	card_open_as(&sender, "loop:a", rig_cell->ring_features, 1);
	for (unsigned piece = 1; piece < 90; piece++) {
		frame_make(frame, EVERYBODY, 1, 60, piece);
		card_send_cut(&sender, NULL, frame, 60, piece);
		card_sync(&rig, &sender);
		assert_true(card_take(&receiver, &f));
		assert_int_equal(f.len, 60);
		assert_memory_equal(f.data, frame, 60);
	}
}

/* Shorter than a header and an Ethernet header, in one piece and in bytes. */
static void chains_too_short_for_a_frame_are_dropped_and_counted(void **state)
{
	const uint8_t zeroes[26] = {0};

	for (uint32_t len = 1; len < 26; len++) {
		card_send_raw(&sender, zeroes, len, len);
		card_send_raw(&sender, zeroes, len, 1);
	}
	card_sync(&rig, &sender);
	assert_int_equal(invalid(), 50);
	card_send_raw(&sender, zeroes, 26, 1);
	card_sync(&rig, &sender);
	assert_int_equal(invalid(), 50);
	assert_int_equal(card_drain(&receiver), 1);
}

static void frames_longer_than_any_are_dropped_and_counted(void **state)
{
	static uint8_t bytes[12 + 65553 + 1];

	memset(bytes + 12, 0xff, 12);
	card_send_raw(&sender, bytes, 12 + 65553, 70000);
	card_sync(&rig, &sender);
	assert_int_equal(invalid(), 0);
	assert_int_equal(rig_stats(&rig, "b").drop_full, 1); /* no buffer is so large */
	card_send_raw(&sender, bytes, 12 + 65554, 70000);
	card_sync(&rig, &sender);
	assert_int_equal(invalid(), 1);
	assert_true(passes(NULL, 60));
}

/* A chain that has only buffers to write to. */
static void a_chain_without_anything_to_read_is_dropped_and_counted(void **state)
{
	uint8_t *va = vh_client_alloc(sender.client, 100, 8);
	const struct iovec iov = {va, 100};
	uint32_t len;

	assert_int_equal(vh_client_add(sender.tx, &iov, 0, 1, va), 0);
	vh_client_kick(sender.tx);
	assert_int_equal(vh_client_wait(sender.tx, 20000), 1);
	assert_ptr_equal(vh_client_get(sender.tx, &len), va);
	assert_int_equal(len, 0);
	rig_settle(&rig);
	assert_int_equal(invalid(), 1);
	assert_true(passes(NULL, 60));
}

/* ---- Headers that lie ---- */

static void a_checksum_outside_of_the_frame_is_dropped_and_counted(void **state)
{
	static const uint16_t bad[][2] = {{59, 0},	   {58, 1},	 {34, 25},
					  {0, 16},	   {13, 0},	 {0xffff, 1},
					  {0xfffe, 0},	   {34, 0xffff}, {0xffff, 0xffff},
					  {0x8000, 0x8000}};
	struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		h.csum_start = bad[i][0];
		h.csum_offset = bad[i][1];
		assert_false(passes(&h, 60));
	}
	h.csum_start = 34;
	h.csum_offset = 24;
	assert_true(passes(&h, 60));
}

static void a_kind_of_segmentation_that_is_unknown_is_dropped(void **state)
{
	struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = 34,
				      .csum_offset = 16,
				      .gso_size = 100};

	for (unsigned type = 2; type < 256; type++) {
		h.gso_type = (uint8_t)type;
		assert_false(passes(&h, 60));
	}
}

/* The receiver takes no segments, and the frame is none that software could cut. */
static void what_cannot_be_cut_is_dropped_at_the_receiver(void **state)
{
	static const uint16_t gso_size[] = {1, 2, 100, 0xffff};
	uint8_t frame[1000];

	frame_make(frame, EVERYBODY, 1, 1000, 1);
	for (unsigned i = 0; i < 4; i++) {
		const struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						    .gso_size = gso_size[i],
						    .hdr_len = 0xffff,
						    .csum_start = 34,
						    .csum_offset = 16};

		card_send(&sender, &h, frame, 1000);
		card_sync(&rig, &sender);
		assert_int_equal(rig_stats(&rig, "b").drop_offload, i + 1);
	}
	card_hears_nothing(&receiver);
	assert_true(passes(NULL, 60));
}

/* Every bit of the header, and many of them together. */
static void no_header_at_all_harms_the_switch(void **state)
{
	static struct card_frame f;
	uint64_t random = 88172645463325252u;
	uint8_t frame[128];

	frame_make(frame, EVERYBODY, 1, 128, 1);
	for (unsigned i = 0; i < 1000; i++) {
		struct virtio_net_hdr_v1 h = {0};

		if (i < 80) {
			((uint8_t *)&h)[i / 8] = (uint8_t)(1 << i % 8);
		} else {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			memcpy(&h, &random, 8);
			h.flags |= i & 1;
			h.gso_type = (uint8_t)(random >> 40) % 8;
			h.csum_start %= 160;
			h.csum_offset %= 160;
		}
		card_send(&sender, &h, frame, 128);
		if (i % 16 == 0) {
			card_flush(&sender);
			card_drain(&receiver);
		}
	}
	card_sync(&rig, &sender);
	card_drain(&receiver);
	assert_true(passes(NULL, 60));
	assert_true(rig_stats(&rig, "a").drop_invalid > 0);
	assert_false(card_take(&receiver, &f));
}

/* A hint; a wrong one is forgotten, a right one passes. */
static void a_header_length_beyond_the_frame_is_forgotten(void **state)
{
	const uint64_t takes = VH_BIT(VIRTIO_NET_F_GUEST_CSUM) |
			       VH_BIT(VIRTIO_NET_F_GUEST_TSO4);
	struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				      .gso_size = 100,
				      .csum_start = 34,
				      .csum_offset = 16};
	static const uint16_t hint[][2] = {
		{0, 0}, {54, 54}, {500, 500}, {501, 0}, {0xffff, 0}};
	static struct card_frame f;
	uint8_t frame[500];

	card_close(&receiver);
	card_open(&receiver, "loop:b", takes);
	card_fill(&receiver, 8, 2048, 2048);
	frame_make(frame, EVERYBODY, 1, 500, 1);
	for (unsigned i = 0; i < 5; i++) {
		h.hdr_len = hint[i][0];
		card_send(&sender, &h, frame, 500);
		card_sync(&rig, &sender);
		assert_true(card_take(&receiver, &f));
		assert_int_equal(f.hdr.hdr_len, hint[i][1]);
		assert_int_equal(f.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		assert_int_equal(f.hdr.gso_size, 100);
		assert_int_equal(f.hdr.csum_start, 34);
		assert_int_equal(f.hdr.csum_offset, 16);
		assert_int_equal(f.hdr.num_buffers, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(header_and_frame_may_be_cut_anywhere),
		TEST(a_legacy_header_may_be_cut_anywhere),
		TEST(chains_too_short_for_a_frame_are_dropped_and_counted),
		TEST(frames_longer_than_any_are_dropped_and_counted),
		TEST(a_chain_without_anything_to_read_is_dropped_and_counted),
		TEST(a_checksum_outside_of_the_frame_is_dropped_and_counted),
		TEST(a_kind_of_segmentation_that_is_unknown_is_dropped),
		TEST(what_cannot_be_cut_is_dropped_at_the_receiver),
		TEST(no_header_at_all_harms_the_switch),
		TEST(a_header_length_beyond_the_frame_is_forgotten),
	};

	return RIG_RUN_CELLS(tests);
}
