/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Offloads pass through where both sides took them; where only the sender did, the
 * switch sums and cuts.  Judged by tests/dev/net/packet.c.
 */
#include "rig.h"

#include <string.h>

#include "dev/net/packet.h"

#define BIT(name) VH_BIT(VIRTIO_NET_F_##name)
#define HOST	  (BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_USO))
#define GUEST                                                                   \
	(BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) | \
	 BIT(GUEST_USO4) | BIT(GUEST_USO6))
#define MSS  1000
#define LONG 20500 /* bytes of payload: 21 segments */

static struct rig rig;
static struct card sender, receiver;
static struct packet packet;
static struct card_frame f;

static int begin(void **state)
{
	rig_start(&rig, NULL);
	rig_add(&rig, "a=loop:a");
	rig_add(&rig, "b=loop:b");
	rig_add(&rig, "c=loop:c,vlan=10");
	rig_add(&rig, "t=loop:t,trunk=10:20");
	card_open(&sender, "loop:a", HOST);
	return 0;
}

static int end(void **state)
{
	card_close(&sender);
	card_close(&receiver);
	rig_stop(&rig);
	return 0;
}

static void receive_with(uint64_t features)
{
	if (receiver.client)
		card_close(&receiver);
	card_open(&receiver, "loop:b", features);
	if (features & BIT(MRG_RXBUF))
		card_fill(&receiver, 64, 1024, 1024);
	else
		card_fill(&receiver, 40, 40000, 40000);
}

static void make(enum packet_kind kind, uint32_t payload)
{
	packet_make(&packet, &(struct packet_params){.kind = kind,
						     .payload = payload,
						     .tcp_flags = 0x19});
}

static void send_packet(uint16_t gso_size)
{
	const struct virtio_net_hdr_v1 h = packet_hdr(&packet, gso_size);

	card_send(&sender, &h, packet.bytes, packet.len);
	card_sync(&rig, &sender);
}

static void arrives_in_segments(struct card *c, unsigned tags, enum packet_sum sum)
{
	struct packet_judge j = {.p = &packet, .step = MSS, .tags = tags, .sum = sum};

	while (card_take(c, &f)) {
		packet_judge_segment(&j, f.data, f.len);
		assert_int_equal(f.hdr.gso_type | f.hdr.gso_size, 0);
		assert_int_equal(f.hdr.flags, sum == SUM_PARTIAL);
	}
	packet_judge_end(&j);
}

static void arrives_as_it_was(uint16_t gso_size)
{
	const struct virtio_net_hdr_v1 h = packet_hdr(&packet, gso_size);

	assert_true(card_take(&receiver, &f));
	assert_int_equal(f.len, packet.len);
	assert_memory_equal(f.data, packet.bytes, packet.len);
	assert_memory_equal(&f.hdr, &h, 10);
	card_hears_nothing(&receiver);
}

static void what_both_took_passes_untouched(void **state)
{
	receive_with(GUEST);
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 500);
		send_packet(0);
		arrives_as_it_was(0);
		make(kind, LONG);
		send_packet(MSS);
		arrives_as_it_was(MSS);
	}
	assert_int_equal(rig_stats(&rig, "b").software, 0);
}

static void what_both_took_passes_untouched_into_mergeable_buffers(void **state)
{
	receive_with(GUEST | BIT(MRG_RXBUF));
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, LONG);
		send_packet(MSS);
		arrives_as_it_was(MSS);
		assert_int_equal(f.n_buffers, (packet.len + 12 + 1023) / 1024);
	}
}

static void a_checksum_is_completed_for_who_did_not_take_it(void **state)
{
	receive_with(0);
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 500 + kind);
		send_packet(0);
		assert_true(card_take(&receiver, &f));
		assert_int_equal(f.hdr.flags, 0);
		packet_judge_whole(&packet, f.data, f.len, SUM_COMPLETE);
	}
	assert_int_equal(rig_stats(&rig, "b").software, PACKET_KINDS);
}

static void segments_are_cut_for_who_did_not_take_them(void **state)
{
	static const uint64_t takes[] = {0, BIT(GUEST_CSUM), BIT(MRG_RXBUF),
					 BIT(MRG_RXBUF) | BIT(GUEST_CSUM)};

	for (unsigned i = 0; i < 4; i++) {
		receive_with(takes[i]);
		for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
			make(kind, LONG);
			send_packet(MSS);
			arrives_in_segments(&receiver, 0,
					    takes[i] & BIT(GUEST_CSUM) ? SUM_PARTIAL
								       : SUM_COMPLETE);
		}
	}
}

/* One kind of GUEST_TSO or half of USO is no help with another. */
static void a_receiver_gets_whole_what_it_took_and_no_other(void **state)
{
	static const uint64_t takes[PACKET_KINDS] = {BIT(GUEST_TSO4), BIT(GUEST_TSO6),
						     BIT(GUEST_USO4), BIT(GUEST_USO6)};

	for (unsigned i = 0; i < PACKET_KINDS; i++) {
		receive_with(BIT(GUEST_CSUM) | takes[i]);
		for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
			make(kind, LONG);
			send_packet(MSS);
			if (kind == i && kind <= TCP6)
				arrives_as_it_was(MSS);
			else
				arrives_in_segments(&receiver, 0, SUM_PARTIAL);
		}
	}
}

static void one_receiver_gets_it_whole_and_the_other_in_segments(void **state)
{
	static struct card other;

	receive_with(GUEST);
	rig_add(&rig, "d=loop:d");
	card_open(&other, "loop:d", 0);
	card_fill(&other, 40, 2000, 2000);
	make(TCP4, LONG);
	packet.bytes[0] = 0xff; /* to a group */
	send_packet(MSS);
	arrives_as_it_was(MSS);
	arrives_in_segments(&other, 0, SUM_COMPLETE);
	card_close(&other);
}

/* Tagged at the trunk, untagged at the access port; the offsets move along. */
static void segments_are_right_with_a_tag_put_in_or_taken_off(void **state)
{
	static struct card trunk;

	card_close(&sender);
	card_open(&sender, "loop:c", HOST);
	card_open(&trunk, "loop:t", HOST);
	card_fill(&trunk, 40, 2000, 2000);
	receive_with(0);
	make(TCP6, LONG);
	send_packet(MSS);
	arrives_in_segments(&trunk, 1, SUM_COMPLETE);
	card_close(&sender);
	card_open(&sender, "loop:c", 0);
	card_fill(&sender, 40, 2000, 2000);
	packet_make(&packet,
		    &(struct packet_params){.kind = UDP4, .payload = LONG, .tags = 1});
	{
		const struct virtio_net_hdr_v1 h = packet_hdr(&packet, MSS);

		card_send(&trunk, &h, packet.bytes, packet.len);
		card_sync(&rig, &trunk);
	}
	arrives_in_segments(&sender, 0, SUM_COMPLETE);
	card_close(&trunk);
}

static void segments_for_which_there_is_no_room_are_dropped_and_counted(void **state)
{
	receive_with(BIT(MRG_RXBUF));
	card_close(&receiver);
	card_open(&receiver, "loop:b", 0);
	card_fill(&receiver, 5, 2000, 2000);
	receiver.keep = true;
	make(TCP4, LONG);
	send_packet(MSS);
	assert_int_equal(card_drain(&receiver), 5);
	assert_true(rig_stats(&rig, "b").drop_full > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_both_took_passes_untouched),
		TEST(what_both_took_passes_untouched_into_mergeable_buffers),
		TEST(a_checksum_is_completed_for_who_did_not_take_it),
		TEST(segments_are_cut_for_who_did_not_take_them),
		TEST(a_receiver_gets_whole_what_it_took_and_no_other),
		TEST(one_receiver_gets_it_whole_and_the_other_in_segments),
		TEST(segments_are_right_with_a_tag_put_in_or_taken_off),
		TEST(segments_for_which_there_is_no_room_are_dropped_and_counted),
	};

	return RIG_RUN_CELLS(tests);
}
