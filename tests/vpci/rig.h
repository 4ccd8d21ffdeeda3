/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device at vfio-user:PATH, served by a thread, and a VMM with a driver of virtio-pci
 * in its guest: the client of tests/vfu below the driver of lib/pci, with rings of
 * lib/ring in memory of its own.
 */
#ifndef TESTS_VPCI_RIG_H
#define TESTS_VPCI_RIG_H

#include "../session/pair.h"
#include "../vfu/client.h"
#include "../vfu/seen.h"

#include <vhost/stats.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "pci/virtio_drv.h"
#include "ring/driver.h"

#define RIG_QUEUES 2u
#define RIG_SIZE   64u /* of rings */

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

struct rig {
	char dir[32], path[64], address[96];
	int n_fds; /* open before the test */
	struct pair pair;
	struct vh_device *device;
	struct keeper keeper;
	struct vh_device_stats stats; /* of rig_stats() */
};

int rig_setup(void **state);	/* a folder, fds counted, the log empty  */
int rig_teardown(void **state); /* all is gone, no fd and no file is left */

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

/* Serve it.  @params end with a key of NULL; NULL: none. */
void rig_serve(struct rig *rig, const struct vh_device_ops *ops,
	       const struct vh_param *params);
void rig_end(struct rig *rig);
/* What the device says of itself. */
struct vh_device_stats rig_stats(struct rig *rig);
/* Have the control thread do it, and wait. */
void rig_do(struct rig *rig, void (*fn)(struct rig *rig));

/* ---- The VMM ---- */

struct vmm {
	struct vh_pci_host *host;
	struct vfu_client *c;
	struct vh_virtio_drv drv;
	struct vh_pci_dma mem;	    /* rings, and buffers from VMM_BUFFERS on      */
	int vector[1 + RIG_QUEUES]; /* eventfds: of configuration, and of each queue */
	struct vh_driver_ring *ring[RIG_QUEUES];
};

#define VMM_MEMORY  0x80000u
#define VMM_BUFFERS 0x40000u
#define VMM_RING    0x10000u /* bytes for each */

void vmm_open(struct vmm *m, const struct rig *rig);
void vmm_close(struct vmm *m); /* also one that is half open */

/* Reset, then features: those wanted that there are. */
void vmm_begin(struct vmm *m, uint64_t wanted);
void vmm_enable(struct vmm *m, unsigned q);
/* All: features, vectors, @n queues, DRIVER_OK. */
void vmm_start(struct vmm *m, uint64_t wanted, unsigned n);

/* Of a buffer in the VMM's memory, and its address for the device. */
uint8_t *vmm_buffer(const struct vmm *m, size_t offset);
/* One chain, told to the device. */
void vmm_add(struct vmm *m, unsigned q, const struct iovec *iov, unsigned n_out,
	     unsigned n_in);
/* The next that is done: waits for the queue's interrupt.  What was written of it. */
uint32_t vmm_get(struct vmm *m, unsigned q);
/* The same for a queue without a vector. */
uint32_t vmm_poll(struct vmm *m, unsigned q);
/* One buffer through queue @q, there and back. */
void vmm_use(struct vmm *m, unsigned q);
/* Until the eventfd is signalled. */
void vmm_wait(int fd);
/* So far it was not. */
bool vmm_is_quiet(int fd);
/* Nothing is to be read from the server now, and does not come soon either. */
bool vmm_hears_nothing(const struct vmm *m);
/* Waits until the device needs a reset, and told so. */
void vmm_expect_broken(struct vmm *m);
/* A register of the common configuration. */
uint64_t vmm_common(struct vmm *m, unsigned offset, unsigned width);
void vmm_set_common(struct vmm *m, unsigned offset, unsigned width, uint64_t value);

#endif
