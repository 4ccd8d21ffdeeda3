/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any device model as a virtio-pci function over vfio-user: the registers of
 * lib/pci, offered by lib/vfu, drive the front-end's machine (lib/proto) over a loop:
 * connector, at whose other end is an ordinary session.  A driver's queue_enable becomes
 * SET_VRING_NUM, BASE, ADDR and KICK, the VMM's DMA_MAP becomes ADD_MEM_REG, its vectors
 * become SET_VRING_CALL; the data path is the device's alone.  Control thread.
 */
#ifndef VH_VPCI_VPCI_H
#define VH_VPCI_VPCI_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"

struct vh_vpci;

struct vh_vpci_params {
	const char *address; /* "PATH[,mode=OCTAL][,group=NAME]": where to listen       */
	const char *backend; /* "loop:NAME"; its back-end may come later                */
	const char *tag;
	uint16_t virtio_id;
	unsigned n_queues;
	uint32_t config_size;
};

/*
 * The socket is there on return; what is written to registers waits for the back-end.
 * 0 or -errno (logged).
 */
int vh_vpci_open(struct vh_reactor *r, const struct vh_vpci_params *p,
		 struct vh_vpci **v);
void vh_vpci_close(struct vh_vpci *v); /* NULL is fine */

struct vh_vpci_stats {
	bool connected; /* a VMM is there */
	uint64_t clients, faults;
};

void vh_vpci_read_stats(const struct vh_vpci *v, struct vh_vpci_stats *s);

#endif
