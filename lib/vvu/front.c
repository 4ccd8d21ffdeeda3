/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The endpoint at which front-ends come.  With accept=early it is there all the time.
 * Else it is there while the driver is ready, and not only left alone: a socket that
 * listens takes connections into its backlog, and a VMM that was connected waits for its
 * first answer with its guest stopped.  One that is refused tries again later.
 *
 * What was inherited (fd:) cannot be opened twice, so it stays open and is left alone.
 * Control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "vvu/relay_state.h"

static bool is_wanted(const struct vh_relay *r)
{
	return r->accept_early || r->ready;
}

/* ---- What is watched ---- */

static void watch_front(struct vh_relay *r)
{
	const bool want = r->front && !r->broken && !r->front->is_over && is_wanted(r);
	int err = 0;

	if (want == r->watched)
		return;
	if (want)
		err = vh_event_add(r->reactor, &r->readable, EPOLLIN);
	else
		vh_event_remove(r->reactor, &r->readable);
	if (err < 0)
		vh_log(r, VH_LOG_ERROR, "cannot watch the front-end: %s",
		       vh_strerror(err));
	r->watched = want && !err;
}

/* ---- Opening and closing ---- */

static void close_front(struct vh_relay *r)
{
	if (r->watched)
		vh_event_remove(r->reactor, &r->readable);
	r->watched = false;
	vh_connector_close(r->front);
	r->front = NULL;
}

static int open_front(struct vh_relay *r)
{
	struct vh_connector *c;
	size_t len;
	int err = vh_connector_open(r->address, VH_ROLE_BACKEND, r->tag, &c);

	if (err < 0)
		return err;
	if (!vh_connector_bytes(c, VH_CHANNEL_MAIN, &len)) {
		vh_log(r, VH_LOG_ERROR, "%s: a front-end must be at a socket",
		       r->address);
		vh_connector_close(c);
		return -EINVAL;
	}
	c->patient = true;
	r->front = c;
	r->broken = false;
	r->readable.fd = vh_connector_poll_fd(c);
	return 0;
}

static bool may_close(const struct vh_relay *r)
{
	return !is_wanted(r) && strncmp(r->address, "fd:", 3) != 0;
}

/* At the end of the turn: whoever ended the session may still use the connector. */
static void on_leave(struct vh_deferred *d)
{
	struct vh_relay *r = vh_container_of(d, struct vh_relay, leave);

	if (may_close(r))
		close_front(r);
}

void vh_relay_update_front(struct vh_relay *r)
{
	/* When it fails, the driver has to be ready another time. */
	if (!r->front && is_wanted(r) && open_front(r) < 0)
		return;
	watch_front(r);
	if (r->front && may_close(r))
		vh_reactor_defer(r->reactor, &r->leave);
}

int vh_relay_open_front(struct vh_relay *r, const char *address,
			void (*readable)(struct vh_event *ev, uint32_t events))
{
	int err;

	r->leave.fn = on_leave;
	vh_list_init(&r->leave.link);
	r->readable.fn = readable;
	r->address = strdup(address);
	if (!r->address)
		return -ENOMEM;
	/* Also when it is closed again: what is wrong with it is told now. */
	err = open_front(r);
	if (err < 0)
		return err;
	if (may_close(r))
		close_front(r);
	watch_front(r);
	return 0;
}

void vh_relay_close_front(struct vh_relay *r)
{
	if (!r->address)
		return;
	vh_reactor_undefer(&r->leave);
	close_front(r);
	free(r->address);
}
