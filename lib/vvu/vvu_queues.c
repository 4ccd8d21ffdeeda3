/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two queues of the device: messages to the driver and from it, one to a buffer.
 *
 * Theory of operation.  The rings lie in the guest's memory, which its VMM maps for us
 * and takes away again as it likes, with a vIOMMU at any time.  So no address outlives a
 * change: memory is looked up, and the rings are placed in it, when they are used next.
 * Each call here is over before the next event of the VMM is looked at; no buffer
 * is ever kept.
 *
 * Both directions wait for whoever is slow, and in that order: a message of the
 * front-end's without a buffer stays with the relay, which reads no further one; one of
 * the driver's that the front-end's socket does not take stays in the ring.  Control
 * thread.
 */
#include <errno.h>

#include "base/log.h"
#include "vvu/vvu_parts.h"
#include "wire/msg.h"

#define MAX_MESSAGE (sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD)
#define TURN	    64 /* messages of the driver's before somebody else is looked at */

static const char *const queue_name[] = {[VH_VVU_RXQ] = "rx", [VH_VVU_TXQ] = "tx"};

/* ---- Where the rings are ---- */

static uint8_t *area_at(struct vh_vvu_pci *v, uint64_t addr, uint64_t len, unsigned align)
{
	return addr % align ? NULL : vh_map_uva(v->map, addr, len);
}

/* "Split Virtqueues": sizes with the word for event indices, which may not be used. */
static int place(struct vh_vvu_pci *v, unsigned q)
{
	const struct vh_virtio_pci_queue *r = &v->regs.queue[q];
	const uint64_t n = r->size;
	const struct vh_ring_layout layout = {
		.desc = area_at(v, r->desc, 16 * n, 16),
		.avail = area_at(v, r->avail, 6 + 2 * n, 2),
		.used = area_at(v, r->used, 6 + 8 * n, 4),
	};

	if (!layout.desc || !layout.avail || !layout.used)
		return -EFAULT;
	vh_ring_place(v->ring[q], &layout, v->map, NULL);
	v->placed[q] = true;
	return 0;
}

static int start(struct vh_vvu_pci *v, unsigned q)
{
	int err = vh_ring_create(NULL, v->regs.queue[q].size, v->regs.driver_features,
				 &v->ring[q]);

	if (!err)
		err = place(v, q);
	if (!err)
		err = vh_ring_start(v->ring[q], 0);
	if (err) {
		vh_ring_destroy(v->ring[q]);
		v->ring[q] = NULL;
		v->placed[q] = false;
	}
	return err;
}

static bool may_run(const struct vh_vvu_pci *v, unsigned q)
{
	return v->regs.queue[q].enabled && vh_virtio_pci_is_running(&v->regs) &&
	       vh_pci_is_master(&v->regs.fn);
}

/* The ring of @q, to be used now; NULL: the driver has to do something first. */
static struct vh_ring *ring_of(struct vh_vvu_pci *v, unsigned q)
{
	int err = 0;

	if (!may_run(v, q))
		return NULL;
	if (!v->map)
		err = vh_vfu_map(v->vfu, &v->map);
	if (!err && !v->ring[q])
		err = start(v, q);
	else if (!err && !v->placed[q])
		err = place(v, q);
	if (err)
		vh_log(v, VH_LOG_INFO, "%s: the queue cannot be reached in memory: %s",
		       queue_name[q], vh_strerror(err));
	return err ? NULL : v->ring[q];
}

void vh_vvu_queues_unmap(struct vh_vvu_pci *v)
{
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++)
		v->placed[q] = false;
	vh_map_put(v->map);
	v->map = NULL;
}

void vh_vvu_queues_stop(struct vh_vvu_pci *v)
{
	vh_reactor_undefer(&v->again);
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++) {
		vh_ring_destroy(v->ring[q]);
		v->ring[q] = NULL;
	}
	vh_vvu_queues_unmap(v);
	v->owes_empty = false;
}

/* ---- What both do ---- */

/* The next buffer: 1; 0: none, and the driver will say when there is one; -EPROTO. */
static int next(struct vh_ring *ring, struct vh_chain **c)
{
	int n = vh_ring_pop(ring, c, 1);

	return n || !vh_ring_arm(ring) ? n : vh_ring_pop(ring, c, 1);
}

static void show(struct vh_vvu_pci *v, unsigned q)
{
	struct vh_ring *ring = v->ring[q];

	if (vh_ring_publish(ring) && vh_ring_call_wanted(ring))
		vh_vvu_pci_interrupt(v, vh_virtio_pci_used(&v->regs, q));
}

/* ---- To the driver ---- */

static int put(struct vh_vvu_pci *v, struct vh_ring *ring, const void *msg, size_t len)
{
	struct vh_chain *c;
	int n = next(ring, &c);

	if (n <= 0)
		return n ? n : -EAGAIN;
	if (vh_chain_write(c, msg, len) < 0) {
		vh_ring_unpop(ring, &c, 1);
		return -EMSGSIZE;
	}
	vh_ring_push(ring, c, (uint32_t)len);
	show(v, VH_VVU_RXQ);
	return 0;
}

int vh_vvu_deliver(void *arg, const void *msg, size_t len)
{
	struct vh_vvu_pci *v = arg;
	struct vh_ring *ring;

	/* What tells of an old session comes before a message of the new one. */
	if (v->owes_empty)
		vh_vvu_send_empty(v);
	ring = v->owes_empty ? NULL : ring_of(v, VH_VVU_RXQ);
	return ring ? put(v, ring, msg, len) : -EAGAIN;
}

void vh_vvu_send_empty(struct vh_vvu_pci *v)
{
	struct vh_ring *ring = ring_of(v, VH_VVU_RXQ);

	v->owes_empty = !ring || put(v, ring, NULL, 0) < 0;
}

/* ---- From the driver ---- */

/* 0, -EAGAIN, or -EPROTO. */
static int take(struct vh_vvu_pci *v, struct vh_chain *c)
{
	const size_t len = vh_chain_readable(c);
	uint8_t msg[MAX_MESSAGE];

	if (len > sizeof(msg))
		return -EPROTO;
	vh_chain_read(c, msg, len);
	return vh_relay_send(v->relay, msg, len);
}

/* 1: there may be more; 0: nothing, for now; -EPROTO. */
static int take_next(struct vh_vvu_pci *v, struct vh_ring *ring)
{
	struct vh_chain *c;
	int n = next(ring, &c);
	int err;

	if (n <= 0)
		return n;
	err = take(v, c);
	if (err) {
		vh_ring_unpop(ring, &c, 1);
		return err == -EAGAIN ? 0 : -EPROTO;
	}
	vh_ring_push(ring, c, 0);
	return 1;
}

static void take_all(struct vh_vvu_pci *v, struct vh_ring *ring)
{
	int more = 1;

	for (unsigned i = 0; i < TURN && more > 0; i++)
		more = take_next(v, ring);
	show(v, VH_VVU_TXQ);
	if (more > 0)
		vh_vvu_queues_look_again(v);
	if (more < 0 && vh_virtio_pci_is_running(&v->regs))
		vh_vvu_pci_break(v, ring->why ? ring->why
					      : "a message of its driver's is none");
}

/* ---- When ---- */

static void look_at_rx(struct vh_vvu_pci *v)
{
	if (v->owes_empty)
		vh_vvu_send_empty(v);
	vh_relay_room(v->relay);
}

static void look_at_tx(struct vh_vvu_pci *v)
{
	struct vh_ring *ring = ring_of(v, VH_VVU_TXQ);

	if (ring)
		take_all(v, ring);
}

void vh_vvu_queue_notified(struct vh_vvu_pci *v, unsigned q)
{
	if (q == VH_VVU_RXQ)
		look_at_rx(v);
	else
		look_at_tx(v);
}

static void look_at_both(struct vh_deferred *d)
{
	struct vh_vvu_pci *v = vh_container_of(d, struct vh_vvu_pci, again);

	look_at_rx(v);
	look_at_tx(v);
}

void vh_vvu_queues_look_again(struct vh_vvu_pci *v)
{
	vh_reactor_defer(v->reactor, &v->again);
}

void vh_vvu_queues_init(struct vh_vvu_pci *v)
{
	v->again = (struct vh_deferred){.fn = look_at_both};
	vh_list_init(&v->again.link);
}
