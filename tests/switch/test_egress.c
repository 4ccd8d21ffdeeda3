/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames go into whatever buffers a receiver has, or are dropped and counted. */
#include "rig.h"

#include <string.h>
#include <sys/uio.h>

#define MERGEABLE VH_BIT(VIRTIO_NET_F_MRG_RXBUF)

static struct rig rig;
static struct card sender, receiver;

static int begin(void **state)
{
	rig_start(&rig, NULL);
	rig_add(&rig, "a=loop:a");
	rig_add(&rig, "b=loop:b,queues=2");
	card_open(&sender, "loop:a", 0);
	return 0;
}

static int end(void **state)
{
	card_close(&sender);
	if (receiver.client)
		card_close(&receiver);
	rig_stop(&rig);
	return 0;
}

static void send_frame(uint32_t len, uint32_t seq)
{
	static uint8_t frame[CARD_FRAME_MAX];

	frame_make(frame, EVERYBODY, 1, len, seq);
	card_send(&sender, NULL, frame, len);
	card_sync(&rig, &sender);
}

/* The frame arrived, whole, in that many buffers. */
static void arrived(uint32_t len, uint32_t seq, unsigned n_buffers)
{
	static uint8_t frame[CARD_FRAME_MAX];
	static struct card_frame f;

	frame_make(frame, EVERYBODY, 1, len, seq);
	assert_true(card_take(&receiver, &f));
	assert_int_equal(f.len, len);
	assert_memory_equal(f.data, frame, len);
	assert_int_equal(f.n_buffers, n_buffers);
	assert_int_equal(f.hdr.flags | f.hdr.gso_type, 0);
}

static uint64_t drops(void)
{
	return rig_stats(&rig, "b").drop_full;
}

static void a_port_without_a_card_gets_nothing_and_that_is_counted(void **state)
{
	send_frame(60, 1);
	assert_int_equal(drops(), 1);
}

static void a_port_without_buffers_gets_nothing_and_that_is_counted(void **state)
{
	card_open(&receiver, "loop:b", 0);
	for (unsigned i = 0; i < 100; i++)
		send_frame(60, i);
	card_hears_nothing(&receiver);
	assert_int_equal(drops(), 100);
	card_fill(&receiver, 1, 2048, 2048);
	send_frame(60, 101);
	arrived(60, 101, 1);
}

static void a_full_ring_takes_as_many_as_it_has_room_for(void **state)
{
	card_open(&receiver, "loop:b", 0);
	receiver.keep = true;
	card_fill(&receiver, 10, 2048, 2048);
	for (unsigned i = 0; i < 15; i++)
		send_frame(60, i);
	for (unsigned i = 0; i < 10; i++)
		arrived(60, i, 1);
	card_hears_nothing(&receiver);
	assert_int_equal(drops(), 5);
}

/* The header takes 12 bytes. */
static void without_mergeable_buffers_a_frame_fits_into_one_or_is_dropped(void **state)
{
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 4, 112, 112);
	send_frame(100, 1);
	arrived(100, 1, 1);
	send_frame(101, 2);
	card_hears_nothing(&receiver);
	assert_int_equal(drops(), 1);
	send_frame(99, 3);
	arrived(99, 3, 1);
}

static void one_byte_a_descriptor_is_as_good_as_one_piece(void **state)
{
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 2, 72, 1);
	for (uint32_t len = 14; len <= 60; len++) {
		send_frame(len, len);
		arrived(len, len, 1);
	}
	send_frame(61, 1);
	assert_int_equal(drops(), 1);
}

static void the_header_may_be_cut_anywhere(void **state)
{
	card_open(&receiver, "loop:b", 0);
	for (unsigned piece = 1; piece < 40; piece++) {
		card_close(&receiver);
		card_open(&receiver, "loop:b", 0);
		card_fill(&receiver, 1, 300, piece < 2 ? 2 : piece);
		send_frame(200 + piece, piece);
		arrived(200 + piece, piece, 1);
	}
}

static void a_frame_is_spread_over_mergeable_buffers(void **state)
{
	static const uint32_t len[] = {14, 60, 500, 501, 1012, 1013, 9000, 20000};

	card_open(&receiver, "loop:b", MERGEABLE);
	card_fill(&receiver, 64, 512, 512);
	for (unsigned i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		send_frame(len[i], i);
		arrived(len[i], i, (len[i] + 12 + 511) / 512);
	}
	assert_int_equal(drops(), 0);
}

static void of_a_frame_all_mergeable_buffers_are_used_or_none(void **state)
{
	card_open(&receiver, "loop:b", MERGEABLE);
	receiver.keep = true;
	card_fill(&receiver, 10, 512, 512);
	send_frame(4000, 1); /* 8 of them */
	send_frame(4000, 2);
	send_frame(900, 3); /* the other two */
	arrived(4000, 1, 8);
	arrived(900, 3, 2);
	card_hears_nothing(&receiver);
	assert_int_equal(drops(), 1);
}

static void buffers_that_hold_not_even_a_header_are_merged(void **state)
{
	for (unsigned len = 1; len <= 13; len++) {
		card_open(&receiver, "loop:b", MERGEABLE);
		card_fill(&receiver, 150, len, len);
		send_frame(40, len);
		if (52 <= 64 * len)
			arrived(40, len, (52 + len - 1) / len);
		card_hears_nothing(&receiver);
		card_close(&receiver);
	}
	assert_int_equal(drops(), 0);
}

static void too_small_buffers_are_left_alone_without_mergeable_ones(void **state)
{
	for (unsigned len = 1; len <= 12; len++) {
		card_open(&receiver, "loop:b", 0);
		card_fill(&receiver, 16, len, len);
		send_frame(14, len);
		card_hears_nothing(&receiver);
		assert_int_equal(vh_client_outstanding(receiver.rx), 16);
		card_close(&receiver);
	}
	assert_int_equal(drops(), 12);
}

/* More than a batch of buffers; the ring has them, and the switch will not. */
static void a_frame_that_takes_too_many_buffers_is_dropped(void **state)
{
	card_open(&receiver, "loop:b", MERGEABLE);
	card_fill(&receiver, 100, 10, 10);
	send_frame(700, 1);
	card_hears_nothing(&receiver);
	assert_int_equal(drops(), 1);
	send_frame(600, 2);
	arrived(600, 2, 62);
}

static void a_legacy_card_gets_ten_bytes_of_header(void **state)
{
	card_open_as(&receiver, "loop:b", rig_cell->ring_features, 1);
	card_fill(&receiver, 4, 70, 70);
	send_frame(60, 1);
	arrived(60, 1, 1);
	send_frame(61, 2);
	assert_int_equal(drops(), 1);
	card_close(&receiver);
	card_open_as(&receiver, "loop:b", rig_cell->ring_features | MERGEABLE, 1);
	card_fill(&receiver, 4, 72, 72);
	send_frame(61, 3);
	arrived(61, 3, 2);
}

static void chains_with_a_part_to_read_are_written_behind_it(void **state)
{
	uint8_t *va;
	uint32_t len;

	card_open(&receiver, "loop:b", 0);
	va = vh_client_alloc(receiver.client, 200, 8);
	memset(va, 0xee, 200);
	assert_int_equal(vh_client_add(receiver.rx,
				       (struct iovec[]){{va, 50}, {va + 50, 150}}, 1, 1,
				       va),
			 0);
	vh_client_kick(receiver.rx);
	send_frame(60, 1);
	assert_ptr_equal(vh_client_get(receiver.rx, &len), va);
	assert_int_equal(len, 72);
	assert_int_equal(va[49], 0xee);
	assert_int_equal(va[50], 0);
	assert_int_equal(va[50 + 72], 0xee);
}

/* With mergeable buffers such a chain is one of no length. */
static void chains_with_no_room_at_all_do_no_harm(void **state)
{
	uint8_t *va;
	uint32_t len;

	card_open(&receiver, "loop:b", MERGEABLE);
	va = vh_client_alloc(receiver.client, 300, 8);
	for (unsigned i = 0; i < 3; i++) {
		const struct iovec iov = {va + 100 * i, 100};

		assert_int_equal(vh_client_add(receiver.rx, &iov, i < 2, i == 2, va + i),
				 0);
	}
	vh_client_kick(receiver.rx);
	send_frame(60, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(vh_client_get(receiver.rx, &len), va + i);
		assert_int_equal(len, i == 2 ? 72 : 0);
	}
	assert_int_equal(va[200 + 10], 3); /* num_buffers */
}

/* ---- Which queue ---- */

static void a_disabled_pair_is_left_alone_and_an_enabled_one_used(void **state)
{
	card_open_pairs(&receiver, "loop:b", 0, 2);
	for (unsigned pair = 0; pair < 2; pair++) {
		card_use(&receiver, pair);
		card_fill(&receiver, 64, 2048, 2048);
	}
	for (unsigned off = 0; off < 2; off++) {
		assert_int_equal(vh_client_enable(receiver.client, 2 * off, false), 0);
		rig_settle(&rig);
		for (unsigned i = 0; i < 8; i++)
			send_frame(60, i);
		card_use(&receiver, off);
		card_hears_nothing(&receiver);
		card_use(&receiver, !off);
		for (unsigned i = 0; i < 8; i++)
			arrived(60, i, 1);
		assert_int_equal(vh_client_enable(receiver.client, 2 * off, true), 0);
	}
	assert_int_equal(drops(), 0);
}

static void with_all_pairs_disabled_frames_are_dropped_and_counted(void **state)
{
	card_open_pairs(&receiver, "loop:b", 0, 2);
	card_fill(&receiver, 8, 2048, 2048);
	for (unsigned pair = 0; pair < 2; pair++)
		assert_int_equal(vh_client_enable(receiver.client, 2 * pair, false), 0);
	rig_settle(&rig);
	send_frame(60, 1);
	assert_int_equal(drops(), 1);
	assert_int_equal(vh_client_enable(receiver.client, 0, true), 0);
	rig_settle(&rig);
	send_frame(60, 2);
	arrived(60, 2, 1);
}

/* A disabled transmit queue is emptied. */
static void what_a_disabled_queue_sends_goes_nowhere(void **state)
{
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 8, 2048, 2048);
	assert_int_equal(vh_client_enable(sender.client, 1, false), 0);
	for (unsigned i = 0; i < 200; i++)
		send_frame(60, i);
	card_hears_nothing(&receiver);
	assert_int_equal(vh_client_enable(sender.client, 1, true), 0);
	send_frame(60, 201);
	arrived(60, 201, 1);
}

static void a_card_that_stopped_gets_nothing_until_it_starts_again(void **state)
{
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 8, 2048, 2048);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(vh_client_stop(receiver.client), 0);
		send_frame(60, 2 * i);
		assert_int_equal(drops(), i + 1);
		assert_int_equal(vh_client_start(receiver.client, 2, CARD_RING), 0);
		card_use(&receiver, 0);
		rig_settle(&rig);
		send_frame(60, 2 * i + 1);
		arrived(60, 2 * i + 1, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_without_a_card_gets_nothing_and_that_is_counted),
		TEST(a_port_without_buffers_gets_nothing_and_that_is_counted),
		TEST(a_full_ring_takes_as_many_as_it_has_room_for),
		TEST(without_mergeable_buffers_a_frame_fits_into_one_or_is_dropped),
		TEST(one_byte_a_descriptor_is_as_good_as_one_piece),
		TEST(the_header_may_be_cut_anywhere),
		TEST(a_frame_is_spread_over_mergeable_buffers),
		TEST(of_a_frame_all_mergeable_buffers_are_used_or_none),
		TEST(buffers_that_hold_not_even_a_header_are_merged),
		TEST(too_small_buffers_are_left_alone_without_mergeable_ones),
		TEST(a_frame_that_takes_too_many_buffers_is_dropped),
		TEST(a_legacy_card_gets_ten_bytes_of_header),
		TEST(chains_with_a_part_to_read_are_written_behind_it),
		TEST(chains_with_no_room_at_all_do_no_harm),
		TEST(a_disabled_pair_is_left_alone_and_an_enabled_one_used),
		TEST(with_all_pairs_disabled_frames_are_dropped_and_counted),
		TEST(what_a_disabled_queue_sends_goes_nowhere),
		TEST(a_card_that_stopped_gets_nothing_until_it_starts_again),
	};

	return RIG_RUN_CELLS(tests);
}
