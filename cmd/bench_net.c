/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A traffic generator: one thread that sends into one network device and
 * receives from another, polling both, and checks what arrives.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <json-c/json.h>
#include <linux/if_ether.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/cleanup.h"
#include "bench.h"
#include "cli.h"
#include "nic.h"

#define MAX_SIZES  16
#define FRAME_MIN  60
#define FRAME_MAX  9014
#define BURST	   32
#define ETHERTYPE  0x88b5
#define WARM_UP_NS 200000000ull

struct config {
	unsigned size[MAX_SIZES], n_sizes;
	uint64_t seconds, ring;
	bool mergeable, duplex;
};

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

struct row {
	unsigned size;
	double seconds;
	uint64_t sent, received, damaged, reordered;
};

static const struct verb *const verb = &verb_bench;

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

static void turn(struct nic *nic, struct flow *f, unsigned size, const struct config *c)
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
		     const struct config *c, uint64_t end)
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

		make_frame(buffer + nic[i].hdr_len, f[i].from, FRAME_MIN);
		memset(buffer + nic[i].hdr_len, 0xff, ETH_ALEN);
		nic_tx(&nic[i], buffer, nic[i].hdr_len + FRAME_MIN);
		nic_kick(&nic[i]);
		memset(buffer + nic[i].hdr_len + ETH_HLEN, 0, sizeof(struct mark));
	}
}

static int measure(struct nic *nic, unsigned size, const struct config *c,
		   struct row *row)
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
	*row = (struct row){.size = size, .seconds = (double)(now_ns() - start) / 1e9};
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

static double mpps(const struct row *r)
{
	return (double)r->received / r->seconds / 1e6;
}

static double gbps(const struct row *r)
{
	return mpps(r) * r->size * 8 / 1e3;
}

static void print_row(const struct row *r)
{
	printf("%6u %9.3f %9.3f %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %9" PRIu64 "\n",
	       r->size, mpps(r), gbps(r), r->sent, r->received, r->damaged, r->reordered);
	fflush(stdout);
}

static struct json_object *json_of_row(const struct row *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "size", json_object_new_int((int)r->size));
	json_object_object_add(o, "mpps", json_object_new_double(mpps(r)));
	json_object_object_add(o, "gbps", json_object_new_double(gbps(r)));
	json_object_object_add(o, "sent", json_object_new_int64((int64_t)r->sent));
	json_object_object_add(o, "received",
			       json_object_new_int64((int64_t)r->received));
	json_object_object_add(o, "damaged", json_object_new_int64((int64_t)r->damaged));
	json_object_object_add(o, "reordered",
			       json_object_new_int64((int64_t)r->reordered));
	return o;
}

static int measure_all(struct nic *nic, const struct config *c, bool json)
{
	struct json_object *rows = json_object_new_array(), *o = json_object_new_object();
	uint64_t received = 0, wrong = 0;
	int err = 0;

	if (!json)
		printf("%6s %9s %9s %12s %12s %8s %9s\n", "SIZE", "MPPS", "GBIT/S",
		       "SENT", "RECEIVED", "DAMAGED", "REORDERED");
	for (unsigned i = 0; i < c->n_sizes && !err; i++) {
		struct row r = {0};

		err = measure(nic, c->size[i], c, &r);
		received += r.received;
		wrong += r.damaged + r.reordered;
		json_object_array_add(rows, json_of_row(&r));
		if (!json)
			print_row(&r);
	}
	json_object_object_add(o, "schema", json_object_new_int(1));
	json_object_object_add(o, "rows", rows);
	if (json)
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	if (err || wrong)
		return EXIT_PEER;
	return received ? EXIT_OK : EXIT_FAILED;
}

/* ---- Options ---- */

static bool parse_sizes(struct config *c, char *text)
{
	char *word;

	c->n_sizes = 0;
	while ((word = strsep(&text, ":"))) {
		uint64_t n;

		if (c->n_sizes == MAX_SIZES ||
		    !parse_number(word, FRAME_MIN, FRAME_MAX, &n))
			return false;
		c->size[c->n_sizes++] = (unsigned)n;
	}
	return c->n_sizes > 0;
}

static bool parse_switch(const char *text, bool *on)
{
	*on = !strcmp(text, "on");
	return *on || !strcmp(text, "off");
}

static bool parse_seconds(struct config *c, char *text)
{
	return parse_number(text, 1, 3600, &c->seconds);
}

/* A ring's size is a power of two. */
static bool parse_ring(struct config *c, char *text)
{
	return parse_number(text, 2, 32768, &c->ring) && !(c->ring & (c->ring - 1));
}

static bool parse_mrg(struct config *c, char *text)
{
	return parse_switch(text, &c->mergeable);
}

static bool parse_duplex(struct config *c, char *text)
{
	return parse_switch(text, &c->duplex);
}

static const struct {
	const char *key;
	bool (*parse)(struct config *c, char *text);
	const char *form; /* for the text of errors */
} keys[] = {
	{"size", parse_sizes, "1 to 16 frame sizes of 60 to 9014, with colons between"},
	{"seconds", parse_seconds, "1 to 3600"},
	{"ring", parse_ring, "a power of two, 2 to 32768"},
	{"mrg", parse_mrg, "on or off"},
	{"duplex", parse_duplex, "on or off"},
};

/* 0, or an exit code. */
static int parse_key(struct config *c, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		VH_AUTO_FREE char *copy = NULL;

		if (strcmp(keys[i].key, key) != 0)
			continue;
		copy = strdup(value); /* which a parser takes apart */
		return copy && keys[i].parse(c, copy)
			       ? EXIT_OK
			       : usage_error(verb, "%s=%s: want %s", key, value,
					     keys[i].form);
	}
	return usage_error(
		verb, "%s=%s: there is size=, seconds=, ring=, mrg= and duplex=", key,
		value);
}

static int open_nic(struct nic *n, const char *address, const struct config *c)
{
	const unsigned len = sizeof(struct virtio_net_hdr_v1) +
			     (c->size[c->n_sizes - 1] > 2036 ? FRAME_MAX : 2036);
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

int bench_net(const struct bench_args *a)
{
	struct config c = {.size = {64, 128, 256, 512, 1024, 1518},
			   .n_sizes = 6,
			   .seconds = 1,
			   .ring = 256,
			   .mergeable = true};
	struct flow f[2] = {{.from = 0}, {.from = 1}};
	struct nic nic[2] = {0};
	int err = 0, code = EXIT_OK;

	if (a->n_addresses != 2)
		return usage_error(verb, "bench net takes two addresses, not %u",
				   a->n_addresses);
	for (unsigned i = 0; i < a->n_keys && code == EXIT_OK; i++)
		code = parse_key(&c, a->key[i], a->value[i]);
	if (code != EXIT_OK)
		return code;
	for (unsigned i = 0; i < 2 && !err; i++)
		err = open_nic(&nic[i], a->address[i], &c);
	if (!err)
		introduce(nic, f);
	code = err ? exit_code_of(err) : measure_all(nic, &c, a->json);
	nic_close(&nic[0]);
	nic_close(&nic[1]);
	return code;
}
