/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all connectors over UNIX sockets have in common: one peer at a time, its
 * two streams, a listener or a timer that says when to look for the next peer,
 * and one epoll fd over all of that.  How a peer is found is the scheme's: its
 * struct begins with a struct vh_socket.
 */
#ifndef VH_CONN_SOCKET_H
#define VH_CONN_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/address.h"
#include "conn/connector.h"
#include "conn/stream.h"

struct vh_socket;

struct vh_socket_life {
	/*
	 * Called when the listener or the timer says so, also while a peer is
	 * there (a socket that comes then is closed).  A connected socket, which
	 * becomes the caller's; -EAGAIN: none now, and the listener or the timer
	 * will tell; another -errno: broken for good (logged).
	 */
	int (*look)(struct vh_socket *s);
	/* The peer is gone, from here on another one is welcome. */
	void (*next)(struct vh_socket *s);
};

struct vh_socket {
	struct vh_connector c;
	const struct vh_socket_life *life;
	int epoll, timer, listener;
	bool any_memory; /* take other files than shared memory                 */
	bool readonly;	 /* and such as is only to be read                      */
	bool held;	 /* no messages of the main channel for now             */
	bool heard;	 /* this peer, or the one before, has sent a message    */
	bool refused;	 /* it was logged that somebody else wanted to come in  */
	bool starved;	 /* accept() lacks resources: the listener is not watched */
	struct vh_stream main, channel;
	/* what epoll watches them for; 0: nothing */
	uint32_t main_events, channel_events, listener_events;
};

static inline struct vh_socket *vh_socket_of(struct vh_connector *c)
{
	return (struct vh_socket *)c;
}

/* The option that each of them has; a scheme with others puts its rows beside it. */
#define VH_SOCKET_OPTION(any_memory)                                           \
	{                                                                      \
		.name = "any-memory", .form = "on|off", .value = &(any_memory) \
	}

/* For a scheme without others.  0 and *@any_memory, or -EINVAL (logged). */
int vh_socket_read_options(const char *tag, const char *scheme, char *const *options,
			   bool *any_memory);

/* Fills a zeroed *@s.  0 or -errno (logged); vh_socket_fini() is due in any case. */
int vh_socket_init(struct vh_socket *s, const struct vh_connector_ops *ops,
		   const struct vh_socket_life *life, enum vh_role role, const char *tag);
void vh_socket_fini(struct vh_socket *s);

/* Watch listening socket @fd (taken, also on failure).  0 or -errno (logged). */
int vh_socket_listen(struct vh_socket *s, int fd);

/* A look() for those that listen. */
int vh_socket_accept(struct vh_socket *s);

/* Have look() called in @ms; 0: at once.  Any thread, while @s is open. */
void vh_socket_look_in(struct vh_socket *s, unsigned ms);

/* The part of struct vh_connector_ops that is the same for all. */
int vh_socket_poll_fd(const struct vh_connector *c);
int vh_socket_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news);
int vh_socket_send(struct vh_connector *c, struct vh_msg *m);
const void *vh_socket_bytes(const struct vh_connector *c, enum vh_channel channel,
			    size_t *len);
int vh_socket_send_bytes(struct vh_connector *c, enum vh_channel channel,
			 const void *bytes, size_t len);
void vh_socket_expect(struct vh_connector *c, const struct vh_expect *e);
void vh_socket_hold(struct vh_connector *c, bool on);
void vh_socket_disconnect(struct vh_connector *c);
int vh_socket_set_channel(struct vh_connector *c, int fd);
int vh_socket_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		  struct vh_msg *m, const struct vh_map *old, struct vh_mapping **mapping,
		  bool *changed);
int vh_socket_map_area(struct vh_connector *c, struct vh_msg *m,
		       struct vh_mapping **mapping);
int vh_socket_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m);
int vh_socket_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s);

/* clang-format off */
#define VH_SOCKET_OPS                                                                     \
	.poll_fd = vh_socket_poll_fd, .recv = vh_socket_recv, .send = vh_socket_send,     \
	.bytes = vh_socket_bytes, .send_bytes = vh_socket_send_bytes,                     \
	.expect = vh_socket_expect, .hold = vh_socket_hold,                               \
	.disconnect = vh_socket_disconnect, .set_channel = vh_socket_set_channel,         \
	.map = vh_socket_map, .map_area = vh_socket_map_area, .make_area = vh_socket_make_area, .signal = vh_socket_signal
/* clang-format on */

#endif
