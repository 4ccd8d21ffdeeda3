/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-net device model: see net.h. */
#include "dev/net/net.h"

#include <errno.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "session/queue.h"
#include "spec/vhost_user.h"
#include "spec/virtio_net.h"

#define CHECKSUM (VH_BIT(VIRTIO_NET_F_CSUM) | VH_BIT(VIRTIO_NET_F_GUEST_CSUM))
#define TSO                                                                \
	(VH_BIT(VIRTIO_NET_F_HOST_TSO4) | VH_BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 VH_BIT(VIRTIO_NET_F_HOST_ECN) | VH_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VH_BIT(VIRTIO_NET_F_GUEST_TSO6) | VH_BIT(VIRTIO_NET_F_GUEST_ECN))
#define USO                                                                \
	(VH_BIT(VIRTIO_NET_F_HOST_USO) | VH_BIT(VIRTIO_NET_F_GUEST_USO4) | \
	 VH_BIT(VIRTIO_NET_F_GUEST_USO6))
#define ALWAYS                                                               \
	(CHECKSUM | TSO | USO | VH_BIT(VIRTIO_NET_F_MRG_RXBUF) |             \
	 VH_BIT(VIRTIO_NET_F_STATUS) | VH_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
	 VH_BIT(VIRTIO_NET_F_MTU))

#define MIN_MTU	    68 /* virtio 1.2, section 5.1.4.1 */
#define DEFAULT_MTU 1500

static struct vh_net *net_of(const struct vh_device *d)
{
	return vh_device_ctx(d);
}

unsigned vh_net_header_len(uint64_t features)
{
	const uint64_t with_num_buffers = VH_BIT(VIRTIO_F_VERSION_1) |
					  VH_BIT(VIRTIO_NET_F_MRG_RXBUF);

	return features & with_num_buffers ? sizeof(struct virtio_net_hdr_v1)
					   : sizeof(struct virtio_net_hdr);
}

/* ---- Control ---- */

static int net_open(struct vh_device *d)
{
	struct vh_net *n = net_of(d);

	n->device = d;
	return n->owner->open ? n->owner->open(n, d) : 0;
}

static uint64_t net_offer(struct vh_device *d)
{
	const struct vh_net *n = net_of(d);
	uint64_t f = ALWAYS;

	if (n->max_pairs > 1)
		f |= VH_BIT(VIRTIO_NET_F_MQ);
	if (n->has_mac)
		f |= VH_BIT(VIRTIO_NET_F_MAC);
	return f;
}

static int net_set_features(struct vh_device *d, uint64_t features)
{
	struct vh_net *n = net_of(d);

	if (n->owner->features)
		n->owner->features(n, features);
	return 0;
}

static int net_read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	const struct vh_net *n = net_of(d);
	struct virtio_net_config c = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = n->max_pairs,
		.mtu = n->mtu ? n->mtu : DEFAULT_MTU,
	};

	if (off > sizeof(c) || len > sizeof(c) - off)
		return -EINVAL;
	memcpy(c.mac, n->mac, sizeof(c.mac));
	memcpy(buf, (const uint8_t *)&c + off, len);
	return 0;
}

static void net_link(struct vh_device *d, bool up)
{
	struct vh_net *n = net_of(d);

	if (n->owner->link)
		n->owner->link(n, up);
}

static int net_send_rarp(struct vh_device *d, const uint8_t mac[6])
{
	struct vh_net *n = net_of(d);

	return n->owner->rarp ? n->owner->rarp(n, mac) : 0;
}

/* The VMM tells us the MTU that it gave to the guest; frames are bounded by buffers
 * anyway. */
static int net_set_mtu(struct vh_device *d, uint16_t mtu)
{
	(void)d;
	return mtu < MIN_MTU ? -EINVAL : 0;
}

/* ---- Data ---- */

static bool is_rx(const struct vh_queue *q)
{
	return vh_queue_index(q) % 2 == 0;
}

static int net_queue_start(struct vh_queue *q)
{
	struct vh_net *n = net_of(vh_queue_device(q));

	if (is_rx(q)) /* a switch finds buffers there, or drops */
		vh_queue_want_kicks(q, false);
	if (n->owner->queue)
		n->owner->queue(n, q, true);
	return 0;
}

static void net_queue_stop(struct vh_queue *q)
{
	struct vh_net *n = net_of(vh_queue_device(q));

	if (n->owner->queue)
		n->owner->queue(n, q, false);
}

static void net_process(struct vh_queue *q)
{
	struct vh_net *n = net_of(vh_queue_device(q));

	if (!is_rx(q))
		n->owner->transmit(n, q);
}

const struct vh_device_ops vh_net_ops = {
	.size = sizeof(vh_net_ops),
	.name = "net",
	.virtio_id = VIRTIO_ID_NET,
	.flags = VH_DEVICE_RUNS_DISABLED,
	.features = ALWAYS,
	.queues = 2 * 128,
	.queue_group = 2,
	.process = net_process,
	.open = net_open,
	.offer = net_offer,
	.set_features = net_set_features,
	.read_config = net_read_config,
	.queue_start = net_queue_start,
	.queue_stop = net_queue_stop,
	.link = net_link,
	.send_rarp = net_send_rarp,
	.set_mtu = net_set_mtu,
};
