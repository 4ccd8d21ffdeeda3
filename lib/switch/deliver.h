/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one copy: a frame as it goes out, into a receiver's chains.  Pure.
 *
 * What goes out is a head of ours (virtio-net header, Ethernet header in the form
 * that the port wants, perhaps rewritten IP and TCP headers) and the rest of the
 * frame as it stands in the sender's memory.
 */
#ifndef VH_SWITCH_DELIVER_H
#define VH_SWITCH_DELIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dev/net/frame.h"
#include "ring/chain.h"
#include "switch/vlan.h"

#define VH_OUT_HEAD_MAX (sizeof(struct virtio_net_hdr_v1) + VH_HEADERS_MAX + VH_TAG_LEN)

struct vh_out {
	const struct vh_frame *frame;
	uint32_t off, len; /* of the frame: what follows the head */
	uint32_t head_len;
	uint8_t head[VH_OUT_HEAD_MAX];
};

static inline uint32_t vh_out_len(const struct vh_out *o)
{
	return o->head_len + o->len;
}

/* The frame as it is, with this Ethernet header; @hdr_len 10 or 12. */
void vh_out_whole(struct vh_out *o, const struct vh_frame *f, const struct vh_eth *e,
		  enum vh_vlan_form form, unsigned hdr_len);

/* A piece that software made of it.  False: its head does not fit. */
bool vh_out_piece(struct vh_out *o, const struct vh_frame *f, const struct vh_piece *p,
		  const struct vh_eth *e, enum vh_vlan_form form, unsigned hdr_len);

/* Tell the receiver over how many buffers it is spread (12 byte headers only). */
void vh_out_set_buffers(struct vh_out *o, uint16_t n);

/*
 * Copy it into the writable parts of @n chains, which have room for it and begin with
 * whatever segments they like; @len gets the bytes written to each.
 */
void vh_out_copy(const struct vh_out *o, struct vh_chain *const *c, unsigned n,
		 uint32_t *len);

/* It as an iovec of at most @max entries; how many, 0: it takes more. */
unsigned vh_out_iov(const struct vh_out *o, struct iovec *iov, unsigned max);

#endif
