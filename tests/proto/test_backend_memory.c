/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end machine: the table of memory regions, and the dirty log. */
#include "backend_rig.h"

#define GB 0x40000000ull

static struct vh_wire_region small(unsigned i)
{
	return (struct vh_wire_region){i * 0x1000ull, 0x1000, UVA_B + i * 0x1000ull,
				       i * 0x1000ull};
}

/* ---- SET_MEM_TABLE ---- */

static void a_table_is_sorted_and_mapped_as_a_whole(void **state)
{
	const struct vh_wire_region ba[] = {region_b(), region_a()};
	struct rig r;

	rig_init(&r);
	send_table(&r, 2, ba);
	expect_action(&r, VH_ACTION_MAP);
	assert_int_equal(r.b.n_next, 2);
	assert_int_equal(r.b.next[0].uva, UVA_A);
	assert_int_equal(r.b.next[1].uva, UVA_B);
	assert_int_equal(r.b.n_regions, 0);
	done(&r, 0);
	expect_over(&r);
	assert_true(r.fx.release);
	assert_int_equal(r.b.n_regions, 2);
	assert_memory_equal(&r.b.region[1], &ba[0], sizeof(ba[0]));
}

static void regions_that_make_no_sense_close(void **state)
{
	static const struct vh_wire_region bad[][2] = {
		{{0, 0, UVA_A, 0}},				  /* no bytes        */
		{{UINT64_MAX, 2, UVA_A, 0}},			  /* gpa wraps       */
		{{0, GB, UINT64_MAX - GB + 2, 0}},		  /* uva wraps       */
		{{0, GB, UVA_A, UINT64_MAX}},			  /* offset wraps    */
		{{0, UINT64_MAX, UVA_A, 0}},			  /* size of all     */
		{{0, GB, UVA_A, 0}, {GB - 1, GB, UVA_B, 0}},	  /* gpa overlaps    */
		{{GB - 1, GB, UVA_B, 0}, {0, GB, UVA_A, 0}},	  /* ... reversed    */
		{{0, GB, UVA_A, 0}, {GB, GB, UVA_A + GB - 1, 0}}, /* uva overlaps    */
		{{0, GB, UVA_A, 0}, {0, GB, UVA_A, 0}},		  /* twice the same  */
		{{0, GB, UVA_A, 0}, {GB / 2, 0x1000, UVA_B, 0}},  /* one in another  */
	};
	struct rig r;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_init(&r);
		negotiate(&r);
		give_memory(&r);
		r.ask = true;
		send_table(&r, bad[i][1].size ? 2 : 1, bad[i]);
		expect_closed(&r);
		assert_int_equal(r.b.n_regions, 1);
	}
}

static void regions_may_touch(void **state)
{
	const struct vh_wire_region two[] = {{0, GB, UVA_A, 0}, {GB, GB, UVA_A + GB, GB}};
	struct rig r;

	rig_init(&r);
	set_table(&r, 2, two);
	assert_int_equal(r.b.n_regions, 2);
}

static void a_table_has_at_most_8_regions(void **state)
{
	struct vh_wire_region nine[9];
	struct rig r;

	for (unsigned i = 0; i < 9; i++)
		nine[i] = small(i);
	rig_init(&r);
	set_table(&r, 8, nine);
	assert_int_equal(r.b.n_regions, 8);
	send_table(&r, 9, nine);
	expect_closed(&r);
	rig_init(&r);
	send_table(&r, UINT32_MAX, nine);
	expect_closed(&r);
}

static void a_table_that_cannot_be_mapped_changes_nothing(void **state)
{
	const struct vh_wire_region b = region_b();
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_table(&r, 1, &b);
	done(&r, -12);
	expect_ack(&r, 1);
	assert_int_equal(r.b.region[0].uva, UVA_A);
	assert_true(vh_backend_runs(&r.b, 0));
	assert_int_equal(r.b.memory_epoch, 0);
	r.ask = false;
	send_table(&r, 1, &b);
	done(&r, -12);
	expect_closed(&r);
}

static void memory_change_is_answered_only_after_running_queues_adopt_it(void **state)
{
	const struct vh_wire_region ab[] = {region_a(), region_b()};
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_table(&r, 2, ab);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
	settle(&r, 1);
	expect_silence(&r);
	settle(&r, 0);
	expect_ack(&r, 0);
	assert_true(r.fx.release);
	assert_int_equal(r.b.memory_epoch, 0);
}

static void a_region_that_goes_is_answered_when_its_chains_are_done(void **state)
{
	const struct vh_wire_region ab[] = {region_a(), region_b()};
	struct rig r;

	rig_init_running(&r);
	set_table(&r, 2, ab);
	send_table(&r, 1, ab);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	assert_int_equal(r.b.memory_epoch, 1);
	go_on(&r);
	assert_true(vh_backend_runs(&r.b, 0));
}

static void a_region_with_another_number_has_changed(void **state)
{
	struct rig r;

	for (unsigned i = 0; i < 3; i++) {
		struct vh_wire_region a = region_a();

		rig_init_running(&r);
		a.size += i == 0 ? 0x1000 : 0;
		a.offset += i == 1 ? 0x1000 : 0;
		a.gpa += i == 2 ? 0x1000 : 0;
		send_table(&r, 1, &a);
		done(&r, 0);
		expect_views(&r, 3, VH_SETTLE_RETIRED);
		assert_int_equal(r.b.memory_epoch, 1);
	}
}

static void the_same_region_of_another_file_has_changed(void **state)
{
	const struct vh_wire_region a = region_a();
	struct rig r;

	rig_init_running(&r);
	send_table(&r, 1, &a);
	done(&r, 1);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	assert_int_equal(r.b.memory_epoch, 1);
}

static void a_running_ring_whose_memory_goes_is_parked(void **state)
{
	const struct vh_wire_region a = region_a(), b = region_b();
	struct rig r;

	rig_init_running(&r);
	set_table(&r, 1, &b);
	assert_true(r.b.vring[0].started && r.b.vring[0].parked);
	assert_false(vh_backend_runs(&r.b, 0));
	send_table(&r, 1, &a);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	assert_true(vh_backend_runs(&r.b, 0));
}

static void an_empty_table_parks_every_ring(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_table(&r, 0, NULL);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	go_on(&r);
	assert_true(r.b.vring[0].parked && r.b.vring[1].parked);
	assert_int_equal(r.b.n_regions, 0);
}

static void a_parked_ring_can_be_stopped(void **state)
{
	struct rig r;

	rig_init_running(&r);
	set_table(&r, 0, NULL);
	send_state(&r, VH_MSG_GET_VRING_BASE, 0, 0);
	expect_views(&r, 1, VH_SETTLE_DRAINED);
	settle_at(&r, 0, 44);
	assert_int_equal(r.fx.reply_state.num, 44);
	assert_false(r.b.vring[0].parked);
}

static void a_table_without_rings_is_answered_at_once(void **state)
{
	const struct vh_wire_region a = region_a(), b = region_b();
	struct rig r;

	rig_init(&r);
	set_table(&r, 1, &a);
	send_table(&r, 1, &b);
	done(&r, 0);
	expect_over(&r);
	assert_int_equal(r.b.memory_epoch, 1);
}

/* ---- Slots ---- */

static void a_region_is_added_under_a_pause(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_region(&r, VH_MSG_ADD_MEM_REG, region_b());
	expect_action(&r, VH_ACTION_MAP);
	assert_int_equal(r.b.n_next, 2);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
	go_on(&r);
	expect_ack(&r, 0);
	assert_int_equal(r.b.memory_epoch, 0);
}

static void regions_that_cannot_be_added_are_refused(void **state)
{
	struct vh_wire_region bad[3] = {region_a(), region_b(), region_b()};
	struct rig r;

	bad[0].uva = UVA_B; /* overlaps by gpa   */
	bad[1].uva = UVA_A; /* overlaps by uva   */
	bad[2].size = 0;
	for (unsigned i = 0; i < 3; i++) {
		rig_init_running(&r);
		r.ask = true;
		send_region(&r, VH_MSG_ADD_MEM_REG, bad[i]);
		expect_ack(&r, 1);
		assert_int_equal(r.b.n_regions, 1);
		r.ask = false;
		send_region(&r, VH_MSG_ADD_MEM_REG, bad[i]);
		expect_closed(&r);
	}
}

static void there_are_as_many_slots_as_we_say(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	r.ask = true;
	for (unsigned i = 0; i < VH_MAX_SLOTS; i++) {
		/* From both ends, so that inserting moves others. */
		send_region(&r, VH_MSG_ADD_MEM_REG, small(i & 1 ? i : 2000 - i));
		done(&r, 0);
		expect_ack(&r, 0);
	}
	assert_int_equal(r.b.n_regions, VH_MAX_SLOTS);
	send_region(&r, VH_MSG_ADD_MEM_REG, small(3000));
	expect_ack(&r, 1);
	send_region(&r, VH_MSG_REM_MEM_REG, small(7));
	done(&r, 0);
	send_region(&r, VH_MSG_ADD_MEM_REG, small(3000));
	done(&r, 0);
	expect_ack(&r, 0);
}

static void a_region_is_removed_whatever_its_offset(void **state)
{
	struct vh_wire_region b = region_b();
	struct rig r;

	rig_init_running(&r);
	send_region(&r, VH_MSG_ADD_MEM_REG, b);
	go_on(&r);
	b.offset = 0x77000;
	send_region(&r, VH_MSG_REM_MEM_REG, b);
	expect_action(&r, VH_ACTION_MAP);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	assert_int_equal(r.b.memory_epoch, 1);
	assert_int_equal(r.b.n_regions, 1);
}

/* QEMU up to 8.1 says it again for each queue pair. */
static void a_region_added_or_removed_twice_counts_once(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_region(&r, VH_MSG_ADD_MEM_REG, region_a());
	expect_ack(&r, 0);
	assert_int_equal(r.b.n_regions, 1);
	send_region(&r, VH_MSG_REM_MEM_REG, region_b());
	expect_ack(&r, 0);
	assert_int_equal(r.b.n_regions, 1);
	assert_int_equal(r.b.memory_epoch, 0);
}

static void a_region_of_other_numbers_is_not_removed(void **state)
{
	struct rig r;

	for (unsigned i = 0; i < 3; i++) {
		struct vh_wire_region a = region_a();

		a.gpa += i == 0;
		a.size += i == 1;
		a.uva += i == 2;
		rig_init_running(&r);
		send_region(&r, VH_MSG_REM_MEM_REG, a);
		expect_over(&r);
		assert_int_equal(r.b.n_regions, 1);
		assert_int_equal(r.b.n_next, 0);
	}
}

/* What a front-end does to change the region that holds the rings. */
static void removing_and_adding_the_memory_of_a_ring_parks_and_resumes_it(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_region(&r, VH_MSG_REM_MEM_REG, region_a());
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_RETIRED);
	assert_true(r.b.vring[0].parked);
	go_on(&r);
	send_region(&r, VH_MSG_ADD_MEM_REG, region_a());
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
	assert_true(vh_backend_runs(&r.b, 0));
}

static void a_table_replaces_all_slots(void **state)
{
	const struct vh_wire_region b = region_b();
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	for (unsigned i = 0; i < 20; i++) {
		send_region(&r, VH_MSG_ADD_MEM_REG, small(5000 + i));
		go_on(&r);
	}
	set_table(&r, 1, &b);
	assert_int_equal(r.b.n_regions, 1);
	assert_int_equal(r.b.region[1].size, 0);
}

/* ---- The log ---- */

static void a_log_is_adopted_by_running_queues_before_the_reply(void **state)
{
	struct rig r;

	rig_init_running(&r);
	send_log(&r, 0x1000, 0);
	expect_action(&r, VH_ACTION_MAP_LOG);
	done(&r, 0);
	expect_views(&r, 3, VH_SETTLE_PAUSED);
	assert_true(r.b.has_log);
	settle(&r, 0);
	settle(&r, 1);
	assert_true(r.fx.reply && r.fx.reply_empty && r.fx.release && r.fx.next);
}

static void a_log_may_be_replaced_by_another(void **state)
{
	struct rig r;

	rig_init_running(&r);
	for (unsigned i = 0; i < 2; i++) {
		send_log(&r, 0x1000, 0x1000);
		go_on(&r);
		assert_true(r.fx.reply && r.fx.reply_empty);
	}
}

static void a_log_without_shmfd_is_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate_with(&r, VH_BIT(VH_PF_REPLY_ACK));
	r.ask = true;
	send_log(&r, 0x1000, 0);
	expect_closed(&r);
	rig_init(&r);
	negotiate(&r);
	rig_msg(&r, VH_MSG_SET_LOG_BASE)->payload = VH_PAYLOAD_U64;
	r.m.u64 = 0x1000;
	rig_send(&r);
	expect_closed(&r);
}

static void a_log_that_wraps_is_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	negotiate(&r);
	send_log(&r, UINT64_MAX, 0x1000);
	expect_closed(&r);
	rig_init(&r);
	negotiate(&r);
	send_log(&r, 0, 0);
	expect_closed(&r);
}

static void a_log_that_cannot_be_mapped_closes(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_log(&r, 0x1000, 0);
	done(&r, -12);
	expect_closed(&r);
	assert_false(r.b.has_log);
}

static void a_log_fd_reaches_running_queues(void **state)
{
	struct rig r;

	rig_init_running(&r);
	r.ask = true;
	send_none(&r, VH_MSG_SET_LOG_FD);
	expect_action(&r, VH_ACTION_TAKE_FD);
	done(&r, 0);
	expect_views(&r, 1 << 0 | 1 << 1, VH_SETTLE_PAUSED);
	settle(&r, 0);
	settle(&r, 1);
	expect_ack(&r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_sorted_and_mapped_as_a_whole),
		cmocka_unit_test(regions_that_make_no_sense_close),
		cmocka_unit_test(regions_may_touch),
		cmocka_unit_test(a_table_has_at_most_8_regions),
		cmocka_unit_test(a_table_that_cannot_be_mapped_changes_nothing),
		cmocka_unit_test(
			memory_change_is_answered_only_after_running_queues_adopt_it),
		cmocka_unit_test(a_region_that_goes_is_answered_when_its_chains_are_done),
		cmocka_unit_test(a_region_with_another_number_has_changed),
		cmocka_unit_test(the_same_region_of_another_file_has_changed),
		cmocka_unit_test(a_running_ring_whose_memory_goes_is_parked),
		cmocka_unit_test(an_empty_table_parks_every_ring),
		cmocka_unit_test(a_parked_ring_can_be_stopped),
		cmocka_unit_test(a_table_without_rings_is_answered_at_once),
		cmocka_unit_test(a_region_is_added_under_a_pause),
		cmocka_unit_test(regions_that_cannot_be_added_are_refused),
		cmocka_unit_test(there_are_as_many_slots_as_we_say),
		cmocka_unit_test(a_region_is_removed_whatever_its_offset),
		cmocka_unit_test(a_region_added_or_removed_twice_counts_once),
		cmocka_unit_test(a_region_of_other_numbers_is_not_removed),
		cmocka_unit_test(
			removing_and_adding_the_memory_of_a_ring_parks_and_resumes_it),
		cmocka_unit_test(a_table_replaces_all_slots),
		cmocka_unit_test(a_log_is_adopted_by_running_queues_before_the_reply),
		cmocka_unit_test(a_log_may_be_replaced_by_another),
		cmocka_unit_test(a_log_without_shmfd_is_refused),
		cmocka_unit_test(a_log_that_wraps_is_refused),
		cmocka_unit_test(a_log_that_cannot_be_mapped_closes),
		cmocka_unit_test(a_log_fd_reaches_running_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
