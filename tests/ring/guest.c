/* SPDX-License-Identifier: BSD-3-Clause */
/* The hand-made guest of the ring tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

uint64_t guest_features;

static void mapping_free(struct vh_mapping *m)
{
	free(m->addr);
	free(m);
}

static struct vh_mapping *mapping_make(size_t len)
{
	struct vh_mapping *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->refs = 1;
	m->addr = aligned_alloc(64, (len + 63) / 64 * 64);
	assert_non_null(m->addr);
	memset(m->addr, 0, len);
	m->len = len;
	m->unmap = mapping_free;
	return m;
}

static void memory_make(struct guest *g)
{
	const struct vh_wire_region region[] = {
		{.gpa = 0, .size = 0x100000, .uva = 0x7f0000000000},
		{.gpa = LOW, .size = HIGH - LOW, .uva = 0x7f1000000000},
		{.gpa = HIGH, .size = HOLE - HIGH, .uva = 0x7f2000000000},
	};
	struct vh_mapping *mapping[3];

	for (unsigned i = 0; i < 3; i++)
		mapping[i] = mapping_make(region[i].size);
	assert_int_equal(vh_map_create(region, mapping, 3, 7, &g->map), 0);
}

void guest_make_at(struct guest *g, uint32_t num, uint16_t base, uint16_t used)
{
	*g = (struct guest){.num = num, .features = guest_features, .avail = base};
	memory_make(g);
	memcpy(guest_at(g, AVAIL + 2), &base, 2);
	memcpy(guest_at(g, USED + 2), &used, 2);
	g->layout = (struct vh_ring_layout){.desc = guest_at(g, DESC),
					    .avail = guest_at(g, AVAIL),
					    .used = guest_at(g, USED),
					    .num = num};
	assert_int_equal(vh_ring_create(NULL, num, g->features, &g->ring), 0);
	vh_ring_place(g->ring, &g->layout, g->map, NULL);
	assert_int_equal(vh_ring_start(g->ring, base), 0);
}

void guest_make(struct guest *g, uint32_t num)
{
	guest_make_at(g, num, 0, 0);
}

void guest_free(struct guest *g)
{
	vh_ring_destroy(g->ring);
	vh_dirty_log_put(g->log);
	vh_map_put(g->map);
}

uint8_t *guest_at(const struct guest *g, uint64_t gpa)
{
	for (unsigned i = 0; i < g->map->n; i++)
		if (gpa - g->map->region[i].gpa < g->map->region[i].len)
			return g->map->region[i].va + (gpa - g->map->region[i].gpa);
	fail_msg("the test goes by an address that does not exist");
	return NULL;
}

static void guest_write(struct guest *g, uint64_t gpa, const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*guest_at(g, gpa + i) = ((const uint8_t *)p)[i];
}

void guest_table(struct guest *g, uint64_t table, unsigned i, uint64_t gpa, uint32_t len,
		 unsigned flags, unsigned next)
{
	const struct vring_desc d = {.addr = gpa,
				     .len = len,
				     .flags = (uint16_t)flags,
				     .next = (uint16_t)next};

	guest_write(g, table + i * sizeof(d), &d, sizeof(d));
}

void guest_desc(struct guest *g, unsigned i, uint64_t gpa, uint32_t len, unsigned flags,
		unsigned next)
{
	guest_table(g, DESC, i, gpa, len, flags, next);
}

void guest_offer(struct guest *g, unsigned head)
{
	const uint16_t entry = (uint16_t)head;

	guest_write(g, AVAIL + 4 + 2 * (g->avail & (g->num - 1)), &entry, 2);
	g->avail++;
	guest_write(g, AVAIL + 2, &g->avail, 2);
}

void guest_offer_buffer(struct guest *g, unsigned i, uint64_t gpa, uint32_t len,
			unsigned flags)
{
	guest_desc(g, i, gpa, len, flags, 0);
	guest_offer(g, i);
}

void expect_broken(struct guest *g, const char *word)
{
	struct vh_chain *c[64];
	const unsigned out = g->ring->n_out;

	assert_int_equal(vh_ring_pop(g->ring, c, 64), -EPROTO);
	assert_non_null(g->ring->why);
	if (!strstr(g->ring->why, word))
		fail_msg("broken because \"%s\", not because of \"%s\"", g->ring->why,
			 word);
	assert_int_equal(g->ring->n_out, out);
	assert_int_equal(vh_ring_pop(g->ring, c, 64), -EPROTO);
}

struct vh_chain *pop_one(struct guest *g)
{
	struct vh_chain *c[2];

	assert_int_equal(vh_ring_pop(g->ring, c, 2), 1);
	return c[0];
}

static uint16_t guest_read16(const struct guest *g, uint64_t gpa)
{
	uint16_t v;

	memcpy(&v, guest_at(g, gpa), 2);
	return v;
}

uint16_t guest_used_index(const struct guest *g)
{
	return guest_read16(g, USED + 2);
}

struct vring_used_elem guest_used(const struct guest *g, unsigned i)
{
	struct vring_used_elem e;

	memcpy(&e, guest_at(g, USED + 4 + 8 * (i & (g->num - 1))), sizeof(e));
	return e;
}

void guest_want_calls(struct guest *g, uint16_t flags, uint16_t event)
{
	guest_write(g, AVAIL, &flags, 2);
	guest_write(g, AVAIL + 4 + 2 * g->num, &event, 2);
}

uint16_t guest_used_flags(const struct guest *g)
{
	return guest_read16(g, USED);
}

uint16_t guest_avail_event(const struct guest *g)
{
	return guest_read16(g, USED + 4 + 8 * g->num);
}

void guest_log_on(struct guest *g)
{
	assert_int_equal(vh_dirty_log_create(mapping_make(HOLE / 4096 / 8), &g->log), 0);
	g->layout.log_used = true;
	g->layout.log_gpa = USED;
	vh_ring_place(g->ring, &g->layout, g->map, g->log);
}

bool guest_is_dirty(const struct guest *g, uint64_t gpa)
{
	return g->log->bits[gpa / 4096 / 8] >> (gpa / 4096 % 8) & 1;
}

void guest_log_clear(struct guest *g)
{
	memset(g->log->bits, 0, g->log->len);
}

int guest_run(const struct CMUnitTest *tests, size_t n)
{
	static const char *const name[] = {"plain", "indirect", "event idx",
					   "indirect and event idx"};
	int failed = 0;

	for (unsigned i = 0; i < 4; i++) {
		guest_features = 1ULL << VIRTIO_F_VERSION_1;
		if (i & 1)
			guest_features |= 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
		if (i & 2)
			guest_features |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
		failed += _cmocka_run_group_tests(name[i], tests, n, NULL, NULL);
	}
	return failed;
}
