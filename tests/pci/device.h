/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of virtio-pci: a device whose owner notes what it is told, and short words
 * for the accesses of its driver.
 */
#ifndef TESTS_PCI_DEVICE_H
#define TESTS_PCI_DEVICE_H

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/virtio_pci.h"

#define DEVICE_QUEUES  3u
#define DEVICE_SIZE    128u
#define DEVICE_VECTORS 4u
#define DEVICE_CONFIG  24u
#define DEVICE_FEATURES \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_RING_RESET | 1ULL << 5)

/* Where lib/pci/virtio_pci.h says that they are. */
enum { ISR = 0x1000, CONFIG = 0x2000, NOTIFY = 0x3000 };

struct device {
	struct vh_virtio_pci vp;
	/* What the owner was told, how often. */
	unsigned n_features, n_start, n_reset, n_enable, n_queue_reset, n_notify,
		n_vector;
	unsigned last_queue;
	uint8_t config[DEVICE_CONFIG];
	/* What it answers. */
	int features_result, reset_result, enable_result, queue_reset_result;
};

void device_make(struct device *d);

/* One access to BAR 0 each. */
uint64_t device_get(struct device *d, uint64_t at, size_t len);
int device_put(struct device *d, uint64_t at, uint64_t v, size_t len);

/* ---- A driver that keeps the rules ---- */

void device_accept(struct device *d, uint64_t features); /* up to FEATURES_OK */
void device_queue(struct device *d, unsigned q);
void device_run(struct device *d); /* all of it, all queues, vector q + 1, 0 for config */
static inline uint8_t device_status(struct device *d)
{
	return (uint8_t)device_get(d, VIRTIO_PCI_COMMON_STATUS, 1);
}

#endif
