/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame in somebody's memory, its virtio-net header in ours; and what has to
 * be done to it in software for a receiver that did not take an offload.  Pure.
 *
 * The header comes from a hostile guest: vh_frame_check() bounds each field
 * once, on our copy.  The frame's bytes may change at any time; nothing here
 * relies on reading them twice alike.
 */
#ifndef VH_DEV_NET_FRAME_H
#define VH_DEV_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/seg.h"
#include "spec/virtio_net.h"

#define VH_FRAME_MAX   (65535 + 18) /* a TSO frame: 64 KiB of IP and an Ethernet header */
#define VH_FRAME_MIN   14
#define VH_HEADERS_MAX 256 /* Ethernet, VLAN, IP and TCP headers that we rewrite */

/*
 * Of one frame.  Linux takes no MSS below 48, and needs 1366; with one of 1 a guest could
 * have us make 65,000 frames out of one.
 */
#define VH_PIECES_MAX 2048

struct vh_frame {
	struct virtio_net_hdr_v1 hdr; /* our copy; num_buffers is not looked at   */
	const struct vh_seg *seg;     /* the frame, without the virtio-net header ... */
	unsigned n_seg;
	uint32_t skip; /* ... which takes this many bytes of seg[0 ..] */
	uint32_t len;  /* bytes of the frame                       */
};

/*
 * Is hdr meaningful for a frame of this length: gso_type known, gso_size not 0,
 * csum_start and csum_offset inside?  NULL, or a literal that says what is wrong.
 * Clears flags that a sender has no business with.  @features: what the sender
 * acknowledged.
 */
const char *vh_frame_check(struct vh_frame *f, uint64_t features);

/* Copy @len bytes from offset @off of the frame; both inside. */
void vh_frame_read(const struct vh_frame *f, uint32_t off, void *buf, uint32_t len);

enum vh_work {
	VH_WORK_NONE,	  /* pass it through with its header            */
	VH_WORK_CHECKSUM, /* complete the checksum                      */
	VH_WORK_SEGMENT,  /* cut it into segments, each with a checksum */
	VH_WORK_DROP,	  /* the receiver cannot have it                */
};

/* What must be done for a receiver that acknowledged @features (guest offloads). */
enum vh_work vh_frame_work(const struct vh_frame *f, uint64_t features);

/* One frame that software made out of another: head, then a stretch of the source. */
struct vh_piece {
	struct virtio_net_hdr_v1 hdr;
	const uint8_t *head; /* rewritten headers, valid until the next call */
	uint32_t head_len;
	uint32_t off, len; /* of the source frame, behind the head         */
};

struct vh_cutter {
	const struct vh_frame *frame;
	bool guest_sums;	  /* the receiver completes checksums itself      */
	uint32_t next, step;	  /* of the payload                               */
	uint32_t l3, l4, headers; /* offsets of IP, of TCP or UDP, and of payload */
	uint16_t sum_at;	  /* offset of the checksum behind l4             */
	bool segments, is_v4, is_tcp, done;
	uint8_t original[VH_HEADERS_MAX], head[VH_HEADERS_MAX];
};

/*
 * Begin the work that vh_frame_work() named (CHECKSUM or SEGMENT) for a receiver
 * with these @features; 0, or -EINVAL when the frame's own headers do not fit its
 * virtio-net header, or it would be more than VH_PIECES_MAX (drop it).
 */
int vh_cutter_begin(struct vh_cutter *c, const struct vh_frame *f, enum vh_work work,
		    uint64_t features);

/* The next piece; false: there is none.  There is at least one. */
bool vh_cutter_next(struct vh_cutter *c, struct vh_piece *p);

/* How many pieces are still to come. */
uint32_t vh_cutter_left(const struct vh_cutter *c);

/*
 * Ones' complement sum of @len bytes, added to @sum.  @odd: they stand behind an odd
 * number of bytes.  Folding gives the 16 bits as they stand in memory, not complemented.
 */
uint64_t vh_checksum_add(uint64_t sum, const void *p, uint32_t len, bool odd);
uint16_t vh_checksum_fold(uint64_t sum);

#endif
