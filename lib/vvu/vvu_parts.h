/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of the virtio-vhost-user device, for its own files only: vvu_registers.c,
 * vvu_doorbells.c, vvu_queues.c, vvu_profile.c; and vvu_pci.c, which puts them together.
 */
#ifndef VH_VVU_VVU_PARTS_H
#define VH_VVU_VVU_PARTS_H

#include "pci/virtio_pci.h"
#include "spec/vvu.h"
#include "vvu/bells.h"
#include "vvu/guestq.h"
#include "vvu/vvu_pci.h"

#define VH_VVU_N	     VH_VVU_MAX_VRINGS
#define VH_VVU_BELLS	     VH_VVU_N_DOORBELLS(VH_VVU_N)
#define VH_VVU_QUEUE_SIZE    256u
#define VH_VVU_VECTORS	     (1u + VH_VVU_QUEUES + VH_VVU_N)
#define VH_VVU_DOORBELL_PAGE 0x1000u
#define VH_VVU_DOORBELL_BAR  2u

/* What differs between the drivers that there are. */
struct vh_vvu_profile {
	const char *name;
	uint16_t device_id, virtio_id;
	uint8_t doorbell_stride;
	uint8_t window_bar, area_bar;
	uint32_t window_offset; /* in its BAR */
	enum vh_relay_layout layout;
	bool empty_buffer; /* an rx buffer of no bytes tells that the front-end went */
	bool takes_kicks;  /* without saying so by a feature                         */
};

struct vh_vvu_doorbells {
	struct vh_bells fds; /* eventfds in place of them */
	/* Counters: a file of two pages, of which the guest maps the second. */
	int file;	 /* -1: there are none */
	uint8_t *memory; /* its second page    */
	uint32_t last[VH_VVU_BELLS];
	struct vh_poller poller;
};

struct vh_vvu_pci {
	char tag[32];
	struct vh_reactor *reactor;
	const struct vh_vvu_profile *profile;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_virtio_pci regs;
	struct vh_vfu *vfu;
	struct vh_relay *relay;
	uint64_t broken;

	/* Registers of the device's own. */
	struct vh_vvu_config config;
	uint16_t select, vector[VH_VVU_N];

	/* Its queues. */
	struct vh_guestq queues;
	bool owes_empty; /* an empty buffer, for which there was none */

	struct vh_vvu_doorbells doorbells;
};

/* Something that only a reset mends: the session ends, the driver is told. */
void vh_vvu_pci_break(struct vh_vvu_pci *v, const char *why);
void vh_vvu_pci_interrupt(struct vh_vvu_pci *v, uint16_t vector);

/* ---- vvu_profile.c ---- */

extern const struct vh_vvu_profile vh_vvu_profiles[VH_VVU_PROFILES];

/* BARs, capabilities and blocks on v->regs; what of them the guest may map, in @shape.
 * 0 or -errno (logged). */
int vh_vvu_lay_out(struct vh_vvu_pci *v, struct vh_vfu_shape *shape);

/* ---- vvu_registers.c: device configuration, and the notification structure ---- */

void vh_vvu_read_config(void *arg, uint32_t offset, void *buf, size_t len);
void vh_vvu_write_config(void *arg, uint32_t offset, const void *buf, size_t len);
/* The driver said DRIVER_OK: what it wrote before counts now. */
void vh_vvu_registers_start(struct vh_vvu_pci *v);
void vh_vvu_registers_reset(struct vh_vvu_pci *v);
/* Change the status by ourselves, and tell the driver. */
void vh_vvu_set_status(struct vh_vvu_pci *v, uint32_t status);
/* Of a block of 4 bytes. */
void vh_vvu_read_notification(void *arg, uint64_t offset, void *buf, size_t len);
int vh_vvu_write_notification(void *arg, uint64_t offset, const void *buf, size_t len);

/* ---- vvu_doorbells.c ---- */

/* 0 or -errno (logged).  @counters: those in memory, too. */
int vh_vvu_doorbells_open(struct vh_vvu_pci *v, bool counters);
void vh_vvu_doorbells_close(struct vh_vvu_pci *v);
int vh_vvu_write_doorbell(void *arg, uint64_t offset, const void *buf, size_t len);
/* The page of counters, for who has not mapped it. */
void vh_vvu_read_counters(void *arg, uint64_t offset, void *buf, size_t len);
int vh_vvu_write_counters(void *arg, uint64_t offset, const void *buf, size_t len);
/* Begin to look at the counters, if the driver took them; and stop. */
int vh_vvu_doorbells_start(struct vh_vvu_pci *v);
void vh_vvu_doorbells_stop(struct vh_vvu_pci *v);

/* ---- vvu_queues.c ---- */

void vh_vvu_queues_init(struct vh_vvu_pci *v);
/* vh_relay_ops.deliver. */
int vh_vvu_deliver(void *arg, const void *msg, size_t len);
/* Look at queue @q: the driver put something there, or may have. */
void vh_vvu_queue_notified(struct vh_vvu_pci *v, unsigned q);
/* And at both, at the end of the turn. */
void vh_vvu_queues_look_again(struct vh_vvu_pci *v);
/* For drivers that want it, an rx buffer of no bytes. */
void vh_vvu_send_empty(struct vh_vvu_pci *v);
void vh_vvu_queues_stop(struct vh_vvu_pci *v);

#endif
