/* SPDX-License-Identifier: BSD-3-Clause */
/* Order, the sleep/wake handshake and what the eventfd holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/list.h"
#include "base/mailbox.h"

struct letter {
	struct vh_post post;
	struct vh_mailbox *mailbox;
	unsigned sender, number;
	unsigned *next_of_sender; /* the number that must come next */
};

static void read_letter(struct vh_post *post)
{
	struct letter *l = vh_container_of(post, struct letter, post);

	assert_int_equal(l->number, l->next_of_sender[l->sender]);
	l->next_of_sender[l->sender]++;
	free(l);
}

static void send_letter(struct vh_mailbox *m, unsigned *next, unsigned sender,
			unsigned number)
{
	struct letter *l = malloc(sizeof(*l));

	assert_non_null(l);
	*l = (struct letter){.post.fn = read_letter,
			     .sender = sender,
			     .number = number,
			     .next_of_sender = next};
	vh_mailbox_post(m, &l->post);
}

static bool is_readable(const struct vh_mailbox *m)
{
	struct pollfd p = {.fd = m->fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static int setup(void **state)
{
	static struct vh_mailbox m;

	*state = &m;
	return vh_mailbox_init(&m);
}

static int teardown(void **state)
{
	vh_mailbox_fini(*state);
	return 0;
}

static void posts_run_in_order(void **state)
{
	unsigned next[1] = {0};

	for (unsigned i = 0; i < 5; i++)
		send_letter(*state, next, 0, i);
	assert_int_equal(vh_mailbox_drain(*state), 5);
	assert_int_equal(next[0], 5);
	assert_int_equal(vh_mailbox_drain(*state), 0);
}

static void post_the_next(struct vh_post *post)
{
	struct letter *l = vh_container_of(post, struct letter, post);

	if (l->number++ < 3)
		vh_mailbox_post(l->mailbox, post);
}

static void a_post_that_posts_itself_again_waits_for_the_next_drain(void **state)
{
	struct letter l = {.post.fn = post_the_next, .mailbox = *state};

	vh_mailbox_post(*state, &l.post);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(vh_mailbox_drain(*state), 1);
		assert_int_equal(l.number, i);
	}
	assert_int_equal(vh_mailbox_drain(*state), 0);
}

static void a_taker_that_is_awake_costs_no_write(void **state)
{
	unsigned next[1] = {0};

	send_letter(*state, next, 0, 0);
	assert_false(is_readable(*state));
	vh_mailbox_drain(*state);
}

static void only_the_first_of_many_posts_wakes_the_taker(void **state)
{
	struct vh_mailbox *m = *state;
	unsigned next[1] = {0};
	uint64_t n_writes;

	assert_true(vh_mailbox_arm(m));
	assert_false(is_readable(m));
	for (unsigned i = 0; i < 3; i++)
		send_letter(m, next, 0, i);
	assert_int_equal(eventfd_read(m->fd, &n_writes), 0);
	assert_int_equal(n_writes, 1);
	eventfd_write(m->fd, 1);
	vh_mailbox_disarm(m);
	assert_int_equal(vh_mailbox_drain(m), 3);
}

static void arming_a_mailbox_that_is_not_empty_is_refused(void **state)
{
	struct vh_mailbox *m = *state;
	unsigned next[1] = {0};

	send_letter(m, next, 0, 0);
	assert_false(vh_mailbox_arm(m));
	send_letter(m, next, 0, 1);
	assert_false(is_readable(m));
	assert_int_equal(vh_mailbox_drain(m), 2);
	assert_true(vh_mailbox_arm(m));
	vh_mailbox_disarm(m);
}

static void disarming_empties_the_eventfd(void **state)
{
	struct vh_mailbox *m = *state;
	unsigned next[1] = {0};

	vh_mailbox_arm(m);
	send_letter(m, next, 0, 0);
	assert_true(is_readable(m));
	vh_mailbox_disarm(m);
	assert_false(is_readable(m));
	vh_mailbox_disarm(m);
	assert_int_equal(vh_mailbox_drain(m), 1);
}

static void a_write_that_comes_late_is_read_by_a_later_disarm(void **state)
{
	struct vh_mailbox *m = *state;

	/* A poster took the mark away, but has not reached its write yet. */
	vh_mailbox_arm(m);
	m->armed = 0;
	vh_mailbox_disarm(m);
	assert_true(vh_mailbox_arm(m));
	eventfd_write(m->fd, 1);
	vh_mailbox_disarm(m);
	assert_false(is_readable(m));
	assert_int_equal(m->owed, 0);
}

#define N_SENDERS 4
#define N_LETTERS 20000

struct sender {
	pthread_t thread;
	struct vh_mailbox *mailbox;
	unsigned *next;
	unsigned index;
};

static void *send_many(void *arg)
{
	const struct sender *s = arg;

	for (unsigned i = 0; i < N_LETTERS; i++)
		send_letter(s->mailbox, s->next, s->index, i);
	return NULL;
}

/* Sleep for ever unless the mailbox wakes us: a lost wake-up ends in the time limit. */
static void take_sleeping(struct vh_mailbox *m, unsigned n_expected)
{
	struct pollfd p = {.fd = m->fd, .events = POLLIN};
	unsigned n = 0;

	while (n < n_expected) {
		if (vh_mailbox_arm(m)) {
			assert_int_equal(poll(&p, 1, 30000), 1);
			vh_mailbox_disarm(m);
		}
		n += vh_mailbox_drain(m);
	}
}

static void no_post_of_many_threads_is_lost_or_sleeps_on(void **state)
{
	unsigned next[N_SENDERS] = {0};
	struct sender senders[N_SENDERS];

	for (unsigned i = 0; i < N_SENDERS; i++) {
		senders[i] = (struct sender){.mailbox = *state, .next = next, .index = i};
		pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
	}
	take_sleeping(*state, N_SENDERS * N_LETTERS);
	for (unsigned i = 0; i < N_SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(next[i], N_LETTERS);
	}
	assert_int_equal(vh_mailbox_drain(*state), 0);
}

#define N_ROUNDS 3000

/* Each has a mailbox, and numbers that only it touches. */
struct pair {
	struct vh_mailbox mailbox[2];
	unsigned next[2][1];
};

static void *answer(void *arg)
{
	struct pair *p = arg;

	for (unsigned i = 0; i < N_ROUNDS; i++) {
		take_sleeping(&p->mailbox[0], 1);
		send_letter(&p->mailbox[1], p->next[1], 0, i);
	}
	return NULL;
}

/* One letter at a time, so both sides sleep for each: the handshake at its edge. */
static void two_takers_that_sleep_for_each_letter_both_finish(void **state)
{
	struct pair p = {0};
	pthread_t thread;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vh_mailbox_init(&p.mailbox[i]), 0);
	pthread_create(&thread, NULL, answer, &p);
	for (unsigned i = 0; i < N_ROUNDS; i++) {
		send_letter(&p.mailbox[0], p.next[0], 0, i);
		take_sleeping(&p.mailbox[1], 1);
	}
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(p.next[i][0], N_ROUNDS);
		vh_mailbox_fini(&p.mailbox[i]);
	}
}

int main(void)
{
#define MAILBOX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		MAILBOX_TEST(posts_run_in_order),
		MAILBOX_TEST(a_post_that_posts_itself_again_waits_for_the_next_drain),
		MAILBOX_TEST(a_taker_that_is_awake_costs_no_write),
		MAILBOX_TEST(only_the_first_of_many_posts_wakes_the_taker),
		MAILBOX_TEST(arming_a_mailbox_that_is_not_empty_is_refused),
		MAILBOX_TEST(disarming_empties_the_eventfd),
		MAILBOX_TEST(a_write_that_comes_late_is_read_by_a_later_disarm),
		MAILBOX_TEST(no_post_of_many_threads_is_lost_or_sleeps_on),
		MAILBOX_TEST(two_takers_that_sleep_for_each_letter_both_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
