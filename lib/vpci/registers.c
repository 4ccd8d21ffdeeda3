/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the driver does with the registers of virtio-pci.  Most of it is in the registers
 * afterwards, where tasks.c finds it.  Control thread.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vpci/private.h"

#define VENDOR	   0x1af4u /* of virtio */
#define MODERN	   0x1040u /* and the virtio id: "PCI Device Discovery" */
#define SUBSYSTEM  0x1100u
#define QUEUE_SIZE 256u

/* As QEMU has them; firmware and tools look at them. */
static uint32_t class_of(uint16_t virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_SCSI:
		return 0x010000;
	case VIRTIO_ID_CONSOLE:
		return 0x078000;
	default:
		return 0x00ff00;
	}
}

/* ---- Negotiation ---- */

static int set_features(void *arg)
{
	struct vh_vpci *v = arg;

	if (v->link != VPCI_READY)
		return -ENODEV;
	v->fe.features = (v->vp.driver_features & ~VH_VPCI_FEATURES) |
			 (v->fe.offered_features & VH_BIT(VH_F_PROTOCOL_FEATURES));
	v->wants_offered = true;
	vh_vpci_pump(v);
	return 0;
}

static void start(void *arg)
{
	struct vh_vpci *v = arg;

	vh_vpci_use_memory(v);
	vh_vpci_pump(v);
}

/* Nothing was ever set up: there is nothing to wait for. */
static bool is_pristine(const struct vh_vpci *v)
{
	return v->link == VPCI_READY && !v->awaits && !v->fe.has_features;
}

static int reset(void *arg)
{
	struct vh_vpci *v = arg;

	v->uses_memory = v->wants_offered = false;
	v->write_len = 0;
	if (is_pristine(v))
		return 0;
	v->wants_reset = true;
	vh_vpci_pump(v);
	return v->wants_reset ? -EINPROGRESS : 0;
}

void vh_vpci_needs_reset(struct vh_vpci *v, const char *why)
{
	const bool again = v->vp.status & VIRTIO_CONFIG_S_NEEDS_RESET;
	const uint16_t vector = vh_virtio_pci_needs_reset(&v->vp);

	if (again)
		return;
	vh_log(v, VH_LOG_WARN, "the driver has to reset the device: %s", why);
	vh_vfu_interrupt(v->vfu, vector);
	vh_vpci_pump(v);
}

/* ---- Queues ---- */

bool vh_vpci_queue_is_wanted(const struct vh_vpci *v, unsigned q)
{
	const struct vh_virtio_pci_queue *r = &v->vp.queue[q];

	return r->enabled && !r->reset && vh_virtio_pci_is_running(&v->vp) &&
	       vh_pci_is_master(&v->vp.fn);
}

/* Of a ring that is not started: its fields are not looked at before it is wanted. */
static int enable(void *arg, unsigned q)
{
	struct vh_vpci *v = arg;
	const struct vh_virtio_pci_queue *r = &v->vp.queue[q];
	struct vh_frontend_vring *ring = &v->fe.vring[q];

	ring->num = r->size;
	ring->base = 0;
	ring->addr = (struct vh_wire_addr){
		.desc = r->desc, .avail = r->avail, .used = r->used};
	vh_vpci_pump(v);
	return 0;
}

static int reset_queue(void *arg, unsigned q)
{
	struct vh_vpci *v = arg;

	if (!v->fe.vring[q].started && !v->awaits)
		return 0;
	vh_vpci_pump(v);
	return -EINPROGRESS;
}

static void notify(void *arg, unsigned q)
{
	const struct vh_vpci *v = arg;
	const uint64_t one = 1;
	ssize_t n = write(v->kick[q], &one, sizeof(one));

	(void)n; /* a full counter is a kick that is pending */
}

static void vector_changed(void *arg, unsigned q)
{
	struct vh_vpci *v = arg;

	vh_queue_set_add(&v->new_call, q);
	vh_vpci_pump(v);
}

/* ---- Device configuration ---- */

static void read_config(void *arg, uint32_t offset, void *buf, size_t len)
{
	const struct vh_vpci *v = arg;

	memcpy(buf, v->config + offset, len);
}

/* The VMM waits for each write, so one that is not with the back-end yet is the first. */
static void write_config(void *arg, uint32_t offset, const void *buf, size_t len)
{
	struct vh_vpci *v = arg;

	memcpy(v->config + offset, buf, len);
	memcpy(v->written, buf, len);
	v->write_off = offset;
	v->write_len = (uint32_t)len;
	vh_vpci_pump(v);
}

void vh_vpci_config_changed(struct vh_vpci *v)
{
	vh_vfu_interrupt(v->vfu, vh_virtio_pci_config_changed(&v->vp));
}

/* ---- Making them ---- */

const struct vh_virtio_pci_ops vh_vpci_registers = {
	.set_features = set_features,
	.start = start,
	.reset = reset,
	.enable = enable,
	.reset_queue = reset_queue,
	.notify = notify,
	.vector_changed = vector_changed,
	.read_config = read_config,
	.write_config = write_config,
};

int vh_vpci_registers_init(struct vh_vpci *v, const struct vh_vpci_params *p)
{
	const struct vh_virtio_pci_params params = {
		.ids = {.vendor = VENDOR,
			.device = (uint16_t)(MODERN + p->virtio_id),
			.subsystem_vendor = VENDOR,
			.subsystem = SUBSYSTEM,
			.class = class_of(p->virtio_id),
			.revision = 1},
		.features = VH_BIT(VIRTIO_F_VERSION_1) | VH_VPCI_FEATURES,
		.n_queues = p->n_queues,
		.queue_size = QUEUE_SIZE,
		.config_size = p->config_size,
		.n_vectors = p->n_queues + 1,
		.ops = &vh_vpci_registers,
		.arg = v,
	};

	return vh_virtio_pci_init(&v->vp, &params);
}
