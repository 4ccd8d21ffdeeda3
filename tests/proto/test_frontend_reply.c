/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end machine: what it does not let a hostile back-end tell it. */
#include "frontend_rig.h"

static void another_id(struct vh_msg *reply)
{
	reply->id++;
}

static void not_a_reply(struct vh_msg *reply)
{
	reply->is_reply = false;
}

static void another_payload(struct vh_msg *reply)
{
	reply->payload = VH_PAYLOAD_CONFIG;
}

static void on_the_other_channel(struct vh_msg *reply)
{
	reply->channel = VH_CHANNEL_BACKEND;
}

static void nothing_at_all(struct vh_msg *reply)
{
	reply->u64 = 0;
}

static void a_huge_number(struct vh_msg *reply)
{
	reply->u64 = UINT64_MAX;
}

static void another_index(struct vh_msg *reply)
{
	reply->state.index ^= 1;
}

static void a_huge_base(struct vh_msg *reply)
{
	reply->state.num = 0x10000;
}

static const struct spoilt_answer {
	enum vh_goal goal;
	uint32_t id;
	void (*spoil)(struct vh_msg *reply);
	int err;
} spoilt_answers[] = {
	{VH_GOAL_CONNECTED, VH_MSG_GET_FEATURES, another_id, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_FEATURES, not_a_reply, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_FEATURES, another_payload, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_FEATURES, on_the_other_channel, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_QUEUE_NUM, nothing_at_all, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_QUEUE_NUM, a_huge_number, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_MAX_MEM_SLOTS, nothing_at_all, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_SET_FEATURES, a_huge_number, -EREMOTEIO},
	{VH_GOAL_CONNECTED, VH_MSG_SET_FEATURES, another_id, -EPROTO},
	{VH_GOAL_CONNECTED, VH_MSG_GET_STATUS, nothing_at_all, -EREMOTEIO},
	{VH_GOAL_MEMORY, VH_MSG_ADD_MEM_REG, a_huge_number, -EREMOTEIO},
	{VH_GOAL_RUNNING, VH_MSG_SET_VRING_KICK, a_huge_number, -EREMOTEIO},
	{VH_GOAL_STOPPED, VH_MSG_GET_VRING_BASE, another_index, -EPROTO},
	{VH_GOAL_STOPPED, VH_MSG_GET_VRING_BASE, a_huge_base, -EPROTO},
	{VH_GOAL_STOPPED, VH_MSG_GET_VRING_BASE, another_payload, -EPROTO},
};

/* Everything up to the goal goes well, then one answer is wrong. */
static int spoil(const struct spoilt_answer *s)
{
	struct vh_frontend fe;
	struct peer p = ours;

	if (s->goal == VH_GOAL_CONNECTED) {
		vh_frontend_init(&fe, VERSION_1, 0);
	} else if (s->goal == VH_GOAL_MEMORY) {
		connect_to(&fe, &p);
		assert_int_equal(vh_frontend_want_region(&fe, &ram), 0);
	} else {
		run_with(&fe, &p);
	}
	p.spoilt = s->id;
	p.spoil = s->spoil;
	return pursue(&fe, &p, s->goal);
}

static void a_wrong_answer_ends_the_pursuit(void **state)
{
	for (unsigned i = 0; i < COUNT(spoilt_answers); i++)
		assert_int_equal(spoil(&spoilt_answers[i]), spoilt_answers[i].err);
}

static void an_answer_that_nobody_waits_for_is_a_breach(void **state)
{
	struct vh_msg m, reply;
	struct vh_frontend fe;
	struct peer p = ours;
	const char *why;

	connect_to(&fe, &p);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	answer(&p, &m, &reply);
	assert_int_equal(vh_frontend_reply(&fe, &reply, &why), -EPROTO);
}

static void features_that_change_in_mid_connection_are_not_taken(void **state)
{
	struct peer p = {BIT30 | VERSION_1, ALL_PF & ~VH_BIT(VH_PF_REPLY_ACK), 4, 9};
	struct vh_frontend fe;

	connect_to(&fe, &p);
	p.features = UINT64_MAX;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_SETTLED), 0);
	assert_int_equal(fe.features, BIT30 | VERSION_1);
	assert_int_equal(fe.offered_features, BIT30 | VERSION_1);
}

static void a_packed_base_lies_inside_the_ring(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	p.features |= PACKED;
	vh_frontend_init(&fe, PACKED, 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_CONNECTED), 0);
	fe.vring[0].started = true;
	fe.vring[0].num = 8; /* the peer says 7, in the lower half */
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
	fe.vring[0].started = true;
	fe.vring[0].num = 7;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), -EPROTO);
}

/* Ask for config, and have the answer changed by @spoil_it. */
static int ask_config(void (*spoil_it)(struct vh_msg *reply))
{
	struct vh_frontend fe;
	struct peer p = ours;
	const char *why;
	struct vh_msg m;

	connect_to(&fe, &p);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.offset = 4;
	m.config.size = 8;
	assert_int_equal(vh_frontend_ask(&fe, &m), 0);
	p.spoilt = spoil_it ? VH_MSG_GET_CONFIG : 0;
	p.spoil = spoil_it;
	return tell(&fe, &p, &m, &why);
}

static void more_config(struct vh_msg *reply)
{
	reply->config.size = 4096;
}

static void other_config(struct vh_msg *reply)
{
	reply->config.offset = 0;
}

static void no_config(struct vh_msg *reply)
{
	reply->empty = true;
}

static void config_is_taken_only_as_it_was_asked_for(void **state)
{
	assert_int_equal(ask_config(NULL), 0);
	assert_int_equal(ask_config(more_config), -EPROTO);
	assert_int_equal(ask_config(other_config), -EPROTO);
	assert_int_equal(ask_config(no_config), -EREMOTEIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_answer_ends_the_pursuit),
		cmocka_unit_test(an_answer_that_nobody_waits_for_is_a_breach),
		cmocka_unit_test(features_that_change_in_mid_connection_are_not_taken),
		cmocka_unit_test(a_packed_base_lies_inside_the_ring),
		cmocka_unit_test(config_is_taken_only_as_it_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
