/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this folder share; nobody else includes it.  All of it
 * belongs to the reactor's thread, save what is marked.
 */
#ifndef VH_REACTOR_PRIVATE_H
#define VH_REACTOR_PRIVATE_H

#include <sys/epoll.h>

#include "reactor.h"

#define VH_READY_MAX 64

/* ---- event.c ---- */

struct vh_events {
	int epoll_fd;
	struct vh_list all;
	/* What the last epoll_wait() brought; removed events leave NULL behind. */
	struct epoll_event ready[VH_READY_MAX];
	int at, n_ready;
};

int vh_events_init(struct vh_events *e);
void vh_events_fini(struct vh_events *e);

/* Wait (for ever or not at all), then dispatch.  How many there were, or -errno. */
int vh_events_wait(struct vh_events *e, bool sleep);
void vh_events_dispatch(struct vh_events *e);

/* ---- timer.c ---- */

struct vh_timers {
	struct vh_list armed;  /* the earliest first */
	struct vh_event alarm; /* a timerfd, set only for a sleep */
	uint64_t alarm_due;    /* what it is set to; UINT64_MAX: it is not */
};

int vh_timers_init(struct vh_reactor *r);
void vh_timers_fini(struct vh_reactor *r);

unsigned vh_timers_run(struct vh_reactor *r);

/* Make vh_reactor_fd() readable when the earliest timer is due. */
void vh_timers_set_alarm(struct vh_reactor *r);

/* ---- poll.c ---- */

struct vh_poll {
	enum vh_poll_mode mode;
	struct vh_list busy;	  /* polled each turn                         */
	struct vh_list sleeping;  /* armed, waiting for a kick                */
	struct vh_list kickless;  /* armed, but nobody will ever kick         */
	unsigned n_busy;	  /* on the first list                        */
	struct vh_poller *now_at; /* whose .work or .arm runs; NULL: removed  */
	struct vh_list *next;	  /* who comes after it in this turn          */
	unsigned credit;	  /* what may be done before the clock is read */
	uint64_t looked_at;	  /* when epoll and the timers last were, ns  */
	struct vh_timer timer;	  /* looks at the kickless                    */
};

void vh_poll_init(struct vh_poll *poll, enum vh_poll_mode mode);

/* Give each busy poller its budget.  The units of work done. */
unsigned vh_poll_work(struct vh_reactor *r, unsigned budget);

/* Shall this turn look at fds and timers, although pollers may be busy? */
bool vh_poll_look_is_due(struct vh_reactor *r);
void vh_poll_looked(struct vh_reactor *r);

static inline bool vh_poll_may_sleep(const struct vh_poll *poll)
{
	return poll->n_busy == 0;
}

/* ---- reactor.c ---- */

struct vh_reactor {
	/* Fixed at birth. */
	char tag[32];
	int cpu;

	/* Any thread. */
	_Alignas(64) struct vh_mailbox mailbox;
	uintptr_t owner;	/* the thread that runs it; 0: none */
	struct vh_event stop;	/* an eventfd that stop writes      */
	struct vh_event posted; /* the mailbox's eventfd            */
	struct vh_reactor_counters counters;

	/* Its own thread. */
	_Alignas(64) uint64_t now; /* 0: not read in this turn */
	bool in_turn;
	bool stopping;
	struct vh_list deferred, late;
	struct vh_timers timers;
	struct vh_poll poll;
	struct vh_events events;
};

#endif
