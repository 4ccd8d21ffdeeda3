/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-pci device but for its common configuration (virtio_common.c): how it is put
 * together, the small structures, and its interrupts.
 */
#include "pci/virtio_pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "base/checked.h"
#include "pci/bytes.h"
#include "pci/virtio_common.h"

/* In BAR 0. */
enum {
	COMMON = 0,
	ISR = 0x1000,
	DEVICE = 0x2000,
	NOTIFY = 0x3000,
	STRIDE = 4, /* of queues in the notify structure */
};

#define MSIX_BAR 1
#define PAGE	 0x1000u

/* Of struct virtio_pci_cap, behind the two bytes that every capability has. */
enum {
	CAP_LEN = 0,
	CAP_TYPE = 1,
	CAP_BAR = 2,
	CAP_ID = 3,
	CAP_OFFSET = 6,
	CAP_LENGTH = 10,
	CAP_BODY = 14,
	CAP_MORE = 16, /* as much as any capability has */
};

int vh_virtio_pci_add_cap(struct vh_virtio_pci *vp, uint8_t type, uint8_t bar, uint8_t id,
			  uint32_t offset, uint32_t length, const void *more,
			  size_t n_more)
{
	uint8_t body[CAP_BODY + CAP_MORE] = {0};

	if (n_more > CAP_MORE)
		return -EINVAL;
	body[CAP_LEN] = (uint8_t)(PCI_CAP_FLAGS + CAP_BODY + n_more);
	body[CAP_TYPE] = type;
	body[CAP_BAR] = bar;
	body[CAP_ID] = id;
	vh_le32_put(body + CAP_OFFSET, offset);
	vh_le32_put(body + CAP_LENGTH, length);
	if (n_more)
		memcpy(body + CAP_BODY, more, n_more);
	return vh_pci_add_cap(&vp->fn, PCI_CAP_ID_VNDR, body, CAP_BODY + n_more);
}

/* ---- Interrupt status ---- */

static void isr_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_virtio_pci *vp = arg;

	(void)offset;
	memcpy(buf, &vp->isr, len); /* the block is one byte */
	vp->isr = 0;
}

/* ---- Device configuration ---- */

static void device_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct vh_virtio_pci *vp = arg;

	vp->ops->read_config(vp->arg, (uint32_t)offset, buf, len);
}

static int device_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_virtio_pci *vp = arg;

	if (vp->ops->write_config && !vp->resetting)
		vp->ops->write_config(vp->arg, (uint32_t)offset, buf, len);
	return 0;
}

/* ---- Notifications ---- */

/* The place alone tells the queue; what is written there may have any width. */
static int notify_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_virtio_pci *vp = arg;
	const unsigned q = (unsigned)(offset / STRIDE);

	(void)buf;
	if (offset % STRIDE || len > STRIDE || !vh_virtio_pci_is_running(vp))
		return 0;
	if (vp->queue[q].enabled && !vp->queue[q].reset)
		vp->ops->notify(vp->arg, q);
	return 0;
}

/* ---- Access through configuration space ---- */

/* Is this the one access that the capability's registers, as they are, allow? */
static bool access_is_data(const struct vh_virtio_pci *vp, uint32_t offset, size_t len)
{
	const uint8_t *cap = vp->fn.config + vp->access + PCI_CAP_FLAGS;
	const uint32_t length = vh_le32_get(cap + CAP_LENGTH);

	return offset == vp->access + PCI_CAP_FLAGS + CAP_BODY && len == length &&
	       len <= 4 && vh_is_power_of_two(len) &&
	       vh_le32_get(cap + CAP_OFFSET) % len == 0;
}

static void access_read(void *arg, uint32_t offset, size_t len)
{
	struct vh_virtio_pci *vp = arg;
	uint8_t *cap = vp->fn.config + vp->access + PCI_CAP_FLAGS;

	if (!access_is_data(vp, offset, len))
		return;
	if (vh_pci_bar_read(&vp->fn, cap[CAP_BAR], vh_le32_get(cap + CAP_OFFSET),
			    cap + CAP_BODY, len))
		memset(cap + CAP_BODY, 0xff, len);
}

static int access_write(void *arg, uint32_t offset, size_t len)
{
	struct vh_virtio_pci *vp = arg;
	const uint8_t *cap = vp->fn.config + vp->access + PCI_CAP_FLAGS;
	uint8_t data[4];
	int err;

	if (!access_is_data(vp, offset, len))
		return 0;
	/* It may lead to a reset of configuration space. */
	memcpy(data, cap + CAP_BODY, sizeof(data));
	err = vh_pci_bar_write(&vp->fn, cap[CAP_BAR], vh_le32_get(cap + CAP_OFFSET), data,
			       len);
	return err == -EINPROGRESS ? err : 0;
}

static int add_access(struct vh_virtio_pci *vp)
{
	static const uint8_t data[4];
	const int at = vh_virtio_pci_add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0, 0, data,
					     sizeof(data));
	uint8_t *can;

	if (at < 0)
		return at;
	vp->access = (uint8_t)at;
	can = vp->fn.writable + at + PCI_CAP_FLAGS;
	can[CAP_BAR] = 0xff;
	memset(can + CAP_OFFSET, 0xff, 8 + sizeof(data));
	vp->fn.hook_offset = (uint8_t)(at + PCI_CAP_FLAGS + CAP_BODY);
	vp->fn.hook_size = sizeof(data);
	vp->fn.hook_read = access_read;
	vp->fn.hook_write = access_write;
	vp->fn.hook_arg = vp;
	return 0;
}

/* ---- Making one ---- */

static bool params_are_valid(const struct vh_virtio_pci_params *p)
{
	return p->n_queues && p->n_queues <= VH_VIRTIO_PCI_MAX_QUEUES &&
	       vh_is_power_of_two(p->queue_size) && p->queue_size <= 0x8000 &&
	       p->config_size <= NOTIFY - DEVICE &&
	       (!p->config_size || p->ops->read_config) &&
	       p->features >> VIRTIO_F_VERSION_1 & 1;
}

/* A structure in BAR 0: its block, and the capability that tells of it. */
static int add_structure(struct vh_virtio_pci *vp, uint8_t type,
			 const struct vh_pci_block *b)
{
	const uint32_t stride = STRIDE;
	const size_t n_more = type == VIRTIO_PCI_CAP_NOTIFY_CFG ? sizeof(stride) : 0;
	struct vh_pci_block block = *b;
	int err;

	block.arg = vp;
	err = vh_pci_add_block(&vp->fn, &block);
	if (err)
		return err;
	err = vh_virtio_pci_add_cap(vp, type, 0, 0, (uint32_t)b->offset,
				    (uint32_t)b->size, &stride, n_more);
	return err < 0 ? err : 0;
}

static int add_structures(struct vh_virtio_pci *vp)
{
	const struct {
		uint8_t type;
		struct vh_pci_block block;
	} all[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG,
		 {.offset = COMMON,
		  .size = VH_VIRTIO_COMMON_SIZE,
		  .read = vh_virtio_common_read,
		  .write = vh_virtio_common_write}},
		{VIRTIO_PCI_CAP_ISR_CFG, {.offset = ISR, .size = 1, .read = isr_read}},
		{VIRTIO_PCI_CAP_DEVICE_CFG,
		 {.offset = DEVICE,
		  .size = vp->config_size,
		  .read = device_read,
		  .write = device_write}},
		{VIRTIO_PCI_CAP_NOTIFY_CFG,
		 {.offset = NOTIFY,
		  .size = (uint64_t)STRIDE * vp->n_queues,
		  .write = notify_write}},
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int err = all[i].block.size
				  ? add_structure(vp, all[i].type, &all[i].block)
				  : 0;

		if (err)
			return err;
	}
	return add_access(vp);
}

/* A page or more for the table, one for the pending bits: nobody maps them. */
static int add_vectors(struct vh_virtio_pci *vp, unsigned n)
{
	const uint32_t pba = (n * PCI_MSIX_ENTRY_SIZE + PAGE - 1) & ~(PAGE - 1);
	uint32_t size = 2 * PAGE;
	int err;

	if (!n)
		return 0;
	while (size < pba + PAGE)
		size *= 2;
	err = vh_pci_add_bar(&vp->fn, MSIX_BAR, size, 0);
	return err ? err : vh_pci_add_msix(&vp->fn, n, MSIX_BAR, 0, pba);
}

int vh_virtio_pci_init(struct vh_virtio_pci *vp, const struct vh_virtio_pci_params *p)
{
	int err;

	if (!params_are_valid(p))
		return -EINVAL;
	memset(vp, 0, sizeof(*vp));
	vp->ops = p->ops;
	vp->arg = p->arg;
	vp->features = p->features;
	vp->n_queues = p->n_queues;
	vp->config_size = p->config_size;
	for (unsigned q = 0; q < p->n_queues; q++)
		vp->queue[q].max_size = p->queue_size;
	vh_virtio_common_reset(vp);
	vh_pci_init(&vp->fn, &p->ids);
	err = vh_pci_add_bar(&vp->fn, 0, VH_VIRTIO_PCI_BAR0_SIZE, 0);
	if (!err)
		err = add_vectors(vp, p->n_vectors);
	return err ? -EINVAL : add_structures(vp) ? -EINVAL : 0;
}

int vh_virtio_pci_reset(struct vh_virtio_pci *vp)
{
	vh_pci_reset(&vp->fn);
	return vh_virtio_common_begin_reset(vp);
}

/* ---- Interrupts ---- */

static uint16_t vector_to_signal(const struct vh_virtio_pci *vp, uint16_t vector)
{
	const bool ready = vp->status & VIRTIO_CONFIG_S_DRIVER_OK && !vp->resetting;

	return ready && vh_pci_is_master(&vp->fn) ? vector : VH_VIRTIO_PCI_NO_VECTOR;
}

uint16_t vh_virtio_pci_config_changed(struct vh_virtio_pci *vp)
{
	vp->generation++;
	vp->isr |= VH_ISR_CONFIG;
	return vector_to_signal(vp, vp->config_vector);
}

uint16_t vh_virtio_pci_used(struct vh_virtio_pci *vp, unsigned q)
{
	vp->isr |= VH_ISR_QUEUE;
	return vector_to_signal(vp, vp->queue[q].vector);
}

uint16_t vh_virtio_pci_needs_reset(struct vh_virtio_pci *vp)
{
	vp->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	vp->isr |= VH_ISR_CONFIG;
	return vector_to_signal(vp, vp->config_vector);
}
