/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vvu:ADDRESS, a virtio-vhost-user device of this guest: the front-end is in another
 * one, and its messages come through the device's queues, its memory is in a BAR.
 * Back-ends only.
 *
 * Theory of operation.  The device's status says who is there: we set BACKEND_UP, the
 * device sets FRONTEND_UP, and clears both when a front-end goes; then we look what it
 * has left in the queue, and say so again.  The status is set before the first
 * message is there and cleared after the last one, but an interrupt may be seen later
 * than what it tells of; so whoever finds a message while nobody is up looks at the
 * status, and who finds that the status went takes the messages first.
 *
 * Interrupts only say that there is something to look at: what is there stays in the
 * queue and in the status.  Control thread.
 */
#include "conn/vvu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/address.h"
#include "conn/schemes.h"

/*
 * A device whose process dies does not interrupt.  While a front-end is served, a look
 * costs its VMM an exit.
 */
#define HEARTBEAT_MS	1000
#define UP_HEARTBEAT_MS 60000

#define LEAVING_MS     20
#define LATE_MS	       20
#define MAX_LATE_MS    200
#define MAX_LATE_TRIES 32u /* some 5 s */

/* ---- What wakes us ---- */

/* There is more to look at than interrupts will tell. */
static void wake(struct vh_vvu *v)
{
	vh_waker_wake(&v->waker);
}

static void lose_device(struct vh_vvu *v, const char *why)
{
	if (v->state != VH_VVU_GONE)
		vh_log(&v->c, VH_LOG_WARN, "%s", why);
	v->state = VH_VVU_GONE;
	v->c.is_over = true;
	if (v->is_up)
		wake(v);
}

static void woken_by(struct vh_vvu *v, int fd)
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

static void look_who_wakes(struct vh_vvu *v)
{
	int fd[VH_WAKER_MAX];
	const unsigned n = vh_waker_look(&v->waker, fd);

	for (unsigned i = 0; i < n; i++)
		woken_by(v, fd[i]);
}

/* ---- A front-end goes ---- */

static void forget_session(struct vh_vvu *v)
{
	v->is_up = v->held = v->has_channel = v->is_late = false;
	vh_vvu_unpin_windows(v);
	wake(v);
}

static void say_down(struct vh_vvu *v, bool at_fault, enum vh_news *news)
{
	v->c.at_fault = at_fault;
	forget_session(v);
	*news = VH_NEWS_DOWN;
}

/* Have the device drop the front-end. */
static void leave(struct vh_vvu *v)
{
	v->state = VH_VVU_LEAVING;
	if (vh_vvu_write_status(v, 0) < 0)
		lose_device(v, "the device is gone");
	forget_session(v);
}

static void vvu_disconnect(struct vh_connector *c)
{
	struct vh_vvu *v = vh_vvu_of(c);

	if (v->state == VH_VVU_UP)
		leave(v);
}

/* ---- Messages ---- */

static void notify(struct vh_vvu *v, unsigned q)
{
	if (vh_virtio_drv_notify(&v->drv, q) < 0)
		lose_device(v, "the device is gone");
}

/* 1: it is to be handled now; 0: later, when its memory is there. */
static int check_memory(struct vh_vvu *v, const struct vh_msg *m)
{
	unsigned ms = LATE_MS * (v->tries + 1);

	if (vh_vvu_windows_are_there(v, m) || v->tries == MAX_LATE_TRIES)
		return 1;
	if (!v->is_late)
		v->late = *m;
	v->is_late = true;
	v->tries++;
	vh_waker_look_in(&v->waker, ms < MAX_LATE_MS ? ms : MAX_LATE_MS);
	return 0;
}

/* 1: *@m; 0: none; -EPROTO. */
static int next_message(struct vh_vvu *v, struct vh_msg *m)
{
	bool to_notify;
	int got;

	if (v->is_late) {
		*m = v->late;
		got = check_memory(v, m);
		v->is_late = !got;
		return got;
	}
	got = vh_msgq_recv(&v->q, m, v->has_channel, &to_notify);
	if (to_notify)
		notify(v, VH_VVU_RXQ);
	v->broken |= vh_msgq_why(&v->q) != NULL;
	v->tries = 0;
	if (got > 0 && !vh_vvu_place_regions(m)) {
		vh_log(&v->c, VH_LOG_WARN, "SET_MEM_TABLE: regions beyond all windows");
		got = -EPROTO;
	}
	return got > 0 ? check_memory(v, m) : got;
}

static int session_news(struct vh_vvu *v, struct vh_msg *m, enum vh_news *news)
{
	uint32_t status = VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP;
	bool is_up;
	int got;

	if (v->look && vh_vvu_read_status(v, &status) < 0) {
		lose_device(v, "the device is gone");
		return 0;
	}
	v->broken |= v->look && vh_vvu_needs_reset(v);
	v->look = false;
	is_up = status & VH_VVU_FRONTEND_UP && !v->broken;
	got = v->held ? 0 : next_message(v, m);
	if (got > 0) {
		*news = VH_NEWS_MESSAGE;
		v->look = !is_up; /* this may be the last of them */
	} else if (got < 0) {
		leave(v);
		say_down(v, true, news);
	} else if (!is_up) {
		v->state = VH_VVU_OFF;
		say_down(v, false, news);
	}
	if (got)
		wake(v);
	return 0;
}

/* ---- Waiting for a front-end ---- */

/* The device is told that we are ready for the next one, with nothing left of the old. */
static int announce(struct vh_vvu *v)
{
	int err = v->broken ? vh_vvu_start(v) : 0;

	if (err)
		return err;
	if (vh_msgq_flush(&v->q))
		notify(v, VH_VVU_RXQ);
	err = vh_vvu_write_status(v, VH_VVU_BACKEND_UP);
	if (!err)
		v->state = VH_VVU_WAITING;
	return err;
}

/*
 * One that came and went while nobody looked leaves a status of 0, and the device waits
 * for us again.
 */
static int look_for_frontend(struct vh_vvu *v, enum vh_news *news)
{
	uint32_t status = 0;
	int err = v->state == VH_VVU_OFF ? announce(v) : 0;

	if (!err)
		err = vh_vvu_read_status(v, &status);
	if (err == -ENODEV) {
		lose_device(v, "the device is gone");
		return 0;
	}
	if (err)
		return err;
	v->look = false;
	if (v->state == VH_VVU_LEAVING) {
		if (status && !v->broken)
			vh_waker_look_in(&v->waker, LEAVING_MS);
		else
			v->state = VH_VVU_OFF;
	} else if (status & VH_VVU_FRONTEND_UP) {
		v->state = VH_VVU_UP;
		v->is_up = true;
		*news = VH_NEWS_UP;
	} else if (!(status & VH_VVU_BACKEND_UP) || vh_vvu_needs_reset(v)) {
		v->broken |= vh_vvu_needs_reset(v);
		v->state = VH_VVU_OFF;
	}
	if (v->state == VH_VVU_OFF || *news == VH_NEWS_UP)
		wake(v);
	return 0;
}

static int vvu_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news)
{
	struct vh_vvu *v = vh_vvu_of(c);
	int err = 0;

	*news = VH_NEWS_NOTHING;
	look_who_wakes(v);
	if (v->state == VH_VVU_UP)
		err = session_news(v, m, news);
	else if (v->state != VH_VVU_GONE)
		err = look_for_frontend(v, news);
	if (v->state == VH_VVU_GONE && v->is_up)
		say_down(v, false, news);
	else if (v->state != VH_VVU_LEAVING && v->state != VH_VVU_GONE && !v->is_late)
		vh_waker_look_in(&v->waker, v->is_up ? UP_HEARTBEAT_MS : HEARTBEAT_MS);
	return err;
}

static int vvu_send(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_vvu *v = vh_vvu_of(c);
	bool to_notify;
	int err;

	if (v->state != VH_VVU_UP)
		return -EPIPE;
	if (m->channel == VH_CHANNEL_BACKEND && !v->has_channel)
		return -ENOTCONN;
	err = vh_msgq_send(&v->q, m, &to_notify);
	if (to_notify)
		notify(v, VH_VVU_TXQ);
	return err;
}

static void vvu_hold(struct vh_connector *c, bool on)
{
	struct vh_vvu *v = vh_vvu_of(c);

	v->held = on && v->state == VH_VVU_UP;
	if (!v->held)
		wake(v);
}

/* The channel is the two queues; the socket behind it is the device's. */
static int vvu_set_channel(struct vh_connector *c, int fd)
{
	struct vh_vvu *v = vh_vvu_of(c);

	vh_fd_drop(&fd);
	v->has_channel = v->state == VH_VVU_UP && vh_vvu_has(v, VH_VVU_F_BACKEND_REQ);
	return v->has_channel ? 0 : -ENOTSUP;
}

static int vvu_poll_fd(const struct vh_connector *c)
{
	return ((const struct vh_vvu *)c)->waker.epoll;
}

/* ---- Life ---- */

static void vvu_close(struct vh_connector *c)
{
	struct vh_vvu *v = vh_vvu_of(c);

	if (v->host) {
		if (v->drv.common.present && v->state != VH_VVU_GONE)
			vh_virtio_drv_reset(&v->drv);
		vh_vectors_close(&v->vectors);
		vh_vvu_close_windows(v);
		if (v->q.host)
			vh_msgq_close(&v->q);
		if (v->rings.va)
			v->host->bus->dma_free(v->host, &v->rings);
		if (v->bells_base)
			v->host->bus->unmap(v->host, v->bells_base, v->bells_len);
		vh_pci_close(v->host);
	}
	vh_waker_close(&v->waker);
	free(v);
}

static int set_up(struct vh_vvu *v, const char *address)
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
		err = vh_vvu_find_device(v);
	if (!err)
		vh_log(&v->c, VH_LOG_INFO,
		       "%s: %u vrings, %u interrupt vectors, doorbells %s", address,
		       v->vectors.n_vrings, v->vectors.n,
		       vh_vvu_has(v, VH_VVU_F_DOORBELL_POLL) ? "are polled memory"
							     : "are registers");
	return err;
}

static int check_role(const char *tag, char *const *options, enum vh_role role)
{
	const struct vh_option none[] = {{.name = NULL}};

	if (role == VH_ROLE_BACKEND)
		return vh_options_read(tag, "vvu", options, none);
	vh_log_line(tag, VH_LOG_ERROR,
		    "vvu: is where a front-end comes from: it is for serve and switch");
	return -EINVAL;
}

static int vvu_open(const char *rest, char *const *options, enum vh_role role,
		    const char *tag, struct vh_connector **c)
{
	int err = check_role(tag, options, role);
	struct vh_vvu *v;

	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->c.ops = &vh_vvu_connector;
	v->c.role = role;
	snprintf(v->c.tag, sizeof(v->c.tag), "%s", tag);
	err = set_up(v, rest);
	if (err)
		vvu_close(&v->c);
	else
		*c = &v->c;
	return err;
}

const struct vh_connector_ops vh_vvu_connector = {
	.scheme = "vvu",
	.open = vvu_open,
	.close = vvu_close,
	.poll_fd = vvu_poll_fd,
	.recv = vvu_recv,
	.send = vvu_send,
	.hold = vvu_hold,
	.disconnect = vvu_disconnect,
	.set_channel = vvu_set_channel,
	.map = vh_vvu_map,
	.map_area = vh_vvu_map_area,
	.make_area = vh_vvu_make_area,
	.signal = vh_vvu_signal,
};
