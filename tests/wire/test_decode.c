/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bytes are a request, and what is in it. */
#include "wire_rig.h"

static uint8_t bytes[VH_MAX_PAYLOAD];
static struct vh_msg m;

static const struct row *row_of(enum vh_channel channel, uint32_t id)
{
	for (const struct row *r = rows; r < ROWS_END; r++)
		if (r->channel == channel && r->id == id)
			return r;
	fail_msg("no row %u", id);
	return NULL;
}

/* ---- Header ---- */

static int decode_header(uint32_t flags, uint32_t size)
{
	const struct vh_wire_header h = header(1, flags, size);
	struct vh_wire_header out;
	uint8_t raw[HEADER];
	const char *why;

	memcpy(raw, &h, sizeof(raw));
	const int rc = vh_header_decode(raw, &out, &why);

	assert_true((rc == 0) == (why == NULL));
	if (rc == 0)
		assert_memory_equal(&out, &h, sizeof(h));
	return rc;
}

static void only_version_1_is_understood(void **state)
{
	assert_int_equal(decode_header(0, 0), -EPROTO);
	assert_int_equal(decode_header(1, 0), 0);
	assert_int_equal(decode_header(2, 0), -EPROTO);
	assert_int_equal(decode_header(3, 0), -EPROTO);
}

static void every_reserved_flag_is_refused(void **state)
{
	for (unsigned bit = 2; bit < 32; bit++)
		assert_int_equal(decode_header(VERSION | 1u << bit, 0),
				 bit < 4 ? 0 : -EPROTO);
}

static void a_payload_above_the_limit_is_refused(void **state)
{
	assert_int_equal(decode_header(VERSION, VH_MAX_PAYLOAD), 0);
	assert_int_equal(decode_header(VERSION, VH_MAX_PAYLOAD + 1), -EPROTO);
	assert_int_equal(decode_header(VERSION, 0x80000000), -EPROTO);
	assert_int_equal(decode_header(VERSION, UINT32_MAX), -EPROTO);
}

/* ---- Size ---- */

static void every_message_is_taken_in_its_sizes_and_no_other(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		for (uint32_t size = 0; size <= VH_MAX_PAYLOAD; size++) {
			make_payload(r, size, bytes);
			const int rc = decode_bare(&m, r, size, bytes);

			if (rc != (row_takes_size(r, size) ? 0 : -EPROTO))
				fail_msg("%s of %u bytes: %d", r->name, size, rc);
		}
	}
}

static void
a_size_that_is_not_right_is_refused_before_the_payload_is_touched(void **state)
{
	const uint32_t sizes[] = {8193, 65536, 0x7fffffff, 0x80000000, UINT32_MAX};

	for (const struct row *r = rows; r < ROWS_END; r++) {
		for (unsigned i = 0; r->size != ANY && i < ARRAY_LEN(sizes); i++)
			assert_int_equal(decode_bare(&m, r, sizes[i], NULL), -EPROTO);
	}
}

static void a_refusal_names_its_cause(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		const struct vh_wire_header h = header(r->id, VERSION, 7);
		const char *why = NULL;

		if (r->size != ANY && r->size != TABLE && r->size != SPACE) {
			assert_int_equal(vh_msg_decode(&m, r->channel, &h, bytes, NULL, 0,
						       NULL, true, &why),
					 -EPROTO);
			assert_non_null(why);
		}
	}
}

/* ---- Memory tables ---- */

static void a_memory_table_of_more_than_eight_regions_is_refused(void **state)
{
	const struct row *r = row_of(MAIN, 5);
	const uint32_t counts[] = {9,	    10,		255,	    256,
				   0x10000, 0x08000000, 0x80000000, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		make_payload(r, 264, bytes);
		put32(bytes, counts[i]);
		assert_int_equal(decode_bare(&m, r, 264, bytes), -EPROTO);
		assert_int_equal(decode_bare(&m, r, 8 + counts[i] * 32, bytes), -EPROTO);
	}
}

static void a_full_table_with_fewer_regions_shows_only_those(void **state)
{
	const struct row *r = row_of(MAIN, 5);
	const struct vh_wire_region none = {0};

	make_payload(r, 264, bytes);
	put32(bytes, 3);
	assert_int_equal(decode_bare(&m, r, 264, bytes), 0);
	assert_int_equal(m.mem.n, 3);
	assert_memory_equal(m.mem.region, bytes + 8, 3 * 32);
	for (unsigned i = 3; i < 8; i++)
		assert_memory_equal(&m.mem.region[i], &none, sizeof(none));
}

static void a_table_larger_than_its_count_is_refused_unless_it_is_full(void **state)
{
	const struct row *r = row_of(MAIN, 5);

	for (uint32_t size = 8; size < 264; size++) {
		make_payload(r, size, bytes);
		put32(bytes, 1);
		assert_int_equal(decode_bare(&m, r, size, bytes),
				 size == 40 ? 0 : -EPROTO);
	}
}

/* In postcopy the front-end says so that it is ready. */
static void a_zero_u64_is_a_memory_table_without_regions(void **state)
{
	memset(bytes, 0, 8);
	assert_int_equal(decode_with_fds(&m, row_of(MAIN, 5), 8, bytes, 0), 0);
	assert_int_equal(m.mem.n, 0);
	vh_msg_close(&m);
}

/* ---- Config space ---- */

static void a_config_message_must_count_its_own_bytes(void **state)
{
	const struct row *r = row_of(MAIN, 25);
	const uint32_t counts[] = {0, 23, 25, 0x18000018, UINT32_MAX, UINT32_MAX - 11};

	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		make_payload(r, 36, bytes);
		put32(bytes + 4, counts[i]);
		assert_int_equal(decode_bare(&m, r, 36, bytes), -EPROTO);
	}
}

static void a_config_message_carries_up_to_4096_bytes(void **state)
{
	const struct row *r = row_of(MAIN, 25);

	make_payload(r, 12 + 4096, bytes);
	assert_int_equal(decode_bare(&m, r, 12 + 4096, bytes), 0);
	assert_int_equal(m.config.size, 4096);
	assert_memory_equal(m.config.data, bytes + 12, 4096);
}

/* 0 and 1 are the text's, 1 and 2 what some front-ends make of it. */
static void config_flags_above_three_are_refused(void **state)
{
	const struct row *r = row_of(MAIN, 24);

	for (unsigned bit = 0; bit < 32; bit++) {
		make_payload(r, 36, bytes);
		put32(bytes + 8, 1u << bit);
		assert_int_equal(decode_bare(&m, r, 36, bytes), bit < 2 ? 0 : -EPROTO);
	}
}

/* ---- Reserved bits ---- */

static void check_u64_bits(const struct row *r, uint32_t size, unsigned at,
			   uint64_t allowed)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		make_payload(r, size, bytes);
		put64(bytes + at, 1ull << bit);
		const int rc = decode_bare(&m, r, size, bytes);

		if (rc != (allowed >> bit & 1 ? 0 : -EPROTO))
			fail_msg("%s, bit %u: %d", r->name, bit, rc);
	}
}

static void only_nine_bits_of_a_vring_fd_message_may_be_set(void **state)
{
	for (uint32_t id = 12; id <= 14; id++)
		check_u64_bits(row_of(MAIN, id), 8, 0, 0x1ff);
	check_u64_bits(row_of(BACK, 3), 24, 0, 0x1ff);
}

static void only_the_no_fd_bit_of_a_log_fd_message_may_be_set(void **state)
{
	check_u64_bits(row_of(MAIN, 7), 8, 0, NO_FD);
}

static void only_the_write_bit_of_a_mapping_may_be_set(void **state)
{
	check_u64_bits(row_of(BACK, 9), 40, 32, 1);
	check_u64_bits(row_of(BACK, 10), 40, 32, 1);
}

static void only_the_log_bit_of_a_vring_address_may_be_set(void **state)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		make_payload(row_of(MAIN, 9), 40, bytes);
		put32(bytes + 4, 1u << bit);
		assert_int_equal(decode_bare(&m, row_of(MAIN, 9), 40, bytes),
				 bit == 0 ? 0 : -EPROTO);
	}
}

static void only_two_permissions_of_an_iotlb_entry_may_be_set(void **state)
{
	for (unsigned perm = 0; perm < 256; perm++) {
		make_payload(row_of(MAIN, 22), 32, bytes);
		bytes[24] = perm;
		assert_int_equal(decode_bare(&m, row_of(MAIN, 22), 32, bytes),
				 perm < 4 ? 0 : -EPROTO);
	}
}

/* A feature word, an MTU, a MAC address: not for the codec to judge. */
static void any_other_u64_is_kept_as_it_is(void **state)
{
	const uint32_t ids[] = {2, 16, 19, 20, 27, 39};

	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		put64(bytes, 0xfedcba9876543210);
		assert_int_equal(decode_bare(&m, row_of(MAIN, ids[i]), 8, bytes), 0);
		assert_int_equal(m.payload, VH_PAYLOAD_U64);
		assert_true(m.u64 == 0xfedcba9876543210);
	}
}

/* ---- Content ---- */

/* CVE-2020-10723: an index that is cut to eight bits names another ring. */
static void a_vring_index_keeps_its_32_bits(void **state)
{
	const uint32_t indices[] = {0x100, 0xffff, 0x10000, 0x80000000, UINT32_MAX};
	const uint32_t ids[] = {8, 9, 10, 11, 18, 23, 35, 45};

	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		for (unsigned j = 0; j < ARRAY_LEN(indices); j++) {
			const struct row *r = row_of(MAIN, ids[i]);

			make_payload(r, r->size, bytes);
			put32(bytes, indices[j]);
			assert_int_equal(decode_bare(&m, r, r->size, bytes), 0);
			assert_int_equal(ids[i] == 9 ? m.addr.index : m.state.index,
					 indices[j]);
		}
	}
}

/* CVE-2020-10723, where the index shares its word with a flag. */
static void a_vring_fd_message_with_a_large_index_is_refused(void **state)
{
	const uint64_t indices[] = {0x200, 0xffff, 0x10000, 0x80000000, 1ull << 32};

	for (uint32_t id = 12; id <= 14; id++) {
		for (unsigned j = 0; j < ARRAY_LEN(indices); j++) {
			put64(bytes, indices[j]);
			assert_int_equal(
				decode_with_fds(&m, row_of(MAIN, id), 8, bytes, 1),
				-EPROTO);
			vh_msg_close(&m);
		}
	}
}

static void an_address_arrives_in_its_members(void **state)
{
	const struct vh_wire_addr a = {3, 1, 0x1111, 0x2222, 0x3333, 0x4444};

	assert_int_equal(decode_bare(&m, row_of(MAIN, 9), 40, (const uint8_t *)&a), 0);
	assert_int_equal(m.payload, VH_PAYLOAD_ADDR);
	assert_int_equal(m.addr.index, 3);
	assert_true(m.addr.desc == 0x1111 && m.addr.used == 0x2222);
	assert_true(m.addr.avail == 0x3333 && m.addr.log == 0x4444);
}

static void an_inflight_message_without_padding_means_the_same(void **state)
{
	const struct vh_wire_inflight a = {4096, 64, 2, 128, 0xdeadbeef};

	for (uint32_t size = 20; size <= 24; size += 4) {
		assert_int_equal(
			decode_bare(&m, row_of(MAIN, 32), size, (const uint8_t *)&a), 0);
		assert_true(m.inflight.size == 4096 && m.inflight.offset == 64);
		assert_int_equal(m.inflight.n_queues, 2);
		assert_int_equal(m.inflight.queue_size, 128);
		assert_int_equal(m.inflight.pad, 0);
	}
}

static void a_log_base_without_shared_memory_is_a_u64(void **state)
{
	put64(bytes, 0x7f0012345678);
	assert_int_equal(decode_with_fds(&m, row_of(MAIN, 6), 8, bytes, 0), 0);
	assert_int_equal(m.payload, VH_PAYLOAD_U64);
	assert_true(m.u64 == 0x7f0012345678);
	vh_msg_close(&m);
}

static void a_payload_may_lie_at_any_address(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		const uint32_t size = row_size(r);

		make_payload(r, size, bytes);
		memmove(bytes + 1, bytes, size);
		assert_int_equal(decode_bare(&m, r, size, bytes + 1), 0);
	}
}

static void nothing_of_an_older_message_shows(void **state)
{
	struct vh_msg n;

	memset(&m, 0xa5, sizeof(m));
	memset(&n, 0x5a, sizeof(n));
	assert_int_equal(decode_bare(&m, row_of(MAIN, 1), 0, NULL), 0);
	assert_int_equal(decode_bare(&n, row_of(MAIN, 1), 0, NULL), 0);
	assert_memory_equal(&m, &n, sizeof(m));
}

/* ---- Numbers that nobody defined ---- */

static void an_unknown_number_is_taken_and_its_payload_thrown_away(void **state)
{
	const uint32_t ids[] = {0, 46, 47, 99, 255, 256, 0x80000001, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		const struct row r = {.channel = MAIN, .id = ids[i]};

		memset(bytes, 0x77, sizeof(bytes));
		assert_int_equal(decode_with_fds(&m, &r, 100, bytes, 3), 0);
		assert_int_equal(m.id, ids[i]);
		assert_int_equal(m.payload, VH_PAYLOAD_OPAQUE);
		assert_int_equal(m.n_fds, 3);
		assert_true(m.u64 == 0);
		vh_msg_close(&m);
	}
}

/* Larger than any payload that is kept. */
static void what_is_not_decoded_is_not_copied(void **state)
{
	memset(bytes, 0x77, sizeof(bytes));
	assert_int_equal(decode_bare(&m, row_of(MAIN, 26), VH_MAX_PAYLOAD, bytes), 0);
	assert_int_equal(m.payload, VH_PAYLOAD_OPAQUE);
	for (unsigned i = 0; i < sizeof(m.config); i++)
		assert_int_equal(((const uint8_t *)&m.config)[i], 0);
}

static void the_number_spaces_are_separate(void **state)
{
	assert_non_null(vh_rule_of(VH_CHANNEL_MAIN, 11));
	assert_null(vh_rule_of(VH_CHANNEL_BACKEND, 11));
	assert_int_equal(decode_bare(&m, row_of(MAIN, 2), 8, bytes), 0);
	assert_int_equal(decode_bare(&m, row_of(BACK, 2), 8, bytes), -EPROTO);
	assert_int_equal(m.channel, VH_CHANNEL_BACKEND);
}

/* ---- What the reader is ---- */

static void need_reply_is_told(void **state)
{
	struct vh_wire_header h = header(3, VERSION | NEED_REPLY, 0);
	const char *why;

	assert_int_equal(vh_msg_decode(&m, MAIN, &h, NULL, NULL, 0, NULL, true, &why), 0);
	assert_true(m.need_reply);
	assert_false(m.is_reply);
	assert_int_equal(decode_bare(&m, row_of(MAIN, 3), 0, NULL), 0);
	assert_false(m.need_reply);
}

static void a_reply_is_refused_where_requests_are_served(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		const struct vh_wire_header h =
			header(r->id, VERSION | REPLY, row_size(r));
		const char *why;

		make_payload(r, h.size, bytes);
		assert_int_equal(vh_msg_decode(&m, r->channel, &h, bytes, NULL, 0, NULL,
					       false, &why),
				 -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_version_1_is_understood),
		cmocka_unit_test(every_reserved_flag_is_refused),
		cmocka_unit_test(a_payload_above_the_limit_is_refused),
		cmocka_unit_test(every_message_is_taken_in_its_sizes_and_no_other),
		cmocka_unit_test(
			a_size_that_is_not_right_is_refused_before_the_payload_is_touched),
		cmocka_unit_test(a_refusal_names_its_cause),
		cmocka_unit_test(a_memory_table_of_more_than_eight_regions_is_refused),
		cmocka_unit_test(a_full_table_with_fewer_regions_shows_only_those),
		cmocka_unit_test(
			a_table_larger_than_its_count_is_refused_unless_it_is_full),
		cmocka_unit_test(a_zero_u64_is_a_memory_table_without_regions),
		cmocka_unit_test(a_config_message_must_count_its_own_bytes),
		cmocka_unit_test(a_config_message_carries_up_to_4096_bytes),
		cmocka_unit_test(config_flags_above_three_are_refused),
		cmocka_unit_test(only_nine_bits_of_a_vring_fd_message_may_be_set),
		cmocka_unit_test(only_the_no_fd_bit_of_a_log_fd_message_may_be_set),
		cmocka_unit_test(only_the_write_bit_of_a_mapping_may_be_set),
		cmocka_unit_test(only_the_log_bit_of_a_vring_address_may_be_set),
		cmocka_unit_test(only_two_permissions_of_an_iotlb_entry_may_be_set),
		cmocka_unit_test(any_other_u64_is_kept_as_it_is),
		cmocka_unit_test(a_vring_index_keeps_its_32_bits),
		cmocka_unit_test(a_vring_fd_message_with_a_large_index_is_refused),
		cmocka_unit_test(an_address_arrives_in_its_members),
		cmocka_unit_test(an_inflight_message_without_padding_means_the_same),
		cmocka_unit_test(a_log_base_without_shared_memory_is_a_u64),
		cmocka_unit_test(a_payload_may_lie_at_any_address),
		cmocka_unit_test(nothing_of_an_older_message_shows),
		cmocka_unit_test(an_unknown_number_is_taken_and_its_payload_thrown_away),
		cmocka_unit_test(what_is_not_decoded_is_not_copied),
		cmocka_unit_test(the_number_spaces_are_separate),
		cmocka_unit_test(need_reply_is_told),
		cmocka_unit_test(a_reply_is_refused_where_requests_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
