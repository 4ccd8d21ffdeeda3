/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See nbd_link.h.
 *
 * Theory of operation.  A guest cannot do anything good about a disk that is away for a
 * while; so when a connection ends, nothing fails.  All requests that it had are sent
 * again, whole, over the next one: also those of which parts were answered, because what
 * a server had answered but not flushed may have gone with it, and a request with FUA
 * that needs a flush must not lose it that way.  That a write may be done twice does no
 * harm: whoever submitted it has not heard of its end, and so cannot rely on anything
 * that was written to the same place since.
 *
 * Two things are out of a client's hands.  Writes that were answered but not flushed are
 * lost when the server's machine (not only its process) dies.  And a server that still
 * works on a request of a connection that was cut, while the same request comes over a
 * new one, may do the old one late.
 *
 * libnbd calls back with its lock held, from inside of any call to it.  The callback only
 * takes note; link_settle(), after each such call, does the rest.
 */
#include "store/nbd_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "store/nbd_command.h"

#define MS	    1000000ull
#define DELAY_FIRST (100 * MS)
#define DELAY_MAX   (2000 * MS)

/* Times that answers are read in a turn, before others have theirs. */
#define ANSWERS_AT_ONCE 32

/* ---- Requests ---- */

static void request_finish(struct vh_nbd_link *l, struct vh_store_io *io, int err)
{
	vh_list_remove(&io->link);
	l->done(l, io, err);
}

/* Its next commands; or it is done. */
static void request_continue(struct vh_nbd_link *l, struct vh_store_io *io)
{
	while (!io->err && vh_nbd_request_is_due(&l->now.caps, io)) {
		const int err = vh_nbd_request_send(l, io);

		if (err == -ENOTCONN) {
			l->broken = true;
			return;
		}
		io->err = err;
	}
	if (!io->pending)
		request_finish(l, io, io->err);
}

static void request_begin(struct vh_nbd_link *l, struct vh_store_io *io)
{
	io->progress = 0;
	io->pending = 0;
	io->err = vh_nbd_request_check(&l->now.caps, io);
	vh_list_append(&l->sent, &io->link);
	request_continue(l, io);
}

static void command_end(struct vh_nbd_link *l, struct vh_nbd_command *c)
{
	struct vh_store_io *io = c->io;
	const int err = c->err;

	if (!err)
		vh_nbd_command_deliver(c);
	free(c);
	/* No answer to this request: it is sent again by whoever connects again. */
	if (err && (err == ESHUTDOWN || vh_nbd_is_gone(l->now.nbd))) {
		l->broken = true;
		return;
	}
	l->delay = DELAY_FIRST;
	io->pending--;
	if (err && !io->err)
		io->err = -err;
	request_continue(l, io);
}

/* ---- Its fd ---- */

/*
 * libnbd closes its fd as soon as it meets an error, and epoll would know the file for
 * as long as somebody has it (a child between fork and exec).  So we watch an fd of ours.
 */
static int link_listen(struct vh_nbd_link *l)
{
	l->watched = vh_nbd_wanted_events(l->now.nbd);
	l->event.fd = fcntl(nbd_aio_get_fd(l->now.nbd), F_DUPFD_CLOEXEC, 0);
	if (l->event.fd < 0)
		return -errno;
	return vh_event_add(l->reactor, &l->event, l->watched);
}

static void link_unlisten(struct vh_nbd_link *l)
{
	if (l->event.fd < 0)
		return;
	vh_event_remove(l->reactor, &l->event);
	vh_fd_drop(&l->event.fd);
}

/* ---- The connection ends ---- */

static void free_commands(struct vh_list *commands)
{
	while (!vh_list_is_empty(commands))
		free(vh_container_of(vh_list_take(commands), struct vh_nbd_command,
				     link));
}

static void tell_cause(struct vh_nbd_link *l, const char *what, const char *cause)
{
	if (!strcmp(l->told, cause))
		return;
	snprintf(l->told, sizeof(l->told), "%s", cause);
	vh_log(l, VH_LOG_ERROR,
	       "nbd=%s: %s (%s); the disk's requests wait, and go on when the server is "
	       "back: see that it runs and can be reached",
	       l->dialer->uri, what, cause);
}

/* Each time later, until a command is answered: to connect is not enough. */
static void link_try_later(struct vh_nbd_link *l)
{
	vh_timer_arm(l->reactor, &l->retry, l->delay);
	l->delay = l->delay * 2 < DELAY_MAX ? l->delay * 2 : DELAY_MAX;
}

static void link_lost(struct vh_nbd_link *l, const char *cause)
{
	link_unlisten(l);
	nbd_close(l->now.nbd);
	l->now.nbd = NULL;
	l->broken = false;
	free_commands(&l->commands);
	free_commands(&l->answered);
	vh_list_for_each (io, &l->sent) {
		vh_list_remove(io);
		vh_list_append(&l->waiting, io);
	}
	l->lost_at = vh_reactor_now(l->reactor);
	tell_cause(l, "connection lost", cause);
	link_try_later(l);
}

static void link_watch(struct vh_nbd_link *l)
{
	const uint32_t wanted = vh_nbd_wanted_events(l->now.nbd);

	if (wanted == l->watched)
		return;
	l->watched = wanted;
	if (vh_event_modify(l->reactor, &l->event, wanted) < 0)
		link_lost(l, "too many files are open");
}

/* After each call to libnbd that may have called back; @cause: of an end, if known. */
static void link_settle(struct vh_nbd_link *l, const char *cause)
{
	/* A request that is done may bring another, whose answers wait for the loop. */
	if (l->settling)
		return;
	l->settling = true;
	while (!vh_list_is_empty(&l->answered))
		command_end(l, vh_container_of(vh_list_take(&l->answered),
					       struct vh_nbd_command, link));
	l->settling = false;
	if (l->broken || vh_nbd_is_gone(l->now.nbd))
		link_lost(l, cause ? cause : "the server closed it");
	else
		link_watch(l);
}

/*
 * Is there more?  Asked of the kernel, for libnbd, told to read what is not there, would
 * wait in the middle of an answer and send nothing meanwhile.
 */
static bool has_another_answer(const struct vh_nbd_link *l)
{
	struct pollfd p = {.fd = l->event.fd, .events = POLLIN};

	return !vh_list_is_empty(&l->commands) && poll(&p, 1, 0) == 1;
}

static void link_event(struct vh_event *ev, uint32_t events)
{
	struct vh_nbd_link *l = vh_container_of(ev, struct vh_nbd_link, event);
	char cause[sizeof(l->told)] = "the server closed it";
	unsigned n = 0;

	do {
		if (!vh_nbd_notify(l->now.nbd, events)) {
			snprintf(cause, sizeof(cause), "%s", nbd_get_error());
			break;
		}
		events = EPOLLIN;
	} while (++n < ANSWERS_AT_ONCE && !vh_nbd_is_gone(l->now.nbd) &&
		 has_another_answer(l));
	link_settle(l, cause);
}

/* ---- Connecting ---- */

static void tell_changes(const struct vh_nbd_link *l, const struct vh_nbd_caps *was)
{
	const struct vh_nbd_caps *is = &l->now.caps;

	if (is->size < was->size)
		vh_log(l, VH_LOG_ERROR,
		       "nbd=%s: the server came back with %llu bytes instead of %llu: "
		       "requests beyond them fail",
		       l->dialer->uri, (unsigned long long)is->size,
		       (unsigned long long)was->size);
	if (is->size > was->size)
		vh_log(l, VH_LOG_WARN,
		       "nbd=%s: the server came back with %llu bytes instead of %llu",
		       l->dialer->uri, (unsigned long long)is->size,
		       (unsigned long long)was->size);
	if (is->readonly && !was->readonly)
		vh_log(l, VH_LOG_ERROR,
		       "nbd=%s: the server came back read-only: writes fail",
		       l->dialer->uri);
}

static void tell_return(struct vh_nbd_link *l, const struct vh_nbd_caps *was)
{
	const uint64_t ms = (vh_reactor_now(l->reactor) - l->lost_at) / MS;

	l->told[0] = 0;
	if (!l->lost_at)
		return;
	l->lost_at = 0;
	vh_log(l, VH_LOG_WARN, "nbd=%s: connected again after %llu.%llu s",
	       l->dialer->uri, (unsigned long long)ms / 1000,
	       (unsigned long long)ms % 1000 / 100);
	tell_changes(l, was);
}

static void link_begin_waiting(struct vh_nbd_link *l)
{
	struct vh_list batch;

	/* What is submitted meanwhile is none of this batch. */
	vh_list_init(&batch);
	while (!vh_list_is_empty(&l->waiting))
		vh_list_append(&batch, vh_list_take(&l->waiting));
	while (!vh_list_is_empty(&batch))
		request_begin(l, vh_container_of(vh_list_take(&batch), struct vh_store_io,
						 link));
}

/* There is a connection: watch it, and send what waits. */
static void link_go(struct vh_nbd_link *l)
{
	if (link_listen(l) < 0) {
		link_lost(l, "too many files are open");
		return;
	}
	l->settling = true;
	link_begin_waiting(l);
	l->settling = false;
	link_settle(l, NULL);
}

static void link_retry_later(struct vh_nbd_link *l, const char *cause)
{
	if (!l->lost_at)
		l->lost_at = vh_reactor_now(l->reactor);
	tell_cause(l, "cannot connect", cause);
	link_try_later(l);
}

static bool link_is_given_up(struct vh_nbd_link *l, const struct vh_nbd_connection *c)
{
	/* Nobody listens: so nobody has a better connection either. */
	if (c->err == -ECONNREFUSED || c->err == -ENOENT)
		return false;
	return l->refused && l->refused(l, c->cause);
}

static void link_connected(void *arg, struct vh_nbd_connection *c)
{
	struct vh_nbd_link *l = arg;
	const struct vh_nbd_caps was = l->now.caps;

	l->call = NULL;
	if (!c->nbd) {
		if (!link_is_given_up(l, c))
			link_retry_later(l, c->cause);
		return;
	}
	l->now = *c;
	l->refused = NULL;
	tell_return(l, was.size ? &was : &c->caps);
	link_go(l);
}

static void link_call(struct vh_nbd_link *l)
{
	const int err =
		vh_nbd_call_start(l->dialer, l->reactor, link_connected, l, &l->call);

	if (err)
		link_retry_later(l, vh_strerror(err));
}

static void link_retry(struct vh_timer *t)
{
	link_call(vh_container_of(t, struct vh_nbd_link, retry));
}

/* ---- For others ---- */

void vh_nbd_link_init(struct vh_nbd_link *l, const char *tag, struct vh_nbd_dialer *d,
		      struct vh_nbd_connection *first)
{
	*l = (struct vh_nbd_link){
		.tag = tag,
		.dialer = d,
		.now = *first,
		.event = {.fd = -1, .fn = link_event},
		.delay = DELAY_FIRST,
	};
	first->nbd = NULL;
	vh_timer_init(&l->retry, link_retry);
	vh_list_init(&l->waiting);
	vh_list_init(&l->sent);
	vh_list_init(&l->commands);
	vh_list_init(&l->answered);
}

void vh_nbd_link_fini(struct vh_nbd_link *l)
{
	vh_nbd_close(l->now.nbd);
	l->now.nbd = NULL;
}

void vh_nbd_link_attach(struct vh_nbd_link *l, struct vh_reactor *r)
{
	l->reactor = r;
	if (l->now.nbd)
		link_go(l);
	else
		link_call(l);
}

void vh_nbd_link_detach(struct vh_nbd_link *l)
{
	link_unlisten(l);
	vh_timer_disarm(l->reactor, &l->retry);
	if (l->call)
		vh_nbd_call_abandon(l->call);
	l->call = NULL;
	l->reactor = NULL;
}

void vh_nbd_link_submit(struct vh_nbd_link *l, struct vh_store_io *io)
{
	if (!l->now.nbd) {
		vh_list_append(&l->waiting, &io->link);
		return;
	}
	request_begin(l, io);
	link_settle(l, NULL);
}

void vh_nbd_link_cancel(struct vh_nbd_link *l, const struct vh_store_channel *ch)
{
	struct vh_list batch;

	vh_list_init(&batch);
	vh_list_for_each (link, &l->waiting) {
		struct vh_store_io *io = vh_container_of(link, struct vh_store_io, link);

		if (io->channel != ch)
			continue;
		vh_list_remove(link);
		vh_list_append(&batch, link);
	}
	while (!vh_list_is_empty(&batch))
		request_finish(l, vh_container_of(batch.next, struct vh_store_io, link),
			       -ECANCELED);
}
