/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of the driver: on its two queues here, on a channel of their own there. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <string.h>

#define CONFIG_CHANGED VH_MSG_BACKEND_CONFIG_CHANGE_MSG

/* The front-end's end of the channel. */
static int open_channel(struct relay_rig *x)
{
	int pair[2];

	peer_pair(pair);
	relay_say(x, VH_MSG_SET_BACKEND_REQ_FD, PLAIN, NULL, 0, &pair[1], 1);
	relay_next(x, VH_MSG_SET_BACKEND_REQ_FD);
	close(pair[1]);
	return pair[0];
}

static int start(struct relay_rig *x)
{
	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_REPLY_ACK) |
				   VH_BIT(VH_PF_CONFIG));
	return open_channel(x);
}

static void expect_request(int channel, uint32_t id, uint32_t flags)
{
	uint32_t got, got_flags;
	uint8_t payload[64];

	assert_true(peer_read(channel, &got, &got_flags, payload, sizeof(payload), NULL,
			      NULL) >= 0);
	assert_int_equal(got, id);
	assert_int_equal(got_flags, flags);
}

static void expect_ack(struct relay_rig *x, uint32_t id, uint64_t value)
{
	const struct delivered *d = relay_next(x, id);

	assert_int_equal(d->header.flags, ANSWER);
	assert_int_equal(d->header.size, 8);
	assert_memory_equal(d->payload, &value, 8);
}

static void requests_go_to_the_channel_and_answers_come_back(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	const uint64_t zero = 0;

	assert_int_equal(relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0), 0);
	relay_expect_silence(x);
	expect_request(channel, CONFIG_CHANGED, NEED_REPLY);
	peer_send(channel, CONFIG_CHANGED, ANSWER, &zero, 8, NULL, 0);
	expect_ack(x, CONFIG_CHANGED, 0);
	assert_int_equal(relay_answer(x, CONFIG_CHANGED, PLAIN, NULL, 0), 0);
	expect_request(channel, CONFIG_CHANGED, PLAIN);
	relay_expect_nothing(x);
	close(channel);
}

static void requests_that_need_fds_are_refused(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	static const uint8_t payload[64];
	const struct {
		uint32_t id, size;
	} rows[] = {{VH_MSG_BACKEND_VRING_HOST_NOTIFIER_MSG, 24},
		    {VH_MSG_BACKEND_SHARED_OBJECT_ADD, 16},
		    {VH_MSG_BACKEND_SHARED_OBJECT_REMOVE, 16},
		    {VH_MSG_BACKEND_SHARED_OBJECT_LOOKUP, 16},
		    {VH_MSG_BACKEND_SHMEM_MAP, 40},
		    {VH_MSG_BACKEND_SHMEM_UNMAP, 40},
		    {77, 64}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
			relay_answer(x, rows[i].id, PLAIN, payload, rows[i].size), 0);
		relay_expect_nothing(x);
		assert_int_equal(
			relay_answer(x, rows[i].id, NEED_REPLY, payload, rows[i].size),
			0);
		expect_ack(x, rows[i].id, 1);
	}
	assert_false(fd_is_readable(channel, 0));
	close(channel);
}

static void requests_before_the_channel_reach_nobody(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	assert_int_equal(relay_answer(x, CONFIG_CHANGED, PLAIN, NULL, 0), 0);
	relay_expect_nothing(x);
	assert_int_equal(relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0), 0);
	expect_ack(x, CONFIG_CHANGED, 1);
	relay_expect_silence(x);
}

static void requests_without_the_feature_are_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;

	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	assert_int_equal(relay_answer(x, CONFIG_CHANGED, PLAIN, NULL, 0), -EPROTO);
	relay_expect_closed(x, VH_RELAY_DRIVER_ERROR);
}

static void a_channel_without_the_feature_is_kept_from_the_driver(void **state)
{
	struct relay_rig *x = *state;
	int pair[2];

	vh_relay_set_ready(x->relay, true);
	peer_pair(pair);
	relay_connect(x);
	relay_say(x, VH_MSG_SET_BACKEND_REQ_FD, NEED_REPLY, NULL, 0, &pair[1], 1);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	close(pair[1]);
	assert_true(peer_is_closed(pair[0]));
	close(pair[0]);
}

static void answers_wait_for_buffers(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	uint64_t value;

	x->guest.buffers = 0;
	for (value = 0; value < 20; value++) {
		relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0);
		peer_send(channel, CONFIG_CHANGED, ANSWER, &value, 8, NULL, 0);
	}
	relay_say(x, VH_MSG_SET_OWNER, PLAIN, NULL, 0, NULL, 0);
	relay_expect_nothing(x);
	for (value = 0; value < 20; value++) {
		x->guest.buffers = 1;
		vh_relay_room(x->relay);
		expect_ack(x, CONFIG_CHANGED, value);
		relay_expect_nothing(x);
	}
	x->guest.buffers = 1;
	vh_relay_room(x->relay);
	relay_next(x, VH_MSG_SET_OWNER);
	close(channel);
}

static void an_answer_that_nobody_waits_for_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	const uint64_t zero = 0;

	peer_send(channel, CONFIG_CHANGED, ANSWER, &zero, 8, NULL, 0);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	close(channel);
}

static void an_answer_to_something_else_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	const uint64_t zero = 0;

	relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0);
	peer_send(channel, VH_MSG_BACKEND_IOTLB_MSG, ANSWER, &zero, 8, NULL, 0);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	close(channel);
}

static void a_driver_cannot_ask_without_end(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	unsigned n = 0;

	while (relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0) == 0)
		assert_in_range(++n, 1, 100);
	relay_expect_closed(x, VH_RELAY_DRIVER_ERROR);
	close(channel);
}

static void a_driver_that_floods_the_channel_loses_its_session(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);
	unsigned n = 0;

	while (vh_relay_is_up(x->relay)) {
		assert_int_equal(relay_answer(x, CONFIG_CHANGED, PLAIN, NULL, 0), 0);
		assert_in_range(++n, 1, 1000000);
	}
	relay_expect_closed(x, VH_RELAY_FRONTEND_ERROR);
	assert_int_equal(rig_logged("it does not read"), 1);
	close(channel);
}

static void a_new_channel_owes_nothing_of_the_old_one(void **state)
{
	struct relay_rig *x = *state;
	const int old = start(x);
	const uint64_t zero = 0;
	int channel;

	for (unsigned i = 0; i < 10; i++)
		relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0);
	channel = open_channel(x);
	close(old);
	relay_answer(x, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, NEED_REPLY, NULL, 0);
	expect_request(channel, CONFIG_CHANGED, NEED_REPLY);
	peer_send(channel, CONFIG_CHANGED, ANSWER, &zero, 8, NULL, 0);
	expect_ack(x, CONFIG_CHANGED, 0);
	peer_send(channel, CONFIG_CHANGED, ANSWER, &zero, 8, NULL, 0);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	close(channel);
}

static void a_channel_that_is_closed_is_not_the_end(void **state)
{
	struct relay_rig *x = *state;
	const int channel = start(x);

	close(channel);
	relay_drive(x);
	assert_int_equal(relay_answer(x, CONFIG_CHANGED, NEED_REPLY, NULL, 0), 0);
	expect_ack(x, CONFIG_CHANGED, 1);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_FEATURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(requests_go_to_the_channel_and_answers_come_back),
		RELAY_TEST(requests_that_need_fds_are_refused),
		RELAY_TEST(requests_before_the_channel_reach_nobody),
		RELAY_TEST_OLD(requests_without_the_feature_are_the_drivers_fault),
		RELAY_TEST_OLD(a_channel_without_the_feature_is_kept_from_the_driver),
		RELAY_TEST(answers_wait_for_buffers),
		RELAY_TEST(an_answer_that_nobody_waits_for_ends_the_session),
		RELAY_TEST(an_answer_to_something_else_ends_the_session),
		RELAY_TEST(a_driver_cannot_ask_without_end),
		RELAY_TEST(a_driver_that_floods_the_channel_loses_its_session),
		RELAY_TEST(a_new_channel_owes_nothing_of_the_old_one),
		RELAY_TEST(a_channel_that_is_closed_is_not_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
