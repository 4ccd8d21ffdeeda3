/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight area: what its shape may be, and when it may come. */
#include "backend_rig.h"

#define WITH_INFLIGHT (PROTOCOL_OFFERED | VH_BIT(VH_PF_INFLIGHT_SHMFD))
#define STRIDE_OF_256 4160u /* a static initialiser calls no function */

static void init(struct rig *r)
{
	struct vh_offer offer = rig_offer();

	offer.protocol_features = WITH_INFLIGHT;
	rig_init_offer(r, offer);
	negotiate_with(r, WITH_INFLIGHT);
	r->ask = true;
}

static void send_area(struct rig *r, uint32_t id, struct vh_wire_inflight a)
{
	rig_msg(r, id)->inflight = a;
	rig_send(r);
}

static struct vh_wire_inflight area(uint16_t n_queues, uint16_t queue_size)
{
	return (struct vh_wire_inflight){.size = n_queues *
						 vh_inflight_stride(queue_size),
					 .n_queues = n_queues,
					 .queue_size = queue_size};
}

static void set_area(struct rig *r, struct vh_wire_inflight a)
{
	send_area(r, VH_MSG_SET_INFLIGHT_FD, a);
	expect_action(r, VH_ACTION_MAP_INFLIGHT);
	done(r, 0);
	expect_ack(r, 0);
}

static void expect_tracked(const struct rig *r, unsigned n)
{
	for (unsigned q = 0; q < N_VRINGS; q++)
		assert_int_equal(vh_backend_tracks(&r->b, q), q < n);
}

/* CVE-2021-3839: more queues than there are. */
static const struct vh_wire_inflight no_shapes[] = {
	{.size = 1 << 20, .n_queues = 0, .queue_size = 256},
	{.size = 1 << 20, .n_queues = N_VRINGS + 1, .queue_size = 256},
	{.size = 1 << 20, .n_queues = 65535, .queue_size = 256},
	{.size = 1 << 20, .n_queues = 1, .queue_size = 0},
	{.size = 1 << 20, .n_queues = 1, .queue_size = 3},
	{.size = 1 << 20, .n_queues = 1, .queue_size = 32769},
	{.size = 1 << 20, .n_queues = 1, .queue_size = 65535},
};

static void an_area_is_of_a_shape_that_the_device_can_have(void **state)
{
	const unsigned n = sizeof(no_shapes) / sizeof(no_shapes[0]);

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		struct rig r;

		init(&r);
		send_area(&r, VH_MSG_SET_INFLIGHT_FD, no_shapes[i]);
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close || r.fx.reply_u64 == 1);
		expect_tracked(&r, 0);

		init(&r);
		send_area(&r, VH_MSG_GET_INFLIGHT_FD, no_shapes[i]);
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close); /* there is no answer that says no */
	}
}

static const struct vh_wire_inflight no_places[] = {
	{.size = 0, .n_queues = 1, .queue_size = 256},
	{.size = STRIDE_OF_256 - 1, .n_queues = 1, .queue_size = 256},
	{.size = 2 * STRIDE_OF_256 - 1, .n_queues = 2, .queue_size = 256},
	{.size = 2 * STRIDE_OF_256, .n_queues = 2, .queue_size = 512},
	{.size = STRIDE_OF_256,
	 .offset = UINT64_MAX - 7,
	 .n_queues = 1,
	 .queue_size = 256},
	{.size = UINT64_MAX, .offset = 4096, .n_queues = 1, .queue_size = 256},
	{.size = STRIDE_OF_256, .offset = 1, .n_queues = 1, .queue_size = 256},
	{.size = STRIDE_OF_256, .offset = 4, .n_queues = 1, .queue_size = 256},
};

static void an_area_holds_its_queues_and_is_aligned_and_does_not_wrap(void **state)
{
	const unsigned n = sizeof(no_places) / sizeof(no_places[0]);

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		struct rig r;

		init(&r);
		send_area(&r, VH_MSG_SET_INFLIGHT_FD, no_places[i]);
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close || r.fx.reply_u64 == 1);
		expect_tracked(&r, 0);
	}
}

static void an_area_is_made_in_any_shape_that_the_device_can_have(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	for (uint32_t size = 1; size <= 32768; size *= 2) {
		send_area(&r, VH_MSG_GET_INFLIGHT_FD, area(N_VRINGS, (uint16_t)size));
		expect_action(&r, VH_ACTION_MAKE_INFLIGHT);
		done(&r, 0);
		assert_true(r.fx.reply);
		assert_int_equal(r.fx.reply_payload, VH_PAYLOAD_INFLIGHT);
		expect_tracked(&r, 0); /* it is in force when it was set */
	}
}

static void the_queues_of_an_area_are_tracked(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	set_area(&r, area(2, 256));
	expect_tracked(&r, 2);
	set_area(&r, area(N_VRINGS, 128));
	expect_tracked(&r, N_VRINGS);
	set_area(&r, area(1, 1024));
	expect_tracked(&r, 1);
}

static void an_area_that_cannot_be_mapped_leaves_the_old_one(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	set_area(&r, area(2, 256));
	send_area(&r, VH_MSG_SET_INFLIGHT_FD, area(N_VRINGS, 1024));
	expect_action(&r, VH_ACTION_MAP_INFLIGHT);
	done(&r, -22);
	assert_true(r.fx.close || r.fx.reply_u64 == 1);
	expect_tracked(&r, 2);
	assert_int_equal(r.b.inflight_size, 256);
}

/* CVE-2026-86565: the size that came first was believed. */
static void a_ring_does_not_outgrow_its_part_of_the_area(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	set_area(&r, area(1, 256));
	send_state(&r, VH_MSG_SET_VRING_NUM, 0, 512);
	expect_ack(&r, 1);
	assert_int_equal(r.b.vring[0].num, 0);
	send_state(&r, VH_MSG_SET_VRING_NUM, 0, 256);
	expect_ack(&r, 0);
	send_state(&r, VH_MSG_SET_VRING_NUM, 1, 512); /* is not tracked */
	expect_ack(&r, 0);
}

static void an_area_is_not_for_smaller_rings_than_there_are(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	send_state(&r, VH_MSG_SET_VRING_NUM, 1, 512);
	send_area(&r, VH_MSG_SET_INFLIGHT_FD, area(2, 256));
	assert_int_equal(r.fx.action, VH_ACTION_NONE);
	assert_true(r.fx.close || r.fx.reply_u64 == 1);
	expect_tracked(&r, 0);

	init(&r);
	send_state(&r, VH_MSG_SET_VRING_NUM, 1, 512);
	set_area(&r, area(1, 256));
	set_area(&r, area(2, 512));
	expect_tracked(&r, 2);
}

static void an_area_does_not_change_while_a_ring_runs(void **state)
{
	static const uint32_t ids[] = {VH_MSG_GET_INFLIGHT_FD, VH_MSG_SET_INFLIGHT_FD};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig r;

		init(&r);
		give_memory(&r);
		set_area(&r, area(1, 256));
		start_ring(&r, 1);
		send_area(&r, ids[i], area(2, 256));
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close || r.fx.reply_u64 == 1);
		expect_tracked(&r, 1);
	}
}

static void an_area_needs_its_feature(void **state)
{
	static const uint32_t ids[] = {VH_MSG_GET_INFLIGHT_FD, VH_MSG_SET_INFLIGHT_FD};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vh_offer offer = rig_offer();
		struct rig r;

		offer.protocol_features = WITH_INFLIGHT;
		rig_init_offer(&r, offer);
		negotiate_with(&r, PROTOCOL_OFFERED);
		r.ask = true;
		send_area(&r, ids[i], area(1, 256));
		assert_int_equal(r.fx.action, VH_ACTION_NONE);
		assert_true(r.fx.close || r.fx.reply_u64 == 1);
		expect_tracked(&r, 0);
	}
}

static void a_reset_keeps_the_area(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	set_area(&r, area(2, 256));
	send_none(&r, VH_MSG_RESET_DEVICE);
	expect_ack(&r, 0);
	assert_true(r.fx.reset_device); /* upon which the shell clears it */
	expect_tracked(&r, 2);
}

static void a_link_that_goes_takes_the_area_that_is_being_mapped_along(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	send_area(&r, VH_MSG_SET_INFLIGHT_FD, area(2, 256));
	gone(&r);
	assert_true(r.fx.gone);
	expect_tracked(&r, 0);
	done(&r, 0);
	expect_tracked(&r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_area_is_of_a_shape_that_the_device_can_have),
		cmocka_unit_test(
			an_area_holds_its_queues_and_is_aligned_and_does_not_wrap),
		cmocka_unit_test(an_area_is_made_in_any_shape_that_the_device_can_have),
		cmocka_unit_test(the_queues_of_an_area_are_tracked),
		cmocka_unit_test(an_area_that_cannot_be_mapped_leaves_the_old_one),
		cmocka_unit_test(a_ring_does_not_outgrow_its_part_of_the_area),
		cmocka_unit_test(an_area_is_not_for_smaller_rings_than_there_are),
		cmocka_unit_test(an_area_does_not_change_while_a_ring_runs),
		cmocka_unit_test(an_area_needs_its_feature),
		cmocka_unit_test(a_reset_keeps_the_area),
		cmocka_unit_test(
			a_link_that_goes_takes_the_area_that_is_being_mapped_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
