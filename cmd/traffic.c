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
	uint32_t from;
	uint64_t seq;
};

/* One direction: from nic[from] to nic[!from]. */
struct flow {
	unsigned from;
	uint64_t seq, sent, expected;
	uint64_t received, damaged, reordered;
};

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
static void check_frame(struct flow *f, const uint8_t *frame, uint32_t len)
{
	struct mark m;

	memcpy(&m, frame + ETH_HLEN, sizeof(m));
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

static void send_burst(struct nic *n, struct flow *f, unsigned size)
{
	unsigned sent = 0;
	uint8_t *buffer;

	for (; sent < BURST && (buffer = nic_tx_buffer(n)); sent++) {
		uint8_t *frame = buffer + n->hdr_len;
		uint32_t made;

		memcpy(&made, frame + ETH_HLEN, sizeof(made));
		if (made != size) /* buffers keep their frame; only its number changes */
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

static void receive_burst(struct nic *n, struct flow *f)
{
	unsigned got = 0;
	uint8_t *buffer;
	uint32_t len;

	for (; got < BURST && (buffer = nic_rx(n, &len)); got++) {
		check_frame(f, buffer + n->hdr_len, len - n->hdr_len);
		nic_rx_done(n, buffer);
	}
	if (got)
		nic_rx_kick(n);
}

static void turn(struct nic *nic, struct flow *f, unsigned size,
		 const struct traffic_config *c)
{
	send_burst(&nic[0], &f[0], size);
	receive_burst(&nic[1], &f[0]);
	if (c->duplex)
		send_burst(&nic[1], &f[1], size);
	receive_burst(&nic[0], &f[1]);
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

static int run_until(struct nic *nic, struct flow *f, unsigned size,
		     const struct traffic_config *c, uint64_t end)
{
	while (now_ns() < end) {
		for (unsigned i = 0; i < 16; i++)
			turn(nic, f, size, c);
	}
	return state_of(nic);
}

/* Both sides speak once, so that a switch knows where each is. */
static void introduce(struct nic *nic, struct flow *f)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *buffer = nic_tx_buffer(&nic[i]);

		make_frame(buffer + nic[i].hdr_len, f[i].from, TRAFFIC_FRAME_MIN);
		memset(buffer + nic[i].hdr_len, 0xff, ETH_ALEN);
		nic_tx(&nic[i], buffer, nic[i].hdr_len + TRAFFIC_FRAME_MIN);
		nic_kick(&nic[i]);
		memset(buffer + nic[i].hdr_len + ETH_HLEN, 0, sizeof(struct mark));
	}
}

int traffic_measure(struct nic nic[2], unsigned size, const struct traffic_config *c,
		    struct traffic_row *row)
{
	struct flow f[2] = {{.from = 0}, {.from = 1}};
	struct flow before[2];
	uint64_t start;
	int err = run_until(nic, f, size, c, now_ns() + WARM_UP_NS);

	if (err)
		return err;
	memcpy(before, f, sizeof(before));
	start = now_ns();
	err = run_until(nic, f, size, c, start + c->seconds * 1000000000);
	*row = (struct traffic_row){.size = size,
				    .seconds = (double)(now_ns() - start) / 1e9};
	for (unsigned i = 0; i < 2; i++) {
		row->sent += f[i].sent - before[i].sent;
		row->received += f[i].received - before[i].received;
		row->reordered += f[i].reordered - before[i].reordered;
		/* Of the size before, still under way at the start, are not damaged. */
		row->damaged += f[i].damaged - before[i].damaged;
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

static int open_nic(struct nic *n, const char *address, const struct traffic_config *c)
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
	};
	int err = nic_open(n, &p);

	if (!err) {
		vh_client_want_calls(n->rx, false);
		vh_client_want_calls(n->tx, false);
	}
	return err;
}

int traffic_open(struct nic nic[2], const char *const address[2],
		 const struct traffic_config *c)
{
	struct flow f[2] = {{.from = 0}, {.from = 1}};
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++)
		err = open_nic(&nic[i], address[i], c);
	if (!err)
		introduce(nic, f);
	return err;
}

void traffic_close(struct nic nic[2])
{
	nic_close(&nic[0]);
	nic_close(&nic[1]);
}
