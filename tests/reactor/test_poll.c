/* SPDX-License-Identifier: BSD-3-Clause */
/* The poll policy, with queues that only pretend. */
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/barrier.h"

struct fake {
	struct vh_poller poller;
	struct vh_reactor *reactor;
	unsigned backlog;   /* units that are there to be done */
	unsigned more_came; /* how often .arm says so */
	unsigned n_works, n_arms, n_disarms, n_done, largest_budget;
	uint64_t last_work, armed_at; /* ns */
	void (*in_work)(struct fake *f);
	bool (*in_arm)(struct fake *f);
	struct fake *other;
};

static struct fake *fake_of(struct vh_poller *p)
{
	return vh_container_of(p, struct fake, poller);
}

static unsigned work(struct vh_poller *p, unsigned budget)
{
	struct fake *f = fake_of(p);
	unsigned n = f->backlog < budget ? f->backlog : budget;

	f->n_works++;
	f->n_done += n;
	f->backlog -= n;
	if (n)
		f->last_work = vh_reactor_now(f->reactor);
	if (budget > f->largest_budget)
		f->largest_budget = budget;
	if (f->in_work)
		f->in_work(f); /* may free f */
	return n;
}

static bool arm(struct vh_poller *p)
{
	struct fake *f = fake_of(p);

	f->n_arms++;
	f->armed_at = vh_reactor_now(f->reactor);
	if (f->in_arm)
		return f->in_arm(f);
	if (!f->more_came)
		return false;
	f->more_came--;
	return true;
}

static void disarm(struct vh_poller *p)
{
	fake_of(p)->n_disarms++;
}

static const struct vh_poller_ops fake_ops = {
	.work = work,
	.arm = arm,
	.disarm = disarm,
};

static struct fake *fake_with_fd(struct vh_reactor *r, int fd)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->reactor = r;
	f->poller.ops = &fake_ops;
	f->poller.fd = fd;
	assert_int_equal(vh_poller_add(r, &f->poller), 0);
	return f;
}

static struct fake *fake_new(struct vh_reactor *r)
{
	return fake_with_fd(r, eventfd_new());
}

static void fake_free(struct fake *f)
{
	vh_poller_remove(f->reactor, &f->poller);
	if (f->poller.fd >= 0)
		close(f->poller.fd);
	free(f);
}

static int setup_adaptive(void **state)
{
	*state = reactor_new(VH_POLL_ADAPTIVE);
	log_to_test();
	return 0;
}

static int setup_busy(void **state)
{
	*state = reactor_new(VH_POLL_BUSY);
	log_to_test();
	return 0;
}

static int setup_sleep(void **state)
{
	*state = reactor_new(VH_POLL_SLEEP);
	log_to_test();
	return 0;
}

static int teardown(void **state)
{
	vh_reactor_destroy(*state);
	return n_lines && strstr(last_line, "destroyed while");
}

/* ---- From busy to armed and back ---- */

static void the_first_look_needs_no_kick(void **state)
{
	struct fake *f = fake_new(*state);

	f->backlog = 3;
	assert_int_equal(vh_reactor_poll(*state, 0), 3);
	assert_int_equal(f->n_done, 3);
	fake_free(f);
}

static void a_sleeping_one_arms_after_the_first_vain_look(void **state)
{
	struct fake *f = fake_new(*state);

	f->backlog = 3;
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_arms, 0);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_works, 2);
	assert_int_equal(f->n_arms, 1);
	assert_int_equal(f->poller.state, VH_POLLER_ARMED);
	fake_free(f);
}

static void an_armed_one_costs_nothing(void **state)
{
	struct fake *f = fake_new(*state);

	drive_until_idle(*state);
	f->n_works = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(vh_reactor_poll(*state, 0), 0);
	assert_int_equal(f->n_works, 0);
	assert_int_equal(f->n_arms, 1);
	assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
	fake_free(f);
}

static void a_kick_wakes_an_armed_one(void **state)
{
	struct fake *f = fake_new(*state);

	drive_until_idle(*state);
	f->backlog = 5;
	kick(f->poller.fd);
	assert_true(fd_is_readable(vh_reactor_fd(*state), 0));
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_done, 5);
	assert_int_equal(f->n_disarms, 1);
	assert_int_equal(f->poller.kicks, 1);
	fake_free(f);
}

/* The kick fd is never read, and yet each write is news. */
static void each_kick_wakes_once(void **state)
{
	struct fake *f = fake_new(*state);
	uint64_t count;

	for (unsigned i = 1; i <= 5; i++) {
		drive_until_idle(*state);
		assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
		kick(f->poller.fd);
		assert_true(fd_is_readable(vh_reactor_fd(*state), 0));
		vh_reactor_poll(*state, 0);
		assert_int_equal(f->poller.kicks, i);
	}
	assert_int_equal(eventfd_read(f->poller.fd, &count), 0);
	assert_int_equal(count, 5);
	fake_free(f);
}

static void a_kick_from_before_it_was_added_wakes_at_most_once(void **state)
{
	int fd = eventfd_new();

	kick(fd);

	struct fake *f = fake_with_fd(*state, fd);

	drive_until_idle(*state);
	assert_in_range(f->n_arms, 1, 2);
	assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
	fake_free(f);
}

static void when_more_came_it_goes_on_polling(void **state)
{
	struct fake *f = fake_new(*state);

	f->more_came = 3;
	drive_until(*state, f->n_arms == 3);
	assert_int_equal(f->poller.state, VH_POLLER_BUSY);
	assert_int_equal(f->n_disarms, 3);
	drive_until_idle(*state);
	assert_int_equal(f->n_arms, 4);
	assert_int_equal(f->n_works, 4);
	fake_free(f);
}

static void a_wake_looks_at_an_armed_one_and_spares_a_removed_one(void **state)
{
	struct fake *f = fake_new(*state);

	drive_until_idle(*state);
	f->backlog = 1;
	vh_poller_wake(*state, &f->poller);
	vh_poller_wake(*state, &f->poller);
	assert_int_equal(f->n_disarms, 1);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_done, 1);
	assert_int_equal(f->poller.kicks, 0);

	vh_poller_remove(*state, &f->poller);
	vh_poller_wake(*state, &f->poller);
	assert_int_equal(f->poller.state, VH_POLLER_OFF);
	fake_free(f);
}

static void a_kick_fd_that_epoll_refuses_is_an_error(void **state)
{
	struct fake f = {.poller = {.ops = &fake_ops}};

	f.poller.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(f.poller.fd >= 0);
	assert_int_equal(vh_poller_add(*state, &f.poller), -EPERM);
	assert_int_equal(f.poller.state, VH_POLLER_OFF);
	vh_poller_remove(*state, &f.poller);
	close(f.poller.fd);
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
}

static void two_numbers_of_one_eventfd_both_wake(void **state)
{
	int fd = eventfd_new();
	struct fake *a = fake_with_fd(*state, fd), *b = fake_with_fd(*state, dup(fd));

	drive_until_idle(*state);
	kick(fd);
	drive_until_idle(*state);
	assert_int_equal(a->poller.kicks, 1);
	assert_int_equal(b->poller.kicks, 1);
	fake_free(a);
	fake_free(b);
}

/* ---- How long it spins ---- */

static void an_adaptive_one_spins_for_50_us_after_its_last_work(void **state)
{
	struct fake *f = fake_new(*state);

	f->backlog = 1;
	drive_until(*state, f->n_arms);
	assert_true(f->armed_at - f->last_work >= 50000);
	fake_free(f);
}

static void an_adaptive_one_kicked_in_vain_does_not_spin(void **state)
{
	struct fake *f = fake_new(*state);

	drive_until_idle(*state);
	f->n_works = 0;
	kick(f->poller.fd);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_works, 1);
	assert_int_equal(f->poller.state, VH_POLLER_ARMED);
	fake_free(f);
}

static void an_adaptive_one_that_expects_work_spins_for_it(void **state)
{
	struct fake *f = fake_new(*state);
	uint64_t start;

	drive_until_idle(*state);
	f->n_arms = 0;
	start = vh_reactor_now(*state);
	vh_poller_expect(*state, &f->poller);
	drive_until(*state, f->n_arms);
	assert_true(f->armed_at - start >= 50000);
	fake_free(f);
}

static void a_reactor_whose_queues_spin_asks_to_be_called_again(void **state)
{
	struct fake *f = fake_new(*state);

	assert_int_equal(vh_reactor_poll(*state, 0), 1);
	assert_int_equal(f->n_done, 0);
	fake_free(f);
}

static void a_busy_one_never_arms(void **state)
{
	struct fake *f = fake_new(*state);
	uint64_t start = vh_reactor_now(*state);

	while (vh_reactor_now(*state) - start < 1 * MS)
		assert_int_equal(vh_reactor_poll(*state, 0), 1);
	assert_int_equal(f->n_arms, 0);
	assert_int_equal(f->poller.state, VH_POLLER_BUSY);
	fake_free(f);
}

static void a_busy_reactor_without_queues_sleeps(void **state)
{
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
}

/* ---- Queues without a kick fd ---- */

static void one_without_a_kick_fd_is_looked_at_each_millisecond(void **state)
{
	struct fake *f = fake_with_fd(*state, -1);

	drive_until_idle(*state);
	assert_int_equal(f->poller.state, VH_POLLER_ARMED);

	uint64_t armed_at = f->armed_at;

	f->backlog = 2;
	drive_until(*state, f->n_done == 2);
	assert_true(f->last_work - armed_at >= 1 * MS);
	assert_int_equal(f->n_disarms, 1);
	fake_free(f);
}

static void those_without_a_kick_fd_do_not_spin_when_looked_at_in_vain(void **state)
{
	struct fake *a = fake_with_fd(*state, -1), *b = fake_with_fd(*state, -1);

	drive_until_idle(*state);
	a->n_works = b->n_works = a->n_arms = b->n_arms = 0;
	drive_until(*state, a->n_arms == 5);
	assert_int_equal(a->n_works, 5);
	assert_int_equal(b->n_works, 5);
	fake_free(a);
	fake_free(b);
}

static void a_missing_kick_fd_is_logged_once(void **state)
{
	struct fake *f = fake_with_fd(*state, -1);

	drive_until(*state, f->n_arms == 3);
	assert_int_equal(n_lines, 1);
	assert_non_null(strstr(last_line, "without a kick fd"));
	fake_free(f);
}

static void a_busy_reactor_does_not_mind_a_missing_kick_fd(void **state)
{
	struct fake *f = fake_with_fd(*state, -1);

	assert_int_equal(n_lines, 0);
	fake_free(f);
}

static void the_last_one_without_a_kick_fd_takes_its_timer_along(void **state)
{
	struct fake *f = fake_with_fd(*state, -1);

	drive_until_idle(*state);
	fake_free(f);
	/* The timerfd is still set and goes off once; then it is quiet. */
	assert_true(fd_is_readable(vh_reactor_fd(*state), FOR_EVER_MS));
	drive_until_idle(*state);
	assert_false(fd_is_readable(vh_reactor_fd(*state), 20));
}

/* ---- Removal ---- */

static void free_it(struct fake *f)
{
	fake_free(f);
}

static void one_may_free_itself_in_work(void **state)
{
	struct fake *f = fake_new(*state), *other = fake_new(*state);

	f->in_work = free_it;
	vh_reactor_poll(*state, 0);
	drive_until_idle(*state);
	assert_int_equal(other->n_works, 1);
	fake_free(other);
}

static bool free_it_when_armed(struct fake *f)
{
	fake_free(f);
	return true;
}

static void one_may_free_itself_in_arm(void **state)
{
	struct fake *f = fake_new(*state);

	f->in_arm = free_it_when_armed;
	drive_until_idle(*state);
}

static void free_other(struct fake *f)
{
	if (f->other)
		fake_free(f->other);
	f->other = NULL;
}

static void one_may_free_those_before_and_behind_it(void **state)
{
	struct fake *f[5];

	for (unsigned i = 0; i < 5; i++)
		f[i] = fake_new(*state);
	f[1]->other = f[2];
	f[3]->other = f[0];
	f[4]->other = f[3];
	f[1]->in_work = f[3]->in_work = f[4]->in_work = free_other;
	vh_reactor_poll(*state, 0);
	assert_int_equal(f[1]->n_works, 1);
	assert_int_equal(f[4]->n_works, 1);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f[1]->n_works, 2);
	assert_int_equal(f[4]->n_works, 2);
	fake_free(f[1]);
	fake_free(f[4]);
}

static void add_itself_again(struct fake *f)
{
	f->in_work = NULL;
	vh_poller_remove(f->reactor, &f->poller);
	assert_int_equal(vh_poller_add(f->reactor, &f->poller), 0);
}

static void one_that_adds_itself_again_is_looked_at_in_the_next_turn(void **state)
{
	struct fake *f = fake_new(*state);

	f->in_work = add_itself_again;
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_works, 1);
	assert_int_equal(f->n_arms, 0);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f->n_works, 2);
	fake_free(f);
}

static void a_kick_for_a_removed_one_does_nothing(void **state)
{
	struct fake *f = fake_new(*state);

	drive_until_idle(*state);
	kick(f->poller.fd);
	vh_poller_remove(*state, &f->poller);
	vh_poller_remove(*state, &f->poller);
	drive_until_idle(*state);
	assert_int_equal(f->poller.kicks, 0);
	assert_int_equal(f->n_disarms, 0);
	fake_free(f);
}

/* ---- Fairness ---- */

static void each_gets_its_budget_each_turn(void **state)
{
	struct fake *f[3];

	for (unsigned i = 0; i < 3; i++) {
		f[i] = fake_new(*state);
		f[i]->backlog = 10000;
	}
	f[1]->backlog = 100;
	for (unsigned turn = 1; turn <= 4; turn++)
		vh_reactor_poll(*state, 50);
	assert_int_equal(f[0]->n_done, 200);
	assert_int_equal(f[1]->n_done, 100);
	assert_int_equal(f[2]->n_done, 200);
	assert_int_equal(f[0]->largest_budget, 50);
	vh_reactor_poll(*state, 0);
	assert_int_equal(f[0]->largest_budget, 64);
	for (unsigned i = 0; i < 3; i++)
		fake_free(f[i]);
}

static void wake_other(struct fake *f)
{
	vh_poller_wake(f->reactor, &f->other->poller);
}

/* Two that wake each other from vain looks would never let the turn end. */
static void one_woken_by_another_does_not_prolong_the_turn(void **state)
{
	struct fake *a = fake_new(*state), *b = fake_new(*state);

	a->other = b;
	b->other = a;
	a->in_work = b->in_work = wake_other;
	for (unsigned i = 1; i <= 10; i++) {
		assert_true(vh_reactor_poll(*state, 0) > 0);
		assert_in_range(a->n_works + b->n_works, i, 2 * i);
	}
	fake_free(a);
	fake_free(b);
}

static void never_runs_dry(struct fake *f)
{
	f->backlog = 1000;
}

static void note_event(struct vh_event *ev, uint32_t events)
{
	uint64_t count;

	eventfd_read(ev->fd, &count);
	ev->fn = NULL;
}

static void fds_and_timers_are_served_while_a_queue_is_busy(void **state)
{
	struct vh_event ev = {.fd = eventfd_new(), .fn = note_event};
	struct fake *f = fake_new(*state), *idle = fake_with_fd(*state, -1);

	f->in_work = never_runs_dry;
	f->backlog = 1000;
	assert_int_equal(vh_event_add(*state, &ev, EPOLLIN), 0);
	kick(ev.fd);
	drive_until(*state, !ev.fn);
	/* This one needs a timer of the reactor for its third look. */
	drive_until(*state, idle->n_arms == 3);
	assert_int_equal(f->n_arms, 0);
	vh_event_remove(*state, &ev);
	close(ev.fd);
	fake_free(f);
	fake_free(idle);
}

/* ---- All of it, with a peer in another thread ---- */

#define N_ITEMS 20000

/* A ring of one: the peer fills it, kicks if that is wanted, and waits until it is empty.
 */
struct ring {
	struct vh_poller poller;
	struct vh_reactor *reactor;
	uint32_t filled, emptied, want_kick;
};

static unsigned ring_work(struct vh_poller *p, unsigned budget)
{
	struct ring *ring = vh_container_of(p, struct ring, poller);
	uint32_t filled = vh_load_acquire(&ring->filled);

	if (filled == ring->emptied)
		return 0;
	vh_store_release(&ring->emptied, filled);
	if (filled == N_ITEMS)
		vh_reactor_stop(ring->reactor);
	return 1;
}

static bool ring_arm(struct vh_poller *p)
{
	struct ring *ring = vh_container_of(p, struct ring, poller);

	vh_store_relaxed(&ring->want_kick, 1);
	/* The wish is seen before we look. */
	vh_fence_full();
	return vh_load_relaxed(&ring->filled) != ring->emptied;
}

static void ring_disarm(struct vh_poller *p)
{
	vh_store_relaxed(&vh_container_of(p, struct ring, poller)->want_kick, 0);
}

static const struct vh_poller_ops ring_ops = {
	.work = ring_work,
	.arm = ring_arm,
	.disarm = ring_disarm,
};

static void *fill_ring(void *arg)
{
	struct ring *ring = arg;

	for (uint32_t i = 1; i <= N_ITEMS; i++) {
		vh_store_release(&ring->filled, i);
		/* The item is seen before we ask for the wish. */
		vh_fence_full();
		if (vh_load_relaxed(&ring->want_kick) && ring->poller.fd >= 0)
			kick(ring->poller.fd);
		while (vh_load_acquire(&ring->emptied) != i)
			sched_yield();
	}
	return NULL;
}

/* A lost kick would leave both waiting until the time limit of the test. */
static void no_kick_of_a_peer_is_lost(void **state)
{
	struct ring ring = {.poller = {.ops = &ring_ops, .fd = eventfd_new()},
			    .reactor = *state};
	pthread_t peer;

	assert_int_equal(vh_poller_add(*state, &ring.poller), 0);
	pthread_create(&peer, NULL, fill_ring, &ring);
	assert_int_equal(vh_reactor_run(*state), 0);
	pthread_join(peer, NULL);
	assert_int_equal(ring.emptied, N_ITEMS);
	vh_poller_remove(*state, &ring.poller);
	close(ring.poller.fd);
}

struct end {
	struct vh_timer timer;
	struct vh_reactor *reactor;
};

static void stop_at_the_end(struct vh_timer *t)
{
	vh_reactor_stop(vh_container_of(t, struct end, timer)->reactor);
}

static void a_reactor_whose_queues_are_all_idle_sleeps(void **state)
{
	struct vh_reactor_counters before, after;
	struct end end = {.reactor = *state};
	struct fake *f[16];

	for (unsigned i = 0; i < 16; i++)
		f[i] = fake_new(*state);
	drive_until_idle(*state);
	vh_timer_init(&end.timer, stop_at_the_end);
	vh_timer_arm(*state, &end.timer, 300 * MS);
	vh_reactor_read_counters(*state, &before);
	vh_reactor_run(*state);
	vh_reactor_read_counters(*state, &after);
	assert_in_range(after.turns - before.turns, 1, 4);
	for (unsigned i = 0; i < 16; i++)
		fake_free(f[i]);
}

int main(void)
{
#define SLEEP_TEST(name) cmocka_unit_test_setup_teardown(name, setup_sleep, teardown)
#define ADAPTIVE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup_adaptive, teardown)
#define BUSY_TEST(name) cmocka_unit_test_setup_teardown(name, setup_busy, teardown)
	const struct CMUnitTest tests[] = {
		SLEEP_TEST(the_first_look_needs_no_kick),
		SLEEP_TEST(a_sleeping_one_arms_after_the_first_vain_look),
		SLEEP_TEST(an_armed_one_costs_nothing),
		ADAPTIVE_TEST(an_armed_one_costs_nothing),
		SLEEP_TEST(a_kick_wakes_an_armed_one),
		ADAPTIVE_TEST(a_kick_wakes_an_armed_one),
		SLEEP_TEST(each_kick_wakes_once),
		ADAPTIVE_TEST(each_kick_wakes_once),
		SLEEP_TEST(a_kick_from_before_it_was_added_wakes_at_most_once),
		SLEEP_TEST(when_more_came_it_goes_on_polling),
		SLEEP_TEST(a_wake_looks_at_an_armed_one_and_spares_a_removed_one),
		SLEEP_TEST(a_kick_fd_that_epoll_refuses_is_an_error),
		SLEEP_TEST(two_numbers_of_one_eventfd_both_wake),
		ADAPTIVE_TEST(an_adaptive_one_spins_for_50_us_after_its_last_work),
		ADAPTIVE_TEST(an_adaptive_one_that_expects_work_spins_for_it),
		ADAPTIVE_TEST(an_adaptive_one_kicked_in_vain_does_not_spin),
		ADAPTIVE_TEST(a_reactor_whose_queues_spin_asks_to_be_called_again),
		BUSY_TEST(a_busy_one_never_arms),
		BUSY_TEST(a_busy_reactor_without_queues_sleeps),
		SLEEP_TEST(one_without_a_kick_fd_is_looked_at_each_millisecond),
		ADAPTIVE_TEST(one_without_a_kick_fd_is_looked_at_each_millisecond),
		ADAPTIVE_TEST(those_without_a_kick_fd_do_not_spin_when_looked_at_in_vain),
		SLEEP_TEST(a_missing_kick_fd_is_logged_once),
		BUSY_TEST(a_busy_reactor_does_not_mind_a_missing_kick_fd),
		SLEEP_TEST(the_last_one_without_a_kick_fd_takes_its_timer_along),
		SLEEP_TEST(one_may_free_itself_in_work),
		SLEEP_TEST(one_may_free_itself_in_arm),
		BUSY_TEST(one_may_free_those_before_and_behind_it),
		SLEEP_TEST(one_that_adds_itself_again_is_looked_at_in_the_next_turn),
		SLEEP_TEST(a_kick_for_a_removed_one_does_nothing),
		ADAPTIVE_TEST(each_gets_its_budget_each_turn),
		SLEEP_TEST(one_woken_by_another_does_not_prolong_the_turn),
		ADAPTIVE_TEST(fds_and_timers_are_served_while_a_queue_is_busy),
		SLEEP_TEST(no_kick_of_a_peer_is_lost),
		ADAPTIVE_TEST(no_kick_of_a_peer_is_lost),
		BUSY_TEST(no_kick_of_a_peer_is_lost),
		SLEEP_TEST(a_reactor_whose_queues_are_all_idle_sleeps),
		ADAPTIVE_TEST(a_reactor_whose_queues_are_all_idle_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
