/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each region is a block of its own, and each area of the ring a region: so a
 * sanitizer sees the first byte beside it.
 */
#include "ring_guest.h"

#include <linux/virtio_ring.h>

enum { DESC, AVAIL, USED, LOW };

static const struct {
	uint64_t gpa, size, each; /* size grows by so much for each entry of the ring */
} places[GUEST_REGIONS] = {
	{0, 0, 16},	      {0x2000, 6, 2},
	{0x4000, 6, 8},	      {0x10000, 0x8000, 0},
	{0x18000, 0x1001, 0}, /* touches the one before */
	{0x100000, 64, 0},    {UINT64_MAX - 4096, 4096, 0},
};

static void mapping_unmap(struct vh_mapping *m)
{
	free(m->addr);
	m->addr = NULL;
}

void guest_mapping_make(struct vh_mapping *m, uint64_t len)
{
	*m = (struct vh_mapping){.refs = 1, .len = len, .unmap = mapping_unmap};
	FUZZ_CHECK(m->addr = calloc(1, len));
}

static void use_region(struct guest *g, unsigned i)
{
	if (g->mapping[i].addr)
		vh_mapping_get(&g->mapping[i]);
	else
		guest_mapping_make(&g->mapping[i],
				   places[i].size + places[i].each * g->num);
}

void guest_map(struct guest *g, unsigned which)
{
	struct vh_wire_region region[GUEST_REGIONS];
	struct vh_mapping *mapping[GUEST_REGIONS];
	unsigned n = 0;

	which |= 1 << DESC | 1 << AVAIL | 1 << USED;
	for (unsigned i = 0; i < GUEST_REGIONS; i++) {
		if (!(which >> i & 1))
			continue;
		use_region(g, i);
		region[n] = (struct vh_wire_region){.gpa = places[i].gpa,
						    .size = g->mapping[i].len,
						    .uva = places[i].gpa / 2};
		mapping[n++] = &g->mapping[i];
	}
	FUZZ_CHECK(vh_map_create(region, mapping, n, ++g->epoch, &g->map) == 0);
}

void guest_make(struct guest *g, uint32_t num)
{
	*g = (struct guest){.num = num};
	guest_map(g, UINT8_MAX);
	g->layout = (struct vh_ring_layout){.desc = g->mapping[DESC].addr,
					    .avail = g->mapping[AVAIL].addr,
					    .used = g->mapping[USED].addr,
					    .num = num};
}

/* ---- The driver ---- */

static struct vring_desc any_desc(struct fuzz_input *in, uint32_t num)
{
	const unsigned region = fuzz_u8(in) % (GUEST_REGIONS + 1);
	const uint64_t off = fuzz_u16(in);
	struct vring_desc d = {.len = fuzz_u16(in)};

	d.addr = region < GUEST_REGIONS ? places[region].gpa + off : fuzz_u64(in);
	if (d.len >> 15)
		d.len = fuzz_u32(in);
	d.flags = fuzz_u8(in);
	d.next = fuzz_u8(in);
	if (d.next != UINT8_MAX)
		d.next = (uint16_t)(d.next % num);
	return d;
}

static void poke(struct guest *g, unsigned region, uint64_t off, const void *p,
		 size_t len)
{
	const struct vh_mapping *m = &g->mapping[region % GUEST_REGIONS];

	if (m->addr && len <= m->len)
		memcpy(m->addr + off % (m->len - len + 1), p, len);
}

static void write_desc(struct guest *g, struct fuzz_input *in)
{
	const unsigned i = fuzz_u8(in);
	const struct vring_desc d = any_desc(in, g->num);

	poke(g, DESC, i % g->num * sizeof(d), &d, sizeof(d));
}

static void write_table(struct guest *g, struct fuzz_input *in)
{
	const uint16_t off = fuzz_u16(in);
	const struct vring_desc d = any_desc(in, g->num);

	poke(g, LOW, off, &d, sizeof(d));
}

static void write_raw(struct guest *g, struct fuzz_input *in)
{
	const unsigned region = fuzz_u8(in);
	const uint16_t off = fuzz_u16(in);
	const uint64_t word = fuzz_u64(in);

	poke(g, region, off, &word, sizeof(word));
}

static void link_descs(struct guest *g, unsigned n)
{
	for (unsigned i = 0; i < n && i < g->num; i++) {
		uint8_t *at = g->layout.desc + i * sizeof(struct vring_desc);
		struct vring_desc d;

		memcpy(&d, at, sizeof(d));
		d.flags &= VRING_DESC_F_WRITE;
		d.flags |= i + 1 < n ? VRING_DESC_F_NEXT : 0;
		d.next = (uint16_t)(i + 1);
		memcpy(at, &d, sizeof(d));
	}
}

static void offer(struct guest *g, uint16_t head, uint16_t n)
{
	uint16_t index;

	memcpy(&index, g->layout.avail + 2, 2);
	if (n == 1)
		memcpy(g->layout.avail + 4 + 2 * (index & (g->num - 1)), &head, 2);
	index = (uint16_t)(index + n);
	memcpy(g->layout.avail + 2, &index, 2);
}

void guest_op(struct guest *g, struct fuzz_input *in, enum guest_op op)
{
	switch (op) {
	case OP_OFFER:
		return offer(g, fuzz_u8(in), 1);
	case OP_DESC:
		return write_desc(g, in);
	case OP_TABLE:
		return write_table(g, in);
	case OP_LINK:
		return link_descs(g, fuzz_u8(in));
	case OP_POKE:
		return write_raw(g, in);
	default:
		return offer(g, 0, fuzz_u16(in));
	}
}
