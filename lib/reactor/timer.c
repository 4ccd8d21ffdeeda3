/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers of a reactor, on its thread: a list in order of time, because there are
 * tens of them, most armed for later than all others and so found from the end.
 *
 * While the reactor is awake it compares the clock.  A timerfd is set only when
 * it is about to sleep, so that an application's loop which watches
 * vh_reactor_fd() wakes as well; and only when the earliest timer moved nearer:
 * a timer that is moved away again and again (a time limit) costs one wake-up
 * too many now and then, not a system call each time.
 */
#include <errno.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "base/log.h"

#include "private.h"

#define NS_PER_SECOND 1000000000ULL
#define NEVER	      UINT64_MAX

static struct vh_timer *timer_of(struct vh_list *l)
{
	return vh_container_of(l, struct vh_timer, link);
}

void vh_timer_init(struct vh_timer *t, void (*fn)(struct vh_timer *t))
{
	*t = (struct vh_timer){.fn = fn};
	vh_list_init(&t->link);
}

bool vh_timer_is_armed(const struct vh_timer *t)
{
	return !vh_list_is_empty(&t->link);
}

void vh_timer_disarm(struct vh_reactor *r, struct vh_timer *t)
{
	vh_list_remove(&t->link);
}

void vh_timer_arm(struct vh_reactor *r, struct vh_timer *t, uint64_t in_ns)
{
	struct vh_list *after = &r->timers.armed;

	vh_timer_disarm(r, t);
	/* A turn has one time, so a timer armed in it is due after it. */
	if (__builtin_add_overflow(vh_reactor_now(r), in_ns ? in_ns : 1, &t->due))
		t->due = NEVER;
	while (after->prev != &r->timers.armed && timer_of(after->prev)->due > t->due)
		after = after->prev;
	vh_list_append(after, &t->link);
}

unsigned vh_timers_run(struct vh_reactor *r)
{
	const struct vh_list *armed = &r->timers.armed;
	unsigned n = 0;

	while (!vh_list_is_empty(armed)) {
		struct vh_timer *t = timer_of(armed->next);

		if (t->due > vh_reactor_now(r))
			break;
		vh_timer_disarm(r, t);
		t->fn(t);
		n++;
	}
	return n;
}

void vh_timers_set_alarm(struct vh_reactor *r)
{
	struct vh_timers *ts = &r->timers;

	if (vh_list_is_empty(&ts->armed) ||
	    timer_of(ts->armed.next)->due >= ts->alarm_due)
		return;
	ts->alarm_due = timer_of(ts->armed.next)->due;

	const struct itimerspec spec = {
		.it_value.tv_sec = ts->alarm_due / NS_PER_SECOND,
		.it_value.tv_nsec = ts->alarm_due % NS_PER_SECOND,
	};

	timerfd_settime(ts->alarm.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Edge-triggered, so it needs no read: setting it again makes the next edge. */
static void alarm_went_off(struct vh_event *ev, uint32_t events)
{
	vh_container_of(ev, struct vh_timers, alarm)->alarm_due = NEVER;
}

int vh_timers_init(struct vh_reactor *r)
{
	struct vh_timers *ts = &r->timers;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	vh_list_init(&ts->armed);
	ts->alarm_due = NEVER;
	ts->alarm = (struct vh_event){.fd = fd, .fn = alarm_went_off};
	return fd < 0 ? -errno : vh_event_add(r, &ts->alarm, EPOLLIN | EPOLLET);
}

void vh_timers_fini(struct vh_reactor *r)
{
	vh_event_remove(r, &r->timers.alarm);
	vh_fd_drop(&r->timers.alarm.fd);
}
