/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  The rings lie in the guest's memory, which its VMM maps for us
 * and takes away again as it likes, with a vIOMMU at any time.  So no address outlives a
 * change: memory is looked up, and the rings are placed in it, when they are used next.
 * Each call here is over before the next event of the VMM is looked at; no buffer
 * is ever kept.
 *
 * A message of the front-end's without a buffer stays with the relay, which reads no
 * further one.
 */
#include "vvu/guestq.h"

#include <errno.h>

#include "base/log.h"
#include "wire/msg.h"

#define MAX_MESSAGE (sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD)
#define TURN	    64 /* messages of the driver's before somebody else is looked at */

/* ---- Where the rings are ---- */

static uint8_t *area_at(struct vh_guestq *g, uint64_t addr, uint64_t len, unsigned align)
{
	return addr % align ? NULL : vh_map_uva(g->map, addr, len);
}

/* "Split Virtqueues": sizes with the word for event indices, which may not be used. */
static int place(struct vh_guestq *g, unsigned q, const struct vh_guestq_place *p)
{
	const uint64_t n = p->size;
	const struct vh_ring_layout layout = {
		.desc = area_at(g, p->desc, 16 * n, 16),
		.avail = area_at(g, p->avail, 6 + 2 * n, 2),
		.used = area_at(g, p->used, 6 + 8 * n, 4),
		.num = p->size,
	};

	if (!layout.desc || !layout.avail || !layout.used)
		return -EFAULT;
	vh_ring_place(g->ring[q], &layout, g->map, NULL);
	g->placed[q] = true;
	return 0;
}

static int start(struct vh_guestq *g, unsigned q, const struct vh_guestq_place *p)
{
	int err = vh_ring_create(NULL, p->size, p->features, &g->ring[q]);

	if (!err)
		err = place(g, q, p);
	if (!err)
		err = vh_ring_start(g->ring[q], 0);
	if (err) {
		vh_ring_destroy(g->ring[q]);
		g->ring[q] = NULL;
		g->placed[q] = false;
	}
	return err;
}

static int reach(struct vh_guestq *g, unsigned q, const struct vh_guestq_place *p)
{
	int err = g->map ? 0 : vh_vfu_map(g->vfu, &g->map);

	if (err)
		return err;
	if (g->ring[q] && g->placed[q])
		return 0;
	err = g->ring[q] ? place(g, q, p) : start(g, q, p);
	if (!err)
		g->told = false;
	return err;
}

/* 0 and the ring of @q, to be used now; NULL: the driver is not ready; or -errno. */
static int ring_of(struct vh_guestq *g, unsigned q, struct vh_ring **ring)
{
	struct vh_guestq_place p;
	int err;

	*ring = NULL;
	if (!g->ops->where(g->arg, q, &p))
		return 0;
	err = reach(g, q, &p);
	if (!err)
		*ring = g->ring[q];
	return err;
}

struct at {
	uint64_t addr;
	bool unshared;
};

static void look_at_piece(void *arg, const struct vh_vfu_dma *d)
{
	struct at *at = arg;

	at->unshared |= d->fd < 0 && at->addr - d->iova < d->size;
}

/* Nothing but a VMM that is started otherwise will change that. */
static void tell_if_unshared(struct vh_guestq *g, unsigned q)
{
	struct vh_guestq_place p;
	struct at at = {0};

	if (!g->ops->where(g->arg, q, &p))
		return;
	at.addr = p.desc;
	vh_vfu_dma_each(g->vfu, look_at_piece, &at);
	if (at.unshared)
		vh_log(g, VH_LOG_WARN,
		       "the VMM of the driver's guest does not share its memory, so "
		       "nothing can be passed: start it with memory-backend-memfd,"
		       "share=on, as -M memory-backend=");
}

/* Once, however often the driver notifies. */
static void tell_lost(struct vh_guestq *g, unsigned q, int err)
{
	if (g->told)
		return;
	g->told = true;
	vh_log(g, VH_LOG_INFO, "message queue %u cannot be reached in memory: %s", q,
	       vh_strerror(err));
	tell_if_unshared(g, q);
}

/* The same, from outside of the relay, so that the owner may do what it likes. */
static struct vh_ring *ring_or_lost(struct vh_guestq *g, unsigned q)
{
	struct vh_ring *ring;
	const int err = ring_of(g, q, &ring);

	if (!err)
		return ring;
	tell_lost(g, q, err);
	if (g->ops->lost)
		g->ops->lost(g->arg);
	return NULL;
}

int vh_guestq_check(struct vh_guestq *g)
{
	int err = 0;

	for (unsigned q = 0; q < VH_GUESTQ_COUNT && !err; q++) {
		struct vh_guestq_place p;

		err = g->ops->where(g->arg, q, &p) ? reach(g, q, &p) : -EINVAL;
	}
	return err;
}

/* A VMM that maps its memory privately hands out a file that its guest does not use. */
void vh_guestq_driver_is_ready(struct vh_guestq *g)
{
	struct vh_ring *ring;

	vh_guestq_look_again(g);
	if (g->told_empty || ring_of(g, VH_GUESTQ_RX, &ring) || !ring || ring->avail ||
	    vh_ring_available(ring, 1))
		return;
	g->told_empty = true;
	vh_log(g, VH_LOG_WARN,
	       "the driver is ready, but there is no buffer of its in memory: has its "
	       "guest's VMM share=on at -object memory-backend-...?");
}

void vh_guestq_unmap(struct vh_guestq *g)
{
	for (unsigned q = 0; q < VH_GUESTQ_COUNT; q++)
		g->placed[q] = false;
	vh_map_put(g->map);
	g->map = NULL;
}

void vh_guestq_stop(struct vh_guestq *g)
{
	vh_reactor_undefer(&g->again);
	g->told = g->told_empty = false;
	for (unsigned q = 0; q < VH_GUESTQ_COUNT; q++) {
		vh_ring_destroy(g->ring[q]);
		g->ring[q] = NULL;
	}
	vh_guestq_unmap(g);
}

/* ---- What both do ---- */

/* The next buffer: 1; 0: none, and the driver will say when there is one; -EPROTO. */
static int next(struct vh_ring *ring, struct vh_chain **c)
{
	const int n = vh_ring_pop(ring, c, 1);

	return n || !vh_ring_arm(ring) ? n : vh_ring_pop(ring, c, 1);
}

static void show(struct vh_guestq *g, unsigned q)
{
	if (vh_ring_publish(g->ring[q]) && vh_ring_call_wanted(g->ring[q]))
		g->ops->used(g->arg, q);
}

/* ---- To the driver ---- */

static int put(struct vh_guestq *g, struct vh_ring *ring, const void *msg, size_t len)
{
	struct vh_chain *c;
	const int n = next(ring, &c);

	if (n <= 0)
		return n ? n : -EAGAIN;
	if (vh_chain_write(c, msg, len) < 0) {
		vh_ring_unpop(ring, &c, 1);
		return -EMSGSIZE;
	}
	vh_ring_push(ring, c, (uint32_t)len);
	show(g, VH_GUESTQ_RX);
	return 0;
}

/* What is wrong with the ring is told later: for the relay it is like no buffer. */
int vh_guestq_deliver(struct vh_guestq *g, const void *msg, size_t len)
{
	struct vh_ring *ring;
	int err = ring_of(g, VH_GUESTQ_RX, &ring);

	if (!err && ring)
		err = put(g, ring, msg, len);
	else if (!err)
		return -EAGAIN;
	if (!err || err == -EAGAIN || err == -EMSGSIZE)
		return err;
	vh_guestq_look_again(g);
	return -EAGAIN;
}

/* ---- From the driver ---- */

/* 0 or -EPROTO. */
static int take(struct vh_guestq *g, struct vh_chain *c)
{
	uint8_t msg[MAX_MESSAGE + 1]; /* of which the last byte is one too many */
	size_t len = vh_chain_readable(c);

	if (len > sizeof(msg))
		len = sizeof(msg);
	vh_chain_read(c, msg, len);
	return vh_relay_send(g->relay, msg, len);
}

/* 1: there may be more; 0: nothing, for now; -EPROTO. */
static int take_next(struct vh_guestq *g, struct vh_ring *ring)
{
	struct vh_chain *c;
	const int n = next(ring, &c);
	int err;

	if (n <= 0)
		return n;
	err = take(g, c);
	vh_ring_push(ring, c, 0);
	return err ? -EPROTO : 1;
}

static void take_all(struct vh_guestq *g, struct vh_ring *ring)
{
	int more = 1;

	for (unsigned i = 0; i < TURN && more > 0; i++)
		more = take_next(g, ring);
	show(g, VH_GUESTQ_TX);
	if (more > 0)
		vh_guestq_look_again(g);
	if (more < 0)
		g->ops->broken(g->arg, ring->why);
}

/* ---- When ---- */

static void look_at_rx(struct vh_guestq *g)
{
	struct vh_ring *ring = ring_or_lost(g, VH_GUESTQ_RX);

	if (ring && ring->why)
		g->ops->broken(g->arg, ring->why);
	else if (ring)
		vh_relay_room(g->relay);
}

static void look_at_tx(struct vh_guestq *g)
{
	struct vh_ring *ring = ring_or_lost(g, VH_GUESTQ_TX);

	if (ring)
		take_all(g, ring);
}

void vh_guestq_notified(struct vh_guestq *g, unsigned q)
{
	if (q == VH_GUESTQ_RX)
		look_at_rx(g);
	else
		look_at_tx(g);
}

static void look_at_both(struct vh_deferred *d)
{
	struct vh_guestq *g = vh_container_of(d, struct vh_guestq, again);

	look_at_rx(g);
	look_at_tx(g);
}

void vh_guestq_look_again(struct vh_guestq *g)
{
	vh_reactor_defer(g->reactor, &g->again);
}

void vh_guestq_init(struct vh_guestq *g, struct vh_reactor *r, const char *tag,
		    const struct vh_guestq_ops *ops, void *arg)
{
	*g = (struct vh_guestq){.tag = tag,
				.reactor = r,
				.ops = ops,
				.arg = arg,
				.again = {.fn = look_at_both}};
	vh_list_init(&g->again.link);
}
