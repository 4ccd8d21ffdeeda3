/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-vhost-user: the registers of a device that hands the back-end side of a
 * vhost-user connection to a guest.  No standard has it; docs/design/007 says
 * which of the drafts this follows and what it adds.  All little-endian.
 */
#ifndef VH_SPEC_VVU_H
#define VH_SPEC_VVU_H

#include <stdint.h>

/* Vendor capabilities of virtio (cfg_type), beside the standard's 1-5 and 8. */
#define VH_VVU_CAP_DOORBELL	6 /* le32 multiplier follows */
#define VH_VVU_CAP_NOTIFICATION 7
#define VH_VVU_CAP_MEMORY	8 /* the standard's shared memory */

/* Its id. */
#define VH_VVU_SHM_MEMORY   1
#define VH_VVU_SHM_LOG	    2
#define VH_VVU_SHM_INFLIGHT 3

#define VH_VVU_MAX_VRINGS 256u

struct vh_vvu_config {
	uint32_t status;
	uint32_t max_vhost_queues;
	uint8_t uuid[16];
};

#define VH_VVU_BACKEND_UP  1u /* the driver is ready      */
#define VH_VVU_FRONTEND_UP 2u /* a front-end is connected */

enum vh_vvu_queue { VH_VVU_RXQ, VH_VVU_TXQ, VH_VVU_QUEUES };

/* Registers of the notification structure. */
#define VH_VVU_NOTIFY_SELECT 0u /* le16: a vring         */
#define VH_VVU_NOTIFY_VECTOR 2u /* le16: its MSI-X vector */

/* Doorbells: call of vring n, err of vring n, log; N is max_vhost_queues. */
#define VH_VVU_DOORBELL_CALL(n)	  (n)
#define VH_VVU_DOORBELL_ERR(N, n) ((N) + (n))
#define VH_VVU_DOORBELL_LOG(N)	  (2 * (N))
#define VH_VVU_N_DOORBELLS(N)	  (2 * (N) + 1)

/* Virtio feature bits of the device: what the driver can cope with. */
#define VH_VVU_F_BACKEND_REQ 0 /* back-end requests on the two queues              */
#define VH_VVU_F_LOG	     1 /* the dirty log in shared memory 2                 */
#define VH_VVU_F_INFLIGHT    2 /* the inflight area in shared memory 3             */
#define VH_VVU_F_NOTIFY	     3 /* takes kicks by interrupt                         */
#define VH_VVU_F_LONG_MSG    4 /* its rx buffers have 4096 bytes or more, not 1024 */
/*
 * Doorbells are memory that the device polls, too: counters, le32 each, one page behind
 * the doorbells. The driver adds 1 to that of doorbell n in place of a write to it.  They
 * have a page of their own since a driver that did not take this bit needs the others,
 * whose writes reach the device, and what a VMM maps cannot change any more.
 */
#define VH_VVU_F_DOORBELL_POLL	   5
#define VH_VVU_DOORBELL_COUNTER(n) (0x1000u + 4 * (n)) /* from doorbell 0 on */

/* PCI identities. */
#define VH_VVU_PCI_VENDOR 0x1af4
#define VH_VVU_PCI_DEVICE 0x106b /* modern: 0x1040 + 43 */
#define VH_VVU_PCI_CLASS  0x00ff00u

/*
 * Window functions, where memory comes with a PCI function of its own that is plugged
 * into the guest: no virtio device, no interrupts.  Its BAR 2 is one file of the
 * front-end's from byte 0 on; a vendor capability (id 9) says whose and which it is.
 *
 * The place of a region in the window then says where to look: its upper 16 bits are the
 * number of the function, or 0 for shared memory 1 of the device itself; the others are
 * the offset there.  Numbers are not used again before 65535 others were.  A function is
 * plugged before a message speaks of it; the guest's kernel may see it later than the
 * driver sees the message, so the driver waits for it.  It gives a function back when no
 * region lies there any more, or when it is asked to.
 */
#define VH_VVU_WINDOW_DEVICE 0x10f1
#define VH_VVU_WINDOW_BAR    2u
#define VH_VVU_WINDOW_CAP    9 /* struct vh_vvu_window_cap, from its first byte */

struct vh_vvu_window_cap {
	uint8_t id, next;
	uint8_t len; /* of all of it: 24 */
	uint8_t zero;
	uint8_t uuid[16]; /* of the device           */
	uint16_t number;  /* of the function, from 1 */
	uint16_t zero2;
};

#define VH_VVU_PLACE(number, offset) ((uint64_t)(number) << 48 | (offset))
#define VH_VVU_PLACE_NUMBER(at)	     ((uint16_t)((at) >> 48))
#define VH_VVU_PLACE_OFFSET(at)	     ((at) & ((1ull << 48) - 1))

/*
 * The device behind a generic vhost-user device: no capabilities 6 and 7, the window is
 * shared memory 1.  Queue 2 + n is vring n's: a notification is its call, an interrupt
 * its kick, and nothing is ever put into it.  The ID is one that QEMU has a name for,
 * without which it does not start, and that no driver takes.
 */
#define VH_VVU_SHM_VIRTIO_ID 21
#define VH_VVU_SHM_VRINGS    16u
#define VH_VVU_SHM_QUEUE(n)  (VH_VVU_QUEUES + (n))

/* The vhost-pci adapter: docs/design/010. */
#define VH_VPCI_ADAPTER_DEVICE 0x10f0

#endif
