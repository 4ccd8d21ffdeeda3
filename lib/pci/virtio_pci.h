/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of a modern virtio-pci device ("Virtio Over PCI Bus"): common
 * configuration, notifications, ISR, device configuration, PCI access, on a struct
 * vh_pci_function.  Checks what the driver writes and tells the owner what it means;
 * rings are the owner's.  Pure.
 *
 * All in BAR 0: common at 0, ISR at 0x1000, device configuration at 0x2000, notify at
 * 0x3000 with a multiplier of 4 (queue_notify_off is the queue's index), [0x4000, 0x8000)
 * is the owner's to add blocks to.  MSI-X is in BAR 1.
 */
#ifndef VH_PCI_VIRTIO_PCI_H
#define VH_PCI_VIRTIO_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/function.h"

#define VH_VIRTIO_PCI_MAX_QUEUES 256u
#define VH_VIRTIO_PCI_NO_VECTOR	 0xffffu
#define VH_VIRTIO_PCI_BAR0_SIZE	 0x8000u
#define VH_VIRTIO_PCI_OWN	 0x4000u /* where the owner's blocks may begin */

/* Bits of the ISR; with MSI-X, too, as drivers look at it. */
#define VH_ISR_QUEUE  1u
#define VH_ISR_CONFIG 2u

struct vh_virtio_pci_queue {
	uint16_t size, max_size;
	uint16_t vector;
	uint64_t desc, avail, used; /* addresses of the driver */
	bool enabled;
	bool reset; /* queue_reset was written, and is under way: reads as 1 */
};

struct vh_virtio_pci;

struct vh_virtio_pci_ops {
	/*
	 * The driver wrote FEATURES_OK: @vp->driver_features, a subset of the offered
	 * ones. 0, or -errno: the bit stays 0.
	 */
	int (*set_features)(void *arg);
	/* DRIVER_OK. */
	void (*start)(void *arg);
	/*
	 * 0 was written to the status, or the function was reset: back to the beginning.
	 * May be -EINPROGRESS: the registers read as they were, and the driver's writes
	 * are lost, until vh_virtio_pci_reset_done().  Never called again before that.
	 */
	int (*reset)(void *arg);
	/*
	 * Queue @q is enabled: its addresses and size stay until it is reset.  0, or
	 * -errno: the driver reads that it is not.  May come before .start.
	 */
	int (*enable)(void *arg, unsigned q);
	/* As .reset, for one queue that is enabled (VIRTIO_F_RING_RESET);
	 * vh_virtio_pci_queue_reset_done().  NULL: at once. */
	int (*reset_queue)(void *arg, unsigned q);
	/*
	 * The driver has buffers for @q, which is enabled, and the device is running.
	 * There may be some without it: .start looks at all queues.
	 */
	void (*notify)(void *arg, unsigned q);
	/* The vector of @q, which is enabled, changed.  May be NULL. */
	void (*vector_changed)(void *arg, unsigned q);
	/* Device configuration; any range inside of config_size.  @write may be NULL. */
	void (*read_config)(void *arg, uint32_t offset, void *buf, size_t len);
	void (*write_config)(void *arg, uint32_t offset, const void *buf, size_t len);
};

struct vh_virtio_pci {
	struct vh_pci_function fn;
	const struct vh_virtio_pci_ops *ops;
	void *arg;
	/* Fixed. */
	uint64_t features; /* offered */
	unsigned n_queues;
	uint32_t config_size;
	/* Registers. */
	uint64_t driver_features;
	uint32_t feature_select, driver_feature_select;
	uint8_t status; /* VIRTIO_CONFIG_S_... */
	bool resetting;
	uint8_t isr, generation;
	uint16_t config_vector, queue_select;
	struct vh_virtio_pci_queue queue[VH_VIRTIO_PCI_MAX_QUEUES];
	uint8_t access; /* the PCI-access capability's place */
};

struct vh_virtio_pci_params {
	struct vh_pci_ids ids;
	uint64_t features; /* VERSION_1 among them                             */
	unsigned n_queues;
	uint16_t queue_size; /* the largest; a power of two                    */
	uint32_t config_size;
	unsigned n_vectors; /* of MSI-X                                        */
	const struct vh_virtio_pci_ops *ops;
	void *arg;
};

/*
 * The function with its capabilities, BARs 0 and 1 and blocks; the owner may add others.
 * 0 or -EINVAL.
 */
int vh_virtio_pci_init(struct vh_virtio_pci *vp, const struct vh_virtio_pci_params *p);

/*
 * Add a vendor capability of virtio (struct virtio_pci_cap, then @n_more bytes of @more):
 * a place in a BAR that has @type.  0 or -errno.
 */
int vh_virtio_pci_add_cap(struct vh_virtio_pci *vp, uint8_t type, uint8_t bar, uint8_t id,
			  uint32_t offset, uint32_t length, const void *more,
			  size_t n_more);

/*
 * A reset of the function, or by its owner: all registers, and .reset is called.  0 or
 * -EINPROGRESS.
 */
int vh_virtio_pci_reset(struct vh_virtio_pci *vp);
void vh_virtio_pci_reset_done(struct vh_virtio_pci *vp);
void vh_virtio_pci_queue_reset_done(struct vh_virtio_pci *vp, unsigned q);

/*
 * What the device does: the vector to signal, or VH_VIRTIO_PCI_NO_VECTOR (the driver
 * wants none, is not ready, or has not let the function be master).  The ISR's bit is
 * set in any case.
 */
uint16_t vh_virtio_pci_config_changed(struct vh_virtio_pci *vp);
uint16_t vh_virtio_pci_used(struct vh_virtio_pci *vp, unsigned q);
/* DEVICE_NEEDS_RESET; the vector of configuration changes to signal if DRIVER_OK. */
uint16_t vh_virtio_pci_needs_reset(struct vh_virtio_pci *vp);

static inline bool vh_virtio_pci_is_running(const struct vh_virtio_pci *vp)
{
	return vp->status & 4 && !(vp->status & 0x40) && !vp->resetting;
}

#endif
