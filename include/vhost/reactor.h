/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reactor is one thread and its event loop.  It belongs to the application:
 * either vh_reactor_run() has a thread to itself, or the application's own
 * loop watches vh_reactor_fd() and calls vh_reactor_poll().
 */
#ifndef VHOST_REACTOR_H
#define VHOST_REACTOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vh_reactor;

enum vh_poll_mode {
	VH_POLL_ADAPTIVE, /* poll busy queues, sleep for idle ones: then under 1% CPU */
	VH_POLL_BUSY,  /* never sleep: lowest latency, a whole core                     */
	VH_POLL_SLEEP, /* never spin: a kick for each wake-up                           */
};

struct vh_reactor_params {
	size_t size;	  /* sizeof(struct vh_reactor_params)           */
	const char *name; /* for logs and the thread's name; copied     */
	int cpu;	  /* pin vh_reactor_run() to this CPU; -1: none */
	enum vh_poll_mode poll;
};

/* 0 and *@r, or -errno (logged). */
int vh_reactor_create(const struct vh_reactor_params *params, struct vh_reactor **r);

/* Nothing may be registered with it any more; posted calls that did not run, run now. */
void vh_reactor_destroy(struct vh_reactor *r);

/*
 * Run until vh_reactor_stop().  0, or -errno when the loop itself failed or the
 * CPU is not one of ours.  The thread gets the name, unless it is the process's
 * first (whose name is the process's), and the CPU while it is here.
 */
int vh_reactor_run(struct vh_reactor *r);

/*
 * Any thread, and async-signal-safe.  Before vh_reactor_run(): it returns after
 * one turn.  Each return of vh_reactor_run() uses up what was asked before it.
 */
void vh_reactor_stop(struct vh_reactor *r);

/*
 * One turn without waiting: at most @budget units of work a queue (0: the
 * default).  0 means vh_reactor_fd() tells when to come back; more than 0 (the
 * number of things done, 1 while idle queues are still being polled) means come
 * back as soon as you can, and vh_reactor_fd() may say nothing; or -errno.  Not
 * from inside the reactor's own calls.
 */
int vh_reactor_poll(struct vh_reactor *r, unsigned budget);

/* Readable when vh_reactor_poll(), which returned 0, has something to do again. */
int vh_reactor_fd(const struct vh_reactor *r);

/* Call @fn(@arg) on the reactor's thread, in order.  Any thread.  0 or -ENOMEM. */
int vh_reactor_post(struct vh_reactor *r, void (*fn)(void *arg), void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
