/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA memory is one piece: for each side its ring, then its buffers.  An rx buffer
 * goes back to the device as soon as its message is copied, so the ring is always full.
 * Tx buffers are taken back when one is wanted; no interrupt is needed for that.
 */
#include "conn/msgq.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"

#define LINE	   64u
#define SLOT_BYTES ((VH_MSGQ_MAX_MSG + LINE - 1) / LINE * LINE)

/* ---- Life ---- */

static bool to_device(void *arg, const void *p, size_t len, uint64_t *iova)
{
	const struct vh_msgq *q = arg;
	const size_t at = (size_t)((const uint8_t *)p - q->dma.va);

	if (at > q->dma.len || len > q->dma.len - at)
		return false;
	*iova = q->dma.iova + at;
	return true;
}

static uint8_t *slot(const struct vh_msgq *q, enum vh_msgq_side side, unsigned i)
{
	return q->dma.va + q->side[side].slots_at + i * SLOT_BYTES;
}

/* Plan a side at @at; where the next one may begin, 0: a bad size. */
static size_t plan(struct vh_msgq_side_state *s, uint16_t size, size_t at,
		   uint64_t features)
{
	size_t bytes;

	s->size = size < VH_MSGQ_MAX_SLOTS ? size : VH_MSGQ_MAX_SLOTS;
	bytes = vh_driver_ring_bytes(s->size, features);
	s->ring_at = at;
	s->slots_at = at + bytes;
	return bytes ? s->slots_at + s->size * SLOT_BYTES : 0;
}

static int make(struct vh_msgq *q, uint16_t rx, uint16_t tx, uint64_t features)
{
	size_t len = plan(&q->side[VH_MSGQ_RX], rx, 0, features);
	int err;

	if (len)
		len = plan(&q->side[VH_MSGQ_TX], tx, len, features);
	if (!len)
		return -EINVAL;
	err = q->host->bus->dma_alloc(q->host, len, &q->dma);
	for (unsigned i = 0; i < VH_MSGQ_SIDES && !err; i++)
		err = vh_driver_ring_create(q->dma.va + q->side[i].ring_at,
					    q->side[i].size, features, to_device, q,
					    &q->side[i].ring);
	return err;
}

int vh_msgq_open(struct vh_msgq *q, struct vh_pci_host *host, const char *tag,
		 uint16_t rx, uint16_t tx, uint64_t features)
{
	int err;

	*q = (struct vh_msgq){.tag = tag, .host = host};
	err = make(q, rx, tx, features);
	if (err) {
		vh_log(q, VH_LOG_ERROR, "cannot make the message queues: %s",
		       vh_strerror(err));
		vh_msgq_close(q);
		return err;
	}
	for (unsigned i = 0; i < q->side[VH_MSGQ_TX].size; i++)
		q->free[q->n_free++] = slot(q, VH_MSGQ_TX, i);
	vh_driver_ring_disarm(q->side[VH_MSGQ_TX].ring);
	return 0;
}

void vh_msgq_close(struct vh_msgq *q)
{
	for (unsigned i = 0; i < VH_MSGQ_SIDES; i++)
		vh_driver_ring_destroy(q->side[i].ring);
	if (q->dma.va)
		q->host->bus->dma_free(q->host, &q->dma);
	memset(q, 0, sizeof(*q));
}

void vh_msgq_ring(const struct vh_msgq *q, enum vh_msgq_side side, struct vh_msgq_ring *r)
{
	const struct vh_msgq_side_state *s = &q->side[side];
	const uint64_t at = q->dma.iova + s->ring_at;
	struct vh_driver_ring_places p;

	vh_driver_ring_places(s->size, 0, &p);
	*r = (struct vh_msgq_ring){.size = s->size,
				   .desc = at + p.desc,
				   .avail = at + p.avail,
				   .used = at + p.used};
}

const char *vh_msgq_why(const struct vh_msgq *q)
{
	const char *why = vh_driver_ring_why(q->side[VH_MSGQ_RX].ring);

	return why ? why : vh_driver_ring_why(q->side[VH_MSGQ_TX].ring);
}

/* ---- In ---- */

static void give(struct vh_msgq *q, uint8_t *buf)
{
	const struct iovec iov = {.iov_base = buf, .iov_len = SLOT_BYTES};

	/* It cannot fail but on a broken ring, of which vh_msgq_why() tells. */
	vh_driver_ring_add(q->side[VH_MSGQ_RX].ring, &iov, 0, 1, buf);
}

bool vh_msgq_fill(struct vh_msgq *q)
{
	struct vh_driver_ring *ring = q->side[VH_MSGQ_RX].ring;
	bool notify;

	for (unsigned i = 0; i < q->side[VH_MSGQ_RX].size; i++)
		give(q, slot(q, VH_MSGQ_RX, i));
	notify = vh_driver_ring_publish(ring);
	vh_driver_ring_arm(ring);
	return notify;
}

/* The next message into @in; false: there is none.  A message too long comes as empty. */
static bool take(struct vh_msgq *q, bool *notify)
{
	struct vh_driver_ring *ring = q->side[VH_MSGQ_RX].ring;
	uint32_t len;
	uint8_t *buf = vh_driver_ring_get(ring, &len);

	/* Nothing: it may have come between the look and the wish to be told. */
	if (!buf && vh_driver_ring_arm(ring))
		buf = vh_driver_ring_get(ring, &len);
	if (!buf)
		return false;
	q->in_len = len <= sizeof(q->in) ? len : 0;
	memcpy(q->in, buf, q->in_len);
	give(q, buf);
	*notify |= vh_driver_ring_publish(ring);
	return true;
}

static int nonsense(const struct vh_msgq *q, const char *why)
{
	vh_log(q, VH_LOG_WARN, "a message of %zu bytes: %s", q->in_len, why);
	return -EPROTO;
}

static int decode(const struct vh_msgq *q, struct vh_msg *m, bool has_channel)
{
	const struct vh_expect nothing = {.id = 0};
	const char *why = "shorter than a header";
	struct vh_wire_header h;
	bool is_answer;

	if (q->in_len < sizeof(h) || vh_header_decode(q->in, &h, &why) < 0)
		return nonsense(q, why);
	if (h.size != q->in_len - sizeof(h))
		return nonsense(q, "its size is another one");
	is_answer = has_channel && h.flags & VH_FLAG_REPLY;
	if (vh_msg_decode(m, is_answer ? VH_CHANNEL_BACKEND : VH_CHANNEL_MAIN, &h,
			  q->in + sizeof(h), NULL, 0, is_answer ? &nothing : NULL, false,
			  &why) < 0) {
		vh_msg_close(m);
		return nonsense(q, why);
	}
	return 1;
}

int vh_msgq_recv(struct vh_msgq *q, struct vh_msg *m, bool has_channel, bool *notify)
{
	*notify = false;
	if (take(q, notify))
		return decode(q, m, has_channel);
	if (!vh_msgq_why(q))
		return 0;
	vh_log(q, VH_LOG_WARN, "the device broke a message queue: %s", vh_msgq_why(q));
	return -EPROTO;
}

bool vh_msgq_flush(struct vh_msgq *q)
{
	bool notify = false;

	for (unsigned i = 0; i < q->side[VH_MSGQ_RX].size && take(q, &notify); i++)
		;
	return notify;
}

/* ---- Out ---- */

/* The buffers that the device is done with. */
static void take_back(struct vh_msgq *q)
{
	uint32_t len;
	uint8_t *buf;

	while ((buf = vh_driver_ring_get(q->side[VH_MSGQ_TX].ring, &len)))
		q->free[q->n_free++] = buf;
}

int vh_msgq_send(struct vh_msgq *q, const struct vh_msg *m, bool *notify)
{
	struct vh_driver_ring *ring = q->side[VH_MSGQ_TX].ring;
	struct iovec iov;
	int n, err;

	*notify = false;
	take_back(q);
	if (!q->n_free)
		return -ENOBUFS;
	iov.iov_base = q->free[q->n_free - 1];
	n = vh_msg_encode(m, iov.iov_base, VH_MSGQ_MAX_MSG);
	if (n < 0)
		return n;
	iov.iov_len = (size_t)n;
	err = vh_driver_ring_add(ring, &iov, 1, 0, iov.iov_base);
	if (err)
		return err;
	q->n_free--;
	*notify = vh_driver_ring_publish(ring);
	return 0;
}
