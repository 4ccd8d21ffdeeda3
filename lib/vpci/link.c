/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to the back-end: it comes, goes and comes again; a message with its fds
 * out, its answer in, and what the back-end says by itself.  Control thread.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "vpci/private.h"

/* Messages of one turn, then everybody else. */
#define MESSAGES_PER_TURN 16

/* ---- Out ---- */

/* A channel for the back-end's requests: one end for the connector, one to send. */
static int make_channel(struct vh_vpci *v, struct vh_msg *m)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = vh_connector_set_channel(v->conn, pair[0]);
	if (err) {
		close(pair[1]);
		return err;
	}
	m->fds[m->n_fds++] = pair[1];
	return 0;
}

static int attach_regions(struct vh_vpci *v, struct vh_msg *m,
			  const struct vh_wire_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const int fd = vh_vpci_memory_fd(v, r[i].gpa);

		if (fd < 0)
			return fd;
		m->fds[m->n_fds++] = fd;
	}
	return 0;
}

/* A queue without a vector is polled: its message says that no fd comes. */
static int attach_call(struct vh_vpci *v, struct vh_msg *m)
{
	const unsigned q = m->u64 & VH_VRING_INDEX_MASK;
	const int fd = vh_vfu_vector_fd(v->vfu, v->vp.queue[q].vector);

	vh_queue_set_remove(&v->new_call, q);
	if (fd >= 0)
		m->fds[m->n_fds++] = fd;
	else
		m->u64 |= VH_VRING_NO_FD;
	return 0;
}

/* Whose messages' fds are there for them alone; others are borrowed. */
static bool owns_fds(const struct vh_msg *m)
{
	return m->id == VH_MSG_SET_BACKEND_REQ_FD || m->id == VH_MSG_SET_MEM_TABLE ||
	       m->id == VH_MSG_ADD_MEM_REG;
}

/* The fds that go with @m. */
static int attach_fds(struct vh_vpci *v, struct vh_msg *m)
{
	switch (m->id) {
	case VH_MSG_SET_BACKEND_REQ_FD:
		return make_channel(v, m);
	case VH_MSG_SET_MEM_TABLE:
		return attach_regions(v, m, m->mem.region, m->mem.n);
	case VH_MSG_ADD_MEM_REG:
		return attach_regions(v, m, &m->mem_reg.region, 1);
	case VH_MSG_SET_VRING_CALL:
		return attach_call(v, m);
	case VH_MSG_SET_VRING_KICK:
		m->fds[m->n_fds++] = v->kick[m->u64 & VH_VRING_INDEX_MASK];
		return 0;
	case VH_MSG_SET_VRING_ERR:
		m->fds[m->n_fds++] = v->broken.fd;
		return 0;
	default:
		return 0;
	}
}

static void detach_fds(struct vh_msg *m)
{
	if (owns_fds(m))
		vh_msg_close(m);
	m->n_fds = 0;
}

void vh_vpci_send(struct vh_vpci *v, struct vh_msg *m)
{
	struct vh_expect expect;
	int err = attach_fds(v, m);

	if (!err && vh_frontend_waits(&v->fe, &expect)) {
		v->awaits = true;
		vh_connector_expect(v->conn, &expect);
	}
	if (!err)
		err = vh_connector_send(v->conn, m);
	detach_fds(m);
	if (err) {
		vh_log(v, VH_LOG_WARN, "cannot send %s: %s",
		       vh_msg_name(m->channel, m->id), vh_strerror(err));
		vh_vpci_hang_up(v, "the two no longer agree on what was said");
	}
}

/* ---- In ---- */

static void take_answer(struct vh_vpci *v, struct vh_msg *m)
{
	const char *why;
	int err = vh_frontend_reply(&v->fe, m, &why);

	v->awaits = false;
	if (!err)
		vh_vpci_answered(v, m);
	else if (err == -EREMOTEIO || v->link == VPCI_UP)
		vh_vpci_refused(v, why);
	else
		vh_vpci_hang_up(v, why);
	vh_msg_close(m);
}

/* What the back-end says by itself; 0, or not 0: refused. */
static uint64_t serve(struct vh_vpci *v, const struct vh_msg *m)
{
	if (m->id != VH_MSG_BACKEND_CONFIG_CHANGE_MSG)
		return 1;
	v->wants_config = v->vp.config_size;
	return 0;
}

static void serve_channel(struct vh_vpci *v, struct vh_msg *m)
{
	const uint64_t result = serve(v, m);
	struct vh_msg reply;

	if (m->need_reply) {
		vh_msg_init_reply(&reply, m, VH_PAYLOAD_ACK);
		reply.u64 = result;
		if (vh_connector_send(v->conn, &reply) < 0)
			vh_log(v, VH_LOG_DEBUG, "the back-end does not read answers");
	}
	vh_msg_close(m);
}

static bool handle_news(struct vh_vpci *v)
{
	struct vh_msg m;
	enum vh_news news;

	if (vh_connector_recv(v->conn, &m, &news) < 0) {
		vh_event_remove(v->reactor, &v->readable);
		return false;
	}
	if (news == VH_NEWS_UP) {
		v->link = VPCI_UP;
	} else if (news == VH_NEWS_DOWN) {
		v->link = VPCI_DOWN;
		vh_vpci_begin_again(v);
	} else if (news == VH_NEWS_MESSAGE) {
		if (m.channel == VH_CHANNEL_MAIN)
			take_answer(v, &m);
		else
			serve_channel(v, &m);
	}
	vh_vpci_pump(v);
	return news != VH_NEWS_NOTHING;
}

static void on_readable(struct vh_event *ev, uint32_t events)
{
	struct vh_vpci *v = vh_container_of(ev, struct vh_vpci, readable);

	(void)events;
	for (unsigned i = 0; i < MESSAGES_PER_TURN && handle_news(v); i++)
		;
}

static void on_broken(struct vh_event *ev, uint32_t events)
{
	struct vh_vpci *v = vh_container_of(ev, struct vh_vpci, broken);
	uint64_t n;

	(void)events;
	if (read(ev->fd, &n, sizeof(n)) == sizeof(n) && vh_virtio_pci_is_running(&v->vp))
		vh_vpci_needs_reset(v, "it broke the rules of a queue");
}

/* ---- Life ---- */

void vh_vpci_hang_up(struct vh_vpci *v, const char *why)
{
	vh_log(v, VH_LOG_WARN, "hung up on the back-end: %s", why);
	vh_connector_disconnect(v->conn);
	v->link = VPCI_DOWN;
	vh_vpci_begin_again(v);
}

int vh_vpci_connect(struct vh_vpci *v, const char *address)
{
	int err;

	vh_vpci_begin_again(v);
	v->broken = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				      .fn = on_broken};
	if (v->broken.fd < 0)
		return -errno;
	err = vh_event_add(v->reactor, &v->broken, EPOLLIN);
	if (err < 0)
		return err;
	err = vh_connector_open(address, VH_ROLE_FRONTEND, v->tag, &v->conn);
	if (err < 0)
		return err;
	v->readable =
		(struct vh_event){.fd = vh_connector_poll_fd(v->conn), .fn = on_readable};
	return vh_event_add(v->reactor, &v->readable, EPOLLIN);
}

void vh_vpci_disconnect(struct vh_vpci *v)
{
	vh_event_remove(v->reactor, &v->readable);
	vh_connector_close(v->conn);
	vh_event_remove(v->reactor, &v->broken);
	vh_fd_drop(&v->broken.fd);
}
