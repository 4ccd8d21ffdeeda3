/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a session: a front-end comes, its messages go to the machine one
 * at a time, it goes, the queues settle, and the session waits for the next
 * one.  What the machine wants done is in effects.c.
 *
 * Thread: control.
 */
#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mem/guard.h"
#include "session/device.h"
#include "session/shmem.h"

/* What the library does for every device. */
#define RING_FEATURES                                                        \
	(VH_BIT(VIRTIO_F_ANY_LAYOUT) | VH_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 VH_BIT(VIRTIO_RING_F_EVENT_IDX) | VH_BIT(VIRTIO_F_VERSION_1))
#define TRANSPORT_FEATURES (VH_BIT(VH_F_LOG_ALL) | VH_BIT(VH_F_PROTOCOL_FEATURES))
#define PROTOCOL_FEATURES                                                       \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_REPLY_ACK) | \
	 VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_RESET_DEVICE) |               \
	 VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) | VH_BIT(VH_PF_STATUS))

void vh_session_offer(const struct vh_session *s, struct vh_offer *offer)
{
	struct vh_device *d = s->device;
	const struct vh_device_ops *ops = &d->ops;
	unsigned group = ops->queue_group ? ops->queue_group : 1;

	*offer = (struct vh_offer){
		.features = (ops->offer ? ops->offer(d) : ops->features) | RING_FEATURES |
			    TRANSPORT_FEATURES,
		.protocol_features = PROTOCOL_FEATURES,
		.n_vrings = ops->queues,
		.queue_num = (uint16_t)(ops->queues / group),
	};
	if (ops->flags & VH_DEVICE_IN_ORDER)
		offer->features |= VH_BIT(VIRTIO_F_IN_ORDER);
	if (ops->read_config)
		offer->protocol_features |= VH_BIT(VH_PF_CONFIG);
	if (ops->flags & VH_DEVICE_INFLIGHT)
		offer->protocol_features |= VH_BIT(VH_PF_INFLIGHT_SHMFD);
	if (ops->send_rarp)
		offer->protocol_features |= VH_BIT(VH_PF_RARP);
	if (ops->set_mtu)
		offer->protocol_features |= VH_BIT(VH_PF_NET_MTU);
	offer->shmem = d->shmem;
	if (d->shmem)
		offer->protocol_features |= VH_BIT(VH_PF_SHMEM) |
					    VH_BIT(VH_PF_BACKEND_SEND_FD);
}

void vh_session_step(struct vh_session *s, const struct vh_backend_event *ev)
{
	struct vh_effects fx;

	vh_backend_step(&s->machine, ev, &fx);
	vh_session_apply(s, &fx);
	/* Not only a request makes the machine busy: a ring that broke does, too. */
	if (s->state == VH_SESSION_UP && s->machine.phase != VH_PHASE_IDLE)
		vh_connector_hold(s->conn, true);
}

/* ---- A front-end comes and goes ---- */

static void link_up(struct vh_session *s)
{
	struct vh_offer offer;

	vh_session_offer(s, &offer);
	vh_backend_init(&s->machine, &offer);
	s->state = VH_SESSION_UP;
	s->connections++;
	vh_log(s, VH_LOG_INFO, "a front-end is connected");
	if (s->device->ops.link)
		s->device->ops.link(s->device, true);
}

/* The connector says nothing more of this peer; now stop the queues. */
static void link_down(struct vh_session *s)
{
	const struct vh_backend_event gone = {.type = VH_EV_GONE};

	s->state = VH_SESSION_ENDING;
	vh_event_remove(s->control, &s->readable);
	vh_session_step(s, &gone);
}

void vh_session_fault(struct vh_session *s, const char *why)
{
	if (s->state != VH_SESSION_UP)
		return;
	vh_log(s, VH_LOG_WARN, "%s; the connection is closed", why);
	s->faults++;
	vh_connector_disconnect(s->conn);
	link_down(s);
}

bool vh_session_is_over(const struct vh_session *s)
{
	return !s->conn || (s->state == VH_SESSION_WAITING && s->conn->is_over);
}

static void unwatch(struct vh_session *s)
{
	if (!vh_list_is_empty(&s->readable.link))
		vh_event_remove(s->control, &s->readable);
}

static void give_up(struct vh_session *s)
{
	unwatch(s);
	vh_log(s, VH_LOG_INFO, "its socket is used up: no other front-end can come");
	vh_server_session_over(s);
}

static int watch(struct vh_session *s)
{
	int err = vh_event_add(s->control, &s->readable, EPOLLIN);

	if (err < 0)
		vh_log(s, VH_LOG_ERROR, "cannot watch the connection: %s",
		       vh_strerror(err));
	return err;
}

void vh_session_ended(struct vh_session *s)
{
	vh_session_release_all(s);
	s->device->features = 0;
	if (s->device->ops.link)
		s->device->ops.link(s->device, false);
	vh_log(s, VH_LOG_INFO, "the front-end is gone");
	s->state = VH_SESSION_WAITING;
	if (s->closing)
		vh_session_close(s);
	else if (vh_session_is_over(s))
		give_up(s);
	else
		watch(s);
}

/* ---- News of the connector ---- */

static void handle_request(struct vh_session *s, struct vh_msg *m)
{
	const struct vh_backend_event ev = {.type = VH_EV_MESSAGE, .msg = &s->request};
	char text[256];

	if (vh_log_is_on(VH_LOG_DEBUG)) {
		vh_msg_print(m, text, sizeof(text));
		vh_log(s, VH_LOG_DEBUG, "<- %s", text);
	}
	if (m->channel != VH_CHANNEL_MAIN || m->is_reply) {
		vh_shmem_take_answer(s->device, m);
		vh_msg_close(m);
		return;
	}
	s->request = *m;
	vh_session_step(s, &ev);
	if (s->state != VH_SESSION_UP || s->machine.phase == VH_PHASE_IDLE)
		vh_msg_close(&s->request);
}

static bool handle_news(struct vh_session *s)
{
	struct vh_msg m;
	enum vh_news news;
	int err = vh_connector_recv(s->conn, &m, &news);

	if (err < 0) {
		vh_log(s, VH_LOG_ERROR, "the endpoint is lost: %s", vh_strerror(err));
		unwatch(s);
		return false;
	}
	switch (news) {
	case VH_NEWS_NOTHING:
		if (vh_session_is_over(s))
			give_up(s); /* it was no peer at all */
		return false;
	case VH_NEWS_UP:
		link_up(s);
		return true;
	case VH_NEWS_DOWN:
		link_down(s);
		return false;
	case VH_NEWS_MESSAGE:
		handle_request(s, &m);
		return s->state == VH_SESSION_UP && s->machine.phase == VH_PHASE_IDLE;
	}
	return false;
}

/* So many messages in a turn, then everybody else. */
#define MESSAGES_PER_TURN 16

static void on_readable(struct vh_event *ev, uint32_t events)
{
	struct vh_session *s = vh_container_of(ev, struct vh_session, readable);

	(void)events;
	for (unsigned i = 0; i < MESSAGES_PER_TURN && handle_news(s); i++)
		;
}

/* ---- A file that shrank ---- */

static bool mapping_is_hit(const struct vh_mapping *m)
{
	return m && m->guard && vh_guard_hit(m->guard - 1);
}

static bool is_hit(const struct vh_map *map)
{
	for (unsigned i = 0; map && i < map->n; i++)
		if (mapping_is_hit(map->region[i].mapping))
			return true;
	return false;
}

static void on_shrunk(struct vh_event *ev, uint32_t events)
{
	struct vh_session *s = vh_container_of(ev, struct vh_session, shrunk);
	uint64_t n;

	(void)events;
	if (read(ev->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		vh_log(s, VH_LOG_ERROR, "eventfd: %s", vh_strerror(-errno));
	if (is_hit(s->map) || is_hit(s->old_map) || mapping_is_hit(s->inflight) ||
	    (s->log && mapping_is_hit(s->log->mapping)))
		vh_session_fault(s, "a file of the front-end's shared memory shrank");
}

/* ---- Life ---- */

int vh_session_open(struct vh_session *s, struct vh_device *d, struct vh_reactor *control,
		    const char *address)
{
	int err;

	s->device = d;
	s->control = control;
	s->state = VH_SESSION_CLOSED;
	snprintf(s->tag, sizeof(s->tag), "%s", d->tag);
	s->readable = (struct vh_event){.fd = -1, .fn = on_readable};
	s->shrunk = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				      .fn = on_shrunk};
	if (s->shrunk.fd < 0)
		return -errno;
	err = vh_connector_open(address, VH_ROLE_BACKEND, d->tag, &s->conn);
	if (err < 0)
		goto out;
	err = vh_event_add(control, &s->shrunk, EPOLLIN);
	if (err < 0)
		goto out;
	s->readable.fd = vh_connector_poll_fd(s->conn);
	s->state = VH_SESSION_WAITING;
	err = watch(s);
	if (!err)
		return 0;
	vh_event_remove(control, &s->shrunk);
	s->state = VH_SESSION_CLOSED;
out:
	vh_connector_close(s->conn);
	s->conn = NULL;
	vh_fd_drop(&s->shrunk.fd);
	return err;
}

void vh_session_close(struct vh_session *s)
{
	s->closing = true;
	if (s->state == VH_SESSION_UP) {
		vh_connector_disconnect(s->conn);
		link_down(s);
	} else if (s->state == VH_SESSION_WAITING) {
		unwatch(s);
		vh_event_remove(s->control, &s->shrunk);
		vh_connector_close(s->conn);
		s->conn = NULL;
		vh_fd_drop(&s->shrunk.fd);
		s->state = VH_SESSION_CLOSED;
		vh_server_session_closed(s);
	}
}
