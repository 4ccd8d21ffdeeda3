/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks that are told to the guest, doorbells that the guest rings. */
#include "vvu/relay_rig.h"

static bool is_signalled(int fd)
{
	eventfd_t n;

	return eventfd_read(fd, &n) == 0;
}

/* ---- Kicks ---- */

static void a_kick_is_told_for_its_vring(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 7, fd);
	relay_next(x, VH_MSG_SET_VRING_KICK);
	assert_int_equal(x->guest.kicks[7], 0);
	for (unsigned i = 1; i <= 3; i++) {
		kick(fd);
		relay_drive(x);
		assert_int_equal(x->guest.kicks[7], i);
	}
	close(fd);
}

static void only_the_newest_kick_is_listened_to(void **state)
{
	struct relay_rig *x = *state;
	const int old = eventfd_new(), new = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, old);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, new);
	kick(old);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 0);
	kick(new);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 1);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, -1);
	kick(new);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 1);
	close(old);
	close(new);
}

static void a_kick_from_before_is_not_lost(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new();

	kick(fd);
	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 1, fd);
	assert_int_equal(x->guest.kicks[1], 1);
	close(fd);
}

static void kicks_are_watched_for_drivers_that_take_them(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new();

	vh_relay_set_driver(x->relay, 0, 1024);
	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, fd);
	kick(fd);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 0);
	vh_relay_set_driver(x->relay, VH_BIT(VH_VVU_F_NOTIFY), 1024);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 1);
	vh_relay_set_driver(x->relay, 0, 1024);
	kick(fd);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[0], 1);
	close(fd);
}

static void a_vring_is_kicked_until_the_driver_says_that_it_stopped(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_state base = {2, 77};
	const int fd = eventfd_new(), call = eventfd_new();
	struct vh_relay_wires w;

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 2, fd);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 2, call);
	relay_say_state(x, VH_MSG_GET_VRING_BASE, 2, 0);
	kick(fd);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[2], 1);
	relay_answer(x, VH_MSG_GET_VRING_BASE, ANSWER, &base, sizeof(base));
	kick(fd);
	relay_drive(x);
	assert_int_equal(x->guest.kicks[2], 1);
	vh_relay_wires(x->relay, 2, &w);
	assert_true(w.call && !w.kick && !w.kick_polled);
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_CALL(2));
	assert_true(is_signalled(call));
	close(fd);
	close(call);
}

/* ---- Doorbells ---- */

static void doorbells_reach_their_eventfds(void **state)
{
	struct relay_rig *x = *state;
	const int call = eventfd_new(), err = eventfd_new(), log = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 3, call);
	relay_say_fd(x, VH_MSG_SET_VRING_ERR, 3, err);
	relay_say(x, VH_MSG_SET_LOG_FD, PLAIN, NULL, 0, &log, 1);
	assert_string_equal(x->guest.order, "UMMM");
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_CALL(3));
	assert_true(is_signalled(call) && !is_signalled(err) && !is_signalled(log));
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_ERR(N_VRINGS, 3));
	assert_true(!is_signalled(call) && is_signalled(err) && !is_signalled(log));
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_LOG(N_VRINGS));
	assert_true(!is_signalled(call) && !is_signalled(err) && is_signalled(log));
	close(call);
	close(err);
	close(log);
}

static void a_doorbell_of_nothing_does_nothing(void **state)
{
	struct relay_rig *x = *state;
	const int call = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 3, call);
	for (unsigned n = 0; n < 2 * VH_VVU_N_DOORBELLS(N_VRINGS); n++)
		if (n != 3)
			vh_relay_ring(x->relay, n);
	vh_relay_ring(x->relay, UINT_MAX);
	assert_false(is_signalled(call));
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 3, -1);
	vh_relay_ring(x->relay, 3);
	assert_false(is_signalled(call));
	close(call);
}

static void a_replaced_call_is_not_signalled_any_more(void **state)
{
	struct relay_rig *x = *state;
	const int old = eventfd_new(), new = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, old);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, new);
	vh_relay_ring(x->relay, 0);
	assert_false(is_signalled(old));
	assert_true(is_signalled(new));
	close(old);
	close(new);
}

static void after_the_session_doorbells_and_kicks_are_dead(void **state)
{
	struct relay_rig *x = *state;
	const int fd = eventfd_new(), call = eventfd_new();

	relay_connect(x);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, fd);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, call);
	relay_hang_up(x);
	vh_relay_ring(x->relay, 0);
	kick(fd);
	relay_drive(x);
	assert_false(is_signalled(call));
	assert_int_equal(x->guest.kicks[0], 0);
	close(fd);
	close(call);
}

static void wires_say_what_is_polled(void **state)
{
	struct relay_rig *x = *state;
	struct vh_relay_wires w;

	relay_connect(x);
	vh_relay_wires(x->relay, 0, &w);
	assert_false(w.kick || w.call || w.err || w.kick_polled || w.call_polled);
	relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, -1);
	relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, -1);
	vh_relay_wires(x->relay, 0, &w);
	assert_true(!w.kick && !w.call && w.kick_polled && w.call_polled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(a_kick_is_told_for_its_vring),
		RELAY_TEST(only_the_newest_kick_is_listened_to),
		RELAY_TEST(a_kick_from_before_is_not_lost),
		RELAY_TEST(kicks_are_watched_for_drivers_that_take_them),
		RELAY_TEST(a_vring_is_kicked_until_the_driver_says_that_it_stopped),
		RELAY_TEST(doorbells_reach_their_eventfds),
		RELAY_TEST(a_doorbell_of_nothing_does_nothing),
		RELAY_TEST(a_replaced_call_is_not_signalled_any_more),
		RELAY_TEST(after_the_session_doorbells_and_kicks_are_dead),
		RELAY_TEST(wires_say_what_is_polled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
