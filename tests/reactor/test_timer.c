/* SPDX-License-Identifier: BSD-3-Clause */
/* When timers run, in which order, and what they cost while they do not. */
#include "drive.h"

#include <stdlib.h>

struct alarm {
	struct vh_timer timer;
	struct vh_reactor *reactor;
	unsigned n_runs;
	unsigned place; /* of its last run among all runs */
	void (*then)(struct alarm *a);
	struct alarm *other;
};

static unsigned n_all_runs;

static void ring(struct vh_timer *t)
{
	struct alarm *a = vh_container_of(t, struct alarm, timer);

	assert_false(vh_timer_is_armed(t));
	assert_true(vh_reactor_now(a->reactor) >= t->due);
	a->n_runs++;
	a->place = ++n_all_runs;
	if (a->then)
		a->then(a);
}

static void alarm_init(struct alarm *a, struct vh_reactor *r)
{
	*a = (struct alarm){.reactor = r};
	vh_timer_init(&a->timer, ring);
}

static int setup(void **state)
{
	*state = reactor_new(VH_POLL_ADAPTIVE);
	n_all_runs = 0;
	log_to_test();
	return 0;
}

static int teardown(void **state)
{
	vh_reactor_destroy(*state);
	return 0;
}

static void timers_run_in_order_of_time(void **state)
{
	struct alarm a, b, c;

	alarm_init(&a, *state);
	alarm_init(&b, *state);
	alarm_init(&c, *state);
	vh_timer_arm(*state, &b.timer, 2 * MS);
	vh_timer_arm(*state, &c.timer, 3 * MS);
	vh_timer_arm(*state, &a.timer, 1 * MS);
	drive_until(*state, c.n_runs);
	assert_int_equal(a.place, 1);
	assert_int_equal(b.place, 2);
	assert_int_equal(c.place, 3);
	assert_int_equal(n_all_runs, 3);
}

static void arm_other_now(struct alarm *a)
{
	vh_timer_arm(a->reactor, &a->other->timer, 0);
}

static void a_timer_armed_by_another_runs_in_a_later_turn(void **state)
{
	struct alarm a, b;

	alarm_init(&a, *state);
	alarm_init(&b, *state);
	a.other = &b;
	a.then = arm_other_now;
	vh_timer_arm(*state, &a.timer, 0);
	drive_until(*state, a.n_runs);
	assert_int_equal(b.n_runs, 0);
	drive_until(*state, b.n_runs);
}

static void a_timer_that_arms_itself_runs_once_a_turn(void **state)
{
	struct alarm a;

	alarm_init(&a, *state);
	a.other = &a;
	a.then = arm_other_now;
	vh_timer_arm(*state, &a.timer, 0);
	for (unsigned i = 1; i <= 20; i++) {
		drive_until(*state, a.n_runs >= i);
		assert_int_equal(a.n_runs, i);
	}
	vh_timer_disarm(*state, &a.timer);
}

static void arming_again_moves_a_timer(void **state)
{
	struct alarm a, b;

	alarm_init(&a, *state);
	alarm_init(&b, *state);
	vh_timer_arm(*state, &a.timer, 1000000 * MS);
	vh_timer_arm(*state, &b.timer, 2 * MS);
	vh_timer_arm(*state, &a.timer, 1 * MS);
	drive_until(*state, b.n_runs);
	assert_int_equal(a.place, 1);
	assert_int_equal(a.n_runs, 1);
}

static void disarm_other(struct alarm *a)
{
	vh_timer_disarm(a->reactor, &a->other->timer);
}

static void a_timer_disarmed_by_one_that_is_due_with_it_does_not_run(void **state)
{
	struct alarm a, b, c;

	alarm_init(&a, *state);
	alarm_init(&b, *state);
	alarm_init(&c, *state);
	a.other = &b;
	a.then = disarm_other;
	vh_timer_arm(*state, &a.timer, 1);
	vh_timer_arm(*state, &b.timer, 2);
	vh_timer_arm(*state, &c.timer, 3);
	drive_until(*state, c.n_runs);
	assert_int_equal(b.n_runs, 0);
	assert_false(vh_timer_is_armed(&b.timer));
}

static void a_time_beyond_the_clock_is_never(void **state)
{
	struct alarm a;

	alarm_init(&a, *state);
	vh_timer_arm(*state, &a.timer, UINT64_MAX);
	drive_until_idle(*state);
	assert_true(vh_timer_is_armed(&a.timer));
	assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
	vh_timer_disarm(*state, &a.timer);
	assert_int_equal(a.n_runs, 0);
}

static void an_outer_loop_is_woken_for_the_earliest_timer(void **state)
{
	struct alarm a, b;

	alarm_init(&a, *state);
	alarm_init(&b, *state);
	vh_timer_arm(*state, &b.timer, 1000000 * MS);
	drive_until_idle(*state);
	vh_timer_arm(*state, &a.timer, 20 * MS);
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
	assert_true(fd_is_readable(vh_reactor_fd(*state), FOR_EVER_MS));
	assert_true(vh_reactor_now(*state) >= a.timer.due);
	drive_until(*state, a.n_runs);
	vh_timer_disarm(*state, &b.timer);
}

static void a_timer_that_is_moved_away_wakes_at_most_once_in_vain(void **state)
{
	struct vh_reactor_counters before, after;
	struct alarm limit, end;

	alarm_init(&limit, *state);
	alarm_init(&end, *state);
	vh_timer_arm(*state, &limit.timer, 1 * MS);
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
	vh_timer_arm(*state, &limit.timer, 1000000 * MS);
	vh_timer_arm(*state, &end.timer, 3 * MS);
	vh_reactor_read_counters(*state, &before);
	drive_until(*state, end.n_runs);
	vh_reactor_read_counters(*state, &after);
	/* In vain, the turn behind it, and the one that runs the timer; one to spare. */
	assert_in_range(after.turns - before.turns, 1, 4);
	vh_timer_disarm(*state, &limit.timer);
}

static void many_timers_run_in_order(void **state)
{
	static struct alarm a[300];

	srand(1);
	for (unsigned i = 0; i < 300; i++) {
		alarm_init(&a[i], *state);
		vh_timer_arm(*state, &a[i].timer, rand() % (2 * MS));
	}
	drive_until(*state, n_all_runs == 300);
	for (unsigned i = 0; i < 300; i++)
		for (unsigned j = 0; j < 300; j++)
			if (a[i].timer.due < a[j].timer.due)
				assert_true(a[i].place < a[j].place);
}

int main(void)
{
#define TIMER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TIMER_TEST(timers_run_in_order_of_time),
		TIMER_TEST(a_timer_armed_by_another_runs_in_a_later_turn),
		TIMER_TEST(a_timer_that_arms_itself_runs_once_a_turn),
		TIMER_TEST(arming_again_moves_a_timer),
		TIMER_TEST(a_timer_disarmed_by_one_that_is_due_with_it_does_not_run),
		TIMER_TEST(a_time_beyond_the_clock_is_never),
		TIMER_TEST(an_outer_loop_is_woken_for_the_earliest_timer),
		TIMER_TEST(a_timer_that_is_moved_away_wakes_at_most_once_in_vain),
		TIMER_TEST(many_timers_run_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
