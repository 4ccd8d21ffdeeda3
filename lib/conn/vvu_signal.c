/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  The kick of a vring is an interrupt of its own, whose eventfd the
 * queue's reactor waits for directly, so nothing of ours is between them.  A vector
 * costs the machine something only while it has an eventfd, so a vring gets its own when
 * a kick for it is first spoken of, and keeps it: the fd that the bus knows never
 * changes.
 *
 * Where there are fewer vectors than vrings, those without share one, and the control
 * thread passes what comes there on to all of them; a kick too many is harmless.  A
 * device that takes no vector for a vring leaves it without kicks; then it is polled.
 *
 * A call is a write into the device's doorbells: a register, which the bus knows how to
 * write, or a counter in memory that the device polls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/vvu.h"

#define NO_VECTOR 0xffffu

static int failed(const struct vh_vvu *v, const char *doing, int err)
{
	vh_log(&v->c, VH_LOG_ERROR, "cannot %s: %s", doing, vh_strerror(err));
	return err;
}

/* ---- Vectors ---- */

/* How many the device has: its MSI-X capability says. */
static unsigned count_vectors(struct vh_vvu *v)
{
	const struct vh_pci_bus *bus = v->host->bus;
	uint8_t at = 0, cap[4];

	if (bus->config_read(v->host, PCI_CAPABILITY_LIST, &at, 1))
		return 0;
	for (unsigned i = 0; i < 48 && at >= 0x40; i++, at = cap[1]) {
		if (bus->config_read(v->host, at & ~3u, cap, sizeof(cap)))
			return 0;
		if (cap[0] == PCI_CAP_ID_MSIX)
			return ((cap[2] | cap[3] << 8) & PCI_MSIX_FLAGS_QSIZE) + 1u;
	}
	return 0;
}

/* Fewer are better than none: those of a small guest are soon used up. */
static int enable_vectors(struct vh_vvu *v, unsigned most)
{
	const unsigned sizes[] = {most, 64, 16, VH_VVU_VECTOR_KICK, 2, 1};
	int err = -ENOSPC;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && err; i++) {
		if (sizes[i] > most)
			continue;
		v->n_vectors = sizes[i];
		err = v->host->bus->set_vectors(v->host, v->vector, sizes[i]);
	}
	return err ? failed(v, "have interrupts of the device", err) : 0;
}

int vh_vvu_open_vectors(struct vh_vvu *v)
{
	unsigned n = count_vectors(v);
	int err;

	if (n > VH_VVU_VECTOR_KICK + VH_VVU_MAX_VRINGS)
		n = VH_VVU_VECTOR_KICK + VH_VVU_MAX_VRINGS;
	if (!n)
		return failed(v, "use a device that has no MSI-X", -ENOTSUP);
	v->vector = malloc(n * sizeof(*v->vector));
	if (!v->vector)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		v->vector[i] = -1;
	for (unsigned i = 0; i < VH_VVU_VECTOR_KICK && i < n; i++) {
		v->irq[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->irq[i] < 0)
			return failed(v, "make an eventfd", -errno);
		err = vh_vvu_watch(v, v->irq[i]);
		if (err)
			return err;
		v->vector[i] = v->irq[i];
	}
	return enable_vectors(v, n);
}

void vh_vvu_close_vectors(struct vh_vvu *v)
{
	if (v->vector)
		v->host->bus->set_vectors(v->host, NULL, 0);
	free(v->vector);
	v->vector = NULL;
	for (unsigned i = 0; i < VH_VVU_VECTOR_KICK; i++)
		vh_fd_drop(&v->irq[i]);
	for (unsigned i = 0; i < VH_VVU_MAX_VRINGS; i++)
		vh_fd_drop(&v->kick[i]);
}

/* ---- Kicks ---- */

/* 0; -EBUSY: the device takes no such vector; or -errno. */
static int place_kick(struct vh_vvu *v, const struct vh_virtio_place *p, unsigned vring,
		      uint16_t vector)
{
	const struct vh_pci_bus *bus = v->host->bus;
	const uint64_t select = p->offset + VH_VVU_NOTIFY_SELECT,
		       at = p->offset + VH_VVU_NOTIFY_VECTOR;
	uint64_t taken = NO_VECTOR;
	int err = bus->write(v->host, p->bar, select, 2, vring);

	if (!err)
		err = bus->write(v->host, p->bar, at, 2, vector);
	if (!err)
		err = bus->read(v->host, p->bar, at, 2, &taken);
	return !err && taken != vector ? -EBUSY : err;
}

static uint16_t shared_vector(const struct vh_vvu *v)
{
	return (uint16_t)(v->n_vectors > VH_VVU_VECTOR_KICKS ? VH_VVU_VECTOR_KICKS
							     : v->n_vectors - 1);
}

static const struct vh_virtio_place *notification(const struct vh_vvu *v)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_NOTIFICATION, -1);

	return p && p->length >= 4 ? p : NULL;
}

/* Have @vring's kicks come on the vector that is shared.  0 or -errno. */
static int share(struct vh_vvu *v, unsigned vring)
{
	const struct vh_virtio_place *p = notification(v);
	int err = p ? place_kick(v, p, vring, shared_vector(v)) : -EBUSY;

	v->shares[vring] = true;
	v->deaf[vring] = err == -EBUSY;
	return err == -EBUSY ? 0 : err;
}

int vh_vvu_place_kicks(struct vh_vvu *v)
{
	const struct vh_virtio_place *p = notification(v);
	unsigned n_deaf = 0;
	int err = 0;

	for (unsigned i = 0; i < v->n_vrings && !err; i++) {
		const unsigned vector = VH_VVU_VECTOR_KICK + i;

		v->shares[i] = v->deaf[i] = false;
		err = p && vector < v->n_vectors &&
				      (v->kick[i] < 0 || v->vector[vector] >= 0)
			      ? place_kick(v, p, i, (uint16_t)vector)
			      : -EBUSY;
		if (err == -EBUSY)
			err = share(v, i);
		n_deaf += v->deaf[i];
	}
	if (err)
		return failed(v, "tell the device where kicks go", err);
	if (n_deaf)
		vh_log(&v->c, VH_LOG_WARN,
		       "the device has no interrupts for kicks of %u vrings: they are "
		       "polled",
		       n_deaf);
	return 0;
}

void vh_vvu_pass_kicks(struct vh_vvu *v)
{
	for (unsigned i = 0; i < v->n_vrings; i++)
		if (v->shares[i] && v->kick[i] >= 0)
			eventfd_write(v->kick[i], 1);
}

/* The vector of @vring begins to write to its eventfd. */
static int wire_kick(struct vh_vvu *v, unsigned vring)
{
	const unsigned vector = VH_VVU_VECTOR_KICK + vring;
	int err;

	v->kick[vring] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->kick[vring] < 0)
		return failed(v, "make an eventfd", -errno);
	if (v->shares[vring])
		return 0;
	v->vector[vector] = v->kick[vring];
	err = v->host->bus->set_vectors(v->host, v->vector, v->n_vectors);
	if (!err)
		return 0;
	/* The machine has no interrupt left. */
	v->vector[vector] = -1;
	vh_log(&v->c, VH_LOG_INFO, "vring %u shares an interrupt: %s", vring,
	       vh_strerror(err));
	return share(v, vring);
}

static int kick(struct vh_vvu *v, unsigned vring, struct vh_signal **s)
{
	int fd, err = v->kick[vring] < 0 ? wire_kick(v, vring) : 0;

	if (err || v->deaf[vring])
		return err;
	fd = fcntl(v->kick[vring], F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? failed(v, "duplicate an eventfd", -errno)
		      : vh_signal_from_eventfd(fd, s);
}

/* ---- Doorbells ---- */

static int doorbell(struct vh_vvu *v, unsigned n, struct vh_signal **s)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_DOORBELL, -1);
	const uint64_t at = (uint64_t)n * p->more;
	const bool counts = vh_vvu_has(v, VH_VVU_F_DOORBELL_POLL);

	if (at + (counts ? 4 : 2) > p->length)
		return 0; /* a device without it: nobody is called */
	if (counts)
		return vh_signal_from_counter((volatile uint32_t *)(v->bells + at), s);
	return v->host->bus->signal(v->host, p->bar, p->offset + at, 2, n, s);
}

int vh_vvu_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s)
{
	struct vh_vvu *v = vh_vvu_of(c);
	const bool is_log = m->id == VH_MSG_SET_LOG_FD;
	const unsigned vring = is_log ? 0 : m->u64 & VH_VRING_INDEX_MASK;

	*s = NULL;
	if ((!is_log || m->payload == VH_PAYLOAD_U64) && m->u64 & VH_VRING_NO_FD)
		return 0;
	if (vring >= v->n_vrings) {
		vh_log(c, VH_LOG_WARN, "%s: the device has no vring %u",
		       vh_msg_name(m->channel, m->id), vring);
		return -EINVAL;
	}
	switch (m->id) {
	case VH_MSG_SET_VRING_KICK:
		return kick(v, vring, s);
	case VH_MSG_SET_VRING_CALL:
		return doorbell(v, VH_VVU_DOORBELL_CALL(vring), s);
	case VH_MSG_SET_VRING_ERR:
		return doorbell(v, VH_VVU_DOORBELL_ERR(v->n_bells, vring), s);
	default:
		return vh_vvu_has(v, VH_VVU_F_LOG)
			       ? doorbell(v, VH_VVU_DOORBELL_LOG(v->n_bells), s)
			       : 0;
	}
}
