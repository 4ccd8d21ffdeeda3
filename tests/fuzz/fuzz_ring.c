/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split ring, device side, and a driver that writes whatever it likes whenever
 * it likes.  Input: a byte for the ring's size, one for its features, two for
 * where it starts; then a byte an operation, each followed by what it needs.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "ring_guest.h"

enum { MAX_MAPS = 16 };

/* Behind those of the guest. */
enum op {
	OP_POP = OP_GUEST_COUNT, /* how many at most                           */
	OP_UNPOP,		 /* how many of those popped last              */
	OP_POP_TWICE, /* how many at most: pop, give back, pop again           */
	OP_USE,	      /* which chain: the device reads and writes it           */
	OP_PUSH,      /* which chain, length                                   */
	OP_PUBLISH,
	OP_CALL_WANTED,
	OP_ARM,
	OP_DISARM,
	OP_AVAILABLE,
	OP_MEMORY, /* which regions there are from now on                      */
	OP_LOG,	   /* bytes of the log, 0: none; address of the used area      */
	OP_RESTART,
	OP_COUNT
};

struct state {
	struct guest guest;
	uint64_t features;
	struct vh_ring *ring;
	struct vh_map *old[MAX_MAPS]; /* chains out may still point there */
	unsigned n_old;
	struct vh_dirty_log *log;
	struct vh_mapping log_mapping;
	struct vh_chain *out[GUEST_MAX_NUM]; /* in the order in which they were popped */
	unsigned n_out, n_last;		     /* ... of which so many can be unpopped   */
	uint16_t base, used;
};

/* Memory lives as long as a chain points there, as a session sees to it. */
static void drop_old_maps(struct state *s)
{
	uint32_t oldest = s->guest.epoch;
	unsigned kept = 0;

	for (unsigned i = 0; i < s->n_out; i++)
		if (s->out[i]->epoch < oldest)
			oldest = s->out[i]->epoch;
	for (unsigned i = 0; i < s->n_old; i++) {
		if (s->old[i]->epoch >= oldest)
			s->old[kept++] = s->old[i];
		else
			vh_map_put(s->old[i]);
	}
	s->n_old = kept;
}

/* ---- What must hold ---- */

static void check_seg(const struct state *s, const struct vh_seg *seg)
{
	FUZZ_CHECK(seg->len);
	for (unsigned i = 0; i < s->guest.map->n; i++) {
		const struct vh_map_region *r = &s->guest.map->region[i];

		if (seg->gpa < r->gpa || seg->gpa - r->gpa >= r->len)
			continue;
		FUZZ_CHECK(seg->len <= r->len - (seg->gpa - r->gpa));
		FUZZ_CHECK(seg->va == r->va + (seg->gpa - r->gpa));
		return;
	}
	FUZZ_CHECK(!"a segment is in no region");
}

static uint64_t sum_segs(const struct state *s, const struct vh_seg *seg, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		check_seg(s, &seg[i]);
		sum += seg[i].len;
	}
	return sum;
}

static void check_chain(const struct state *s, struct vh_chain *c)
{
	const struct vh_seg *seg = vh_chain_segs(c);

	FUZZ_CHECK(c->head < s->guest.num && c->epoch == s->guest.epoch);
	FUZZ_CHECK(c->n_descs >= 1 && c->n_descs <= s->guest.num);
	FUZZ_CHECK(c->n_out + c->n_in <= VH_CHAIN_MAX_SEGS);
	FUZZ_CHECK(sum_segs(s, seg, c->n_out) == c->out_len);
	FUZZ_CHECK(sum_segs(s, seg + c->n_out, c->n_in) == c->in_len);
	FUZZ_CHECK(vh_chain_readable(c) == c->out_len);
	FUZZ_CHECK(vh_chain_writable(c) == c->in_len);
	for (unsigned i = 0; i < s->n_out; i++)
		FUZZ_CHECK(s->out[i] != c && s->out[i]->head != c->head);
}

static void check_ring(const struct state *s)
{
	FUZZ_CHECK(s->ring->n_out == s->n_out && s->n_out <= s->guest.num);
	FUZZ_CHECK(vh_ring_base(s->ring) == s->base);
}

static uint16_t used16(const struct state *s, size_t off)
{
	uint16_t v;

	memcpy(&v, s->guest.layout.used + off, sizeof(v));
	return v;
}

static void check_used(const struct state *s, uint16_t head, uint32_t len)
{
	struct vring_used_elem e;

	memcpy(&e,
	       s->guest.layout.used + 4 +
		       8 * ((uint16_t)(s->used - 1) & (s->guest.num - 1)),
	       8);
	FUZZ_CHECK(e.id == head && e.len == len);
}

static void check_logged(const struct state *s, uint64_t gpa, uint32_t len)
{
	const uint64_t last = (gpa + (len - 1)) / VH_LOG_PAGE;

	for (uint64_t page = gpa / VH_LOG_PAGE; len && page <= last; page++)
		if (page / 8 < s->log->len)
			FUZZ_CHECK(s->log->bits[page / 8] >> page % 8 & 1);
}

/* ---- The device ---- */

static int pop(struct state *s, unsigned max)
{
	const bool broken = s->ring->why;
	struct vh_chain *c[GUEST_MAX_NUM];
	int n = vh_ring_pop(s->ring, c, max);

	FUZZ_CHECK(n == -EPROTO || (n >= 0 && (unsigned)n <= max));
	FUZZ_CHECK((n == -EPROTO) == (s->ring->why != NULL));
	FUZZ_CHECK(!broken || n == -EPROTO);
	for (int i = 0; i < n; i++) {
		check_chain(s, c[i]);
		s->out[s->n_out++] = c[i];
	}
	if (n > 0) {
		s->n_last += (unsigned)n;
		s->base = (uint16_t)(s->base + n);
	}
	return n;
}

static unsigned unpop(struct state *s, unsigned n)
{
	if (n > s->n_last)
		n = s->n_last;
	vh_ring_unpop(s->ring, &s->out[s->n_out - n], n);
	s->n_out -= n;
	s->n_last -= n;
	s->base = (uint16_t)(s->base - n);
	return n;
}

/* All that is in @c, as one number. */
static uint64_t digest(struct vh_chain *c)
{
	const struct vh_seg *seg = vh_chain_segs(c);
	uint64_t sum = (uint64_t)c->head << 48 | (uint64_t)c->n_out << 16 | c->n_in;

	for (unsigned i = 0; i < c->n_out + c->n_in; i++)
		sum = sum * 31 + seg[i].gpa + seg[i].len;
	return sum;
}

/* What is given back comes again as it was, when nobody wrote meanwhile. */
static void pop_twice(struct state *s, unsigned max)
{
	const unsigned first = s->n_out;
	const int n = pop(s, max);
	uint64_t was[GUEST_MAX_NUM];

	for (int i = 0; i < n; i++)
		was[i] = digest(s->out[first + (unsigned)i]);
	if (n <= 0)
		return;
	FUZZ_CHECK(unpop(s, (unsigned)n) == (unsigned)n);
	check_ring(s);
	FUZZ_CHECK(pop(s, (unsigned)n) == n);
	for (int i = 0; i < n; i++)
		FUZZ_CHECK(digest(s->out[first + (unsigned)i]) == was[i]);
}

static uint64_t sum_iov(const struct iovec *iov, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static void use(struct vh_chain *c, uint8_t want)
{
	uint8_t bytes[256] = {0};
	const struct iovec *iov = NULL;
	unsigned n;
	const size_t out = vh_chain_readable(c), in = vh_chain_writable(c);

	FUZZ_CHECK(vh_chain_read(c, bytes, want) == (want <= out ? 0 : -ENODATA));
	FUZZ_CHECK(vh_chain_readable(c) == out - (want <= out ? want : 0));
	FUZZ_CHECK(vh_chain_write(c, bytes, want) == (want <= in ? 0 : -ENOSPC));
	FUZZ_CHECK(vh_chain_writable(c) == in - (want <= in ? want : 0));
	n = vh_chain_iov_out(c, &iov);
	FUZZ_CHECK(sum_iov(iov, n) == vh_chain_readable(c));
	n = vh_chain_iov_in(c, &iov);
	FUZZ_CHECK(sum_iov(iov, n) == vh_chain_writable(c));
}

static void push(struct state *s, unsigned i, uint32_t len)
{
	struct vh_chain *c = s->out[i];
	const uint32_t want = len < c->in_len ? len : c->in_len;
	const uint16_t head = c->head;
	const struct vh_seg *in = vh_chain_segs(c) + c->n_out;

	vh_ring_push(s->ring, c, len);
	s->used++;
	check_used(s, head, want);
	for (uint32_t left = want, here; s->log && left; in++, left -= here) {
		here = in->len < left ? in->len : left;
		check_logged(s, in->gpa, here);
	}
	s->n_out--;
	memmove(&s->out[i], &s->out[i + 1], (s->n_out - i) * sizeof(s->out[0]));
	if (s->n_last > s->n_out - i)
		s->n_last = s->n_out - i;
	drop_old_maps(s);
}

static void publish(struct state *s)
{
	if (vh_ring_publish(s->ring))
		FUZZ_CHECK(used16(s, 2) == s->used);
	FUZZ_CHECK(!vh_ring_publish(s->ring));
}

/* ---- The session ---- */

static void place(struct state *s)
{
	vh_ring_place(s->ring, &s->guest.layout, s->guest.map, s->log);
}

static void change_memory(struct state *s, unsigned which)
{
	if (s->n_old == MAX_MAPS)
		return;
	s->old[s->n_old++] = s->guest.map;
	guest_map(&s->guest, which);
	place(s);
	s->n_last = 0; /* a queue gives nothing back over a change of memory */
	drop_old_maps(s);
}

static void change_log(struct state *s, unsigned pages, uint64_t gpa)
{
	vh_dirty_log_put(s->log);
	s->log = NULL;
	if (pages) {
		guest_mapping_make(&s->log_mapping, pages);
		FUZZ_CHECK(vh_dirty_log_create(&s->log_mapping, &s->log) == 0);
	}
	s->guest.layout.log_used = pages & 1;
	s->guest.layout.log_gpa = gpa;
	place(s);
}

static void start(struct state *s, uint16_t base)
{
	FUZZ_CHECK(vh_ring_create(NULL, s->guest.num, s->features, &s->ring) == 0);
	place(s);
	FUZZ_CHECK((vh_ring_start(s->ring, base) == 0) == !s->ring->why);
	s->base = (uint16_t)vh_ring_base(s->ring);
	s->used = s->ring->used;
}

static void restart(struct state *s, uint16_t ahead)
{
	if (s->n_out)
		return;
	publish(s);
	vh_ring_destroy(s->ring);
	start(s, (uint16_t)(s->base + ahead));
}

/* ---- One input ---- */

static void with_chain(struct state *s, struct fuzz_input *in, uint8_t op)
{
	const unsigned i = fuzz_u8(in);

	if (!s->n_out)
		return;
	if (op == OP_USE)
		use(s->out[i % s->n_out], fuzz_u8(in));
	else
		push(s, i % s->n_out, fuzz_u16(in) * 16u);
}

static void device(struct state *s, struct fuzz_input *in, uint8_t op)
{
	switch (op) {
	case OP_POP:
		pop(s, fuzz_u8(in));
		return;
	case OP_UNPOP:
		unpop(s, fuzz_u8(in));
		return;
	case OP_POP_TWICE:
		return pop_twice(s, fuzz_u8(in));
	case OP_PUBLISH:
		return publish(s);
	case OP_CALL_WANTED:
		vh_ring_call_wanted(s->ring);
		return;
	case OP_ARM:
		vh_ring_arm(s->ring);
		return;
	case OP_DISARM:
		return vh_ring_disarm(s->ring);
	case OP_AVAILABLE:
		FUZZ_CHECK(vh_ring_available(s->ring, fuzz_u8(in)) <= s->guest.num);
		return;
	default:
		return with_chain(s, in, op);
	}
}

static void session(struct state *s, struct fuzz_input *in, uint8_t op)
{
	const uint16_t n = op == OP_MEMORY ? fuzz_u8(in) : fuzz_u16(in);

	switch (op) {
	case OP_MEMORY:
		return change_memory(s, n);
	case OP_LOG:
		return change_log(s, n % 1024, fuzz_u64(in));
	default:
		return restart(s, n);
	}
}

static void begin(struct state *s, struct fuzz_input *in)
{
	uint16_t base;

	memset(s, 0, sizeof(*s));
	guest_make(&s->guest, 1u << fuzz_u8(in) % 9);
	s->features = (uint64_t)(fuzz_u8(in) & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	base = fuzz_u16(in);
	memcpy(s->guest.layout.avail + 2, &base, 2);
	memcpy(s->guest.layout.used + 2, &base, 2);
	start(s, base);
}

static void end(struct state *s)
{
	while (s->n_out)
		push(s, 0, UINT32_MAX);
	publish(s);
	vh_ring_destroy(s->ring);
	vh_dirty_log_put(s->log);
	drop_old_maps(s);
	FUZZ_CHECK(!s->n_old);
	vh_map_put(s->guest.map);
	for (unsigned i = 0; i < GUEST_REGIONS; i++)
		FUZZ_CHECK(!s->guest.mapping[i].addr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct fuzz_input in = {data, size};

	begin(&s, &in);
	while (in.left) {
		const uint8_t op = fuzz_u8(&in) % OP_COUNT;

		if (op < OP_GUEST_COUNT)
			guest_op(&s.guest, &in, (enum guest_op)op);
		else if (op <= OP_AVAILABLE)
			device(&s, &in, op);
		else
			session(&s, &in, op);
		check_ring(&s);
	}
	end(&s);
	return 0;
}
