/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two queues of the device (guestq.h), as virtio-pci's registers have them, and the
 * empty buffer by which one kind of driver is told that its front-end went.  Control
 * thread.
 */
#include <errno.h>

#include "vvu/vvu_parts.h"

static bool queue_where(void *arg, unsigned q, struct vh_guestq_place *p)
{
	const struct vh_vvu_pci *v = arg;
	const struct vh_virtio_pci_queue *r = &v->regs.queue[q];

	*p = (struct vh_guestq_place){.size = r->size,
				      .desc = r->desc,
				      .avail = r->avail,
				      .used = r->used,
				      .features = v->regs.driver_features};
	return r->enabled && vh_virtio_pci_is_running(&v->regs) &&
	       vh_pci_is_master(&v->regs.fn);
}

static void queue_used(void *arg, unsigned q)
{
	struct vh_vvu_pci *v = arg;

	vh_vvu_pci_interrupt(v, vh_virtio_pci_used(&v->regs, q));
}

/* Of a message that is none the relay has told. */
static void queue_broken(void *arg, const char *why)
{
	if (why)
		vh_vvu_pci_break(arg, why);
}

/* Not .lost: behind an IOMMU memory comes and goes, and may come back. */
static const struct vh_guestq_ops ops = {
	.where = queue_where,
	.used = queue_used,
	.broken = queue_broken,
};

/* ---- The empty buffer ---- */

void vh_vvu_send_empty(struct vh_vvu_pci *v)
{
	v->owes_empty = vh_guestq_deliver(&v->queues, NULL, 0) < 0;
}

/* What tells of an old session comes before a message of the new one. */
int vh_vvu_deliver(void *arg, const void *msg, size_t len)
{
	struct vh_vvu_pci *v = arg;

	if (v->owes_empty)
		vh_vvu_send_empty(v);
	return v->owes_empty ? -EAGAIN : vh_guestq_deliver(&v->queues, msg, len);
}

/* ---- When ---- */

void vh_vvu_queue_notified(struct vh_vvu_pci *v, unsigned q)
{
	if (v->owes_empty)
		vh_vvu_send_empty(v);
	vh_guestq_notified(&v->queues, q);
}

void vh_vvu_queues_look_again(struct vh_vvu_pci *v)
{
	if (v->owes_empty)
		vh_vvu_send_empty(v);
	vh_guestq_look_again(&v->queues);
}

void vh_vvu_queues_stop(struct vh_vvu_pci *v)
{
	vh_guestq_stop(&v->queues);
	v->owes_empty = false;
}

void vh_vvu_queues_init(struct vh_vvu_pci *v)
{
	vh_guestq_init(&v->queues, v->reactor, v->tag, &ops, v);
}
