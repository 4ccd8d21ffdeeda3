/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay of vhost-user: a front-end on one side, a guest's driver on the other, which
 * is the back-end.  It moves messages, keeps the fds that come with them (a guest can
 * have none) and does on the host what they stand for: places memory in the window, wires
 * kicks to interrupts and doorbells to calls.  It never looks into a virtqueue of the
 * front-end's.  How the guest sees all that, in registers, is the guest side's
 * (vvu_pci.c, adapter.c, shm.c), who gives it struct vh_relay_ops.  Control thread.
 *
 *	front-end --- unix:  relay  ops ---> guest side --- registers, queues --- driver
 *	                        \-- window, doorbells
 */
#ifndef VH_VVU_RELAY_H
#define VH_VVU_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/connector.h"
#include "reactor/reactor.h"
#include "spec/vvu.h"
#include "vvu/area.h"
#include "vvu/window.h"

struct vh_relay;

/* Why a session ended: also the numbers of the adapter's ERROR register. */
enum vh_relay_end {
	VH_RELAY_NONE,
	VH_RELAY_FRONTEND_CLOSED,
	VH_RELAY_FRONTEND_ERROR, /* it broke the protocol                       */
	VH_RELAY_DRIVER_CLOSED,
	VH_RELAY_DRIVER_ERROR,
	VH_RELAY_TOO_LARGE, /* a message that the driver's buffers do not hold */
	VH_RELAY_BAD_QUEUE,
	VH_RELAY_WINDOW_TOO_SMALL,
	VH_RELAY_CANNOT_MAP,
	VH_RELAY_HOST_ERROR,
};

/* None of these may call back into the relay, but for what does not change it. */
struct vh_relay_ops {
	/*
	 * A whole message for the driver, header and payload, in place of which the relay
	 * has done what it is about.  0; -EAGAIN: no buffer (vh_relay_room() when there
	 * is one; nothing else comes before that); -EMSGSIZE: it does not fit the next
	 * buffer, the session ends with VH_RELAY_TOO_LARGE.
	 */
	int (*deliver)(void *arg, const void *msg, size_t len);
	/*
	 * A session begins (before its first message is delivered; also from inside
	 * vh_relay_set_ready()) or has ended: no message of it comes any more, all
	 * doorbells are unbound, and the driver is not ready until it says so again.
	 */
	void (*session)(void *arg, bool up, enum vh_relay_end why);
	/* The front-end kicked @vring.  Only with VH_VVU_F_NOTIFY. */
	void (*kick)(void *arg, unsigned vring);
	/* The table of memory is another one; NULL: the guest side tells by messages
	 * alone. */
	void (*memory)(void *arg, const struct vh_window_table *table);
	/*
	 * What of the area is used for @shmid, VH_VVU_SHM_LOG or VH_VVU_SHM_INFLIGHT,
	 * from the message on that comes next: @offset in the area, @size 0: nothing of
	 * it. NULL: not supported.
	 */
	void (*area)(void *arg, uint8_t shmid, uint64_t offset, uint64_t size);
};

enum vh_relay_layout {
	VH_LAYOUT_SUM,	    /* mmap_offset of a region: the gap before it             */
	VH_LAYOUT_OFFSET,   /* its place in the window                                */
	VH_LAYOUT_VERBATIM, /* as the front-end sent it, placed as QEMU's device did  */
};

struct vh_relay_params {
	const char *front;   /* the front-end's address; copied             */
	const char *tag;     /* copied                                      */
	bool accept_early;   /* accept before the driver is ready           */
	unsigned max_vrings; /* at most VH_VVU_MAX_VRINGS                   */
	unsigned pairs;	     /* vrings that one of GET_QUEUE_NUM stands for: 1, net 2 */
	enum vh_relay_layout layout;
	struct vh_window *window; /* borrowed */
	struct vh_area *area;	  /* borrowed; NULL: neither log nor inflight area */
	const struct vh_relay_ops *ops;
	void *arg;
};

int vh_relay_create(struct vh_reactor *r, const struct vh_relay_params *p,
		    struct vh_relay **relay);
void vh_relay_destroy(struct vh_relay *r); /* NULL is fine */

/* ---- From the driver ---- */

/*
 * What the driver can cope with: @features are VH_BIT(VH_VVU_F_...), @max_msg the largest
 * message that it takes (filters CRYPTO_SESSION).  At any time; what was negotiated in
 * the present session stays.
 */
void vh_relay_set_driver(struct vh_relay *r, uint64_t features, size_t max_msg);
/*
 * The driver is ready for a session, or ends the present one (no .session for that: all
 * is as after .session(false) when it returns).  Saying the same again changes nothing.
 */
void vh_relay_set_ready(struct vh_relay *r, bool ready);
/* There is a buffer again for what .deliver refused. */
void vh_relay_room(struct vh_relay *r);
/*
 * A message of the driver, header and payload: exactly one, in memory that the driver
 * cannot change meanwhile.  0 (also when there is no session: it is dropped); -EPROTO:
 * nonsense, and the session has ended, which .session told.
 */
int vh_relay_send(struct vh_relay *r, const void *msg, size_t len);
/* Doorbell @n, numbered as in spec/vvu.h with N = max_vrings; unbound ones do nothing. */
void vh_relay_ring(struct vh_relay *r, unsigned n);
/* Device reset: the session goes without a word, and so does the table of memory. */
void vh_relay_reset(struct vh_relay *r);

bool vh_relay_is_up(const struct vh_relay *r);

/* What is wired to @vring, for the adapter's VR_STATE. */
struct vh_relay_wires {
	bool kick, call, err, kick_polled, call_polled;
};

void vh_relay_wires(const struct vh_relay *r, unsigned vring, struct vh_relay_wires *w);

struct vh_relay_stats {
	uint64_t sessions, to_driver, to_frontend, kicks, doorbells, faults;
	enum vh_relay_end last_end;
};

void vh_relay_read_stats(const struct vh_relay *r, struct vh_relay_stats *s);

#endif
