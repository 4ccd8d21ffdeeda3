/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-pci adapter as a guest sees it: a plain PCI function, offered by vfio-user,
 * on a relay (relay.h) and a window (window.h); the other way to do what vvu_pci.h does.
 * docs/design/010 says when it is the better one.  Control thread.
 */
#ifndef VH_VVU_ADAPTER_H
#define VH_VVU_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "vfu/vfu.h"
#include "vvu/area.h"
#include "vvu/relay.h"
#include "vvu/window.h"

struct vh_adapter;

struct vh_adapter_params {
	const char *pci;   /* "PATH[,mode=OCTAL][,group=NAME]": where to listen */
	const char *front; /* the front-end's address                           */
	const char *tag;   /* all three are copied                              */
	bool accept_early;
	uint32_t device_id; /* of virtio: what the driver is to serve; 0: anything */
	uint8_t uuid[16];
	struct vh_window *window; /* borrowed, and longer there than the device     */
	struct vh_area *area;	  /* likewise; NULL: neither log nor inflight area  */
};

/* 0; -EOPNOTSUPP: a window that is no BAR (logged); or another -errno (logged). */
int vh_adapter_open(struct vh_reactor *r, const struct vh_adapter_params *p,
		    struct vh_adapter **a);
void vh_adapter_close(struct vh_adapter *a); /* NULL is fine */

struct vh_adapter_stats {
	bool live, connected; /* a driver is ready; a front-end is there, too */
	uint32_t status, error, session; /* as the registers have them  */
	uint64_t failed;		 /* times that a reset was due  */
	struct vh_relay_stats relay;
	struct vh_vfu_stats vfu;
};

void vh_adapter_read_stats(const struct vh_adapter *a, struct vh_adapter_stats *s);

#endif
