/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A generic vhost-user device has no doorbells and no vectors of
 * its own, only virtqueues.  So each vring has one, behind the two for messages, on which
 * nothing is ever put: a notification of it is a call of the vring, and its interrupt is
 * a kick.  The VMM has one interrupt vector for all of them, so a driver that is
 * interrupted looks at everything.
 *
 * Memory must not be shown before the driver runs (QEMU does not survive that), which
 * is when the queue for messages to it has started: readiness that is said before counts
 * from then on.
 *
 * All of it is on one reactor: control thread.
 */
#include "vvu/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/device.h"
#include "session/shmem.h"
#include "vvu/shm_window.h"

#define FEATURES                                                  \
	(VH_BIT(VH_VVU_F_BACKEND_REQ) | VH_BIT(VH_VVU_F_NOTIFY) | \
	 VH_BIT(VH_VVU_F_LONG_MSG))
#define MAX_MESSAGE (sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD)

struct vh_shm {
	char tag[32];
	struct vh_server *server;
	struct vh_device *device;
	struct vh_window *window;
	struct vh_relay *relay;
	struct vh_vvu_config config;
	bool runs;    /* the driver does                           */
	bool starved; /* a message waits for a buffer of the driver */
	uint64_t kicks[VH_VVU_SHM_VRINGS]; /* of our queues, that were passed on */
};

static struct vh_shm *shm_of(const struct vh_device *d)
{
	return vh_device_ctx(d);
}

/* ---- Status ---- */

static void set_status(struct vh_shm *s, uint32_t status)
{
	if (s->config.status == status)
		return;
	s->config.status = status;
	vh_device_config_changed(s->device);
}

static void set_ready(struct vh_shm *s, bool ready)
{
	if (ready == !!(s->config.status & VH_VVU_BACKEND_UP))
		return;
	s->config.status = ready ? VH_VVU_BACKEND_UP : 0;
	/* May begin a session at once, which raises FRONTEND_UP. */
	if (s->runs)
		vh_relay_set_ready(s->relay, ready);
}

static int shm_read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	const struct vh_shm *s = shm_of(d);

	if (off > sizeof(s->config) || len > sizeof(s->config) - off)
		return -EINVAL;
	memcpy(buf, (const uint8_t *)&s->config + off, len);
	return 0;
}

/* The VMM writes all of it when its guest writes to some of it. */
static int shm_write_config(struct vh_device *d, size_t off, const void *buf, size_t len)
{
	struct vh_shm *s = shm_of(d);
	struct vh_vvu_config wanted = s->config;

	if (off > sizeof(wanted) || len > sizeof(wanted) - off)
		return -EINVAL;
	memcpy((uint8_t *)&wanted + off, buf, len);
	if (wanted.status & ~(VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP))
		return -EINVAL;
	set_ready(s, wanted.status & VH_VVU_BACKEND_UP);
	return 0;
}

static int shm_set_features(struct vh_device *d, uint64_t features)
{
	vh_relay_set_driver(shm_of(d)->relay, features & FEATURES,
			    features & VH_BIT(VH_VVU_F_LONG_MSG) ? 4096 : 1024);
	return 0;
}

/* ---- Queues ---- */

static void driver_stopped(struct vh_shm *s)
{
	s->runs = false;
	s->config.status = 0;
	vh_shm_window_stop(s->window);
	vh_relay_reset(s->relay);
}

static int shm_queue_start(struct vh_queue *q)
{
	struct vh_shm *s = shm_of(vh_queue_device(q));
	const unsigned i = vh_queue_index(q);

	if (i >= VH_VVU_QUEUES)
		s->kicks[i - VH_VVU_QUEUES] = q->poller.kicks;
	if (i != VH_VVU_RXQ)
		return 0;
	s->runs = true;
	s->starved = false;
	vh_queue_want_kicks(q, false);
	if (s->config.status & VH_VVU_BACKEND_UP)
		vh_relay_set_ready(s->relay, true);
	return 0;
}

static void shm_queue_stop(struct vh_queue *q)
{
	if (vh_queue_index(q) == VH_VVU_RXQ)
		driver_stopped(shm_of(vh_queue_device(q)));
}

/* False: the chain is no message, and the device has stopped. */
static bool send_chain(struct vh_shm *s, struct vh_chain *c)
{
	const size_t len = vh_chain_readable(c);
	uint8_t bytes[MAX_MESSAGE];

	if (len > sizeof(bytes) || vh_chain_read(c, bytes, len) < 0 ||
	    vh_relay_send(s->relay, bytes, len) == -EPROTO) {
		vh_chain_reject(c, "what it sends is no message");
		return false;
	}
	vh_chain_complete(c, 0);
	return true;
}

/* The queue of a vring was notified, or it was looked at for another reason. */
static void vring_called(struct vh_shm *s, struct vh_queue *q, unsigned vring)
{
	struct vh_chain *c = vh_queue_next(q);

	if (c)
		vh_chain_reject(c, "nothing is to be put into the queue of a vring");
	if (s->kicks[vring] == q->poller.kicks)
		return;
	s->kicks[vring] = q->poller.kicks;
	vh_relay_ring(s->relay, VH_VVU_DOORBELL_CALL(vring));
}

static void shm_process(struct vh_queue *q)
{
	struct vh_shm *s = shm_of(vh_queue_device(q));
	const unsigned i = vh_queue_index(q);
	struct vh_chain *c;

	if (i == VH_VVU_RXQ) {
		vh_relay_room(s->relay);
	} else if (i == VH_VVU_TXQ) {
		while ((c = vh_queue_next(q)) && send_chain(s, c))
			;
	} else {
		vring_called(s, q, i - VH_VVU_QUEUES);
	}
}

static void shm_reset(struct vh_device *d)
{
	struct vh_shm *s = shm_of(d);

	s->config.status = 0;
	vh_relay_reset(s->relay);
}

static void shm_link(struct vh_device *d, bool up)
{
	struct vh_shm *s = shm_of(d);

	if (up)
		return;
	driver_stopped(s);
	vh_shm_window_lost(s->window);
}

static void shm_answered(struct vh_device *d, bool ok)
{
	vh_shm_window_answered(shm_of(d)->window, ok);
}

static int shm_open(struct vh_device *d)
{
	vh_device_set_shmem(d, shm_of(d)->window->size, shm_answered);
	return 0;
}

static const struct vh_device_ops device_ops = {
	.size = sizeof(device_ops),
	.name = "vvu",
	.virtio_id = VH_VVU_SHM_VIRTIO_ID,
	.features = FEATURES,
	.queues = VH_VVU_QUEUES + VH_VVU_SHM_VRINGS,
	/* Doorbells have no chains, and so it does not matter that they are enabled. */
	.process = shm_process,
	.open = shm_open,
	.set_features = shm_set_features,
	.read_config = shm_read_config,
	.write_config = shm_write_config,
	.queue_start = shm_queue_start,
	.queue_stop = shm_queue_stop,
	.reset = shm_reset,
	.link = shm_link,
};

/* ---- The relay's ---- */

/* Buffers lie there until there is a message, which is no reason to look at them all the
 * time: kicks are of use only while a message waits for one. */
static void want_buffers(struct vh_shm *s, struct vh_queue *q, bool on)
{
	if (s->starved != on)
		vh_queue_want_kicks(q, on);
	s->starved = on;
}

static int deliver(void *arg, const void *msg, size_t len)
{
	struct vh_shm *s = arg;
	struct vh_queue *q = vh_device_queue(s->device, VH_VVU_RXQ);
	struct vh_chain *c = vh_queue_next(q);

	want_buffers(s, q, !c);
	if (!c)
		return -EAGAIN;
	if (vh_chain_write(c, msg, len) < 0) {
		vh_chain_reject(c, "its buffers are smaller than a message");
		return -EMSGSIZE;
	}
	vh_chain_complete(c, len);
	return 0;
}

static void session(void *arg, bool up, enum vh_relay_end why)
{
	set_status(arg, up ? VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP : 0);
}

static void kick(void *arg, unsigned vring)
{
	const struct vh_shm *s = arg;
	const struct vh_queue *q = vh_device_queue(s->device, VH_VVU_SHM_QUEUE(vring));

	if (q && q->view && q->view->call)
		vh_signal_fire(q->view->call);
}

static const struct vh_relay_ops relay_ops = {
	.deliver = deliver,
	.session = session,
	.kick = kick,
};

/* ---- Life ---- */

static int show(void *arg, uint64_t at, int fd, uint64_t offset, uint64_t len)
{
	const struct vh_shm *s = arg;

	return vh_device_shmem_map(s->device, at, fd, offset, len);
}

static int take_away(void *arg, uint64_t at, uint64_t len)
{
	const struct vh_shm *s = arg;

	return vh_device_shmem_unmap(s->device, at, len);
}

static const struct vh_shm_window_ops window_ops = {.map = show, .unmap = take_away};

static int make_relay(struct vh_shm *s, struct vh_reactor *r,
		      const struct vh_shm_params *p)
{
	const struct vh_relay_params relay = {
		.front = p->front,
		.tag = s->tag,
		.accept_early = p->accept_early,
		.max_vrings = VH_VVU_SHM_VRINGS,
		.pairs = 1,
		.layout = VH_LAYOUT_SUM,
		.window = s->window,
		.ops = &relay_ops,
		.arg = s,
	};

	return vh_relay_create(r, &relay, &s->relay);
}

/* The VMM comes last: it may look at everything at once. */
int vh_shm_open(struct vh_reactor *r, const struct vh_shm_params *p, struct vh_shm **out)
{
	struct vh_shm *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	snprintf(s->tag, sizeof(s->tag), "vvu0");
	s->config.max_vhost_queues = VH_VVU_SHM_VRINGS;
	memcpy(s->config.uuid, p->uuid, sizeof(p->uuid));
	err = vh_shm_window_create(p->size, "vvu0/window", &window_ops, s, &s->window);
	if (!err)
		err = make_relay(s, r, p);
	if (!err)
		err = vh_server_create(&r, 1, &s->server);
	if (!err)
		err = vh_server_add(s->server, &device_ops, s, p->vmm, NULL, 0,
				    &s->device);
	if (err < 0)
		vh_shm_close(s);
	else
		*out = s;
	return err;
}

void vh_shm_close(struct vh_shm *s)
{
	if (!s)
		return;
	vh_server_destroy(s->server);
	vh_relay_destroy(s->relay);
	vh_window_destroy(s->window);
	free(s);
}

void vh_shm_read_stats(const struct vh_shm *s, struct vh_shm_stats *stats)
{
	stats->status = s->config.status;
	vh_relay_read_stats(s->relay, &stats->relay);
}
