/* SPDX-License-Identifier: BSD-3-Clause */
/* See demo_frame.h. */
#include "demo_frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#define DEMO_ETHERTYPE 0x88b5 /* IEEE 802: local experimental */
#define DEMO_MAGIC     0x76686474u
#define FRAME_SHORTEST 60
#define TCP_SEGMENT    1448

struct demo_hdr {
	uint32_t magic, len;
	struct demo_info info;
};

void demo_mac(unsigned index, uint8_t mac[6])
{
	const uint8_t base[6] = {0x52, 0x54, 0x00, 0xde, 0x40, (uint8_t)(index + 1)};

	memcpy(mac, base, sizeof(base));
}

uint32_t demo_frame_len(uint32_t seq)
{
	if (seq % 64 == 0)
		return FRAME_TSO - seq / 64 % 4096;
	return FRAME_SHORTEST + seq * 37 % (FRAME_JUMBO - FRAME_SHORTEST + 1);
}

/* What stands at offset @i of frame @seq: different in every frame and at every place. */
static uint8_t pattern(uint32_t seq, uint32_t i)
{
	return (uint8_t)((i * 167 + (i >> 8)) ^ (seq * 2654435761u >> 16));
}

static uint16_t checksum_of(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	/* In memory's byte order: its sum is so, too. */
	for (size_t i = 0; i + 1 < len; i += 2) {
		uint16_t word;

		memcpy(&word, b + i, sizeof(word));
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The sum over the pseudo header, which is what a stack leaves to be completed. */
static uint16_t pseudo_sum(const struct iphdr *ip, uint32_t tcp_len)
{
	const struct {
		uint32_t saddr, daddr;
		uint8_t zero, protocol;
		uint16_t len;
	} pseudo = {
		.saddr = ip->saddr,
		.daddr = ip->daddr,
		.protocol = IPPROTO_TCP,
		.len = htons((uint16_t)tcp_len),
	};

	return (uint16_t)~checksum_of(&pseudo, sizeof(pseudo));
}

/* IP and TCP headers in front of the payload; how many bytes. */
static uint32_t make_tcp(struct virtio_net_hdr *hdr, uint8_t *at, uint32_t ip_len,
			 unsigned from, uint32_t seq)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)ip_len),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(0x0a000001 + from),
		.daddr = htonl(0x0a000002 - from),
	};
	struct tcphdr tcp = {
		.source = htons(1000), .dest = htons(1000), .seq = htonl(seq), .doff = 5};

	ip.check = checksum_of(&ip, sizeof(ip));
	tcp.ack = 1;
	tcp.check = pseudo_sum(&ip, ip_len - sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	memcpy(at + sizeof(ip), &tcp, sizeof(tcp));
	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETH_HLEN + sizeof(ip) + sizeof(tcp),
		.gso_size = TCP_SEGMENT,
		.csum_start = ETH_HLEN + sizeof(ip),
		.csum_offset = offsetof(struct tcphdr, check),
	};
	return sizeof(ip) + sizeof(tcp);
}

void demo_frame_make(struct virtio_net_hdr *hdr, uint8_t *frame, uint32_t len,
		     unsigned from, const struct demo_info *info)
{
	const bool tso = len > FRAME_JUMBO;
	const uint16_t type = htons(tso ? ETH_P_IP : DEMO_ETHERTYPE);
	struct demo_hdr d = {.magic = DEMO_MAGIC, .len = len, .info = *info};
	uint32_t at = ETH_HLEN;

	demo_mac(!from, frame);
	demo_mac(from, frame + ETH_ALEN);
	memcpy(frame + 2 * ETH_ALEN, &type, sizeof(type));
	if (tso)
		at += make_tcp(hdr, frame + at, len - ETH_HLEN, from, info->seq);
	memcpy(frame + at, &d, sizeof(d));
	for (uint32_t i = at + sizeof(d); i < len; i++)
		frame[i] = pattern(info->seq, i);
}

bool demo_frame_check(const uint8_t *frame, uint32_t len, struct demo_info *info)
{
	const bool tso = len > FRAME_JUMBO;
	uint32_t at = ETH_HLEN + (tso ? sizeof(struct iphdr) + sizeof(struct tcphdr) : 0);
	struct demo_hdr d;

	if (len < at + sizeof(d))
		return false;
	memcpy(&d, frame + at, sizeof(d));
	if (d.magic != DEMO_MAGIC || d.len != len)
		return false;
	for (uint32_t i = at + sizeof(d); i < len; i++)
		if (frame[i] != pattern(d.info.seq, i))
			return false;
	*info = d.info;
	return true;
}
