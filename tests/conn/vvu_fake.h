/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-vhost-user device for tests of its driver: the registers are the library's,
 * what is behind them is under the test's control, and so may be wrong.  It is on a bus
 * of its own, "fake:", in this process and thread.
 */
#ifndef VH_TESTS_CONN_VVU_FAKE_H
#define VH_TESTS_CONN_VVU_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/host.h"
#include "pci/virtio_pci.h"
#include "spec/vvu.h"

#define FAKE_WINDOW    0x40000u /* bytes of memory in BAR 4        */
#define FAKE_AREA      0x10000u /* the log, and the inflight area  */
#define FAKE_LOG       0x2000u	/* their places in BAR 2           */
#define FAKE_INFLIGHT  0x12000u
#define FAKE_MAX_PLUGS 4u

/* What differs from a device in good order. */
struct fake_shape {
	unsigned n_vectors;  /* 0: 259                                             */
	unsigned n_vrings;   /* 0: 256                                             */
	unsigned no_vectors; /* interrupts that the machine lacks, from the last on */
	bool no_window, no_areas, polls, no_notification;
	bool refuses_vectors; /* for kicks */
	uint64_t no_features;
};

struct fake_queue {
	uint16_t avail, used; /* how far it came */
};

struct fake {
	struct vh_pci_host h;
	struct fake_shape shape;
	struct vh_virtio_pci vp;
	bool is_open, is_gone;
	uint8_t config[24];
	struct fake_queue queue[2];
	uint16_t select, vector[VH_VVU_MAX_VRINGS]; /* of the notification structure */
	unsigned bells[2 * VH_VVU_MAX_VRINGS + 1];  /* how often each was written    */
	unsigned n_notified, n_resets;
	int bar2, bar4;	 /* files behind the BARs */
	uint8_t *memory; /* of BAR 4, mapped      */
	uint8_t *polled; /* of BAR 2              */
	uint8_t *dma;
	size_t dma_len;
	int *irq;
	unsigned n_irq;
	int gone; /* eventfd */
	/* Windows that are plugged. */
	struct fake_plug {
		struct vh_pci_host h;
		struct vh_pci_function fn;
		bool is_there, is_open;
		int fd;
	} plug[FAKE_MAX_PLUGS];
};

/* vvu_fake_bus.c: the bus, and the device that it has. */
#define FAKE_IOVA 0x40000000u
extern const struct vh_pci_bus fake_bus;
extern struct fake *fake_now;

/* The one there is.  @shape NULL: in good order. */
struct fake *fake_make(const struct fake_shape *shape);
void fake_free(struct fake *f);

uint32_t fake_status(const struct fake *f);
/* The device changes it, and interrupts. */
void fake_set_status(struct fake *f, uint32_t status);
/* ... without the interrupt. */
void fake_set_status_quietly(struct fake *f, uint32_t status);
/* A front-end comes: BACKEND_UP must be set. */
void fake_arrive(struct fake *f);
void fake_depart(struct fake *f);

/* Put @len bytes into the next rx buffer, and say that it were @used_len. */
void fake_put(struct fake *f, const void *bytes, size_t len, uint32_t used_len);
void fake_send(struct fake *f, uint32_t id, uint32_t flags, const void *payload,
	       uint32_t size);
/* The next message that the driver sent; its payload's size, or -1: none. */
int fake_take(struct fake *f, uint32_t *id, uint32_t *flags, void *payload, size_t size);
/* A used element that names a buffer which the device does not have. */
void fake_break_queue(struct fake *f);

/* The vring's kick, by the vector that the driver gave it. */
void fake_kick(struct fake *f, unsigned vring);
void fake_interrupt(struct fake *f, uint16_t vector);

/* A window function with @number and @len bytes comes; its memory, mapped. */
uint8_t *fake_plug(struct fake *f, uint16_t number, const uint8_t uuid[16], size_t len);

#endif
