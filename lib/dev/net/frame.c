/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame's virtio-net header: checked, and held against what a receiver takes. */
#include "dev/net/frame.h"

#include <string.h>

#include "spec/vhost_user.h"

/* What a sender must have acknowledged to send, a receiver to get, a kind of
 * segmentation. */
static const struct {
	uint8_t host, guest;
} gso_bits[] = {
	[VIRTIO_NET_HDR_GSO_TCPV4] = {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4},
	[VIRTIO_NET_HDR_GSO_TCPV6] = {VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO6},
	[VIRTIO_NET_HDR_GSO_UDP_L4] = {VIRTIO_NET_F_HOST_USO, 0 /* by IP version */},
};

static bool has(uint64_t features, unsigned bit)
{
	return features >> bit & 1;
}

static const char *check_checksum(const struct vh_frame *f, uint64_t features)
{
	const struct virtio_net_hdr_v1 *h = &f->hdr;

	if (!has(features, VIRTIO_NET_F_CSUM))
		return "it asks for a checksum, which was not negotiated";
	if (h->csum_start < VH_FRAME_MIN ||
	    (uint32_t)h->csum_start + h->csum_offset + 2 > f->len)
		return "its checksum lies outside of the frame";
	return NULL;
}

static const char *check_gso(const struct vh_frame *f, uint64_t features)
{
	const struct virtio_net_hdr_v1 *h = &f->hdr;
	const uint8_t type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	if (type >= sizeof(gso_bits) / sizeof(gso_bits[0]) || !gso_bits[type].host)
		return "its gso_type is unknown";
	if (!has(features, gso_bits[type].host))
		return "it asks for a segmentation that was not negotiated";
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(features, VIRTIO_NET_F_HOST_ECN))
		return "it asks for ECN, which was not negotiated";
	if (!h->gso_size)
		return "its gso_size is 0";
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return "it asks for segmentation without a checksum";
	return NULL;
}

const char *vh_frame_check(struct vh_frame *f, uint64_t features)
{
	struct virtio_net_hdr_v1 *h = &f->hdr;
	const char *why;

	if (!(h->flags | h->gso_type)) { /* nearly all */
		h->hdr_len = h->gso_size = h->csum_start = h->csum_offset = 0;
		return NULL;
	}
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the others are the device's to say */
	if (h->flags) {
		why = check_checksum(f, features);
		if (why)
			return why;
	} else {
		h->csum_start = h->csum_offset = 0;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return check_gso(f, features);
	h->hdr_len = h->gso_size = 0;
	return NULL;
}

void vh_frame_read(const struct vh_frame *f, uint32_t off, void *buf, uint32_t len)
{
	const struct vh_seg *s = f->seg;
	uint8_t *to = buf;

	for (off += f->skip; off >= s->len; s++)
		off -= s->len;
	for (; len; s++, off = 0) {
		uint32_t n = s->len - off < len ? s->len - off : len;

		memcpy(to, s->va + off, n);
		to += n;
		len -= n;
	}
}

static bool takes_gso(const struct vh_frame *f, uint64_t features)
{
	const uint8_t type = f->hdr.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	if (!has(features, VIRTIO_NET_F_GUEST_CSUM))
		return false;
	if (f->hdr.gso_type & VIRTIO_NET_HDR_GSO_ECN &&
	    !has(features, VIRTIO_NET_F_GUEST_ECN))
		return false;
	if (type == VIRTIO_NET_HDR_GSO_UDP_L4) /* one type for both versions of IP */
		return has(features, VIRTIO_NET_F_GUEST_USO4) &&
		       has(features, VIRTIO_NET_F_GUEST_USO6);
	return has(features, gso_bits[type].guest);
}

enum vh_work vh_frame_work(const struct vh_frame *f, uint64_t features)
{
	if (f->hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return takes_gso(f, features) ? VH_WORK_NONE : VH_WORK_SEGMENT;
	if (f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    !has(features, VIRTIO_NET_F_GUEST_CSUM))
		return VH_WORK_CHECKSUM;
	return VH_WORK_NONE;
}
