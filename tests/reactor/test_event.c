/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is called for a file descriptor, and who no more. */
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* An event on an eventfd of its own that can do things to another. */
struct watch {
	struct vh_event event;
	struct vh_reactor *reactor;
	unsigned n_calls;
	void (*then)(struct watch *w);
	struct watch *other;
};

static void called(struct vh_event *ev, uint32_t events)
{
	struct watch *w = vh_container_of(ev, struct watch, event);

	w->n_calls++;
	if (w->then)
		w->then(w);
}

static struct watch *watch_new(struct vh_reactor *r)
{
	struct watch *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->reactor = r;
	w->event = (struct vh_event){.fd = eventfd_new(), .fn = called};
	assert_int_equal(vh_event_add(r, &w->event, EPOLLIN), 0);
	return w;
}

static void watch_free(struct watch *w)
{
	vh_event_remove(w->reactor, &w->event);
	close(w->event.fd);
	free(w);
}

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

static void an_event_is_called_as_long_as_its_fd_is_ready(void **state)
{
	struct watch *w = watch_new(*state);
	uint64_t count;

	assert_int_equal(vh_reactor_poll(*state, 0), 0);
	kick(w->event.fd);
	assert_int_equal(vh_reactor_poll(*state, 0), 1);
	assert_int_equal(vh_reactor_poll(*state, 0), 1);
	eventfd_read(w->event.fd, &count);
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
	assert_int_equal(w->n_calls, 2);
	watch_free(w);
}

static void free_other_then_itself(struct watch *w)
{
	struct watch *victim = w->other ? w->other : w;

	w->other = NULL;
	watch_free(victim);
}

static void an_event_may_free_another_of_the_same_batch_and_itself(void **state)
{
	struct watch *a = watch_new(*state), *b = watch_new(*state);

	a->other = b;
	b->other = a;
	a->then = b->then = free_other_then_itself;
	kick(a->event.fd);
	kick(b->event.fd);
	assert_int_equal(vh_reactor_poll(*state, 0), 2);
	assert_int_equal(vh_reactor_poll(*state, 0), 1);
	assert_int_equal(vh_reactor_poll(*state, 0), 0);
}

static void remove_other(struct watch *w)
{
	vh_event_remove(w->reactor, &w->other->event);
}

static void an_event_removed_by_another_is_not_called(void **state)
{
	struct watch *a = watch_new(*state), *b = watch_new(*state);

	a->other = b;
	b->other = a;
	a->then = b->then = remove_other;
	kick(a->event.fd);
	kick(b->event.fd);
	vh_reactor_poll(*state, 0);
	vh_reactor_poll(*state, 0);
	assert_int_equal(a->n_calls + b->n_calls, 2);
	assert_true(!a->n_calls || !b->n_calls);
	watch_free(a);
	watch_free(b);
}

static void add_other_again(struct watch *w)
{
	remove_other(w);
	assert_int_equal(vh_event_add(w->reactor, &w->other->event, EPOLLIN), 0);
}

static void an_event_added_again_is_called_in_a_later_turn(void **state)
{
	struct watch *a = watch_new(*state), *b = watch_new(*state);

	a->other = b;
	b->other = a;
	a->then = b->then = add_other_again;
	kick(a->event.fd);
	kick(b->event.fd);
	vh_reactor_poll(*state, 0);
	assert_int_equal(a->n_calls + b->n_calls, 1);
	a->then = b->then = NULL;
	vh_reactor_poll(*state, 0);
	assert_int_equal(a->n_calls + b->n_calls, 3);
	watch_free(a);
	watch_free(b);
}

static void stop_other_reading(struct watch *w)
{
	assert_int_equal(vh_event_modify(w->reactor, &w->other->event, 0), 0);
}

static void an_event_that_stopped_reading_is_not_told_of_old_input(void **state)
{
	struct watch *a = watch_new(*state), *b = watch_new(*state);

	a->other = b;
	b->other = a;
	a->then = b->then = stop_other_reading;
	kick(a->event.fd);
	kick(b->event.fd);
	vh_reactor_poll(*state, 0);
	assert_int_equal(a->n_calls + b->n_calls, 1);

	struct watch *stopped = a->n_calls ? b : a;

	assert_int_equal(vh_event_modify(*state, &stopped->event, EPOLLIN), 0);
	a->then = b->then = NULL;
	vh_reactor_poll(*state, 0);
	assert_int_equal(stopped->n_calls, 1);
	watch_free(a);
	watch_free(b);
}

static void a_regular_file_is_refused(void **state)
{
	struct vh_event ev = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
			      .fn = called};

	assert_true(ev.fd >= 0);
	assert_int_equal(vh_event_add(*state, &ev, EPOLLIN), -EPERM);
	vh_event_remove(*state, &ev);
	close(ev.fd);
	assert_int_equal(n_lines, 0);
}

static void an_fd_is_watched_once(void **state)
{
	struct watch *w = watch_new(*state);
	struct vh_event again = {.fd = w->event.fd, .fn = called};

	assert_int_equal(vh_event_add(*state, &again, EPOLLIN), -EEXIST);
	kick(w->event.fd);
	vh_reactor_poll(*state, 0);
	assert_int_equal(w->n_calls, 1);
	watch_free(w);
}

static void removing_what_was_never_added_does_nothing(void **state)
{
	struct vh_event ev = {.fd = -1, .fn = called};

	vh_event_remove(*state, &ev);
	assert_int_equal(n_lines, 0);
}

static void an_fd_closed_before_its_event_is_removed_is_logged(void **state)
{
	struct watch *w = watch_new(*state);

	close(w->event.fd);
	vh_event_remove(*state, &w->event);
	assert_int_equal(n_lines, 1);
	assert_non_null(strstr(last_line, "Bad file descriptor"));
	free(w);
}

static void more_events_than_a_batch_holds_are_all_called(void **state)
{
	struct watch *w[200];
	unsigned n_called = 0;

	for (unsigned i = 0; i < 200; i++) {
		w[i] = watch_new(*state);
		kick(w[i]->event.fd);
	}
	/* epoll goes round: each turn brings others than the one before. */
	for (unsigned i = 0; i < 4; i++)
		vh_reactor_poll(*state, 0);
	for (unsigned i = 0; i < 200; i++) {
		n_called += w[i]->n_calls > 0;
		watch_free(w[i]);
	}
	assert_int_equal(n_called, 200);
}

int main(void)
{
#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		EVENT_TEST(an_event_is_called_as_long_as_its_fd_is_ready),
		EVENT_TEST(an_event_may_free_another_of_the_same_batch_and_itself),
		EVENT_TEST(an_event_removed_by_another_is_not_called),
		EVENT_TEST(an_event_added_again_is_called_in_a_later_turn),
		EVENT_TEST(an_event_that_stopped_reading_is_not_told_of_old_input),
		EVENT_TEST(a_regular_file_is_refused),
		EVENT_TEST(an_fd_is_watched_once),
		EVENT_TEST(removing_what_was_never_added_does_nothing),
		EVENT_TEST(an_fd_closed_before_its_event_is_removed_is_logged),
		EVENT_TEST(more_events_than_a_batch_holds_are_all_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
