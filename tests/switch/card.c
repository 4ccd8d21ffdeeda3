/* SPDX-License-Identifier: BSD-3-Clause */
/* A network card on the front-end role; see rig.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "rig.h"

#define FOR_EVER_MS 20000
#define FRAME_TYPE  0x88b5 /* for experiments */

/* ---- Life ---- */

void card_open_as(struct card *c, const char *address, uint64_t features, unsigned pairs)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = address,
					   .features = features,
					   .memory = CARD_MEMORY};
	struct vh_client_info info;

	*c = (struct card){.features = features, .pairs = pairs};
	assert_int_equal(vh_client_create(&p, &c->client), 0);
	assert_int_equal(vh_client_connect(c->client), 0);
	vh_client_info(c->client, &info);
	assert_int_equal(info.features & features, features);
	c->hdr_len =
		features & (VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_NET_F_MRG_RXBUF))
			? 12
			: 10;
	for (unsigned i = 0; i < CARD_TX_SLOTS; i++) {
		c->tx_slot[i] = vh_client_alloc(c->client, CARD_TX_LEN, 64);
		assert_non_null(c->tx_slot[i]);
	}
	c->n_tx_free = CARD_TX_SLOTS;
	c->buffer = calloc(CARD_RING * pairs, sizeof(*c->buffer));
	assert_non_null(c->buffer);
	assert_int_equal(vh_client_start(c->client, 2 * pairs, CARD_RING), 0);
	card_use(c, 0);
}

void card_open_pairs(struct card *c, const char *address, uint64_t features,
		     unsigned pairs)
{
	card_open_as(c, address,
		     features | rig_cell->ring_features | VH_BIT(VIRTIO_F_VERSION_1),
		     pairs);
}

void card_open(struct card *c, const char *address, uint64_t features)
{
	card_open_pairs(c, address, features, 1);
}

void card_close(struct card *c)
{
	vh_client_destroy(c->client);
	free(c->buffer);
	*c = (struct card){0};
}

void card_use(struct card *c, unsigned pair)
{
	c->rx = vh_client_queue(c->client, 2 * pair);
	c->tx = vh_client_queue(c->client, 2 * pair + 1);
}

/* ---- Sending ---- */

/* Consecutive bytes as descriptors of @piece bytes; how many. */
static unsigned cut(struct iovec *iov, uint8_t *va, uint32_t len, unsigned piece)
{
	unsigned n = 0;

	for (uint32_t off = 0; off < len; off += piece)
		iov[n++] =
			(struct iovec){va + off, len - off < piece ? len - off : piece};
	return n;
}

static void collect_sent(struct card *c)
{
	uint8_t *slot;
	uint32_t len;

	while ((slot = vh_client_get(c->tx, &len))) {
		assert_int_equal(len, 0);
		c->tx_slot[c->n_tx_free++] = slot;
	}
}

static uint8_t *free_slot(struct card *c)
{
	collect_sent(c);
	while (!c->n_tx_free) {
		assert_int_equal(vh_client_wait(c->tx, FOR_EVER_MS), 1);
		collect_sent(c);
	}
	return c->tx_slot[--c->n_tx_free];
}

/* What is not sent yet takes too many descriptors: wait until there is room. */
static void add(struct card *c, const struct iovec *iov, unsigned n, uint8_t *slot)
{
	while (vh_client_add(c->tx, iov, n, 0, slot) < 0) {
		assert_int_equal(vh_client_wait(c->tx, FOR_EVER_MS), 1);
		collect_sent(c);
	}
	vh_client_kick(c->tx);
}

void card_send(struct card *c, const struct virtio_net_hdr_v1 *hdr, const void *frame,
	       uint32_t len)
{
	uint8_t *slot = free_slot(c);
	const struct iovec iov[2] = {{slot, c->hdr_len}, {slot + c->hdr_len, len}};

	memset(slot, 0, c->hdr_len);
	if (hdr)
		memcpy(slot, hdr, c->hdr_len);
	memcpy(slot + c->hdr_len, frame, len);
	add(c, iov, 2, slot);
}

void card_send_raw(struct card *c, const void *bytes, uint32_t len, unsigned piece)
{
	uint8_t *slot = free_slot(c);
	struct iovec iov[CARD_RING];

	memcpy(slot, bytes, len);
	add(c, iov, cut(iov, slot, len, piece), slot);
}

void card_send_cut(struct card *c, const struct virtio_net_hdr_v1 *hdr, const void *frame,
		   uint32_t len, unsigned piece)
{
	uint8_t bytes[2048] = {0};

	assert_true(c->hdr_len + len <= sizeof(bytes));
	if (hdr)
		memcpy(bytes, hdr, c->hdr_len);
	memcpy(bytes + c->hdr_len, frame, len);
	card_send_raw(c, bytes, c->hdr_len + len, piece);
}

bool card_try_send(struct card *c, const void *frame, uint32_t len)
{
	collect_sent(c);
	if (!c->n_tx_free)
		return false;
	card_send(c, NULL, frame, len);
	return true;
}

void card_flush(struct card *c)
{
	collect_sent(c);
	while (vh_client_outstanding(c->tx)) {
		assert_int_equal(vh_client_wait(c->tx, FOR_EVER_MS), 1);
		collect_sent(c);
	}
}

void card_sync(struct rig *r, struct card *c)
{
	card_flush(c);
	rig_settle(r);
}

/* ---- Receiving ---- */

static void give(struct card *c, struct card_buffer *b)
{
	struct iovec iov[CARD_RING];
	unsigned n = cut(iov, b->va, b->len, b->piece);

	assert_int_equal(vh_client_add(c->rx, iov, 0, n, b), 0);
}

void card_fill(struct card *c, unsigned n, unsigned len, unsigned piece)
{
	for (unsigned i = 0; i < n; i++) {
		struct card_buffer *b = &c->buffer[c->n_buffers++];

		assert_true(c->n_buffers <= CARD_RING * c->pairs);
		*b = (struct card_buffer){vh_client_alloc(c->client, len, 8), len, piece};
		assert_non_null(b->va);
		memset(b->va, 0xee, len);
		give(c, b);
	}
	vh_client_kick(c->rx);
}

/* Append the next buffer to @bytes; its length. */
static uint32_t take_buffer(struct card *c, uint8_t *bytes, uint32_t room)
{
	uint32_t len;
	struct card_buffer *b = vh_client_get(c->rx, &len);

	assert_non_null(b); /* a frame is seen whole or not at all */
	assert_true(len <= room);
	memcpy(bytes, b->va, len);
	if (!c->keep)
		give(c, b);
	return len;
}

static unsigned wanted_buffers(const struct card *c, const uint8_t *bytes, uint32_t len)
{
	struct virtio_net_hdr_v1 h;

	if (!(c->features & VH_BIT(VIRTIO_NET_F_MRG_RXBUF)))
		return 1;
	if (len < c->hdr_len)
		return UINT32_MAX; /* it goes on in the next buffer */
	memcpy(&h, bytes, sizeof(h));
	assert_int_not_equal(h.num_buffers, 0);
	return h.num_buffers;
}

static bool has_received(struct card *c)
{
	/* A look that takes nothing: is the queue done waiting at once? */
	return vh_client_wait(c->rx, 0) == 1;
}

bool card_take(struct card *c, struct card_frame *f)
{
	uint32_t len = 0;

	if (!has_received(c))
		return false;
	for (f->n_buffers = 0;
	     !f->n_buffers || f->n_buffers < wanted_buffers(c, f->bytes, len);
	     f->n_buffers++)
		len += take_buffer(c, f->bytes + len, (uint32_t)sizeof(f->bytes) - len);
	vh_client_kick(c->rx);
	assert_true(len >= c->hdr_len);
	f->hdr = (struct virtio_net_hdr_v1){0};
	memcpy(&f->hdr, f->bytes, c->hdr_len);
	f->len = len - c->hdr_len;
	f->data = f->bytes + c->hdr_len;
	return true;
}

unsigned card_drain(struct card *c)
{
	static struct card_frame f;
	unsigned n = 0;

	while (card_take(c, &f))
		n++;
	return n;
}

/* ---- Plain frames ---- */

static void put_station(uint8_t *mac, unsigned n)
{
	const uint8_t station[6] = {2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};

	memcpy(mac, station, 6);
	if (n == EVERYBODY)
		memset(mac, 0xff, 6);
}

void frame_make(uint8_t *frame, unsigned to, unsigned from, uint32_t len, uint32_t seq)
{
	put_station(frame, to);
	put_station(frame + 6, from);
	frame[12] = FRAME_TYPE >> 8;
	frame[13] = FRAME_TYPE & 0xff;
	for (uint32_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(i * 131 + (seq >> i % 4 * 8));
}

void card_say(struct card *c, unsigned to, unsigned from, uint32_t seq)
{
	uint8_t frame[FRAME_LEN];

	frame_make(frame, to, from, FRAME_LEN, seq);
	card_send(c, NULL, frame, FRAME_LEN);
}

void card_hears(struct card *c, unsigned to, unsigned from, uint32_t seq)
{
	static struct card_frame f;
	uint8_t frame[FRAME_LEN];

	frame_make(frame, to, from, FRAME_LEN, seq);
	assert_true(card_take(c, &f));
	assert_int_equal(f.len, FRAME_LEN);
	assert_memory_equal(f.data, frame, FRAME_LEN);
}

void card_hears_nothing(struct card *c)
{
	static struct card_frame f;

	assert_false(card_take(c, &f));
}
