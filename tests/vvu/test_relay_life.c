/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends and drivers that come and go, in any order, and buffers that run out. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct vh_wire_region one_region[] = {{0, MEMORY, 0x7f0000000000, 0}};

/* ---- Who comes first ---- */

static void a_driver_waits_for_a_front_end(void **state)
{
	struct relay_rig *x = *state;

	assert_false(vh_relay_is_up(x->relay));
	assert_string_equal(x->guest.order, "");
	relay_connect(x);
	assert_true(vh_relay_is_up(x->relay));
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_FEATURES);
	assert_string_equal(x->guest.order, "UM");
}

static void a_front_end_waits_for_a_driver(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_say(x, VH_MSG_SET_OWNER, PLAIN, NULL, 0, NULL, 0);
	relay_expect_nothing(x);
	assert_int_equal(rig_logged("a front-end waits for the driver"), 1);
	vh_relay_set_ready(x->relay, true);
	assert_string_equal(x->guest.order, "U");
	assert_int_equal(relay_next(x, VH_MSG_GET_FEATURES)->len, 12);
	relay_next(x, VH_MSG_SET_OWNER);
	assert_string_equal(x->guest.order, "UMM");
}

static void a_front_end_that_waited_and_went_is_no_session(void **state)
{
	struct relay_rig *x = *state;
	struct vh_relay_stats stats;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_hang_up(x);
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
	assert_false(vh_relay_is_up(x->relay));
	vh_relay_read_stats(x->relay, &stats);
	assert_int_equal(stats.sessions, 0);
	assert_string_equal(x->guest.order, "");
}

static void with_accept_ready_nobody_is_let_in_before_the_driver(void **state)
{
	struct relay_rig *x = *state;

	x->params.accept_early = false;
	relay_renew(x);
	relay_drive(x);
	assert_false(rig_path_exists(x->rig));
	for (unsigned i = 0; i < 3; i++) {
		vh_relay_set_ready(x->relay, true);
		relay_connect(x);
		relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
		relay_next(x, VH_MSG_GET_FEATURES);
		if (i == 1)
			vh_relay_set_ready(x->relay, false);
		else
			relay_hang_up(x);
		relay_drive(x);
		assert_false(rig_path_exists(x->rig));
	}
	assert_string_equal(x->guest.order, "UMDUMUMD");
}

static void with_accept_ready_a_driver_that_is_back_at_once_loses_nobody(void **state)
{
	struct relay_rig *x = *state;
	int second;

	x->params.accept_early = false;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	second = peer_connect(x->rig->path);
	peer_ask(second, VH_MSG_SET_OWNER);
	vh_relay_set_ready(x->relay, false);
	vh_relay_set_ready(x->relay, true);
	relay_next(x, VH_MSG_SET_OWNER);
	assert_string_equal(x->guest.order, "UUM");
	close(second);
}

static void with_accept_ready_a_path_that_is_gone_is_no_end(void **state)
{
	struct relay_rig *x = *state;
	char away[80];

	x->params.accept_early = false;
	relay_renew(x);
	snprintf(away, sizeof(away), "%s-away", x->rig->dir);
	assert_int_equal(rename(x->rig->dir, away), 0);
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
	assert_int_equal(rename(away, x->rig->dir), 0);
	vh_relay_set_ready(x->relay, false);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	assert_true(vh_relay_is_up(x->relay));
}

/* ---- Who goes ---- */

static void a_front_end_that_goes_ends_the_session_for_both(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_hang_up(x);
	assert_string_equal(x->guest.order, "UD");
	assert_int_equal(x->guest.why, VH_RELAY_FRONTEND_CLOSED);
	relay_connect(x);
	assert_string_equal(x->guest.order, "UD");
	vh_relay_set_ready(x->relay, true);
	assert_string_equal(x->guest.order, "UDU");
}

static void a_driver_that_goes_closes_the_front_end(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	vh_relay_set_ready(x->relay, false);
	assert_true(peer_is_closed(x->fd));
	assert_string_equal(x->guest.order, "U");
	assert_false(vh_relay_is_up(x->relay));
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	assert_string_equal(x->guest.order, "UU");
}

static void a_reset_ends_the_session_without_a_word(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	vh_relay_reset(x->relay);
	assert_true(peer_is_closed(x->fd));
	assert_string_equal(x->guest.order, "U");
	vh_relay_reset(x->relay);
	assert_string_equal(x->guest.order, "U");
}

static void a_new_session_begins_with_a_fresh_header(void **state)
{
	struct relay_rig *x = *state;
	const uint32_t half[] = {VH_MSG_SET_FEATURES, PLAIN, 8, 1};

	relay_connect(x);
	peer_send_bytes(x->fd, half, sizeof(half), NULL, 0);
	relay_drive(x);
	relay_hang_up(x);
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_FEATURES);
	relay_expect_nothing(x);
}

static void answers_of_an_old_session_are_dropped(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_hang_up(x);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, 1);
	assert_int_equal(vh_relay_send(x->relay, "rubbish", 7), 0);
	relay_connect(x);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, 1);
	relay_expect_silence(x);
}

static void start_again(struct relay_rig *x)
{
	relay_hang_up(x);
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
}

static void what_was_asked_in_an_old_session_is_not_answered(void **state)
{
	struct relay_rig *x = *state;
	const uint64_t v = 1;

	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	start_again(x);
	assert_int_equal(relay_answer(x, VH_MSG_GET_FEATURES, ANSWER, &v, 8), -EPROTO);
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	relay_say(x, 4711, PLAIN, NULL, 0, NULL, 0);
	start_again(x);
	assert_int_equal(relay_answer(x, 4711, ANSWER, &v, 8), -EPROTO);
}

static void features_of_an_old_session_are_not_in_force(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_REPLY_ACK));
	start_again(x);
	/* Without that feature nobody owes an ack, so nothing waits for one. */
	for (unsigned i = 0; i < 100; i++) {
		relay_say(x, VH_MSG_SET_OWNER, NEED_REPLY, NULL, 0, NULL, 0);
		relay_next(x, VH_MSG_SET_OWNER);
	}
}

static void what_waited_in_an_old_session_is_not_delivered(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	x->guest.buffers = 0;
	relay_answer(x, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, NEED_REPLY, NULL, 0);
	start_again(x);
	relay_say(x, VH_MSG_SET_OWNER, PLAIN, NULL, 0, NULL, 0);
	start_again(x);
	relay_answer(x, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, NEED_REPLY, NULL, 0);
	x->guest.buffers = UINT_MAX;
	vh_relay_room(x->relay);
	relay_next(x, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	relay_expect_nothing(x);
}

static void a_second_front_end_waits_for_the_first_to_go(void **state)
{
	struct relay_rig *x = *state;
	int second;

	relay_connect(x);
	second = peer_connect(x->rig->path);
	peer_ask(second, VH_MSG_SET_OWNER);
	relay_drive(x);
	relay_expect_nothing(x);
	relay_hang_up(x);
	vh_relay_set_ready(x->relay, true);
	relay_next(x, VH_MSG_SET_OWNER);
	assert_string_equal(x->guest.order, "UDUM");
	close(second);
}

static void any_event_may_come_in_any_state(void **state)
{
	struct relay_rig *x = *state;

	srand(1);
	for (unsigned i = 0; i < 3000; i++) {
		switch (rand() % 6) {
		case 0:
			relay_connect(x);
			break;
		case 1:
			relay_hang_up(x);
			break;
		case 2:
			vh_relay_set_ready(x->relay, true);
			break;
		case 3:
			vh_relay_set_ready(x->relay, rand() % 2);
			break;
		case 4:
			vh_relay_reset(x->relay);
			break;
		default:
			vh_relay_room(x->relay);
			relay_drive(x);
		}
	}
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
	assert_true(vh_relay_is_up(x->relay));
}

static void a_thousand_sessions_leave_no_fd(void **state)
{
	struct relay_rig *x = *state;
	const int kick = eventfd_new();
	int n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		relay_connect(x);
		vh_relay_set_ready(x->relay, true);
		relay_say_table(x, PLAIN, one_region, 1, NULL);
		relay_say_fd(x, VH_MSG_SET_VRING_KICK, 0, kick);
		relay_say_fd(x, VH_MSG_SET_VRING_CALL, 0, kick);
		relay_say_fd(x, VH_MSG_SET_VRING_ERR, 0, kick);
		assert_true(vh_relay_is_up(x->relay));
		if (i % 3 == 0)
			vh_relay_set_ready(x->relay, false);
		else if (i % 3 == 1)
			vh_relay_reset(x->relay);
		relay_hang_up(x);
		if (i == 10)
			n = rig_count_fds();
	}
	assert_int_equal(rig_count_fds(), n);
	close(kick);
}

static void an_address_that_is_no_socket_makes_no_relay(void **state)
{
	struct relay_rig *x = *state;
	const int n = rig_count_fds();
	struct vh_relay *relay;

	x->params.front = "unix:/nowhere/at/all";
	assert_true(vh_relay_create(x->reactor, &x->params, &relay) < 0);
	x->params.front = "nothing:of-the-kind";
	assert_true(vh_relay_create(x->reactor, &x->params, &relay) < 0);
	assert_null(relay);
	assert_int_equal(rig_count_fds(), n);
}

static void a_socket_that_is_used_up_is_left_alone(void **state)
{
	struct relay_rig *x = *state;
	char address[16];
	int pair[2];

	peer_pair(pair);
	snprintf(address, sizeof(address), "fd:%d", pair[0]);
	x->params.front = address;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
	assert_true(vh_relay_is_up(x->relay));
	close(pair[1]);
	relay_drive(x);
	assert_string_equal(x->guest.order, "UD");
	vh_relay_set_ready(x->relay, true);
	relay_drive(x);
	assert_int_equal(rig_logged("no other front-end can come"), 1);
}

/* ---- Memory ---- */

static void memory_stays_until_the_driver_has_let_go_of_it(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_say_table(x, PLAIN, one_region, 1, NULL);
	assert_int_equal(x->window.n_placed, 1);
	relay_hang_up(x);
	assert_int_equal(x->window.n_dropped, 0);
	vh_relay_set_ready(x->relay, true);
	assert_int_equal(x->window.n_dropped, 1);
	relay_connect(x);
	relay_say_table(x, PLAIN, one_region, 1, NULL);
	vh_relay_set_ready(x->relay, false);
	assert_int_equal(x->window.n_dropped, 2);
	vh_relay_reset(x->relay);
	assert_int_equal(x->window.n_dropped, 2);
}

static void a_reset_after_the_end_drops_memory_too(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	relay_say_table(x, PLAIN, one_region, 1, NULL);
	relay_hang_up(x);
	vh_relay_reset(x->relay);
	assert_int_equal(x->window.n_dropped, 1);
}

/* ---- Buffers ---- */

static void without_a_buffer_messages_wait_in_order(void **state)
{
	struct relay_rig *x = *state;

	x->guest.buffers = 1;
	relay_connect(x);
	for (unsigned i = 0; i < 100; i++)
		relay_say_state(x, VH_MSG_SET_VRING_NUM, 0, i);
	for (unsigned i = 0; i < 100; i++) {
		const struct delivered *d = relay_next(x, VH_MSG_SET_VRING_NUM);
		uint32_t num;

		memcpy(&num, d->payload + 4, sizeof(num));
		assert_int_equal(num, i);
		relay_expect_nothing(x);
		vh_relay_room(x->relay);
		relay_expect_nothing(x);
		x->guest.buffers = 1;
		vh_relay_room(x->relay);
	}
	relay_expect_nothing(x);
}

static void what_a_message_is_about_is_done_once_although_it_waits(void **state)
{
	struct relay_rig *x = *state;

	x->guest.buffers = 0;
	relay_connect(x);
	relay_say_table(x, PLAIN, one_region, 1, NULL);
	assert_string_equal(x->guest.order, "UT");
	vh_relay_room(x->relay);
	x->guest.buffers = 1;
	vh_relay_room(x->relay);
	relay_next(x, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(x->window.n_placed, 1);
	assert_string_equal(x->guest.order, "UTM");
}

static void a_front_end_that_goes_takes_what_waits_along(void **state)
{
	struct relay_rig *x = *state;

	x->guest.buffers = 0;
	relay_connect(x);
	relay_say(x, VH_MSG_SET_OWNER, PLAIN, NULL, 0, NULL, 0);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_hang_up(x);
	assert_string_equal(x->guest.order, "UD");
	x->guest.buffers = UINT_MAX;
	vh_relay_room(x->relay);
	relay_connect(x);
	vh_relay_set_ready(x->relay, true);
	relay_expect_nothing(x);
}

static void a_message_that_no_buffer_holds_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	struct vh_wire_config c = {.size = 4096};

	x->guest.buffer_len = 1024;
	relay_connect(x);
	relay_say(x, VH_MSG_GET_CONFIG, PLAIN, &c, sizeof(c), NULL, 0);
	relay_expect_refused(x, VH_RELAY_TOO_LARGE);
	assert_string_equal(x->guest.order, "UD");
}

static void requests_that_nobody_answers_are_bounded(void **state)
{
	struct relay_rig *x = *state;

	relay_connect(x);
	for (unsigned i = 0; i < 200; i++)
		relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	assert_in_range(x->guest.n, 1, 100);
	for (unsigned i = 0; i < 200; i++) {
		relay_next(x, VH_MSG_GET_FEATURES);
		relay_answer_u64(x, VH_MSG_GET_FEATURES, i);
		assert_int_equal(relay_read_u64(x, VH_MSG_GET_FEATURES), i);
	}
	relay_expect_nothing(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(a_driver_waits_for_a_front_end),
		RELAY_TEST_OLD(a_front_end_waits_for_a_driver),
		RELAY_TEST_OLD(a_front_end_that_waited_and_went_is_no_session),
		RELAY_TEST_OLD(with_accept_ready_nobody_is_let_in_before_the_driver),
		RELAY_TEST_OLD(
			with_accept_ready_a_driver_that_is_back_at_once_loses_nobody),
		RELAY_TEST_OLD(with_accept_ready_a_path_that_is_gone_is_no_end),
		RELAY_TEST(a_front_end_that_goes_ends_the_session_for_both),
		RELAY_TEST(a_driver_that_goes_closes_the_front_end),
		RELAY_TEST(a_reset_ends_the_session_without_a_word),
		RELAY_TEST(a_new_session_begins_with_a_fresh_header),
		RELAY_TEST(answers_of_an_old_session_are_dropped),
		RELAY_TEST(what_was_asked_in_an_old_session_is_not_answered),
		RELAY_TEST(features_of_an_old_session_are_not_in_force),
		RELAY_TEST(what_waited_in_an_old_session_is_not_delivered),
		RELAY_TEST(a_second_front_end_waits_for_the_first_to_go),
		RELAY_TEST(any_event_may_come_in_any_state),
		RELAY_TEST(a_thousand_sessions_leave_no_fd),
		RELAY_TEST(an_address_that_is_no_socket_makes_no_relay),
		RELAY_TEST(a_socket_that_is_used_up_is_left_alone),
		RELAY_TEST(memory_stays_until_the_driver_has_let_go_of_it),
		RELAY_TEST(a_reset_after_the_end_drops_memory_too),
		RELAY_TEST(without_a_buffer_messages_wait_in_order),
		RELAY_TEST(what_a_message_is_about_is_done_once_although_it_waits),
		RELAY_TEST(a_front_end_that_goes_takes_what_waits_along),
		RELAY_TEST(a_message_that_no_buffer_holds_ends_the_session),
		RELAY_TEST(requests_that_nobody_answers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
