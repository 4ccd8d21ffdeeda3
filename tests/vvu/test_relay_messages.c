/* SPDX-License-Identifier: BSD-3-Clause */
/* What messages of a front-end mean on the host, and what its answers become. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

static const struct vh_wire_region regions[] = {
	{0, 0x10000, 0x7f0000000000, 0},
	{0x100000000, 0x20000, 0x7f0100000000, 0x20000},
};

/* ---- Features ---- */

static void a_request_has_12_bytes_and_its_answer_is_filtered(void **state)
{
	struct relay_rig *x = *state;

	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	assert_int_equal(relay_next(x, VH_MSG_GET_FEATURES)->len, 12);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, UINT64_MAX);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_FEATURES),
			 ~(VH_BIT(VH_F_LOG_ALL) | VH_BIT(VIRTIO_F_ACCESS_PLATFORM)));
}

static void reply_ack_passes_the_filter_and_pagefault_does_not(void **state)
{
	struct relay_rig *x = *state;
	uint64_t passed;

	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_PROTOCOL_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_PROTOCOL_FEATURES, UINT64_MAX);
	passed = relay_read_u64(x, VH_MSG_GET_PROTOCOL_FEATURES);
	assert_true(passed & VH_BIT(VH_PF_REPLY_ACK));
	assert_true(passed & VH_BIT(VH_PF_CONFIG));
	assert_false(passed & VH_BIT(VH_PF_PAGEFAULT));
	assert_false(passed & VH_BIT(VH_PF_BACKEND_REQ));
}

static void without_an_area_there_is_neither_log_nor_inflight(void **state)
{
	struct relay_rig *x = *state;
	uint64_t passed;

	x->params.area = NULL;
	relay_renew(x);
	vh_relay_set_driver(x->relay, ALL_FEATURES, 4096);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_PROTOCOL_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_PROTOCOL_FEATURES, UINT64_MAX);
	passed = relay_read_u64(x, VH_MSG_GET_PROTOCOL_FEATURES);
	assert_false(passed & VH_BIT(VH_PF_LOG_SHMFD));
	assert_false(passed & VH_BIT(VH_PF_INFLIGHT_SHMFD));
	assert_true(passed & VH_BIT(VH_PF_BACKEND_REQ));
}

static void queues_are_no_more_than_the_device_has(void **state)
{
	struct relay_rig *x = *state;

	x->params.pairs = 2;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_QUEUE_NUM, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_QUEUE_NUM, 100);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_QUEUE_NUM), N_VRINGS / 2);
}

/* ---- Messages that are only passed on ---- */

static void bytes_are_passed_on_as_they_came(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_addr addr = {3, 1, 0x1000, 0x2000, 0x3000, 0x4000};
	const struct delivered *d;

	relay_connect(x);
	relay_say(x, VH_MSG_SET_VRING_ADDR, NEED_REPLY, &addr, sizeof(addr), NULL, 0);
	d = relay_next(x, VH_MSG_SET_VRING_ADDR);
	assert_int_equal(d->header.flags, NEED_REPLY);
	assert_int_equal(d->header.size, sizeof(addr));
	assert_memory_equal(d->payload, &addr, sizeof(addr));
}

static void what_nobody_knows_is_passed_on_and_answered(void **state)
{
	struct relay_rig *x = *state;
	const uint32_t payload[] = {1, 2, 3};
	uint32_t id, flags, got[8];

	relay_connect(x);
	relay_say(x, 4711, PLAIN, payload, sizeof(payload), NULL, 0);
	assert_memory_equal(relay_next(x, 4711)->payload, payload, sizeof(payload));
	assert_int_equal(relay_answer(x, 4711, ANSWER, payload, sizeof(payload)), 0);
	assert_int_equal(peer_read(x->fd, &id, &flags, got, sizeof(got), NULL, NULL),
			 sizeof(payload));
	assert_int_equal(id, 4711);
	assert_memory_equal(got, payload, sizeof(payload));
	relay_say(x, 4711, PLAIN, payload, sizeof(payload), NULL, 0);
	assert_int_equal(relay_answer(x, 4711, ANSWER | NEED_REPLY, payload, 4), -EPROTO);
}

static void an_answer_may_skip_what_was_asked_before(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_say(x, VH_MSG_GET_QUEUE_NUM, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_QUEUE_NUM, 2);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_QUEUE_NUM), 2);
}

static void an_answer_of_ours_is_not_lost_with_what_was_skipped(void **state)
{
	struct relay_rig *x = *state;
	const int log = eventfd_new();

	vh_relay_set_driver(x->relay, 0, 1024);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_say(x, VH_MSG_SET_LOG_FD, NEED_REPLY, NULL, 0, &log, 1);
	relay_say(x, VH_MSG_GET_QUEUE_NUM, PLAIN, NULL, 0, NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_QUEUE_NUM, 2);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_LOG_FD), 0);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_QUEUE_NUM), 2);
	close(log);
}

static void sessions_of_crypto_are_passed_as_bytes(void **state)
{
	struct relay_rig *x = *state;
	const uint8_t bytes[] = "a session of whatever form that may have";
	uint8_t got[sizeof(bytes)];
	uint32_t id, flags;

	relay_connect(x);
	relay_say(x, VH_MSG_CREATE_CRYPTO_SESSION, PLAIN, bytes, sizeof(bytes), NULL, 0);
	assert_memory_equal(relay_next(x, VH_MSG_CREATE_CRYPTO_SESSION)->payload, bytes,
			    sizeof(bytes));
	relay_answer(x, VH_MSG_CREATE_CRYPTO_SESSION, ANSWER, bytes, sizeof(bytes));
	assert_int_equal(peer_read(x->fd, &id, &flags, got, sizeof(got), NULL, NULL),
			 sizeof(got));
	assert_memory_equal(got, bytes, sizeof(bytes));
}

static void a_typed_request_may_be_answered_by_a_nack(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_inflight a = {.n_queues = 1, .queue_size = 128};

	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_INFLIGHT_SHMFD) | VH_BIT(VH_PF_REPLY_ACK));
	relay_say(x, VH_MSG_GET_INFLIGHT_FD, NEED_REPLY, &a, sizeof(a), NULL, 0);
	relay_answer_u64(x, VH_MSG_GET_INFLIGHT_FD, 1);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_INFLIGHT_FD), 1);
}

/* ---- Memory ---- */

/* Where a driver of the rule "sum" looks for region @i of the message. */
static uint64_t place_of(const struct delivered *d, unsigned i)
{
	struct vh_wire_mem mem;
	uint64_t at = 0;

	memcpy(&mem, d->payload, sizeof(mem));
	for (unsigned j = 0; j < i; j++)
		at += mem.region[j].offset + mem.region[j].size;
	return at + mem.region[i].offset;
}

static void a_table_is_placed_and_then_told_with_its_places(void **state)
{
	struct relay_rig *x = *state;
	const struct delivered *d;

	x->window.at[0] = 0x3000;
	x->window.at[1] = 0x100000;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 2, NULL);
	assert_string_equal(x->guest.order, "UTM");
	d = relay_next(x, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(d->header.size, 8 + 2 * 32);
	assert_int_equal(place_of(d, 0), 0x3000);
	assert_int_equal(place_of(d, 1), 0x100000);
	assert_int_equal(x->guest.table.n, 2);
	assert_int_equal(x->guest.table.region[1].at, 0x100000);
	assert_int_equal(x->guest.table.region[1].gpa, regions[1].gpa);
}

static void a_table_that_needs_time_holds_what_comes_behind_it(void **state)
{
	struct relay_rig *x = *state;

	x->window.result = -EINPROGRESS;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 1, NULL);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_expect_nothing(x);
	*x->window.table = (struct vh_window_table){
		.n = 1, .region = {{0, 0x10000, 0x7f0000000000, 0x5000}}};
	x->window.done(x->window.arg, 0);
	assert_int_equal(place_of(relay_next(x, VH_MSG_SET_MEM_TABLE), 0), 0x5000);
	relay_next(x, VH_MSG_GET_FEATURES);
	assert_string_equal(x->guest.order, "UTMM");
}

static void a_table_that_comes_too_late_is_told_to_nobody(void **state)
{
	struct relay_rig *x = *state;

	x->window.result = -EINPROGRESS;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 1, NULL);
	relay_hang_up(x);
	x->window.done(x->window.arg, 0);
	relay_expect_nothing(x);
	assert_string_equal(x->guest.order, "UD");
	vh_relay_set_ready(x->relay, true);
	assert_int_equal(x->window.n_dropped, 1);
}

static void a_table_that_cannot_be_placed_is_nacked_and_not_told(void **state)
{
	struct relay_rig *x = *state;

	x->window.result = -ENOSPC;
	relay_connect(x);
	relay_say_table(x, NEED_REPLY, regions, 2, NULL);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_MEM_TABLE), 1);
	relay_expect_nothing(x);
	x->window.result = -EINPROGRESS;
	relay_say_table(x, NEED_REPLY, regions, 2, NULL);
	x->window.done(x->window.arg, -EIO);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_MEM_TABLE), 1);
	relay_expect_nothing(x);
	assert_true(vh_relay_is_up(x->relay));
	assert_string_equal(x->guest.order, "U");
}

static void a_table_that_cannot_be_placed_ends_a_session_without_acks(void **state)
{
	struct relay_rig *x = *state;

	x->window.result = -ENOSPC;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 2, NULL);
	relay_expect_refused(x, VH_RELAY_WINDOW_TOO_SMALL);
	vh_relay_set_ready(x->relay, true);
	x->window.result = -EINVAL;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 2, NULL);
	relay_expect_refused(x, VH_RELAY_CANNOT_MAP);
}

static void verbatim_tables_are_for_windows_that_suit(void **state)
{
	struct relay_rig *x = *state;

	x->params.layout = VH_LAYOUT_VERBATIM;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	x->window.at[1] = 0x10000 + 0x20000;
	relay_connect(x);
	relay_say_table(x, PLAIN, regions, 2, NULL);
	assert_memory_equal(relay_next(x, VH_MSG_SET_MEM_TABLE)->payload + 8, regions,
			    sizeof(regions));
	x->window.at[1] = 0x20000;
	relay_say_table(x, NEED_REPLY, regions, 2, NULL);
	relay_expect_refused(x, VH_RELAY_CANNOT_MAP);
}

/* ---- The start of a front-end as QEMU has it today ---- */

static void expect_ack(struct relay_rig *x, uint32_t id)
{
	relay_next(x, id);
	relay_answer_u64(x, id, 0);
	assert_int_equal(relay_read_u64(x, id), 0);
}

static void start_ring(struct relay_rig *x, unsigned i, int kick_fd, int call, int err)
{
	const struct vh_wire_addr addr = {.index = i, .desc = 0x7f0000000000};

	relay_say_fd(x, VH_MSG_SET_VRING_ERR, i, err);
	relay_next(x, VH_MSG_SET_VRING_ERR);
	relay_say_state(x, VH_MSG_SET_VRING_NUM, i, 256);
	relay_next(x, VH_MSG_SET_VRING_NUM);
	relay_say_state(x, VH_MSG_SET_VRING_BASE, i, 0);
	relay_next(x, VH_MSG_SET_VRING_BASE);
	relay_say(x, VH_MSG_SET_VRING_ADDR, NEED_REPLY, &addr, sizeof(addr), NULL, 0);
	expect_ack(x, VH_MSG_SET_VRING_ADDR);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, i, kick_fd);
	relay_next(x, VH_MSG_SET_VRING_KICK);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, i, call);
	relay_next(x, VH_MSG_SET_VRING_CALL);
	relay_say_state(x, VH_MSG_SET_VRING_ENABLE, i, 1);
	relay_next(x, VH_MSG_SET_VRING_ENABLE);
}

static void a_modern_front_end_starts(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_config config = {.size = 60};
	uint8_t answer[12 + 60];
	const int fd = eventfd_new();
	uint32_t id, flags;

	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_REPLY_ACK) |
				   VH_BIT(VH_PF_CONFIG) | VH_BIT(VH_PF_STATUS));
	relay_say(x, VH_MSG_GET_CONFIG, PLAIN, &config, 12 + 60, NULL, 0);
	relay_next(x, VH_MSG_GET_CONFIG);
	relay_answer(x, VH_MSG_GET_CONFIG, ANSWER, &config, 12 + 60);
	assert_int_equal(
		peer_read(x->fd, &id, &flags, answer, sizeof(answer), NULL, NULL),
		12 + 60);
	x->window.at[1] = 0x10000;
	relay_say_table(x, NEED_REPLY, regions, 2, NULL);
	expect_ack(x, VH_MSG_SET_MEM_TABLE);
	for (unsigned i = 0; i < 2; i++)
		start_ring(x, i, fd, fd, fd);
	relay_say_u64(x, VH_MSG_SET_STATUS, 15);
	relay_next(x, VH_MSG_SET_STATUS);
	relay_expect_nothing(x);
	assert_true(vh_relay_is_up(x->relay));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST_OLD(a_request_has_12_bytes_and_its_answer_is_filtered),
		RELAY_TEST_OLD(reply_ack_passes_the_filter_and_pagefault_does_not),
		RELAY_TEST(without_an_area_there_is_neither_log_nor_inflight),
		RELAY_TEST(queues_are_no_more_than_the_device_has),
		RELAY_TEST(bytes_are_passed_on_as_they_came),
		RELAY_TEST(what_nobody_knows_is_passed_on_and_answered),
		RELAY_TEST(an_answer_may_skip_what_was_asked_before),
		RELAY_TEST(an_answer_of_ours_is_not_lost_with_what_was_skipped),
		RELAY_TEST(sessions_of_crypto_are_passed_as_bytes),
		RELAY_TEST(a_typed_request_may_be_answered_by_a_nack),
		RELAY_TEST(a_table_is_placed_and_then_told_with_its_places),
		RELAY_TEST(a_table_that_needs_time_holds_what_comes_behind_it),
		RELAY_TEST(a_table_that_comes_too_late_is_told_to_nobody),
		RELAY_TEST(a_table_that_cannot_be_placed_is_nacked_and_not_told),
		RELAY_TEST(a_table_that_cannot_be_placed_ends_a_session_without_acks),
		RELAY_TEST(verbatim_tables_are_for_windows_that_suit),
		RELAY_TEST(a_modern_front_end_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
