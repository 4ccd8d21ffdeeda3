/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connector joins a session or a client to its peer.  It has four paths:
 * life, messages, memory and signals.  It knows nothing of virtqueues, devices
 * or the state of the protocol.  All calls come from one thread, the control
 * thread.
 *
 * A connector is an endpoint, not a connection: it listens, or connects and
 * retries for ever, and reports the peers that come and go, one at a time.
 */
#ifndef VH_CONN_CONNECTOR_H
#define VH_CONN_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/signal.h"
#include "mem/map.h"
#include "wire/msg.h"

enum vh_role { VH_ROLE_BACKEND, VH_ROLE_FRONTEND };

/* What vh_connector_recv() has found. */
enum vh_news {
	VH_NEWS_NOTHING, /* wait for the poll fd                             */
	VH_NEWS_MESSAGE, /* a message, which is the caller's to close        */
	VH_NEWS_UP,	 /* a peer is there                                  */
	VH_NEWS_DOWN,	 /* it went, or broke the protocol: see .at_fault    */
};

struct vh_connector;

struct vh_connector_ops {
	const char *scheme; /* "unix": what stands before the colon */
	/* @options: NULL-terminated "key=value" strings.  0 or -errno (logged). */
	int (*open)(const char *rest, char *const *options, enum vh_role role,
		    const char *tag, struct vh_connector **c);
	void (*close)(struct vh_connector *c);
	int (*poll_fd)(const struct vh_connector *c);
	int (*recv)(struct vh_connector *c, struct vh_msg *m, enum vh_news *news);
	int (*send)(struct vh_connector *c, struct vh_msg *m);
	/* NULL where messages are not bytes of ours: */
	const void *(*bytes)(const struct vh_connector *c, enum vh_channel channel,
			     size_t *len);
	int (*send_bytes)(struct vh_connector *c, enum vh_channel channel,
			  const void *bytes, size_t len);
	/* NULL for a scheme of back-ends only: none of their messages has an answer. */
	void (*expect)(struct vh_connector *c, const struct vh_expect *e);
	void (*hold)(struct vh_connector *c, bool on);
	void (*disconnect)(struct vh_connector *c);
	int (*set_channel)(struct vh_connector *c, int fd);
	int (*map)(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		   struct vh_msg *m, const struct vh_map *old,
		   struct vh_mapping **mapping, bool *changed);
	int (*map_area)(struct vh_connector *c, struct vh_msg *m,
			struct vh_mapping **mapping);
	int (*make_area)(struct vh_connector *c, uint64_t size, struct vh_msg *m);
	int (*signal)(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s);
};

struct vh_connector {
	const struct vh_connector_ops *ops;
	enum vh_role role;
	char tag[32];
	bool at_fault; /* at VH_NEWS_DOWN: the peer broke the protocol (logged) */
	bool is_over;  /* the peer that went was the only one that there can be */
	/* The owner's: others than the present peer wait, instead of being turned away.
	 */
	bool patient;
};

/*
 * Open "SCHEME:REST[,OPTION=VALUE]...", where a literal comma is ",,".
 * "server=on|off" makes a unix: endpoint listen or connect; the default is on
 * for a back-end, off for a front-end.  @tag is for logs; copied.
 * 0, or -errno after an error was logged that names what was wrong.
 */
int vh_connector_open(const char *address, enum vh_role role, const char *tag,
		      struct vh_connector **c);
/* Closes everything, unlinks a socket that we listened on.  NULL is fine. */
void vh_connector_close(struct vh_connector *c);

/* ---- Life ---- */

/* Readable when recv has something to say; may be an epoll fd; constant. */
int vh_connector_poll_fd(const struct vh_connector *c);

/*
 * Drop the present peer (no VH_NEWS_DOWN comes for it) and wait for the next one,
 * which never comes when .is_over.
 */
void vh_connector_disconnect(struct vh_connector *c);

/*
 * @on: read no messages for now; hang-ups, and messages of the back-end
 * channel, are still reported.
 */
void vh_connector_hold(struct vh_connector *c, bool on);

/* ---- Messages ---- */

/*
 * Never blocks.  0 and *@news; call it until that is VH_NEWS_NOTHING.  -errno:
 * the endpoint itself is broken for good (logged).
 */
int vh_connector_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news);

/*
 * Send @m and its fds, which stay the caller's (they are duplicated when it has
 * to be queued: what the socket does not take now goes out later, in order).
 * 0, -EPIPE when there is no peer, -ENOTCONN when there is no back-end channel,
 * -ENOBUFS when the peer lets too much pile up.
 */
int vh_connector_send(struct vh_connector *c, struct vh_msg *m);

/*
 * For who passes messages on: the bytes of the one that @channel brought last, header and
 * payload, until the next call here; and @len of them, a whole message without fds, to be
 * sent as they are.  NULL and -EOPNOTSUPP where a connector has no such thing.
 */
const void *vh_connector_bytes(const struct vh_connector *c, enum vh_channel channel,
			       size_t *len);
int vh_connector_send_bytes(struct vh_connector *c, enum vh_channel channel,
			    const void *bytes, size_t len);

/* How to read the next reply (front-end role on the main channel). */
void vh_connector_expect(struct vh_connector *c, const struct vh_expect *e);

/* Use @fd (taken, also on failure) as the back-end channel; an older one is closed. */
int vh_connector_set_channel(struct vh_connector *c, int fd);

/* ---- Memory ---- */

/*
 * Map the whole new table @r, sorted by gpa.  A region that @old has with equal
 * numbers and the same file behind it gets a reference on its old mapping; each
 * other one is mapped from the fd that @m (SET_MEM_TABLE: fds in the order of
 * the message's regions; ADD_MEM_REG: one) has for it.  *@changed: some region
 * with equal numbers has another file behind it.  All or nothing: 0 and @n
 * mappings, each one reference of the caller's; or -errno, logged with its cause
 * and cure.
 */
int vh_connector_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		     struct vh_msg *m, const struct vh_map *old,
		     struct vh_mapping **mapping, bool *changed);

/* Map what @m has: the dirty log of SET_LOG_BASE, the area of SET_INFLIGHT_FD. */
int vh_connector_map_area(struct vh_connector *c, struct vh_msg *m,
			  struct vh_mapping **mapping);

/*
 * Make @size bytes of zeroes that can be shared, and have @m, the reply to
 * GET_INFLIGHT_FD, carry them.  0 or -errno (logged).
 */
int vh_connector_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m);

/* ---- Signals ---- */

/*
 * The doorbell that @m (SET_VRING_KICK, CALL, ERR, SET_LOG_FD) brings: 0 and *@s, which
 * is NULL when the message says that there is none; -EINVAL: not an eventfd.
 */
int vh_connector_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s);

#endif
