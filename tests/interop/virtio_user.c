/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two cards of DPDK's virtio-user, on which frames are sent both ways and compared byte
 * by byte where they come out:
 *
 *	virtio_user EAL-OPTION... -- FRAMES MAX-LENGTH [PID]
 *
 * With PID, that of the back-end, it then kills that process with frames under way, and
 * sends as many again through the one that comes next. No frame may be lost, doubled or
 * out of order; so few are under way that a ring is never full.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define N_PORTS	   2
#define RING	   256
#define BURST	   16
#define UNDER_WAY  64 /* frames; each may take five of the receiver's buffers  */
#define MIN_LEN	   60
#define ETHERTYPE  0x88b5 /* for experiments */
#define MAX_PORT   20000
#define STALLED_S  20
#define ANNOUNCE_S 0.05

struct header {
	struct rte_ether_hdr ether;
	uint16_t zero;
	uint32_t seq, len; /* seq 0: an announcement */
};

/* What goes from port @from to the other one. */
struct flow {
	uint16_t from;
	uint32_t seq, sent,
		received; /* @seq: the last one sent; counts since restart() */
};

static struct rte_mempool *pool;
static uint32_t max_len;

static double now(void)
{
	return (double)rte_get_timer_cycles() / (double)rte_get_timer_hz();
}

/* ---- Frames ---- */

static uint32_t length_of(uint32_t seq)
{
	return MIN_LEN + seq * 7919 % (max_len - MIN_LEN + 1);
}

static uint8_t byte_of(uint16_t from, uint32_t seq, uint32_t i)
{
	return (uint8_t)((i + seq) * 167 + (i >> 8) + from);
}

static void fill_frame(uint8_t *frame, uint16_t from, uint32_t seq, uint32_t len)
{
	struct header h = {
		.ether = {.src_addr = {{2, 0, 0, 0, 0, (uint8_t)from}},
			  .dst_addr = {{2, 0, 0, 0, 0, (uint8_t)!from}},
			  .ether_type = rte_cpu_to_be_16(ETHERTYPE)},
		.seq = seq,
		.len = len,
	};

	if (!seq)
		memset(&h.ether.dst_addr, 0xff, sizeof(h.ether.dst_addr));
	memcpy(frame, &h, sizeof(h));
	for (uint32_t i = sizeof(h); i < len; i++)
		frame[i] = byte_of(from, seq, i);
}

/* As many buffers as it takes. */
static struct rte_mbuf *to_mbufs(const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *first = NULL;

	for (uint32_t done = 0; done < len;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t n = len - done;

		if (!m)
			errx(1, "no buffers left: some were lost");
		if (n > rte_pktmbuf_tailroom(m))
			n = rte_pktmbuf_tailroom(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame + done, n);
		done += n;
		if (!first)
			first = m;
		else if (rte_pktmbuf_chain(first, m))
			errx(1, "%u bytes take too many buffers", len);
	}
	return first;
}

static void send_frame(uint16_t from, uint32_t seq, uint32_t len)
{
	uint8_t frame[MAX_PORT];
	struct rte_mbuf *m;
	const double end = now() + STALLED_S;

	fill_frame(frame, from, seq, len);
	m = to_mbufs(frame, len);
	while (!rte_eth_tx_burst(from, 0, &m, 1))
		if (now() > end)
			errx(1, "port %u takes no more frames", from);
}

/* The next one that was sent, whole; or an announcement. */
static void check_frame(struct flow *f, struct rte_mbuf *m)
{
	uint8_t buf[MAX_PORT], wanted[MAX_PORT];
	const uint32_t len = rte_pktmbuf_pkt_len(m);
	const uint8_t *frame = len <= sizeof(buf) ? rte_pktmbuf_read(m, 0, len, buf)
						  : NULL;
	struct header h;

	if (!frame || len < sizeof(h))
		errx(1, "a frame of %u bytes", len);
	memcpy(&h, frame, sizeof(h));
	if (len != h.len || len > sizeof(wanted))
		errx(1, "frame %u: %u bytes, not %u", h.seq, len, h.len);
	fill_frame(wanted, f->from, h.seq, len);
	for (uint32_t i = 0; i < len; i++)
		if (frame[i] != wanted[i])
			errx(1, "frame %u of %u bytes differs at %u", h.seq, len, i);
	if (!h.seq)
		return;
	if (h.seq != f->seq - f->sent + f->received + 1)
		errx(1, "frame %u where %u is due", h.seq,
		     f->seq - f->sent + f->received + 1);
	f->received++;
}

/* ---- Moving them ---- */

static void send_some(struct flow *f, uint32_t n)
{
	for (unsigned i = 0;
	     i < BURST && f->sent < n && f->sent - f->received < UNDER_WAY; i++) {
		f->seq++;
		f->sent++;
		send_frame(f->from, f->seq, length_of(f->seq));
	}
}

/* How many came, announcements too. */
static unsigned receive_some(struct flow *f)
{
	struct rte_mbuf *m[BURST];
	const unsigned n = rte_eth_rx_burst(!f->from, 0, m, BURST);

	for (unsigned i = 0; i < n; i++) {
		check_frame(f, m[i]);
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

static void announce(void)
{
	for (uint16_t p = 0; p < N_PORTS; p++)
		send_frame(p, 0, MIN_LEN);
}

/*
 * Until each side has heard of the other: the switch is there, and knows both. What
 * was under way before does not count.
 */
static void meet(struct flow *f)
{
	const double end = now() + STALLED_S;
	double next = 0;
	unsigned heard[N_PORTS] = {0};

	while (!heard[0] || !heard[1]) {
		if (now() > end)
			errx(1, "the two cards do not hear of each other");
		if (now() >= next) {
			announce();
			next = now() + ANNOUNCE_S;
		}
		for (unsigned i = 0; i < N_PORTS; i++)
			heard[i] += receive_some(&f[i]);
	}
}

static void exchange(struct flow *f, uint32_t n)
{
	double end = now() + STALLED_S;

	f[0].sent = f[0].received = f[1].sent = f[1].received = 0;
	while (f[0].received < n || f[1].received < n) {
		for (unsigned i = 0; i < N_PORTS; i++) {
			send_some(&f[i], n);
			if (receive_some(&f[i]))
				end = now() + STALLED_S;
		}
		if (now() > end)
			errx(1, "%u and %u of %u and %u frames came", f[0].received,
			     f[1].received, f[0].sent, f[1].sent);
	}
}

/* What the dead one had taken may be lost; then nothing may. */
static void have_it_die(struct flow *f, pid_t pid)
{
	struct rte_mbuf *m[BURST];
	unsigned n;

	if (kill(pid, SIGSTOP) < 0)
		err(1, "cannot stop %d", (int)pid);
	announce();
	if (kill(pid, SIGKILL) < 0)
		err(1, "cannot kill %d", (int)pid);
	for (unsigned i = 0; i < N_PORTS; i++)
		while ((n = rte_eth_rx_burst(f[i].from, 0, m, BURST)))
			rte_pktmbuf_free_bulk(m, n);
}

/* ---- Setting up ---- */

static void start_port(uint16_t port)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info))
		errx(1, "port %u: no information", port);
	/* A card that listens takes the next back-end only on the link's interrupt. */
	conf.intr_conf.lsc = info.dev_flags && *info.dev_flags & RTE_ETH_DEV_INTR_LSC;
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (max_len > RTE_ETHER_MTU + RTE_ETHER_HDR_LEN)
		conf.rxmode.mtu = max_len - RTE_ETHER_HDR_LEN;
	if (rte_eth_dev_configure(port, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup(port, 0, RING, 0, NULL, pool) ||
	    rte_eth_tx_queue_setup(port, 0, RING, 0, NULL) || rte_eth_dev_start(port))
		errx(1, "port %u does not start", port);
}

int main(int argc, char **argv)
{
	struct flow f[N_PORTS] = {{.from = 0}, {.from = 1}};
	const int used = rte_eal_init(argc, argv);
	uint32_t n;

	if (used < 0 || argc - used < 3)
		errx(2, "usage: virtio_user EAL-OPTION... -- FRAMES MAX-LENGTH [PID]");
	n = (uint32_t)atoi(argv[used + 1]);
	max_len = (uint32_t)atoi(argv[used + 2]);
	if (max_len < MIN_LEN || max_len > MAX_PORT)
		errx(2, "frames have %u to %u bytes", MIN_LEN, MAX_PORT);
	pool = rte_pktmbuf_pool_create("frames", 4096, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       0);
	if (!pool || rte_eth_dev_count_avail() != N_PORTS)
		errx(1, "no memory, or not two cards");
	for (uint16_t p = 0; p < N_PORTS; p++)
		start_port(p);
	meet(f);
	exchange(f, n);
	if (argc - used > 3) {
		have_it_die(f, (pid_t)atoi(argv[used + 3]));
		meet(f);
		exchange(f, n);
	}
	printf("%u frames each way\n", n);
	for (uint16_t p = 0; p < N_PORTS; p++)
		if (rte_eth_dev_stop(p) || rte_eth_dev_close(p))
			errx(1, "port %u does not stop", p);
	return rte_eal_cleanup() ? 1 : 0;
}
