/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a ring, whatever its format: the chains it has, where it
 * lies, whether it is broken.  What words mean is for the formats.  Runs on the
 * one thread that has the ring.
 *
 * A broken ring stays broken: pop says so for ever, and what the driver has put
 * there meanwhile is not looked at any more.
 */
#include "ring/ring.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "ring/build.h"

static const struct vh_ring_format *format_of(uint64_t features)
{
	return features & VH_BIT(VIRTIO_F_RING_PACKED) ? NULL : &vh_ring_split;
}

/*
 * All chains of the ring, in one piece with iovecs for short ones, so that
 * vh_chain_iov_in() cannot fail for want of memory.
 */
static int chains_create(struct vh_ring *r)
{
	size_t chains = r->num * sizeof(struct vh_chain);
	size_t iovecs = r->num * sizeof(struct iovec[VH_CHAIN_INLINE]);
	struct iovec *iov;

	r->chain = aligned_alloc(_Alignof(struct vh_chain),
				 chains + (iovecs + 63) / 64 * 64);
	if (!r->chain)
		return -ENOMEM;
	iov = (struct iovec *)&r->chain[r->num];
	for (uint32_t i = r->num; i--;) {
		r->chain[i] = (struct vh_chain){
			.queue = r->queue,
			.iov = &iov[i * VH_CHAIN_INLINE],
		};
		vh_chain_free(r, &r->chain[i]);
	}
	return 0;
}

int vh_ring_create(struct vh_queue *queue, uint32_t num, uint64_t features,
		   struct vh_ring **ring)
{
	const struct vh_ring_format *format = format_of(features);
	struct vh_ring *r;

	*ring = NULL;
	if (!format || !format->size_is_valid(num))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->format = format;
	r->queue = queue;
	r->num = num;
	r->event_idx = features & VH_BIT(VIRTIO_RING_F_EVENT_IDX);
	r->indirect = features & VH_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	r->head_is_out = calloc((num + 63) / 64, sizeof(*r->head_is_out));
	if (!r->head_is_out || chains_create(r) < 0) {
		vh_ring_destroy(r);
		return -ENOMEM;
	}
	*ring = r;
	return 0;
}

void vh_ring_destroy(struct vh_ring *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; r->chain && i < r->num; i++)
		free(r->chain[i].more);
	free(r->chain);
	vh_inflight_destroy(r->inflight);
	free(r->head_is_out);
	free(r);
}

int vh_ring_track(struct vh_ring *r, uint8_t *region)
{
	return vh_inflight_create(region, r->num, &r->inflight);
}

unsigned vh_ring_owed(const struct vh_ring *r)
{
	return vh_inflight_owed(r->inflight);
}

void vh_ring_lend(struct vh_ring *r, struct vh_chain *c)
{
	c->lent = true;
	if (r->inflight)
		vh_inflight_begin(r->inflight, c->head);
}

void vh_ring_place(struct vh_ring *r, const struct vh_ring_layout *l, struct vh_map *map,
		   struct vh_dirty_log *log)
{
	r->layout = *l;
	r->layout.num = r->num;
	r->map = map;
	r->log = log;
	r->hint = 0;
	r->avail_seen = r->avail; /* what was read elsewhere is not believed here */
}

int vh_ring_start(struct vh_ring *r, uint32_t base)
{
	return r->format->start(r, base);
}

uint32_t vh_ring_base(const struct vh_ring *r)
{
	return r->format->base(r);
}

int vh_ring_pop(struct vh_ring *r, struct vh_chain **c, unsigned max)
{
	int n;

	if (r->why)
		return -EPROTO;
	n = r->format->pop(r, c, max);
	if (n > 0)
		r->n_out += (unsigned)n;
	return n;
}

void vh_ring_unpop(struct vh_ring *r, struct vh_chain **c, unsigned n)
{
	r->format->unpop(r, c, n);
	r->n_out -= n;
}

unsigned vh_ring_available(struct vh_ring *r, unsigned want)
{
	return r->why ? 0 : r->format->available(r, want);
}

void vh_ring_push(struct vh_ring *r, struct vh_chain *c, uint32_t len)
{
	if (len > c->in_len)
		len = c->in_len;
	if (r->log)
		vh_chain_log(c, r->log, len);
	if (r->inflight)
		vh_inflight_stage(r->inflight, c->head);
	r->format->push(r, c, len);
	vh_chain_free(r, c);
	r->n_out--;
}

bool vh_ring_publish(struct vh_ring *r)
{
	if (r->used == r->used_published)
		return false;
	r->format->publish(r);
	if (r->inflight)
		vh_inflight_end(r->inflight, r->used_published);
	return true;
}

bool vh_ring_call_wanted(struct vh_ring *r)
{
	return r->format->call_wanted(r);
}

bool vh_ring_arm(struct vh_ring *r)
{
	r->armed = !r->format->arm(r);
	return !r->armed;
}

void vh_ring_disarm(struct vh_ring *r)
{
	if (r->armed)
		r->format->disarm(r);
	r->armed = false;
}
