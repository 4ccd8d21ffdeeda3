/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of a device in this guest that relays a front-end's messages: one for what
 * it says of itself, one for its messages, and one for the kicks of each vring, as far as
 * there are so many.  How a vring is given its vector is the connector's.  Control
 * thread, but for the eventfds of kicks, which belong to whoever has the vring.
 */
#ifndef VH_CONN_VECTORS_H
#define VH_CONN_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/signal.h"
#include "pci/host.h"
#include "spec/vvu.h"

enum { VH_VECTOR_STATUS, VH_VECTOR_RX, VH_VECTOR_KICKS, VH_VECTOR_KICK };

struct vh_vectors {
	const char *tag; /* borrowed */
	struct vh_pci_host *host;
	/* Have the device signal @vector for @vring.  0; -EBUSY: it takes no such vector;
	 * or -errno. */
	int (*place)(void *arg, unsigned vring, uint16_t vector);
	void *arg;
	unsigned n_vrings;
	unsigned n;		     /* vectors that we have                       */
	int *fd;		     /* of each, as the bus has them; -1: none yet */
	int irq[VH_VECTOR_KICK];     /* eventfds of the first ones; -1: there is none */
	int kick[VH_VVU_MAX_VRINGS]; /* of each vring; -1: none yet       */
	bool shares[VH_VVU_MAX_VRINGS]; /* by way of VH_VECTOR_KICKS         */
	bool deaf[VH_VVU_MAX_VRINGS];	/* no interrupt at all               */
};

/* Nothing is there yet: may be closed. */
void vh_vectors_init(struct vh_vectors *v, const char *tag, struct vh_pci_host *host);
/* Have the device's vectors, some at least.  0 or -errno (logged). */
int vh_vectors_open(struct vh_vectors *v);
void vh_vectors_close(struct vh_vectors *v);

/* The vector for this, perhaps one that others use, too. */
uint16_t vh_vectors_of(const struct vh_vectors *v, unsigned which);
/* After each reset of the device: tell it the vectors of vrings.  0 or -errno (logged).
 */
int vh_vectors_place(struct vh_vectors *v);
/* @fd was signalled: is it one of ours?  Passes kicks on, if it may be for some. */
bool vh_vectors_woken_by(struct vh_vectors *v, int fd);
/* The kick of @vring; NULL: there is none to be had, poll.  0 or -errno (logged). */
int vh_vectors_kick(struct vh_vectors *v, unsigned vring, struct vh_signal **s);

#endif
