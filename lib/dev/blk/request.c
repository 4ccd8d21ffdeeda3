/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of a disk: "Block Device: Device Operation".  A chain is a header of 16
 * readable bytes, data of one direction or the other, and one writable byte of status at
 * the end, in any split over descriptors.
 *
 * Everything is read out of the chain once and only then looked at.  What is wrong with a
 * request is told in its status; only a chain with no room for header or status breaks
 * the device.  Data goes between the guest's memory and the store without a copy.
 *
 * Ranges (DISCARD and its kin) are done one after the other, each a request to the store.
 *
 * Thread: the queue's reactor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "dev/blk/private.h"
#include "spec/vhost_user.h"

struct blk_request {
	struct vh_store_io io;
	struct blk_lane *lane;
	struct vh_chain *chain;
	size_t writable; /* bytes of the chain's writable part */
	union {
		struct {
			unsigned n, next; /* ranges, and the next one to do */
			struct vh_blk_range range[BLK_RANGES];
		};
		struct blk_request *next_free;
	};
};

/* ---- Reuse ---- */

static struct blk_request *request_take(struct blk_lane *l)
{
	struct blk_request *r = l->free;

	if (!r)
		return malloc(sizeof(*r));
	l->free = r->next_free;
	return r;
}

static void request_put(struct blk_request *r)
{
	r->next_free = r->lane->free;
	r->lane->free = r;
}

void vh_blk_requests_free(struct blk_lane *l)
{
	while (l->free) {
		struct blk_request *r = l->free;

		l->free = r->next_free;
		free(r);
	}
}

/* ---- The end ---- */

static void chain_finish(struct vh_chain *c, uint8_t status, size_t written)
{
	vh_chain_write_tail(c, &status);
	vh_chain_complete(c, written);
}

static uint8_t status_of(int err)
{
	switch (err) {
	case 0:
		return VIRTIO_BLK_S_OK;
	case -EOPNOTSUPP:
		return VIRTIO_BLK_S_UNSUPP;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

static void request_finish(struct blk_request *r, int err)
{
	struct vh_chain *c = r->chain;
	const size_t written = r->writable;

	vh_blk_lane_count(r->lane, vh_queue_index(vh_chain_queue(c)), -1);
	request_put(r);
	chain_finish(c, status_of(err), written);
}

static void io_is_done(struct vh_store_io *io, int err)
{
	request_finish(vh_container_of(io, struct blk_request, io), err);
}

/* ---- To the store ---- */

static bool is_writethrough(const struct vh_queue *q, const struct blk *b)
{
	const uint64_t f = vh_queue_features(q);

	/* A driver that cannot flush has to find everything stable. */
	if (!(f & VH_BIT(VIRTIO_BLK_F_FLUSH)))
		return true;
	return f & VH_BIT(VIRTIO_BLK_F_CONFIG_WCE) && !vh_load_relaxed(&b->wce);
}

static unsigned flags_of(const struct blk_request *r)
{
	return is_writethrough(vh_chain_queue(r->chain), r->lane->blk) ? VH_STORE_FUA : 0;
}

static void submit(struct blk_request *r)
{
	/* What is done is shown to the driver before the store takes its time. */
	vh_reactor_defer_late(r->lane->reactor, &r->lane->start);
	vh_store_submit(r->lane->channel, &r->io);
}

/* Sectors to bytes; false if that is no whole number of blocks inside of the disk. */
static bool locate(const struct blk *b, uint64_t sector, uint64_t len, uint64_t *off)
{
	const uint32_t block = vh_store_info(b->store)->block_size;

	return vh_mul_u64(sector, BLK_SECTOR, off) && *off % block == 0 &&
	       len % block == 0 &&
	       vh_range_inside(*off, len, 0, vh_load_relaxed(&b->capacity));
}

static void transfer(struct blk_request *r, enum vh_store_op op, uint64_t sector)
{
	struct vh_store_io *io = &r->io;
	const bool writes = op == VH_STORE_WRITE;
	const struct blk *b = r->lane->blk;

	io->op = op;
	io->len = writes ? vh_chain_readable(r->chain) : vh_chain_writable(r->chain);
	if (!locate(b, sector, io->len, &io->off) ||
	    (writes && vh_store_info(b->store)->readonly)) {
		request_finish(r, -EIO);
		return;
	}
	if (!io->len) {
		request_finish(r, 0);
		return;
	}
	io->n_iov = writes ? vh_chain_iov_out(r->chain, &io->iov)
			   : vh_chain_iov_in(r->chain, &io->iov);
	io->flags = writes ? flags_of(r) : 0;
	io->done = io_is_done;
	submit(r);
}

static void flush(struct blk_request *r)
{
	r->io.op = VH_STORE_FLUSH;
	r->io.flags = r->io.n_iov = 0;
	r->io.iov = NULL;
	r->io.off = r->io.len = 0;
	r->io.done = io_is_done;
	submit(r);
}

/* ---- Ranges ---- */

static void range_is_done(struct vh_store_io *io, int err);

/* A store that is done at once calls back from submit: BLK_RANGES deep at the most. */
static void ranges_go_on(struct blk_request *r)
{
	const struct vh_blk_range *g = &r->range[r->next];
	unsigned flags = flags_of(r);

	if (r->next == r->n) {
		request_finish(r, 0);
		return;
	}
	if (r->io.op == VH_STORE_WRITE_ZEROES && g->flags & VH_BLK_RANGE_UNMAP)
		flags |= VH_STORE_UNMAP;
	r->next++;
	r->io.flags = flags;
	r->io.len = (uint64_t)g->num_sectors * BLK_SECTOR;
	r->io.off = g->sector * BLK_SECTOR;
	submit(r);
}

static void range_is_done(struct vh_store_io *io, int err)
{
	struct blk_request *r = vh_container_of(io, struct blk_request, io);

	if (err)
		request_finish(r, err);
	else
		ranges_go_on(r);
}

/* 0, or what is wrong with it: -EOPNOTSUPP or -EIO. */
static int range_fault(const struct blk *b, enum vh_store_op op,
		       const struct vh_blk_range *g)
{
	const uint32_t may = op == VH_STORE_WRITE_ZEROES ? VH_BLK_RANGE_UNMAP : 0;
	uint64_t off;

	if (g->flags & ~may)
		return -EOPNOTSUPP;
	if (g->num_sectors > BLK_MAX_SECTORS)
		return -EIO;
	return locate(b, g->sector, (uint64_t)g->num_sectors * BLK_SECTOR, &off) ? 0
										 : -EIO;
}

/* Empty ranges ask for nothing. */
static int read_ranges(struct blk_request *r)
{
	const size_t len = vh_chain_readable(r->chain);
	struct vh_blk_range g;

	r->n = r->next = 0;
	if (!len || len % sizeof(g) || len / sizeof(g) > BLK_RANGES)
		return -EIO;
	while (!vh_chain_read(r->chain, &g, sizeof(g))) {
		int err = range_fault(r->lane->blk, r->io.op, &g);

		if (err)
			return err;
		if (g.num_sectors)
			r->range[r->n++] = g;
	}
	return 0;
}

static void ranges(struct blk_request *r, enum vh_store_op op, unsigned feature)
{
	const bool offered = vh_queue_features(vh_chain_queue(r->chain)) &
			     VH_BIT(feature);
	int err;

	r->io.op = op;
	r->io.n_iov = 0;
	r->io.iov = NULL;
	r->io.done = range_is_done;
	err = offered ? read_ranges(r) : -EOPNOTSUPP;
	if (err)
		request_finish(r, err);
	else
		ranges_go_on(r);
}

/* ---- Questions ---- */

/* The identity is not terminated when it fills its place; behind a shorter one are
 * zeroes. */
static void get_id(struct blk_request *r)
{
	size_t room = vh_chain_writable(r->chain);

	if (room > VIRTIO_BLK_ID_BYTES)
		room = VIRTIO_BLK_ID_BYTES;
	vh_chain_write(r->chain, r->lane->blk->serial, room);
	request_finish(r, 0);
}

static void get_lifetime(struct blk_request *r)
{
	const struct vh_store_info *i = vh_store_info(r->lane->blk->store);
	const struct vh_blk_lifetime l = {.pre_eol_info = i->pre_eol,
					  .device_lifetime_est_typ_a = i->lifetime_a,
					  .device_lifetime_est_typ_b = i->lifetime_b};
	const uint64_t f = vh_queue_features(vh_chain_queue(r->chain));
	int err = -EOPNOTSUPP;

	if (f & VH_BIT(VIRTIO_BLK_F_LIFETIME))
		err = vh_chain_write(r->chain, &l, sizeof(l));
	request_finish(r, err);
}

/* ---- The beginning ---- */

static void request_run(struct blk_request *r, const struct virtio_blk_outhdr *h)
{
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
		transfer(r, VH_STORE_READ, h->sector);
		break;
	case VIRTIO_BLK_T_OUT:
		transfer(r, VH_STORE_WRITE, h->sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		flush(r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(r);
		break;
	case VIRTIO_BLK_T_GET_LIFETIME:
		get_lifetime(r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		ranges(r, VH_STORE_DISCARD, VIRTIO_BLK_F_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		ranges(r, VH_STORE_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES);
		break;
	case VIRTIO_BLK_T_SECURE_ERASE:
		ranges(r, VH_STORE_SECURE_ERASE, VIRTIO_BLK_F_SECURE_ERASE);
		break;
	default:
		request_finish(r, -EOPNOTSUPP);
	}
}

/* False: the chain broke the device. */
static bool request_begin(struct blk_lane *l, struct vh_chain *c)
{
	const size_t writable = vh_chain_writable(c);
	struct virtio_blk_outhdr h;
	struct blk_request *r;

	if (vh_chain_set_tail(c, 1) < 0) {
		vh_chain_reject(c, "a request without room for its status");
		return false;
	}
	if (vh_chain_read(c, &h, sizeof(h)) < 0) {
		vh_chain_reject(c, "a request that is shorter than its header");
		return false;
	}
	r = request_take(l);
	if (!r) {
		chain_finish(c, VIRTIO_BLK_S_IOERR, writable);
		return true;
	}
	r->lane = l;
	r->chain = c;
	r->writable = writable;
	vh_blk_lane_count(l, vh_queue_index(vh_chain_queue(c)), 1);
	request_run(r, &h);
	return true;
}

void vh_blk_process(struct vh_queue *q)
{
	struct blk_lane *l = vh_queue_priv(q);
	struct vh_chain *c;

	while ((c = vh_queue_next(q)))
		if (!request_begin(l, c))
			return;
}
