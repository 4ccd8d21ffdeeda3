/* SPDX-License-Identifier: BSD-3-Clause */
/* See traffic.h. */
#include "traffic.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define BURST	   32
#define ETHERTYPE  0x88b5
#define WARM_UP_NS 200000000ull

/* What a frame carries behind its Ethernet header. */
struct mark {
	uint32_t len;
	uint32_t from; /* or INTRODUCTION */
	uint64_t seq;
};

#define INTRODUCTION 0x1000u /* a broadcast, which is not counted */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- Frames ---- */

static void make_frame(uint8_t *frame, unsigned from, unsigned len)
{
	const uint8_t mac[2][ETH_ALEN] = {{0x52, 0x54, 0, 0xbe, 0x4c, 1},
					  {0x52, 0x54, 0, 0xbe, 0x4c, 2}};
	const uint16_t type = htons(ETHERTYPE);
	const struct mark m = {.len = len, .from = from};

	memcpy(frame, mac[!from], ETH_ALEN);
	memcpy(frame + ETH_ALEN, mac[from], ETH_ALEN);
	memcpy(frame + 2 * ETH_ALEN, &type, sizeof(type));
	memcpy(frame + ETH_HLEN, &m, sizeof(m));
	for (unsigned i = ETH_HLEN + sizeof(m); i < len; i++)
		frame[i] = (uint8_t)(i * 131 + from);
}

/* The last byte stands for the rest: a full check would measure the checker. */
static void check_frame(struct traffic_flow *f, const uint8_t *frame, uint32_t len)
{
	struct mark m;

	memcpy(&m, frame + ETH_HLEN, sizeof(m));
	if (m.from == INTRODUCTION)
		return;
	if (len < ETH_HLEN + sizeof(m) || m.len != len || m.from != f->from ||
	    (len > ETH_HLEN + sizeof(m) &&
	     frame[len - 1] != (uint8_t)((len - 1) * 131 + m.from))) {
		f->damaged++;
		return;
	}
	if (m.seq < f->expected)
		f->reordered++;
	f->expected = m.seq + 1;
	f->received++;
}

/* ---- Moving them ---- */

static void send_burst(struct nic *n, struct traffic_flow *f, unsigned size)
{
	unsigned sent = 0;
	uint8_t *buffer;

	for (; sent < BURST && (buffer = nic_tx_buffer(n)); sent++) {
		uint8_t *frame = buffer + n->hdr_len;
		struct mark made;

		/* Buffers keep their frame; only its number changes. */
		memcpy(&made, frame + ETH_HLEN, sizeof(made));
		if (made.len != size || made.from == INTRODUCTION)
			make_frame(frame, f->from, size);
		f->seq++;
		memcpy(frame + ETH_HLEN + offsetof(struct mark, seq), &f->seq,
		       sizeof(f->seq));
		nic_tx(n, buffer, n->hdr_len + size);
	}
	f->sent += sent;
	if (sent)
		nic_kick(n);
}

/* The device's processor has what a frame holds: it is asked for before it is looked at.
 */
static void receive_burst(struct nic *n, struct traffic_flow *f)
{
	uint8_t *buffer[BURST];
	uint32_t len[BURST];
	unsigned got = 0;

	for (; got < BURST && (buffer[got] = nic_rx(n, &len[got])); got++) {
		len[got] = len[got] < n->hdr_len ? 0 : len[got] - n->hdr_len;
		__builtin_prefetch(buffer[got]);
		__builtin_prefetch(buffer[got] + n->hdr_len + len[got]);
	}
	for (unsigned i = 0; i < got; i++) {
		check_frame(f, buffer[i] + n->hdr_len, len[i]);
		nic_rx_done(n, buffer[i]);
	}
	if (got)
		nic_rx_kick(n);
}

static void turn(struct traffic *t, unsigned size, const struct traffic_config *c)
{
	send_burst(&t->nic[0], &t->flow[0], size);
	receive_burst(&t->nic[1], &t->flow[0]);
	if (c->duplex)
		send_burst(&t->nic[1], &t->flow[1], size);
	receive_burst(&t->nic[0], &t->flow[1]);
}

static int state_of(struct nic *nic)
{
	for (unsigned i = 0; i < 2; i++) {
		int err = vh_client_queue_error(nic[i].rx);

		err = err ? err : vh_client_queue_error(nic[i].tx);
		err = err ? err : vh_client_handle(nic[i].client, NULL);
		if (err)
			return err;
	}
	return 0;
}

static int run_until(struct traffic *t, unsigned size, const struct traffic_config *c,
		     uint64_t end)
{
	while (now_ns() < end) {
		for (unsigned i = 0; i < 16; i++)
			turn(t, size, c);
	}
	return state_of(t->nic);
}

/* Both sides speak once, so that a switch knows where each is. */
static void introduce(struct nic *nic, unsigned from)
{
	const struct mark m = {.len = TRAFFIC_FRAME_MIN, .from = INTRODUCTION};
	uint8_t *buffer = nic_tx_buffer(nic), *frame = buffer + nic->hdr_len;

	make_frame(frame, from, TRAFFIC_FRAME_MIN);
	memset(frame, 0xff, ETH_ALEN);
	memcpy(frame + ETH_HLEN, &m, sizeof(m));
	nic_tx(nic, buffer, nic->hdr_len + TRAFFIC_FRAME_MIN);
	nic_kick(nic);
}

int traffic_measure(struct traffic *t, unsigned size, const struct traffic_config *c,
		    struct traffic_row *row)
{
	struct traffic_flow before[2];
	uint64_t start;
	int err = run_until(t, size, c, now_ns() + WARM_UP_NS);

	if (err)
		return err;
	memcpy(before, t->flow, sizeof(before));
	start = now_ns();
	err = run_until(t, size, c, start + c->seconds * 1000000000);
	*row = (struct traffic_row){.size = size,
				    .seconds = (double)(now_ns() - start) / 1e9};
	for (unsigned i = 0; i < 2; i++) {
		const struct traffic_flow *now = &t->flow[i];

		row->sent += now->sent - before[i].sent;
		row->received += now->received - before[i].received;
		row->reordered += now->reordered - before[i].reordered;
		row->damaged += now->damaged - before[i].damaged;
	}
	return err;
}

/* ---- Results ---- */

double traffic_mpps(const struct traffic_row *r)
{
	return (double)r->received / r->seconds / 1e6;
}

double traffic_gbps(const struct traffic_row *r)
{
	return traffic_mpps(r) * r->size * 8 / 1e3;
}

/* ---- Life ---- */

static int open_nic(struct nic *n, const char *address, const char *memory_file,
		    const struct traffic_config *c)
{
	const unsigned len = sizeof(struct virtio_net_hdr_v1) +
			     (c->size[c->n_sizes - 1] > 2036 ? TRAFFIC_FRAME_MAX : 2036);
	const struct nic_params p = {
		.address = address,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
			    (uint64_t)c->mergeable << VIRTIO_NET_F_MRG_RXBUF,
		.ring_size = (unsigned)c->ring,
		.rx_buf_len = len,
		.tx_buf_len = len,
		.memory_file = memory_file[0] ? memory_file : NULL,
	};
	int err = nic_open(n, &p);

	if (!err) {
		vh_client_want_calls(n->rx, false);
		vh_client_want_calls(n->tx, false);
	}
	return err;
}

int traffic_open(struct traffic *t, const char *const address[2],
		 const struct traffic_config *c)
{
	int err = 0;

	*t = (struct traffic){.flow = {{.from = 0}, {.from = 1}}};
	for (unsigned n = 0; n < 2 && !err; n++)
		err = open_nic(&t->nic[n], address[n], c->memory_file[n], c);
	for (unsigned n = 0; n < 2 && !err; n++)
		introduce(&t->nic[n], n);
	return err;
}

void traffic_close(struct traffic *t)
{
	nic_close(&t->nic[0]);
	nic_close(&t->nic[1]);
}
