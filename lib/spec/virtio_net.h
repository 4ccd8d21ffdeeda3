/* SPDX-License-Identifier: BSD-3-Clause */
/* What Debian 12's <linux/virtio_net.h> lacks; virtio 1.2, section 5.1.3. */
#ifndef VH_SPEC_VIRTIO_NET_H
#define VH_SPEC_VIRTIO_NET_H

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#endif
#ifndef VIRTIO_NET_F_GUEST_USO6
#define VIRTIO_NET_F_GUEST_USO6 55
#endif
#ifndef VIRTIO_NET_F_HOST_USO
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#endif
