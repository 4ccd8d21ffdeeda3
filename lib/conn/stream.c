/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A message is read in two parts, the 12 bytes of the
 * header and then exactly its payload, so that no byte (and no fd) of the next
 * message is ever taken along; a read-ahead buffer would save a system call and
 * cost the certainty of which fd belongs to which message.  Both parts may come
 * in as many pieces as the peer likes.  fds come with the first byte of a
 * header; the kernel ends a read behind them, so a read that brings fds in the
 * middle of a message shows a peer that put them elsewhere.
 *
 * Received fds have one owner at any time: the stream, then the message.
 *
 * The peer may hold the same open socket (it gave us the one of the back-end
 * channel), and so change its O_NONBLOCK: every call says MSG_DONTWAIT.
 */
#include "conn/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/rights.h"

#define HEADER sizeof(struct vh_wire_header)

/* A message, or the rest of one, that waits for the socket. */
struct chunk {
	struct vh_list link;
	size_t len, done;
	unsigned n_fds; /* not sent yet */
	int fds[VH_MAX_FDS];
	uint8_t bytes[];
};

/* ---- Life ---- */

void vh_stream_init(struct vh_stream *s, const char *tag, enum vh_channel channel,
		    bool serves)
{
	*s = (struct vh_stream){
		.tag = tag, .fd = -1, .channel = channel, .serves = serves};
	vh_list_init(&s->out);
}

int vh_socket_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

int vh_stream_open(struct vh_stream *s, int fd)
{
	const int off = 0, on = 1;

	vh_stream_close(s);
	s->fd = fd;
	if (vh_socket_option(fd, SO_DOMAIN) != AF_UNIX ||
	    vh_socket_option(fd, SO_TYPE) != SOCK_STREAM ||
	    vh_socket_option(fd, SO_ACCEPTCONN) != 0) {
		vh_log(s, VH_LOG_WARN, "the %s is not a connected UNIX stream socket",
		       s->channel == VH_CHANNEL_MAIN ? "descriptor" : "back-end channel");
		vh_stream_close(s);
		return -EINVAL;
	}
	/* Ancillary data other than fds would need room of its own; urgent bytes
	 * would leave the socket readable with nothing to read. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	return 0;
}

static void chunk_destroy(struct chunk *c)
{
	for (unsigned i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	free(c);
}

static void drop_output(struct vh_stream *s)
{
	vh_list_for_each (l, &s->out)
		chunk_destroy(vh_container_of(l, struct chunk, link));
	vh_list_init(&s->out);
	s->out_cost = 0;
	s->n_out_fds = 0;
}

void vh_stream_close(struct vh_stream *s)
{
	vh_fd_drop(&s->fd);
	for (unsigned i = 0; i < s->n_fds; i++)
		close(s->fds[i]);
	s->n_fds = 0;
	s->have = 0;
	s->expect = (struct vh_expect){0};
	drop_output(s);
}

/* ---- In ---- */

static int broken(const struct vh_stream *s, const char *why)
{
	const char *name = s->have < HEADER ? "message header"
					    : vh_msg_name(s->channel, s->header.request);

	vh_log(s, VH_LOG_WARN, "%s: %s", name, why);
	return -EPROTO;
}

static int read_failed(const struct vh_stream *s, int err)
{
	if (err == EAGAIN || err == EINTR)
		return 0;
	if (err != ECONNRESET)
		vh_log(s, VH_LOG_WARN, "cannot read: %s", vh_strerror(-err));
	return -EPIPE;
}

/* Up to @want bytes of the message, as one read gives them.  1, 0 or -errno as above. */
static int read_some(struct vh_stream *s, size_t want)
{
	struct vh_rights r = {.fds = s->fds, .n = s->n_fds, .max = VH_MAX_FDS};
	const ssize_t n = vh_rights_recv(s->fd, s->in + s->have, want, &r);

	s->n_fds = r.n;
	if (n < 0)
		return read_failed(s, (int)-n);
	if (r.lost)
		return broken(s,
			      "descriptors were lost: more than a message can carry, or "
			      "this process may not open more files (ulimit -n)");
	if (r.came && s->have)
		return broken(s, "descriptors did not come with its first byte");
	if (!n) {
		if (s->have)
			vh_log(s, VH_LOG_WARN,
			       "the peer went in the middle of a message");
		return -EPIPE;
	}
	s->have += (size_t)n;
	return 1;
}

/* 1 when @total bytes of the message are there. */
static int read_until(struct vh_stream *s, size_t total)
{
	int got = 1;

	while (got > 0 && s->have < total)
		got = read_some(s, total - s->have);
	return got;
}

/* How to read what came; NULL: as a request. */
static const struct vh_expect *expectation(const struct vh_stream *s,
					   struct vh_expect *ack)
{
	if (s->serves)
		return NULL;
	if (s->channel == VH_CHANNEL_MAIN)
		return &s->expect;
	/* On the back-end channel every reply is an ack. */
	*ack = (struct vh_expect){.id = s->header.request, .acked = true};
	return ack;
}

static int finish(struct vh_stream *s, struct vh_msg *m)
{
	struct vh_expect ack;
	const char *why;
	int err = vh_msg_decode(m, s->channel, &s->header, s->in + HEADER, s->fds,
				s->n_fds, expectation(s, &ack), true, &why);

	s->n_fds = 0;
	if (err < 0) {
		vh_msg_close(m);
		return broken(s, why);
	}
	s->have = 0;
	if (m->is_reply)
		s->expect = (struct vh_expect){0};
	return 1;
}

int vh_stream_read(struct vh_stream *s, struct vh_msg *m)
{
	const char *why;
	int got;

	if (!vh_stream_is_open(s))
		return -EPIPE;
	if (s->have < HEADER) {
		got = read_until(s, HEADER);
		if (got <= 0)
			return got;
		if (vh_header_decode(s->in, &s->header, &why) < 0)
			return broken(s, why);
	}
	got = read_until(s, HEADER + s->header.size);
	return got > 0 ? finish(s, m) : got;
}

/* ---- Out ---- */

/*
 * Nothing can be sent any more.  The reader gets what the peer has sent before,
 * and then the end, so that it is told once, in order.
 */
static int cannot_send(struct vh_stream *s, int err)
{
	if (err != EPIPE && err != ECONNRESET)
		vh_log(s, VH_LOG_WARN, "cannot send: %s", vh_strerror(-err));
	drop_output(s);
	shutdown(s->fd, SHUT_RDWR);
	return -EPIPE;
}

/* How many bytes went out, with all of @fds if any did; 0 when there is no room. */
static ssize_t send_some(struct vh_stream *s, const uint8_t *bytes, size_t len,
			 const int *fds, unsigned n_fds)
{
	const ssize_t n = vh_rights_send(s->fd, bytes, len, fds, n_fds);

	if (n >= 0)
		return n;
	return n == -EAGAIN || n == -EINTR ? 0 : cannot_send(s, (int)-n);
}

static int duplicate_fds(struct chunk *c, const int *fds, unsigned n_fds)
{
	for (; c->n_fds < n_fds; c->n_fds++) {
		int fd = fcntl(fds[c->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		c->fds[c->n_fds] = fd;
	}
	return 0;
}

static int enqueue(struct vh_stream *s, const uint8_t *bytes, size_t len, const int *fds,
		   unsigned n_fds)
{
	const size_t cost = sizeof(struct chunk) + len;
	struct chunk *c;
	int err;

	if (cost > VH_STREAM_MAX_OUT - s->out_cost ||
	    n_fds > VH_STREAM_MAX_OUT_FDS - s->n_out_fds)
		return -ENOBUFS;
	c = malloc(cost);
	if (!c)
		return -ENOMEM;
	*c = (struct chunk){.len = len};
	memcpy(c->bytes, bytes, len);
	err = duplicate_fds(c, fds, n_fds);
	if (err < 0) {
		chunk_destroy(c);
		return err;
	}
	vh_list_append(&s->out, &c->link);
	s->out_cost += cost;
	s->n_out_fds += n_fds;
	return 0;
}

int vh_stream_write_bytes(struct vh_stream *s, const void *bytes, size_t len,
			  const int *fds, unsigned n_fds)
{
	const uint8_t *at = bytes;
	ssize_t sent = 0;
	int err;

	if (!vh_stream_is_open(s))
		return -EPIPE;
	if (!vh_stream_has_output(s)) {
		sent = send_some(s, at, len, fds, n_fds);
		if (sent < 0 || (size_t)sent == len)
			return sent < 0 ? (int)sent : 0;
	}
	err = enqueue(s, at + sent, len - (size_t)sent, fds, sent ? 0 : n_fds);
	/* Half a message without its end would make all that follows unreadable. */
	return err < 0 && sent ? cannot_send(s, -err) : err;
}

int vh_stream_write(struct vh_stream *s, const struct vh_msg *m)
{
	uint8_t bytes[HEADER + VH_MAX_PAYLOAD];
	const int len = vh_msg_encode(m, bytes, sizeof(bytes));

	if (!vh_stream_is_open(s))
		return -EPIPE;
	return len < 0 ? len
		       : vh_stream_write_bytes(s, bytes, (size_t)len, m->fds, m->n_fds);
}

/* False when it did not go out completely. */
static bool send_chunk(struct vh_stream *s, struct chunk *c)
{
	ssize_t n = send_some(s, c->bytes + c->done, c->len - c->done, c->fds, c->n_fds);

	if (n <= 0)
		return false;
	for (unsigned i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	s->n_out_fds -= c->n_fds;
	c->n_fds = 0;
	c->done += (size_t)n;
	return c->done == c->len;
}

void vh_stream_flush(struct vh_stream *s)
{
	while (vh_stream_has_output(s)) {
		struct chunk *c = vh_container_of(s->out.next, struct chunk, link);

		if (!send_chunk(s, c))
			return;
		vh_list_take(&s->out);
		s->out_cost -= sizeof(*c) + c->len;
		chunk_destroy(c);
	}
}
