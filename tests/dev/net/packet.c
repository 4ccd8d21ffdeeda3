/* SPDX-License-Identifier: BSD-3-Clause */
/* See packet.h. */
#include "packet.h"

#include <string.h>

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

static bool is_tcp(const struct packet *p)
{
	return p->is.kind == TCP4 || p->is.kind == TCP6;
}

static bool is_v4(const struct packet *p)
{
	return p->is.kind == TCP4 || p->is.kind == UDP4;
}

static void put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *at)
{
	return at[0] * 256u + at[1];
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) * 65536u + get16(at + 2);
}

uint16_t packet_slow_sum(const uint8_t *bytes, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i += 2) {
		sum += bytes[i] * 256u + (i + 1 < len ? bytes[i + 1] : 0);
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)sum;
}

static unsigned sum_at(const struct packet *p)
{
	return is_tcp(p) ? 16 : 6;
}

/* Into @out; how long it is. */
static unsigned pseudo_header(const struct packet *p, const uint8_t *ip, uint32_t l4_len,
			      uint8_t out[40])
{
	const unsigned protocol = is_tcp(p) ? 6 : 17;

	memset(out, 0, 40);
	if (is_v4(p)) {
		memcpy(out, ip + 12, 8);
		out[9] = (uint8_t)protocol;
		put16(out + 10, l4_len);
		return 12;
	}
	memcpy(out, ip + 8, 32);
	put16(out + 34, l4_len);
	out[39] = (uint8_t)protocol;
	return 40;
}

static uint16_t pseudo_sum(const struct packet *p, const uint8_t *ip, uint32_t l4_len)
{
	uint8_t pseudo[40];

	return packet_slow_sum(pseudo, pseudo_header(p, ip, l4_len, pseudo));
}

/* ---- Making ---- */

static void make_ethernet(struct packet *p)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	unsigned at = sizeof(addresses);

	memcpy(p->bytes, addresses, at);
	for (unsigned i = 0; i < p->is.tags; i++, at += 4) {
		put16(p->bytes + at, 0x8100);
		put16(p->bytes + at + 2, 0x2000 + 10 * (i + 1)); /* priority 1 */
	}
	put16(p->bytes + at, is_v4(p) ? 0x0800 : 0x86dd);
	p->l3 = at + 2;
}

static void make_v4(struct packet *p)
{
	uint8_t *ip = p->bytes + p->l3;
	const unsigned len = 20 + p->is.ip_extra;

	memset(ip, 0, len);
	memset(ip + 20, 1, p->is.ip_extra); /* no operation */
	ip[0] = (uint8_t)(0x40 + len / 4);
	put16(ip + 2, p->len - p->l3);
	put16(ip + 4, 0xfffe); /* the id, so that it wraps */
	ip[6] = 0x40;	       /* do not fragment */
	ip[8] = 64;
	ip[9] = is_tcp(p) ? 6 : 17;
	memcpy(ip + 12, "\xc0\xa8\x00\x01\xc0\xa8\xff\xfe", 8);
	put16(ip + 10, 0xffff ^ packet_slow_sum(ip, len));
}

static void make_v6(struct packet *p)
{
	uint8_t *ip = p->bytes + p->l3, *next = ip + 6;

	memset(ip, 0, 40 + p->is.ip_extra);
	ip[0] = 0x60;
	put16(ip + 4, p->len - p->l3 - 40);
	ip[7] = 64;
	for (unsigned i = 0; i < 32; i++)
		ip[8 + i] = (uint8_t)(0xfd - 7 * i);
	for (unsigned off = 0; off < p->is.ip_extra; off += 8) {
		*next = off ? 60 : 0; /* hop-by-hop, then destination options */
		next = ip + 40 + off;
		memcpy(next + 2, "\1\4\0\0\0\0", 6); /* padding */
	}
	*next = is_tcp(p) ? 6 : 17;
}

static void make_l4(struct packet *p)
{
	uint8_t *l4 = p->bytes + p->l4;

	memset(l4, 0, p->headers - p->l4);
	put16(l4, 5001);
	put16(l4 + 2, 80);
	if (is_tcp(p)) {
		memcpy(l4 + 4, "\xff\xff\xff\x00", 4); /* it wraps soon */
		memcpy(l4 + 8, "\x12\x34\x56\x78", 4);
		l4[12] = (uint8_t)((20 + p->is.options) / 4 << 4);
		l4[13] = p->is.tcp_flags;
		put16(l4 + 14, 501);
		memset(l4 + 20, 1, p->is.options);
	} else {
		put16(l4 + 4, p->len - p->l4);
	}
	put16(l4 + sum_at(p), pseudo_sum(p, p->bytes + p->l3, p->len - p->l4));
}

void packet_make(struct packet *p, const struct packet_params *is)
{
	p->is = *is;
	make_ethernet(p);
	p->l4 = p->l3 + (is_v4(p) ? 20 : 40) + is->ip_extra;
	p->headers = p->l4 + (is_tcp(p) ? 20 + is->options : 8);
	p->len = p->headers + is->payload;
	assert_true(p->len <= PACKET_MAX);
	if (is_v4(p))
		make_v4(p);
	else
		make_v6(p);
	make_l4(p);
	for (uint32_t i = 0; i < is->payload; i++)
		p->bytes[p->headers + i] = (uint8_t)(i * 7 + i / 256);
}

struct virtio_net_hdr_v1 packet_hdr(const struct packet *p, uint16_t gso_size)
{
	static const uint8_t gso_type[PACKET_KINDS] = {
		VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
		VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_GSO_UDP_L4};

	return (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_size ? gso_type[p->is.kind] : 0,
		.gso_size = gso_size,
		.hdr_len = gso_size ? (uint16_t)p->headers : 0,
		.csum_start = (uint16_t)p->l4,
		.csum_offset = (uint16_t)sum_at(p),
	};
}

/* ---- Judging ---- */

static void judge_sum(const struct packet *p, const uint8_t *ip, const uint8_t *l4,
		      uint32_t l4_len, enum packet_sum how)
{
	static uint8_t all[40 + PACKET_MAX];
	unsigned n = pseudo_header(p, ip, l4_len, all);

	if (how == SUM_PARTIAL) {
		assert_int_equal(get16(l4 + sum_at(p)), pseudo_sum(p, ip, l4_len));
		return;
	}
	memcpy(all + n, l4, l4_len);
	assert_int_equal(packet_slow_sum(all, n + l4_len), 0xffff);
	assert_int_not_equal(get16(l4 + sum_at(p)), 0); /* in UDP: none */
}

void packet_judge_whole(const struct packet *p, const uint8_t *frame, uint32_t len,
			enum packet_sum sum)
{
	const unsigned at = p->l4 + sum_at(p);

	assert_int_equal(len, p->len);
	assert_memory_equal(frame, p->bytes, at);
	assert_memory_equal(frame + at + 2, p->bytes + at + 2, len - at - 2);
	judge_sum(p, frame + p->l3, frame + p->l4, len - p->l4, sum);
}

static void judge_v4(const struct packet_judge *j, const uint8_t *ip, uint32_t len)
{
	const struct packet *p = j->p;
	const unsigned ihl = p->l4 - p->l3;

	assert_int_equal(get16(ip + 2), len);
	assert_int_equal(get16(ip + 4), (0xfffe + j->n) & 0xffff);
	assert_int_equal(packet_slow_sum(ip, ihl), 0xffff);
	assert_memory_equal(ip + 6, p->bytes + p->l3 + 6, 4);
	assert_memory_equal(ip + 12, p->bytes + p->l3 + 12, ihl - 12);
}

static void judge_v6(const struct packet_judge *j, const uint8_t *ip, uint32_t len)
{
	const struct packet *p = j->p;

	assert_int_equal(get16(ip + 4), len - 40);
	assert_memory_equal(ip, p->bytes + p->l3, 4);
	assert_memory_equal(ip + 6, p->bytes + p->l3 + 6, p->l4 - p->l3 - 6);
}

static uint8_t wanted_flags(const struct packet_judge *j, bool is_last)
{
	uint8_t flags = j->p->is.tcp_flags;

	if (j->n)
		flags &= (uint8_t)~TCP_CWR;
	if (!is_last)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	return flags;
}

static void judge_tcp(const struct packet_judge *j, const uint8_t *tcp, bool is_last)
{
	const uint8_t *was = j->p->bytes + j->p->l4;

	assert_memory_equal(tcp, was, 4);
	assert_int_equal(get32(tcp + 4), (uint32_t)(get32(was + 4) + j->done));
	assert_memory_equal(tcp + 8, was + 8, 5);
	assert_int_equal(tcp[13], wanted_flags(j, is_last));
	assert_memory_equal(tcp + 14, was + 14, 2);
	assert_memory_equal(tcp + 18, was + 18, j->p->headers - j->p->l4 - 18);
}

void packet_judge_segment(struct packet_judge *j, const uint8_t *frame, uint32_t len)
{
	const struct packet *p = j->p;
	const int shift = 4 * ((int)j->tags - (int)p->is.tags);
	const uint8_t *ip = frame + p->l3 + shift, *l4 = frame + p->l4 + shift;
	const uint32_t left = p->is.payload - j->done;
	const uint32_t here = left < j->step ? left : j->step;

	assert_int_equal(len, p->headers + shift + here);
	assert_memory_equal(frame, p->bytes, 12);
	assert_int_equal(get16(ip - 2), get16(p->bytes + p->l3 - 2));
	if (is_v4(p))
		judge_v4(j, ip, len - p->l3 - shift);
	else
		judge_v6(j, ip, len - p->l3 - shift);
	if (is_tcp(p))
		judge_tcp(j, l4, here == left);
	else
		assert_int_equal(get16(l4 + 4), 8 + here);
	judge_sum(p, ip, l4, len - p->l4 - shift, j->sum);
	assert_memory_equal(frame + p->headers + shift, p->bytes + p->headers + j->done,
			    here);
	j->done += here;
	j->n++;
}

void packet_judge_end(const struct packet_judge *j)
{
	const unsigned n = (j->p->is.payload + j->step - 1) / j->step;

	assert_int_equal(j->done, j->p->is.payload);
	assert_int_equal(j->n, n ? n : 1);
}
