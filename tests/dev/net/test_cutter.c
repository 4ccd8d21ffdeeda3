/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments and checksums in software, judged by packet.c. */
#include "cut_frame.h"

#include <errno.h>

#include "spec/vhost_user.h"

#define GUEST_CSUM VH_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define ACK	   0x10
#define PSH	   0x08
#define FIN	   0x01
#define ECE	   0x40
#define CWR	   0x80

static struct packet packet;
static struct vh_cutter cutter;

/* The packet in pieces of @piece bytes behind a header's worth of others. */
static void begin(struct cut_frame *c, uint16_t gso_size, uint32_t piece)
{
	cut_frame_make(c, packet.bytes, packet.len, 12, piece);
	c->frame.hdr = packet_hdr(&packet, gso_size);
}

/* The next piece as one frame; 0: there is none. */
static uint32_t next(const struct cut_frame *c, uint8_t *out, struct vh_piece *p)
{
	if (!vh_cutter_next(&cutter, p))
		return 0;
	memcpy(out, p->head, p->head_len);
	if (p->len)
		vh_frame_read(&c->frame, p->off, out + p->head_len, p->len);
	return p->head_len + p->len;
}

static void judge_header(const struct vh_piece *p, enum packet_sum sum)
{
	assert_int_equal(p->hdr.gso_type | p->hdr.gso_size, 0);
	if (sum == SUM_COMPLETE) {
		assert_int_equal(p->hdr.flags, 0);
		return;
	}
	assert_int_equal(p->hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(p->hdr.csum_start, packet.l4);
	assert_int_equal(p->hdr.csum_offset, packet_hdr(&packet, 0).csum_offset);
}

static void segment_and_judge(uint16_t gso_size, uint32_t piece, enum packet_sum sum)
{
	static uint8_t out[PACKET_MAX];
	struct packet_judge j = {
		.p = &packet, .step = gso_size, .tags = packet.is.tags, .sum = sum};
	struct vh_piece p;
	struct cut_frame c;
	uint32_t len;

	begin(&c, gso_size, piece);
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_SEGMENT,
					 sum == SUM_PARTIAL ? GUEST_CSUM : 0),
			 0);
	while ((len = next(&c, out, &p))) {
		judge_header(&p, sum);
		packet_judge_segment(&j, out, len);
	}
	packet_judge_end(&j);
	cut_frame_free(&c);
}

static void sum_and_judge(uint32_t piece)
{
	static uint8_t out[PACKET_MAX];
	struct vh_piece p;
	struct cut_frame c;
	uint32_t len;

	begin(&c, 0, piece);
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_CHECKSUM, 0), 0);
	len = next(&c, out, &p);
	judge_header(&p, SUM_COMPLETE);
	packet_judge_whole(&packet, out, len, SUM_COMPLETE);
	assert_int_equal(next(&c, out, &p), 0);
	cut_frame_free(&c);
}

static void make(enum packet_kind kind, uint32_t payload)
{
	packet_make(&packet, &(struct packet_params){.kind = kind,
						     .payload = payload,
						     .tcp_flags = ACK | PSH | FIN});
}

/* ---- Checksums ---- */

static void a_checksum_is_completed_whatever_the_length(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		for (uint32_t payload = 0; payload < 200; payload++) {
			make(kind, payload);
			sum_and_judge(4096);
		}
	}
}

static void a_checksum_is_completed_however_the_frame_is_cut(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 101);
		for (uint32_t piece = 1; piece < 120; piece++)
			sum_and_judge(piece);
	}
}

static void a_sum_of_zero_is_sent_as_all_ones(void **state)
{
	make(UDP4, 2);
	for (unsigned i = 0; i < 65536; i++) {
		packet.bytes[packet.headers] = (uint8_t)(i >> 8);
		packet.bytes[packet.headers + 1] = (uint8_t)i;
		sum_and_judge(4096);
	}
}

static void a_checksum_far_behind_is_refused_in_software(void **state)
{
	struct cut_frame c;

	make(UDP4, 1000);
	begin(&c, 0, 4096);
	c.frame.hdr.csum_start = 200;
	c.frame.hdr.csum_offset = VH_HEADERS_MAX - 202;
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_CHECKSUM, 0), 0);
	c.frame.hdr.csum_offset++;
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_CHECKSUM, 0),
			 -EINVAL);
	cut_frame_free(&c);
}

/* ---- Segments ---- */

static void segments_are_right_for_every_kind_and_size(void **state)
{
	static const uint16_t size[] = {1, 2, 3, 7, 100, 536, 1000, 1448, 1460, 65535};
	static const uint32_t payload[] = {0, 1, 2, 535, 536, 537, 1448, 2000, 2048};

	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		for (unsigned i = 0; i < sizeof(payload) / sizeof(payload[0]); i++) {
			make(kind, payload[i]);
			for (unsigned k = 0; k < sizeof(size) / sizeof(size[0]); k++) {
				segment_and_judge(size[k], 4096, SUM_COMPLETE);
				segment_and_judge(size[k], 4096, SUM_PARTIAL);
			}
		}
	}
}

static void segments_are_right_however_the_frame_is_cut(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 333);
		for (uint32_t piece = 1; piece < 90; piece++)
			segment_and_judge(100, piece, SUM_COMPLETE);
	}
}

static void the_longest_packets_are_cut(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 65535 - 60);
		segment_and_judge(1448, 1000, SUM_COMPLETE);
		segment_and_judge(1448, 65536 * 2, SUM_PARTIAL);
	}
}

static void a_frame_of_too_many_segments_is_refused(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		struct cut_frame c;

		make(kind, VH_PIECES_MAX * 20);
		segment_and_judge(20, 1000, SUM_COMPLETE);
		make(kind, VH_PIECES_MAX * 20 + 1);
		begin(&c, 20, 4096);
		assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_SEGMENT, 0),
				 -EINVAL);
		cut_frame_free(&c);
	}
}

static void what_is_left_is_known_all_the_time(void **state)
{
	struct cut_frame c;
	struct vh_piece p;

	make(TCP4, 1001);
	begin(&c, 100, 4096);
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_SEGMENT, 0), 0);
	for (unsigned left = 11; left; left--) {
		assert_int_equal(vh_cutter_left(&cutter), left);
		assert_true(vh_cutter_next(&cutter, &p));
	}
	assert_int_equal(vh_cutter_left(&cutter), 0);
	assert_false(vh_cutter_next(&cutter, &p));
	cut_frame_free(&c);
}

static void tags_and_options_are_repeated_in_every_segment(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		for (unsigned tags = 0; tags < 3; tags++) {
			for (unsigned extra = 0; extra <= 40; extra += 8) {
				packet_make(&packet,
					    &(struct packet_params){.kind = kind,
								    .payload = 1000,
								    .tags = tags,
								    .options = extra,
								    .ip_extra = extra,
								    .tcp_flags = ACK});
				segment_and_judge(99, 50, SUM_COMPLETE);
				segment_and_judge(99, 50, SUM_PARTIAL);
			}
		}
	}
}

static void flags_that_belong_to_one_segment_are_in_that_one(void **state)
{
	for (unsigned flags = 0; flags < 256; flags++) {
		packet_make(&packet,
			    &(struct packet_params){.kind = TCP4,
						    .payload = 300,
						    .tcp_flags = (uint8_t)flags});
		segment_and_judge(100, 4096, SUM_COMPLETE);
	}
}

static void congestion_is_told_of_once(void **state)
{
	struct cut_frame c;
	struct vh_piece p;

	packet_make(&packet, &(struct packet_params){.kind = TCP6,
						     .payload = 300,
						     .tcp_flags = ACK | ECE | CWR});
	begin(&c, 100, 4096);
	c.frame.hdr.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(vh_cutter_begin(&cutter, &c.frame, VH_WORK_SEGMENT, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(vh_cutter_next(&cutter, &p));
		assert_int_equal(p.head[packet.l4 + 13], i ? ACK | ECE : ACK | ECE | CWR);
	}
	assert_false(vh_cutter_next(&cutter, &p));
	cut_frame_free(&c);
}

/* ---- Headers that do not fit ---- */

static bool is_cut(const struct cut_frame *c)
{
	return vh_cutter_begin(&cutter, &c->frame, VH_WORK_SEGMENT, 0) == 0;
}

static void a_header_that_says_something_else_is_refused(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		struct virtio_net_hdr_v1 right;
		struct cut_frame c;

		make(kind, 1000);
		begin(&c, 100, 4096);
		right = c.frame.hdr;
		assert_true(is_cut(&c));
		c.frame.hdr.csum_start++;
		assert_false(is_cut(&c));
		c.frame.hdr = right;
		c.frame.hdr.csum_offset += 2;
		assert_false(is_cut(&c));
		c.frame.hdr = right;
		for (unsigned other = 0; other < PACKET_KINDS; other++) {
			c.frame.hdr.gso_type = (uint8_t[]){
				VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
				VIRTIO_NET_HDR_GSO_UDP_L4,
				VIRTIO_NET_HDR_GSO_UDP_L4}[other];
			assert_int_equal(is_cut(&c), other == kind || (other >= UDP4 &&
								       kind >= UDP4));
		}
		cut_frame_free(&c);
	}
}

/* A frame that ends anywhere in its headers. */
static void a_frame_that_ends_in_its_headers_is_refused(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		packet_make(&packet, &(struct packet_params){.kind = kind,
							     .payload = 10,
							     .tags = 1,
							     .options = 8,
							     .ip_extra = 8});
		for (uint32_t len = 1; len < packet.headers; len++) {
			struct cut_frame c;

			cut_frame_make(&c, packet.bytes, len, 0, 7);
			c.frame.hdr = packet_hdr(&packet, 100);
			assert_false(is_cut(&c));
			cut_frame_free(&c);
		}
	}
}

static void headers_longer_than_we_read_are_refused(void **state)
{
	struct cut_frame c;

	packet_make(&packet, &(struct packet_params){
				     .kind = UDP6, .payload = 1000, .ip_extra = 64});
	segment_and_judge(100, 4096, SUM_COMPLETE);
	packet_make(&packet, &(struct packet_params){
				     .kind = UDP6, .payload = 1000, .ip_extra = 72});
	begin(&c, 100, 4096);
	assert_false(is_cut(&c)); /* more than 8 extensions */
	cut_frame_free(&c);
	packet_make(&packet,
		    &(struct packet_params){.kind = TCP4, .payload = 1000, .tags = 3});
	begin(&c, 100, 4096);
	assert_false(is_cut(&c)); /* more than 2 tags */
	cut_frame_free(&c);
}

static void fragments_are_refused(void **state)
{
	static const uint8_t fragment[][2] = {{0x20, 0}, {0, 1}, {0x1f, 0xff}};

	for (unsigned i = 0; i < sizeof(fragment) / sizeof(fragment[0]); i++) {
		struct cut_frame c;

		make(UDP4, 1000);
		memcpy(packet.bytes + packet.l3 + 6, fragment[i], 2);
		begin(&c, 100, 4096);
		assert_false(is_cut(&c));
		cut_frame_free(&c);
	}
}

/*
 * Whatever byte of the headers is wrong, and whatever the virtio-net header says, the
 * pieces stay inside of the frame.
 */
static void no_byte_of_a_header_leads_outside(void **state)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		make(kind, 64);
		for (unsigned at = 12; at < packet.headers; at++) {
			for (unsigned v = 0; v < 256; v++) {
				const uint8_t was = packet.bytes[at];
				static uint8_t out[PACKET_MAX];
				struct cut_frame c;
				struct vh_piece p;

				packet.bytes[at] = (uint8_t)v;
				begin(&c, 50, 4096);
				for (unsigned n = 0; is_cut(&c) && n < 1; n++)
					while (next(&c, out, &p))
						assert_true(p.off + p.len <= packet.len);
				cut_frame_free(&c);
				packet.bytes[at] = was;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_is_completed_whatever_the_length),
		cmocka_unit_test(a_checksum_is_completed_however_the_frame_is_cut),
		cmocka_unit_test(a_sum_of_zero_is_sent_as_all_ones),
		cmocka_unit_test(a_checksum_far_behind_is_refused_in_software),
		cmocka_unit_test(segments_are_right_for_every_kind_and_size),
		cmocka_unit_test(segments_are_right_however_the_frame_is_cut),
		cmocka_unit_test(the_longest_packets_are_cut),
		cmocka_unit_test(a_frame_of_too_many_segments_is_refused),
		cmocka_unit_test(what_is_left_is_known_all_the_time),
		cmocka_unit_test(tags_and_options_are_repeated_in_every_segment),
		cmocka_unit_test(flags_that_belong_to_one_segment_are_in_that_one),
		cmocka_unit_test(congestion_is_told_of_once),
		cmocka_unit_test(a_header_that_says_something_else_is_refused),
		cmocka_unit_test(a_frame_that_ends_in_its_headers_is_refused),
		cmocka_unit_test(headers_longer_than_we_read_are_refused),
		cmocka_unit_test(fragments_are_refused),
		cmocka_unit_test(no_byte_of_a_header_leads_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
