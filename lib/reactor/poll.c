/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The poll policy: which queues are looked at again and which are slept on, and
 * how often a loop that polls looks at everything else.  Nobody else knows.  On
 * the reactor's thread.
 *
 * Theory of operation: a poller is busy (its .work is called each turn) or armed
 * (its peer promised a kick).  Busy ones keep the reactor awake, and a turn in
 * which all have work makes no system call and does not read the clock: a
 * poller pays one credit a visit and one a unit of work, and only when the
 * credit is used up is the clock read, and epoll asked if that was long ago.
 *
 * Between arm and sleep nothing can be lost: .arm asks for the kick, fences and
 * looks again, and a kick that came before the sleep is an edge that epoll
 * keeps.  An edge that comes while the poller is busy is forgotten, because the
 * poller will look by itself before it sleeps.
 */
#include <assert.h>

#include "base/barrier.h"
#include "base/log.h"

#include "private.h"

/* Spinning is for the next request of a peer at work: tens of microseconds. */
#define SPIN_NS	    50000
#define LOOK_NS	    20000
#define CREDIT	    64
#define KICKLESS_NS 1000000

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static struct vh_poller *poller_of(struct vh_list *l)
{
	return vh_container_of(l, struct vh_poller, link);
}

/* ---- Between busy and armed ---- */

static void make_busy(struct vh_poller *p)
{
	struct vh_poll *poll = &p->reactor->poll;

	p->state = VH_POLLER_BUSY;
	poll->n_busy++;
	vh_list_append(&poll->busy, &p->link);
}

static void leave_list(struct vh_poller *p)
{
	struct vh_poll *poll = &p->reactor->poll;

	if (poll->next == &p->link)
		poll->next = p->link.next;
	if (p->state == VH_POLLER_BUSY)
		poll->n_busy--;
	vh_list_remove(&p->link);
}

static void go_to_sleep(struct vh_poller *p)
{
	struct vh_poll *poll = &p->reactor->poll;

	leave_list(p);
	p->state = VH_POLLER_ARMED;
	vh_list_append(p->fd < 0 ? &poll->kickless : &poll->sleeping, &p->link);
	if (p->fd < 0 && !vh_timer_is_armed(&poll->timer))
		vh_timer_arm(p->reactor, &poll->timer, KICKLESS_NS);
}

/* It stays idle in our books until there is work, so a vain wake-up spins no more. */
void vh_poller_wake(struct vh_reactor *r, struct vh_poller *p)
{
	if (p->state != VH_POLLER_ARMED)
		return;
	leave_list(p);
	make_busy(p);
	p->ops->disarm(p);
}

void vh_poller_expect(struct vh_reactor *r, struct vh_poller *p)
{
	p->idle_since = 0;
	vh_poller_wake(r, p);
}

static void kicked(struct vh_event *ev, uint32_t events)
{
	struct vh_poller *p = vh_container_of(ev, struct vh_poller, event);

	if (p->state != VH_POLLER_ARMED)
		return;
	vh_count(&p->kicks, 1);
	vh_poller_wake(p->reactor, p);
}

static void look_at_kickless(struct vh_timer *t)
{
	struct vh_poll *poll = vh_container_of(t, struct vh_poll, timer);

	while (!vh_list_is_empty(&poll->kickless)) {
		struct vh_poller *p = poller_of(poll->kickless.next);

		vh_poller_wake(p->reactor, p);
	}
}

/* ---- Registration ---- */

void vh_poll_init(struct vh_poll *poll, enum vh_poll_mode mode)
{
	poll->mode = mode;
	vh_list_init(&poll->busy);
	vh_list_init(&poll->sleeping);
	vh_list_init(&poll->kickless);
	vh_timer_init(&poll->timer, look_at_kickless);
}

int vh_poller_add(struct vh_reactor *r, struct vh_poller *p)
{
	assert(p->state == VH_POLLER_OFF);
	p->event = (struct vh_event){.fd = p->fd, .fn = kicked};
	if (p->fd >= 0) {
		int rc = vh_event_add(r, &p->event, EPOLLIN | EPOLLET);

		if (rc)
			return rc;
	} else if (r->poll.mode != VH_POLL_BUSY) {
		vh_log(r, VH_LOG_INFO,
		       "a queue came without a kick fd: while idle it is looked at every "
		       "ms");
	}
	p->reactor = r;
	p->idle_since = 0;
	make_busy(p);
	return 0;
}

void vh_poller_remove(struct vh_reactor *r, struct vh_poller *p)
{
	if (p->state == VH_POLLER_OFF)
		return;
	if (p->fd >= 0)
		vh_event_remove(r, &p->event);
	leave_list(p);
	p->state = VH_POLLER_OFF;
	if (r->poll.now_at == p)
		r->poll.now_at = NULL;
	if (vh_list_is_empty(&r->poll.kickless))
		vh_timer_disarm(r, &r->poll.timer);
}

/* ---- A turn ---- */

static bool has_idled_long_enough(struct vh_reactor *r, struct vh_poller *p)
{
	switch (r->poll.mode) {
	case VH_POLL_SLEEP:
		return true;
	case VH_POLL_BUSY:
		return false;
	case VH_POLL_ADAPTIVE:
		break;
	}
	if (!p->idle_since)
		p->idle_since = vh_reactor_now(r);
	/* Only in turns in which the clock was read anyway; one comes soon. */
	return r->now && r->now - p->idle_since >= SPIN_NS;
}

static void try_to_sleep(struct vh_poll *poll, struct vh_poller *p)
{
	bool more_came = p->ops->arm(p);

	if (poll->now_at != p)
		return; /* removed, perhaps freed */
	if (more_came)
		p->ops->disarm(p);
	else
		go_to_sleep(p);
}

static unsigned visit(struct vh_reactor *r, struct vh_poller *p, unsigned budget)
{
	r->poll.now_at = p;

	unsigned done = p->ops->work(p, budget);

	if (r->poll.now_at != p)
		return done; /* removed, perhaps freed */
	if (done)
		p->idle_since = 0;
	else if (has_idled_long_enough(r, p))
		try_to_sleep(&r->poll, p);
	r->poll.now_at = NULL;
	return done;
}

unsigned vh_poll_work(struct vh_reactor *r, unsigned budget)
{
	struct vh_poll *poll = &r->poll;
	const unsigned n_visits = poll->n_busy; /* those woken now have the next turn */
	struct vh_list *l = poll->busy.next;
	unsigned done = 0;

	for (unsigned i = 0; i < n_visits && l != &poll->busy; i++, l = poll->next) {
		poll->next = l->next;
		done += visit(r, poller_of(l), budget);
	}
	poll->next = NULL;
	poll->credit -= min(poll->credit, n_visits + done);
	if (n_visits && !done)
		vh_cpu_relax();
	return done;
}

bool vh_poll_look_is_due(struct vh_reactor *r)
{
	if (vh_poll_may_sleep(&r->poll))
		return true;
	if (r->poll.credit)
		return false;
	r->poll.credit = CREDIT;
	return vh_reactor_now(r) - r->poll.looked_at >= LOOK_NS;
}

void vh_poll_looked(struct vh_reactor *r)
{
	r->poll.looked_at = vh_reactor_now(r);
}
