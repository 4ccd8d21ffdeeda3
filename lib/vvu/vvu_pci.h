/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-vhost-user device as a guest sees it: a virtio-pci function, offered by
 * vfio-user, on a relay (relay.h) and a window (window.h).  Registers, two queues of
 * messages, doorbells and interrupts; what messages mean is the relay's.  Control thread.
 */
#ifndef VH_VVU_VVU_PCI_H
#define VH_VVU_VVU_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "vfu/vfu.h"
#include "vvu/area.h"
#include "vvu/relay.h"
#include "vvu/window.h"

struct vh_vvu_pci;

/* For which driver the registers are laid out: docs/design/007. */
enum vh_vvu_profile_id {
	VH_VVU_MODERN, /* finds everything by capability              */
	VH_VVU_BAR2,   /* all in BAR 2, where the first drivers look  */
	VH_VVU_CROSVM,
	VH_VVU_PROFILES,
};

struct vh_vvu_pci_params {
	const char *pci;   /* "PATH[,mode=OCTAL][,group=NAME]": where to listen        */
	const char *front; /* the front-end's address                                  */
	const char *tag;   /* both, and this, are copied                               */
	enum vh_vvu_profile_id profile;
	bool accept_early;
	bool poll_doorbells; /* offer counters in memory                           */
	uint8_t uuid[16];
	struct vh_window *window; /* borrowed, and longer there than the device */
	struct vh_area *area;	  /* likewise; NULL: neither log nor inflight area */
};

/* 0; -EOPNOTSUPP: these do not go together (logged); or another -errno (logged). */
int vh_vvu_pci_open(struct vh_reactor *r, const struct vh_vvu_pci_params *p,
		    struct vh_vvu_pci **v);
void vh_vvu_pci_close(struct vh_vvu_pci *v); /* NULL is fine */

struct vh_vvu_pci_stats {
	bool driver_ok;	 /* the guest's driver runs             */
	uint32_t status; /* VH_VVU_BACKEND_UP, FRONTEND_UP      */
	uint64_t broken; /* times that the device needed a reset */
	struct vh_relay_stats relay;
	struct vh_vfu_stats vfu;
};

void vh_vvu_pci_read_stats(const struct vh_vvu_pci *v, struct vh_vvu_pci_stats *s);

#endif
