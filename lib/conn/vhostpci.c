/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostpci:ADDRESS, a vhost-pci adapter of this guest: the front-end is in another one,
 * and its messages come through the device's queues, its memory is in a BAR.  Back-ends
 * only.
 *
 * Theory of operation.  A session is over when both sides have said so.  When the
 * front-end goes, the device says QUIESCE and leaves everything mapped; we take the
 * messages that are left, tell the session, and wait until nothing of the front-end's is
 * mapped any more; then SESSION_ACK lets the device have the next one.  When we go, we
 * first wait for the same, and then are not READY for a moment.  So no other front-end
 * ever sees a write of ours that was not for it.
 *
 * Interrupts only say that there is something to look at: what is there stays in the
 * queue and in the status.  Control thread.
 */
#include "conn/vhostpci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/address.h"
#include "conn/schemes.h"

#define HEARTBEAT_MS 1000 /* a device whose process dies does not interrupt */
#define LEAVING_MS   20

#define STATUS_BITS                                                \
	(VH_ADAPTER_STATUS_FEATURES_OK | VH_ADAPTER_STATUS_LIVE |  \
	 VH_ADAPTER_STATUS_CONNECTED | VH_ADAPTER_STATUS_QUIESCE | \
	 VH_ADAPTER_STATUS_FAILED)

/* ---- What wakes us ---- */

/* There is more to look at than interrupts will tell. */
static void wake(struct vh_vhostpci *v)
{
	vh_waker_wake(&v->waker);
}

static void lose_device(struct vh_vhostpci *v, const char *why)
{
	if (v->state != VH_VHOSTPCI_GONE)
		vh_log(&v->c, VH_LOG_WARN, "%s", why);
	v->state = VH_VHOSTPCI_GONE;
	v->c.is_over = true;
	if (v->is_up)
		wake(v);
}

static void woken_by(struct vh_vhostpci *v, int fd)
{
	uint64_t n;

	if (fd == v->host->bus->gone_fd(v->host)) {
		vh_waker_forget(&v->waker, fd);
		lose_device(v, "the device is to be unplugged: it is given back");
		return;
	}
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	vh_vectors_woken_by(&v->vectors, fd);
	v->look |= fd == v->vectors.irq[VH_VECTOR_STATUS] || fd == v->waker.timer;
}

static void look_who_wakes(struct vh_vhostpci *v)
{
	int fd[VH_WAKER_MAX];
	const unsigned n = vh_waker_look(&v->waker, fd);

	for (unsigned i = 0; i < n; i++)
		woken_by(v, fd[i]);
}

/* 0, or -ENODEV: it is gone, or reads as ones, which no device has. */
static int read_status(struct vh_vhostpci *v, uint32_t *status)
{
	const int err = vh_vhostpci_read(v, VH_ADAPTER_STATUS, status);

	if (!err && !(*status & ~STATUS_BITS))
		return 0;
	lose_device(v, "the device is gone");
	return -ENODEV;
}

/* ---- A front-end goes ---- */

static void forget_session(struct vh_vhostpci *v)
{
	v->is_up = v->held = v->has_channel = false;
	wake(v);
}

static void say_down(struct vh_vhostpci *v, bool at_fault, enum vh_news *news)
{
	v->c.at_fault = at_fault;
	forget_session(v);
	*news = VH_NEWS_DOWN;
}

/* The device hears of it when the session has let go of everything. */
static void vhostpci_disconnect(struct vh_connector *c)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);

	if (v->state != VH_VHOSTPCI_UP)
		return;
	v->state = VH_VHOSTPCI_LEAVING;
	forget_session(v);
}

/* ---- Messages ---- */

static void notify(struct vh_vhostpci *v, unsigned q)
{
	if (vh_vhostpci_write(v, VH_ADAPTER_NOTIFY(q), 0) < 0)
		lose_device(v, "the device is gone");
}

/* 1: *@m; 0: none; -EPROTO. */
static int next_message(struct vh_vhostpci *v, struct vh_msg *m)
{
	bool to_notify;
	const int got = vh_msgq_recv(&v->q, m, v->has_channel, &to_notify);

	if (to_notify)
		notify(v, VH_ADAPTER_M2S);
	v->broken |= vh_msgq_why(&v->q) != NULL;
	return got;
}

static void session_news(struct vh_vhostpci *v, struct vh_msg *m, enum vh_news *news)
{
	uint32_t status = VH_ADAPTER_STATUS_CONNECTED;
	int got;

	if (v->look && read_status(v, &status) < 0)
		return;
	v->broken |= !!(status & VH_ADAPTER_STATUS_FAILED);
	v->look = false;
	got = v->held ? 0 : next_message(v, m);
	if (got > 0) {
		*news = VH_NEWS_MESSAGE;
		/* This may be the last of them. */
		v->look = !(status & VH_ADAPTER_STATUS_CONNECTED);
		wake(v);
	} else if (got < 0) {
		v->state = VH_VHOSTPCI_LEAVING;
		say_down(v, true, news);
	} else if (!(status & VH_ADAPTER_STATUS_CONNECTED)) {
		v->state = VH_VHOSTPCI_QUIESCED;
		say_down(v, false, news);
	}
}

/* ---- Between sessions: each step is 0, or -errno (logged) ---- */

static void drop_messages(struct vh_vhostpci *v)
{
	if (vh_msgq_flush(&v->q))
		notify(v, VH_ADAPTER_M2S);
	v->broken |= vh_msgq_why(&v->q) != NULL;
}

/* We use nothing of the last front-end's any more. */
static int let_go(struct vh_vhostpci *v)
{
	const bool leaving = v->state == VH_VHOSTPCI_LEAVING;
	int err;

	if (vh_vhostpci_uses_memory(v)) {
		vh_waker_look_in(&v->waker, LEAVING_MS);
		return 0;
	}
	v->state = VH_VHOSTPCI_OFF;
	wake(v);
	if (v->broken)
		return 0;
	if (leaving) {
		err = vh_vhostpci_set_ready(v, false);
		drop_messages(v);
		return err;
	}
	drop_messages(v);
	err = vh_vhostpci_write(v, VH_ADAPTER_SESSION_ACK, v->session);
	v->state = VH_VHOSTPCI_WAITING;
	return err;
}

static int announce(struct vh_vhostpci *v)
{
	const int err = v->broken ? vh_vhostpci_start(v) : vh_vhostpci_set_ready(v, true);

	if (!err)
		v->state = VH_VHOSTPCI_WAITING;
	return err;
}

/* One that came and went while nobody looked has left its session to be ended. */
static int look_for_frontend(struct vh_vhostpci *v, enum vh_news *news)
{
	uint32_t status;
	int err = read_status(v, &status);

	v->look = false;
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_SESSION, &v->session);
	if (err)
		return err;
	if (status & VH_ADAPTER_STATUS_CONNECTED) {
		v->state = VH_VHOSTPCI_UP;
		v->is_up = true;
		*news = VH_NEWS_UP;
	} else if (status & VH_ADAPTER_STATUS_QUIESCE) {
		v->state = VH_VHOSTPCI_QUIESCED;
	} else if (!(status & VH_ADAPTER_STATUS_LIVE)) {
		v->broken = true;
		v->state = VH_VHOSTPCI_OFF;
	}
	if (v->state != VH_VHOSTPCI_WAITING)
		wake(v);
	return 0;
}

static int step(struct vh_vhostpci *v, enum vh_news *news)
{
	switch (v->state) {
	case VH_VHOSTPCI_QUIESCED:
	case VH_VHOSTPCI_LEAVING:
		return let_go(v);
	case VH_VHOSTPCI_OFF:
		return announce(v);
	case VH_VHOSTPCI_WAITING:
		return look_for_frontend(v, news);
	default:
		return 0;
	}
}

/* So many steps lead from one session to the next. */
static int between_sessions(struct vh_vhostpci *v, enum vh_news *news)
{
	int err = 0;

	for (unsigned i = 0; i < 3 && !err && *news == VH_NEWS_NOTHING; i++)
		err = step(v, news);
	if (err == -ENODEV)
		lose_device(v, "the device is gone");
	return err == -ENODEV ? 0 : err;
}

static int vhostpci_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	int err = 0;

	*news = VH_NEWS_NOTHING;
	look_who_wakes(v);
	if (v->state == VH_VHOSTPCI_UP)
		session_news(v, m, news);
	else if (v->state != VH_VHOSTPCI_GONE)
		err = between_sessions(v, news);
	if (v->state == VH_VHOSTPCI_GONE && v->is_up)
		say_down(v, false, news);
	else if (v->state == VH_VHOSTPCI_UP || v->state == VH_VHOSTPCI_WAITING)
		vh_waker_look_in(&v->waker, HEARTBEAT_MS);
	return err;
}

static int vhostpci_send(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	bool to_notify;
	int err;

	if (v->state != VH_VHOSTPCI_UP)
		return -EPIPE;
	if (m->channel == VH_CHANNEL_BACKEND && !v->has_channel)
		return -ENOTCONN;
	err = vh_msgq_send(&v->q, m, &to_notify);
	if (to_notify)
		notify(v, VH_ADAPTER_S2M);
	return err;
}

static void vhostpci_hold(struct vh_connector *c, bool on)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);

	v->held = on && v->state == VH_VHOSTPCI_UP;
	if (!v->held)
		wake(v);
}

/* The channel is the two queues; the socket behind it is the device's. */
static int vhostpci_set_channel(struct vh_connector *c, int fd)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);

	vh_fd_drop(&fd);
	v->has_channel = v->state == VH_VHOSTPCI_UP &&
			 vh_vhostpci_has(v, VH_ADAPTER_F_BACKEND_REQ);
	return v->has_channel ? 0 : -ENOTSUP;
}

static int vhostpci_poll_fd(const struct vh_connector *c)
{
	return ((const struct vh_vhostpci *)c)->waker.epoll;
}

/* ---- Life ---- */

static void vhostpci_close(struct vh_connector *c)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);

	if (v->host) {
		if (v->q.host && v->state != VH_VHOSTPCI_GONE)
			vh_vhostpci_write(v, VH_ADAPTER_CONTROL,
					  VH_ADAPTER_CONTROL_RESET);
		vh_vectors_close(&v->vectors);
		vh_vhostpci_close_windows(v);
		if (v->q.host)
			vh_msgq_close(&v->q);
		vh_pci_close(v->host);
	}
	vh_waker_close(&v->waker);
	free(v);
}

static int set_up(struct vh_vhostpci *v, const char *address)
{
	int gone, err = vh_waker_open(&v->waker, v->c.tag);

	if (!err)
		err = vh_pci_open(address, v->c.tag, &v->host);
	if (err)
		return err;
	vh_vectors_init(&v->vectors, v->c.tag, v->host);
	gone = v->host->bus->gone_fd(v->host);
	if (gone >= 0)
		err = vh_waker_watch(&v->waker, gone);
	if (!err)
		err = vh_vhostpci_find(v);
	if (err)
		return err;
	v->state = VH_VHOSTPCI_WAITING;
	vh_log(&v->c, VH_LOG_INFO, "%s: %u vrings, %u interrupt vectors", address,
	       v->vectors.n_vrings, v->vectors.n);
	return 0;
}

static int check_role(const char *tag, char *const *options, enum vh_role role)
{
	const struct vh_option none[] = {{.name = NULL}};

	if (role == VH_ROLE_BACKEND)
		return vh_options_read(tag, "vhostpci", options, none);
	vh_log_line(tag, VH_LOG_ERROR,
		    "vhostpci: is where a front-end comes from: it is for serve and "
		    "switch");
	return -EINVAL;
}

static int vhostpci_open(const char *rest, char *const *options, enum vh_role role,
			 const char *tag, struct vh_connector **c)
{
	int err = check_role(tag, options, role);
	struct vh_vhostpci *v;

	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->c.ops = &vh_vhostpci_connector;
	v->c.role = role;
	snprintf(v->c.tag, sizeof(v->c.tag), "%s", tag);
	err = set_up(v, rest);
	if (err)
		vhostpci_close(&v->c);
	else
		*c = &v->c;
	return err;
}

const struct vh_connector_ops vh_vhostpci_connector = {
	.scheme = "vhostpci",
	.open = vhostpci_open,
	.close = vhostpci_close,
	.poll_fd = vhostpci_poll_fd,
	.recv = vhostpci_recv,
	.send = vhostpci_send,
	.hold = vhostpci_hold,
	.disconnect = vhostpci_disconnect,
	.set_channel = vhostpci_set_channel,
	.map = vh_vhostpci_map,
	.map_area = vh_vhostpci_map_area,
	.make_area = vh_vhostpci_make_area,
	.signal = vh_vhostpci_signal,
};
