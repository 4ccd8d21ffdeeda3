/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end machine: the messages about vrings; how rings start and stop. */
#include "backend_rig.h"

/* ---- Index ---- */

static const uint32_t by_state[] = {VH_MSG_SET_VRING_NUM, VH_MSG_SET_VRING_BASE,
				    VH_MSG_GET_VRING_BASE, VH_MSG_SET_VRING_ENABLE};

static void a_vring_index_is_never_truncated(void **state)
{
	static const uint32_t index[] = {N_VRINGS, 0x100,      0xffff,
					 0x10000,  0x80000000, UINT32_MAX};
	struct rig r;

	for (unsigned i = 0; i < 4 * 6; i++) {
		rig_init(&r);
		negotiate(&r);
		send_state(&r, by_state[i % 4], index[i / 4], 1);
		assert_non_null(r.fx.warn);
		assert_int_equal(r.b.vring[0].num, 0);
	}
	for (unsigned i = 0; i < 6; i++) {
		rig_init(&r);
		send_addr(&r, (struct vh_wire_addr){.index = index[i]});
		expect_closed(&r);
	}
}

static void a_base_is_not_told_of_a_vring_that_does_not_exist(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_state(&r, VH_MSG_GET_VRING_BASE, N_VRINGS, 0);
	expect_closed(&r);
}

static void an_fd_for_a_vring_that_does_not_exist_closes(void **state)
{
	static const uint32_t id[] = {VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_CALL,
				      VH_MSG_SET_VRING_ERR};
	struct rig r;

	for (unsigned i = 0; i < 3; i++) {
		rig_init(&r);
		negotiate(&r);
		r.ask = true;
		send_u64(&r, id[i], N_VRINGS | VH_VRING_NO_FD);
		expect_closed(&r);
	}
}

/* ---- Size, base, addresses ---- */

static void a_ring_size_is_a_power_of_two_up_to_32768(void **state)
{
	static const uint32_t good[] = {1, 2, 256, 32768};
	static const uint32_t bad[] = {0, 3, 255, 32769, 65536, 0x80000000, UINT32_MAX};
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	for (unsigned i = 0; i < 4; i++) {
		send_state(&r, VH_MSG_SET_VRING_NUM, 1, good[i]);
		expect_ack(&r, 0);
		assert_int_equal(r.b.vring[1].num, good[i]);
	}
	for (unsigned i = 0; i < 7; i++) {
		send_state(&r, VH_MSG_SET_VRING_NUM, 1, bad[i]);
		expect_ack(&r, 1);
		assert_int_equal(r.b.vring[1].num, 32768);
	}
	r.ask = false;
	send_state(&r, VH_MSG_SET_VRING_NUM, 1, 0);
	expect_closed(&r);
}

static void a_base_is_an_index_of_16_bits(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_BASE, 0, 0xffff);
	expect_ack(&r, 0);
	send_state(&r, VH_MSG_SET_VRING_BASE, 0, 0x10000);
	expect_ack(&r, 1);
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	assert_int_equal(r.fx.reply_state.num, 0xffff);
}

static void ring_addresses_are_aligned(void **state)
{
	const struct vh_wire_addr bad[] = {{.desc = 8}, {.avail = 1}, {.used = 2}};
	struct rig r;

	for (unsigned i = 0; i < 3; i++) {
		rig_init(&r);
		send_addr(&r, bad[i]);
		expect_closed(&r);
		assert_false(r.b.vring[0].has_addr);
	}
	rig_init(&r);
	send_addr(&r, (struct vh_wire_addr){.desc = 16, .avail = 2, .used = 4});
	expect_over(&r);
}

static void unknown_flags_of_an_address_are_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	send_addr(&r, (struct vh_wire_addr){.flags = 2});
	expect_closed(&r);
}

static void size_and_base_do_not_change_while_the_ring_runs(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_NUM, 0, 128);
	expect_ack(&r, 1);
	send_state(&r, VH_MSG_SET_VRING_BASE, 0, 7);
	expect_ack(&r, 1);
	assert_int_equal(r.b.vring[0].num, 256);
	send_state(&r, VH_MSG_SET_VRING_NUM, 2, 128);
	expect_ack(&r, 0);
	r.ask = false;
	send_state(&r, VH_MSG_SET_VRING_BASE, 0, 7);
	expect_closed(&r);
}

static void a_running_ring_does_not_move(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_addr(&r, ring_addr(0, UVA_A + 0x100000));
	expect_closed(&r);
	assert_int_equal(r.b.vring[0].addr.desc, UVA_A);
}

static void a_running_ring_may_be_logged(void **state)
{
	struct vh_wire_addr addr = ring_addr(1, UVA_A);
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	addr.flags = VH_VRING_F_LOG;
	addr.log = 0x1000;
	send_addr(&r, addr);
	expect_views(&r, 1 << 1, VH_SETTLE_PAUSED);
	settle(&r, 1);
	expect_ack(&r, 0);
	send_addr(&r, addr);
	expect_ack(&r, 0);
}

/* ---- Start ---- */

/* One of the four things that make ring 0 complete. */
static void give(struct rig *r, unsigned what)
{
	const struct vh_wire_region a = region_a();

	switch (what) {
	case 0:
		send_state(r, VH_MSG_SET_VRING_NUM, 0, 256);
		break;
	case 1:
		send_addr(r, ring_addr(0, UVA_A));
		break;
	case 2:
		send_table(r, 1, &a);
		done(r, 0);
		break;
	case 3:
		send_u64(r, VH_MSG_SET_VRING_KICK, 0 | VH_VRING_NO_FD);
		expect_action(r, VH_ACTION_TAKE_FD);
		done(r, 0);
		break;
	}
}

static void a_ring_starts_with_whatever_makes_it_complete(void **state)
{
	struct rig r;

	for (unsigned last = 0; last < 4; last++) {
		rig_init(&r);
		negotiate(&r);
		for (unsigned i = 0; i < 4; i++)
			if (i != last)
				give(&r, i);
		assert_int_equal(r.b.phase, VH_PHASE_IDLE);
		assert_false(vh_backend_runs(&r.b, 0));
		give(&r, last);
		expect_views(&r, 1 << 0, VH_SETTLE_PAUSED);
		assert_true(vh_backend_runs(&r.b, 0));
		settle(&r, 0);
		expect_over(&r);
		assert_true(r.fx.release);
	}
}

static void a_ring_lies_wholly_in_one_region(void **state)
{
	const struct vh_wire_region halves[] = {
		{0, 0x1000, UVA_A, 0}, {0x1000, 0x10000, UVA_A + 0x1000, 0x1000}};
	/* 256 descriptors are 0x1000 bytes, 256 used elements with the event 0x806. */
	const struct vh_wire_addr whole = {
		.desc = UVA_A, .avail = UVA_A + 0x1000, .used = UVA_A + 0x11000 - 0x808};
	struct vh_wire_addr bad[3] = {whole, whole, whole};
	struct rig r;

	bad[0].desc += 16;
	bad[1].avail -= 2;
	bad[2].used += 4;
	for (unsigned i = 0; i < 4; i++) {
		rig_init(&r);
		negotiate(&r);
		set_table(&r, 2, halves);
		send_state(&r, VH_MSG_SET_VRING_NUM, 0, 256);
		send_addr(&r, i < 3 ? bad[i] : whole);
		kick_ring(&r, 0);
		assert_int_equal(vh_backend_runs(&r.b, 0), i == 3);
	}
}

/*
 * A file is mapped by pages, so what is aligned in the front-end's address space may
 * be anything in ours, if its region is at an odd place of the file.
 */
static void a_ring_that_is_not_aligned_in_its_file_does_not_start(void **state)
{
	static const struct {
		uint64_t uva, offset;
		bool runs;
	} at[] = {
		{UVA_A, 0, true},      {UVA_A, 1, false},     {UVA_A, 8, false},
		{UVA_A - 1, 0, false}, {UVA_A - 1, 1, false}, {UVA_A - 1, 0xfff, true},
		{UVA_A, 16, true},
	};
	struct rig r;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		const struct vh_wire_region region = {0, 0x100000, at[i].uva,
						      at[i].offset};

		rig_init(&r);
		negotiate(&r);
		set_table(&r, 1, &region);
		send_state(&r, VH_MSG_SET_VRING_NUM, 0, 256);
		send_addr(&r, ring_addr(0, UVA_A));
		kick_ring(&r, 0);
		assert_int_equal(vh_backend_runs(&r.b, 0), at[i].runs);
	}
}

static void a_ring_address_at_the_end_of_the_space_does_not_wrap(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	give_memory(&r);
	send_state(&r, VH_MSG_SET_VRING_NUM, 0, 32768);
	send_addr(&r, (struct vh_wire_addr){
			      .desc = UINT64_MAX - 15, .avail = UVA_A, .used = UVA_A});
	kick_ring(&r, 0);
	assert_false(vh_backend_runs(&r.b, 0));
}

static void a_kick_fd_that_cannot_be_taken_starts_nothing(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	give_memory(&r);
	place_ring(&r, 0, UVA_A);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_VRING_KICK, 0);
	done(&r, -22);
	expect_ack(&r, 1);
	assert_false(r.fx.release);
	assert_false(r.b.vring[0].kicked);
	r.ask = false;
	send_u64(&r, VH_MSG_SET_VRING_KICK, 0);
	done(&r, -22);
	expect_closed(&r);
}

static void vrings_that_nobody_started_have_no_views(void **state)
{
	struct rig r;

	rig_init_running(&r);
	assert_false(vh_backend_runs(&r.b, 2));
	assert_false(vh_backend_runs(&r.b, N_VRINGS));
	assert_false(vh_backend_runs(&r.b, UINT32_MAX));
	send_u64(&r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1 | LOG_ALL);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
}

/* ---- fds and enabling while it runs ---- */

static void a_call_fd_is_replaced_under_a_pause_and_signalled_once(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_u64(&r, VH_MSG_SET_VRING_CALL, 1);
	expect_action(&r, VH_ACTION_TAKE_FD);
	assert_int_equal(r.b.vring_index, 1);
	done(&r, 0);
	expect_views(&r, 1 << 1, VH_SETTLE_PAUSED);
	expect_queues(&r.fx.call, 0);
	settle(&r, 1);
	expect_ack(&r, 0);
	expect_queues(&r.fx.call, 1 << 1);
	assert_true(r.fx.release);
}

static void a_call_fd_may_come_before_anything_else(void **state)
{
	struct rig r;

	rig_init(&r);
	send_u64(&r, VH_MSG_SET_VRING_CALL, 3);
	expect_action(&r, VH_ACTION_TAKE_FD);
	done(&r, 0);
	expect_over(&r);
	expect_queues(&r.fx.call, 0);
}

static void kick_and_err_fds_are_replaced_under_a_pause(void **state)
{
	static const uint32_t id[] = {VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_ERR};
	struct rig r;

	rig_init_running(&r);
	for (unsigned i = 0; i < 2; i++) {
		send_u64(&r, id[i], 0);
		done(&r, 0);
		expect_views(&r, 1 << 0, VH_SETTLE_PAUSED);
		settle(&r, 0);
		expect_over(&r);
		assert_true(r.fx.release);
		expect_queues(&r.fx.call, 0);
	}
}

static void enabling_a_running_ring_reaches_its_queue(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 1, 1);
	expect_views(&r, 1 << 1, VH_SETTLE_PAUSED);
	settle(&r, 1);
	expect_ack(&r, 0);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 1, 1);
	expect_ack(&r, 0);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 1, 0);
	expect_views(&r, 1 << 1, VH_SETTLE_PAUSED);
}

static void a_ring_may_be_enabled_before_features_are_set(void **state)
{
	struct rig r;

	rig_init(&r);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 1);
	expect_over(&r);
	assert_true(r.b.vring[0].enabled);
}

static void only_0_and_1_enable(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 2);
	expect_ack(&r, 1);
	send_state(&r, VH_MSG_SET_VRING_ENABLE, 0, 0x101);
	expect_ack(&r, 1);
	assert_false(r.b.vring[0].enabled);
}

/* ---- Stop ---- */

static void the_base_of_a_running_ring_is_told_when_it_has_drained(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	expect_views(&r, 1 << 1, VH_SETTLE_DRAINED);
	assert_false(vh_backend_runs(&r.b, 1));
	settle_at(&r, 1, 0x1234);
	assert_true(r.fx.reply && r.fx.next && r.fx.release);
	assert_int_equal(r.fx.reply_payload, VH_PAYLOAD_STATE);
	assert_int_equal(r.fx.reply_state.index, 1);
	assert_int_equal(r.fx.reply_state.num, 0x1234);
	assert_true(vh_backend_runs(&r.b, 0));
}

static void the_base_of_a_stopped_ring_is_told_at_once(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	settle_at(&r, 1, 0x1234);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	assert_true(r.fx.reply && r.fx.next);
	assert_int_equal(r.fx.reply_state.num, 0x1234);
}

static void a_stopped_ring_needs_a_kick_to_start_again(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_state(&r, VH_MSG_GET_VRING_BASE, 1, 0);
	settle_at(&r, 1, 5);
	send_state(&r, VH_MSG_SET_VRING_NUM, 1, 128);
	expect_over(&r);
	assert_false(r.b.vring[1].started);
	kick_ring(&r, 1);
	assert_true(vh_backend_runs(&r.b, 1));
	assert_int_equal(r.b.vring[1].base, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vring_index_is_never_truncated),
		cmocka_unit_test(a_base_is_not_told_of_a_vring_that_does_not_exist),
		cmocka_unit_test(an_fd_for_a_vring_that_does_not_exist_closes),
		cmocka_unit_test(a_ring_size_is_a_power_of_two_up_to_32768),
		cmocka_unit_test(a_base_is_an_index_of_16_bits),
		cmocka_unit_test(ring_addresses_are_aligned),
		cmocka_unit_test(unknown_flags_of_an_address_are_refused),
		cmocka_unit_test(size_and_base_do_not_change_while_the_ring_runs),
		cmocka_unit_test(a_running_ring_does_not_move),
		cmocka_unit_test(a_running_ring_may_be_logged),
		cmocka_unit_test(a_ring_starts_with_whatever_makes_it_complete),
		cmocka_unit_test(a_ring_lies_wholly_in_one_region),
		cmocka_unit_test(a_ring_that_is_not_aligned_in_its_file_does_not_start),
		cmocka_unit_test(a_ring_address_at_the_end_of_the_space_does_not_wrap),
		cmocka_unit_test(a_kick_fd_that_cannot_be_taken_starts_nothing),
		cmocka_unit_test(vrings_that_nobody_started_have_no_views),
		cmocka_unit_test(a_call_fd_is_replaced_under_a_pause_and_signalled_once),
		cmocka_unit_test(a_call_fd_may_come_before_anything_else),
		cmocka_unit_test(kick_and_err_fds_are_replaced_under_a_pause),
		cmocka_unit_test(enabling_a_running_ring_reaches_its_queue),
		cmocka_unit_test(a_ring_may_be_enabled_before_features_are_set),
		cmocka_unit_test(only_0_and_1_enable),
		cmocka_unit_test(the_base_of_a_running_ring_is_told_when_it_has_drained),
		cmocka_unit_test(the_base_of_a_stopped_ring_is_told_at_once),
		cmocka_unit_test(a_stopped_ring_needs_a_kick_to_start_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
