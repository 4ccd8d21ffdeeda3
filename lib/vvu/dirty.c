/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a front-end that migrates.  The driver marks pages in the device's
 * area, since that is what its guest has mapped, and the marks are carried over to the
 * front-end's log: every now and then, whenever the driver says that there are some, and,
 * what counts, before a front-end is told that a vring has stopped, for after that it
 * looks for the last time.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mem/guard.h"
#include "vvu/relay_state.h"

#define MERGE_NS 10000000u

static bool log_is_lost(const struct vh_relay *r)
{
	return r->log && r->log->guard && vh_guard_hit(r->log->guard - 1);
}

static void on_shrunk(struct vh_event *ev, uint32_t events)
{
	struct vh_relay *r = vh_container_of(ev, struct vh_relay, shrunk);
	uint64_t n;

	(void)events;
	if (read(ev->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		vh_log(r, VH_LOG_ERROR, "eventfd: %s", vh_strerror(-errno));
	if (!log_is_lost(r))
		return;
	vh_log(r, VH_LOG_WARN, "the file of the front-end's dirty log shrank");
	vh_relay_end(r, VH_RELAY_FRONTEND_ERROR);
}

static void on_timer(struct vh_timer *t)
{
	struct vh_relay *r = vh_container_of(t, struct vh_relay, log_timer);

	vh_relay_merge_log(r);
	vh_timer_arm(r->reactor, t, MERGE_NS);
}

int vh_relay_init_log(struct vh_relay *r)
{
	vh_timer_init(&r->log_timer, on_timer);
	r->shrunk = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				      .fn = on_shrunk};
	if (r->shrunk.fd < 0)
		return -errno;
	return vh_event_add(r->reactor, &r->shrunk, EPOLLIN);
}

void vh_relay_fini_log(struct vh_relay *r)
{
	vh_event_remove(r->reactor, &r->shrunk);
	vh_fd_drop(&r->shrunk.fd);
}

void vh_relay_merge_log(struct vh_relay *r)
{
	if (r->log)
		vh_area_merge_log(r->area, r->log->addr, (size_t)r->log->len);
}

static void guard(struct vh_relay *r, struct vh_mapping *m)
{
	unsigned slot;

	if (vh_guard_add(m->addr, (size_t)m->len, r->shrunk.fd, &slot) == 0)
		m->guard = slot + 1;
	else
		vh_log(r, VH_LOG_WARN,
		       "too many regions to guard: a log that shrinks will end us all");
}

int vh_relay_set_log(struct vh_relay *r, struct vh_msg *m)
{
	struct vh_mapping *log;
	int err;

	if (!m->log.size || m->log.size > VH_AREA_HALF) {
		vh_log(r, VH_LOG_WARN,
		       "a dirty log of %llu bytes: there is room for 1 to %llu",
		       (unsigned long long)m->log.size, VH_AREA_HALF);
		return -ENOSPC;
	}
	err = vh_connector_map_area(r->front, m, &log);
	if (err < 0)
		return err;
	guard(r, log);
	if (r->log)
		vh_relay_merge_log(r);
	else
		vh_area_clear_log(r->area);
	vh_mapping_put(r->log);
	r->log = log;
	vh_relay_run_log(r, true);
	return 0;
}

void vh_relay_run_log(struct vh_relay *r, bool on)
{
	if (on && r->log)
		vh_timer_arm(r->reactor, &r->log_timer, MERGE_NS);
	else
		vh_timer_disarm(r->reactor, &r->log_timer);
}

void vh_relay_drop_log(struct vh_relay *r)
{
	vh_relay_merge_log(r);
	vh_relay_run_log(r, false);
	vh_mapping_put(r->log);
	r->log = NULL;
}
