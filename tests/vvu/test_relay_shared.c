/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log and the inflight area, which the guest cannot be given files for. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/guard.h"
#include "vvu/relay_state.h"

#define LOG_SIZE   0x2000u
#define LOG_OFFSET 0x1000u

/* ---- The dirty log ---- */

static void say_log(struct relay_rig *x, uint32_t flags, int fd, uint64_t size)
{
	const struct vh_wire_log log = {.size = size, .offset = LOG_OFFSET};

	relay_say(x, VH_MSG_SET_LOG_BASE, flags, &log, sizeof(log), &fd, 1);
}

static void start_log(struct relay_rig *x)
{
	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_REPLY_ACK));
	say_log(x, PLAIN, x->memory, LOG_SIZE);
}

static void mark(struct relay_rig *x, unsigned byte, uint8_t bits)
{
	vh_area_at(x->area, VH_AREA_LOG_OFFSET)[byte] |= bits;
}

static uint8_t front_log(struct relay_rig *x, unsigned byte)
{
	return rig_byte_at(x->memory, LOG_OFFSET + byte);
}

static void a_log_is_shown_in_the_area_and_told_at_its_start(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_log told = {.size = LOG_SIZE, .offset = 0};

	mark(x, 5, 0xff); /* of somebody before */
	start_log(x);
	assert_memory_equal(relay_next(x, VH_MSG_SET_LOG_BASE)->payload, &told,
			    sizeof(told));
	assert_int_equal(x->guest.area[VH_VVU_SHM_LOG].offset, VH_AREA_LOG_OFFSET);
	assert_int_equal(x->guest.area[VH_VVU_SHM_LOG].size, LOG_SIZE);
	assert_int_equal(relay_answer(x, VH_MSG_SET_LOG_BASE, ANSWER, NULL, 0), 0);
	relay_hang_up(x);
	assert_int_equal(front_log(x, 5), 0);
}

static void marks_are_carried_over_when_the_driver_says_so(void **state)
{
	struct relay_rig *x = *state;
	const int log = eventfd_new();
	eventfd_t n;

	start_log(x);
	relay_say(x, VH_MSG_SET_LOG_FD, PLAIN, NULL, 0, &log, 1);
	mark(x, 0, 1);
	mark(x, LOG_SIZE - 1, 0x80);
	vh_relay_ring(x->relay, VH_VVU_DOORBELL_LOG(N_VRINGS));
	assert_int_equal(eventfd_read(log, &n), 0);
	assert_int_equal(front_log(x, 0), 1);
	assert_int_equal(front_log(x, LOG_SIZE - 1), 0x80);
	close(log);
}

static void marks_are_carried_over_in_time_without_a_word(void **state)
{
	struct relay_rig *x = *state;

	start_log(x);
	mark(x, 100, 0x10);
	drive_until(x->reactor, front_log(x, 100) == 0x10);
	mark(x, 100, 0x01);
	drive_until(x->reactor, front_log(x, 100) == 0x11);
}

static void without_log_all_nobody_looks_for_marks(void **state)
{
	struct relay_rig *x = *state;

	start_log(x);
	assert_true(vh_timer_is_armed(&x->relay->log_timer));
	relay_say_u64(x, VH_MSG_SET_FEATURES, VH_BIT(VH_F_PROTOCOL_FEATURES));
	assert_false(vh_timer_is_armed(&x->relay->log_timer));
	relay_say_u64(x, VH_MSG_SET_FEATURES, VH_BIT(VH_F_LOG_ALL));
	mark(x, 0, 1);
	drive_until(x->reactor, front_log(x, 0) == 1);
}

static void marks_are_there_before_a_vring_is_said_to_have_stopped(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_state base = {0, 1};

	start_log(x);
	relay_say_state(x, VH_MSG_GET_VRING_BASE, 0, 0);
	mark(x, 7, 2);
	relay_answer(x, VH_MSG_GET_VRING_BASE, ANSWER, &base, sizeof(base));
	assert_int_equal(front_log(x, 7), 2);
}

static void marks_beyond_the_log_stay_where_they_are(void **state)
{
	struct relay_rig *x = *state;

	start_log(x);
	mark(x, LOG_SIZE, 0xff);
	mark(x, 1, 1);
	drive_until(x->reactor, front_log(x, 1) == 1);
	assert_int_equal(front_log(x, LOG_SIZE), 0);
}

static void a_replaced_log_gets_its_last_marks(void **state)
{
	struct relay_rig *x = *state;
	const int other = rig_memfd(LOG_OFFSET + LOG_SIZE);

	start_log(x);
	mark(x, 3, 4);
	say_log(x, PLAIN, other, LOG_SIZE);
	assert_int_equal(front_log(x, 3), 4);
	mark(x, 3, 8);
	drive_until(x->reactor, rig_byte_at(other, LOG_OFFSET + 3) == 8);
	assert_int_equal(front_log(x, 3), 4);
	close(other);
}

static void a_log_that_nobody_can_show_is_refused(void **state)
{
	struct relay_rig *x = *state;
	const uint64_t sizes[] = {0, VH_AREA_HALF + 1, MEMORY, UINT64_MAX};

	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_REPLY_ACK));
	for (unsigned i = 0; i < 4; i++) {
		say_log(x, NEED_REPLY, x->memory, sizes[i]);
		assert_int_equal(relay_read_u64(x, VH_MSG_SET_LOG_BASE), 1);
		relay_expect_nothing(x);
	}
	assert_int_equal(x->guest.area[VH_VVU_SHM_LOG].size, 0);
	say_log(x, PLAIN, x->memory, 0);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
}

static void a_log_that_was_not_negotiated_is_kept_from_the_driver(void **state)
{
	struct relay_rig *x = *state;
	const uint64_t address = 0x1000;

	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	say_log(x, NEED_REPLY, x->memory, LOG_SIZE);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_LOG_BASE), 1);
	relay_say(x, VH_MSG_SET_LOG_BASE, NEED_REPLY, &address, 8, NULL, 0);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_LOG_BASE), 1);
	say_log(x, PLAIN, x->memory, LOG_SIZE);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
}

static void a_log_fd_without_a_log_is_swallowed_and_acked_in_its_turn(void **state)
{
	struct relay_rig *x = *state;
	const int log = eventfd_new();

	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_FEATURES);
	relay_say(x, VH_MSG_SET_LOG_FD, NEED_REPLY, NULL, 0, &log, 1);
	relay_say(x, VH_MSG_SET_LOG_FD, PLAIN, NULL, 0, &log, 1);
	relay_expect_nothing(x);
	relay_expect_silence(x);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, 5);
	assert_int_equal(relay_read_u64(x, VH_MSG_GET_FEATURES), 5);
	assert_int_equal(relay_read_u64(x, VH_MSG_SET_LOG_FD), 0);
	relay_expect_silence(x);
	close(log);
}

/* cmocka takes SIGBUS for itself in each test. */
static struct sigaction guard;

static void install_guard(void)
{
	static uint8_t byte;
	unsigned slot;

	if (vh_guard_add(&byte, 1, -1, &slot) == 0)
		vh_guard_remove(slot);
	sigaction(SIGBUS, NULL, &guard);
}

static void a_log_that_shrinks_ends_its_session_only(void **state)
{
	struct relay_rig *x = *state;

	sigaction(SIGBUS, &guard, NULL);
	start_log(x);
	assert_int_equal(ftruncate(x->memory, 0), 0);
	mark(x, 0, 1);
	drive_until(x->reactor, !vh_relay_is_up(x->relay));
	relay_expect_closed(x, VH_RELAY_FRONTEND_ERROR);
	assert_int_equal(rig_logged("dirty log shrank"), 1);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	assert_true(vh_relay_is_up(x->relay));
}

/* ---- Inflight ---- */

static const struct vh_wire_inflight wanted = {.n_queues = 1, .queue_size = 128};

static void ask_for_area(struct relay_rig *x)
{
	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_INFLIGHT_SHMFD));
	relay_say(x, VH_MSG_GET_INFLIGHT_FD, PLAIN, &wanted, sizeof(wanted), NULL, 0);
	relay_next(x, VH_MSG_GET_INFLIGHT_FD);
}

/* The driver puts it at @offset; its fd. */
static int get_area(struct relay_rig *x, uint64_t offset, uint64_t size)
{
	const struct vh_wire_inflight a = {size, offset, 1, 128, 0};
	struct vh_wire_inflight got;
	uint32_t id, flags;
	unsigned n_fds;
	int fds[8];

	ask_for_area(x);
	assert_int_equal(relay_answer(x, VH_MSG_GET_INFLIGHT_FD, ANSWER, &a, sizeof(a)),
			 0);
	assert_int_equal(peer_read(x->fd, &id, &flags, &got, sizeof(got), fds, &n_fds),
			 sizeof(got));
	assert_memory_equal(&got, &a, sizeof(a));
	assert_int_equal(n_fds, size ? 1 : 0);
	return size ? fds[0] : -1;
}

static void an_area_is_all_zeroes_and_seen_by_both(void **state)
{
	struct relay_rig *x = *state;
	uint8_t *area = vh_area_at(x->area, VH_AREA_INFLIGHT_OFFSET);
	int fd;

	memset(area, 0x55, 8192);
	fd = get_area(x, 4096, 4096);
	assert_int_equal(x->guest.area[VH_VVU_SHM_INFLIGHT].offset, 0);
	assert_int_equal(x->guest.area[VH_VVU_SHM_INFLIGHT].size, VH_AREA_HALF);
	assert_int_equal(rig_byte_at(fd, 4096), 0);
	area[4097] = 7;
	assert_int_equal(rig_byte_at(fd, 4097), 7);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void a_driver_may_have_no_area_to_give(void **state)
{
	struct relay_rig *x = *state;

	assert_int_equal(get_area(x, 0, 0), -1);
}

static void an_area_outside_of_the_area_is_the_drivers_fault(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_inflight bad[] = {
		{VH_AREA_HALF, 1, 1, 128, 0},
		{1, VH_AREA_HALF, 1, 128, 0},
		{4096, UINT64_MAX - 1, 1, 128, 0},
		{UINT64_MAX, 4096, 1, 128, 0},
	};

	for (unsigned i = 0; i < 4; i++) {
		vh_relay_set_ready(x->relay, true);
		ask_for_area(x);
		assert_int_equal(relay_answer(x, VH_MSG_GET_INFLIGHT_FD, ANSWER, &bad[i],
					      sizeof(bad[i])),
				 -EPROTO);
		relay_expect_closed(x, VH_RELAY_DRIVER_ERROR);
	}
}

static void an_area_that_comes_back_is_told_with_its_place(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_inflight a = {4096, 8192, 1, 128, 0};
	const int fd = get_area(x, 8192, 4096);

	vh_area_at(x->area, 0)[8192] = 9;
	relay_hang_up(x);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	assert_int_equal(x->guest.area[VH_VVU_SHM_INFLIGHT].size, 0);
	relay_negotiate(x, VH_BIT(VH_PF_INFLIGHT_SHMFD));
	relay_say(x, VH_MSG_SET_INFLIGHT_FD, PLAIN, &a, sizeof(a), &fd, 1);
	assert_memory_equal(relay_next(x, VH_MSG_SET_INFLIGHT_FD)->payload, &a,
			    sizeof(a));
	assert_int_equal(x->guest.area[VH_VVU_SHM_INFLIGHT].offset, 8192);
	assert_int_equal(x->guest.area[VH_VVU_SHM_INFLIGHT].size, 4096);
	assert_int_equal(vh_area_at(x->area, 0)[8192], 9);
	close(fd);
}

static void an_area_of_somebody_else_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_inflight a = {4096, 0, 1, 128, 0};

	relay_connect(x);
	relay_negotiate(x, VH_BIT(VH_PF_INFLIGHT_SHMFD));
	relay_say(x, VH_MSG_SET_INFLIGHT_FD, PLAIN, &a, sizeof(a), &x->memory, 1);
	relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	assert_int_equal(rig_logged("not the area that this process has given out"), 1);
}

static void an_area_beyond_our_half_ends_the_session(void **state)
{
	struct relay_rig *x = *state;
	const struct vh_wire_inflight bad[] = {
		{0, 0, 1, 128, 0},
		{4096, VH_AREA_HALF, 1, 128, 0},
		{UINT64_MAX, 0, 1, 128, 0},
	};
	const int fd = vh_area_fd(x->area);

	for (unsigned i = 0; i < 3; i++) {
		vh_relay_set_ready(x->relay, true);
		relay_connect(x);
		relay_negotiate(x, VH_BIT(VH_PF_INFLIGHT_SHMFD));
		relay_say(x, VH_MSG_SET_INFLIGHT_FD, PLAIN, &bad[i], sizeof(bad[i]), &fd,
			  1);
		relay_expect_refused(x, VH_RELAY_FRONTEND_ERROR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(a_log_is_shown_in_the_area_and_told_at_its_start),
		RELAY_TEST(marks_are_carried_over_when_the_driver_says_so),
		RELAY_TEST(marks_are_carried_over_in_time_without_a_word),
		RELAY_TEST(without_log_all_nobody_looks_for_marks),
		RELAY_TEST(marks_are_there_before_a_vring_is_said_to_have_stopped),
		RELAY_TEST(marks_beyond_the_log_stay_where_they_are),
		RELAY_TEST(a_replaced_log_gets_its_last_marks),
		RELAY_TEST(a_log_that_nobody_can_show_is_refused),
		RELAY_TEST_OLD(a_log_that_was_not_negotiated_is_kept_from_the_driver),
		RELAY_TEST_OLD(a_log_fd_without_a_log_is_swallowed_and_acked_in_its_turn),
		RELAY_TEST(a_log_that_shrinks_ends_its_session_only),
		RELAY_TEST(an_area_is_all_zeroes_and_seen_by_both),
		RELAY_TEST(a_driver_may_have_no_area_to_give),
		RELAY_TEST(an_area_outside_of_the_area_is_the_drivers_fault),
		RELAY_TEST(an_area_that_comes_back_is_told_with_its_place),
		RELAY_TEST(an_area_of_somebody_else_ends_the_session),
		RELAY_TEST(an_area_beyond_our_half_ends_the_session),
	};

	install_guard();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
