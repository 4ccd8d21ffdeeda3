/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends and drivers that break the protocol: right reaction, nothing left behind. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void come_again(struct relay_rig *x)
{
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	assert_true(vh_relay_is_up(x->relay));
}

/* ---- Front-ends ---- */

static void headers_that_make_no_sense_end_the_session(void **state)
{
	struct relay_rig *x = *state;
	const uint32_t rows[][3] = {
		{VH_MSG_GET_FEATURES, 0, 0},	   {VH_MSG_GET_FEATURES, 2, 0},
		{VH_MSG_GET_FEATURES, 3, 0},	   {VH_MSG_GET_FEATURES, ANSWER, 0},
		{VH_MSG_GET_FEATURES, 0x11, 0},	   {VH_MSG_GET_FEATURES, PLAIN, 8193},
		{VH_MSG_GET_FEATURES, PLAIN, ~0u}, {0, PLAIN, 1u << 31},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		peer_send_bytes(x->fd, rows[i], sizeof(rows[i]), NULL, 0);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

/* The size that a request of this number has, or one that it may have. */
static uint32_t size_of(uint32_t id)
{
	static const uint8_t sizes[] = {
		[VH_PAYLOAD_U64] = 8,	    [VH_PAYLOAD_STATE] = 8,
		[VH_PAYLOAD_ADDR] = 40,	    [VH_PAYLOAD_MEM] = 8,
		[VH_PAYLOAD_MEM_REG] = 40,  [VH_PAYLOAD_LOG] = 16,
		[VH_PAYLOAD_IOTLB] = 32,    [VH_PAYLOAD_CONFIG] = 12,
		[VH_PAYLOAD_INFLIGHT] = 24, [VH_PAYLOAD_VRING_FD] = 8,
		[VH_PAYLOAD_SHARED] = 16,   [VH_PAYLOAD_XFER] = 8,
		[VH_PAYLOAD_OPAQUE] = 16,   [VH_PAYLOAD_COUNT] = 0,
	};
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);

	return rule ? sizes[rule->payload] : 4;
}

static void a_wrong_size_of_any_message_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[64];

	for (uint32_t id = 1; id <= 45; id++) {
		if (id == VH_MSG_CREATE_CRYPTO_SESSION)
			continue; /* of any size */
		come_again(x);
		relay_say(x, id, PLAIN, payload, size_of(id) + 1, NULL, 0);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

static void any_number_of_fds_with_any_message_leaves_none(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[64];
	int fds[VH_MAX_FDS + 1];
	int n_open;

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = eventfd_new();
	come_again(x);
	relay_hang_up(x);
	n_open = rig_count_fds();
	for (uint32_t id = 0; id <= 47; id++) {
		for (unsigned n = 0; n <= ARRAY_LEN(fds); n++) {
			come_again(x);
			relay_say(x, id, PLAIN, payload, size_of(id), fds, n);
			if (vh_relay_is_up(x->relay))
				relay_say(x, id, NEED_REPLY, payload, 0, NULL, 0);
			relay_hang_up(x);
			assert_int_equal(rig_count_fds(), n_open);
		}
		x->guest.n = x->guest.read = 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void what_a_guest_cannot_serve_is_never_passed_on(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[64];
	const struct {
		uint32_t id;
		unsigned n_fds;
	} rows[] = {{VH_MSG_POSTCOPY_ADVISE, 0},     {VH_MSG_POSTCOPY_LISTEN, 0},
		    {VH_MSG_POSTCOPY_END, 0},	     {VH_MSG_GPU_SET_SOCKET, 1},
		    {VH_MSG_GET_MAX_MEM_SLOTS, 0},   {VH_MSG_ADD_MEM_REG, 1},
		    {VH_MSG_REM_MEM_REG, 0},	     {VH_MSG_GET_SHARED_OBJECT, 0},
		    {VH_MSG_SET_DEVICE_STATE_FD, 1}, {VH_MSG_CHECK_DEVICE_STATE, 0},
		    {VH_MSG_GET_SHMEM_CONFIG, 0},    {4711, 1}};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		relay_say(x, rows[i].id, NEED_REPLY, payload, size_of(rows[i].id),
			  &x->memory, rows[i].n_fds);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

static void what_the_driver_did_not_ask_for_is_never_passed_on(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[64];
	const struct {
		uint32_t id;
		unsigned n_fds;
	} rows[] = {{VH_MSG_GET_INFLIGHT_FD, 0},
		    {VH_MSG_SET_INFLIGHT_FD, 1},
		    {VH_MSG_CREATE_CRYPTO_SESSION, 0},
		    {VH_MSG_CLOSE_CRYPTO_SESSION, 0},
		    {VH_MSG_VRING_KICK, 0},
		    {VH_MSG_GET_VRING_BASE_SKIP_DRAIN, 0}};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		relay_say(x, rows[i].id, PLAIN, payload, size_of(rows[i].id), &x->memory,
			  rows[i].n_fds);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

static void features_that_were_not_offered_end_the_session(void **state)
{
	struct relay_rig *x = *state;

	come_again(x);
	relay_say_u64(x, VH_MSG_SET_PROTOCOL_FEATURES, VH_BIT(VH_PF_PAGEFAULT));
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	come_again(x);
	relay_say_u64(x, VH_MSG_SET_PROTOCOL_FEATURES, VH_BIT(VH_PF_BACKEND_REQ));
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	come_again(x);
	relay_say_u64(x, VH_MSG_SET_FEATURES, VH_BIT(VH_F_LOG_ALL));
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
}

static void a_vring_that_the_device_does_not_have_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const uint32_t states[] = {VH_MSG_SET_VRING_NUM, VH_MSG_SET_VRING_BASE,
				   VH_MSG_GET_VRING_BASE, VH_MSG_SET_VRING_ENABLE,
				   VH_MSG_SET_VRING_ENDIAN};
	const uint32_t indices[] = {N_VRINGS, 255, 256, 256 + 1, UINT32_MAX};
	struct vh_wire_addr addr = {0};

	for (unsigned i = 0; i < ARRAY_LEN(indices); i++) {
		for (unsigned j = 0; j < ARRAY_LEN(states); j++) {
			come_again(x);
			relay_say_state(x, states[j], indices[i], 1);
			relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
		}
		come_again(x);
		addr.index = indices[i];
		relay_say(x, VH_MSG_SET_VRING_ADDR, PLAIN, &addr, sizeof(addr), NULL, 0);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

static void an_eventfd_for_no_vring_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const unsigned indices[] = {N_VRINGS, 255, 512};
	const int fd = eventfd_new();

	for (uint32_t id = VH_MSG_SET_VRING_KICK; id <= VH_MSG_SET_VRING_ERR; id++) {
		for (unsigned i = 0; i < ARRAY_LEN(indices); i++) {
			come_again(x);
			relay_say_fd(x, id, indices[i], fd);
			relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
		}
		come_again(x);
		relay_say_fd(x, id, 255, -1);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
	close(fd);
}

static void a_device_of_256_vrings_has_them_all(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new();
	eventfd_t n;

	x->params.max_vrings = 1024;
	relay_renew(x);
	come_again(x);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 255, fd);
	relay_next(x, VH_MSG_SET_VRING_CALL);
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_CALL(255));
	assert_int_equal(eventfd_read(fd, &n), 0);
	close(fd);
}

static void anything_but_an_eventfd_is_no_doorbell(void **state)
{
	struct relay_rig *x = *state;

	for (uint32_t id = VH_MSG_SET_VRING_KICK; id <= VH_MSG_SET_VRING_ERR; id++) {
		come_again(x);
		relay_say_fd(x, id, 0, x->memory);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

static void a_doorbell_that_is_full_blocks_nobody(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd(UINT32_MAX - 1, EFD_CLOEXEC); /* blocking */

	assert_int_equal(eventfd_write(fd, UINT64_MAX - UINT32_MAX), 0);
	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, fd);
	vh_relay_ring(x->relay, 0);
	vh_relay_ring(x->relay, 0);
	assert_true(vh_relay_is_up(x->relay));
	close(fd);
}

static void tables_that_make_no_sense_end_the_session(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_region rows[][2] = {
		{{0, 0, 0, 0}, {4096, 4096, 4096, 0}},
		{{0, 8192, 0, 0}, {4096, 4096, 8192, 0}},
		{{UINT64_MAX - 4095, 8192, 0, 0}, {0, 4096, 0, 0}},
		{{0, 4096, UINT64_MAX, 0}, {4096, 4096, 0, 0}},
		{{0, 4096, 0, UINT64_MAX}, {4096, 4096, 0, 0}},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		relay_say_table(x, NEED_REPLY, rows[i], 2, NULL);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
	assert_int_equal(x->window.n_placed, 0);
}

static void a_table_of_nine_regions_or_too_few_fds_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	struct {
		uint32_t n, pad;
		struct vh_wire_region region[9];
	} mem = {.n = 9};
	const int fds[] = {x->memory, x->memory, x->memory};

	for (unsigned i = 0; i < 9; i++)
		mem.region[i] =
			(struct vh_wire_region){i * 4096, 4096, i * 4096, i * 4096};
	come_again(x);
	relay_say(x, VH_MSG_SET_MEM_TABLE, PLAIN, &mem, sizeof(mem), fds, 3);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	x->window.at[1] = 4096;
	for (unsigned n = 0; n <= 3; n++) {
		mem.n = 2;
		come_again(x);
		relay_say(x, VH_MSG_SET_MEM_TABLE, PLAIN, &mem, 8 + 2 * 32, fds, n);
		assert_int_equal(vh_relay_is_up(x->relay), n == 2);
		relay_hang_up(x);
	}
}

static void a_front_end_that_does_not_read_is_dropped(void **state)
{
	struct relay_rig *x = *state;
	static const struct vh_wire_config config = {.size = 4096};
	unsigned n = 0;

	relay_connect(x);
	while (vh_relay_is_up(x->relay)) {
		const struct vh_wire_config ask = {.size = 0};

		x->guest.n = x->guest.read = 0;
		relay_say(x, VH_MSG_GET_CONFIG, PLAIN, &ask, 12, NULL, 0);
		relay_answer(x, VH_MSG_GET_CONFIG, ANSWER, &config, sizeof(config));
		assert_in_range(++n, 1, 100000);
	}
	assert_int_equal(x->guest.why, VH_RELAY_FRONTEND_ERROR);
	assert_int_equal(rig_logged("it does not read"), 1);
}

static void a_flood_of_fds_keeps_one_for_each_vring(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new();
	int n = 0;

	relay_connect(x);
	for (unsigned i = 0; i < 1000; i++) {
		x->guest.n = x->guest.read = 0;
		relay_say_fd(x, VH_MSG_SET_VRING_KICK, i % N_VRINGS, fd);
		relay_say_fd(x, VH_MSG_SET_VRING_CALL, i % N_VRINGS, fd);
		relay_say_fd(x, VH_MSG_SET_VRING_ERR, i % N_VRINGS, fd);
		if (i == N_VRINGS)
			n = rig_count_fds();
	}
	assert_int_equal(rig_count_fds(), n);
	close(fd);
}

/* ---- Drivers ---- */

static void expect_broken(struct relay_rig *x, int err)
{
	assert_int_equal(err, -EPROTO);
	relay_expect_closed(x, VH_RELAY_DRIVER_ERROR);
	assert_int_equal(vh_relay_send(x->relay, "", 0), 0);
}

static void messages_of_the_wrong_length_are_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	const uint32_t whole[] = {VH_MSG_GET_FEATURES, ANSWER, 8, 1, 0, 0};
	const size_t lengths[] = {0, 1, 11, 12, 13, 19, 21, 24};

	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		come_again(x);
		relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
		expect_broken(x, vh_relay_send(x->relay, whole, lengths[i]));
	}
	come_again(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	assert_int_equal(vh_relay_send(x->relay, whole, 20), 0);
}

static void answers_that_make_no_sense_are_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[VH_MAX_PAYLOAD];
	const struct {
		uint32_t id, flags, size;
	} rows[] = {
		{VH_MSG_GET_FEATURES, VH_FLAG_REPLY, 8},
		{VH_MSG_GET_FEATURES, 2 | VH_FLAG_REPLY, 8},
		{VH_MSG_GET_FEATURES, ANSWER | VH_FLAG_NEED_REPLY, 8},
		{VH_MSG_GET_FEATURES, ANSWER | 16, 8},
		{VH_MSG_GET_FEATURES, ANSWER, 0},
		{VH_MSG_GET_FEATURES, ANSWER, 4},
		{VH_MSG_GET_FEATURES, ANSWER, 16},
		{VH_MSG_GET_QUEUE_NUM, ANSWER, 8},
		{VH_MSG_SET_OWNER, ANSWER, 8},
		{0, ANSWER, 8},
		{4711, ANSWER, 8},
		{UINT32_MAX, ANSWER, 8},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
		expect_broken(x, relay_answer(x, rows[i].id, rows[i].flags, payload,
					      rows[i].size));
	}
}

static void a_second_answer_is_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	const uint64_t v = 1;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, v);
	relay_read_u64(x, VH_MSG_GET_FEATURES);
	expect_broken(x, relay_answer(x, VH_MSG_GET_FEATURES, ANSWER, &v, 8));
	come_again(x);
	relay_say(x, 4711, PLAIN, NULL, 0, NULL, 0);
	assert_int_equal(relay_answer(x, 4711, ANSWER, &v, 8), 0);
	relay_read_u64(x, 4711);
	expect_broken(x, relay_answer(x, 4711, ANSWER, &v, 8));
}

static void a_config_that_lies_about_its_size_is_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_config config = {.size = 4096};

	come_again(x);
	relay_say(x, VH_MSG_GET_CONFIG, PLAIN, &(struct vh_wire_config){0}, 12, NULL, 0);
	expect_broken(x, relay_answer(x, VH_MSG_GET_CONFIG, ANSWER, &config, 12));
}

static void requests_that_make_no_sense_are_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	static const uint8_t payload[64];
	const struct {
		uint32_t id, flags, size;
	} rows[] = {
		{VH_MSG_BACKEND_CONFIG_CHANGE_MSG, PLAIN, 8},
		{VH_MSG_BACKEND_CONFIG_CHANGE_MSG, 0, 0},
		{VH_MSG_BACKEND_IOTLB_MSG, PLAIN, 8},
		{VH_MSG_BACKEND_VRING_CALL, PLAIN, 0},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		come_again(x);
		expect_broken(x, relay_answer(x, rows[i].id, rows[i].flags, payload,
					      rows[i].size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(headers_that_make_no_sense_end_the_session),
		RELAY_TEST(a_wrong_size_of_any_message_ends_the_session),
		RELAY_TEST(any_number_of_fds_with_any_message_leaves_none),
		RELAY_TEST(what_a_guest_cannot_serve_is_never_passed_on),
		RELAY_TEST_OLD(what_the_driver_did_not_ask_for_is_never_passed_on),
		RELAY_TEST_OLD(features_that_were_not_offered_end_the_session),
		RELAY_TEST(a_vring_that_the_device_does_not_have_ends_the_session),
		RELAY_TEST(an_eventfd_for_no_vring_ends_the_session),
		RELAY_TEST(a_device_of_256_vrings_has_them_all),
		RELAY_TEST(anything_but_an_eventfd_is_no_doorbell),
		RELAY_TEST(a_doorbell_that_is_full_blocks_nobody),
		RELAY_TEST(tables_that_make_no_sense_end_the_session),
		RELAY_TEST(a_table_of_nine_regions_or_too_few_fds_ends_the_session),
		RELAY_TEST(a_front_end_that_does_not_read_is_dropped),
		RELAY_TEST(a_flood_of_fds_keeps_one_for_each_vring),
		RELAY_TEST(messages_of_the_wrong_length_are_the_drivers_fault),
		RELAY_TEST(answers_that_make_no_sense_are_the_drivers_fault),
		RELAY_TEST(a_second_answer_is_the_drivers_fault),
		RELAY_TEST(a_config_that_lies_about_its_size_is_the_drivers_fault),
		RELAY_TEST(requests_that_make_no_sense_are_the_drivers_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
