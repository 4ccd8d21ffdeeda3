/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread, one loop.  This file is birth and death, the turn, and the ways in
 * from other threads; which queues are polled is poll.c's business, not its.
 *
 * A turn: events (the only place that sleeps), timers, what was posted, busy
 * pollers, what was deferred.  It sleeps when no poller is busy, nothing is
 * deferred and the mailbox, once armed, is still empty; then all that can happen
 * makes epoll's fd readable, so an outer loop can sleep on it in our place.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"

#include "private.h"

#define DEFAULT_BUDGET 64

/* ---- Birth and death ---- */

static void stop_was_asked(struct vh_event *ev, uint32_t events)
{
	uint64_t n_times;

	if (read(ev->fd, &n_times, sizeof(n_times)) == sizeof(n_times))
		vh_container_of(ev, struct vh_reactor, stop)->stopping = true;
}

static void post_came(struct vh_event *ev, uint32_t events)
{
	vh_mailbox_disarm(&vh_container_of(ev, struct vh_reactor, posted)->mailbox);
}

static int open_fds(struct vh_reactor *r)
{
	int rc;

	r->stop = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				    .fn = stop_was_asked};
	if (r->stop.fd < 0)
		return -errno;
	if ((rc = vh_events_init(&r->events)) || (rc = vh_mailbox_init(&r->mailbox)))
		return rc;
	r->posted = (struct vh_event){.fd = r->mailbox.fd, .fn = post_came};
	if ((rc = vh_event_add(r, &r->stop, EPOLLIN)) ||
	    (rc = vh_event_add(r, &r->posted, EPOLLIN)))
		return rc;
	return vh_timers_init(r);
}

static void close_fds(struct vh_reactor *r)
{
	vh_timers_fini(r);
	vh_mailbox_fini(&r->mailbox);
	vh_events_fini(&r->events);
	vh_fd_drop(&r->stop.fd);
}

static struct vh_reactor *reactor_alloc(const struct vh_reactor_params *params)
{
	struct vh_reactor *r = aligned_alloc(_Alignof(struct vh_reactor), sizeof(*r));

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	snprintf(r->tag, sizeof(r->tag), "%s", params->name ? params->name : "reactor");
	r->cpu = params->cpu;
	r->mailbox.fd = r->events.epoll_fd = r->timers.alarm.fd = r->stop.fd = -1;
	vh_list_init(&r->deferred);
	vh_list_init(&r->late);
	vh_poll_init(&r->poll, params->poll);
	return r;
}

int vh_reactor_create(const struct vh_reactor_params *params, struct vh_reactor **out)
{
	if (params->size < sizeof(*params) || params->cpu >= CPU_SETSIZE ||
	    params->poll > VH_POLL_SLEEP) {
		vh_log_line(params->name, VH_LOG_ERROR,
			    "bad parameters: size=%zu cpu=%d poll=%d", params->size,
			    params->cpu, params->poll);
		return -EINVAL;
	}

	struct vh_reactor *r = reactor_alloc(params);

	if (!r)
		return -ENOMEM;

	int rc = open_fds(r);

	if (rc) {
		vh_log(r, VH_LOG_ERROR, "no fds for a reactor: %s", vh_strerror(rc));
		close_fds(r);
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}

static unsigned run_list(struct vh_list *list)
{
	struct vh_list batch;
	unsigned n = 0;

	/* The batch takes the head's place: what is deferred now waits for the next. */
	vh_list_append(list, &batch);
	vh_list_remove(list);
	for (; !vh_list_is_empty(&batch); n++) {
		struct vh_deferred *d =
			vh_container_of(vh_list_take(&batch), struct vh_deferred, link);

		d->fn(d);
	}
	return n;
}

static unsigned run_deferred(struct vh_reactor *r)
{
	const unsigned n = run_list(&r->deferred);

	return n + run_list(&r->late);
}

static bool is_unused(const struct vh_reactor *r)
{
	return vh_list_is_empty(&r->events.all) && vh_list_is_empty(&r->timers.armed) &&
	       vh_list_is_empty(&r->poll.busy) && vh_list_is_empty(&r->poll.sleeping) &&
	       vh_list_is_empty(&r->poll.kickless);
}

void vh_reactor_destroy(struct vh_reactor *r)
{
	if (!r)
		return;
	vh_store_relaxed(&r->owner, 0);
	while (vh_mailbox_drain(&r->mailbox) || run_deferred(r))
		;
	vh_event_remove(r, &r->stop);
	vh_event_remove(r, &r->posted);
	vh_timers_fini(r);
	/* Whoever is still registered will use freed memory. */
	if (!is_unused(r))
		vh_log(r, VH_LOG_ERROR,
		       "destroyed while something was registered with it");
	close_fds(r);
	free(r);
}

/* ---- The turn ---- */

/* False: there is something to do now. */
static bool prepare_to_sleep(struct vh_reactor *r)
{
	if (!vh_poll_may_sleep(&r->poll) || !vh_list_is_empty(&r->deferred) ||
	    !vh_list_is_empty(&r->late) || !vh_mailbox_arm(&r->mailbox))
		return false;
	vh_timers_set_alarm(r);
	return true;
}

static int look_at_events_and_timers(struct vh_reactor *r, bool sleep)
{
	int n = vh_events_wait(&r->events, sleep);

	if (sleep) {
		vh_count(&r->counters.sleeps, 1);
		vh_mailbox_disarm(&r->mailbox);
		r->now = 0;
	}
	if (n < 0)
		return n;
	vh_poll_looked(r);
	vh_events_dispatch(&r->events);
	return n + vh_timers_run(r);
}

static int turn(struct vh_reactor *r, unsigned budget, bool sleep)
{
	int64_t n = 0;

	assert(!r->in_turn);
	r->in_turn = true;
	r->now = 0;
	vh_count(&r->counters.turns, 1);
	if (vh_poll_look_is_due(r))
		n = look_at_events_and_timers(r, sleep);
	if (n >= 0) {
		n += vh_mailbox_drain(&r->mailbox);
		n += vh_poll_work(r, budget);
		n += run_deferred(r);
	}
	r->in_turn = false;
	return n < INT_MAX ? n : INT_MAX;
}

int vh_reactor_poll(struct vh_reactor *r, unsigned budget)
{
	vh_store_relaxed(&r->owner, (uintptr_t)pthread_self());
	vh_mailbox_disarm(&r->mailbox);

	int n = turn(r, budget ? budget : DEFAULT_BUDGET, false);

	return n ? n : !prepare_to_sleep(r);
}

static void name_thread(const struct vh_reactor *r)
{
	char name[16];

	/* The first thread's name is what ps shows for the process. */
	if (gettid() == getpid())
		return;
	snprintf(name, sizeof(name), "%.15s", r->tag);
	pthread_setname_np(pthread_self(), name);
}

/* @before is where this thread may run now. */
static int pin_thread(const struct vh_reactor *r, cpu_set_t *before)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(r->cpu, &only);

	int rc = pthread_getaffinity_np(pthread_self(), sizeof(*before), before);

	if (!rc)
		rc = pthread_setaffinity_np(pthread_self(), sizeof(only), &only);
	if (rc)
		vh_log(r, VH_LOG_ERROR, "cannot run on CPU %d: %s", r->cpu,
		       vh_strerror(-rc));
	return -rc;
}

static int run_until_stopped(struct vh_reactor *r)
{
	int n = 0;

	vh_store_relaxed(&r->owner, (uintptr_t)pthread_self());
	while (n >= 0 && !r->stopping)
		n = turn(r, DEFAULT_BUDGET, prepare_to_sleep(r));
	r->stopping = false;
	vh_store_relaxed(&r->owner, 0);
	if (n < 0)
		vh_log(r, VH_LOG_ERROR, "epoll: %s", vh_strerror(n));
	return n < 0 ? n : 0;
}

int vh_reactor_run(struct vh_reactor *r)
{
	cpu_set_t before;
	int rc = 0;

	name_thread(r);
	if (r->cpu < 0)
		return run_until_stopped(r);
	rc = pin_thread(r, &before);
	if (rc)
		return rc;
	rc = run_until_stopped(r);
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	return rc;
}

int vh_reactor_fd(const struct vh_reactor *r)
{
	return r->events.epoll_fd;
}

/* ---- From other threads ---- */

void vh_reactor_stop(struct vh_reactor *r)
{
	const uint64_t one = 1;
	int errno_before = errno; /* a signal handler must not change it */

	while (write(r->stop.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = errno_before;
}

struct call {
	struct vh_post post;
	void (*fn)(void *arg);
	void *arg;
};

static void run_call(struct vh_post *post)
{
	struct call *c = vh_container_of(post, struct call, post);
	void (*fn)(void *) = c->fn;
	void *arg = c->arg;

	free(c);
	fn(arg);
}

int vh_reactor_post(struct vh_reactor *r, void (*fn)(void *arg), void *arg)
{
	struct call *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct call){.post.fn = run_call, .fn = fn, .arg = arg};
	vh_reactor_post_node(r, &c->post);
	return 0;
}

void vh_reactor_post_node(struct vh_reactor *r, struct vh_post *post)
{
	vh_mailbox_post(&r->mailbox, post);
}

bool vh_reactor_is_here(const struct vh_reactor *r)
{
	uintptr_t owner = vh_load_relaxed(&r->owner);

	return !owner || owner == (uintptr_t)pthread_self();
}

void vh_reactor_read_counters(const struct vh_reactor *r, struct vh_reactor_counters *c)
{
	c->turns = vh_load_relaxed(&r->counters.turns);
	c->sleeps = vh_load_relaxed(&r->counters.sleeps);
}

/* ---- Small things ---- */

static uint64_t read_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t vh_reactor_now(const struct vh_reactor *r)
{
	if (!r->in_turn)
		return read_clock();
	/* A cache is no change that a caller could see. */
	if (!r->now)
		((struct vh_reactor *)r)->now = read_clock();
	return r->now;
}

const char *vh_reactor_name(const struct vh_reactor *r)
{
	return r->tag;
}

void vh_reactor_defer(struct vh_reactor *r, struct vh_deferred *d)
{
	if (vh_list_is_empty(&d->link))
		vh_list_append(&r->deferred, &d->link);
}

void vh_reactor_defer_late(struct vh_reactor *r, struct vh_deferred *d)
{
	if (vh_list_is_empty(&d->link))
		vh_list_append(&r->late, &d->link);
}

void vh_reactor_undefer(struct vh_deferred *d)
{
	vh_list_remove(&d->link);
}
