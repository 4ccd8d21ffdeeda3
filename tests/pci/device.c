/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <linux/pci_regs.h>
#include <string.h>

/* ---- The owner ---- */

static int on_features(void *arg)
{
	struct device *d = arg;

	d->n_features++;
	return d->features_result;
}

static void on_start(void *arg)
{
	((struct device *)arg)->n_start++;
}

static int on_reset(void *arg)
{
	struct device *d = arg;

	d->n_reset++;
	return d->reset_result;
}

static int on_enable(void *arg, unsigned q)
{
	struct device *d = arg;

	d->n_enable++;
	d->last_queue = q;
	return d->enable_result;
}

static int on_reset_queue(void *arg, unsigned q)
{
	struct device *d = arg;

	d->n_queue_reset++;
	d->last_queue = q;
	return d->queue_reset_result;
}

static void on_notify(void *arg, unsigned q)
{
	struct device *d = arg;

	d->n_notify++;
	d->last_queue = q;
}

static void on_vector(void *arg, unsigned q)
{
	struct device *d = arg;

	d->n_vector++;
	d->last_queue = q;
}

static void on_read(void *arg, uint32_t offset, void *buf, size_t len)
{
	const struct device *d = arg;

	assert_true(offset + len <= DEVICE_CONFIG);
	memcpy(buf, d->config + offset, len);
}

static void on_write(void *arg, uint32_t offset, const void *buf, size_t len)
{
	struct device *d = arg;

	assert_true(offset + len <= DEVICE_CONFIG);
	memcpy(d->config + offset, buf, len);
}

static const struct vh_virtio_pci_ops ops = {
	.set_features = on_features,
	.start = on_start,
	.reset = on_reset,
	.enable = on_enable,
	.reset_queue = on_reset_queue,
	.notify = on_notify,
	.vector_changed = on_vector,
	.read_config = on_read,
	.write_config = on_write,
};

void device_make(struct device *d)
{
	const struct vh_virtio_pci_params p = {
		.ids = {.vendor = 0x1af4, .device = 0x1042, .revision = 1},
		.features = DEVICE_FEATURES,
		.n_queues = DEVICE_QUEUES,
		.queue_size = DEVICE_SIZE,
		.config_size = DEVICE_CONFIG,
		.n_vectors = DEVICE_VECTORS,
		.ops = &ops,
		.arg = d,
	};

	memset(d, 0, sizeof(*d));
	assert_int_equal(vh_virtio_pci_init(&d->vp, &p), 0);
}

/* ---- Accesses ---- */

uint64_t device_get(struct device *d, uint64_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(vh_pci_bar_read(&d->vp.fn, 0, at, &v, len), 0);
	return v;
}

int device_put(struct device *d, uint64_t at, uint64_t v, size_t len)
{
	return vh_pci_bar_write(&d->vp.fn, 0, at, &v, len);
}

/* ---- The driver ---- */

void device_accept(struct device *d, uint64_t features)
{
	device_put(d, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	device_put(d, VIRTIO_PCI_COMMON_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
	device_put(d, VIRTIO_PCI_COMMON_STATUS, 3, 1);
	for (unsigned half = 0; half < 2; half++) {
		device_put(d, VIRTIO_PCI_COMMON_GFSELECT, half, 4);
		device_put(d, VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> (32 * half)),
			   4);
	}
	device_put(d, VIRTIO_PCI_COMMON_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK, 1);
}

void device_queue(struct device *d, unsigned q)
{
	const uint64_t at = 0x100000000 + 0x10000 * q;

	device_put(d, VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
	device_put(d, VIRTIO_PCI_COMMON_Q_SIZE, 64, 2);
	device_put(d, VIRTIO_PCI_COMMON_Q_MSIX, q + 1, 2);
	device_put(d, VIRTIO_PCI_COMMON_Q_DESCLO, at, 8);
	device_put(d, VIRTIO_PCI_COMMON_Q_AVAILLO, at + 0x1000, 8);
	device_put(d, VIRTIO_PCI_COMMON_Q_USEDLO, at + 0x2000, 8);
	device_put(d, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

void device_run(struct device *d)
{
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	vh_pci_config_write(&d->vp.fn, PCI_COMMAND, &command, sizeof(command));
	device_accept(d, DEVICE_FEATURES);
	device_put(d, VIRTIO_PCI_COMMON_MSIX, 0, 2);
	for (unsigned q = 0; q < DEVICE_QUEUES; q++)
		device_queue(d, q);
	device_put(d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
}
