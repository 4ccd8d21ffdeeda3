/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages and their fds over one connected UNIX stream socket, in both
 * directions, without ever blocking.  Knows nothing of how peers come, of event
 * loops or of what messages mean.  Control thread.
 */
#ifndef VH_CONN_STREAM_H
#define VH_CONN_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "wire/msg.h"

/* What may pile up for a peer that does not read: bytes of memory, and fds. */
#define VH_STREAM_MAX_OUT     (1u << 20)
#define VH_STREAM_MAX_OUT_FDS 64u

struct vh_stream {
	const char *tag; /* for the log; borrowed          */
	int fd;		 /* the socket, owned; -1: none    */
	enum vh_channel channel;
	bool serves; /* requests come in, replies go out; else the reverse */

	/* The message that is coming in. */
	struct vh_expect expect; /* of a reader that does not serve */
	size_t have;		 /* bytes of @in that are there     */
	struct vh_wire_header header;
	unsigned n_fds;
	int fds[VH_MAX_FDS]; /* owned until the message is complete */
	uint8_t in[sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD];

	/* What the socket did not take yet. */
	struct vh_list out;
	size_t out_cost; /* bytes of memory */
	unsigned n_out_fds;
};

/* A SOL_SOCKET option that is an int; -1 when @fd is no socket. */
int vh_socket_option(int fd, int name);

/* @tag is borrowed for as long as the stream lives. */
void vh_stream_init(struct vh_stream *s, const char *tag, enum vh_channel channel,
		    bool serves);

/*
 * Use @fd, which is taken, also on failure, in place of what was open.  0, or
 * -EINVAL (logged) when it is no UNIX stream socket.
 */
int vh_stream_open(struct vh_stream *s, int fd);

/* Close the socket and every fd that is under way.  A closed one is fine. */
void vh_stream_close(struct vh_stream *s);

/*
 * 1: *@m is a message, the caller's to close.  0: nothing more for now.  -EPIPE:
 * the peer is gone.  -EPROTO: it broke the protocol (logged).  After an error
 * only vh_stream_close() makes sense.
 */
int vh_stream_read(struct vh_stream *s, struct vh_msg *m);

/*
 * Send @m, or queue what the socket does not take.  0, -EPIPE (what the peer has
 * sent can still be read), -ENOBUFS, or an error of the message (-EMSGSIZE, ...).
 */
int vh_stream_write(struct vh_stream *s, const struct vh_msg *m);

/* The same with @len bytes as they are, a whole message, and @n_fds of @fds. */
int vh_stream_write_bytes(struct vh_stream *s, const void *bytes, size_t len,
			  const int *fds, unsigned n_fds);

/* The message that was read last, header and payload, until the next one is read. */
static inline const void *vh_stream_bytes(const struct vh_stream *s, size_t *len)
{
	*len = sizeof(s->header) + s->header.size;
	return s->in;
}

/* The socket takes more: send what is queued. */
void vh_stream_flush(struct vh_stream *s);

static inline bool vh_stream_is_open(const struct vh_stream *s)
{
	return s->fd >= 0;
}

static inline bool vh_stream_has_output(const struct vh_stream *s)
{
	return !vh_list_is_empty(&s->out);
}

#endif
