/* SPDX-License-Identifier: BSD-3-Clause */
/* See demo_guest.h.  A process of its own, with one thread. */
#include "demo_guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "cli.h"
#include "demo_frame.h"
#include "base/barrier.h"
#include "nic.h"

#define RING_SIZE    256
#define RX_BUFFER    4096
#define WINDOW	     (RING_SIZE / 2) /* receive buffers of the peer that may be taken    */
#define ACK_LEN	     60
#define TX_BATCH     16
#define END_NS	     (3ull * 1000000000) /* what is not acknowledged by then is lost     */
#define RNG_INTERVAL (100ull * 1000000)

struct guest {
	unsigned index;
	struct demo_shared *shared;
	struct guest_stats *stats;
	struct nic nic;
	struct vh_client *rng;
	void *rng_buffer;
	uint64_t rng_at;
	bool heard;		  /* of the peer: it can receive                   */
	uint32_t next_seq, acked; /* ours: the next to send, the last acknowledged */
	uint32_t seen, ack_sent;  /* the peer's: the last in order; what we said of it */
	unsigned taken;		  /* of the peer's receive buffers                 */
	uint8_t frame[FRAME_TSO]; /* put together from a mergeable frame's buffers */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- Latency ---- */

static unsigned latency_bucket(uint64_t ns)
{
	unsigned power = 63 - (unsigned)__builtin_clzll(ns | 8);
	unsigned bucket = (power - 3) * 8 + (unsigned)(ns >> (power - 3) & 7);

	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

double latency_percentile(const struct guest_stats *s, double percent)
{
	uint64_t all = 0, sum = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		all += vh_load_relaxed(&s->latency[i]);
	for (unsigned i = 0; all && i < LATENCY_BUCKETS; i++) {
		sum += vh_load_relaxed(&s->latency[i]);
		if ((double)sum >= (double)all * percent / 100)
			return (double)((9ull + i % 8) << (i / 8)) / 1000;
	}
	return 0;
}

/* ---- Receiving ---- */

static unsigned cost(uint32_t len)
{
	return (len + sizeof(struct virtio_net_hdr_v1) + RX_BUFFER - 1) / RX_BUFFER;
}

static void take_ack(struct guest *g, uint32_t ack)
{
	while ((int32_t)(ack - g->acked) > 0 && g->acked + 1 != g->next_seq)
		g->taken -= cost(demo_frame_len(++g->acked));
}

static void take_frame(struct guest *g, uint32_t len)
{
	struct demo_info info;

	if (!demo_frame_check(g->frame, len, &info)) {
		vh_count(&g->stats->damaged, 1);
		return;
	}
	g->heard = true;
	take_ack(g, info.ack);
	if (!info.seq)
		return;
	if ((int32_t)(info.seq - g->seen) <= 0) {
		vh_count(&g->stats->duplicated, 1);
		return;
	}
	if (info.seq != g->seen + 1)
		vh_count(&g->stats->reordered,
			 1); /* or some before it are lost: see acks */
	g->seen = info.seq;
	vh_count(&g->stats->rx_frames, 1);
	vh_count(&g->stats->rx_bytes, len);
	vh_count(&g->stats->latency[latency_bucket(now_ns() - info.sent_ns)], 1);
}

/* One frame, put together from as many buffers as its header says; false: there is none.
 */
static bool receive(struct guest *g)
{
	struct virtio_net_hdr_v1 hdr;
	uint32_t len, total = 0;
	uint8_t *buffer = nic_rx(&g->nic, &len);
	unsigned n = 1;

	if (!buffer)
		return false;
	memcpy(&hdr, buffer, g->nic.hdr_len);
	if (g->nic.mergeable)
		n = hdr.num_buffers;
	for (unsigned skip = g->nic.hdr_len; buffer; skip = 0) {
		if (len >= skip && total + len - skip <= sizeof(g->frame)) {
			memcpy(g->frame + total, buffer + skip, len - skip);
			total += len - skip;
		}
		nic_rx_done(&g->nic, buffer);
		buffer = --n ? nic_rx(&g->nic, &len) : NULL;
	}
	take_frame(g, total);
	return true;
}

/* ---- Sending ---- */

static bool send_frame(struct guest *g, uint32_t seq, uint32_t len)
{
	uint8_t *buffer = nic_tx_buffer(&g->nic);
	const struct demo_info info = {.seq = seq, .ack = g->seen, .sent_ns = now_ns()};

	if (!buffer)
		return false;
	demo_frame_make((struct virtio_net_hdr *)buffer, buffer + g->nic.hdr_len, len,
			g->index, &info);
	nic_tx(&g->nic, buffer, g->nic.hdr_len + len);
	g->ack_sent = g->seen;
	return true;
}

static unsigned send_data(struct guest *g)
{
	unsigned n = 0;

	while (n < TX_BATCH) {
		uint32_t len = demo_frame_len(g->next_seq);

		if (g->taken + cost(len) > WINDOW || !send_frame(g, g->next_seq, len))
			break;
		g->taken += cost(len);
		g->next_seq++;
		n++;
		vh_count(&g->stats->tx_frames, 1);
		vh_count(&g->stats->tx_bytes, len);
	}
	return n;
}

/* ---- The random number device ---- */

static int open_rng(struct guest *g, const char *address)
{
	const struct vh_client_params params = {.size = sizeof(params),
						.address = address,
						.features = 1ull << VIRTIO_F_VERSION_1,
						.memory = 4096};
	int err = vh_client_create(&params, &g->rng);

	if (!err)
		err = vh_client_connect(g->rng);
	if (err)
		return err;
	g->rng_buffer = vh_client_alloc(g->rng, 64, 64);
	return vh_client_start(g->rng, 1, 16);
}

static void use_rng(struct guest *g)
{
	struct vh_client_queue *q = vh_client_queue(g->rng, 0);
	const struct iovec iov = {.iov_base = g->rng_buffer, .iov_len = 64};
	uint32_t len;

	if (now_ns() < g->rng_at)
		return;
	if (vh_client_get(q, &len))
		vh_count(&g->stats->rng_bytes, len);
	if (!vh_client_outstanding(q) && !vh_client_add(q, &iov, 0, 1, g->rng_buffer))
		vh_client_kick(q);
	g->rng_at = now_ns() + RNG_INTERVAL;
}

/* ---- All of it ---- */

static void turn(struct guest *g, bool ending)
{
	unsigned received = 0, sent = 0;

	while (received < RING_SIZE && receive(g))
		received++;
	if (received)
		nic_rx_kick(&g->nic);
	if (!ending && g->heard)
		sent = send_data(g);
	if (g->seen != g->ack_sent || !g->heard)
		sent += send_frame(g, 0, ACK_LEN);
	if (sent)
		nic_kick(&g->nic);
	if (g->rng)
		use_rng(g);
	if (!received && (!sent || !g->heard))
		vh_client_wait(g->nic.rx, 10);
}

static int guest_open(struct guest *g, const char *net, const char *rng)
{
	const struct nic_params params = {
		.address = net,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
			    1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_CSUM |
			    1ull << VIRTIO_NET_F_GUEST_CSUM |
			    1ull << VIRTIO_NET_F_HOST_TSO4 |
			    1ull << VIRTIO_NET_F_GUEST_TSO4,
		.ring_size = RING_SIZE,
		.rx_buf_len = RX_BUFFER,
		.tx_buf_len = sizeof(struct virtio_net_hdr_v1) + FRAME_TSO,
	};
	int err = nic_open(&g->nic, &params);

	return err || !rng ? err : open_rng(g, rng);
}

int guest_run(unsigned index, const char *net, const char *rng,
	      struct demo_shared *shared)
{
	static struct guest guest; /* 64 KiB of frame are too much for a stack */
	struct guest *g = &guest;
	uint64_t end = 0;
	int err;

	*g = (struct guest){.index = index,
			    .shared = shared,
			    .stats = &shared->guest[index],
			    .next_seq = 1};
	err = guest_open(g, net, rng);
	while (!err) {
		bool stop = vh_load_relaxed(&shared->stop);

		if (stop && !end)
			end = now_ns() + END_NS;
		turn(g, stop);
		/* Go on acknowledging until the peer has had the time to hear of it. */
		if (stop && now_ns() > end - END_NS / 2 &&
		    (g->acked + 1 == g->next_seq || now_ns() > end))
			break;
		err = vh_client_queue_error(g->nic.rx);
	}
	if (!err)
		vh_count(&g->stats->lost, g->next_seq - 1 - g->acked);
	if (g->rng)
		vh_client_destroy(g->rng);
	nic_close(&g->nic);
	return err ? exit_code_of(err) : EXIT_OK;
}
