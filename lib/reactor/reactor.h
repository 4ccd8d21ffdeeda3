/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library itself needs of a reactor, beyond <vhost/reactor.h>.
 *
 * All of it belongs to the reactor's own thread, except vh_reactor_post_node()
 * (any thread) and registrations made before the reactor runs.
 */
#ifndef VH_REACTOR_REACTOR_H
#define VH_REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <vhost/reactor.h>

#include "base/list.h"
#include "base/mailbox.h"

/* Any thread, no allocation: @post->fn(@post) runs on the reactor. */
void vh_reactor_post_node(struct vh_reactor *r, struct vh_post *post);

/* Are we on the reactor's thread (or does it not run yet)? */
bool vh_reactor_is_here(const struct vh_reactor *r);

/* Nanoseconds of CLOCK_MONOTONIC, read at most once a turn, when first asked for. */
uint64_t vh_reactor_now(const struct vh_reactor *r);

const char *vh_reactor_name(const struct vh_reactor *r);

struct vh_reactor_counters {
	uint64_t turns;
	uint64_t sleeps; /* turns that waited for something to happen */
};

/* Any thread. */
void vh_reactor_read_counters(const struct vh_reactor *r, struct vh_reactor_counters *c);

/* ---- File descriptors ---- */

struct vh_event {
	int fd;
	void (*fn)(struct vh_event *ev, uint32_t events);
	struct vh_list link; /* the reactor's */
};

/* @events as for epoll.  0 or -errno: -EPERM for a regular file, -EEXIST for an fd twice.
 */
int vh_event_add(struct vh_reactor *r, struct vh_event *ev, uint32_t events);
int vh_event_modify(struct vh_reactor *r, struct vh_event *ev, uint32_t events);

/*
 * Also from inside any event's fn; @ev may be freed at once.  Close the fd
 * after this, not before: epoll knows the file, which a peer may hold open.
 * An @ev that was never added (zeroed) or is removed already is ignored.
 */
void vh_event_remove(struct vh_reactor *r, struct vh_event *ev);

/* ---- Timers: each runs once, never early ---- */

struct vh_timer {
	uint64_t due; /* ns, vh_reactor_now()'s clock */
	void (*fn)(struct vh_timer *t);
	struct vh_list link;
};

void vh_timer_init(struct vh_timer *t, void (*fn)(struct vh_timer *t));
/* Again: moves it.  Never runs in the turn that arms it, so @fn may arm its own timer. */
void vh_timer_arm(struct vh_reactor *r, struct vh_timer *t, uint64_t in_ns);
void vh_timer_disarm(struct vh_reactor *r, struct vh_timer *t);
bool vh_timer_is_armed(const struct vh_timer *t);

/* ---- The end of the turn ---- */

/*
 * @fn runs once at the end of this turn, however often it is deferred before
 * that.  What is deferred by an @fn runs at the end of the next turn, which
 * comes without sleeping.
 */
struct vh_deferred {
	void (*fn)(struct vh_deferred *d);
	struct vh_list link; /* initialise with vh_list_init() */
};

void vh_reactor_defer(struct vh_reactor *r, struct vh_deferred *d);
/* After all that the other one brought: for what takes long, like a system call. */
void vh_reactor_defer_late(struct vh_reactor *r, struct vh_deferred *d);
void vh_reactor_undefer(struct vh_deferred *d);

/* ---- Pollers: things that are polled while busy and slept on while idle ---- */

/*
 * poll.c decides, per poller, whether to look again or to sleep: after
 * .work returned 0 for long enough (not at all in sleep mode, about 50 us in
 * adaptive, never in busy) it calls .arm; if that says that more came, it goes
 * on polling, else it waits for @fd (edge-triggered, never read) or, when @fd
 * is -1, for a timer of 1 ms.  It calls .disarm when it looks again, also
 * after .arm said that more came.
 */
struct vh_poller;

struct vh_poller_ops {
	/* Do up to @budget units; how many were done (0: nothing to do). */
	unsigned (*work)(struct vh_poller *p, unsigned budget);
	/* Ask the peer for a kick.  True: more came meanwhile. */
	bool (*arm)(struct vh_poller *p);
	/* We look by ourselves: the peer may save its kicks. */
	void (*disarm)(struct vh_poller *p);
};

enum vh_poller_state { VH_POLLER_OFF, VH_POLLER_BUSY, VH_POLLER_ARMED };

struct vh_poller {
	const struct vh_poller_ops *ops;
	int fd; /* borrowed; -1: the peer never kicks   */
	/* the reactor's own, zeroed before vh_poller_add(): */
	enum vh_poller_state state;
	uint64_t idle_since; /* ns; 0: had work when last looked at  */
	uint64_t kicks;	     /* wake-ups through fd                  */
	struct vh_reactor *reactor;
	struct vh_event event;
	struct vh_list link;
};

/* Starts busy, so that the first look needs no kick.  0 or -errno. */
int vh_poller_add(struct vh_reactor *r, struct vh_poller *p);
/* Legal inside .work and .arm; nothing of @p is called or touched afterwards. */
void vh_poller_remove(struct vh_reactor *r, struct vh_poller *p);
/* Look in this turn or the next, whatever its state. */
void vh_poller_wake(struct vh_reactor *r, struct vh_poller *p);
/* The same; work will come soon, so spin for it as if there just had been some. */
void vh_poller_expect(struct vh_reactor *r, struct vh_poller *p);

#endif
