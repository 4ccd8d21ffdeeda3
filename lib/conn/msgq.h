/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of vhost-user over two virtqueues of a PCI function, seen from its driver:
 * what connectors in a guest have in place of a stream.  A buffer is a message, without
 * fds.  Nothing that the device writes is believed: a message is copied once, then
 * checked.  How the queues are told to the device is the connector's.  Control thread.
 */
#ifndef VH_CONN_MSGQ_H
#define VH_CONN_MSGQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/host.h"
#include "ring/driver.h"
#include "wire/msg.h"

#define VH_MSGQ_MAX_SLOTS 32u
#define VH_MSGQ_MAX_MSG	  (sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD)

enum vh_msgq_side { VH_MSGQ_RX, VH_MSGQ_TX, VH_MSGQ_SIDES };

struct vh_msgq_side_state {
	uint16_t size;	/* of the ring, and as many buffers               */
	size_t ring_at; /* in the DMA memory                              */
	size_t slots_at;
	struct vh_driver_ring *ring;
};

struct vh_msgq {
	const char *tag; /* borrowed */
	struct vh_pci_host *host;
	struct vh_pci_dma dma;
	struct vh_msgq_side_state side[VH_MSGQ_SIDES];
	unsigned n_free; /* tx buffers that are ours */
	uint8_t *free[VH_MSGQ_MAX_SLOTS];
	size_t in_len; /* of @in: the message that came last */
	uint8_t in[VH_MSGQ_MAX_MSG];
};

/* Where the device finds one of the rings. */
struct vh_msgq_ring {
	uint16_t size;
	uint64_t desc, avail, used;
};

/*
 * Make rings of at most @rx and @tx entries, powers of two, and buffers, in memory of
 * @host; @features are the ring's (EVENT_IDX).  0 or -errno (logged).
 */
int vh_msgq_open(struct vh_msgq *q, struct vh_pci_host *host, const char *tag,
		 uint16_t rx, uint16_t tx, uint64_t features);
/* The device no longer uses the rings.  One that was not opened is fine. */
void vh_msgq_close(struct vh_msgq *q);

void vh_msgq_ring(const struct vh_msgq *q, enum vh_msgq_side side,
		  struct vh_msgq_ring *r);

/* Hand all rx buffers out.  True: the device wants to be notified. */
bool vh_msgq_fill(struct vh_msgq *q);

/*
 * 1: *@m is a message, 0: none, and an interrupt tells of the next; -EPROTO: nonsense
 * (logged).  With @has_channel replies are taken for answers on the back-end channel, of
 * which none is waited for.  *@notify: notify rx.
 */
int vh_msgq_recv(struct vh_msgq *q, struct vh_msg *m, bool has_channel, bool *notify);

/* Throw away what is there.  True: notify rx. */
bool vh_msgq_flush(struct vh_msgq *q);

/* 0; -ENOBUFS: the device takes none; -EMSGSIZE, ...  *@notify: notify tx. */
int vh_msgq_send(struct vh_msgq *q, const struct vh_msg *m, bool *notify);

/* NULL, or what the device did to break a ring: only a reset helps. */
const char *vh_msgq_why(const struct vh_msgq *q);

#endif
