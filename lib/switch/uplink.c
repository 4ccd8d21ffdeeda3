/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What uplinks have in common: reading batches into a scratch memory, sending straight
 * from guests' buffers, and living with an interface that goes down, goes away and
 * comes back.
 *
 * Frames are written by any worker with a system call of its own, without a lock,
 * so the fd's number must not change under it: when an interface that went away is
 * there again, the new fd takes the old one's number (dup3).
 *
 * Thread: see uplink.h.
 */
#include "switch/uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "spec/vhost_user.h"
#include "switch/deliver.h"
#include "switch/forward.h"

#define CHECK_NS (1000ULL * 1000 * 1000)
#define MAX_IOV	 1024 /* what writev() takes */

/* The kernel may send us whatever it knows; vh_frame_check() wants a guest's word for it.
 */
#define FROM_KERNEL                                                        \
	(VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_NET_F_CSUM) |          \
	 VH_BIT(VIRTIO_NET_F_HOST_TSO4) | VH_BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 VH_BIT(VIRTIO_NET_F_HOST_ECN) | VH_BIT(VIRTIO_NET_F_HOST_USO))

/* ---- Out: any worker ---- */

bool vh_uplink_send(struct vh_uplink *u, const struct vh_out *o)
{
	struct iovec iov[MAX_IOV]; /* not initialised: only what is used costs */
	unsigned n;

	if (!vh_load_relaxed(&u->up))
		return false;
	n = vh_out_iov(o, iov, MAX_IOV);
	if (!n)
		return false;
	if (writev(u->fd, iov, (int)n) >= 0)
		return true;
	if (errno == EIO || errno == ENETDOWN || errno == ENXIO)
		vh_store_relaxed(&u->refused, 1);
	return false;
}

/* ---- In: the home reactor ---- */

/* Read what fits into the arena and the batch.  0, or -errno other than "nothing there".
 */
static int read_batch(struct vh_uplink *u, struct vh_ingress *in)
{
	uint8_t *at = u->arena, *end = u->arena + VH_UPLINK_ARENA;

	for (unsigned i = 0; i < VH_BATCH && (size_t)(end - at) >= VH_UPLINK_FRAME; i++) {
		struct vh_frame f = {.seg = &u->seg[i], .n_seg = 1};
		uint8_t *frame;
		int len = u->ops->receive(u, at, (size_t)(end - at), &frame, &f.hdr);

		if (len == -EAGAIN || len == -EINTR)
			return 0;
		if (len < 0)
			return len;
		f.len = (uint32_t)len;
		u->seg[i] = (struct vh_seg){.va = frame, .len = f.len};
		vh_ingress_frame(in, &f);
		at = frame + len;
	}
	return 0;
}

static void go_down(struct vh_uplink *u, int err)
{
	vh_log(u, VH_LOG_WARN, "%s:%s is down: %s", u->ops->scheme, u->ifname,
	       vh_strerror(err));
	vh_store_relaxed(&u->up, 0);
	if (u->watched)
		vh_event_remove(u->home, &u->event);
	u->watched = false;
}

static void resume(struct vh_deferred *d)
{
	struct vh_uplink *u = vh_container_of(d, struct vh_uplink, resume);
	struct vh_turn turn = vh_turn_begin();

	if (!vh_forward_pending(u->source, &turn))
		vh_reactor_defer(u->home, &u->resume);
}

static void readable(struct vh_event *ev, uint32_t events)
{
	struct vh_uplink *u = vh_container_of(ev, struct vh_uplink, event);
	struct vh_turn turn = vh_turn_begin();
	struct vh_ingress in;
	int err;

	if (u->source->pending)
		return; /* the arena is in use; epoll will say it again */
	vh_ingress_begin(&in, u->source, u->source->worker->batch, FROM_KERNEL);
	err = read_batch(u, &in);
	vh_ingress_end(&in);
	if (!vh_forward(u->source, &turn))
		vh_reactor_defer(u->home, &u->resume);
	if (err < 0)
		go_down(u, err);
}

/* ---- Up and down: the home reactor ---- */

static int watch(struct vh_uplink *u)
{
	int err;

	u->event = (struct vh_event){.fd = u->fd, .fn = readable};
	err = vh_event_add(u->home, &u->event, EPOLLIN);
	if (err < 0)
		return err;
	u->watched = true;
	vh_store_relaxed(&u->up, 1);
	return 0;
}

/* It went away: look for one of that name. */
static int reopen(struct vh_uplink *u)
{
	int fd = u->ops->open(u, false), err = 0;

	if (fd < 0)
		return fd;
	if (dup3(fd, u->fd, O_CLOEXEC) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Down: is it up again? */
static void try_again(struct vh_uplink *u)
{
	int err = u->ops->check(u);

	if (err == -ENODEV)
		err = reopen(u);
	if (!err)
		err = u->ops->check(u);
	if (!err)
		err = watch(u);
	if (!err)
		vh_log(u, VH_LOG_INFO, "%s:%s is up", u->ops->scheme, u->ifname);
}

static void check(struct vh_timer *t)
{
	struct vh_uplink *u = vh_container_of(t, struct vh_uplink, check);
	int err = 0;

	vh_timer_arm(u->home, t, CHECK_NS);
	if (!vh_load_relaxed(&u->up)) {
		try_again(u);
		return;
	}
	if (vh_exchange(&u->refused, 0))
		err = u->ops->check(u);
	if (err < 0)
		go_down(u, err);
}

static void start(struct vh_post *post)
{
	struct vh_uplink *u = vh_container_of(post, struct vh_uplink, start);
	int err = u->ops->check(u);

	if (!err)
		err = watch(u);
	if (err < 0)
		go_down(u, err);
	vh_timer_arm(u->home, &u->check, CHECK_NS);
}

void vh_uplink_start(struct vh_uplink *u)
{
	vh_reactor_post_node(u->home, &u->start);
}

void vh_uplink_stop(struct vh_uplink *u)
{
	vh_store_relaxed(&u->up, 0);
	vh_timer_disarm(u->home, &u->check);
	vh_reactor_undefer(&u->resume);
	if (u->watched)
		vh_event_remove(u->home, &u->event);
	u->watched = false;
	u->source->pending = false;
}

bool vh_uplink_is_up(const struct vh_uplink *u)
{
	return vh_load_relaxed(&u->up);
}

/* ---- Life: control ---- */

static const struct vh_uplink_ops *find_ops(const char *address)
{
	static const struct vh_uplink_ops *const all[] = {&vh_uplink_tap,
							  &vh_uplink_packet};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t n = strlen(all[i]->scheme);

		if (!strncmp(all[i]->scheme, address, n) && address[n] == ':')
			return all[i];
	}
	return NULL;
}

static int set_ifname(struct vh_uplink *u, const char *address)
{
	const char *name = strchr(address, ':') + 1;
	const size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strpbrk(name, ",/ ")) {
		vh_log(u, VH_LOG_ERROR,
		       "\"%s\" is no interface's name: it has 1 to %d characters and is "
		       "all that follows \"%s:\"",
		       name, IFNAMSIZ - 1, u->ops->scheme);
		return -EINVAL;
	}
	memcpy(u->ifname, name, len + 1);
	return 0;
}

int vh_uplink_create(struct vh_port *port, struct vh_reactor *home,
		     struct vh_uplink **out)
{
	struct vh_uplink *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->tag = port->tag;
	u->ops = find_ops(port->address);
	u->port = port;
	u->source = &port->source[0];
	u->home = home;
	u->fd = -1;
	u->start.fn = start;
	u->resume.fn = resume;
	vh_list_init(&u->resume.link);
	vh_timer_init(&u->check, check);
	u->arena = malloc(VH_UPLINK_ARENA);
	err = u->arena ? set_ifname(u, port->address) : -ENOMEM;
	if (!err)
		err = u->fd = u->ops->open(u, true);
	if (err >= 0) {
		*out = u;
		return 0;
	}
	vh_uplink_destroy(u);
	return err;
}

void vh_uplink_destroy(struct vh_uplink *u)
{
	if (!u)
		return;
	vh_fd_drop(&u->fd);
	free(u->arena);
	free(u);
}
