/* SPDX-License-Identifier: BSD-3-Clause */
/* What we send, byte for byte. */
#include "wire_rig.h"

#define MAX_ENCODED (HEADER + VH_MAX_PAYLOAD)

static uint8_t bytes[VH_MAX_PAYLOAD], out[MAX_ENCODED];
static struct vh_msg m;

static struct vh_wire_header sent_header(void)
{
	struct vh_wire_header h;

	memcpy(&h, out, sizeof(h));
	return h;
}

/* Where the specification has padding: nothing of ours may show there. */
static void clear_padding(const struct row *r, uint8_t *p)
{
	if (r->size == TABLE)
		memset(p + 4, 0, 4);
	if (r->channel == MAIN && (r->id == 37 || r->id == 38))
		memset(p, 0, 8);
	if (r->size == 32)
		memset(p + 26, 0, 6);
	if (r->channel == MAIN && (r->id == 31 || r->id == 32))
		memset(p + 20, 0, 4);
	if (r->channel == BACK && r->size == 40)
		memset(p + 1, 0, 7);
}

static void every_message_comes_out_as_it_went_in(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		const uint32_t size = row_size(r);

		if (r->size == ANY)
			continue;
		make_payload(r, size, bytes);
		assert_int_equal(decode_with_fds(&m, r, size, bytes, row_fds(r)), 0);
		assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER + size);
		clear_padding(r, bytes);
		assert_int_equal(sent_header().request, r->id);
		assert_int_equal(sent_header().flags, VERSION);
		assert_int_equal(sent_header().size, size);
		assert_memory_equal(out + HEADER, bytes, size);
		vh_msg_close(&m);
	}
}

/* CVE-2024-0340: bytes that nobody set go to the other process. */
static void padding_is_zero_whatever_was_in_memory(void **state)
{
	const struct {
		enum vh_channel channel;
		uint32_t id;
		unsigned at, len;
	} padding[] = {
		{MAIN, 5, 4, 4},   {MAIN, 37, 0, 8},  {MAIN, 38, 0, 8},
		{MAIN, 22, 26, 6}, {MAIN, 31, 20, 4}, {MAIN, 32, 20, 4},
		{BACK, 1, 26, 6},  {BACK, 9, 1, 7},   {BACK, 10, 1, 7},
	};

	for (unsigned i = 0; i < ARRAY_LEN(padding); i++) {
		const uint8_t zeros[8] = {0};

		vh_msg_init(&m, padding[i].channel, padding[i].id);
		memset(&m.u64, 0xee, 40);
		if (m.payload == VH_PAYLOAD_MEM)
			m.mem.n = 1;
		memset(out, 0xdd, sizeof(out));
		assert_true(vh_msg_encode(&m, out, sizeof(out)) > 0);
		assert_memory_equal(out + HEADER + padding[i].at, zeros, padding[i].len);
	}
}

/* CVE-2024-0340, for whole messages: two pasts, one encoding. */
static void an_encoding_does_not_depend_on_what_was_in_memory(void **state)
{
	static uint8_t other[MAX_ENCODED];
	struct vh_msg n;

	for (const struct row *r = rows; r < ROWS_END; r++) {
		memset(&m, 0xa5, sizeof(m));
		memset(&n, 0x5a, sizeof(n));
		memset(out, 0xa5, sizeof(out));
		memset(other, 0x5a, sizeof(other));
		vh_msg_init(&m, r->channel, r->id);
		vh_msg_init(&n, r->channel, r->id);
		const int len = vh_msg_encode(&m, out, sizeof(out));

		assert_int_equal(vh_msg_encode(&n, other, sizeof(other)), len);
		if (len > 0)
			assert_memory_equal(out, other, len);
	}
}

static void config_bytes_that_nobody_filled_go_out_as_zeros(void **state)
{
	memset(&m, 0xa5, sizeof(m));
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.size = 4096;
	memset(out, 0xdd, sizeof(out));
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER + 12 + 4096);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(out[HEADER + 12 + i], 0);
}

static void a_log_fd_message_goes_out_without_a_payload(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_LOG_FD);
	assert_int_equal(m.payload, VH_PAYLOAD_NONE);
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER);
}

static void only_the_regions_that_there_are_go_out(void **state)
{
	for (unsigned n = 0; n <= 8; n++) {
		vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
		m.mem.n = n;
		assert_int_equal(vh_msg_encode(&m, out, sizeof(out)),
				 HEADER + 8 + n * 32);
	}
}

static void an_inflight_message_goes_out_with_its_padding(void **state)
{
	const struct row r = {.channel = MAIN, .id = 32, .name = "SET_INFLIGHT_FD"};

	make_payload(&r, 20, bytes);
	assert_int_equal(decode_bare(&m, &r, 20, bytes), 0);
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER + 24);
	assert_int_equal(sent_header().size, 24);
	assert_memory_equal(out + HEADER, bytes, 20);
}

static void a_count_out_of_bounds_is_not_sent(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 9;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EMSGSIZE);
	m.mem.n = 0x08000000;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EMSGSIZE);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_CONFIG);
	m.config.size = 4097;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EMSGSIZE);
	m.config.size = UINT32_MAX;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EMSGSIZE);
}

static void a_buffer_that_is_too_small_is_left_alone(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_ADDR);
	memset(out, 0xdd, sizeof(out));
	for (size_t size = 0; size < HEADER + 40; size++)
		assert_int_equal(vh_msg_encode(&m, out, size), -EMSGSIZE);
	for (unsigned i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], 0xdd);
	assert_int_equal(vh_msg_encode(&m, out, HEADER + 40), HEADER + 40);
}

static void a_message_whose_content_was_thrown_away_is_not_sent(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_CREATE_CRYPTO_SESSION);
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EINVAL);
	vh_msg_init(&m, VH_CHANNEL_MAIN, 99);
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EINVAL);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	m.payload = VH_PAYLOAD_COUNT;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), -EINVAL);
}

static void need_reply_is_a_flag_of_requests_only(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	m.need_reply = true;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER);
	assert_int_equal(sent_header().flags, VERSION | NEED_REPLY);
	m.is_reply = true;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER);
	assert_int_equal(sent_header().flags, VERSION | REPLY);
}

static void a_reply_carries_the_number_and_channel_of_its_request(void **state)
{
	struct vh_msg request;

	vh_msg_init(&request, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_SHMEM_MAP);
	request.need_reply = true;
	memset(&m, 0xa5, sizeof(m));
	vh_msg_init_reply(&m, &request, VH_PAYLOAD_ACK);
	assert_int_equal(m.channel, VH_CHANNEL_BACKEND);
	assert_int_equal(m.n_fds, 0);
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER + 8);
	assert_int_equal(sent_header().request, VH_MSG_BACKEND_SHMEM_MAP);
	assert_int_equal(sent_header().flags, 5);
}

static void every_reply_of_the_table_is_understood_by_the_other_side(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		const struct vh_rule *rule = vh_rule_of(r->channel, r->id);
		const struct vh_expect e = {r->id, rule->reply == VH_PAYLOAD_ACK};
		struct vh_wire_header h;
		struct vh_msg request, got;
		const char *why;

		if (rule->reply == VH_PAYLOAD_OPAQUE)
			continue;
		vh_msg_init(&request, r->channel, r->id);
		vh_msg_init_reply(&m, &request, rule->reply);
		memset(&m.u64, 0, 64);
		assert_true(vh_msg_encode(&m, out, sizeof(out)) > 0);
		assert_int_equal(vh_header_decode(out, &h, &why), 0);
		assert_int_equal(vh_msg_decode(&got, r->channel, &h, out + HEADER, NULL,
					       0, &e, false, &why),
				 0);
		assert_int_equal(got.payload, rule->reply);
	}
}

static void a_refused_config_request_is_answered_with_a_bare_header(void **state)
{
	struct vh_msg request;

	vh_msg_init(&request, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	vh_msg_init_reply(&m, &request, VH_PAYLOAD_CONFIG);
	m.config.size = 60;
	m.empty = true;
	assert_int_equal(vh_msg_encode(&m, out, sizeof(out)), HEADER);
	assert_int_equal(sent_header().size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_out_as_it_went_in),
		cmocka_unit_test(padding_is_zero_whatever_was_in_memory),
		cmocka_unit_test(an_encoding_does_not_depend_on_what_was_in_memory),
		cmocka_unit_test(config_bytes_that_nobody_filled_go_out_as_zeros),
		cmocka_unit_test(a_log_fd_message_goes_out_without_a_payload),
		cmocka_unit_test(only_the_regions_that_there_are_go_out),
		cmocka_unit_test(an_inflight_message_goes_out_with_its_padding),
		cmocka_unit_test(a_count_out_of_bounds_is_not_sent),
		cmocka_unit_test(a_buffer_that_is_too_small_is_left_alone),
		cmocka_unit_test(a_message_whose_content_was_thrown_away_is_not_sent),
		cmocka_unit_test(need_reply_is_a_flag_of_requests_only),
		cmocka_unit_test(a_reply_carries_the_number_and_channel_of_its_request),
		cmocka_unit_test(
			every_reply_of_the_table_is_understood_by_the_other_side),
		cmocka_unit_test(a_refused_config_request_is_answered_with_a_bare_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
