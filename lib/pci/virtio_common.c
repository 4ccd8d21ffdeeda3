/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio 1.2 "Common configuration structure layout".  Reads of any width and place show
 * what is there.  A write counts when it has the width of one register, or of half of an
 * address, as the standard asks of drivers; any other is lost.  What comes too early, too
 * late or out of range changes nothing, and can be read back.
 */
#include "pci/virtio_common.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "base/checked.h"
#include "pci/bytes.h"

#define DRIVER_BITS                                                \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |    \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_FAILED)

static bool has_feature(const struct vh_virtio_pci *vp, unsigned bit)
{
	return vp->status & VIRTIO_CONFIG_S_FEATURES_OK && vp->driver_features >> bit & 1;
}

/* The queue that the driver looks at; NULL: there is none of that number. */
static struct vh_virtio_pci_queue *selected(struct vh_virtio_pci *vp)
{
	return vp->queue_select < vp->n_queues ? &vp->queue[vp->queue_select] : NULL;
}

/* ---- Reset ---- */

static void queue_clear(struct vh_virtio_pci_queue *q)
{
	const uint16_t max = q->max_size;

	*q = (struct vh_virtio_pci_queue){
		.size = max, .max_size = max, .vector = VH_VIRTIO_PCI_NO_VECTOR};
}

void vh_virtio_common_reset(struct vh_virtio_pci *vp)
{
	vp->driver_features = 0;
	vp->feature_select = vp->driver_feature_select = 0;
	vp->status = vp->isr = 0;
	vp->resetting = false;
	vp->config_vector = VH_VIRTIO_PCI_NO_VECTOR;
	vp->queue_select = 0;
	for (unsigned i = 0; i < vp->n_queues; i++)
		queue_clear(&vp->queue[i]);
}

int vh_virtio_common_begin_reset(struct vh_virtio_pci *vp)
{
	if (vp->resetting)
		return -EINPROGRESS;
	vp->resetting = vp->ops->reset(vp->arg) == -EINPROGRESS;
	if (vp->resetting)
		return -EINPROGRESS;
	vh_virtio_common_reset(vp);
	return 0;
}

void vh_virtio_pci_reset_done(struct vh_virtio_pci *vp)
{
	if (vp->resetting)
		vh_virtio_common_reset(vp);
}

void vh_virtio_pci_queue_reset_done(struct vh_virtio_pci *vp, unsigned q)
{
	if (vp->queue[q].reset)
		queue_clear(&vp->queue[q]);
}

/* ---- Reading ---- */

static uint32_t feature_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void put_queue(struct vh_virtio_pci *vp, uint8_t *to)
{
	const struct vh_virtio_pci_queue *q = selected(vp);

	if (!q) {
		vh_le16_put(to + VIRTIO_PCI_COMMON_Q_MSIX, VH_VIRTIO_PCI_NO_VECTOR);
		return;
	}
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_SIZE, q->size);
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_MSIX, q->vector);
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_ENABLE, q->enabled);
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_NOFF, vp->queue_select);
	vh_le64_put(to + VIRTIO_PCI_COMMON_Q_DESCLO, q->desc);
	vh_le64_put(to + VIRTIO_PCI_COMMON_Q_AVAILLO, q->avail);
	vh_le64_put(to + VIRTIO_PCI_COMMON_Q_USEDLO, q->used);
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_NDATA, vp->queue_select);
	vh_le16_put(to + VIRTIO_PCI_COMMON_Q_RESET, q->reset);
}

void vh_virtio_common_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_virtio_pci *vp = arg;
	uint8_t all[VH_VIRTIO_COMMON_SIZE] = {0};

	vh_le32_put(all + VIRTIO_PCI_COMMON_DFSELECT, vp->feature_select);
	vh_le32_put(all + VIRTIO_PCI_COMMON_DF,
		    feature_half(vp->features, vp->feature_select));
	vh_le32_put(all + VIRTIO_PCI_COMMON_GFSELECT, vp->driver_feature_select);
	vh_le32_put(all + VIRTIO_PCI_COMMON_GF,
		    feature_half(vp->driver_features, vp->driver_feature_select));
	vh_le16_put(all + VIRTIO_PCI_COMMON_MSIX, vp->config_vector);
	vh_le16_put(all + VIRTIO_PCI_COMMON_NUMQ, (uint16_t)vp->n_queues);
	all[VIRTIO_PCI_COMMON_STATUS] = vp->status;
	all[VIRTIO_PCI_COMMON_CFGGENERATION] = vp->generation;
	vh_le16_put(all + VIRTIO_PCI_COMMON_Q_SELECT, vp->queue_select);
	put_queue(vp, all);
	memcpy(buf, all + offset, len);
}

/* ---- Features and status ---- */

static int write_feature_select(struct vh_virtio_pci *vp, uint32_t v)
{
	vp->feature_select = v;
	return 0;
}

static int write_driver_select(struct vh_virtio_pci *vp, uint32_t v)
{
	vp->driver_feature_select = v;
	return 0;
}

static int write_features(struct vh_virtio_pci *vp, uint32_t v)
{
	const unsigned shift = 32 * (vp->driver_feature_select & 1);

	if (vp->driver_feature_select > 1 || vp->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return 0;
	vp->driver_features &= ~(0xffffffffULL << shift);
	vp->driver_features |= (uint64_t)v << shift;
	return 0;
}

static bool features_are_accepted(struct vh_virtio_pci *vp)
{
	return !(vp->driver_features & ~vp->features) &&
	       vp->driver_features >> VIRTIO_F_VERSION_1 & 1 &&
	       vp->ops->set_features(vp->arg) == 0;
}

/* Bits only come, one after the other, until all of them go at once. */
static int write_status(struct vh_virtio_pci *vp, uint32_t v)
{
	const uint8_t more = (uint8_t)(v & DRIVER_BITS & ~vp->status);

	if (!v)
		return vh_virtio_common_begin_reset(vp);
	vp->status |= more & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FAILED);
	if (vp->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return 0;
	if (more & VIRTIO_CONFIG_S_FEATURES_OK && features_are_accepted(vp))
		vp->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(more & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    !(vp->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return 0;
	vp->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	vp->ops->start(vp->arg);
	return 0;
}

/* ---- Vectors ---- */

static uint16_t usable_vector(const struct vh_virtio_pci *vp, uint32_t v)
{
	return v < vp->fn.n_vectors ? (uint16_t)v : VH_VIRTIO_PCI_NO_VECTOR;
}

static int write_config_vector(struct vh_virtio_pci *vp, uint32_t v)
{
	vp->config_vector = usable_vector(vp, v);
	return 0;
}

static int write_queue_vector(struct vh_virtio_pci *vp, uint32_t v)
{
	struct vh_virtio_pci_queue *q = selected(vp);
	const uint16_t vector = usable_vector(vp, v);

	if (!q || q->vector == vector)
		return 0;
	q->vector = vector;
	if (q->enabled && vp->ops->vector_changed)
		vp->ops->vector_changed(vp->arg, vp->queue_select);
	return 0;
}

/* ---- Queues ---- */

static int write_select(struct vh_virtio_pci *vp, uint32_t v)
{
	vp->queue_select = (uint16_t)v;
	return 0;
}

static int write_size(struct vh_virtio_pci *vp, uint32_t v)
{
	struct vh_virtio_pci_queue *q = selected(vp);
	const bool packed = has_feature(vp, VIRTIO_F_RING_PACKED);

	if (q && !q->enabled && v && v <= q->max_size &&
	    (packed || vh_is_power_of_two(v)))
		q->size = (uint16_t)v;
	return 0;
}

/* virtio 1.2 "Virtqueues": descriptors at 16, what the driver writes at 2 or 4, ... */
static bool addresses_are_valid(const struct vh_virtio_pci *vp,
				const struct vh_virtio_pci_queue *q)
{
	const bool packed = has_feature(vp, VIRTIO_F_RING_PACKED);

	return q->desc % 16 == 0 && q->avail % (packed ? 4 : 2) == 0 && q->used % 4 == 0;
}

static int write_enable(struct vh_virtio_pci *vp, uint32_t v)
{
	struct vh_virtio_pci_queue *q = selected(vp);

	if (v != 1 || !q || q->enabled || !has_feature(vp, VIRTIO_F_VERSION_1) ||
	    vp->status & VIRTIO_CONFIG_S_NEEDS_RESET || !addresses_are_valid(vp, q))
		return 0;
	q->enabled = true;
	if (vp->ops->enable(vp->arg, vp->queue_select))
		q->enabled = false;
	return 0;
}

static int write_queue_reset(struct vh_virtio_pci *vp, uint32_t v)
{
	struct vh_virtio_pci_queue *q = selected(vp);

	if (v != 1 || !q || !q->enabled || q->reset ||
	    !has_feature(vp, VIRTIO_F_RING_RESET))
		return 0;
	q->reset = true;
	if (vp->ops->reset_queue &&
	    vp->ops->reset_queue(vp->arg, vp->queue_select) == -EINPROGRESS)
		return -EINPROGRESS;
	queue_clear(q);
	return 0;
}

static void write_address(struct vh_virtio_pci *vp, uint64_t offset, const void *buf,
			  size_t len)
{
	struct vh_virtio_pci_queue *q = selected(vp);
	const uint64_t at = offset - VIRTIO_PCI_COMMON_Q_DESCLO;
	uint64_t *address;

	if (!q || q->enabled || (len != 4 && len != 8) || at % len)
		return;
	address = at < 8 ? &q->desc : at < 16 ? &q->avail : &q->used;
	memcpy((uint8_t *)address + at % 8, buf, len);
}

/* ---- Writing ---- */

static const struct {
	uint8_t offset, width;
	int (*write)(struct vh_virtio_pci *vp, uint32_t v);
} registers[] = {
	{VIRTIO_PCI_COMMON_DFSELECT, 4, write_feature_select},
	{VIRTIO_PCI_COMMON_GFSELECT, 4, write_driver_select},
	{VIRTIO_PCI_COMMON_GF, 4, write_features},
	{VIRTIO_PCI_COMMON_MSIX, 2, write_config_vector},
	{VIRTIO_PCI_COMMON_STATUS, 1, write_status},
	{VIRTIO_PCI_COMMON_Q_SELECT, 2, write_select},
	{VIRTIO_PCI_COMMON_Q_SIZE, 2, write_size},
	{VIRTIO_PCI_COMMON_Q_MSIX, 2, write_queue_vector},
	{VIRTIO_PCI_COMMON_Q_ENABLE, 2, write_enable},
	{VIRTIO_PCI_COMMON_Q_RESET, 2, write_queue_reset},
};

int vh_virtio_common_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_virtio_pci *vp = arg;

	if (vp->resetting)
		return 0;
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA) {
		write_address(vp, offset, buf, len);
		return 0;
	}
	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (registers[i].offset == offset && registers[i].width == len)
			return registers[i].write(vp, (uint32_t)vh_le_get(buf, len));
	return 0;
}
