/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end machine: messages for the device. */
#include "backend_rig.h"

/* ---- Config space ---- */

static void config_space_is_answered_when_it_was_read(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	send_config(&r, VH_MSG_GET_CONFIG, 0, 60);
	expect_action(&r, VH_ACTION_READ_CONFIG);
	done(&r, 0);
	assert_true(r.fx.reply && r.fx.next && !r.fx.reply_empty);
	assert_int_equal(r.fx.reply_payload, VH_PAYLOAD_CONFIG);
}

static void config_space_that_cannot_be_read_is_answered_empty(void **state)
{
	static const uint32_t bad[][2] = {{0, VH_MAX_CONFIG + 1},
					  {UINT32_MAX, 1},
					  {0, UINT32_MAX},
					  {0xfffffff0, 0x20}};
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_config(&r, VH_MSG_GET_CONFIG, 4000, 60);
	done(&r, -22);
	assert_true(r.fx.reply && r.fx.reply_empty && r.fx.next);
	for (unsigned i = 0; i < 4; i++) {
		send_config(&r, VH_MSG_GET_CONFIG, bad[i][0], bad[i][1]);
		assert_true(r.fx.reply && r.fx.reply_empty && r.fx.next);
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
	}
}

static void all_of_4096_bytes_may_be_asked_for(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_config(&r, VH_MSG_GET_CONFIG, 0, VH_MAX_CONFIG);
	expect_action(&r, VH_ACTION_READ_CONFIG);
}

static void who_has_shared_memory_tells_its_size(void **state)
{
	struct vh_offer offer = rig_offer();
	struct rig r;

	offer.protocol_features |= VH_BIT(VH_PF_SHMEM);
	offer.shmem = 4096;
	rig_init_offer(&r, offer);
	negotiate_with(&r, offer.protocol_features);
	send_none(&r, VH_MSG_GET_SHMEM_CONFIG);
	assert_true(r.fx.reply && r.fx.next);
	assert_int_equal(r.fx.reply_payload, VH_PAYLOAD_SHMEM);
}

static void config_space_is_written(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_config(&r, VH_MSG_SET_CONFIG, 32, 1);
	expect_action(&r, VH_ACTION_WRITE_CONFIG);
	done(&r, 0);
	expect_ack(&r, 0);
	send_config(&r, VH_MSG_SET_CONFIG, 32, 1);
	done(&r, -22);
	expect_ack(&r, 1);
	r.ask = false;
	send_config(&r, VH_MSG_SET_CONFIG, 32, 1);
	done(&r, -22);
	expect_over(&r);
}

static void
config_space_is_not_written_beyond_a_message_or_with_unknown_flags(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_config(&r, VH_MSG_SET_CONFIG, 0, VH_MAX_CONFIG + 1);
	expect_ack(&r, 1);
	rig_msg(&r, VH_MSG_SET_CONFIG)->config.flags = 2;
	rig_send(&r);
	expect_ack(&r, 1);
}

/* ---- News of config space ---- */

static void give_channel(struct rig *r)
{
	send_none(r, VH_MSG_SET_BACKEND_REQ_FD);
	expect_action(r, VH_ACTION_TAKE_FD);
	go_on(r);
	assert_true(r->b.has_channel);
}

static void a_config_change_is_told_once(void **state)
{
	struct rig r;

	rig_init_running(&r);
	give_channel(&r);
	config_changed(&r);
	assert_true(r.fx.notify_config);
	assert_false(r.fx.next);
	send_none(&r, VH_MSG_GET_FEATURES);
	assert_false(r.fx.notify_config);
}

static void a_config_change_is_told_after_the_answer(void **state)
{
	struct rig r;

	rig_init_running(&r);
	give_channel(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	config_changed(&r);
	config_changed(&r);
	expect_silence(&r);
	settle(&r, 0);
	assert_true(r.fx.reply && r.fx.notify_config && r.fx.next);
	send_none(&r, VH_MSG_GET_FEATURES);
	assert_false(r.fx.notify_config);
}

static void a_suspended_device_tells_when_a_ring_starts(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	give_channel(&r);
	give_memory(&r);
	config_changed(&r);
	expect_silence(&r);
	place_ring(&r, 0, UVA_A);
	send_u64(&r, VH_MSG_SET_VRING_KICK, 0);
	done(&r, 0);
	assert_false(r.fx.notify_config);
	settle(&r, 0);
	assert_true(r.fx.notify_config);
}

static void a_config_change_waits_for_the_channel(void **state)
{
	struct rig r;

	rig_init_running(&r);
	config_changed(&r);
	expect_silence(&r);
	send_none(&r, VH_MSG_SET_BACKEND_REQ_FD);
	done(&r, 0);
	assert_true(r.fx.notify_config);
}

static void a_front_end_without_config_is_not_told(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate_with(&r, VH_BIT(VH_PF_BACKEND_REQ));
	give_memory(&r);
	start_ring(&r, 0);
	give_channel(&r);
	config_changed(&r);
	expect_silence(&r);
}

static void a_channel_may_be_replaced(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	give_channel(&r);
	give_channel(&r);
	send_none(&r, VH_MSG_SET_BACKEND_REQ_FD);
	done(&r, -22);
	expect_closed(&r);
}

/* ---- Status and reset ---- */

static void a_status_is_kept(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_STATUS, 0xf);
	expect_ack(&r, 0);
	send_none(&r, VH_MSG_GET_STATUS);
	expect_u64(&r, 0xf);
	send_u64(&r, VH_MSG_SET_STATUS, 0x100);
	expect_ack(&r, 1);
	assert_true(vh_backend_runs(&r.b, 0));
}

/* @base: where the two rings stopped that ran */
static void expect_reset(const struct rig *r, uint32_t base)
{
	struct vh_vring unset = {.fresh = true};

	assert_true(r->fx.reset_device);
	assert_int_equal(r->b.status, 0);
	for (unsigned q = 0; q < N_VRINGS; q++) {
		unset.base = q < 2 ? base : 0;
		assert_memory_equal(&r->b.vring[q], &unset, sizeof(unset));
	}
}

static void a_reset_is_answered_when_every_queue_has_drained(void **state)
{
	static const uint32_t id[] = {VH_MSG_RESET_DEVICE, VH_MSG_SET_STATUS};
	struct rig r;

	for (unsigned i = 0; i < 2; i++) {
		rig_init_running(&r);
		send_u64(&r, VH_MSG_SET_STATUS, 0xf);
		r.ask = true;
		send_u64(&r, id[i], 0);
		expect_views(&r, 3, VH_SETTLE_DRAINED);
		assert_false(r.fx.reset_device);
		settle_at(&r, 0, 3);
		expect_silence(&r);
		settle_at(&r, 1, 3);
		expect_ack(&r, 0);
		expect_reset(&r, 3);
		assert_int_equal(r.b.n_regions, 1);
	}
}

static void a_reset_of_a_device_that_does_not_run_is_answered_at_once(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_u64(&r, VH_MSG_SET_STATUS, 0);
	expect_over(&r);
	expect_reset(&r, 0);
}

/* QEMU before 8.0 does this each time that it pauses a guest. */
static void a_base_can_be_asked_for_after_a_reset(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_u64(&r, VH_MSG_SET_STATUS, 0);
	settle_at(&r, 0, 7);
	settle_at(&r, 1, 9);
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	assert_int_equal(r.fx.reply_state.num, 7);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	assert_int_equal(r.fx.reply_state.num, 9);
}

static void a_ring_that_was_reset_starts_at_0_or_where_it_is_told(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	settle_at(&r, 0, 7);
	settle_at(&r, 1, 9);
	send_state(&r, VH_MSG_SET_VRING_BASE, 1, 9);
	start_ring(&r, 0);
	start_ring(&r, 1);
	assert_int_equal(r.b.vring[0].base, 0);
	assert_int_equal(r.b.vring[1].base, 9);
}

static void a_reset_device_is_told_its_features_again(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	go_on(&r);
	assert_int_equal(r.b.features, BIT30 | VERSION_1);
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1);
	expect_action(&r, VH_ACTION_SET_FEATURES);
}

static void a_reset_disables_rings_until_features_without_bit_30_come(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_PROTOCOL_FEATURES, PROTOCOL_OFFERED);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1);
	go_on(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	assert_false(r.b.vring[0].enabled);
	send_u64(&r, VH_MSG_SET_FEATURES, VERSION_1);
	go_on(&r);
	assert_true(r.b.vring[0].enabled);
}

static void reset_owner_leaves_rings_alone(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_none(&r, VH_MSG_RESET_OWNER);
	expect_over(&r);
	assert_true(vh_backend_runs(&r.b, 0));
}

/* ---- Network ---- */

static void a_rarp_is_sent(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SEND_RARP, 0x563412005452);
	expect_action(&r, VH_ACTION_SEND_RARP);
	done(&r, 0);
	expect_ack(&r, 0);
}

static void an_mtu_is_one_that_ethernet_has(void **state)
{
	static const uint64_t bad[] = {0, 67, 65536, 0x100000044, UINT64_MAX};
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	for (unsigned i = 0; i < 5; i++) {
		send_u64(&r, VH_MSG_NET_SET_MTU, bad[i]);
		expect_ack(&r, 1);
	}
	send_u64(&r, VH_MSG_NET_SET_MTU, 68);
	expect_action(&r, VH_ACTION_SET_MTU);
	go_on(&r);
	send_u64(&r, VH_MSG_NET_SET_MTU, 65535);
	go_on(&r);
	expect_ack(&r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_space_is_answered_when_it_was_read),
		cmocka_unit_test(config_space_that_cannot_be_read_is_answered_empty),
		cmocka_unit_test(all_of_4096_bytes_may_be_asked_for),
		cmocka_unit_test(who_has_shared_memory_tells_its_size),
		cmocka_unit_test(config_space_is_written),
		cmocka_unit_test(
			config_space_is_not_written_beyond_a_message_or_with_unknown_flags),
		cmocka_unit_test(a_config_change_is_told_once),
		cmocka_unit_test(a_config_change_is_told_after_the_answer),
		cmocka_unit_test(a_suspended_device_tells_when_a_ring_starts),
		cmocka_unit_test(a_config_change_waits_for_the_channel),
		cmocka_unit_test(a_front_end_without_config_is_not_told),
		cmocka_unit_test(a_channel_may_be_replaced),
		cmocka_unit_test(a_status_is_kept),
		cmocka_unit_test(a_reset_is_answered_when_every_queue_has_drained),
		cmocka_unit_test(
			a_reset_of_a_device_that_does_not_run_is_answered_at_once),
		cmocka_unit_test(a_base_can_be_asked_for_after_a_reset),
		cmocka_unit_test(a_ring_that_was_reset_starts_at_0_or_where_it_is_told),
		cmocka_unit_test(a_reset_device_is_told_its_features_again),
		cmocka_unit_test(
			a_reset_disables_rings_until_features_without_bit_30_come),
		cmocka_unit_test(reset_owner_leaves_rings_alone),
		cmocka_unit_test(a_rarp_is_sent),
		cmocka_unit_test(an_mtu_is_one_that_ethernet_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
