/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split ring, driver side, and a device that writes whatever it likes into all
 * of the shared memory.  Input: a byte for the ring's size, one for its
 * features; then a byte an operation, each followed by what it needs.
 *
 * Whatever the device did, each chain comes back once, to whom it belongs; and
 * an honest device that takes over gets all that were out, in order, as they
 * were added.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "fuzz.h"
#include "ring/driver.h"

enum { MAX_NUM = 64, PAYLOAD = 4096, PAYLOAD_GPA = 0x100000, RING_GPA = 0x10000 };

enum op {
	OP_ADD, /* readable and writable buffers, place and length of each */
	OP_PUBLISH,
	OP_GET,
	OP_ARM,
	OP_DISARM,
	OP_HANDOVER, /* an honest device takes over                        */
	OP_USE,	     /* the device uses the next chain: length             */
	OP_USE_RAW,  /* ... some id, some length                           */
	OP_INDEX,    /* ... moves its index                                */
	OP_POKE,     /* ... writes 8 bytes anywhere                        */
	OP_COUNT
};

/* A chain that was added; its address is its cookie. */
struct added {
	struct iovec iov[MAX_NUM];
	unsigned n_out, n_in;
	uint32_t in_len;
	bool is_used; /* this entry of the table                           */
	bool is_published;
	uint64_t seq;
};

struct state {
	uint32_t num;
	uint8_t *mem, *payload;
	size_t mem_len;
	struct vh_driver_ring_places places;
	struct vh_driver_ring *ring;
	struct added added[MAX_NUM];
	unsigned n_staged, n_out;
	uint64_t seq;
};

static bool to_device(void *arg, const void *p, size_t len, uint64_t *gpa)
{
	const struct state *s = arg;
	const uint8_t *at = p;

	if (at >= s->mem && len <= s->mem_len &&
	    (size_t)(at - s->mem) <= s->mem_len - len) {
		*gpa = RING_GPA + (uint64_t)(at - s->mem);
		return true;
	}
	*gpa = PAYLOAD_GPA + (uint64_t)(at - s->payload);
	return at >= s->payload && at + len <= s->payload + PAYLOAD;
}

/* ---- Words of the ring ---- */

static uint16_t get16(const struct state *s, size_t off)
{
	uint16_t v;

	memcpy(&v, s->mem + off, sizeof(v));
	return v;
}

static void put16(struct state *s, size_t off, uint16_t v)
{
	memcpy(s->mem + off, &v, sizeof(v));
}

static uint16_t avail_entry(const struct state *s, uint32_t i)
{
	return get16(s, s->places.avail + 4 + 2 * (i & (s->num - 1)));
}

static void device_uses(struct state *s, uint32_t id, uint32_t len)
{
	const uint16_t index = get16(s, s->places.used + 2);
	const struct vring_used_elem e = {.id = id, .len = len};

	memcpy(s->mem + s->places.used + 4 + 8 * (index & (s->num - 1)), &e, sizeof(e));
	put16(s, s->places.used + 2, (uint16_t)(index + 1));
}

/* ---- The driver ---- */

static struct added *free_entry(struct state *s)
{
	for (unsigned i = 0; i < s->num; i++)
		if (!s->added[i].is_used)
			return &s->added[i];
	return NULL;
}

static void any_chain(struct state *s, struct fuzz_input *in, struct added *a)
{
	unsigned n;

	a->n_out = fuzz_u8(in);
	a->n_in = fuzz_u8(in);
	n = a->n_out + a->n_in;
	a->in_len = 0;
	for (unsigned i = 0; i < n && i < MAX_NUM; i++) {
		/* Some of them end outside, or are not shared, or empty. */
		a->iov[i].iov_base = s->payload + fuzz_u8(in) * 17u;
		a->iov[i].iov_len = fuzz_u8(in);
		if (i >= a->n_out)
			a->in_len += (uint32_t)a->iov[i].iov_len;
	}
}

static void add(struct state *s, struct fuzz_input *in)
{
	static struct added wanted;
	const bool broken = vh_driver_ring_why(s->ring);
	struct added *a = free_entry(s);
	int err;

	any_chain(s, in, &wanted);
	err = vh_driver_ring_add(s->ring, wanted.iov, wanted.n_out, wanted.n_in, a);
	FUZZ_CHECK(!broken || err == -EPROTO);
	if (err)
		return;
	FUZZ_CHECK(a && wanted.n_out + wanted.n_in <= s->num);
	*a = wanted;
	a->is_used = true;
	a->is_published = false;
	a->seq = s->seq++;
	s->n_staged++;
}

static void publish(struct state *s)
{
	vh_driver_ring_publish(s->ring);
	for (unsigned i = 0; i < s->num; i++)
		s->added[i].is_published = s->added[i].is_used;
	s->n_out += s->n_staged;
	s->n_staged = 0;
}

static struct added *get(struct state *s)
{
	const bool broken = vh_driver_ring_why(s->ring);
	uint32_t len = UINT32_MAX;
	struct added *a = vh_driver_ring_get(s->ring, &len);

	if (!a)
		return NULL;
	FUZZ_CHECK(!broken && !vh_driver_ring_why(s->ring));
	FUZZ_CHECK(a >= s->added && a < s->added + s->num);
	FUZZ_CHECK(a->is_used && a->is_published && len <= a->in_len);
	a->is_used = false;
	s->n_out--;
	return a;
}

/* ---- An honest device ---- */

static struct added *oldest(struct state *s, uint64_t since)
{
	struct added *a = NULL;

	for (unsigned i = 0; i < s->num; i++)
		if (s->added[i].is_used && s->added[i].seq >= since &&
		    (!a || s->added[i].seq < a->seq))
			a = &s->added[i];
	return a;
}

static struct vring_desc desc_at(const struct state *s, unsigned i)
{
	struct vring_desc d;

	FUZZ_CHECK(i < s->num);
	memcpy(&d, s->mem + s->places.desc + i * sizeof(d), sizeof(d));
	return d;
}

/* What an indirect table says may be spoiled; it is where it should be. */
static void check_table(const struct state *s, const struct vring_desc *d, unsigned n)
{
	FUZZ_CHECK(d->flags == VRING_DESC_F_INDIRECT && d->len == n * sizeof(*d));
	FUZZ_CHECK(d->addr >= RING_GPA && d->addr + d->len <= RING_GPA + s->mem_len);
}

static void check_descs(const struct state *s, uint16_t head, const struct added *a)
{
	const unsigned n = a->n_out + a->n_in;
	struct vring_desc d = desc_at(s, head);

	if (d.flags & VRING_DESC_F_INDIRECT)
		return check_table(s, &d, n);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *at = a->iov[i].iov_base;
		const unsigned flags = (i >= a->n_out ? VRING_DESC_F_WRITE : 0) |
				       (i + 1 < n ? VRING_DESC_F_NEXT : 0);

		FUZZ_CHECK(d.addr == PAYLOAD_GPA + (uint64_t)(at - s->payload));
		FUZZ_CHECK(d.len == a->iov[i].iov_len && d.flags == flags);
		if (i + 1 < n)
			d = desc_at(s, d.next);
	}
}

/* Everything that is out is in the ring again, then it all comes back. */
static void hand_over(struct state *s)
{
	const uint32_t base = vh_driver_ring_base(s->ring);
	unsigned n = s->n_out, i = 0;
	uint64_t since = 0;

	vh_driver_ring_resubmit(s->ring);
	FUZZ_CHECK(!vh_driver_ring_why(s->ring));
	FUZZ_CHECK(get16(s, s->places.avail + 2) == (uint16_t)(base + n));
	FUZZ_CHECK(get16(s, s->places.used + 2) == (uint16_t)base);
	for (struct added *a; (a = oldest(s, since)); since = a->seq + 1)
		check_descs(s, avail_entry(s, base + i++), a);
	FUZZ_CHECK(i == n + s->n_staged);
	for (i = 0; i < n; i++)
		device_uses(s, avail_entry(s, base + i), UINT32_MAX);
	while (n--) {
		struct added *first = oldest(s, 0);

		FUZZ_CHECK(get(s) == first);
	}
	FUZZ_CHECK(!get(s) && s->n_out == 0);
}

/* All descriptors are there, each once. */
static void fill(struct state *s)
{
	const struct iovec iov = {.iov_base = s->payload, .iov_len = 1};

	for (unsigned i = 0; i < s->num; i++)
		FUZZ_CHECK(vh_driver_ring_add(s->ring, &iov, 1, 0, s) == 0);
	FUZZ_CHECK(vh_driver_ring_add(s->ring, &iov, 1, 0, s) == -ENOSPC);
	FUZZ_CHECK(vh_driver_ring_outstanding(s->ring) == s->num);
}

/* ---- One input ---- */

static void poke(struct state *s, struct fuzz_input *in)
{
	const size_t off = fuzz_u16(in) % (s->mem_len - 7);
	const uint64_t word = fuzz_u64(in);

	memcpy(s->mem + off, &word, sizeof(word));
}

static void device(struct state *s, struct fuzz_input *in, uint8_t op)
{
	const size_t index = s->places.used + 2;
	uint32_t id;

	switch (op) {
	case OP_USE:
		return device_uses(s, avail_entry(s, get16(s, index)), fuzz_u16(in));
	case OP_USE_RAW:
		id = fuzz_u16(in);
		return device_uses(s, id >> 15 ? fuzz_u32(in) : id, fuzz_u32(in));
	case OP_INDEX:
		return put16(s, index, (uint16_t)(get16(s, index) + fuzz_u16(in)));
	default:
		return poke(s, in);
	}
}

static void driver(struct state *s, struct fuzz_input *in, uint8_t op)
{
	switch (op) {
	case OP_ADD:
		return add(s, in);
	case OP_PUBLISH:
		return publish(s);
	case OP_GET:
		get(s);
		return;
	case OP_ARM:
		vh_driver_ring_arm(s->ring);
		return;
	case OP_DISARM:
		return vh_driver_ring_disarm(s->ring);
	default:
		return hand_over(s);
	}
}

static void begin(struct state *s, struct fuzz_input *in)
{
	uint64_t features;

	memset(s, 0, sizeof(*s));
	s->num = 1u << fuzz_u8(in) % 7;
	features = (uint64_t)(fuzz_u8(in) & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	s->mem_len = vh_driver_ring_bytes(s->num, features);
	FUZZ_CHECK(s->mem = aligned_alloc(64, s->mem_len));
	FUZZ_CHECK(s->payload = malloc(PAYLOAD));
	memset(s->mem, 0, s->mem_len);
	vh_driver_ring_places(s->num, features, &s->places);
	FUZZ_CHECK(vh_driver_ring_create(s->mem, s->num, features, to_device, s,
					 &s->ring) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct fuzz_input in = {data, size};

	begin(&s, &in);
	while (in.left) {
		const uint8_t op = fuzz_u8(&in) % OP_COUNT;

		if (op <= OP_HANDOVER)
			driver(&s, &in, op);
		else
			device(&s, &in, op);
		FUZZ_CHECK(vh_driver_ring_outstanding(s.ring) == s.n_out + s.n_staged);
		FUZZ_CHECK(s.n_out + s.n_staged <= s.num);
	}
	publish(&s);
	hand_over(&s);
	fill(&s);
	vh_driver_ring_destroy(s.ring);
	free(s.mem);
	free(s.payload);
	return 0;
}
