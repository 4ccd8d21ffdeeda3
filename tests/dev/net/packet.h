/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP and UDP packets as a guest with offloads sends them, and a judge of what became
 * of them.  The judge shares no code with the library: it adds 16-bit words one
 * by one, in network order, over a pseudo header that it writes out.
 */
#ifndef TESTS_DEV_NET_PACKET_H
#define TESTS_DEV_NET_PACKET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "dev/net/frame.h"

#define PACKET_MAX 66000

enum packet_kind { TCP4, TCP6, UDP4, UDP6, PACKET_KINDS };

struct packet_params {
	enum packet_kind kind;
	uint32_t payload;  /* bytes */
	unsigned tags;	   /* 802.1Q tags in front of the ethertype             */
	unsigned options;  /* bytes of TCP options, a multiple of 4             */
	unsigned ip_extra; /* bytes of IPv4 options (of 4), IPv6 extensions (8) */
	uint8_t tcp_flags;
};

struct packet {
	struct packet_params is;
	unsigned l3, l4, headers; /* offsets */
	uint32_t len;
	uint8_t bytes[PACKET_MAX];
};

/* Its checksum field holds the pseudo header's sum, as NEEDS_CSUM wants it. */
void packet_make(struct packet *p, const struct packet_params *is);
/* The header that asks for the checksum, and with @gso_size for segmentation. */
struct virtio_net_hdr_v1 packet_hdr(const struct packet *p, uint16_t gso_size);

/* What the receiver has to complete yet. */
enum packet_sum { SUM_COMPLETE, SUM_PARTIAL };

/* The whole packet, unchanged but for its checksum. */
void packet_judge_whole(const struct packet *p, const uint8_t *frame, uint32_t len,
			enum packet_sum sum);

/* Segments, in order; @tags: how many VLAN tags they have now. */
struct packet_judge {
	const struct packet *p;
	uint32_t done; /* bytes of the payload that have come */
	unsigned n, step, tags;
	enum packet_sum sum;
};

void packet_judge_segment(struct packet_judge *j, const uint8_t *frame, uint32_t len);
/* All came. */
void packet_judge_end(const struct packet_judge *j);

/* RFC 1071, slowly; in host order. */
uint16_t packet_slow_sum(const uint8_t *bytes, uint32_t len);

#endif
