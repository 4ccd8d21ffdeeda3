/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature bits of the virtio specification (1.2 and 1.3) that Debian 12's
 * kernel headers do not name.  A newer header's own names win.
 */
#ifndef VH_SPEC_VIRTIO_H
#define VH_SPEC_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>

#include "spec/virtio_blk.h"
#include "spec/virtio_net.h"

/* ---- "Reserved Feature Bits" ---- */

#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_NOTIF_CONFIG_DATA
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#endif
#ifndef VIRTIO_F_ADMIN_VQ
#define VIRTIO_F_ADMIN_VQ 41
#endif

/* ---- "Network Device" (segmentation of UDP: virtio_net.h) ---- */

#ifndef VIRTIO_NET_F_DEVICE_STATS
#define VIRTIO_NET_F_DEVICE_STATS 50
#endif
#ifndef VIRTIO_NET_F_HASH_TUNNEL
#define VIRTIO_NET_F_HASH_TUNNEL 51
#endif
#ifndef VIRTIO_NET_F_VQ_NOTF_COAL
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#endif
#ifndef VIRTIO_NET_F_GUEST_HDRLEN
#define VIRTIO_NET_F_GUEST_HDRLEN 59
#endif

/* ---- Devices of which only the features are named here ---- */

#ifndef VIRTIO_VSOCK_F_STREAM
#define VIRTIO_VSOCK_F_STREAM 0
#endif
#ifndef VIRTIO_VSOCK_F_NO_IMPLIED_STREAM
#define VIRTIO_VSOCK_F_NO_IMPLIED_STREAM 2
#endif
#ifndef VIRTIO_FS_F_NOTIFICATION
#define VIRTIO_FS_F_NOTIFICATION 0
#endif
#ifndef VIRTIO_GPU_F_BLOB_ALIGNMENT
#define VIRTIO_GPU_F_BLOB_ALIGNMENT 5
#endif
#ifndef VIRTIO_CRYPTO_F_REVISION_1
#define VIRTIO_CRYPTO_F_REVISION_1		0
#define VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE	1
#define VIRTIO_CRYPTO_F_HASH_STATELESS_MODE	2
#define VIRTIO_CRYPTO_F_MAC_STATELESS_MODE	3
#define VIRTIO_CRYPTO_F_AEAD_STATELESS_MODE	4
#define VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE 5
#endif

#endif
