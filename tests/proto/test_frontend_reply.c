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
	if (s->goal == VH_GOAL_RUNNING)
		assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
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

/* ---- The inflight area ---- */

/* An area for the two rings of 64 of run_with(). */
#define AREA (2 * (16 + 16 * 64))

static void no_area(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){0};
}

static void an_area_without_counts(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){.size = AREA, .offset = 4096};
}

static void an_area_of_huge_counts(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){
		.size = AREA, .n_queues = 65535, .queue_size = 65535};
}

static void an_area_that_wraps(struct vh_msg *reply)
{
	reply->inflight =
		(struct vh_wire_inflight){.size = AREA, .offset = UINT64_MAX - 7};
}

static void an_area_of_all_there_is(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){.size = UINT64_MAX, .offset = 1};
}

static void an_area_that_is_too_small(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){
		.size = AREA - 1, .n_queues = 2, .queue_size = 64};
}

static void an_area_of_a_byte(struct vh_msg *reply)
{
	reply->inflight = (struct vh_wire_inflight){.size = 1};
}

/* Two rings start, and the back-end says where they are to be tracked. */
static int run_tracked(struct vh_frontend *fe, struct peer *p,
		       void (*spoil_it)(struct vh_msg *reply))
{
	vh_frontend_init(fe, VERSION_1, 0);
	fe->tracks = true;
	assert_int_equal(pursue(fe, p, VH_GOAL_CONNECTED), 0);
	assert_int_equal(vh_frontend_want_region(fe, &rings), 0);
	assert_int_equal(pursue(fe, p, VH_GOAL_MEMORY), 0);
	fe->n_vrings = 2;
	for (unsigned i = 0; i < 2; i++)
		fe->vring[i].num = 64;
	p->spoilt = VH_MSG_GET_INFLIGHT_FD;
	p->spoil = spoil_it;
	return pursue(fe, p, VH_GOAL_RUNNING);
}

static void an_area_is_taken_as_it_was_asked_for(void **state)
{
	static void (*const answers[])(struct vh_msg *) = {an_area_without_counts,
							   an_area_of_huge_counts};
	struct vh_frontend fe;

	for (unsigned i = 0; i < COUNT(answers); i++) {
		struct peer p = ours;
		const struct vh_msg *m;

		assert_int_equal(run_tracked(&fe, &p, answers[i]), 0);
		m = seen(&p, VH_MSG_SET_INFLIGHT_FD);
		assert_non_null(m);
		assert_int_equal(m->inflight.size, AREA);
		assert_int_equal(m->inflight.n_queues, 2);
		assert_int_equal(m->inflight.queue_size, 64);
	}
}

static void an_area_that_makes_no_sense_ends_the_pursuit(void **state)
{
	static void (*const answers[])(struct vh_msg *) = {an_area_that_wraps,
							   an_area_of_all_there_is,
							   an_area_that_is_too_small,
							   an_area_of_a_byte,
							   another_id,
							   another_payload};
	struct vh_frontend fe;

	for (unsigned i = 0; i < COUNT(answers); i++) {
		struct peer p = ours;

		assert_int_equal(run_tracked(&fe, &p, answers[i]), -EPROTO);
		assert_int_equal(fe.inflight.size, 0);
		assert_null(seen(&p, VH_MSG_SET_INFLIGHT_FD));
	}
}

static void a_back_end_that_has_no_area_is_not_given_one(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	assert_int_equal(run_tracked(&fe, &p, no_area), 0);
	assert_null(seen(&p, VH_MSG_SET_INFLIGHT_FD));
	assert_true(fe.vring[1].started);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_answer_ends_the_pursuit),
		cmocka_unit_test(an_answer_that_nobody_waits_for_is_a_breach),
		cmocka_unit_test(features_that_change_in_mid_connection_are_not_taken),
		cmocka_unit_test(a_packed_base_lies_inside_the_ring),
		cmocka_unit_test(config_is_taken_only_as_it_was_asked_for),
		cmocka_unit_test(an_area_is_taken_as_it_was_asked_for),
		cmocka_unit_test(an_area_that_makes_no_sense_ends_the_pursuit),
		cmocka_unit_test(a_back_end_that_has_no_area_is_not_given_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
