/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of a modern virtio-pci device: finds its structures by capability,
 * negotiates, sets queues up.  Rings and their memory are the caller's.
 * Control thread.
 */
#ifndef VH_PCI_VIRTIO_DRV_H
#define VH_PCI_VIRTIO_DRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/host.h"

/* Where a capability says that something is. */
struct vh_virtio_place {
	uint8_t type, bar, id;
	uint64_t offset, length;
	uint32_t more; /* the le32 behind it (a multiplier), or 0 */
	bool present;
};

#define VH_VIRTIO_MAX_PLACES 16

struct vh_virtio_drv {
	struct vh_pci_host *host; /* borrowed */
	struct vh_virtio_place common, notify, isr, config;
	struct vh_virtio_place
		place[VH_VIRTIO_MAX_PLACES]; /* all of them, in list order */
	unsigned n_places;
	uint64_t features;
};

/* Find the structures.  0; -ENODEV: no modern virtio device (logged); or -errno. */
int vh_virtio_drv_init(struct vh_virtio_drv *d, struct vh_pci_host *host);
/* The first place of @type with @id (-1: any), or NULL. */
const struct vh_virtio_place *vh_virtio_drv_place(const struct vh_virtio_drv *d,
						  uint8_t type, int id);

/*
 * Reset, ACKNOWLEDGE, DRIVER, features: takes what is offered of @wanted, and must get
 * @required.  0 or -errno (logged).
 */
int vh_virtio_drv_begin(struct vh_virtio_drv *d, uint64_t wanted, uint64_t required);

/*
 * Set queue @q up: *@size is the largest wanted, then the one taken.  The addresses are
 * the device's; @vector may be 0xffff.  0 or -errno (logged).
 */
int vh_virtio_drv_queue_size(struct vh_virtio_drv *d, unsigned q, uint16_t *size);
int vh_virtio_drv_enable(struct vh_virtio_drv *d, unsigned q, uint16_t size,
			 uint64_t desc, uint64_t avail, uint64_t used, uint16_t vector);
int vh_virtio_drv_config_vector(struct vh_virtio_drv *d, uint16_t vector);
int vh_virtio_drv_ready(struct vh_virtio_drv *d); /* DRIVER_OK */
int vh_virtio_drv_reset(struct vh_virtio_drv *d);
/* The status register; -ENODEV: the device is gone (all ones). */
int vh_virtio_drv_status(struct vh_virtio_drv *d);

int vh_virtio_drv_notify(struct vh_virtio_drv *d, unsigned q);
/* Where in the BAR of d->notify that is written. */
int vh_virtio_drv_notify_offset(struct vh_virtio_drv *d, unsigned q, uint64_t *offset);
int vh_virtio_drv_isr(struct vh_virtio_drv *d, uint8_t *isr);
int vh_virtio_drv_read_config(struct vh_virtio_drv *d, unsigned offset, unsigned width,
			      uint64_t *value);
int vh_virtio_drv_write_config(struct vh_virtio_drv *d, unsigned offset, unsigned width,
			       uint64_t value);

#endif
