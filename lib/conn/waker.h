/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The poll fd of a connector that looks after itself: an epoll set of eventfds that say
 * that there is something to look at, a timer, and an eventfd of its own that stands for
 * what was not looked at yet.  Control thread.
 */
#ifndef VH_CONN_WAKER_H
#define VH_CONN_WAKER_H

struct vh_waker {
	const char *tag; /* borrowed */
	int epoll, timer, wake;
};

/* Is awake.  0 or -errno (logged); to be closed in any case. */
int vh_waker_open(struct vh_waker *w, const char *tag);
void vh_waker_close(struct vh_waker *w);

/* Watch @fd, too.  0 or -errno (logged). */
int vh_waker_watch(struct vh_waker *w, int fd);
void vh_waker_forget(struct vh_waker *w, int fd);

/* There is more to look at than the others will tell. */
void vh_waker_wake(struct vh_waker *w);
/* Look again in @ms. */
void vh_waker_look_in(struct vh_waker *w, unsigned ms);

#define VH_WAKER_MAX 8u

/* The fds that are readable now, which are the caller's to read; how many. */
unsigned vh_waker_look(struct vh_waker *w, int fd[VH_WAKER_MAX]);

#endif
