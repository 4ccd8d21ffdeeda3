/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a network card would have done: checksums, and the segmentation of TCP and
 * UDP over IPv4 and IPv6.  The headers are copied once and believed nowhere
 * else; payload is only summed and passed on.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "dev/net/frame.h"

#define MAX_TAGS       2
#define MAX_EXTENSIONS 8

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* ---- Reading the headers, of which the first @n bytes are in c->original ---- */

/* The ethertype behind at most two VLAN tags, and where its payload begins; 0: too short.
 */
static uint16_t find_l3(struct vh_cutter *c, uint32_t n)
{
	uint32_t at = 2 * ETH_ALEN;

	for (unsigned tags = 0; at + 2 <= n; tags++, at += 4) {
		uint16_t type = get16(&c->original[at]);

		if ((type == ETH_P_8021Q || type == ETH_P_8021AD) && tags < MAX_TAGS)
			continue;
		c->l3 = at + 2;
		return type;
	}
	return 0;
}

/* The protocol behind IPv4's header; -1: it cannot be cut. */
static int find_l4_v4(struct vh_cutter *c, uint32_t n)
{
	const uint8_t *ip = &c->original[c->l3];
	uint32_t len;

	if (c->l3 + sizeof(struct iphdr) > n || ip[0] >> 4 != 4)
		return -1;
	len = (ip[0] & 0xf) * 4;
	if (len < sizeof(struct iphdr) || c->l3 + len > n || get16(ip + 6) & 0x3fff)
		return -1; /* or a fragment */
	c->l4 = c->l3 + len;
	c->is_v4 = true;
	return ip[offsetof(struct iphdr, protocol)];
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_DSTOPTS;
}

static int find_l4_v6(struct vh_cutter *c, uint32_t n)
{
	const uint8_t *ip = &c->original[c->l3];
	uint8_t next;

	if (c->l3 + sizeof(struct ip6_hdr) > n || ip[0] >> 4 != 6)
		return -1;
	next = ip[6];
	c->l4 = c->l3 + sizeof(struct ip6_hdr);
	for (unsigned i = 0; is_extension(next); i++) {
		if (i == MAX_EXTENSIONS || c->l4 + 8 > n)
			return -1;
		next = c->original[c->l4];
		c->l4 += (c->original[c->l4 + 1] + 1u) * 8;
	}
	return next;
}

static bool find_payload(struct vh_cutter *c, uint32_t n, int protocol)
{
	if (protocol == IPPROTO_TCP && c->l4 + sizeof(struct tcphdr) <= n) {
		c->is_tcp = true;
		c->sum_at = offsetof(struct tcphdr, check);
		c->headers = c->l4 + (c->original[c->l4 + 12] >> 4) * 4u;
		return c->headers >= c->l4 + sizeof(struct tcphdr) && c->headers <= n;
	}
	if (protocol == IPPROTO_UDP && c->l4 + sizeof(struct udphdr) <= n) {
		c->sum_at = offsetof(struct udphdr, check);
		c->headers = c->l4 + sizeof(struct udphdr);
		return true;
	}
	return false;
}

/* Do the frame's headers say what its virtio-net header says? */
static bool fits_header(const struct vh_cutter *c)
{
	const struct virtio_net_hdr_v1 *h = &c->frame->hdr;

	if (h->csum_start != c->l4 || h->csum_offset != c->sum_at)
		return false;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return c->is_tcp && c->is_v4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return c->is_tcp && !c->is_v4;
	default:
		return !c->is_tcp;
	}
}

static int begin_segments(struct vh_cutter *c, uint32_t n)
{
	const uint16_t type = find_l3(c, n);
	int protocol = -1;

	if (type == ETH_P_IP)
		protocol = find_l4_v4(c, n);
	else if (type == ETH_P_IPV6)
		protocol = find_l4_v6(c, n);
	if (protocol < 0 || !find_payload(c, n, protocol) || !fits_header(c))
		return -EINVAL;
	c->segments = true;
	c->step = c->frame->hdr.gso_size;
	c->next = c->headers;
	return vh_cutter_left(c) <= VH_PIECES_MAX ? 0 : -EINVAL;
}

static int begin_checksum(struct vh_cutter *c, uint32_t n)
{
	const struct virtio_net_hdr_v1 *h = &c->frame->hdr;

	c->l4 = h->csum_start;
	c->sum_at = h->csum_offset;
	c->headers = c->l4 + c->sum_at + 2;
	c->step = c->frame->len;
	c->next = c->headers;
	return c->headers <= n ? 0 : -EINVAL;
}

uint32_t vh_cutter_left(const struct vh_cutter *c)
{
	return (c->frame->len - c->next + c->step - 1) / c->step;
}

int vh_cutter_begin(struct vh_cutter *c, const struct vh_frame *f, enum vh_work work,
		    uint64_t features)
{
	const uint32_t n = f->len < VH_HEADERS_MAX ? f->len : VH_HEADERS_MAX;

	c->frame = f;
	c->guest_sums = features >> VIRTIO_NET_F_GUEST_CSUM & 1;
	c->segments = c->is_v4 = c->is_tcp = c->done = false;
	c->l3 = c->l4 = c->headers = 0;
	vh_frame_read(f, 0, c->original, n);
	return work == VH_WORK_SEGMENT ? begin_segments(c, n) : begin_checksum(c, n);
}

/* ---- Sums ---- */

/* Of @len bytes of the frame from @off, which stand behind @behind bytes that were
 * summed. */
static uint64_t sum_frame(const struct vh_frame *f, uint32_t off, uint32_t len,
			  uint64_t sum, uint32_t behind)
{
	const struct vh_seg *s = f->seg;

	if (!len)
		return sum;
	for (off += f->skip; off >= s->len; s++)
		off -= s->len;
	for (; len; s++, off = 0) {
		uint32_t n = s->len - off < len ? s->len - off : len;

		sum = vh_checksum_add(sum, s->va + off, n, behind & 1);
		behind += n;
		len -= n;
	}
	return sum;
}

static uint64_t sum_pseudo(const struct vh_cutter *c, uint32_t l4_len)
{
	const uint8_t *addresses =
		&c->head[c->l3 + (c->is_v4 ? offsetof(struct iphdr, saddr)
					   : offsetof(struct ip6_hdr, ip6_src))];
	const uint32_t tail[2] = {htonl(l4_len),
				  htonl(c->is_tcp ? IPPROTO_TCP : IPPROTO_UDP)};
	uint64_t sum = vh_checksum_add(0, addresses, c->is_v4 ? 8 : 32, false);

	return vh_checksum_add(sum, tail, sizeof(tail), false);
}

static void store_sum(struct vh_cutter *c, uint16_t sum)
{
	memcpy(&c->head[c->l4 + c->sum_at], &sum, sizeof(sum));
}

/* The whole sum; 0 would mean "none" in UDP, and all ones is as good. */
static void store_complete(struct vh_cutter *c, const struct vh_piece *p, uint64_t sum)
{
	const uint32_t n = p->head_len - c->l4;
	uint16_t folded;

	sum = vh_checksum_add(sum, &c->head[c->l4], n, false);
	sum = sum_frame(c->frame, p->off, p->len, sum, n);
	folded = (uint16_t)~vh_checksum_fold(sum);
	store_sum(c, folded ? folded : 0xffff);
}

/* ---- Making pieces ---- */

static void cut_ip(struct vh_cutter *c, uint32_t len, uint32_t index)
{
	uint8_t *ip = &c->head[c->l3];
	uint16_t sum;

	if (!c->is_v4) {
		put16(ip + 4,
		      (uint16_t)(c->headers - c->l3 - sizeof(struct ip6_hdr) + len));
		return;
	}
	put16(ip + 2, (uint16_t)(c->headers - c->l3 + len));
	put16(ip + 4, (uint16_t)(get16(ip + 4) + index));
	put16(ip + 10, 0);
	sum = (uint16_t)~vh_checksum_fold(vh_checksum_add(0, ip, c->l4 - c->l3, false));
	memcpy(ip + 10, &sum, sizeof(sum));
}

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

static void cut_l4(struct vh_cutter *c, uint32_t len, bool first, bool last)
{
	uint8_t *l4 = &c->head[c->l4];

	if (!c->is_tcp) {
		put16(l4 + 4, (uint16_t)(c->headers - c->l4 + len));
		return;
	}
	put32(l4 + 4, get32(l4 + 4) + (c->next - c->headers));
	if (!last)
		l4[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!first)
		l4[13] &= (uint8_t)~TCP_CWR;
}

static void cut(struct vh_cutter *c, struct vh_piece *p)
{
	const uint32_t done = c->next - c->headers;

	cut_ip(c, p->len, done / c->step);
	cut_l4(c, p->len, done == 0, c->next + p->len == c->frame->len);
	store_sum(c, 0);
	if (!c->guest_sums) {
		store_complete(c, p, sum_pseudo(c, p->head_len - c->l4 + p->len));
		return;
	}
	store_sum(c, vh_checksum_fold(sum_pseudo(c, p->head_len - c->l4 + p->len)));
	p->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	p->hdr.csum_start = (uint16_t)c->l4;
	p->hdr.csum_offset = c->sum_at;
}

bool vh_cutter_next(struct vh_cutter *c, struct vh_piece *p)
{
	const uint32_t left = c->frame->len - c->next;

	if (c->done)
		return false;
	*p = (struct vh_piece){.head = c->head,
			       .head_len = c->headers,
			       .off = c->next,
			       .len = left < c->step ? left : c->step};
	memcpy(c->head, c->original, c->headers);
	if (c->segments)
		cut(c, p);
	else
		store_complete(c, p, 0);
	c->next += p->len;
	c->done = c->next == c->frame->len;
	return true;
}
