/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the vhostpci: connector share: the driver of a vhost-pci adapter
 * (spec/adapter.h).
 *
 *	vhostpci.c		the connector: life, messages
 *	vhostpci_device.c	the device is started, asked, reset
 *	vhostpci_memory.c	memory, areas, kicks and doorbells
 */
#ifndef VH_CONN_VHOSTPCI_H
#define VH_CONN_VHOSTPCI_H

#include "conn/barmap.h"
#include "conn/connector.h"
#include "conn/msgq.h"
#include "conn/vectors.h"
#include "conn/waker.h"
#include "spec/adapter.h"

enum vh_vhostpci_state {
	VH_VHOSTPCI_OFF,     /* to be said: that we are ready                  */
	VH_VHOSTPCI_WAITING, /* for a front-end                                */
	VH_VHOSTPCI_UP,
	VH_VHOSTPCI_QUIESCED, /* it went; to be said: that we use nothing of it */
	VH_VHOSTPCI_LEAVING,  /* we go; the same                                */
	VH_VHOSTPCI_GONE,     /* there is no device any more                    */
};

struct vh_vhostpci {
	struct vh_connector c;
	struct vh_pci_host *host; /* owned */
	enum vh_vhostpci_state state;
	bool is_up; /* and the session was told so                     */
	bool held;
	bool look;	  /* the device's status may have changed        */
	bool broken;	  /* only a reset helps                          */
	bool has_channel; /* back-end requests may be sent               */
	struct vh_msgq q;
	struct vh_waker waker;
	struct vh_vectors vectors;
	/* What the device says. */
	uint64_t features; /* that we took */
	uint32_t stride, session;
	struct vh_barmap_window *window, *area; /* BARs; NULL: there is none */
};

static inline struct vh_vhostpci *vh_vhostpci_of(struct vh_connector *c)
{
	return (struct vh_vhostpci *)c;
}

static inline bool vh_vhostpci_has(const struct vh_vhostpci *v, unsigned bit)
{
	return v->features >> bit & 1;
}

/* ---- vhostpci_device.c ---- */

/* A register of 32 bits.  0 or -errno: -ENODEV, the device is gone. */
int vh_vhostpci_read(struct vh_vhostpci *v, uint64_t reg, uint32_t *value);
int vh_vhostpci_read64(struct vh_vhostpci *v, uint64_t reg, uint64_t *value);
int vh_vhostpci_write(struct vh_vhostpci *v, uint64_t reg, uint32_t value);

/* See that it is an adapter, and begin.  0 or -errno (logged). */
int vh_vhostpci_find(struct vh_vhostpci *v);
/* From reset to READY.  0 or -errno (logged). */
int vh_vhostpci_start(struct vh_vhostpci *v);
/* Ready, or not any more: all queues stay where they are.  0 or -errno. */
int vh_vhostpci_set_ready(struct vh_vhostpci *v, bool ready);

/* ---- vhostpci_memory.c ---- */

/* The windows in its BARs.  0 or -errno (logged). */
int vh_vhostpci_find_windows(struct vh_vhostpci *v);
void vh_vhostpci_close_windows(struct vh_vhostpci *v);
/* Something of the front-end's is still mapped. */
bool vh_vhostpci_uses_memory(const struct vh_vhostpci *v);
int vh_vhostpci_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		    struct vh_msg *m, const struct vh_map *old,
		    struct vh_mapping **mapping, bool *changed);
int vh_vhostpci_map_area(struct vh_connector *c, struct vh_msg *m,
			 struct vh_mapping **mapping);
int vh_vhostpci_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m);
int vh_vhostpci_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s);
/* struct vh_vectors.place */
int vh_vhostpci_place_kick(void *arg, unsigned vring, uint16_t vector);

#endif
