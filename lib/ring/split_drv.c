/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split format, virtio 1.2 section "Split Virtqueues", driver side: the
 * available ring, and what the device says in the used ring.  Descriptors are
 * driver.c's.  Runs on one thread at a time.
 *
 * A used element counts only if it names a chain that is with the device, and
 * the index only if it moved by no more chains than are there.  All else breaks
 * the ring.
 */
#include "base/barrier.h"
#include "ring/drv.h"

/* Offsets of the members of both areas. */
enum {
	FLAGS = 0,
	INDEX = 2,
	ENTRIES = 4,
	AVAIL_SIZE = 2,
	USED_SIZE = 8,
};

static unsigned drv_mask(const struct vh_driver_ring *r, uint16_t index)
{
	return index & (r->num - 1);
}

static uint8_t *used_event(const struct vh_driver_ring *r)
{
	return r->avail + ENTRIES + AVAIL_SIZE * r->num;
}

static uint8_t *avail_event(const struct vh_driver_ring *r)
{
	return r->used + ENTRIES + USED_SIZE * r->num;
}

static void drv_break(struct vh_driver_ring *r, const char *why)
{
	if (!r->why)
		r->why = why;
}

void vh_split_drv_stage(struct vh_driver_ring *r, uint16_t head)
{
	vh_guest_write16(r->avail + ENTRIES + AVAIL_SIZE * drv_mask(r, r->avail_next++),
			 head);
}

static bool kick_wanted(struct vh_driver_ring *r, uint16_t was)
{
	if (r->kick_due) {
		r->kick_due = false;
		return true;
	}
	/* The device asks for kicks, then looks at the index: we the other way round. */
	vh_fence_full();
	if (!r->event_idx)
		return !(vh_guest_read16(r->used + FLAGS) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(vh_guest_read16(avail_event(r)), r->avail_published, was);
}

bool vh_split_drv_publish(struct vh_driver_ring *r)
{
	uint16_t was = r->avail_published;

	/* Who sees the index sees the entries, the descriptors and the buffers. */
	vh_guest_write16_release(r->avail + INDEX, r->avail_next);
	r->avail_published = r->avail_next;
	return kick_wanted(r, was);
}

/* How many are done and not taken; looks at the device's index. */
static unsigned drv_look(struct vh_driver_ring *r)
{
	/* Elements and buffers are read after the index that covers them. */
	uint16_t index = vh_guest_read16_acquire(r->used + INDEX);

	if ((uint16_t)(index - r->used_next) > r->n_out) {
		drv_break(r, "the used index moved by more than what is outstanding");
		return 0;
	}
	r->used_seen = index;
	return (uint16_t)(index - r->used_next);
}

static bool is_published(const struct vh_driver_ring *r, uint32_t id)
{
	return id < r->num && r->slot[id].is_out && r->slot[id].seq < r->seq_published;
}

int vh_split_drv_get(struct vh_driver_ring *r, uint16_t *head, uint32_t *len)
{
	const uint8_t *elem = r->used + ENTRIES + USED_SIZE * drv_mask(r, r->used_next);
	uint32_t id;

	if (r->used_seen == r->used_next && !drv_look(r))
		return 0;
	id = vh_guest_read32(elem);
	*len = vh_guest_read32(elem + 4);
	if (!is_published(r, id)) {
		drv_break(r, "a used element names a chain that is not with the device");
		return 0;
	}
	r->used_next++;
	*head = (uint16_t)id;
	return 1;
}

bool vh_split_drv_arm(struct vh_driver_ring *r)
{
	if (r->event_idx)
		vh_guest_write16(used_event(r), r->used_next);
	else
		vh_guest_write16(r->avail + FLAGS, 0);
	/* The device publishes, then looks whether to call: we ask, then look. */
	vh_fence_full();
	return drv_look(r) || r->why;
}

void vh_split_drv_disarm(struct vh_driver_ring *r)
{
	/* With event indices, the one we asked for stays behind: nobody reaches it. */
	if (!r->event_idx)
		vh_guest_write16(r->avail + FLAGS, VRING_AVAIL_F_NO_INTERRUPT);
}

void vh_split_drv_rewrite(struct vh_driver_ring *r, const uint16_t *heads, unsigned n)
{
	/* The new device goes by these; the old one may have left anything. */
	vh_guest_write16(r->used + FLAGS, 0);
	vh_guest_write16(r->used + INDEX, r->used_next);
	vh_guest_write16(avail_event(r), r->used_next);
	r->used_seen = r->used_next;
	r->avail_next = r->used_next;
	for (unsigned i = 0; i < n; i++)
		vh_split_drv_stage(r, heads[i]);
	r->avail_published = (uint16_t)(r->avail_next - r->n_staged);
	r->kick_due = true;
	vh_guest_write16_release(r->avail + INDEX, r->avail_published);
}
