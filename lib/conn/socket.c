/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  All that can happen to an endpoint is readiness of one
 * of four fds: the listener, the timer, the main channel, the back-end channel.
 * They are in one level-triggered epoll set, which is the poll fd, and recv()
 * asks it for one event at a time.  So nothing is remembered between two calls
 * that epoll does not know, and no event can be about an fd that is closed.
 *
 * What must not be reported is not watched: a held main channel only for its
 * hang-up, the listener not while there are no fds for a new connection.  A
 * closed fd is always taken out of the set by hand, since somebody else may
 * hold the same open socket and thereby keep it in there.
 *
 * Control thread, except vh_socket_look_in().
 */
#include "conn/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/fdmap.h"

enum source { SOURCE_LISTENER, SOURCE_TIMER, SOURCE_MAIN, SOURCE_CHANNEL };

/* Events without news (connections to refuse, parts of messages) in one recv(). */
#define MAX_ROUNDS 16

/* When to try accept() again after it lacked resources. */
#define STARVED_MS 200

/* ---- The epoll set ---- */

/* Have @fd watched for @events instead of for *@now.  0 or -errno. */
static int watch(struct vh_socket *s, int fd, enum source source, uint32_t events,
		 uint32_t *now)
{
	struct epoll_event ev = {.events = events, .data.u32 = source};
	int op = !*now ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (events == *now)
		return 0;
	if (epoll_ctl(s->epoll, op, fd, &ev) < 0) {
		int err = -errno;

		vh_log(&s->c, VH_LOG_ERROR, "cannot watch a socket: %s",
		       vh_strerror(err));
		return err;
	}
	*now = events;
	return 0;
}

static uint32_t stream_events(const struct vh_stream *stream, bool held)
{
	return EPOLLRDHUP | (held ? 0u : EPOLLIN) |
	       (vh_stream_has_output(stream) ? EPOLLOUT : 0u);
}

static int watch_main(struct vh_socket *s)
{
	if (!vh_stream_is_open(&s->main))
		return 0;
	return watch(s, s->main.fd, SOURCE_MAIN, stream_events(&s->main, s->held),
		     &s->main_events);
}

static int watch_channel(struct vh_socket *s)
{
	if (!vh_stream_is_open(&s->channel))
		return 0;
	return watch(s, s->channel.fd, SOURCE_CHANNEL, stream_events(&s->channel, false),
		     &s->channel_events);
}

/* Not while there are no fds for a new connection, nor (if the owner wants them to wait)
 * while a peer is there. */
static int watch_listener(struct vh_socket *s)
{
	const bool off = s->starved || (s->c.patient && vh_stream_is_open(&s->main));

	if (s->listener < 0)
		return 0;
	return watch(s, s->listener, SOURCE_LISTENER, off ? 0 : EPOLLIN,
		     &s->listener_events);
}

static void close_channel(struct vh_socket *s)
{
	if (vh_stream_is_open(&s->channel))
		watch(s, s->channel.fd, SOURCE_CHANNEL, 0, &s->channel_events);
	vh_stream_close(&s->channel);
}

static void close_streams(struct vh_socket *s)
{
	if (vh_stream_is_open(&s->main))
		watch(s, s->main.fd, SOURCE_MAIN, 0, &s->main_events);
	vh_stream_close(&s->main);
	close_channel(s);
	s->held = false;
}

/* ---- Life ---- */

int vh_socket_read_options(const char *tag, const char *scheme, char *const *options,
			   bool *any_memory)
{
	const char *value = NULL;
	const struct vh_option known[] = {VH_SOCKET_OPTION(value), {.name = NULL}};
	int err = vh_options_read(tag, scheme, options, known);

	return err ? err : vh_option_on_off(tag, "any-memory", value, any_memory);
}

static int make_fds(struct vh_socket *s)
{
	uint32_t timer_events = 0;

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->timer < 0) {
		int err = -errno;

		vh_log(&s->c, VH_LOG_ERROR, "cannot make an epoll set and a timer: %s",
		       vh_strerror(err));
		return err;
	}
	return watch(s, s->timer, SOURCE_TIMER, EPOLLIN, &timer_events);
}

int vh_socket_init(struct vh_socket *s, const struct vh_connector_ops *ops,
		   const struct vh_socket_life *life, enum vh_role role, const char *tag)
{
	bool serves = role == VH_ROLE_BACKEND;

	s->c.ops = ops;
	s->c.role = role;
	snprintf(s->c.tag, sizeof(s->c.tag), "%s", tag);
	s->life = life;
	s->listener = -1;
	vh_stream_init(&s->main, s->c.tag, VH_CHANNEL_MAIN, serves);
	vh_stream_init(&s->channel, s->c.tag, VH_CHANNEL_BACKEND, !serves);
	return make_fds(s);
}

void vh_socket_fini(struct vh_socket *s)
{
	close_streams(s);
	vh_fd_drop(&s->listener);
	vh_fd_drop(&s->timer);
	vh_fd_drop(&s->epoll);
}

int vh_socket_listen(struct vh_socket *s, int fd)
{
	s->listener = fd;
	return watch_listener(s);
}

void vh_socket_look_in(struct vh_socket *s, unsigned ms)
{
	/* A timer of zero would never fire. */
	const struct itimerspec in = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L + 1}};

	timerfd_settime(s->timer, 0, &in, NULL);
}

/* The connection stays in the backlog; a listener that is watched would keep us busy. */
static int starve(struct vh_socket *s, int err)
{
	if (!s->starved)
		vh_log(&s->c, VH_LOG_WARN,
		       "cannot accept a connection yet: %s (ulimit -n?)",
		       vh_strerror(err));
	s->starved = true;
	watch_listener(s);
	vh_socket_look_in(s, STARVED_MS);
	return -EAGAIN;
}

int vh_socket_accept(struct vh_socket *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int err = fd < 0 ? -errno : 0;

	if (err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM)
		return starve(s, err);
	s->starved = false;
	watch_listener(s);
	if (!err)
		return fd;
	if (err == -EAGAIN || err == -EINTR || err == -ECONNABORTED)
		return -EAGAIN;
	vh_log(&s->c, VH_LOG_ERROR, "cannot accept connections any more: %s",
	       vh_strerror(err));
	return err;
}

static void refuse(struct vh_socket *s, int fd)
{
	close(fd);
	vh_log(&s->c, s->refused ? VH_LOG_DEBUG : VH_LOG_WARN,
	       "closed a second connection: one peer at a time");
	s->refused = true;
}

static void detach(struct vh_socket *s)
{
	close_streams(s);
	watch_listener(s);
	s->life->next(s);
}

static void attach(struct vh_socket *s, int fd, enum vh_news *news)
{
	s->heard = false;
	s->refused = false;
	if (vh_stream_open(&s->main, fd) < 0 || watch_main(s) < 0 ||
	    watch_listener(s) < 0) {
		detach(s);
		return;
	}
	*news = VH_NEWS_UP;
}

void vh_socket_disconnect(struct vh_connector *c)
{
	struct vh_socket *s = vh_socket_of(c);

	if (vh_stream_is_open(&s->main))
		detach(s);
}

void vh_socket_hold(struct vh_connector *c, bool on)
{
	struct vh_socket *s = vh_socket_of(c);

	s->held = on && vh_stream_is_open(&s->main);
	watch_main(s);
}

int vh_socket_poll_fd(const struct vh_connector *c)
{
	return ((const struct vh_socket *)c)->epoll;
}

/* ---- In ---- */

static void lose_peer(struct vh_socket *s, int why, enum vh_news *news)
{
	s->c.at_fault = why == -EPROTO;
	detach(s);
	*news = VH_NEWS_DOWN;
}

static int look(struct vh_socket *s, enum vh_news *news)
{
	int fd = s->life->look(s);

	if (fd < 0)
		return fd == -EAGAIN ? 0 : fd;
	if (vh_stream_is_open(&s->main))
		refuse(s, fd);
	else
		attach(s, fd, news);
	return 0;
}

static int timer_ready(struct vh_socket *s, enum vh_news *news)
{
	uint64_t n;

	if (read(s->timer, &n, sizeof(n)) < 0)
		return 0; /* it was set anew meanwhile */
	return look(s, news);
}

static void main_ready(struct vh_socket *s, uint32_t events, struct vh_msg *m,
		       enum vh_news *news)
{
	const uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	int got;

	vh_stream_flush(&s->main);
	got = watch_main(s);
	if (!got && s->held)
		got = events & gone ? -EPIPE : 0;
	else if (!got && events & (EPOLLIN | gone))
		got = vh_stream_read(&s->main, m);
	if (got > 0) {
		s->heard = true;
		*news = VH_NEWS_MESSAGE;
	} else if (got < 0) {
		lose_peer(s, got, news);
	}
}

/* A peer may well close this channel and go on; only rubbish in it is the end. */
static void channel_ready(struct vh_socket *s, struct vh_msg *m, enum vh_news *news)
{
	int got;

	vh_stream_flush(&s->channel);
	got = watch_channel(s);
	if (!got)
		got = vh_stream_read(&s->channel, m);
	if (got > 0) {
		*news = VH_NEWS_MESSAGE;
	} else if (got == -EPROTO) {
		lose_peer(s, got, news);
	} else if (got < 0) {
		vh_log(&s->c, VH_LOG_INFO, "the back-end channel is closed");
		close_channel(s);
	}
}

static int handle(struct vh_socket *s, const struct epoll_event *ev, struct vh_msg *m,
		  enum vh_news *news)
{
	switch ((enum source)ev->data.u32) {
	case SOURCE_LISTENER:
		return look(s, news);
	case SOURCE_TIMER:
		return timer_ready(s, news);
	case SOURCE_MAIN:
		main_ready(s, ev->events, m, news);
		break;
	case SOURCE_CHANNEL:
		channel_ready(s, m, news);
		break;
	}
	return 0;
}

int vh_socket_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news)
{
	struct vh_socket *s = vh_socket_of(c);
	struct epoll_event ev;
	int err = 0;

	*news = VH_NEWS_NOTHING;
	for (unsigned i = 0; i < MAX_ROUNDS && !err && *news == VH_NEWS_NOTHING; i++) {
		/* It cannot fail but by a signal, and then it will be called again. */
		if (epoll_wait(s->epoll, &ev, 1, 0) <= 0)
			return 0;
		err = handle(s, &ev, m, news);
	}
	return err;
}

/* ---- Out ---- */

/* The stream of @channel; NULL and *@err when there is none. */
static struct vh_stream *open_stream(struct vh_socket *s, enum vh_channel channel,
				     int *err)
{
	struct vh_stream *stream = channel == VH_CHANNEL_MAIN ? &s->main : &s->channel;

	*err = !vh_stream_is_open(&s->main) ? -EPIPE : -ENOTCONN;
	return vh_stream_is_open(&s->main) && vh_stream_is_open(stream) ? stream : NULL;
}

/* What writing to @channel gave, and what is queued is watched. */
static int written(struct vh_socket *s, enum vh_channel channel, int err)
{
	if (channel == VH_CHANNEL_MAIN)
		return err ? err : watch_main(s);
	if (err == -EPIPE)
		return -ENOTCONN;
	return err ? err : watch_channel(s);
}

int vh_socket_send(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_socket *s = vh_socket_of(c);
	int err;
	struct vh_stream *stream = open_stream(s, m->channel, &err);

	return stream ? written(s, m->channel, vh_stream_write(stream, m)) : err;
}

int vh_socket_send_bytes(struct vh_connector *c, enum vh_channel channel,
			 const void *bytes, size_t len)
{
	struct vh_socket *s = vh_socket_of(c);
	int err;
	struct vh_stream *stream = open_stream(s, channel, &err);

	if (!stream)
		return err;
	return written(s, channel, vh_stream_write_bytes(stream, bytes, len, NULL, 0));
}

const void *vh_socket_bytes(const struct vh_connector *c, enum vh_channel channel,
			    size_t *len)
{
	const struct vh_socket *s = (const struct vh_socket *)c;

	return vh_stream_bytes(channel == VH_CHANNEL_MAIN ? &s->main : &s->channel, len);
}

void vh_socket_expect(struct vh_connector *c, const struct vh_expect *e)
{
	vh_socket_of(c)->main.expect = *e;
}

int vh_socket_set_channel(struct vh_connector *c, int fd)
{
	struct vh_socket *s = vh_socket_of(c);
	int err;

	close_channel(s);
	if (!vh_stream_is_open(&s->main)) {
		close(fd);
		return -EPIPE;
	}
	err = vh_stream_open(&s->channel, fd);
	if (!err)
		err = watch_channel(s);
	if (err)
		close_channel(s);
	return err;
}

/* ---- Memory and signals ---- */

static struct vh_fdmap_rules rules_of(struct vh_connector *c)
{
	return (struct vh_fdmap_rules){
		.tag = c->tag,
		.any_file = vh_socket_of(c)->any_memory,
		.readonly = vh_socket_of(c)->readonly,
	};
}

int vh_socket_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		  struct vh_msg *m, const struct vh_map *old, struct vh_mapping **mapping,
		  bool *changed)
{
	const struct vh_fdmap_rules rules = rules_of(c);

	return vh_fdmap_table(&rules, r, n, m, old, mapping, changed);
}

int vh_socket_map_area(struct vh_connector *c, struct vh_msg *m,
		       struct vh_mapping **mapping)
{
	const struct vh_fdmap_rules rules = rules_of(c);

	return vh_fdmap_area(&rules, m, mapping);
}

int vh_socket_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m)
{
	const struct vh_fdmap_rules rules = rules_of(c);

	return vh_fdmap_make_area(&rules, size, m);
}

int vh_socket_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s)
{
	int fd = vh_msg_take_fd(m, 0), err;

	*s = NULL;
	if (fd < 0)
		return 0;
	err = vh_signal_from_eventfd(fd, s);
	if (err < 0)
		vh_log(c, VH_LOG_WARN, "%s: %s", vh_msg_name(m->channel, m->id),
		       err == -EINVAL ? "its descriptor is not an eventfd"
				      : vh_strerror(err));
	return err;
}
