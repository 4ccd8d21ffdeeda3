/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the vvu: connector share: the driver of a virtio-vhost-user device.
 *
 *	vvu.c		the connector: life, messages
 *	vvu_device.c	the device is found, negotiated with, started, reset
 *	vvu_signal.c	where kicks come from, doorbells
 *	vvu_window.c	where the front-end's memory is
 *	vvu_shm.c	what is different behind a generic vhost-user device
 */
#ifndef VH_CONN_VVU_H
#define VH_CONN_VVU_H

#include "conn/barmap.h"
#include "conn/connector.h"
#include "conn/msgq.h"
#include "conn/vectors.h"
#include "conn/waker.h"
#include "pci/virtio_drv.h"
#include "spec/vvu.h"

enum vh_vvu_state {
	VH_VVU_OFF,	/* to be said: that we are ready          */
	VH_VVU_WAITING, /* for a front-end                        */
	VH_VVU_UP,
	VH_VVU_LEAVING, /* the device has not let go of it yet    */
	VH_VVU_GONE,	/* there is no device any more            */
};

struct vh_vvu {
	struct vh_connector c;
	struct vh_pci_host *host; /* owned */
	struct vh_virtio_drv drv;
	struct vh_msgq q;
	enum vh_vvu_state state;
	bool is_up; /* and the session was told so                          */
	bool held;
	bool look;	  /* the device's status may have changed             */
	bool broken;	  /* only a reset helps                               */
	bool has_channel; /* back-end requests may be sent                    */
	uint8_t uuid[16];
	unsigned n_bells; /* vrings that the device numbers doorbells for     */

	struct vh_waker waker;
	struct vh_vectors vectors;

	bool shm;		 /* vvu_shm.c                             */
	struct vh_pci_dma rings; /* of the vrings' queues there           */

	/* Doorbells. */
	uint8_t *bells; /* polled memory, mapped; NULL: registers */
	void *bells_base;
	size_t bells_len;

	/* Memory. */
	struct vh_barmap_window *own; /* window of the device itself; or NULL */
	struct vh_barmap_window *log, *inflight;
	struct vh_vvu_plugged *plugged; /* other functions                    */
	struct vh_msg late;		/* SET_MEM_TABLE that waits for one   */
	bool is_late;
	unsigned tries;
};

static inline struct vh_vvu *vh_vvu_of(struct vh_connector *c)
{
	return (struct vh_vvu *)c;
}

static inline bool vh_vvu_has(const struct vh_vvu *v, unsigned bit)
{
	return v->drv.features >> bit & 1;
}

/* ---- vvu_device.c ---- */

/* Find and start the device.  0 or -errno (logged). */
int vh_vvu_find_device(struct vh_vvu *v);
/* From reset to DRIVER_OK.  0 or -errno (logged). */
int vh_vvu_start(struct vh_vvu *v);
/* The status of the session, or -ENODEV. */
int vh_vvu_read_status(struct vh_vvu *v, uint32_t *status);
int vh_vvu_write_status(struct vh_vvu *v, uint32_t status);
/* It wants to be reset. */
bool vh_vvu_needs_reset(struct vh_vvu *v);

/* ---- vvu_signal.c ---- */

/* struct vh_vectors.place */
int vh_vvu_place_kick(void *arg, unsigned vring, uint16_t vector);
int vh_vvu_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s);

/* ---- vvu_shm.c ---- */

bool vh_vvu_is_shm(const struct vh_vvu *v);
/* After each reset, before the vrings get their vectors.  0 or -errno (logged). */
int vh_vvu_shm_start(struct vh_vvu *v);
int vh_vvu_shm_place(struct vh_vvu *v, unsigned vring, uint16_t vector);
int vh_vvu_shm_call(struct vh_vvu *v, unsigned vring, struct vh_signal **s);

/* ---- vvu_window.c ---- */

/* The windows that are in the device itself.  0 or -errno (logged). */
int vh_vvu_find_windows(struct vh_vvu *v);
void vh_vvu_close_windows(struct vh_vvu *v);
/* SET_MEM_TABLE's offsets become places.  False: they are beyond all windows. */
bool vh_vvu_place_regions(struct vh_msg *m);
/* Is all that @m, SET_MEM_TABLE, speaks of there?  Takes what has come. */
bool vh_vvu_windows_are_there(struct vh_vvu *v, const struct vh_msg *m);
/* The message is handled, or forgotten: what nothing is mapped of is given back. */
void vh_vvu_unpin_windows(struct vh_vvu *v);
int vh_vvu_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
	       struct vh_msg *m, const struct vh_map *old, struct vh_mapping **mapping,
	       bool *changed);
int vh_vvu_map_area(struct vh_connector *c, struct vh_msg *m,
		    struct vh_mapping **mapping);
int vh_vvu_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m);

#endif
