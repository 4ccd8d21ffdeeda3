/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop itself: starting, stopping, calls from other threads, the end of a turn. */
#include "drive.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int setup(void **state)
{
	*state = reactor_new(VH_POLL_ADAPTIVE);
	log_to_test();
	return 0;
}

static int teardown(void **state)
{
	vh_reactor_destroy(*state);
	return 0;
}

static void count_up(void *arg)
{
	++*(unsigned *)arg;
}

static void stop_it(void *arg)
{
	vh_reactor_stop(arg);
}

static void *run_it(void *arg)
{
	return (void *)(intptr_t)vh_reactor_run(arg);
}

static pthread_t run_on_thread(struct vh_reactor *r)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_it, r), 0);
	return thread;
}

static int join(pthread_t thread)
{
	void *rc;

	pthread_join(thread, &rc);
	return (int)(intptr_t)rc;
}

/* ---- Birth ---- */

static void parameters_of_the_wrong_kind_are_refused(void **state)
{
	const struct vh_reactor_params good = {.size = sizeof(good), .cpu = -1};
	struct vh_reactor_params bad[] = {good, good, good};
	struct vh_reactor *r = NULL;

	bad[0].size = 8;
	bad[1].cpu = CPU_SETSIZE;
	bad[2].poll = 77;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(vh_reactor_create(&bad[i], &r), -EINVAL);
	assert_null(r);
	assert_int_equal(n_lines, 3);
}

static void a_process_without_fds_gets_an_error_and_loses_none(void **state)
{
	const struct vh_reactor_params params = {.size = sizeof(params), .cpu = -1};
	int first = dup(STDERR_FILENO);
	struct rlimit before, few;
	struct vh_reactor *r = NULL;

	close(first);
	getrlimit(RLIMIT_NOFILE, &before);
	for (int n = 0; n < 4; n++) {
		few = before;
		few.rlim_cur = first + n;
		setrlimit(RLIMIT_NOFILE, &few);
		assert_int_equal(vh_reactor_create(&params, &r), -EMFILE);
	}
	setrlimit(RLIMIT_NOFILE, &before);
	assert_null(r);

	int again = dup(STDERR_FILENO);

	assert_int_equal(again, first);
	close(again);
}

static void a_reactor_without_a_name_has_one(void **state)
{
	const struct vh_reactor_params params = {.size = sizeof(params), .cpu = -1};
	struct vh_reactor *r = NULL;

	assert_int_equal(vh_reactor_create(&params, &r), 0);
	assert_string_equal(vh_reactor_name(r), "reactor");
	vh_reactor_destroy(r);
	vh_reactor_destroy(NULL);
}

/* ---- Stopping ---- */

static void a_stop_before_run_is_not_forgotten(void **state)
{
	vh_reactor_stop(*state);
	assert_int_equal(vh_reactor_run(*state), 0);
}

static void each_run_uses_up_the_stops_before_it(void **state)
{
	struct vh_reactor_counters before, after;

	vh_reactor_stop(*state);
	vh_reactor_stop(*state);
	vh_reactor_run(*state);
	/* This one returns for the stop that it is sent, not for the old ones. */
	vh_reactor_read_counters(*state, &before);
	vh_reactor_post(*state, stop_it, *state);
	vh_reactor_run(*state);
	vh_reactor_read_counters(*state, &after);
	assert_int_equal(after.turns - before.turns, 2);
}

static struct vh_reactor *to_be_stopped;

static void stop_from_handler(int signal)
{
	vh_reactor_stop(to_be_stopped);
}

static void *send_signal(void *arg)
{
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void start_signal_sender(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, send_signal, arg);
	pthread_detach(thread);
}

static void a_signal_handler_stops_a_reactor(void **state)
{
	const struct sigaction action = {.sa_handler = stop_from_handler}, before = {0};
	pthread_t me = pthread_self();

	to_be_stopped = *state;
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < 200; i++) {
		vh_reactor_post(*state, start_signal_sender, &me);
		assert_int_equal(vh_reactor_run(*state), 0);
	}
	sigaction(SIGUSR1, &before, NULL);
}

/* ---- Calls from other threads ---- */

static void posted_calls_run_in_the_next_turn(void **state)
{
	unsigned n = 0;

	vh_reactor_post(*state, count_up, &n);
	vh_reactor_post(*state, count_up, &n);
	assert_int_equal(n, 0);
	assert_int_equal(vh_reactor_poll(*state, 0), 2);
	assert_int_equal(n, 2);
}

static void *post_one(void *arg)
{
	vh_reactor_post(arg, stop_it, arg);
	return NULL;
}

static void a_post_from_another_thread_makes_the_fd_readable(void **state)
{
	pthread_t thread;

	drive_until_idle(*state);
	assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
	pthread_create(&thread, NULL, post_one, *state);
	assert_true(fd_is_readable(vh_reactor_fd(*state), FOR_EVER_MS));
	pthread_join(thread, NULL);
	assert_true(vh_reactor_poll(*state, 0) > 0);
	drive_until_idle(*state);
	assert_false(fd_is_readable(vh_reactor_fd(*state), 0));
}

#define N_THREADS 4
#define N_POSTS	  5000

struct poster {
	pthread_t thread;
	struct vh_reactor *reactor;
	unsigned n_sent, n_seen;
	bool in_order;
};

struct numbered {
	struct vh_post post;
	struct poster *from;
	unsigned number;
};

static void see(struct vh_post *post)
{
	struct numbered *n = vh_container_of(post, struct numbered, post);

	n->from->in_order &= n->number == n->from->n_seen++;
	free(n);
}

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < N_POSTS; i++) {
		struct numbered *n = malloc(sizeof(*n));

		*n = (struct numbered){.post.fn = see, .from = p, .number = i};
		vh_reactor_post_node(p->reactor, &n->post);
	}
	return NULL;
}

static void posts_of_many_threads_all_run_in_their_order(void **state)
{
	struct poster posters[N_THREADS];
	pthread_t loop = run_on_thread(*state);

	for (unsigned i = 0; i < N_THREADS; i++) {
		posters[i] = (struct poster){.reactor = *state, .in_order = true};
		pthread_create(&posters[i].thread, NULL, post_many, &posters[i]);
	}
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(posters[i].thread, NULL);
	vh_reactor_post(*state, stop_it, *state);
	assert_int_equal(join(loop), 0);
	for (unsigned i = 0; i < N_THREADS; i++) {
		assert_true(posters[i].in_order);
		assert_int_equal(posters[i].n_seen, N_POSTS);
	}
}

static void calls_that_did_not_run_are_run_when_it_is_destroyed(void **state)
{
	struct vh_reactor *r = reactor_new(VH_POLL_ADAPTIVE);
	unsigned n = 0;

	vh_reactor_post(r, count_up, &n);
	vh_reactor_destroy(r);
	assert_int_equal(n, 1);
}

static void destroying_a_reactor_in_use_is_logged(void **state)
{
	struct vh_reactor *r = reactor_new(VH_POLL_ADAPTIVE);
	struct vh_event ev = {.fd = eventfd_new()};

	vh_event_add(r, &ev, 0);
	vh_reactor_destroy(r);
	close(ev.fd);
	assert_int_equal(n_lines, 1);
}

/* ---- Its thread ---- */

struct sight {
	struct vh_reactor *reactor;
	char name[16];
	bool is_here;
	int n_cpus;
};

static void look_around(void *arg)
{
	struct sight *s = arg;
	cpu_set_t cpus;

	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	s->n_cpus = CPU_COUNT(&cpus);
	s->is_here = vh_reactor_is_here(s->reactor);
	vh_reactor_stop(s->reactor);
}

static int first_cpu(void)
{
	cpu_set_t cpus;
	int cpu = 0;

	pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	return cpu;
}

static void its_thread_has_its_name_and_its_cpu(void **state)
{
	const struct vh_reactor_params params = {.size = sizeof(params),
						 .name = "a-name-longer-than-15-bytes",
						 .cpu = first_cpu()};
	struct sight s = {0};

	vh_reactor_create(&params, &s.reactor);
	vh_reactor_post(s.reactor, look_around, &s);
	assert_int_equal(join(run_on_thread(s.reactor)), 0);
	assert_string_equal(s.name, "a-name-longer-t");
	assert_int_equal(s.n_cpus, 1);
	assert_true(s.is_here);
	vh_reactor_destroy(s.reactor);
}

static void the_first_thread_keeps_its_name_and_gets_its_cpus_back(void **state)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params), .name = "other", .cpu = first_cpu()};
	struct sight s = {0};
	cpu_set_t before, after;

	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	vh_reactor_create(&params, &s.reactor);
	vh_reactor_post(s.reactor, look_around, &s);
	assert_int_equal(vh_reactor_run(s.reactor), 0);
	pthread_getaffinity_np(pthread_self(), sizeof(after), &after);
	assert_string_not_equal(s.name, "other");
	assert_int_equal(s.n_cpus, 1);
	assert_true(CPU_EQUAL(&before, &after));
	vh_reactor_destroy(s.reactor);
}

static void a_cpu_that_is_not_there_ends_the_run(void **state)
{
	const struct vh_reactor_params params = {.size = sizeof(params),
						 .cpu = CPU_SETSIZE - 1};
	struct vh_reactor *r = NULL;

	vh_reactor_create(&params, &r);
	assert_int_equal(vh_reactor_run(r), -EINVAL);
	assert_non_null(strstr(last_line, "CPU 1023"));
	vh_reactor_destroy(r);
}

static void *ask_from_elsewhere(void *arg)
{
	struct sight *s = arg;

	s->is_here = vh_reactor_is_here(s->reactor);
	return NULL;
}

static void another_thread_is_not_here_once_it_runs(void **state)
{
	struct sight s = {.reactor = *state};
	pthread_t thread;

	pthread_create(&thread, NULL, ask_from_elsewhere, &s);
	pthread_join(thread, NULL);
	assert_true(s.is_here);

	vh_reactor_poll(*state, 0);
	assert_true(vh_reactor_is_here(*state));
	pthread_create(&thread, NULL, ask_from_elsewhere, &s);
	pthread_join(thread, NULL);
	assert_false(s.is_here);
}

/* ---- A turn ---- */

struct later {
	struct vh_deferred deferred;
	struct vh_reactor *reactor;
	unsigned n_runs, n_again;
	struct later *undefer;
};

static void run_later(struct vh_deferred *d)
{
	struct later *l = vh_container_of(d, struct later, deferred);

	l->n_runs++;
	if (l->undefer)
		vh_reactor_undefer(&l->undefer->deferred);
	if (l->n_again) {
		l->n_again--;
		vh_reactor_defer(l->reactor, d);
	}
}

static void defer_twice(void *arg)
{
	struct later *l = arg;

	vh_reactor_defer(l->reactor, &l->deferred);
	vh_reactor_defer(l->reactor, &l->deferred);
	assert_int_equal(l->n_runs, 0);
}

static struct later *later_init(struct later *l, struct vh_reactor *r)
{
	*l = (struct later){.deferred.fn = run_later, .reactor = r};
	vh_list_init(&l->deferred.link);
	return l;
}

static void a_deferred_call_runs_once_at_the_end_of_its_turn(void **state)
{
	struct later l;

	vh_reactor_post(*state, defer_twice, later_init(&l, *state));
	vh_reactor_poll(*state, 0);
	assert_int_equal(l.n_runs, 1);
	vh_reactor_poll(*state, 0);
	assert_int_equal(l.n_runs, 1);
}

static void a_call_that_defers_itself_runs_in_the_next_turn_without_a_sleep(void **state)
{
	struct later l;

	later_init(&l, *state)->n_again = 2;
	vh_reactor_defer(*state, &l.deferred);
	for (unsigned i = 1; i <= 3; i++) {
		assert_true(vh_reactor_poll(*state, 0) > 0);
		assert_int_equal(l.n_runs, i);
	}
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
}

static void an_undeferred_call_does_not_run(void **state)
{
	struct later a, b, c;

	later_init(&a, *state)->undefer = later_init(&b, *state);
	vh_reactor_defer(*state, &a.deferred);
	vh_reactor_defer(*state, &b.deferred);
	vh_reactor_defer(*state, &later_init(&c, *state)->deferred);
	vh_reactor_undefer(&c.deferred);
	vh_reactor_poll(*state, 0);
	assert_int_equal(a.n_runs, 1);
	assert_int_equal(b.n_runs, 0);
	assert_int_equal(c.n_runs, 0);
}

/* An undefer from the first one to run shows the order. */
static void what_is_deferred_late_runs_behind_all_else(void **state)
{
	struct later late, soon;

	later_init(&late, *state);
	later_init(&soon, *state)->undefer = &late;
	vh_reactor_defer_late(*state, &late.deferred);
	vh_reactor_defer(*state, &soon.deferred);
	vh_reactor_poll(*state, 0);
	assert_int_equal(soon.n_runs, 1);
	assert_int_equal(late.n_runs, 0);
	vh_reactor_defer_late(*state, &late.deferred);
	vh_reactor_poll(*state, 0);
	assert_int_equal(late.n_runs, 1);
}

static void read_time_twice(void *arg)
{
	struct vh_reactor *r = to_be_stopped;
	uint64_t *t = arg, first = vh_reactor_now(r), other = first;
	struct timespec ts;

	/* The clock itself has moved on by the time this ends. */
	while (other == first) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		other = ts.tv_sec * 1000 * MS + ts.tv_nsec;
	}
	t[0] = first;
	t[1] = vh_reactor_now(r);
}

static void time_stands_still_within_a_turn_only(void **state)
{
	uint64_t t[2] = {1, 2};

	to_be_stopped = *state;
	vh_reactor_post(*state, read_time_twice, t);
	vh_reactor_poll(*state, 0);
	assert_int_equal(t[0], t[1]);
	while (vh_reactor_now(*state) == t[0])
		;
	t[0] = vh_reactor_now(*state);
	while (vh_reactor_now(*state) == t[0])
		;
}

static void stop_at_the_end(struct vh_timer *t)
{
	vh_reactor_stop(to_be_stopped);
}

static void an_idle_reactor_sleeps_and_does_not_turn(void **state)
{
	struct vh_reactor_counters c;
	struct rusage before, after;
	struct vh_timer end;

	to_be_stopped = *state;
	vh_timer_init(&end, stop_at_the_end);
	vh_timer_arm(*state, &end, 300 * MS);
	getrusage(RUSAGE_THREAD, &before);
	assert_int_equal(vh_reactor_run(*state), 0);
	getrusage(RUSAGE_THREAD, &after);
	vh_reactor_read_counters(*state, &c);
	assert_in_range(c.turns, 1, 4);
	assert_in_range(c.sleeps, 1, 4);
	assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 4);
}

int main(void)
{
#define REACTOR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		REACTOR_TEST(parameters_of_the_wrong_kind_are_refused),
		REACTOR_TEST(a_process_without_fds_gets_an_error_and_loses_none),
		REACTOR_TEST(a_reactor_without_a_name_has_one),
		REACTOR_TEST(a_stop_before_run_is_not_forgotten),
		REACTOR_TEST(each_run_uses_up_the_stops_before_it),
		REACTOR_TEST(a_signal_handler_stops_a_reactor),
		REACTOR_TEST(posted_calls_run_in_the_next_turn),
		REACTOR_TEST(a_post_from_another_thread_makes_the_fd_readable),
		REACTOR_TEST(posts_of_many_threads_all_run_in_their_order),
		REACTOR_TEST(calls_that_did_not_run_are_run_when_it_is_destroyed),
		REACTOR_TEST(destroying_a_reactor_in_use_is_logged),
		REACTOR_TEST(its_thread_has_its_name_and_its_cpu),
		REACTOR_TEST(the_first_thread_keeps_its_name_and_gets_its_cpus_back),
		REACTOR_TEST(a_cpu_that_is_not_there_ends_the_run),
		REACTOR_TEST(another_thread_is_not_here_once_it_runs),
		REACTOR_TEST(a_deferred_call_runs_once_at_the_end_of_its_turn),
		REACTOR_TEST(
			a_call_that_defers_itself_runs_in_the_next_turn_without_a_sleep),
		REACTOR_TEST(an_undeferred_call_does_not_run),
		REACTOR_TEST(what_is_deferred_late_runs_behind_all_else),
		REACTOR_TEST(time_stands_still_within_a_turn_only),
		REACTOR_TEST(an_idle_reactor_sleeps_and_does_not_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
