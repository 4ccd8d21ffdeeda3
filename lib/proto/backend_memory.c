/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of memory regions, and the dirty log.
 *
 * A request builds the next table out of the one in force; the shell maps it,
 * all or nothing; then it is in force and the rings are looked at again.  When
 * only regions were added, queues have to know the new table and no more; when
 * one went or changed, no chain may hold pointers into it when the answer goes
 * out, so chains of the old memory epoch are waited for.
 */
#include <string.h>

#include "base/checked.h"
#include "proto/backend_handler.h"

static const char *region_fault(const struct vh_wire_region *r)
{
	uint64_t end;

	if (!r->size)
		return "a memory region of no bytes";
	if (!vh_add_u64(r->gpa, r->size, &end) || !vh_add_u64(r->uva, r->size, &end) ||
	    !vh_add_u64(r->offset, r->size, &end))
		return "a memory region that wraps around";
	return NULL;
}

static bool regions_overlap(const struct vh_wire_region *a,
			    const struct vh_wire_region *b)
{
	return vh_range_overlaps(a->gpa, a->size, b->gpa, b->size) ||
	       vh_range_overlaps(a->uva, a->size, b->uva, b->size);
}

static bool regions_are_equal(const struct vh_wire_region *a,
			      const struct vh_wire_region *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->uva == b->uva &&
	       a->offset == b->offset;
}

/* Into its place in the next table. */
static const char *next_insert(struct vh_backend *b, const struct vh_wire_region *r)
{
	const char *fault = region_fault(r);
	unsigned at = 0;

	if (fault)
		return fault;
	if (b->n_next == VH_MAX_SLOTS)
		return "more memory regions than slots";
	for (unsigned i = 0; i < b->n_next; i++) {
		if (regions_overlap(&b->next[i], r))
			return "memory regions that overlap";
		at += b->next[i].gpa < r->gpa;
	}
	memmove(&b->next[at + 1], &b->next[at], (b->n_next - at) * sizeof(*r));
	b->next[at] = *r;
	b->n_next++;
	return NULL;
}

static void next_clear(struct vh_backend *b)
{
	memset(b->next, 0, b->n_next * sizeof(b->next[0]));
	b->n_next = 0;
}

static void next_copy(struct vh_backend *b)
{
	memcpy(b->next, b->region, b->n_regions * sizeof(b->region[0]));
	b->n_next = b->n_regions;
}

static const char *mapping(struct vh_backend *b, const char *fault, struct vh_effects *fx)
{
	if (fault)
		next_clear(b);
	else
		fx->action = VH_ACTION_MAP;
	return fault;
}

const char *vh_backend_set_mem_table(struct vh_backend *b, const struct vh_msg *m,
				     struct vh_effects *fx)
{
	const char *fault = NULL;

	if (m->mem.n > VH_MAX_TABLE_REGIONS)
		return "more memory regions than a table holds";
	for (unsigned i = 0; i < m->mem.n && !fault; i++)
		fault = next_insert(b, &m->mem.region[i]);
	return mapping(b, fault, fx);
}

static bool has_region(const struct vh_backend *b, const struct vh_wire_region *r)
{
	for (unsigned i = 0; i < b->n_regions; i++)
		if (regions_are_equal(&b->region[i], r))
			return true;
	return false;
}

/* QEMU up to 8.1 adds each region once for every queue pair: the first one counts. */
const char *vh_backend_add_mem_reg(struct vh_backend *b, const struct vh_msg *m,
				   struct vh_effects *fx)
{
	if (has_region(b, &m->mem_reg.region))
		return NULL;
	next_copy(b);
	return mapping(b, next_insert(b, &m->mem_reg.region), fx);
}

/*
 * "VHOST_USER_REM_MEM_REG": the offset into the file does not count.  One that is
 * not there is what the QEMU of above asks for, too, from the second queue pair on.
 */
const char *vh_backend_rem_mem_reg(struct vh_backend *b, const struct vh_msg *m,
				   struct vh_effects *fx)
{
	const struct vh_wire_region *r = &m->mem_reg.region;

	for (unsigned i = 0; i < b->n_regions; i++) {
		const struct vh_wire_region *have = &b->region[i];

		if (have->gpa == r->gpa && have->uva == r->uva && have->size == r->size)
			continue;
		b->next[b->n_next++] = *have;
	}
	if (b->n_next == b->n_regions) {
		next_clear(b);
		return NULL;
	}
	return mapping(b, NULL, fx);
}

/* Both tables are sorted, so one walk through both will do. */
static bool next_keeps_all(const struct vh_backend *b)
{
	unsigned j = 0;

	for (unsigned i = 0; i < b->n_regions; i++) {
		while (j < b->n_next && b->next[j].gpa < b->region[i].gpa)
			j++;
		if (j == b->n_next || !regions_are_equal(&b->region[i], &b->next[j]))
			return false;
	}
	return true;
}

static void next_adopt(struct vh_backend *b)
{
	if (b->n_regions > b->n_next)
		memset(&b->region[b->n_next], 0,
		       (b->n_regions - b->n_next) * sizeof(b->region[0]));
	memcpy(b->region, b->next, b->n_next * sizeof(b->next[0]));
	b->n_regions = b->n_next;
	next_clear(b);
}

/* @result > 0: some region has the numbers it had, but another file behind it. */
void vh_backend_memory_done(struct vh_backend *b, int result, struct vh_effects *fx)
{
	const bool keeps = next_keeps_all(b) && !result;

	if (!keeps)
		b->memory_epoch++;
	next_adopt(b);
	vh_backend_update_rings(b, fx);
	vh_backend_view_started(b, fx, keeps ? VH_SETTLE_PAUSED : VH_SETTLE_RETIRED);
}

void vh_backend_memory_undone(struct vh_backend *b)
{
	next_clear(b);
}

void vh_backend_get_max_mem_slots_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_u64 = VH_MAX_SLOTS;
}

/*
 * Without LOG_SHMFD the log would be an address in the front-end's own process,
 * which nobody can write to.
 */
const char *vh_backend_set_log_base(struct vh_backend *b, const struct vh_msg *m,
				    struct vh_effects *fx)
{
	uint64_t end;

	if (!vh_backend_has(b, VH_PF_LOG_SHMFD) || m->payload != VH_PAYLOAD_LOG)
		return "a dirty log needs LOG_SHMFD";
	if (!m->log.size || !vh_add_u64(m->log.offset, m->log.size, &end))
		return "a dirty log of no bytes, or one that wraps around";
	fx->action = VH_ACTION_MAP_LOG;
	return NULL;
}

void vh_backend_set_log_base_done(struct vh_backend *b, int result, struct vh_effects *fx)
{
	b->has_log = true;
	vh_backend_view_started(b, fx, VH_SETTLE_PAUSED);
}

void vh_backend_set_log_fd_done(struct vh_backend *b, int result, struct vh_effects *fx)
{
	vh_backend_view_started(b, fx, VH_SETTLE_PAUSED);
}

/* Front-ends look at nothing but the header of this reply. */
void vh_backend_set_log_base_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_empty = true;
	fx->reply_payload = VH_PAYLOAD_NONE;
}
