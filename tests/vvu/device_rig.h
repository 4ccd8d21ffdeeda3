/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-vhost-user device on a thread of its own, and both who use it: a guest's
 * driver that does by hand what a driver does, at the registers, through a VMM of ours;
 * and a front-end of bytes.
 */
#ifndef TESTS_VVU_DEVICE_RIG_H
#define TESTS_VVU_DEVICE_RIG_H

#include "../conn/rig.h"
#include "../vfu/client.h"

#include <pthread.h>

#include "pci/virtio_drv.h"
#include "ring/driver.h"
#include "spec/vvu.h"
#include "vvu/vvu_pci.h"

#define DEV_RING    16u
#define DEV_BUFFER  1024u
#define DEV_VECTORS 8u /* 0 config, 1 rx, 2 tx, then of vrings 0, 1, ... */

struct dev_options {
	enum vh_vvu_profile_id profile;
	bool accept_ready, poll_doorbells, no_area;
	uint64_t file; /* size of the front-end's memory, a file known before; 0: trapped
			*/
	uint64_t bar_size; /* 0: 64M */
	uint32_t buffer; /* of rx; 0: DEV_BUFFER                                       */
	bool no_buffers; /* the driver posts none by itself                            */
	bool no_guest;	 /* another one comes */
};

struct dev {
	struct rig *rig;
	struct dev_options o;
	char vmm[80], front[80], memory[80];
	struct vh_reactor *reactor;
	pthread_t thread;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_vvu_pci *device;

	/* The guest. */
	struct vh_pci_host *host;
	struct vh_virtio_drv drv;
	struct vh_pci_dma dma; /* the guest's memory */
	int dma_fd;
	struct vh_driver_ring *ring[VH_VVU_QUEUES];
	uint8_t *rx[DEV_RING], *tx;
	int vector[DEV_VECTORS];

	/* The front-end. */
	int fd;
};

int dev_setup(void **state);
int dev_teardown(void **state);

#define DEV_TEST(fn) cmocka_unit_test_setup_teardown(fn, dev_setup, dev_teardown)

/* Make the device, and have a VMM connect. */
void dev_open(struct dev *d, const struct dev_options *o);
/* Everything goes, in an order that happens. */
void dev_close(struct dev *d);

void dev_stats(struct dev *d, struct vh_vvu_pci_stats *s);

/* ---- The guest ---- */

void guest_connect(struct dev *d);
void guest_disconnect(struct dev *d);
/* The driver's steps up to DRIVER_OK; @features beside VERSION_1. */
void guest_begin(struct dev *d, uint64_t features);
void guest_set_queues(struct dev *d);
void guest_start(struct dev *d, uint64_t features);
void guest_reset(struct dev *d);
/* The VMM takes the guest's memory away, and gives it back. */
void guest_map(struct dev *d);
void guest_unmap(struct dev *d);

uint32_t guest_status(struct dev *d);
void guest_set_status(struct dev *d, uint32_t status);
/* BACKEND_UP, and in. */
void guest_is_ready(struct dev *d);
uint8_t guest_isr(struct dev *d);
bool guest_needs_reset(struct dev *d);

/* Wait for an interrupt; was there one? */
void guest_hear(struct dev *d, unsigned vector);
bool guest_heard(struct dev *d, unsigned vector);

void guest_add_rx(struct dev *d, unsigned i, uint32_t len);
/* The next message: its length as the ring says, or -1 when none comes for a while. */
int guest_recv(struct dev *d, void *msg);
/* A message of this number must come. */
void guest_expect(struct dev *d, uint32_t id);
/* @len bytes as they are; returns when the device is done with them, if it is. */
void guest_send(struct dev *d, const void *bytes, size_t len);
/* The answer to @id: a u64. */
void guest_reply(struct dev *d, uint32_t id, uint64_t value);

const struct vh_virtio_place *guest_place(struct dev *d, uint8_t type, int id);
uint64_t guest_read(struct dev *d, unsigned bar, uint64_t offset, unsigned width);
void guest_write(struct dev *d, unsigned bar, uint64_t offset, unsigned width,
		 uint64_t value);
void guest_ring(struct dev *d, unsigned doorbell, unsigned width);
/* Write select and vector; what reads back. */
uint16_t guest_set_vector(struct dev *d, uint16_t vring, uint16_t vector);
/* Bytes of the window. */
void guest_peek(struct dev *d, uint64_t at, void *buf, size_t len);

/* ---- The front-end ---- */

void front_connect(struct dev *d);
void front_close(struct dev *d);
void front_say(struct dev *d, uint32_t id, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds);
void front_say_u64(struct dev *d, uint32_t id, uint64_t value);
/* SET_VRING_KICK, CALL or ERR with an eventfd, which is the caller's; and without. */
int front_wire(struct dev *d, uint32_t id, unsigned vring);
void front_unwire(struct dev *d, uint32_t id, unsigned vring);
/* The answer: its u64. */
uint64_t front_hear(struct dev *d, uint32_t id);
/* It was closed from the other side: waits for that. */
bool front_is_closed(struct dev *d);

/* A driver that is ready, a front-end that is there, and nothing said yet. */
void dev_session(struct dev *d, uint64_t features);

/* An eventfd became readable (waits), or is. */
void signal_wait(int fd);
bool signal_came(int fd);
/* It does not within a while. */
bool signal_stays_away(int fd);

#endif
