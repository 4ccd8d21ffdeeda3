/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the front-end's is where the device's table says, whatever offsets a message
 * has; it is read as a whole, or again.  The dirty log and the inflight area have their
 * places in registers.  A kick is an interrupt that the vring's entry names, a call a
 * write to a doorbell.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "conn/vhostpci.h"

/* A table that changes more often than this while it is read is none. */
#define TRIES 100

/* ---- Windows ---- */

static void window_last(struct vh_barmap_window *w)
{
	free(w);
}

static int find_window(struct vh_vhostpci *v, unsigned bar, struct vh_barmap_window **w)
{
	const uint64_t size = v->host->bus->bar_size(v->host, bar);

	if (!size)
		return 0;
	*w = malloc(sizeof(**w));
	if (!*w)
		return -ENOMEM;
	**w = (struct vh_barmap_window){.refs = 1,
					.host = v->host,
					.bar = bar,
					.size = size,
					.last = window_last};
	return 0;
}

int vh_vhostpci_find_windows(struct vh_vhostpci *v)
{
	const int err = find_window(v, VH_ADAPTER_WINDOW_BAR, &v->window);

	return err ? err : find_window(v, VH_ADAPTER_AREA_BAR, &v->area);
}

void vh_vhostpci_close_windows(struct vh_vhostpci *v)
{
	vh_barmap_window_put(v->window);
	vh_barmap_window_put(v->area);
	v->window = v->area = NULL;
}

bool vh_vhostpci_uses_memory(const struct vh_vhostpci *v)
{
	return (v->window && v->window->refs > 1) || (v->area && v->area->refs > 1);
}

/* ---- The table ---- */

static int read_region(struct vh_vhostpci *v, unsigned i, struct vh_adapter_region *r)
{
	const uint64_t at = VH_ADAPTER_MEMORY + (uint64_t)i * VH_ADAPTER_MEMORY_SIZE;
	int err = vh_vhostpci_read64(v, at + offsetof(struct vh_adapter_region, gpa),
				     &r->gpa);

	if (!err)
		err = vh_vhostpci_read64(v, at + offsetof(struct vh_adapter_region, size),
					 &r->size);
	if (!err)
		err = vh_vhostpci_read64(v, at + offsetof(struct vh_adapter_region, uva),
					 &r->uva);
	if (!err)
		err = vh_vhostpci_read64(
			v, at + offsetof(struct vh_adapter_region, bar_offset),
			&r->bar_offset);
	return err;
}

/* 0, -errno, or -EAGAIN: it changed meanwhile. */
static int try_table(struct vh_vhostpci *v, struct vh_adapter_region *r, unsigned *n)
{
	uint32_t before = 0, after = 0, count = 0;
	int err = vh_vhostpci_read(v, VH_ADAPTER_MEM_GEN, &before);

	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_MEM_COUNT, &count);
	if (!err && (before & 1 || count > VH_MAX_TABLE_REGIONS))
		err = -EAGAIN;
	for (unsigned i = 0; i < count && !err; i++)
		err = read_region(v, i, &r[i]);
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_MEM_GEN, &after);
	*n = count;
	return !err && after != before ? -EAGAIN : err;
}

static int read_table(struct vh_vhostpci *v,
		      struct vh_adapter_region r[VH_MAX_TABLE_REGIONS], unsigned *n)
{
	int err = -EAGAIN;

	for (unsigned i = 0; i < TRIES && err == -EAGAIN; i++)
		err = try_table(v, r, n);
	if (err)
		vh_log(&v->c, VH_LOG_WARN, "the device's table of memory: %s",
		       vh_strerror(err));
	return err;
}

/* Of one that the message does not speak of: nowhere, the old mapping stays. */
static int place_region(const struct vh_vhostpci *v, const struct vh_wire_region *r,
			const struct vh_adapter_region *table, unsigned n,
			struct vh_barmap_place *place)
{
	for (unsigned i = 0; i < n; i++)
		if (table[i].gpa == r->gpa && table[i].size == r->size &&
		    table[i].uva == r->uva) {
			*place = (struct vh_barmap_place){.window = v->window,
							  .at = table[i].bar_offset};
			return 0;
		}
	vh_log(&v->c, VH_LOG_WARN, "the device has no place for the region at %#" PRIx64,
	       r->gpa);
	return -EINVAL;
}

int vh_vhostpci_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		    struct vh_msg *m, const struct vh_map *old,
		    struct vh_mapping **mapping, bool *changed)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	struct vh_adapter_region table[VH_MAX_TABLE_REGIONS];
	struct vh_barmap_place place[VH_MAX_SLOTS];
	unsigned n_table = 0;
	int err = read_table(v, table, &n_table);

	(void)m;
	for (unsigned i = 0; i < n && !err; i++)
		err = place_region(v, &r[i], table, n_table, &place[i]);
	return err ? err : vh_barmap_table(c->tag, r, n, place, old, mapping, changed);
}

/* ---- Areas ---- */

static int no_area(const struct vh_connector *c, const struct vh_msg *m)
{
	vh_log(c, VH_LOG_WARN, "%s: the device has no memory for that",
	       vh_msg_name(m->channel, m->id));
	return -ENOTSUP;
}

int vh_vhostpci_map_area(struct vh_connector *c, struct vh_msg *m,
			 struct vh_mapping **mapping)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	const bool is_log = m->payload == VH_PAYLOAD_LOG;
	const uint64_t size = is_log ? m->log.size : m->inflight.size;
	struct vh_barmap_place place = {.window = v->area};
	uint64_t len = 0;
	int err = vh_vhostpci_read64(
		v, is_log ? VH_ADAPTER_LOG_OFF : VH_ADAPTER_INFLIGHT_OFF, &place.at);

	if (!err)
		err = vh_vhostpci_read64(
			v, is_log ? VH_ADAPTER_LOG_LEN : VH_ADAPTER_INFLIGHT_LEN, &len);
	if (err)
		return err;
	if (!place.window || size > len)
		return no_area(c, m);
	return vh_barmap_piece(c->tag, vh_msg_name(m->channel, m->id), &place, size,
			       mapping);
}

/* The device makes the file behind it, and told where it is before it asked. */
int vh_vhostpci_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	uint64_t len = 0;
	const int err = vh_vhostpci_read64(v, VH_ADAPTER_INFLIGHT_LEN, &len);

	if (err)
		return err;
	if (!vh_vhostpci_has(v, VH_ADAPTER_F_INFLIGHT) || size > len)
		return no_area(c, m);
	m->inflight.offset = 0;
	return 0;
}

/* ---- Signals ---- */

int vh_vhostpci_place_kick(void *arg, unsigned vring, uint16_t vector)
{
	struct vh_vhostpci *v = arg;
	const struct vh_pci_bus *bus = v->host->bus;
	const uint64_t at = VH_ADAPTER_VRINGS + (uint64_t)vring * VH_ADAPTER_VRING_SIZE +
			    offsetof(struct vh_adapter_vring, kick_vec);
	uint64_t taken = VH_ADAPTER_NO_VECTOR;
	int err = bus->write(v->host, VH_ADAPTER_BAR, at, 2, vector);

	if (!err)
		err = bus->read(v->host, VH_ADAPTER_BAR, at, 2, &taken);
	return !err && taken != vector ? -EBUSY : err;
}

static int doorbell(struct vh_vhostpci *v, unsigned n, struct vh_signal **s)
{
	const uint64_t at = VH_ADAPTER_DOORBELLS + (uint64_t)n * v->stride;

	return v->host->bus->signal(v->host, VH_ADAPTER_BAR, at, 4, n, s);
}

int vh_vhostpci_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s)
{
	struct vh_vhostpci *v = vh_vhostpci_of(c);
	const unsigned n = v->vectors.n_vrings;
	const bool is_log = m->id == VH_MSG_SET_LOG_FD;
	const unsigned vring = is_log ? 0 : m->u64 & VH_VRING_INDEX_MASK;

	*s = NULL;
	if ((!is_log || m->payload == VH_PAYLOAD_U64) && m->u64 & VH_VRING_NO_FD)
		return 0;
	if (vring >= n) {
		vh_log(c, VH_LOG_WARN, "%s: the device has no vring %u",
		       vh_msg_name(m->channel, m->id), vring);
		return -EINVAL;
	}
	switch (m->id) {
	case VH_MSG_SET_VRING_KICK:
		return vh_vectors_kick(&v->vectors, vring, s);
	case VH_MSG_SET_VRING_CALL:
		return doorbell(v, VH_VVU_DOORBELL_CALL(vring), s);
	case VH_MSG_SET_VRING_ERR:
		return doorbell(v, VH_VVU_DOORBELL_ERR(n, vring), s);
	default:
		return vh_vhostpci_has(v, VH_ADAPTER_F_LOG)
			       ? doorbell(v, VH_VVU_DOORBELL_LOG(n), s)
			       : 0;
	}
}
