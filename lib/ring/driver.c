/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a ring: descriptors, and the chains they make.  What
 * stands in the index areas is for split_drv.c.  Runs on one thread at a time.
 *
 * Theory of operation.  The device can write all the shared memory, so nothing
 * there is read back save what it has to tell: used elements, its index and its
 * wish for kicks.  Links of free descriptors and of chains, lengths and cookies
 * are in a shadow of our own.  Indirect tables have none: who scribbles on a
 * table spoils what he himself is about to read.
 */
#include "ring/driver.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "ring/drv.h"
#include "spec/vhost_user.h"

#define LINE 64

static bool size_is_valid(uint32_t num, uint64_t features)
{
	return !(features & VH_BIT(VIRTIO_F_RING_PACKED)) && vh_is_power_of_two(num) &&
	       num <= VH_MAX_RING_SIZE;
}

/* No chain may be longer than the ring, so no table needs to be. */
static unsigned table_segs(uint32_t num, uint64_t features)
{
	if (!(features & VH_BIT(VIRTIO_RING_F_INDIRECT_DESC)))
		return 0;
	return num < VH_DRIVER_TABLE_SEGS ? num : VH_DRIVER_TABLE_SEGS;
}

static size_t line_up(size_t n)
{
	return (n + LINE - 1) / LINE * LINE;
}

/* Each side writes lines of its own. */
void vh_driver_ring_places(uint32_t num, uint64_t features,
			   struct vh_driver_ring_places *p)
{
	p->desc = 0;
	p->avail = line_up((size_t)num * sizeof(struct vring_desc));
	p->used =
		p->avail + line_up(3 * sizeof(uint16_t) + (size_t)num * sizeof(uint16_t));
}

/* The tables stand behind the areas. */
static size_t tables_place(uint32_t num, uint64_t features)
{
	struct vh_driver_ring_places p;

	vh_driver_ring_places(num, features, &p);
	return p.used + line_up(3 * sizeof(uint16_t) +
				(size_t)num * sizeof(struct vring_used_elem));
}

static size_t tables_bytes(uint32_t num, uint64_t features)
{
	return (size_t)num * table_segs(num, features) * sizeof(struct vring_desc);
}

size_t vh_driver_ring_bytes(uint32_t num, uint64_t features)
{
	if (!size_is_valid(num, features))
		return 0;
	return line_up(tables_place(num, features) + tables_bytes(num, features));
}

/* ---- Life ---- */

static int shadow_create(struct vh_driver_ring *r)
{
	r->shadow = calloc(r->num, sizeof(*r->shadow));
	r->slot = calloc(r->num, sizeof(*r->slot));
	r->order = calloc(r->num, sizeof(*r->order));
	if (!r->shadow || !r->slot || !r->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->num; i++)
		r->shadow[i].next = (uint16_t)(i + 1);
	r->n_free = r->num;
	return 0;
}

static int tables_create(struct vh_driver_ring *r, uint8_t *mem, uint64_t features)
{
	r->table_segs = table_segs(r->num, features);
	if (!r->table_segs)
		return 0;
	r->table = (struct vring_desc *)(mem + tables_place(r->num, features));
	return r->to_device(r->arg, r->table, tables_bytes(r->num, features),
			    &r->table_gpa)
		       ? 0
		       : -EFAULT;
}

int vh_driver_ring_create(void *mem, uint32_t num, uint64_t features,
			  bool (*to_device)(void *arg, const void *p, size_t len,
					    uint64_t *gpa),
			  void *arg, struct vh_driver_ring **ring)
{
	struct vh_driver_ring_places p;
	struct vh_driver_ring *r;
	uint8_t *base = mem;
	int err;

	*ring = NULL;
	if (!size_is_valid(num, features))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	vh_driver_ring_places(num, features, &p);
	r->num = num;
	r->event_idx = features & VH_BIT(VIRTIO_RING_F_EVENT_IDX);
	r->desc = (struct vring_desc *)(base + p.desc);
	r->avail = base + p.avail;
	r->used = base + p.used;
	r->to_device = to_device;
	r->arg = arg;
	err = tables_create(r, base, features);
	if (!err)
		err = shadow_create(r);
	if (err)
		vh_driver_ring_destroy(r);
	else
		*ring = r;
	return err;
}

void vh_driver_ring_destroy(struct vh_driver_ring *r)
{
	if (!r)
		return;
	free(r->shadow);
	free(r->slot);
	free(r->order);
	free(r);
}

/* ---- Chains out ---- */

/* Every buffer has bytes, and all writable ones together fewer than 4 GiB, etc. */
static int lengths_check(const struct iovec *iov, unsigned n_out, unsigned n_in,
			 uint32_t *in_len)
{
	uint64_t total = 0, out_len = 0;

	for (unsigned i = 0; i < n_out + n_in; i++) {
		if (i == n_out)
			out_len = total;
		if (!iov[i].iov_len || iov[i].iov_len > UINT32_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	*in_len = n_in ? (uint32_t)(total - out_len) : 0;
	return total ? 0 : -EINVAL;
}

static int desc_fill(struct vh_driver_ring *r, struct vring_desc *d,
		     const struct iovec *iov, bool writable, bool last)
{
	uint64_t gpa;

	if (!r->to_device(r->arg, iov->iov_base, iov->iov_len, &gpa))
		return -EFAULT;
	d->addr = gpa;
	d->len = (uint32_t)iov->iov_len;
	d->flags = (writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT);
	return 0;
}

/*
 * The chain in descriptors of the ring.  They are taken from the free list in its
 * order, which is the links they have already; @next is the first that is left.
 */
static int fill_direct(struct vh_driver_ring *r, const struct iovec *iov, unsigned n_out,
		       unsigned n, uint16_t *next)
{
	uint16_t at = r->free_head;

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *d = &r->shadow[at];
		int err = desc_fill(r, d, &iov[i], i >= n_out, i + 1 == n);

		if (err)
			return err;
		r->desc[at] = *d;
		at = d->next;
	}
	*next = at;
	return 0;
}

/* The chain in the table of the first free descriptor. */
static int fill_table(struct vh_driver_ring *r, const struct iovec *iov, unsigned n_out,
		      unsigned n, uint16_t *next)
{
	size_t first = (size_t)r->free_head * r->table_segs;
	struct vring_desc *d = &r->shadow[r->free_head];

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc entry = {.next = (uint16_t)(i + 1)};
		int err = desc_fill(r, &entry, &iov[i], i >= n_out, i + 1 == n);

		if (err)
			return err;
		r->table[first + i] = entry;
	}
	d->addr = r->table_gpa + first * sizeof(*d);
	d->len = n * sizeof(*d);
	d->flags = VRING_DESC_F_INDIRECT;
	r->desc[r->free_head] = *d;
	*next = d->next;
	return 0;
}

int vh_driver_ring_add(struct vh_driver_ring *r, const struct iovec *iov, unsigned n_out,
		       unsigned n_in, void *cookie)
{
	uint64_t n = (uint64_t)n_out + n_in;
	bool indirect = n > 1 && n <= r->table_segs;
	unsigned n_descs = indirect ? 1 : (unsigned)n;
	uint16_t head = r->free_head, next;
	uint32_t in_len;
	int err;

	if (r->why)
		return -EPROTO;
	if (n > r->num || lengths_check(iov, n_out, n_in, &in_len) < 0)
		return -EINVAL;
	if (n_descs > r->n_free)
		return -ENOSPC;
	err = (indirect ? fill_table : fill_direct)(r, iov, n_out, (unsigned)n, &next);
	if (err)
		return err;
	r->free_head = next;
	r->n_free -= n_descs;
	r->slot[head] = (struct vh_drv_slot){.cookie = cookie,
					     .seq = r->seq++,
					     .in_len = in_len,
					     .n_descs = (uint16_t)n_descs,
					     .is_out = true};
	r->n_staged++;
	vh_split_drv_stage(r, head);
	return 0;
}

bool vh_driver_ring_publish(struct vh_driver_ring *r)
{
	if (!r->n_staged)
		return false;
	r->n_out += r->n_staged;
	r->n_staged = 0;
	r->seq_published = r->seq;
	return vh_split_drv_publish(r);
}

/* ---- Chains back ---- */

static void descs_free(struct vh_driver_ring *r, uint16_t head, unsigned n)
{
	uint16_t last = head;

	for (unsigned i = 1; i < n; i++)
		last = r->shadow[last].next;
	r->shadow[last].next = r->free_head;
	r->free_head = head;
	r->n_free += n;
}

void *vh_driver_ring_get(struct vh_driver_ring *r, uint32_t *len)
{
	struct vh_drv_slot *s;
	uint16_t head;

	if (r->why || !vh_split_drv_get(r, &head, len))
		return NULL;
	s = &r->slot[head];
	if (*len > s->in_len)
		*len = s->in_len;
	s->is_out = false;
	r->n_out--;
	descs_free(r, head, s->n_descs);
	return s->cookie;
}

bool vh_driver_ring_arm(struct vh_driver_ring *r)
{
	return vh_split_drv_arm(r);
}

void vh_driver_ring_disarm(struct vh_driver_ring *r)
{
	vh_split_drv_disarm(r);
}

unsigned vh_driver_ring_outstanding(const struct vh_driver_ring *r)
{
	return r->n_out + r->n_staged;
}

/* ---- Another device ---- */

uint32_t vh_driver_ring_base(const struct vh_driver_ring *r)
{
	return r->used_next;
}

static int by_seq(const void *a, const void *b, void *arg)
{
	const struct vh_drv_slot *slot = arg;
	uint64_t sa = slot[*(const uint16_t *)a].seq, sb = slot[*(const uint16_t *)b].seq;

	return (sa > sb) - (sa < sb);
}

/* The old device may have spoiled the descriptors; the shadow knows better. */
static void descs_rewrite(struct vh_driver_ring *r, uint16_t head)
{
	uint16_t at = head;

	for (unsigned i = r->slot[head].n_descs; i--; at = r->shadow[at].next)
		r->desc[at] = r->shadow[at];
}

void vh_driver_ring_resubmit(struct vh_driver_ring *r)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < r->num; i++) {
		if (!r->slot[i].is_out)
			continue;
		descs_rewrite(r, (uint16_t)i);
		r->order[n++] = (uint16_t)i;
	}
	qsort_r(r->order, n, sizeof(*r->order), by_seq, r->slot);
	r->why = NULL;
	vh_split_drv_rewrite(r, r->order, n);
}

const char *vh_driver_ring_why(const struct vh_driver_ring *r)
{
	return r->why;
}
