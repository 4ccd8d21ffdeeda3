/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-net device model: features, config space, queues in pairs.  What
 * happens to frames is its owner's business (the switch's).
 *
 * vhost-user leaves the control queue and, mostly, the config space to the VMM;
 * ours is for front-ends that ask for it by GET_CONFIG.
 */
#ifndef VH_DEV_NET_NET_H
#define VH_DEV_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <vhost/device.h>

struct vh_net;

struct vh_net_owner {
	/* A tx queue has chains (or may have): data reactor of @q.  The queue may be
	 * disabled. */
	void (*transmit)(struct vh_net *n, struct vh_queue *q);
	/* A queue of @n starts or is about to stop: data reactor of @q.  Or NULL. */
	void (*queue)(struct vh_net *n, struct vh_queue *q, bool runs);
	/* The rest on the control thread.  .open: the instance exists, share its queues.
	 */
	int (*open)(struct vh_net *n, struct vh_device *d);
	void (*link)(struct vh_net *n, bool up);
	int (*rarp)(struct vh_net *n, const uint8_t mac[6]);
	/* Features were acknowledged (0: reset). */
	void (*features)(struct vh_net *n, uint64_t features);
};

/* Embedded in the owner's object; given to vh_server_add() as @ctx. */
struct vh_net {
	const struct vh_net_owner *owner;
	struct vh_device *device; /* set before owner->open    */
	uint16_t max_pairs;	  /* 1 to 128                  */
	uint16_t mtu;		  /* in config space; 0: 1500  */
	bool has_mac;
	uint8_t mac[6];
};

/*
 * For 128 pairs.  A port with fewer copies the table and sets .queues to twice
 * its pairs, which must be max_pairs.
 */
extern const struct vh_device_ops vh_net_ops;

/* virtqueue numbers: receiveq is the guest's, so we write to it. */
#define VH_NET_RX(pair) (2 * (pair))
#define VH_NET_TX(pair) (2 * (pair) + 1)

/* Bytes of the virtio-net header: 12 with VERSION_1 or MRG_RXBUF, else 10. */
unsigned vh_net_header_len(uint64_t features);

#endif
