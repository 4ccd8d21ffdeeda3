/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight region of a split ring.  Input: a byte for the ring's size, then a byte an
 * operation, each followed by what it needs: a driver that keeps the rules, a device that
 * takes, ends, publishes, dies and comes again.
 *
 * Until the input pokes into the region, or the driver breaks a rule, each chain is done
 * exactly once, whatever dies when.  Afterwards nothing may be written but the used ring
 * and the region.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "fuzz.h"
#include "ring/ring.h"
#include "spec/vhost_user.h"

enum { MAX_NUM = 32, BUFFER = 16 };

enum op {
	OP_OFFER, /* how many                                              */
	OP_TAKE,  /* how many at most                                      */
	OP_PUSH,  /* which chain                                           */
	OP_PUBLISH,
	OP_UNPOP, /* how many: pop them and give them back                 */
	OP_CRASH,
	OP_CRASH_IN_PUBLISH, /* how many marks were taken away before that     */
	OP_MOVE,	     /* the session stops the ring and starts it again */
	OP_POKE,	     /* where, 8 bytes: into the region            */
	OP_BREAK_RULES,	     /* where, 2 bytes: into the available ring    */
	OP_COUNT
};

struct state {
	unsigned num;
	uint8_t *desc, *avail, *used, *region; /* blocks of their own */
	uint8_t was[16 * MAX_NUM];	       /* the descriptors     */
	size_t region_len;
	struct vh_mapping buffers;
	struct vh_map *map;
	struct vh_ring *ring;
	struct vh_chain *out[MAX_NUM];
	unsigned n_out;
	bool spoilt;
	/* The driver. */
	bool waits[MAX_NUM]; /* heads that were offered and not seen used */
	uint16_t offered, seen;
};

static void mapping_unmap(struct vh_mapping *m)
{
	free(m->addr);
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint8_t *block(size_t len)
{
	uint8_t *p = calloc(1, len);

	FUZZ_CHECK(p);
	return p;
}

/* ---- The device's life ---- */

static void begin(struct state *s)
{
	const struct vh_ring_layout layout = {
		.desc = s->desc, .avail = s->avail, .used = s->used, .num = s->num};

	FUZZ_CHECK(vh_ring_create(NULL, s->num, 0, &s->ring) == 0);
	FUZZ_CHECK(vh_ring_track(s->ring, s->region) == 0);
	vh_ring_place(s->ring, &layout, s->map, NULL);
	FUZZ_CHECK((vh_ring_start(s->ring, get16(s->used + 2)) == 0) == !s->ring->why);
	FUZZ_CHECK(s->spoilt || !s->ring->why);
	FUZZ_CHECK(vh_ring_owed(s->ring) <= s->num);
}

static void die(struct state *s)
{
	vh_ring_destroy(s->ring);
	s->n_out = 0;
	begin(s);
}

/* ---- The driver ---- */

static void offer(struct state *s, unsigned n)
{
	for (unsigned head = 0; head < s->num && n; head++) {
		if (s->waits[head])
			continue;
		s->waits[head] = true;
		put16(s->avail + 4 + 2 * (s->offered % s->num), (uint16_t)head);
		s->offered++;
		n--;
	}
	put16(s->avail + 2, s->offered);
}

/* Takes back what is used: each head once, and only those that it waits for. */
static void reap(struct state *s)
{
	if (s->spoilt)
		return;
	for (; s->seen != get16(s->used + 2); s->seen++) {
		uint32_t head;

		memcpy(&head, s->used + 4 + 8 * (s->seen % s->num), sizeof(head));
		FUZZ_CHECK(head < s->num && s->waits[head]);
		s->waits[head] = false;
	}
}

/* ---- The device ---- */

static int pop(struct state *s, struct vh_chain **c, unsigned max)
{
	const int n = vh_ring_pop(s->ring, c, max);

	FUZZ_CHECK((n == -EPROTO) == (s->ring->why != NULL));
	FUZZ_CHECK(s->spoilt || n >= 0);
	FUZZ_CHECK(n <= (int)max);
	for (int i = 0; i < n; i++)
		FUZZ_CHECK(c[i]->head < s->num);
	return n < 0 ? 0 : n;
}

static void take(struct state *s, unsigned max)
{
	const unsigned room = s->num - s->n_out;
	const int n = pop(s, s->out + s->n_out, max < room ? max : room);

	for (int i = 0; i < n; i++)
		vh_ring_lend(s->ring, s->out[s->n_out++]);
}

static void take_and_give_back(struct state *s, unsigned max)
{
	struct vh_chain *c[MAX_NUM];
	const unsigned room = s->num - s->n_out;
	const unsigned owed = vh_ring_owed(s->ring);
	const int n = pop(s, c, max < room ? max : room);

	if (n)
		vh_ring_unpop(s->ring, c, (unsigned)n);
	FUZZ_CHECK(vh_ring_owed(s->ring) == owed);
}

static void push(struct state *s, unsigned i)
{
	if (!s->n_out)
		return;
	i %= s->n_out;
	vh_ring_push(s->ring, s->out[i], BUFFER);
	s->out[i] = s->out[--s->n_out];
}

/* It died when the index was out, and some of the marks were taken away. */
static void die_in_publish(struct state *s, unsigned n_marks)
{
	uint8_t before[16 + 16 * MAX_NUM];
	const size_t len = 16 + 16 * s->num;

	memcpy(before, s->region, len);
	vh_ring_publish(s->ring);
	memcpy(s->region, before, 16);
	for (unsigned i = 0; i < s->num; i++)
		if (s->region[16 + 16 * i] != before[16 + 16 * i] && n_marks-- < MAX_NUM)
			s->region[16 + 16 * i] = before[16 + 16 * i];
	die(s);
}

static void finish(struct state *s)
{
	for (unsigned i = 0; i < 2 * s->num + 2; i++) {
		take(s, s->num);
		while (s->n_out)
			push(s, 0);
		vh_ring_publish(s->ring);
	}
	reap(s);
	for (unsigned i = 0; !s->spoilt && i < s->num; i++)
		FUZZ_CHECK(!s->waits[i] && !s->region[16 + 16 * i]);
}

/* ---- One input ---- */

static void poke(struct fuzz_input *in, uint8_t *at, size_t len, size_t n)
{
	uint8_t bytes[8];
	const size_t off = fuzz_u16(in) % (len - n + 1);

	fuzz_bytes(in, bytes, n);
	memcpy(at + off, bytes, n);
}

static void spoil(struct state *s, struct fuzz_input *in, enum op op)
{
	s->spoilt = true;
	if (op == OP_POKE)
		poke(in, s->region, s->region_len, 8);
	else
		poke(in, s->avail, 4 + 2 * s->num, 2);
}

static void step(struct state *s, struct fuzz_input *in)
{
	const enum op op = fuzz_u8(in) % OP_COUNT;

	switch (op) {
	case OP_OFFER:
		return offer(s, fuzz_u8(in));
	case OP_TAKE:
		return take(s, fuzz_u8(in));
	case OP_PUSH:
		return push(s, fuzz_u8(in));
	case OP_PUBLISH:
		vh_ring_publish(s->ring);
		return reap(s);
	case OP_UNPOP:
		return take_and_give_back(s, fuzz_u8(in));
	case OP_CRASH:
		return die(s);
	case OP_CRASH_IN_PUBLISH:
		return die_in_publish(s, fuzz_u8(in));
	case OP_MOVE:
		finish(s);
		return die(s);
	default:
		return spoil(s, in, op);
	}
}

static void make(struct state *s, unsigned num)
{
	const struct vh_wire_region r = {.size = BUFFER * MAX_NUM};
	struct vh_mapping *mapping = &s->buffers;

	memset(s, 0, sizeof(*s));
	s->num = num;
	s->desc = block(16 * num);
	s->avail = block(4 + 2 * num);
	s->used = block(4 + 8 * num);
	s->region_len = vh_inflight_stride(num);
	s->region = block(s->region_len);
	s->buffers = (struct vh_mapping){.refs = 1,
					 .addr = block(BUFFER * MAX_NUM),
					 .len = BUFFER * MAX_NUM,
					 .unmap = mapping_unmap};
	for (unsigned i = 0; i < num; i++) {
		const struct vring_desc d = {
			.addr = BUFFER * i, .len = BUFFER, .flags = VRING_DESC_F_WRITE};

		memcpy(s->desc + sizeof(d) * i, &d, sizeof(d));
	}
	memcpy(s->was, s->desc, 16 * num);
	FUZZ_CHECK(vh_map_create(&r, &mapping, 1, 1, &s->map) == 0);
	begin(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct fuzz_input in = {data, size};

	make(&s, 1u << fuzz_u8(&in) % 6);
	while (in.left)
		step(&s, &in);
	finish(&s);
	FUZZ_CHECK(!memcmp(s.was, s.desc, 16 * s.num));
	FUZZ_CHECK(s.spoilt || get16(s.avail + 2) == s.offered);
	vh_ring_destroy(s.ring);
	vh_map_put(s.map);
	free(s.desc);
	free(s.avail);
	free(s.used);
	free(s.region);
	return 0;
}
