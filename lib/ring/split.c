/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split format, virtio 1.2 section "Split Virtqueues", device side.  Runs on
 * the thread that has the ring.
 *
 * Theory of operation.  The driver can change every word at any time.  So each
 * word is read once, into private memory, and only what was read is checked and
 * used; every loop over what it wrote has a bound of ours.  Descriptors are read
 * as two words of 64 bits, which need not fit each other: each is checked alone.
 *
 * pop goes over a batch twice: first all entries of the available ring, which
 * lie in a row, asking the processor for their descriptors; then the
 * descriptors, by now in the cache, asking for the first line of payload.
 *
 * Used elements are written in place when a chain is pushed, and shown by one
 * store of the index.  What was written is marked in the dirty log after it was
 * written and before the index tells of it.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/barrier.h"
#include "ring/build.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "rings are little-endian, so are we");

#define BATCH 32

struct split_desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

/* Offsets: of the areas' members, virtio 1.2 "Available Ring", "Used Ring". */
enum {
	FLAGS = 0,
	INDEX = 2,
	ENTRIES = 4,
	DESC_SIZE = 16,
	AVAIL_SIZE = 2,
	USED_SIZE = 8,
};

static inline unsigned split_mask(const struct vh_ring *r, uint16_t index)
{
	return index & (r->num - 1);
}

/* Behind the last entry of the available ring. */
static inline const uint8_t *used_event(const struct vh_ring *r)
{
	return r->layout.avail + ENTRIES + AVAIL_SIZE * r->num;
}

/* The address comes from the front-end and has not been looked at. */
static void used_log(struct vh_ring *r, uint64_t off, uint64_t len)
{
	uint64_t gpa;

	if (r->log && r->layout.log_used && vh_add_u64(r->layout.log_gpa, off, &gpa))
		vh_dirty_log_mark(r->log, gpa, len);
}

/* Write a word of the used area other than the index. */
static void used_write16(struct vh_ring *r, uint32_t off, uint16_t v)
{
	vh_guest_write16(r->layout.used + off, v);
	used_log(r, off, sizeof(v));
}

static bool split_size_is_valid(uint32_t num)
{
	return vh_is_power_of_two(num) && num <= VH_MAX_RING_SIZE;
}

/* ---- Start ---- */

/* From here on the driver is asked for kicks, until somebody says otherwise. */
static void split_ask_kicks(struct vh_ring *r)
{
	if (r->event_idx)
		used_write16(r, ENTRIES + USED_SIZE * r->num, r->avail);
	else
		used_write16(r, FLAGS, 0);
}

/* Is it an entry that the driver has filled, or will fill next, and that is not used? */
static bool base_is_possible(const struct vh_ring *r, uint16_t base)
{
	const uint16_t index = vh_guest_read16_acquire(r->layout.avail + INDEX);

	return (uint16_t)(base - r->used) <= (uint16_t)(index - r->used);
}

/*
 * The used index goes on where the ring in memory is: when a back-end died, its
 * base is behind the chains that it had taken, and they will never complete.  A
 * front-end that does not know where it was gives any base, often 0: then the used
 * index is the base, as other back-ends have it.
 */
static int split_start(struct vh_ring *r, uint32_t base)
{
	uint16_t used = vh_guest_read16(r->layout.used + INDEX);

	if (base > UINT16_MAX)
		return -EINVAL;
	r->used = r->used_published = r->used_called = used;
	if (r->inflight) {
		int err = vh_inflight_start(r);

		if (err)
			return err;
		/* Of these two the region knows more than the front-end. */
		base = (uint16_t)(used + vh_inflight_owed(r->inflight));
	} else if (!base_is_possible(r, (uint16_t)base)) {
		base = used;
	}
	r->avail = r->avail_seen = (uint16_t)base;
	r->call_due = true;
	r->armed = true;
	split_ask_kicks(r);
	return 0;
}

static uint32_t split_base(const struct vh_ring *r)
{
	return r->avail;
}

/* ---- Fetching ---- */

/* Entries that were added since we last popped; looks at the driver's index. */
static unsigned split_look(struct vh_ring *r)
{
	/* Entries and descriptors are read after the index that covers them. */
	uint16_t index = vh_guest_read16_acquire(r->layout.avail + INDEX);

	/* Nor may chains come again of which it cannot know yet that they are done. */
	if ((uint16_t)(index - r->avail) > r->num ||
	    (uint16_t)(index - r->used_published) > r->num) {
		vh_ring_break(r,
			      "the available index moved by more than the ring's size");
		return 0;
	}
	r->avail_seen = index;
	return (uint16_t)(index - r->avail);
}

static unsigned split_available(struct vh_ring *r, unsigned want)
{
	unsigned known = (uint16_t)(r->avail_seen - r->avail);

	return known < want ? split_look(r) : known;
}

static inline struct split_desc desc_from_words(uint64_t gpa, uint64_t rest)
{
	return (struct split_desc){
		.gpa = gpa,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static inline struct split_desc desc_read(const uint8_t *p)
{
	return desc_from_words(vh_guest_read64(p), vh_guest_read64(p + 8));
}

/* One byte after the other: for what is not aligned. */
static VH_NO_TSAN void bytes_read(uint8_t *to, const uint8_t *from, size_t n)
{
	while (n--)
		*to++ = *(const volatile uint8_t *)from++;
}

/* A descriptor that may be unaligned, or on a border of regions. */
static int desc_read_pieces(struct vh_ring *r, uint64_t gpa, struct split_desc *d)
{
	uint64_t word[2], here;

	for (size_t done = 0; done < sizeof(word); done += here) {
		const uint8_t *va;

		here = sizeof(word) - done;
		va = vh_map_gpa(r->map, gpa + done, &here, &r->hint);
		if (!va)
			return vh_ring_break(
				r, "an indirect table is outside of guest memory");
		bytes_read((uint8_t *)word + done, va, here);
	}
	*d = desc_from_words(word[0], word[1]);
	return 0;
}

/* Where the table is in one piece and aligned, its descriptors are read in place. */
static int table_read(struct vh_ring *r, const uint8_t *table, uint64_t gpa, unsigned i,
		      struct split_desc *d)
{
	if (!table)
		return desc_read_pieces(r, gpa + (uint64_t)i * DESC_SIZE, d);
	*d = desc_read(table + (size_t)i * DESC_SIZE);
	return 0;
}

static const char *table_fault(const struct vh_ring *r, const struct split_desc *d)
{
	uint64_t end;

	if (!r->indirect)
		return "an indirect table, which was not negotiated";
	if (d->flags & VRING_DESC_F_NEXT)
		return "a descriptor goes on behind its indirect table";
	if (!d->len || d->len % DESC_SIZE || d->len / DESC_SIZE > VH_CHAIN_MAX_SEGS)
		return "an indirect table of a bad length";
	if (!vh_add_u64(d->gpa, d->len, &end))
		return "an indirect table wraps around the address space";
	return NULL;
}

/* The chain in the indirect table that @t names; the queue's size is no bound for it. */
static int split_expand(struct vh_ring *r, struct vh_chain *c, const struct split_desc *t)
{
	const char *why = table_fault(r, t);
	uint64_t here = t->len;
	unsigned n = t->len / DESC_SIZE, i = 0;
	struct split_desc d;
	const uint8_t *table;

	if (why)
		return vh_ring_break(r, why);
	table = vh_map_gpa(r->map, t->gpa, &here, &r->hint);
	if (here != t->len || (uintptr_t)table % sizeof(uint64_t))
		table = NULL;
	for (unsigned seen = 0; seen < n; seen++) {
		int err = table_read(r, table, t->gpa, i, &d);

		if (!err && d.flags & VRING_DESC_F_INDIRECT)
			err = vh_ring_break(r, "an indirect table in an indirect table");
		if (!err)
			err = vh_chain_add(r, c, d.gpa, d.len,
					   d.flags & VRING_DESC_F_WRITE);
		if (err || !(d.flags & VRING_DESC_F_NEXT))
			return err;
		i = d.next;
		if (i >= n)
			return vh_ring_break(r, "next is outside of the indirect table");
	}
	return vh_ring_break(r, "an indirect table is a loop");
}

/* Any chain that begins with @d: some descriptors, of which the last may be a table. */
static int split_walk(struct vh_ring *r, struct vh_chain *c, struct split_desc d)
{
	for (unsigned seen = 0; seen < r->num; seen++) {
		int err;

		if (d.flags & VRING_DESC_F_INDIRECT)
			return split_expand(r, c, &d);
		err = vh_chain_add(r, c, d.gpa, d.len, d.flags & VRING_DESC_F_WRITE);
		if (err || !(d.flags & VRING_DESC_F_NEXT))
			return err;
		if (d.next >= r->num)
			return vh_ring_break(r, "next is outside of the ring");
		c->n_descs++;
		d = desc_read(r->layout.desc + (size_t)d.next * DESC_SIZE);
	}
	return vh_ring_break(r, "a chain is a loop");
}

static int split_build(struct vh_ring *r, struct vh_chain *c)
{
	struct split_desc d = desc_read(r->layout.desc + (size_t)c->head * DESC_SIZE);

	if (!(d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)) &&
	    vh_chain_set(r, c, d.gpa, d.len, d.flags & VRING_DESC_F_WRITE))
		return 0;
	return split_walk(r, c, d);
}

/* First pass: which heads are next, all checked.  The descriptors are on their way. */
static int split_heads(struct vh_ring *r, uint16_t *head, unsigned n)
{
	const uint8_t *entry = r->layout.avail + ENTRIES;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = split_mask(r, (uint16_t)(r->avail + i));

		head[i] = vh_guest_read16(entry + AVAIL_SIZE * at);
		if (head[i] >= r->num)
			return vh_ring_break(r, "a head is outside of the ring");
		__builtin_prefetch(r->layout.desc + (size_t)head[i] * DESC_SIZE);
	}
	return 0;
}

static inline uint64_t *head_word(struct vh_ring *r, uint16_t head)
{
	return &r->head_is_out[head / 64];
}

static inline uint64_t head_bit(uint16_t head)
{
	return 1ULL << (head % 64);
}

/* Second pass: one chain.  0, -ENOMEM (nothing has happened) or -EPROTO. */
static int split_pop_one(struct vh_ring *r, uint16_t head, struct vh_chain **c)
{
	int err;

	if (*head_word(r, head) & head_bit(head))
		return vh_ring_break(r, "a head is available that we still have");
	*c = vh_chain_alloc(r, head);
	err = split_build(r, *c);
	if (err) {
		vh_chain_free(r, *c);
		return err;
	}
	__builtin_prefetch((*c)->inl[0].va);
	*head_word(r, head) |= head_bit(head);
	return 0;
}

static void split_unpop(struct vh_ring *r, struct vh_chain **c, unsigned n)
{
	while (n--) {
		*head_word(r, c[n]->head) &= ~head_bit(c[n]->head);
		vh_chain_free(r, c[n]);
		if (c[n]->owed)
			r->inflight->first--;
		else
			r->avail--;
	}
}

/* What a predecessor left comes first, and alone, so that a batch is of one kind. */
static int split_pop_owed(struct vh_ring *r, struct vh_chain **c, unsigned max)
{
	struct vh_inflight *in = r->inflight;
	unsigned n = 0;
	int err = 0;

	while (n < max && in->first < in->n) {
		err = split_pop_one(r, in->resubmit[in->first], &c[n]);
		if (err)
			break;
		c[n++]->owed = true;
		in->first++;
	}
	if (err != -EPROTO)
		return (int)n;
	split_unpop(r, c, n);
	return err;
}

/* A broken ring gives nothing, also not what stood before the bad chain. */
static int split_pop(struct vh_ring *r, struct vh_chain **c, unsigned max)
{
	unsigned there, want, n = 0;
	int err;

	if (vh_inflight_owed(r->inflight))
		return split_pop_owed(r, c, max);
	there = split_available(r, max);
	want = there < max ? there : max;
	err = r->why ? -EPROTO : 0;

	while (!err && n < want) {
		unsigned batch = want - n < BATCH ? want - n : BATCH;
		uint16_t head[BATCH];

		err = split_heads(r, head, batch);
		for (unsigned i = 0; i < batch && !err; i++) {
			err = split_pop_one(r, head[i], &c[n]);
			n += !err;
			r->avail += !err;
		}
	}
	if (err != -EPROTO)
		return (int)n;
	split_unpop(r, c, n);
	return err;
}

/* ---- Giving back ---- */

static void split_push(struct vh_ring *r, struct vh_chain *c, uint32_t len)
{
	uint8_t *elem = r->layout.used + ENTRIES + USED_SIZE * split_mask(r, r->used++);

	vh_guest_write32(elem, c->head);
	vh_guest_write32(elem + 4, len);
	*head_word(r, c->head) &= ~head_bit(c->head);
}

/* The staged elements are in one row, or in two where the ring ends. */
static void split_log_staged(struct vh_ring *r)
{
	unsigned first = split_mask(r, r->used_published);
	unsigned n = (uint16_t)(r->used - r->used_published);
	unsigned row = n < r->num - first ? n : r->num - first;

	used_log(r, ENTRIES + (uint64_t)USED_SIZE * first, (uint64_t)USED_SIZE * row);
	used_log(r, ENTRIES, (uint64_t)USED_SIZE * (n - row));
}

static void split_publish(struct vh_ring *r)
{
	uint16_t n = (uint16_t)(r->used - r->used_published);

	split_log_staged(r);
	/* Who sees the index sees the elements, and the payload. */
	vh_guest_write16_release(r->layout.used + INDEX, r->used);
	used_log(r, INDEX, sizeof(uint16_t));
	r->used_published = r->used;
	/* The index came past where it was at the last call: the distance tells nothing.
	 */
	if ((uint16_t)(r->used - r->used_called) < n)
		r->call_due = true;
}

static bool split_call_wanted(struct vh_ring *r)
{
	uint16_t was = r->used_called, now = r->used_published;

	r->used_called = now;
	if (r->call_due) {
		r->call_due = false;
		return true;
	}
	/* The driver asks for calls, then looks at the index: we the other way round. */
	vh_fence_full();
	if (!r->event_idx)
		return !(vh_guest_read16(r->layout.avail + FLAGS) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(vh_guest_read16(used_event(r)), now, was);
}

/* ---- Kicks ---- */

static void split_disarm(struct vh_ring *r)
{
	/* With event indices, the one we asked for stays behind: nobody reaches it. */
	if (!r->event_idx)
		used_write16(r, FLAGS, VRING_USED_F_NO_NOTIFY);
}

static bool split_arm(struct vh_ring *r)
{
	split_ask_kicks(r);
	/* The driver adds, then looks whether to kick: we ask, then look what it added.
	 */
	vh_fence_full();
	if (!split_look(r) && !r->why)
		return false;
	split_disarm(r);
	return true;
}

const struct vh_ring_format vh_ring_split = {
	.name = "split",
	.size_is_valid = split_size_is_valid,
	.start = split_start,
	.base = split_base,
	.available = split_available,
	.pop = split_pop,
	.unpop = split_unpop,
	.push = split_push,
	.publish = split_publish,
	.call_wanted = split_call_wanted,
	.arm = split_arm,
	.disarm = split_disarm,
};
