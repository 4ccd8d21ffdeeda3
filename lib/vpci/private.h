/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of lib/vpci from inside: which file does what.
 *
 *   vpci.c       its life, and what the VMM does (the operations of vfu)
 *   registers.c  what the driver does (the operations of the virtio-pci registers)
 *   memory.c     the VMM's memory
 *   tasks.c      what the back-end is still to be told
 *   link.c       the connection to it, and one exchange of messages
 *
 * Theory of operation.  Registers say what the driver wants, now; a back-end is told in
 * messages, each of which takes its time.  Operations therefore only note what is wanted,
 * in the registers or in the members here, and vh_vpci_pump() compares it with what the
 * front-end's machine says is in force, and begins what is missing: one exchange at a
 * time, in the order of the table of tasks.c.  When nothing is missing any more, what
 * the VMM did last is answered: so to the driver each register is as quick as its
 * effects, whatever it writes next.  What takes longer than a VMM waits is answered
 * before it is done; a reset then still reads as not done.
 */
#ifndef VH_VPCI_PRIVATE_H
#define VH_VPCI_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/queue_set.h"
#include "conn/connector.h"
#include "pci/virtio_pci.h"
#include "proto/frontend.h"
#include "reactor/reactor.h"
#include "spec/virtio.h"
#include "vfu/vfu.h"
#include "vpci/vpci.h"

enum vpci_link {
	VPCI_DOWN,
	VPCI_UP,    /* connected; what the back-end offers is asked for  */
	VPCI_READY, /* known                                             */
	VPCI_UNFIT, /* and not enough                                    */
};

/* What the VMM did that is not answered yet. */
enum vpci_wait {
	VPCI_WAITS_FOR_NOTHING,
	VPCI_WAITS_FOR_WRITE,
	VPCI_WAITS_FOR_RESET,
	VPCI_WAITS_FOR_MAP,
	VPCI_WAITS_FOR_UNMAP,
};

struct vh_vpci {
	char tag[32];
	struct vh_reactor *reactor;

	/* The VMM's side. */
	struct vh_vfu *vfu;
	struct vh_virtio_pci vp;
	bool has_client;
	enum vpci_wait waits;
	bool is_late; /* it has waited for too long, and nothing has changed */
	struct vh_timer late;

	/* The back-end's side. */
	struct vh_connector *conn;
	struct vh_event readable;
	struct vh_event broken; /* an eventfd, SET_VRING_ERR of all queues      */
	enum vpci_link link;
	struct vh_frontend fe;
	bool awaits;	/* an answer, to the request that fe knows              */
	bool pumping;	/* so that nothing that happens in it begins another    */
	uint8_t goal;	/* enum vh_goal, being pursued                          */
	uint32_t asked; /* enum vh_msg_id, asked beside the goals; 0: none      */
	int kick[VH_MAX_VRINGS];

	/* What is wanted, beyond what the registers say. */
	bool uses_memory;   /* DRIVER_OK was there: it has what the VMM has       */
	bool wants_reset;   /* the driver waits for it                            */
	bool wants_offered; /* FEATURES_OK: the driver's features are to be in force */
	bool wants_config;  /* to read it                                         */
	struct vh_queue_set new_call;  /* queues that have another eventfd         */
	uint32_t write_off, write_len; /* what the driver has written to config ... */
	uint8_t written[VH_MAX_CONFIG];

	bool has_config;
	uint8_t config[VH_MAX_CONFIG];
};

/* What the registers do by themselves, with messages that every back-end has. */
#define VH_VPCI_FEATURES (VH_BIT(VIRTIO_F_RING_RESET) | VH_BIT(VIRTIO_F_ACCESS_PLATFORM))

/* ---- registers.c ---- */

extern const struct vh_virtio_pci_ops vh_vpci_registers;

/* The registers as they are when nothing was negotiated; features may come later. */
int vh_vpci_registers_init(struct vh_vpci *v, const struct vh_vpci_params *p);
/* Is queue @q to run, as far as the driver is concerned? */
bool vh_vpci_queue_is_wanted(const struct vh_vpci *v, unsigned q);
/* The driver has to reset the device; @why goes to the log, once. */
void vh_vpci_needs_reset(struct vh_vpci *v, const char *why);
/* Have the driver look at the device's configuration. */
void vh_vpci_config_changed(struct vh_vpci *v);

/* ---- memory.c ---- */

/* Have the back-end have what the VMM has: from now on until the next reset. */
void vh_vpci_use_memory(struct vh_vpci *v);
int vh_vpci_dma_added(void *arg, const struct vh_vfu_dma *d);
int vh_vpci_dma_removed(void *arg, const struct vh_vfu_dma *d);
/* An fd of the piece of memory at @gpa, which is the caller's; or -errno. */
int vh_vpci_memory_fd(const struct vh_vpci *v, uint64_t gpa);

/* ---- tasks.c ---- */

/* Begin what is missing, if nothing is under way. */
void vh_vpci_pump(struct vh_vpci *v);
/* Is anything under way, or the back-end not there? */
bool vh_vpci_is_busy(const struct vh_vpci *v);
/* The request under way, or the whole goal, has ended.  @m: its answer, or NULL. */
void vh_vpci_answered(struct vh_vpci *v, const struct vh_msg *m);
void vh_vpci_refused(struct vh_vpci *v, const char *why);
/* The connection is new, or gone: nothing is in force. */
void vh_vpci_begin_again(struct vh_vpci *v);

/* ---- link.c ---- */

int vh_vpci_connect(struct vh_vpci *v, const char *address);
void vh_vpci_disconnect(struct vh_vpci *v);
/* Hang up on the back-end; the next connection is a new device. */
void vh_vpci_hang_up(struct vh_vpci *v, const char *why);
/* @m, which the machine made; it awaits its answer then. */
void vh_vpci_send(struct vh_vpci *v, struct vh_msg *m);

/* ---- vpci.c ---- */

/*
 * What an operation of the VMM returns: 0, or -EINPROGRESS since something is under way;
 * vh_vpci_settled() ends that.
 */
int vh_vpci_wait(struct vh_vpci *v, enum vpci_wait what);
/* Nothing is under way any more. */
void vh_vpci_settled(struct vh_vpci *v);

#endif
