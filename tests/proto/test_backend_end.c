/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end machine: broken rings, the end of the link, and news that is late. */
#include "backend_rig.h"

/* ---- Broken rings ---- */

static void a_broken_ring_stops_the_device_and_signals_its_errors(void **state)
{
	struct rig r;

	rig_init_running(&r);
	broken(&r, 1);
	expect_views(&r, 3, VH_SETTLE_DRAINED);
	expect_queues(&r.fx.err, 3);
	settle_at(&r, 0, 7);
	expect_silence(&r);
	settle_at(&r, 1, 9);
	expect_over(&r);
	assert_true(r.fx.release);
	assert_true(r.b.vring[0].broken && r.b.vring[1].broken);
	assert_int_equal(r.b.vring[0].base, 7);
}

static void a_broken_ring_does_not_run_until_it_was_stopped(void **state)
{
	struct rig r;

	rig_init_running(&r);
	broken(&r, 0);
	go_on(&r);
	kick_ring(&r, 0);
	assert_false(vh_backend_runs(&r.b, 0));
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	assert_true(r.fx.reply);
	kick_ring(&r, 0);
	assert_true(vh_backend_runs(&r.b, 0));
}

static void a_fault_during_a_request_waits_for_its_answer(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 1, 1);
	broken(&r, 0);
	expect_silence(&r);
	settle(&r, 1);
	assert_true(r.fx.reply);
	assert_false(r.fx.next);
	assert_false(r.fx.release);
	expect_queues(&r.fx.views, 3);
	assert_int_equal(r.fx.settle, VH_SETTLE_DRAINED);
	expect_queues(&r.fx.err, 3);
	go_on(&r);
	assert_false(r.fx.reply);
	assert_true(r.fx.release);
}

static void a_fault_during_an_action_that_fails_comes_after_it(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_VRING_CALL, 0);
	broken(&r, 0);
	done(&r, -22);
	assert_true(r.fx.reply && r.fx.reply_u64);
	expect_queues(&r.fx.views, 3);
	go_on(&r);
}

static void a_fault_of_the_ring_that_is_being_stopped_stops_the_others(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	broken(&r, 0);
	settle_at(&r, 0, 3);
	assert_int_equal(r.fx.reply_state.num, 3);
	expect_queues(&r.fx.views, 1 << 1);
	go_on(&r);
	assert_false(r.b.vring[0].broken);
	assert_true(r.b.vring[1].broken);
}

static void a_reset_overtakes_a_fault_that_waits(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	broken(&r, 0);
	go_on(&r);
	expect_over(&r);
	assert_true(r.fx.reset_device);
	assert_false(r.b.vring[0].broken);
}

static void news_of_a_ring_that_does_not_run_is_late(void **state)
{
	struct rig r;

	rig_init_running(&r);
	broken(&r, 2);
	expect_silence(&r);
	broken(&r, N_VRINGS);
	expect_silence(&r);
	broken(&r, UINT32_MAX);
	expect_silence(&r);
	broken(&r, 0);
	broken(&r, 1);
	expect_silence(&r);
	go_on(&r);
	expect_over(&r);
}

/* ---- The end ---- */

static void when_the_link_goes_every_queue_stops_first(void **state)
{
	struct rig r;

	rig_init_running(&r);
	gone(&r);
	expect_views(&r, 3, VH_SETTLE_DRAINED);
	assert_false(r.fx.gone);
	gone(&r);
	expect_silence(&r);
	settle(&r, 1);
	expect_silence(&r);
	settle(&r, 0);
	assert_true(r.fx.gone && r.fx.release);
	assert_false(r.fx.next || r.fx.reply);
	assert_int_equal(r.b.phase, VH_PHASE_GONE);
}

static void a_link_without_rings_is_gone_at_once(void **state)
{
	struct rig r;

	rig_init(&r);
	gone(&r);
	assert_true(r.fx.gone && r.fx.release);
}

static void an_action_that_ends_after_the_link_went_is_late(void **state)
{
	const struct vh_wire_region a = region_a();
	struct rig r;

	rig_init(&r);
	send_table(&r, 1, &a);
	gone(&r);
	assert_true(r.fx.gone);
	done(&r, 0);
	expect_silence(&r);
	assert_int_equal(r.b.n_regions, 0);
}

static void a_request_under_way_is_abandoned_when_the_link_goes(void **state)
{
	const struct vh_wire_region b = region_b();
	uint8_t old;
	struct rig r;

	rig_init_running(&r);
	send_table(&r, 1, &b);
	done(&r, 0);
	old = r.b.ticket;
	gone(&r);
	expect_views(&r, 3, VH_SETTLE_DRAINED);
	assert_int_not_equal(r.b.ticket, old);
	rig_event(&r, (struct vh_backend_event){.type = VH_EV_SETTLED, .ticket = old});
	expect_silence(&r);
	settle(&r, 0);
	settle(&r, 1);
	assert_true(r.fx.gone);
	assert_false(r.fx.reply);
}

/* Its reactor still has the ring, though to the front-end it has stopped. */
static void a_queue_that_is_stopping_is_waited_for_when_the_link_goes(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	gone(&r);
	expect_views(&r, 3, VH_SETTLE_DRAINED);
	settle(&r, 0);
	assert_false(r.fx.gone);
	settle(&r, 1);
	assert_true(r.fx.gone);
}

static void a_fault_that_waits_is_forgotten_when_the_link_goes(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	broken(&r, 0);
	gone(&r);
	settle(&r, 0);
	settle(&r, 1);
	assert_true(r.fx.gone);
	expect_queues(&r.fx.err, 0);
}

static void after_the_end_nothing_has_effects(void **state)
{
	struct rig r;

	rig_init_running(&r);
	gone(&r);
	settle(&r, 0);
	settle(&r, 1);
	for (enum vh_event_type t = VH_EV_MESSAGE; t <= VH_EV_GONE; t++) {
		rig_msg(&r, VH_MSG_GET_FEATURES);
		rig_event(&r, (struct vh_backend_event){
				      .type = t, .msg = &r.m, .ticket = r.b.ticket});
		expect_silence(&r);
		assert_int_equal(r.b.phase, VH_PHASE_GONE);
	}
}

static void a_queue_settles_once_and_for_its_own_ticket(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	settle(&r, 0);
	settle(&r, 0);
	expect_silence(&r);
	settle(&r, 2);
	expect_silence(&r);
	settle(&r, UINT32_MAX);
	expect_silence(&r);
	rig_event(&r, (struct vh_backend_event){.type = VH_EV_SETTLED,
						.vring = 1,
						.ticket = r.b.ticket - 1});
	expect_silence(&r);
	assert_int_equal(r.b.phase, VH_PHASE_VIEWS);
	settle(&r, 1);
	assert_true(r.fx.next);
}

static void an_action_that_nobody_asked_for_does_not_end(void **state)
{
	struct rig r;

	rig_init_running(&r);
	done(&r, 0);
	expect_silence(&r);
	send_none(&r, VH_MSG_RESET_DEVICE);
	done(&r, 0);
	expect_silence(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_ring_stops_the_device_and_signals_its_errors),
		cmocka_unit_test(a_broken_ring_does_not_run_until_it_was_stopped),
		cmocka_unit_test(a_fault_during_a_request_waits_for_its_answer),
		cmocka_unit_test(a_fault_during_an_action_that_fails_comes_after_it),
		cmocka_unit_test(
			a_fault_of_the_ring_that_is_being_stopped_stops_the_others),
		cmocka_unit_test(a_reset_overtakes_a_fault_that_waits),
		cmocka_unit_test(news_of_a_ring_that_does_not_run_is_late),
		cmocka_unit_test(when_the_link_goes_every_queue_stops_first),
		cmocka_unit_test(a_link_without_rings_is_gone_at_once),
		cmocka_unit_test(an_action_that_ends_after_the_link_went_is_late),
		cmocka_unit_test(a_request_under_way_is_abandoned_when_the_link_goes),
		cmocka_unit_test(
			a_queue_that_is_stopping_is_waited_for_when_the_link_goes),
		cmocka_unit_test(a_fault_that_waits_is_forgotten_when_the_link_goes),
		cmocka_unit_test(after_the_end_nothing_has_effects),
		cmocka_unit_test(a_queue_settles_once_and_for_its_own_ticket),
		cmocka_unit_test(an_action_that_nobody_asked_for_does_not_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
