/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's talk with its back-end: send a message with its fds, wait for the
 * answer, and meanwhile serve what the back-end asks on its own channel.  What
 * to say is the machine's business (proto/frontend.c).
 *
 * Everything that waits has a deadline, which also ends an exchange with a
 * back-end that keeps us busy with requests of its own.  After a failure the
 * two sides no longer agree on what was said, so the connection is ended.
 * Client's thread.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "session/client.h"

/* Unasked messages that one call of vh_client_listen() handles. */
#define MAX_UNASKED 64

/* Milliseconds of one poll(), which takes an int. */
#define MAX_NAP 1000000

uint64_t vh_client_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- The link ---- */

static void link_is_down(struct vh_client *c)
{
	c->link = VH_CLIENT_DOWN;
	for (unsigned i = 0; i < c->n_queues; i++)
		vh_client_queue_wake(c->queue[i], true);
}

void vh_client_hang_up(struct vh_client *c)
{
	if (c->link == VH_CLIENT_DOWN)
		return;
	vh_connector_disconnect(c->conn);
	link_is_down(c);
}

/* ---- The back-end's own requests ---- */

/* 0, or not 0: refused. */
static uint64_t serve(struct vh_client *c, const struct vh_msg *m)
{
	if (m->id != VH_MSG_BACKEND_CONFIG_CHANGE_MSG ||
	    !vh_frontend_has(&c->fe, VH_PF_CONFIG)) {
		vh_log(c, VH_LOG_DEBUG, "refused the back-end's %s",
		       vh_msg_name(m->channel, m->id));
		return 1;
	}
	c->config_changed = true;
	return 0;
}

/* 0; -EPIPE: a request could not be answered, and the link is down. */
static int serve_channel(struct vh_client *c, struct vh_msg *m)
{
	const uint64_t result = serve(c, m);
	struct vh_msg reply;
	int err = 0;

	if (m->need_reply && vh_frontend_has(&c->fe, VH_PF_REPLY_ACK)) {
		vh_msg_init_reply(&reply, m, VH_PAYLOAD_ACK);
		reply.u64 = result;
		err = vh_connector_send(c->conn, &reply);
	}
	vh_msg_close(m);
	if (!err || err == -ENOTCONN)
		return 0;
	vh_log(c, VH_LOG_WARN, "the back-end does not read our answers: hung up on it");
	vh_client_hang_up(c);
	return -EPIPE;
}

int vh_client_listen(struct vh_client *c)
{
	enum vh_news news = VH_NEWS_MESSAGE;
	struct vh_msg m;

	for (unsigned i = 0; i < MAX_UNASKED && news != VH_NEWS_NOTHING; i++) {
		int err = vh_connector_recv(c->conn, &m, &news);

		if (err) {
			vh_client_hang_up(c);
			return err;
		}
		if (news == VH_NEWS_MESSAGE)
			serve_channel(c, &m); /* there it is seen that the link is down */
		else if (news == VH_NEWS_DOWN)
			link_is_down(c);
		else if (news == VH_NEWS_UP)
			c->link = VH_CLIENT_UP;
	}
	return c->link == VH_CLIENT_READY ? 0 : -EPIPE;
}

/* ---- Waiting ---- */

/* The next news; 0, -ETIMEDOUT or -errno. */
static int wait_for_news(struct vh_client *c, struct vh_msg *m, enum vh_news *news,
			 uint64_t deadline)
{
	struct pollfd p = {.fd = vh_connector_poll_fd(c->conn), .events = POLLIN};

	for (;;) {
		int err = vh_connector_recv(c->conn, m, news);
		uint64_t now = vh_client_now();

		if (err || *news != VH_NEWS_NOTHING)
			return err;
		if (now >= deadline)
			return -ETIMEDOUT;
		poll(&p, 1, deadline - now < MAX_NAP ? (int)(deadline - now) : MAX_NAP);
	}
}

int vh_client_wait_up(struct vh_client *c, uint64_t deadline)
{
	struct vh_msg m;

	while (c->link == VH_CLIENT_DOWN) {
		enum vh_news news;
		int err = wait_for_news(c, &m, &news, deadline);

		if (err)
			return err;
		if (news == VH_NEWS_MESSAGE)
			vh_msg_close(&m);
		else if (news == VH_NEWS_UP)
			c->link = VH_CLIENT_UP;
	}
	return 0;
}

/*
 * What broke the protocol was logged.  One that goes at once may be busy, and the next
 * connection is tried: who does that says so if it comes to nothing.
 */
static int lost_instead_of_answer(struct vh_client *c, uint32_t id)
{
	link_is_down(c);
	if (c->conn->at_fault)
		return -EPROTO;
	vh_log(c, c->fe.has_offer ? VH_LOG_WARN : VH_LOG_INFO,
	       "the back-end hung up instead of answering %s",
	       vh_msg_name(VH_CHANNEL_MAIN, id));
	return -EPIPE;
}

static int wait_for_answer(struct vh_client *c, struct vh_msg *reply, uint32_t id)
{
	const uint64_t deadline = vh_client_now() + c->timeout_ms;
	int err = 0;

	while (!err && vh_client_now() <= deadline) {
		enum vh_news news;

		err = wait_for_news(c, reply, &news, deadline);
		if (err)
			break;
		if (news == VH_NEWS_MESSAGE && reply->channel == VH_CHANNEL_MAIN)
			return 0;
		if (news == VH_NEWS_MESSAGE)
			err = serve_channel(c, reply);
		if (news == VH_NEWS_DOWN)
			err = lost_instead_of_answer(c, id);
	}
	if (err && err != -ETIMEDOUT)
		return err;
	vh_log(c, VH_LOG_WARN, "the back-end did not answer %s within %u ms",
	       vh_msg_name(VH_CHANNEL_MAIN, id), c->timeout_ms);
	return -ETIMEDOUT;
}

/* ---- Sending ---- */

/* A channel for the back-end's requests: one end for the connector, one to send. */
static int make_channel(struct vh_client *c, struct vh_msg *m)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = vh_connector_set_channel(c->conn, pair[0]);
	if (err) {
		close(pair[1]);
		return err;
	}
	m->fds[m->n_fds++] = pair[1];
	return 0;
}

static int attach_regions(const struct vh_client *c, struct vh_msg *m,
			  const struct vh_wire_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = vh_client_memory_fd(c, &r[i]);

		if (fd < 0)
			return -EBADF;
		m->fds[m->n_fds++] = fd;
	}
	return 0;
}

static int attach_signal(const struct vh_client *c, struct vh_msg *m)
{
	const struct vh_client_queue *q = c->queue[m->u64 & VH_VRING_INDEX_MASK];

	m->fds[m->n_fds++] = m->id == VH_MSG_SET_VRING_KICK   ? q->kick
			     : m->id == VH_MSG_SET_VRING_CALL ? q->call
							      : q->err;
	return 0;
}

/* The fds that go with @m; they stay ours, but for the channel's. */
static int attach_fds(struct vh_client *c, struct vh_msg *m)
{
	switch (m->id) {
	case VH_MSG_SET_BACKEND_REQ_FD:
		return make_channel(c, m);
	case VH_MSG_SET_MEM_TABLE:
		return attach_regions(c, m, m->mem.region, m->mem.n);
	case VH_MSG_ADD_MEM_REG:
		return attach_regions(c, m, &m->mem_reg.region, 1);
	case VH_MSG_SET_INFLIGHT_FD:
		m->fds[m->n_fds++] = c->inflight_fd;
		return 0;
	case VH_MSG_SET_VRING_KICK:
	case VH_MSG_SET_VRING_CALL:
	case VH_MSG_SET_VRING_ERR:
		return attach_signal(c, m);
	default:
		return 0;
	}
}

static void detach_fds(struct vh_msg *m)
{
	if (m->id == VH_MSG_SET_BACKEND_REQ_FD)
		vh_msg_close(m);
	m->n_fds = 0;
}

static int send_message(struct vh_client *c, struct vh_msg *m)
{
	int err = attach_fds(c, m);

	if (!err)
		err = vh_connector_send(c->conn, m);
	detach_fds(m);
	if (err)
		vh_log(c, VH_LOG_WARN, "cannot send %s: %s",
		       vh_msg_name(m->channel, m->id), vh_strerror(err));
	return err;
}

/* ---- Requests ---- */

/* A refused question about config space is an answer like any other. */
static void log_answer(const struct vh_client *c, const struct vh_msg *m, int err,
		       const char *why)
{
	const bool usual = m->payload == VH_PAYLOAD_CONFIG && err == -EREMOTEIO;

	vh_log(c, usual ? VH_LOG_DEBUG : VH_LOG_WARN, "%s: the back-end %s",
	       vh_msg_name(m->channel, m->id), why);
}

/* Decoding saw that there is an fd if and only if there is a size. */
static void keep_inflight(struct vh_client *c, struct vh_msg *reply)
{
	vh_fd_drop(&c->inflight_fd);
	c->inflight_fd = vh_msg_take_fd(reply, 0);
	c->inflight = c->fe.inflight;
}

/* What the machine wants sent is sent, and the answer, if one is due, is digested. */
static int exchange(struct vh_client *c, struct vh_msg *m, struct vh_msg *reply)
{
	struct vh_expect expect;
	const char *why;
	const bool waits = vh_frontend_waits(&c->fe, &expect);
	int err = send_message(c, m);

	if (err || !waits)
		return err;
	vh_connector_expect(c->conn, &expect);
	err = wait_for_answer(c, reply, m->id);
	if (err)
		return err;
	err = vh_frontend_reply(&c->fe, reply, &why);
	if (!err && m->id == VH_MSG_GET_INFLIGHT_FD)
		keep_inflight(c, reply);
	vh_msg_close(reply);
	if (err)
		log_answer(c, m, err, why);
	return err;
}

int vh_client_pursue(struct vh_client *c, enum vh_goal goal)
{
	struct vh_msg m, reply;
	int err = 0;

	if (c->link != (goal == VH_GOAL_CONNECTED ? VH_CLIENT_UP : VH_CLIENT_READY))
		return -EPIPE;
	vh_frontend_pursue(&c->fe, goal);
	while (!err && vh_frontend_next(&c->fe, &m))
		err = exchange(c, &m, &reply);
	if (err)
		vh_client_hang_up(c);
	return err;
}

int vh_client_ask(struct vh_client *c, struct vh_msg *m, struct vh_msg *reply)
{
	struct vh_expect expect;
	bool waits;
	int err;

	if (c->link != VH_CLIENT_READY)
		return -EPIPE;
	err = vh_frontend_ask(&c->fe, m);
	if (err)
		return err;
	waits = vh_frontend_waits(&c->fe, &expect);
	err = exchange(c, m, reply);
	if (err && err != -EREMOTEIO)
		vh_client_hang_up(c);
	return err || waits ? err : vh_client_pursue(c, VH_GOAL_SETTLED);
}
