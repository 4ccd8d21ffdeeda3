/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end machine: what it says to which back-end, and in which order. */
#include "frontend_rig.h"

/* ---- Negotiation ---- */

static void a_full_back_end_is_asked_for_all_that_we_use(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	EXPECT_SEEN(&p, VH_MSG_SET_OWNER, VH_MSG_GET_FEATURES,
		    VH_MSG_GET_PROTOCOL_FEATURES, VH_MSG_SET_PROTOCOL_FEATURES,
		    VH_MSG_GET_QUEUE_NUM, VH_MSG_GET_MAX_MEM_SLOTS,
		    VH_MSG_SET_BACKEND_REQ_FD, VH_MSG_SET_FEATURES, VH_MSG_SET_STATUS,
		    VH_MSG_GET_STATUS);
	assert_int_equal(fe.protocol_features, VH_FRONTEND_FEATURES);
	assert_int_equal(fe.offered_protocol_features, ALL_PF);
	assert_int_equal(fe.features, BIT30 | VERSION_1);
	assert_int_equal(fe.queue_num, 4);
	assert_int_equal(fe.memory_slots, VH_MAX_SLOTS);
}

static void libvhost_user_is_asked_for_what_it_offers(void **state)
{
	struct peer p = {BIT30 | VERSION_1, LIBVHOST_USER_PF, 1, 32};
	struct vh_frontend fe;

	connect_to(&fe, &p);
	EXPECT_SEEN(&p, VH_MSG_SET_OWNER, VH_MSG_GET_FEATURES,
		    VH_MSG_GET_PROTOCOL_FEATURES, VH_MSG_SET_PROTOCOL_FEATURES,
		    VH_MSG_GET_QUEUE_NUM, VH_MSG_GET_MAX_MEM_SLOTS,
		    VH_MSG_SET_BACKEND_REQ_FD, VH_MSG_SET_FEATURES);
	assert_int_equal(fe.memory_slots, 32);
}

static void dpdk_is_asked_for_what_it_offers(void **state)
{
	struct peer p = {BIT30 | VERSION_1, DPDK_PF, 128, 0};
	struct vh_frontend fe;

	connect_to(&fe, &p);
	EXPECT_SEEN(&p, VH_MSG_SET_OWNER, VH_MSG_GET_FEATURES,
		    VH_MSG_GET_PROTOCOL_FEATURES, VH_MSG_SET_PROTOCOL_FEATURES,
		    VH_MSG_GET_QUEUE_NUM, VH_MSG_SET_BACKEND_REQ_FD, VH_MSG_SET_FEATURES,
		    VH_MSG_SET_STATUS, VH_MSG_GET_STATUS);
	assert_int_equal(fe.memory_slots, 8);
}

static void without_protocol_features_only_old_messages_are_sent(void **state)
{
	struct peer p = {VERSION_1, ALL_PF, 4, 32};
	struct vh_frontend fe;

	connect_to(&fe, &p);
	EXPECT_SEEN(&p, VH_MSG_SET_OWNER, VH_MSG_GET_FEATURES, VH_MSG_SET_FEATURES,
		    VH_MSG_GET_FEATURES);
	assert_int_equal(fe.features, VERSION_1);
	assert_int_equal(fe.protocol_features, 0);
}

static void without_acks_a_question_at_the_end_takes_their_place(void **state)
{
	struct peer p = {BIT30, ALL_PF & ~VH_BIT(VH_PF_REPLY_ACK), 4, 32};
	struct vh_frontend fe;

	run_with(&fe, &p);
	assert_int_equal(p.seen[p.n - 1].id, VH_MSG_GET_FEATURES);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
	assert_int_equal(p.seen[p.n - 1].id, VH_MSG_GET_FEATURES);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_SETTLED), 0);
	EXPECT_SEEN(&p, VH_MSG_GET_FEATURES);
}

static void with_acks_every_request_without_an_answer_asks_for_one(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	run_with(&fe, &p);
	for (unsigned i = 0; i < p.n; i++)
		assert_true(p.seen[i].need_reply);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_SETTLED), 0);
	assert_int_equal(p.n, 0);
}

static void nothing_is_acknowledged_but_what_is_offered_and_wanted(void **state)
{
	struct peer p = {BIT30 | VERSION_1 | PACKED | VH_BIT(VH_F_LOG_ALL), ALL_PF, 4, 9};
	struct vh_frontend fe;

	vh_frontend_init(&fe, VERSION_1 | VH_BIT(5) | VH_BIT(VH_F_LOG_ALL), 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_CONNECTED), 0);
	assert_int_equal(seen(&p, VH_MSG_SET_FEATURES)->u64, BIT30 | VERSION_1);
	assert_int_equal(seen(&p, VH_MSG_SET_PROTOCOL_FEATURES)->u64,
			 VH_FRONTEND_FEATURES);
	assert_int_equal(fe.offered_features, p.features);
}

static void a_back_end_without_a_required_feature_is_turned_down(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	vh_frontend_init(&fe, VERSION_1 | PACKED, PACKED);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_CONNECTED), -EPROTO);
	assert_null(seen(&p, VH_MSG_SET_FEATURES));
}

static void more_slots_than_we_can_use_are_cut_down(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	p.slots = UINT64_MAX;
	connect_to(&fe, &p);
	assert_int_equal(fe.memory_slots, VH_MAX_SLOTS);
}

static void the_status_says_driver_ok_only_when_rings_run(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	assert_false(p.status & VIRTIO_CONFIG_S_DRIVER_OK);
	run_with(&fe, &p);
	assert_true(p.status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void a_shell_may_ask_first_and_choose_features_later(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	vh_frontend_init(&fe, VERSION_1, 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_OFFERED), 0);
	assert_int_equal(p.seen[p.n - 1].id, VH_MSG_SET_BACKEND_REQ_FD);
	assert_false(fe.has_features);
	fe.features = BIT30;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_FEATURES), 0);
	EXPECT_SEEN(&p, VH_MSG_SET_FEATURES, VH_MSG_SET_STATUS, VH_MSG_GET_STATUS);
	assert_int_equal(p.seen[0].u64, BIT30);
	assert_true(fe.has_features);
}

static void clear_status(struct vh_msg *reply)
{
	reply->u64 = 0;
}

static void a_set_of_features_that_is_refused_is_no_end_of_the_talk(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	p.spoilt = VH_MSG_GET_STATUS;
	p.spoil = clear_status;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_FEATURES), -EREMOTEIO);
	p.spoilt = 0;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_FEATURES), 0);
}

/* ---- Memory ---- */

static void memory_goes_into_slots_one_region_at_a_time(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	assert_int_equal(vh_frontend_want_region(&fe, &ram), 0);
	assert_int_equal(vh_frontend_want_region(&fe, &rings), 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_MEMORY), 0);
	EXPECT_SEEN(&p, VH_MSG_ADD_MEM_REG, VH_MSG_ADD_MEM_REG);
	assert_memory_equal(&p.seen[0].mem_reg.region, &ram, sizeof(ram));
	assert_memory_equal(&p.seen[1].mem_reg.region, &rings, sizeof(rings));
	assert_int_equal(pursue(&fe, &p, VH_GOAL_MEMORY), 0);
	assert_int_equal(p.n, 0);
}

static void without_slots_all_memory_goes_into_one_table(void **state)
{
	struct peer p = {BIT30, DPDK_PF, 2, 0};
	struct vh_frontend fe;

	connect_to(&fe, &p);
	assert_int_equal(vh_frontend_want_region(&fe, &ram), 0);
	assert_int_equal(vh_frontend_want_region(&fe, &rings), 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_MEMORY), 0);
	EXPECT_SEEN(&p, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(p.seen[0].mem.n, 2);
	assert_memory_equal(&p.seen[0].mem.region[1], &rings, sizeof(rings));
	assert_int_equal(pursue(&fe, &p, VH_GOAL_MEMORY), 0);
	assert_int_equal(p.n, 0);
}

static void a_region_goes_before_another_takes_its_place(void **state)
{
	struct vh_wire_region other = rings;
	struct vh_frontend fe;
	struct peer p = ours;

	run_with(&fe, &p);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
	other.size *= 2;
	vh_frontend_drop_region(&fe, rings.gpa);
	assert_int_equal(vh_frontend_want_region(&fe, &other), 0);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_MEMORY), 0);
	EXPECT_SEEN(&p, VH_MSG_REM_MEM_REG, VH_MSG_ADD_MEM_REG);
	assert_memory_equal(&p.seen[0].mem_reg.region, &rings, sizeof(rings));
	assert_memory_equal(&p.seen[1].mem_reg.region, &other, sizeof(other));
}

static void a_back_end_with_one_slot_gets_one_region(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	p.slots = 1;
	connect_to(&fe, &p);
	assert_int_equal(vh_frontend_want_region(&fe, &ram), 0);
	assert_int_equal(vh_frontend_want_region(&fe, &rings), -ENOSPC);
}

static void a_back_end_gets_as_many_regions_as_it_has_slots(void **state)
{
	struct vh_wire_region r = {.size = 0x1000};
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	for (unsigned i = 0; i < VH_MAX_SLOTS; i++) {
		r.gpa = r.uva = i * 0x1000;
		assert_int_equal(vh_frontend_want_region(&fe, &r), 0);
	}
	r.gpa = r.uva = VH_MAX_SLOTS * 0x1000;
	assert_int_equal(vh_frontend_want_region(&fe, &r), -ENOSPC);
}

/* ---- Rings ---- */

static void rings_start_one_by_one_and_are_enabled_afterwards(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	run_with(&fe, &p);
	EXPECT_SEEN(&p, VH_MSG_SET_VRING_NUM, VH_MSG_SET_VRING_BASE,
		    VH_MSG_SET_VRING_ADDR, VH_MSG_SET_VRING_CALL, VH_MSG_SET_VRING_ERR,
		    VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_NUM, VH_MSG_SET_VRING_BASE,
		    VH_MSG_SET_VRING_ADDR, VH_MSG_SET_VRING_CALL, VH_MSG_SET_VRING_ERR,
		    VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_ENABLE,
		    VH_MSG_SET_VRING_ENABLE, VH_MSG_SET_STATUS);
	assert_int_equal(p.seen[6].state.index, 1);
	assert_int_equal(p.seen[6].state.num, 64);
	assert_int_equal(p.seen[7].state.num, 4);
	assert_int_equal(p.seen[8].addr.index, 1);
	assert_int_equal(p.seen[8].addr.desc, 0x8001000);
	assert_int_equal(p.seen[11].u64, 1);
	assert_int_equal(p.seen[13].state.num, 1);
}

static void without_protocol_features_nothing_is_enabled(void **state)
{
	struct peer p = {VERSION_1};
	struct vh_frontend fe;

	run_with(&fe, &p);
	assert_null(seen(&p, VH_MSG_SET_VRING_ENABLE));
	assert_int_equal(p.seen[p.n - 2].id, VH_MSG_SET_VRING_KICK);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
	EXPECT_SEEN(&p, VH_MSG_GET_VRING_BASE, VH_MSG_GET_VRING_BASE,
		    VH_MSG_GET_FEATURES);
}

static void rings_are_stopped_before_they_are_disabled(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	run_with(&fe, &p);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_STOPPED), 0);
	EXPECT_SEEN(&p, VH_MSG_GET_VRING_BASE, VH_MSG_GET_VRING_BASE,
		    VH_MSG_SET_VRING_ENABLE, VH_MSG_SET_VRING_ENABLE);
	assert_int_equal(p.seen[2].state.num, 0);
	assert_int_equal(fe.vring[1].base, 7);
	assert_false(fe.vring[1].started);
}

static void an_idle_ring_is_not_started(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	connect_to(&fe, &p);
	fe.n_vrings = 2;
	fe.vring[0].idle = true;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_RUNNING), 0);
	assert_int_equal(seen(&p, VH_MSG_SET_VRING_KICK)->u64, 1);
	assert_int_equal(seen(&p, VH_MSG_SET_VRING_ENABLE)->state.index, 1);
	assert_false(fe.vring[0].started);
	assert_true(fe.vring[1].started);
}

static void a_ring_that_becomes_idle_is_stopped_and_others_run_on(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;

	run_with(&fe, &p);
	fe.vring[1].idle = true;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_RUNNING), 0);
	EXPECT_SEEN(&p, VH_MSG_GET_VRING_BASE, VH_MSG_SET_VRING_ENABLE,
		    VH_MSG_SET_STATUS);
	assert_int_equal(p.seen[0].state.index, 1);
	fe.vring[1].idle = false;
	assert_int_equal(pursue(&fe, &p, VH_GOAL_RUNNING), 0);
	assert_int_equal(seen(&p, VH_MSG_SET_VRING_NUM)->state.index, 1);
	assert_int_equal(seen(&p, VH_MSG_SET_VRING_BASE)->state.num, 7);
}

static void a_reset_device_gets_its_features_again_before_it_runs(void **state)
{
	struct vh_frontend fe;
	struct peer p = ours;
	const char *why;
	struct vh_msg m;

	run_with(&fe, &p);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_RESET_DEVICE);
	assert_int_equal(vh_frontend_ask(&fe, &m), 0);
	assert_int_equal(tell(&fe, &p, &m, &why), 0);
	assert_false(fe.vring[0].started);
	assert_int_equal(pursue(&fe, &p, VH_GOAL_RUNNING), 0);
	assert_int_equal(p.seen[0].id, VH_MSG_SET_FEATURES);
	assert_int_equal(p.seen[0].u64, BIT30 | VERSION_1);
	assert_int_equal(p.seen[1].id, VH_MSG_SET_VRING_NUM);
}

/* ---- Requests beside the goals ---- */

static void a_request_whose_feature_is_missing_is_not_sent(void **state)
{
	static const uint32_t ids[] = {VH_MSG_GET_CONFIG,   VH_MSG_SET_CONFIG,
				       VH_MSG_RESET_DEVICE, VH_MSG_SEND_RARP,
				       VH_MSG_NET_SET_MTU,  VH_MSG_SET_VRING_ENABLE};
	struct peer p = {VERSION_1};
	struct vh_frontend fe;
	struct vh_msg m;

	connect_to(&fe, &p);
	for (unsigned i = 0; i < COUNT(ids); i++) {
		vh_msg_init(&m, VH_CHANNEL_MAIN, ids[i]);
		assert_int_equal(vh_frontend_ask(&fe, &m), -ENOTSUP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_back_end_is_asked_for_all_that_we_use),
		cmocka_unit_test(libvhost_user_is_asked_for_what_it_offers),
		cmocka_unit_test(dpdk_is_asked_for_what_it_offers),
		cmocka_unit_test(without_protocol_features_only_old_messages_are_sent),
		cmocka_unit_test(without_acks_a_question_at_the_end_takes_their_place),
		cmocka_unit_test(with_acks_every_request_without_an_answer_asks_for_one),
		cmocka_unit_test(nothing_is_acknowledged_but_what_is_offered_and_wanted),
		cmocka_unit_test(a_back_end_without_a_required_feature_is_turned_down),
		cmocka_unit_test(more_slots_than_we_can_use_are_cut_down),
		cmocka_unit_test(the_status_says_driver_ok_only_when_rings_run),
		cmocka_unit_test(a_shell_may_ask_first_and_choose_features_later),
		cmocka_unit_test(a_set_of_features_that_is_refused_is_no_end_of_the_talk),
		cmocka_unit_test(a_back_end_gets_as_many_regions_as_it_has_slots),
		cmocka_unit_test(memory_goes_into_slots_one_region_at_a_time),
		cmocka_unit_test(without_slots_all_memory_goes_into_one_table),
		cmocka_unit_test(a_region_goes_before_another_takes_its_place),
		cmocka_unit_test(a_back_end_with_one_slot_gets_one_region),
		cmocka_unit_test(rings_start_one_by_one_and_are_enabled_afterwards),
		cmocka_unit_test(without_protocol_features_nothing_is_enabled),
		cmocka_unit_test(rings_are_stopped_before_they_are_disabled),
		cmocka_unit_test(an_idle_ring_is_not_started),
		cmocka_unit_test(a_ring_that_becomes_idle_is_stopped_and_others_run_on),
		cmocka_unit_test(a_reset_device_gets_its_features_again_before_it_runs),
		cmocka_unit_test(a_request_whose_feature_is_missing_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
