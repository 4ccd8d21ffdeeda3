/* SPDX-License-Identifier: BSD-3-Clause */
/* What a header may say, and what must be done for a receiver. */
#include "cut_frame.h"

#include "spec/vhost_user.h"

#define BIT(name) VH_BIT(VIRTIO_NET_F_##name)
#define ALL	  (BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_USO))
#define CSUM	  VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TSO4	  VIRTIO_NET_HDR_GSO_TCPV4
#define TSO6	  VIRTIO_NET_HDR_GSO_TCPV6
#define USO	  VIRTIO_NET_HDR_GSO_UDP_L4
#define UFO	  VIRTIO_NET_HDR_GSO_UDP
#define ECN	  VIRTIO_NET_HDR_GSO_ECN
#define LENGTH	  1000

static bool is_fine(struct virtio_net_hdr_v1 h, uint64_t features)
{
	struct vh_frame f = {.hdr = h, .len = LENGTH};

	return !vh_frame_check(&f, features);
}

static struct virtio_net_hdr_v1 checked(struct virtio_net_hdr_v1 h)
{
	struct vh_frame f = {.hdr = h, .len = LENGTH};

	assert_null(vh_frame_check(&f, ALL));
	return f.hdr;
}

static struct virtio_net_hdr_v1 csum_at(uint16_t start, uint16_t offset)
{
	return (struct virtio_net_hdr_v1){
		.flags = CSUM, .csum_start = start, .csum_offset = offset};
}

static struct virtio_net_hdr_v1 gso(uint8_t type, uint16_t size)
{
	struct virtio_net_hdr_v1 h = csum_at(34, 16);

	h.gso_type = type;
	h.gso_size = size;
	h.hdr_len = 54;
	return h;
}

static void a_header_that_asks_for_nothing_says_nothing(void **state)
{
	struct virtio_net_hdr_v1 h = {.hdr_len = 0xffff,
				      .gso_size = 0xffff,
				      .csum_start = 0xffff,
				      .csum_offset = 0xffff};

	assert_true(is_fine(h, 0));
	h = checked(h);
	assert_int_equal(h.hdr_len | h.gso_size | h.csum_start | h.csum_offset, 0);
}

static void a_checksum_lies_inside_of_the_frame_or_is_refused(void **state)
{
	assert_true(is_fine(csum_at(14, 0), ALL));
	assert_true(is_fine(csum_at(LENGTH - 2, 0), ALL));
	assert_true(is_fine(csum_at(14, LENGTH - 16), ALL));
	assert_false(is_fine(csum_at(13, 0), ALL));
	assert_false(is_fine(csum_at(0, 0), ALL));
	assert_false(is_fine(csum_at(LENGTH - 1, 0), ALL));
	assert_false(is_fine(csum_at(14, LENGTH - 15), ALL));
	assert_false(is_fine(csum_at(0xffff, 0xffff), ALL));
	assert_false(is_fine(csum_at(0xfff0, 0x0010), ALL)); /* 65536 */
	assert_false(is_fine(csum_at(14, 0xffff), ALL));
	assert_false(is_fine(csum_at(14, 0xfff2), ALL));
}

static void what_was_not_negotiated_is_refused(void **state)
{
	assert_false(is_fine(csum_at(34, 16), ALL & ~BIT(CSUM)));
	assert_false(is_fine(gso(TSO4, 100), ALL & ~BIT(HOST_TSO4)));
	assert_false(is_fine(gso(TSO6, 100), ALL & ~BIT(HOST_TSO6)));
	assert_false(is_fine(gso(USO, 100), ALL & ~BIT(HOST_USO)));
	assert_false(is_fine(gso(TSO4 | ECN, 100), ALL & ~BIT(HOST_ECN)));
	assert_false(is_fine(gso(TSO4, 100), 0));
	assert_true(is_fine(gso(TSO4, 100), BIT(CSUM) | BIT(HOST_TSO4)));
}

static void all_kinds_of_segmentation_but_ufo_are_known(void **state)
{
	for (unsigned type = 1; type < 256; type++) {
		const unsigned kind = type & ~ECN;

		assert_int_equal(is_fine(gso((uint8_t)type, 100), ~0ULL),
				 kind == TSO4 || kind == TSO6 || kind == USO);
	}
	assert_false(is_fine(gso(UFO, 100), ~0ULL));
}

static void segmentation_needs_a_size_and_a_checksum(void **state)
{
	struct virtio_net_hdr_v1 h = gso(TSO4, 100);

	assert_false(is_fine(gso(TSO4, 0), ALL));
	h.flags = 0;
	assert_false(is_fine(h, ALL));
	assert_true(is_fine(gso(TSO4, 0xffff), ALL));
}

static void flags_that_are_the_devices_to_say_are_cleared(void **state)
{
	struct virtio_net_hdr_v1 h = csum_at(34, 16);

	h.flags = 0xff;
	assert_int_equal(checked(h).flags, CSUM);
	h.flags = 0xff & ~CSUM;
	h.hdr_len = 7;
	h = checked(h);
	assert_int_equal(h.flags | h.csum_start | h.csum_offset | h.hdr_len, 0);
}

static void a_frame_is_read_alike_however_it_is_cut(void **state)
{
	uint8_t bytes[70], out[70];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	for (uint32_t skip = 0; skip < 13; skip++) {
		for (uint32_t piece = 1; piece < 90; piece++) {
			struct cut_frame c;

			cut_frame_make(&c, bytes, sizeof(bytes), skip, piece);
			for (uint32_t off = 0; off < 70; off += 3) {
				memset(out, 0, sizeof(out));
				vh_frame_read(&c.frame, off, out, 70 - off);
				assert_memory_equal(out, bytes + off, 70 - off);
			}
			cut_frame_free(&c);
		}
	}
}

static void descriptors_of_no_length_are_stepped_over(void **state)
{
	uint8_t bytes[4] = {1, 2, 3, 4}, out[4];
	const struct vh_seg seg[] = {{.va = bytes, .len = 0},
				     {.va = bytes, .len = 2},
				     {.va = bytes, .len = 0},
				     {.va = bytes, .len = 0},
				     {.va = bytes + 2, .len = 2}};
	const struct vh_frame f = {.seg = seg, .n_seg = 5, .len = 4};

	vh_frame_read(&f, 0, out, 4);
	assert_memory_equal(out, bytes, 4);
	vh_frame_read(&f, 2, out, 2);
	assert_memory_equal(out, bytes + 2, 2);
}

/* ---- What is to be done ---- */

static enum vh_work work(struct virtio_net_hdr_v1 h, uint64_t features)
{
	const struct vh_frame f = {.hdr = h, .len = LENGTH};

	return vh_frame_work(&f, features);
}

static void who_took_an_offload_gets_the_frame_as_it_is(void **state)
{
	const uint64_t sums = BIT(GUEST_CSUM);

	assert_int_equal(work((struct virtio_net_hdr_v1){0}, 0), VH_WORK_NONE);
	assert_int_equal(work(csum_at(34, 16), sums), VH_WORK_NONE);
	assert_int_equal(work(gso(TSO4, 9), sums | BIT(GUEST_TSO4)), VH_WORK_NONE);
	assert_int_equal(work(gso(TSO6, 9), sums | BIT(GUEST_TSO6)), VH_WORK_NONE);
	assert_int_equal(
		work(gso(TSO4 | ECN, 9), sums | BIT(GUEST_TSO4) | BIT(GUEST_ECN)),
		VH_WORK_NONE);
	assert_int_equal(work(gso(USO, 9), sums | BIT(GUEST_USO4) | BIT(GUEST_USO6)),
			 VH_WORK_NONE);
}

static void for_who_did_not_software_does_it(void **state)
{
	const uint64_t sums = BIT(GUEST_CSUM);

	assert_int_equal(work(csum_at(34, 16), 0), VH_WORK_CHECKSUM);
	assert_int_equal(work(csum_at(34, 16), BIT(GUEST_TSO4)), VH_WORK_CHECKSUM);
	assert_int_equal(work(gso(TSO4, 9), sums | BIT(GUEST_TSO6)), VH_WORK_SEGMENT);
	assert_int_equal(work(gso(TSO6, 9), sums | BIT(GUEST_TSO4)), VH_WORK_SEGMENT);
	assert_int_equal(work(gso(TSO4, 9), BIT(GUEST_TSO4)), VH_WORK_SEGMENT);
	assert_int_equal(work(gso(TSO4 | ECN, 9), sums | BIT(GUEST_TSO4)),
			 VH_WORK_SEGMENT);
	assert_int_equal(work(gso(USO, 9), sums | BIT(GUEST_USO4)), VH_WORK_SEGMENT);
	assert_int_equal(work(gso(USO, 9), sums | BIT(GUEST_USO6)), VH_WORK_SEGMENT);
	assert_int_equal(work(gso(TSO4, 9), 0), VH_WORK_SEGMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_that_asks_for_nothing_says_nothing),
		cmocka_unit_test(a_checksum_lies_inside_of_the_frame_or_is_refused),
		cmocka_unit_test(what_was_not_negotiated_is_refused),
		cmocka_unit_test(all_kinds_of_segmentation_but_ufo_are_known),
		cmocka_unit_test(segmentation_needs_a_size_and_a_checksum),
		cmocka_unit_test(flags_that_are_the_devices_to_say_are_cleared),
		cmocka_unit_test(a_frame_is_read_alike_however_it_is_cut),
		cmocka_unit_test(descriptors_of_no_length_are_stepped_over),
		cmocka_unit_test(who_took_an_offload_gets_the_frame_as_it_is),
		cmocka_unit_test(for_who_did_not_software_does_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
