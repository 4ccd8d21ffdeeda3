/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bytes are the reply that somebody waits for. */
#include "wire_rig.h"

static uint8_t bytes[VH_MAX_PAYLOAD];
static struct vh_msg m;

static int decode_reply(enum vh_channel channel, struct vh_wire_header h,
			struct vh_expect e, unsigned n_fds)
{
	const char *why;
	int fds[16] = {0};

	open_fds(fds, n_fds);
	const int rc = vh_msg_decode(&m, channel, &h, bytes, fds, n_fds, &e, true, &why);

	assert_int_equal(rc, why ? -EPROTO : 0);
	if (rc == 0)
		assert_true(m.is_reply && !m.need_reply);
	vh_msg_close(&m);
	return rc;
}

static int reply_of_size(uint32_t id, uint32_t size, unsigned n_fds)
{
	return decode_reply(MAIN, header(id, VERSION | REPLY, size),
			    (struct vh_expect){id, false}, n_fds);
}

static int ack_of_size(enum vh_channel channel, uint32_t id, uint32_t size,
		       unsigned n_fds)
{
	return decode_reply(channel, header(id, VERSION | REPLY, size),
			    (struct vh_expect){id, true}, n_fds);
}

/* ---- Flags and number ---- */

static void the_flags_of_a_reply_are_version_and_reply_and_nothing_else(void **state)
{
	const struct vh_expect e = {1, false};

	memset(bytes, 0, 8);
	assert_int_equal(decode_reply(MAIN, header(1, 5, 8), e, 0), 0);
	for (uint32_t flags = 0; flags < 16; flags++) {
		if (flags != 5)
			assert_int_equal(decode_reply(MAIN, header(1, flags, 8), e, 0),
					 -EPROTO);
	}
	for (unsigned bit = 4; bit < 32; bit++)
		assert_int_equal(decode_reply(MAIN, header(1, 5 | 1u << bit, 8), e, 0),
				 -EPROTO);
}

static void a_reply_to_another_request_is_refused(void **state)
{
	assert_int_equal(
		decode_reply(MAIN, header(15, 5, 8), (struct vh_expect){1, false}, 0),
		-EPROTO);
	assert_int_equal(decode_reply(MAIN, header(0x100 | 1, 5, 8),
				      (struct vh_expect){1, false}, 0),
			 -EPROTO);
}

static void a_reply_that_nothing_waits_for_is_refused(void **state)
{
	assert_int_equal(
		decode_reply(MAIN, header(1, 5, 8), (struct vh_expect){0, false}, 0),
		-EPROTO);
	assert_int_equal(
		decode_reply(MAIN, header(0, 5, 8), (struct vh_expect){0, true}, 0),
		-EPROTO);
}

static void a_request_is_refused_where_only_replies_may_come(void **state)
{
	assert_int_equal(decode_reply(MAIN, header(1, VERSION, 0),
				      (struct vh_expect){1, false}, 0),
			 -EPROTO);
	assert_int_equal(decode_reply(MAIN, header(1, VERSION, 0),
				      (struct vh_expect){0, false}, 0),
			 -EPROTO);
}

static void a_reply_to_an_unknown_message_is_refused(void **state)
{
	assert_int_equal(reply_of_size(99, 0, 0), -EPROTO);
	assert_int_equal(ack_of_size(MAIN, 99, 8, 0), -EPROTO);
}

static void the_fds_of_a_refused_reply_are_closed(void **state)
{
	const unsigned before = count_fds();

	for (uint32_t id = 0; id < 50; id++) {
		for (unsigned n = 0; n <= 12; n++) {
			reply_of_size(id, 8, n);
			ack_of_size(MAIN, id, 9, n);
			ack_of_size(BACK, id, 8, n);
		}
	}
	assert_int_equal(count_fds(), before);
}

/* ---- Sizes ---- */

/* Of the messages that are always answered. */
static void a_reply_has_the_payload_of_the_specification(void **state)
{
	const struct {
		uint32_t id, size;
	} replies[] = {
		{1, 8},	 {11, 8}, {15, 8}, {17, 8}, {28, 0},
		{30, 8}, {36, 8}, {40, 8}, {43, 8}, {45, 8},
	};

	for (unsigned i = 0; i < ARRAY_LEN(replies); i++) {
		for (uint32_t size = 0; size <= 300; size++) {
			memset(bytes, 0, size);
			assert_int_equal(reply_of_size(replies[i].id, size, 0),
					 size == replies[i].size ? 0 : -EPROTO);
		}
	}
}

static void an_ack_is_eight_bytes_and_no_fd(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		if (r->channel == MAIN && (r->id == 31 || r->id == 42))
			continue; /* never merely acked */
		memset(bytes, 0, 16);
		assert_int_equal(ack_of_size(r->channel, r->id, 8, 0), 0);
		assert_int_equal(m.payload, VH_PAYLOAD_ACK);
		assert_int_equal(ack_of_size(r->channel, r->id, 0, 0), -EPROTO);
		assert_int_equal(ack_of_size(r->channel, r->id, 7, 0), -EPROTO);
		assert_int_equal(ack_of_size(r->channel, r->id, 9, 0), -EPROTO);
		assert_int_equal(ack_of_size(r->channel, r->id, 8, 2), -EPROTO);
	}
}

static void an_ack_keeps_its_64_bits(void **state)
{
	put64(bytes, 1ull << 63);
	assert_int_equal(ack_of_size(MAIN, 12, 8, 0), 0);
	assert_true(m.u64 == 1ull << 63);
}

static void a_log_base_is_answered_in_three_ways(void **state)
{
	for (uint32_t size = 0; size < 40; size++)
		assert_int_equal(reply_of_size(6, size, 0),
				 size == 0 || size == 8 || size == 16 ? 0 : -EPROTO);
}

static void a_shared_object_is_answered_by_its_fd_alone(void **state)
{
	for (uint32_t size = 0; size < 40; size++) {
		assert_int_equal(reply_of_size(41, size, 0),
				 size == 0 || size == 16 ? 0 : -EPROTO);
	}
	assert_int_equal(reply_of_size(41, 16, 1), 0);
	assert_int_equal(reply_of_size(41, 16, 2), -EPROTO);
}

static void an_empty_config_reply_is_a_refusal(void **state)
{
	assert_int_equal(reply_of_size(24, 0, 0), 0);
	assert_true(m.empty);
	put32(bytes, 0);
	put32(bytes + 4, 4);
	put32(bytes + 8, 0);
	assert_int_equal(reply_of_size(24, 16, 0), 0);
	assert_false(m.empty);
	assert_int_equal(reply_of_size(24, 15, 0), -EPROTO);
	assert_int_equal(reply_of_size(24, 4, 0), -EPROTO);
}

static void in_postcopy_memory_comes_back_with_the_addresses_of_the_back_end(void **state)
{
	memset(bytes, 0, 264);
	put32(bytes, 2);
	assert_int_equal(reply_of_size(5, 8 + 64, 0), 0);
	assert_int_equal(m.payload, VH_PAYLOAD_MEM);
	assert_int_equal(reply_of_size(5, 8 + 32, 0), -EPROTO);
	assert_int_equal(reply_of_size(37, 40, 0), 0);
	assert_int_equal(m.payload, VH_PAYLOAD_MEM_REG);
}

/* ---- fds ---- */

static void an_inflight_reply_has_an_fd_unless_it_failed(void **state)
{
	for (uint32_t size = 20; size <= 24; size += 4) {
		for (unsigned n = 0; n <= 2; n++) {
			memset(bytes, 0, 24);
			put64(bytes, 4096);
			assert_int_equal(reply_of_size(31, size, n),
					 n == 1 ? 0 : -EPROTO);
			put64(bytes, 0);
			assert_int_equal(reply_of_size(31, size, n),
					 n == 0 ? 0 : -EPROTO);
		}
	}
}

static void a_transfer_reply_has_an_fd_only_if_it_promises_one(void **state)
{
	const struct {
		uint64_t u64;
		unsigned n_fds;
	} results[] = {{0, 1}, {NO_FD, 0}, {1, 0}, {NO_FD | 1, 0}, {0xff, 0}};

	for (unsigned i = 0; i < ARRAY_LEN(results); i++) {
		for (unsigned n = 0; n <= 2; n++) {
			put64(bytes, results[i].u64);
			assert_int_equal(reply_of_size(42, 8, n),
					 n == results[i].n_fds ? 0 : -EPROTO);
		}
	}
	for (unsigned bit = 9; bit < 64; bit++) {
		put64(bytes, NO_FD | 1ull << bit);
		assert_int_equal(reply_of_size(42, 8, 0), -EPROTO);
	}
}

static void these_replies_may_come_without_their_fd(void **state)
{
	for (unsigned n = 0; n <= 3; n++) {
		memset(bytes, 0, 16);
		assert_int_equal(reply_of_size(28, 0, n), n <= 1 ? 0 : -EPROTO);
		assert_int_equal(ack_of_size(BACK, 8, 8, n), n <= 1 ? 0 : -EPROTO);
	}
}

static void no_other_reply_brings_an_fd(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		if (r->channel == BACK && r->id == 8)
			continue;
		memset(bytes, 0, 16);
		if (r->channel == BACK ||
		    (r->id != 28 && r->id != 31 && r->id != 41 && r->id != 42))
			assert_int_equal(ack_of_size(r->channel, r->id, 8, 1), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_flags_of_a_reply_are_version_and_reply_and_nothing_else),
		cmocka_unit_test(a_reply_to_another_request_is_refused),
		cmocka_unit_test(a_reply_that_nothing_waits_for_is_refused),
		cmocka_unit_test(a_request_is_refused_where_only_replies_may_come),
		cmocka_unit_test(a_reply_to_an_unknown_message_is_refused),
		cmocka_unit_test(the_fds_of_a_refused_reply_are_closed),
		cmocka_unit_test(a_reply_has_the_payload_of_the_specification),
		cmocka_unit_test(an_ack_is_eight_bytes_and_no_fd),
		cmocka_unit_test(an_ack_keeps_its_64_bits),
		cmocka_unit_test(a_log_base_is_answered_in_three_ways),
		cmocka_unit_test(a_shared_object_is_answered_by_its_fd_alone),
		cmocka_unit_test(an_empty_config_reply_is_a_refusal),
		cmocka_unit_test(
			in_postcopy_memory_comes_back_with_the_addresses_of_the_back_end),
		cmocka_unit_test(an_inflight_reply_has_an_fd_unless_it_failed),
		cmocka_unit_test(a_transfer_reply_has_an_fd_only_if_it_promises_one),
		cmocka_unit_test(these_replies_may_come_without_their_fd),
		cmocka_unit_test(no_other_reply_brings_an_fd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
