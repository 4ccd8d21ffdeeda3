/* SPDX-License-Identifier: BSD-3-Clause */
#include "conn/waker.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

int vh_waker_open(struct vh_waker *w, const char *tag)
{
	int err;

	w->tag = tag;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	w->wake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->timer < 0 || w->wake < 0) {
		err = -errno;
		vh_log(w, VH_LOG_ERROR, "cannot make an epoll set: %s", vh_strerror(err));
		return err;
	}
	err = vh_waker_watch(w, w->timer);
	return err ? err : vh_waker_watch(w, w->wake);
}

void vh_waker_close(struct vh_waker *w)
{
	vh_fd_drop(&w->wake);
	vh_fd_drop(&w->timer);
	vh_fd_drop(&w->epoll);
}

int vh_waker_watch(struct vh_waker *w, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	const int err = epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;

	if (err)
		vh_log(w, VH_LOG_ERROR, "cannot watch an eventfd: %s", vh_strerror(err));
	return err;
}

void vh_waker_forget(struct vh_waker *w, int fd)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void vh_waker_wake(struct vh_waker *w)
{
	eventfd_write(w->wake, 1);
}

void vh_waker_look_in(struct vh_waker *w, unsigned ms)
{
	const struct itimerspec in = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L + 1}};

	timerfd_settime(w->timer, 0, &in, NULL);
}

unsigned vh_waker_look(struct vh_waker *w, int fd[VH_WAKER_MAX])
{
	struct epoll_event ev[VH_WAKER_MAX];
	const int n = epoll_wait(w->epoll, ev, VH_WAKER_MAX, 0);

	for (int i = 0; i < n; i++)
		fd[i] = ev[i].data.fd;
	return n > 0 ? (unsigned)n : 0;
}
