/* SPDX-License-Identifier: BSD-3-Clause */
/* See blk_guest.h.  Each area is a block of its own: a sanitizer sees what is beside. */
#include "blk_guest.h"

#include <linux/virtio_ring.h>

#include "spec/virtio_blk.h"

#define GPA 0x10000u

/* A slot's header, low in memory, where others write too; its indirect table, apart. */
enum { HEADERS = 0, HEADER_ROOM = 32, TABLES = 0x10000, TABLE_ROOM = 128 };

enum how {
	HOW_IN = 1, /* data is for the device to write   */
	HOW_TABLE = 2,
	HOW_NO_STATUS = 4,
	HOW_JOINED = 8,	 /* the status is the data's end */
	HOW_BEYOND = 16, /* data may leave the memory    */
	HOW_EMPTY = 32,	 /* and an empty descriptor      */
};

struct chain {
	struct vring_desc d[BLK_GUEST_DESCS];
	unsigned n;
};

/* ---- Memory ---- */

static void mapping_unmap(struct vh_mapping *m)
{
	free(m->addr);
	m->addr = NULL;
}

static uint8_t *block(size_t len)
{
	uint8_t *p = calloc(1, len);

	FUZZ_CHECK(p);
	return p;
}

static uint8_t *byte_at(const struct blk_guest *g, size_t off)
{
	return &g->mapping[off / BLK_GUEST_REGION].addr[off % BLK_GUEST_REGION];
}

void blk_guest_make(struct blk_guest *g)
{
	const struct vh_wire_region r[] = {
		{GPA, BLK_GUEST_REGION, 0, 0},
		{GPA + BLK_GUEST_REGION, BLK_GUEST_REGION, 0x100000, 0},
		{GPA + TABLES, BLK_GUEST_REGION, 0x200000, 0}};
	struct vh_mapping *mapping[] = {&g->mapping[0], &g->mapping[1], &g->mapping[2]};

	memset(g, 0, sizeof(*g));
	g->desc = block(16 * BLK_GUEST_NUM);
	g->avail = block(6 + 2 * BLK_GUEST_NUM);
	g->used = block(6 + 8 * BLK_GUEST_NUM);
	for (unsigned i = 0; i < 3; i++)
		g->mapping[i] = (struct vh_mapping){.refs = 1,
						    .addr = block(BLK_GUEST_REGION),
						    .len = BLK_GUEST_REGION,
						    .unmap = mapping_unmap};
	g->layout = (struct vh_ring_layout){.desc = g->desc,
					    .avail = g->avail,
					    .used = g->used,
					    .num = BLK_GUEST_NUM};
	FUZZ_CHECK(vh_map_create(r, mapping, 3, 1, &g->map) == 0);
}

void blk_guest_free(struct blk_guest *g)
{
	FUZZ_CHECK(!g->mapping[0].addr && !g->mapping[2].addr);
	free(g->desc);
	free(g->avail);
	free(g->used);
}

/* The guest itself writes. */
static void store(struct blk_guest *g, size_t off, const void *from, size_t len)
{
	const uint8_t *p = from;

	for (size_t i = 0; i < len && off + i < BLK_GUEST_MEMORY; i++)
		*byte_at(g, off + i) = g->was[off + i] = p[i];
}

/* ---- Requests ---- */

static void add(struct chain *c, uint32_t off, uint32_t len, bool writable)
{
	if (c->n == BLK_GUEST_DESCS)
		return;
	c->d[c->n++] = (struct vring_desc){.addr = GPA + off,
					   .len = len,
					   .flags = writable ? VRING_DESC_F_WRITE : 0};
}

static void add_cut(struct chain *c, uint32_t off, uint32_t len, uint32_t cut,
		    bool writable)
{
	if (cut && cut < len)
		add(c, off, cut, writable);
	else
		cut = 0;
	if (len)
		add(c, off + cut, len - cut, writable);
}

static void link_up(struct chain *c, unsigned first)
{
	for (unsigned i = 0; i + 1 < c->n; i++) {
		c->d[i].flags |= VRING_DESC_F_NEXT;
		c->d[i].next = (uint16_t)(first + i + 1);
	}
}

static uint32_t any_type(struct fuzz_input *in)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,	   VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_FLUSH,	   VIRTIO_BLK_T_GET_ID,
		VIRTIO_BLK_T_DISCARD,	   VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_SECURE_ERASE, VIRTIO_BLK_T_GET_LIFETIME};
	const uint8_t at = fuzz_u8(in);

	return at == UINT8_MAX ? fuzz_u32(in) : types[at % 8];
}

/* Small ones, those around the end of a disk, and any. */
static uint64_t any_sector(struct fuzz_input *in)
{
	const uint8_t at = fuzz_u8(in);

	if (at == UINT8_MAX)
		return fuzz_u64(in);
	return at < 64 ? at : 2048 - 64 + at % 128;
}

static void write_header(struct blk_guest *g, struct fuzz_input *in, unsigned slot)
{
	struct virtio_blk_outhdr h = {0};

	h.type = any_type(in);
	h.sector = any_sector(in);
	store(g, HEADERS + HEADER_ROOM * slot, &h, sizeof(h));
}

/* Readable descriptors have to come first. */
static void build(struct chain *c, struct fuzz_input *in, unsigned slot, uint8_t how)
{
	const bool writable = how & HOW_IN;
	const uint8_t header = fuzz_u8(in), cut = fuzz_u8(in), data_cut = fuzz_u8(in);
	const uint16_t status = fuzz_u16(in);
	const uint32_t off = fuzz_u16(in) % BLK_GUEST_MEMORY;
	uint32_t len = fuzz_u16(in);

	if (!(how & HOW_BEYOND) && len > BLK_GUEST_MEMORY - off)
		len = BLK_GUEST_MEMORY - off;
	add_cut(c, HEADERS + HEADER_ROOM * slot, header ? header % HEADER_ROOM : 16, cut,
		false);
	if (how & HOW_EMPTY)
		add(c, 0, 0, writable && !(how & HOW_JOINED));
	add_cut(c, off, len, 64u * data_cut, writable);
	if (!(how & (HOW_NO_STATUS | HOW_JOINED)))
		add(c, status % BLK_GUEST_MEMORY, 1, true);
}

static void note_writable(struct blk_guest *g, const struct chain *c, unsigned slot)
{
	g->room[slot] = 0;
	for (unsigned i = 0; i < c->n; i++) {
		if (!(c->d[i].flags & VRING_DESC_F_WRITE))
			continue;
		g->room[slot] += c->d[i].len;
		for (size_t k = c->d[i].addr - GPA; k < c->d[i].addr - GPA + c->d[i].len;
		     k++)
			if (k < BLK_GUEST_MEMORY)
				g->may_change[k] = true;
	}
}

static void write_table(struct blk_guest *g, struct chain *c, unsigned slot)
{
	const uint32_t at = TABLES + TABLE_ROOM * slot;

	link_up(c, 0);
	memcpy(g->mapping[2].addr + TABLE_ROOM * slot, c->d, c->n * sizeof(c->d[0]));
	c->d[0] = (struct vring_desc){.addr = GPA + at,
				      .len = (uint32_t)(c->n * sizeof(c->d[0])),
				      .flags = VRING_DESC_F_INDIRECT};
	c->n = 1;
}

static void offer(struct blk_guest *g, unsigned head)
{
	const uint16_t entry = (uint16_t)head;

	memcpy(g->avail + 4 + 2 * (g->offered % BLK_GUEST_NUM), &entry, 2);
	g->offered++;
	memcpy(g->avail + 2, &g->offered, 2);
}

static void request(struct blk_guest *g, struct fuzz_input *in)
{
	const unsigned slot = fuzz_u8(in) % BLK_GUEST_SLOTS;
	const uint8_t how = fuzz_u8(in);
	struct chain c = {.n = 0};

	if (g->busy[slot])
		return;
	write_header(g, in, slot);
	build(&c, in, slot, how);
	if (!c.n)
		return;
	note_writable(g, &c, slot);
	if (how & HOW_TABLE)
		write_table(g, &c, slot);
	link_up(&c, slot * BLK_GUEST_DESCS);
	memcpy(g->desc + 16 * slot * BLK_GUEST_DESCS, c.d, c.n * sizeof(c.d[0]));
	g->busy[slot] = true;
	offer(g, slot * BLK_GUEST_DESCS);
}

/* ---- Other writes ---- */

static void write_bytes(struct blk_guest *g, struct fuzz_input *in)
{
	const size_t off = fuzz_u16(in) % BLK_GUEST_MEMORY;
	uint8_t bytes[64];
	const size_t n = fuzz_u8(in) % sizeof(bytes);

	fuzz_bytes(in, bytes, n);
	store(g, off, bytes, n);
}

static void write_range(struct blk_guest *g, struct fuzz_input *in)
{
	const size_t off = fuzz_u16(in) % BLK_GUEST_MEMORY;
	struct vh_blk_range r = {.sector = any_sector(in)};
	const uint8_t n = fuzz_u8(in);

	r.num_sectors = n == UINT8_MAX ? fuzz_u32(in) : n;
	r.flags = fuzz_u8(in);
	store(g, off, &r, sizeof(r));
}

static void poke(struct blk_guest *g, struct fuzz_input *in)
{
	const uint16_t at = fuzz_u16(in);
	const uint64_t word = fuzz_u64(in);

	memcpy((at >> 15 ? g->mapping[2].addr : g->desc) + at % (16 * BLK_GUEST_NUM - 8),
	       &word, sizeof(word));
	g->wild = true;
}

void blk_guest_op(struct blk_guest *g, struct fuzz_input *in, enum blk_guest_op op)
{
	switch (op) {
	case OP_REQUEST:
		return request(g, in);
	case OP_WRITE:
		return write_bytes(g, in);
	case OP_RANGE:
		return write_range(g, in);
	default:
		return poke(g, in);
	}
}

/* ---- What must hold ---- */

static uint16_t used_index(const struct blk_guest *g)
{
	uint16_t v;

	memcpy(&v, g->used + 2, sizeof(v));
	return v;
}

static void take_back(struct blk_guest *g)
{
	struct vring_used_elem e;
	unsigned slot;

	memcpy(&e, g->used + 4 + 8 * (g->seen % BLK_GUEST_NUM), sizeof(e));
	FUZZ_CHECK(e.id < BLK_GUEST_NUM && e.id % BLK_GUEST_DESCS == 0);
	slot = e.id / BLK_GUEST_DESCS;
	FUZZ_CHECK(g->busy[slot]);
	FUZZ_CHECK(g->wild || (e.len && e.len <= g->room[slot]));
	g->busy[slot] = false;
	g->seen++;
}

static bool is_idle(const struct blk_guest *g)
{
	for (unsigned i = 0; i < BLK_GUEST_SLOTS; i++)
		if (g->busy[i])
			return false;
	return true;
}

static void check_region(const struct blk_guest *g, unsigned region)
{
	const uint8_t *is = g->mapping[region].addr;
	const uint8_t *was = g->was + (size_t)region * BLK_GUEST_REGION;
	const bool *may = g->may_change + (size_t)region * BLK_GUEST_REGION;

	if (g->wild || !memcmp(is, was, BLK_GUEST_REGION))
		return;
	for (size_t i = 0; i < BLK_GUEST_REGION; i++)
		FUZZ_CHECK(may[i] || is[i] == was[i]);
}

void blk_guest_reap(struct blk_guest *g)
{
	if (!g->map || !g->mapping[0].addr)
		return;
	check_region(g, 0);
	check_region(g, 1);
	while (g->seen != used_index(g))
		take_back(g);
	if (!is_idle(g))
		return;
	for (unsigned i = 0; i < 2; i++)
		memcpy(g->was + (size_t)i * BLK_GUEST_REGION, g->mapping[i].addr,
		       BLK_GUEST_REGION);
	memset(g->may_change, 0, sizeof(g->may_change));
}

void blk_guest_expect_done(const struct blk_guest *g, bool broken)
{
	FUZZ_CHECK(broken || is_idle(g));
}
