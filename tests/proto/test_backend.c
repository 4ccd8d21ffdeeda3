/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end machine: negotiation, and what becomes of requests that break a rule. */
#include "backend_rig.h"

/* ---- Negotiation ---- */

static void questions_are_answered_from_the_offer(void **state)
{
	struct rig r;

	rig_init(&r);
	send_none(&r, VH_MSG_GET_FEATURES);
	expect_u64(&r, OFFERED);
	send_none(&r, VH_MSG_GET_PROTOCOL_FEATURES);
	expect_u64(&r, PROTOCOL_OFFERED);
	negotiate(&r);
	send_none(&r, VH_MSG_GET_QUEUE_NUM);
	expect_u64(&r, N_VRINGS / 2);
	send_none(&r, VH_MSG_GET_MAX_MEM_SLOTS);
	expect_u64(&r, VH_MAX_SLOTS);
	send_none(&r, VH_MSG_GET_STATUS);
	expect_u64(&r, 0);
}

static void need_reply_does_not_answer_a_question_twice(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_none(&r, VH_MSG_GET_FEATURES);
	expect_u64(&r, OFFERED);
}

static void features_reach_the_device_before_they_are_acknowledged(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1);
	expect_action(&r, VH_ACTION_SET_FEATURES);
	assert_int_equal(r.b.features, BIT30 | VERSION_1);
	done(&r, 0);
	expect_ack(&r, 0);
	assert_true(r.b.has_features);
}

static void a_feature_that_was_not_offered_is_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | VH_BIT(34));
	expect_ack(&r, 1);
	assert_int_equal(r.b.features, BIT30 | VERSION_1);
	r.ask = false;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | VH_BIT(34));
	expect_closed(&r);
}

static void features_that_the_device_refuses_leave_the_old_ones_in_force(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | VH_BIT(5));
	done(&r, -22);
	expect_ack(&r, 1);
	assert_int_equal(r.b.features, BIT30 | VERSION_1);
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1);
	expect_ack(&r, 0);
}

static void
the_first_features_are_told_to_the_device_even_when_there_are_none(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, 0);
	expect_action(&r, VH_ACTION_SET_FEATURES);
	done(&r, -22);
	expect_closed(&r);
}

static void the_log_bit_does_not_concern_the_device(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | LOG_ALL);
	expect_over(&r);
	assert_int_equal(r.b.features, BIT30 | VERSION_1 | LOG_ALL);
}

static void the_same_features_again_change_nothing(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1);
	expect_ack(&r, 0);
	expect_queues(&r.fx.views, 0);
}

static void only_the_log_bit_may_change_while_a_ring_runs(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | VH_BIT(5));
	expect_ack(&r, 1);
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | LOG_ALL);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
	go_on(&r);
	expect_ack(&r, 0);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1 | LOG_ALL);
	expect_ack(&r, 1);
}

static void without_bit_30_every_ring_is_enabled(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1);
	assert_false(r.b.vring[0].enabled);
	go_on(&r);
	for (unsigned q = 0; q < N_VRINGS; q++)
		assert_true(r.b.vring[q].enabled);
	assert_false(r.b.vring[N_VRINGS].enabled);
}

static void a_ring_disabled_without_bit_30_stays_so_when_the_log_goes_on(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1);
	go_on(&r);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 1, 0);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1 | LOG_ALL);
	assert_true(r.b.vring[0].enabled);
	assert_false(r.b.vring[1].enabled);
}

static void with_bit_30_rings_begin_disabled(void **state)
{
	struct rig r;

	rig_init_running(&r);
	assert_false(r.b.vring[0].enabled);
}

static void a_protocol_feature_that_was_not_offered_closes(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, VH_BIT(VH_PF_XEN_MMAP));
	expect_closed(&r);
	assert_int_equal(r.b.protocol_features, 0);
}

static void inband_notifications_need_what_they_are_made_of(void **state)
{
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.protocol_features |= VH_BIT(VH_PF_INBAND_NOTIFICATIONS);
	rig_init_offer(&r, offer);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES,
		 VH_BIT(VH_PF_INBAND_NOTIFICATIONS) | VH_BIT(VH_PF_REPLY_ACK));
	expect_closed(&r);
}

static void protocol_features_are_frozen_once_one_was_used(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate_with(&r, VH_BIT(VH_PF_MQ));
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	expect_over(&r);
	send_none(&r, VH_MSG_GET_QUEUE_NUM);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	expect_over(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, VH_BIT(VH_PF_MQ));
	expect_closed(&r);
}

static void protocol_features_need_bit_30_to_be_offered(void **state)
{
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.features = VERSION_1;
	rig_init_offer(&r, offer);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 1);
	expect_ignored(&r);
	send_none(&r, VH_MSG_GET_PROTOCOL_FEATURES);
	expect_closed(&r);
}

static void protocol_features_do_not_change_while_a_ring_runs(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	expect_closed(&r);
}

/* ---- Acks ---- */

static void need_reply_means_nothing_before_reply_ack_is_negotiated(void **state)
{
	struct rig r;

	rig_init(&r);
	r.ask = true;
	send_none(&r, VH_MSG_SET_OWNER);
	expect_over(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, VH_BIT(VH_PF_MQ));
	expect_over(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, OFFERED | VH_BIT(34));
	expect_closed(&r);
}

static void the_message_that_negotiates_reply_ack_is_acknowledged(void **state)
{
	struct rig r;

	rig_init(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	expect_ack(&r, 0);
	send_none(&r, VH_MSG_SET_OWNER);
	expect_ack(&r, 0);
	send_none(&r, VH_MSG_RESET_OWNER);
	expect_ack(&r, 0);
}

/* ---- Rules that are broken ---- */

static void an_unknown_message_closes_unless_an_ack_can_refuse_it(void **state)
{
	static const uint32_t unknown[] = {0, 46, 63, 64, 99, UINT32_MAX};
	struct rig r;

	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		rig_init(&r);
		negotiate(&r);
		r.ask = true;
		send_none(&r, unknown[i]);
		expect_ack(&r, 1);
		r.ask = false;
		send_none(&r, unknown[i]);
		expect_closed(&r);
	}
}

static void a_reply_that_nobody_waits_for_closes(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_msg(&r, VH_MSG_GET_FEATURES)->is_reply = true;
	rig_send(&r);
	expect_closed(&r);
}

static void a_request_of_the_other_channel_closes(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_msg(&r, VH_MSG_BACKEND_CONFIG_CHANGE_MSG)->channel = VH_CHANNEL_BACKEND;
	rig_send(&r);
	expect_closed(&r);
}

static const uint32_t gated[] = {
	VH_MSG_GET_QUEUE_NUM,	     VH_MSG_SEND_RARP,
	VH_MSG_NET_SET_MTU,	     VH_MSG_SET_BACKEND_REQ_FD,
	VH_MSG_SET_VRING_ENDIAN,     VH_MSG_GET_CONFIG,
	VH_MSG_SET_CONFIG,	     VH_MSG_CREATE_CRYPTO_SESSION,
	VH_MSG_POSTCOPY_ADVISE,	     VH_MSG_POSTCOPY_LISTEN,
	VH_MSG_POSTCOPY_END,	     VH_MSG_GET_INFLIGHT_FD,
	VH_MSG_SET_INFLIGHT_FD,	     VH_MSG_RESET_DEVICE,
	VH_MSG_VRING_KICK,	     VH_MSG_GET_MAX_MEM_SLOTS,
	VH_MSG_ADD_MEM_REG,	     VH_MSG_REM_MEM_REG,
	VH_MSG_SET_STATUS,	     VH_MSG_GET_STATUS,
	VH_MSG_GET_SHARED_OBJECT,    VH_MSG_SET_DEVICE_STATE_FD,
	VH_MSG_CHECK_DEVICE_STATE,   VH_MSG_GET_SHMEM_CONFIG,
	VH_MSG_CLOSE_CRYPTO_SESSION, VH_MSG_GET_VRING_BASE_SKIP_DRAIN,
};

static void a_message_needs_its_protocol_feature(void **state)
{
	struct rig r;

	for (unsigned i = 0; i < sizeof(gated) / sizeof(gated[0]); i++) {
		rig_init(&r);
		negotiate_with(&r, VH_BIT(VH_PF_REPLY_ACK));
		r.ask = true;
		send_none(&r, gated[i]);
		assert_non_null(r.fx.warn);
		assert_non_null(strstr(r.fx.warn, "not negotiated"));
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close || (r.fx.reply && r.fx.reply_u64) ||
			    r.fx.reply_empty);
	}
}

static void a_refusal_names_the_feature_that_is_missing(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_none(&r, VH_MSG_GET_INFLIGHT_FD);
	expect_closed(&r);
	assert_non_null(strstr(r.fx.warn, "INFLIGHT_SHMFD"));
}

static void what_is_offered_by_mistake_is_refused_all_the_same(void **state)
{
	static const uint32_t id[] = {VH_MSG_POSTCOPY_ADVISE,
				      VH_MSG_SET_INFLIGHT_FD,
				      VH_MSG_SET_VRING_ENDIAN,
				      VH_MSG_GET_SHMEM_CONFIG,
				      VH_MSG_GET_VRING_BASE_SKIP_DRAIN,
				      VH_MSG_IOTLB_MSG,
				      VH_MSG_GPU_SET_SOCKET};
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.protocol_features = VH_BIT(VH_PF_COUNT) - 1;
	for (unsigned i = 0; i < sizeof(id) / sizeof(id[0]); i++) {
		rig_init_offer(&r, offer);
		negotiate_with(&r, offer.protocol_features);
		send_none(&r, id[i]);
		expect_closed(&r);
	}
}

static void a_message_after_set_features_does_not_come_before_it(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	r.ask = true;
	send_none(&r, VH_MSG_IOTLB_MSG);
	expect_ack(&r, 1);
	assert_string_equal(r.fx.warn, "comes before SET_FEATURES");
}

static void out_of_order_is_ignored_and_logged_once(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 2);
	expect_ignored(&r);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 2);
	expect_over(&r);
	send_u64(&r, VH_MSG_NET_SET_MTU, 1);
	expect_ignored(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 2);
	expect_ack(&r, 1);
}

static void a_strict_machine_closes_on_every_violation(void **state)
{
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.strict = true;
	rig_init_offer(&r, offer);
	negotiate(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 2);
	expect_closed(&r);
}

static void after_a_close_nothing_but_the_end_is_heard(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 77, 0);
	expect_closed(&r);
	send_none(&r, VH_MSG_GET_FEATURES);
	expect_silence(&r);
	broken(&r, 0);
	expect_silence(&r);
	config_changed(&r);
	expect_silence(&r);
	gone(&r);
	expect_queues(&r.fx.views, 3);
}

static void a_message_that_comes_too_early_has_no_effects(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_FEATURES, 0);
	send_none(&r, VH_MSG_GET_FEATURES);
	expect_silence(&r);
	assert_int_equal(r.b.request, VH_MSG_SET_FEATURES);
}

static void more_vrings_than_there_can_be_are_not_believed(void **state)
{
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.n_vrings = UINT16_MAX;
	rig_init_offer(&r, offer);
	negotiate(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, VH_MAX_VRINGS, 0);
	expect_closed(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_answered_from_the_offer),
		cmocka_unit_test(need_reply_does_not_answer_a_question_twice),
		cmocka_unit_test(features_reach_the_device_before_they_are_acknowledged),
		cmocka_unit_test(a_feature_that_was_not_offered_is_refused),
		cmocka_unit_test(
			features_that_the_device_refuses_leave_the_old_ones_in_force),
		cmocka_unit_test(
			the_first_features_are_told_to_the_device_even_when_there_are_none),
		cmocka_unit_test(the_log_bit_does_not_concern_the_device),
		cmocka_unit_test(the_same_features_again_change_nothing),
		cmocka_unit_test(only_the_log_bit_may_change_while_a_ring_runs),
		cmocka_unit_test(without_bit_30_every_ring_is_enabled),
		cmocka_unit_test(
			a_ring_disabled_without_bit_30_stays_so_when_the_log_goes_on),
		cmocka_unit_test(with_bit_30_rings_begin_disabled),
		cmocka_unit_test(a_protocol_feature_that_was_not_offered_closes),
		cmocka_unit_test(inband_notifications_need_what_they_are_made_of),
		cmocka_unit_test(protocol_features_are_frozen_once_one_was_used),
		cmocka_unit_test(protocol_features_need_bit_30_to_be_offered),
		cmocka_unit_test(protocol_features_do_not_change_while_a_ring_runs),
		cmocka_unit_test(need_reply_means_nothing_before_reply_ack_is_negotiated),
		cmocka_unit_test(the_message_that_negotiates_reply_ack_is_acknowledged),
		cmocka_unit_test(an_unknown_message_closes_unless_an_ack_can_refuse_it),
		cmocka_unit_test(a_reply_that_nobody_waits_for_closes),
		cmocka_unit_test(a_request_of_the_other_channel_closes),
		cmocka_unit_test(a_message_needs_its_protocol_feature),
		cmocka_unit_test(a_refusal_names_the_feature_that_is_missing),
		cmocka_unit_test(what_is_offered_by_mistake_is_refused_all_the_same),
		cmocka_unit_test(a_message_after_set_features_does_not_come_before_it),
		cmocka_unit_test(out_of_order_is_ignored_and_logged_once),
		cmocka_unit_test(a_strict_machine_closes_on_every_violation),
		cmocka_unit_test(after_a_close_nothing_but_the_end_is_heard),
		cmocka_unit_test(a_message_that_comes_too_early_has_no_effects),
		cmocka_unit_test(more_vrings_than_there_can_be_are_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
