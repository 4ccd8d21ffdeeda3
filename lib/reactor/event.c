/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File descriptors and who is called for them: a thin layer over epoll, on the
 * reactor's thread.  It owns no fd but epoll's.
 *
 * What one epoll_wait() brought is called one by one, and any of those calls may
 * remove (and free) or modify an event that is still to come.  So the rest of
 * the batch is searched then: removing is rare and the batch is short.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#include "private.h"

int vh_events_init(struct vh_events *e)
{
	vh_list_init(&e->all);
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return e->epoll_fd < 0 ? -errno : 0;
}

void vh_events_fini(struct vh_events *e)
{
	vh_fd_drop(&e->epoll_fd);
}

static int control(struct vh_reactor *r, int op, struct vh_event *ev, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = ev};

	return epoll_ctl(r->events.epoll_fd, op, ev->fd, &e) < 0 ? -errno : 0;
}

int vh_event_add(struct vh_reactor *r, struct vh_event *ev, uint32_t events)
{
	int rc = control(r, EPOLL_CTL_ADD, ev, events);

	vh_list_init(&ev->link);
	if (!rc)
		vh_list_append(&r->events.all, &ev->link);
	return rc;
}

/* Keep only @mask of what is still to be told to @ev. */
static void mask_ready(struct vh_events *e, const struct vh_event *ev, uint32_t mask)
{
	for (int i = e->at; i < e->n_ready; i++) {
		if (e->ready[i].data.ptr != ev)
			continue;
		e->ready[i].events &= mask;
		if (!e->ready[i].events)
			e->ready[i].data.ptr = NULL;
	}
}

int vh_event_modify(struct vh_reactor *r, struct vh_event *ev, uint32_t events)
{
	int rc = control(r, EPOLL_CTL_MOD, ev, events);

	if (!rc)
		mask_ready(&r->events, ev, events | EPOLLERR | EPOLLHUP);
	return rc;
}

static bool is_registered(const struct vh_event *ev)
{
	return ev->link.next && !vh_list_is_empty(&ev->link);
}

void vh_event_remove(struct vh_reactor *r, struct vh_event *ev)
{
	if (!is_registered(ev))
		return;

	int rc = control(r, EPOLL_CTL_DEL, ev, 0);

	if (rc)
		vh_log(r, VH_LOG_ERROR, "removing fd %d: %s (closed too early?)", ev->fd,
		       vh_strerror(rc));
	mask_ready(&r->events, ev, 0);
	vh_list_remove(&ev->link);
}

int vh_events_wait(struct vh_events *e, bool sleep)
{
	e->at = 0;
	e->n_ready = epoll_wait(e->epoll_fd, e->ready, VH_READY_MAX, sleep ? -1 : 0);
	if (e->n_ready >= 0)
		return e->n_ready;
	e->n_ready = 0;
	return errno == EINTR ? 0 : -errno;
}

void vh_events_dispatch(struct vh_events *e)
{
	while (e->at < e->n_ready) {
		const struct epoll_event *ready = &e->ready[e->at++];
		struct vh_event *ev = ready->data.ptr;

		if (ev)
			ev->fn(ev, ready->events);
	}
}
