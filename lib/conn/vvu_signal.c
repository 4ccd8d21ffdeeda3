/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where kicks come from is told to the device by its notification structure: a vring,
 * then its vector.  A call is a write into the device's doorbells: a register, which the
 * bus knows how to write, or a counter in memory that the device polls.
 */
#include <errno.h>

#include "base/log.h"
#include "conn/vvu.h"

#define NO_VECTOR 0xffffu

/* ---- Kicks ---- */

static const struct vh_virtio_place *notification(const struct vh_vvu *v)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_NOTIFICATION, -1);

	return p && p->length >= 4 ? p : NULL;
}

int vh_vvu_place_kick(void *arg, unsigned vring, uint16_t vector)
{
	struct vh_vvu *v = arg;
	const struct vh_virtio_place *p = notification(v);
	const struct vh_pci_bus *bus = v->host->bus;
	uint64_t taken = NO_VECTOR;
	int err;

	if (v->shm)
		return vh_vvu_shm_place(v, vring, vector);
	if (!p)
		return -EBUSY;
	err = bus->write(v->host, p->bar, p->offset + VH_VVU_NOTIFY_SELECT, 2, vring);
	if (!err)
		err = bus->write(v->host, p->bar, p->offset + VH_VVU_NOTIFY_VECTOR, 2,
				 vector);
	if (!err)
		err = bus->read(v->host, p->bar, p->offset + VH_VVU_NOTIFY_VECTOR, 2,
				&taken);
	return !err && taken != vector ? -EBUSY : err;
}

/* ---- Doorbells ---- */

static int doorbell(struct vh_vvu *v, unsigned n, struct vh_signal **s)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_DOORBELL, -1);
	const uint64_t at = p ? (uint64_t)n * p->more : 0;

	if (vh_vvu_has(v, VH_VVU_F_DOORBELL_POLL) &&
	    n < VH_VVU_N_DOORBELLS(VH_VVU_MAX_VRINGS))
		return vh_signal_from_counter((volatile uint32_t *)v->bells + n, s);
	if (!p || at + 2 > p->length)
		return 0; /* a device without it: nobody is called */
	return v->host->bus->signal(v->host, p->bar, p->offset + at, 2, n, s);
}

/* Nobody waits for these: a bus that cannot ring them is no reason not to serve. */
static int unless_missing(int err)
{
	return err == -ENOTSUP ? 0 : err;
}

int vh_vvu_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s)
{
	struct vh_vvu *v = vh_vvu_of(c);
	const bool is_log = m->id == VH_MSG_SET_LOG_FD;
	const unsigned vring = is_log ? 0 : m->u64 & VH_VRING_INDEX_MASK;

	*s = NULL;
	if ((!is_log || m->payload == VH_PAYLOAD_U64) && m->u64 & VH_VRING_NO_FD)
		return 0;
	if (vring >= v->vectors.n_vrings) {
		vh_log(c, VH_LOG_WARN, "%s: the device has no vring %u",
		       vh_msg_name(m->channel, m->id), vring);
		return -EINVAL;
	}
	switch (m->id) {
	case VH_MSG_SET_VRING_KICK:
		return vh_vectors_kick(&v->vectors, vring, s);
	case VH_MSG_SET_VRING_CALL:
		if (v->shm)
			return vh_vvu_shm_call(v, vring, s);
		return doorbell(v, VH_VVU_DOORBELL_CALL(vring), s);
	case VH_MSG_SET_VRING_ERR:
		return unless_missing(
			doorbell(v, VH_VVU_DOORBELL_ERR(v->n_bells, vring), s));
	default:
		return vh_vvu_has(v, VH_VVU_F_LOG)
			       ? unless_missing(
					 doorbell(v, VH_VVU_DOORBELL_LOG(v->n_bells), s))
			       : 0;
	}
}
