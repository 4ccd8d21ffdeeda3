/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * register=on: the guest's memory as registered buffers of a ring: its pages are pinned
 * once instead of for each request.  On the reactor's thread, which waits while the
 * kernel brings in the pages; that happens when the guest's memory changes.
 *
 * It has to be asked for.  A registered buffer goes on meaning the pages that were there
 * when it was registered, and makes all of them resident:
 *   - memory that the guest gives away and gets back (a balloon, free page reporting) has
 *     other pages then, so reads would end in the old ones, and nobody would notice;
 *   - memory that the guest never used is taken from the host all the same.
 * For the first reason all is registered anew each time, also what seems to be the same.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/log.h"
#include "store/uring.h"

#define PIECE_MAX (1ull << 30)

void vh_uring_memory_init(struct vh_uring *u)
{
	u->has_table = u->file->register_memory &&
		       !io_uring_register_buffers_sparse(&u->ring, VH_URING_PIECES);
}

/* 0 or -errno.  @len 0: nothing there. */
static int set_slot(struct vh_uring *u, unsigned i, void *at, size_t len)
{
	const struct iovec v = {.iov_base = len ? at : NULL, .iov_len = len};
	const __u64 tag = 0;
	int n = io_uring_register_buffers_update_tag(&u->ring, i, &v, &tag, 1);

	if (n < 0)
		return n;
	u->piece[i] = (struct vh_uring_piece){.at = (uintptr_t)v.iov_base, .len = len};
	return 0;
}

static void complain(struct vh_uring *u, int err)
{
	uint64_t n_kept;

	if (!vh_complaint_is_due_now(&u->file->memlock, &n_kept))
		return;
	vh_log(&u->file->store, VH_LOG_INFO,
	       "the guest's memory is not registered with io_uring: %s; that works, %s",
	       vh_strerror(err),
	       err == -ENOMEM ? "but is faster with a higher limit of locked memory "
				"(ulimit -l, LimitMEMLOCK=)"
			      : "a little slower");
}

static void forget_all(struct vh_uring *u)
{
	for (unsigned i = 0; i < u->n_pieces; i++)
		if (u->piece[i].len)
			set_slot(u, i, NULL, 0);
	u->n_pieces = u->last_hit = 0;
}

static int add_region(struct vh_uring *u, const struct iovec *region)
{
	char *at = region->iov_base;
	size_t left = region->iov_len;
	int err = 0;

	while (left && !err) {
		const size_t len = left < PIECE_MAX ? left : PIECE_MAX;

		if (u->n_pieces == VH_URING_PIECES)
			return -ENOSPC;
		err = set_slot(u, u->n_pieces, at, len);
		if (!err)
			u->n_pieces++;
		at += len;
		left -= len;
	}
	return err;
}

void vh_uring_memory_set(struct vh_uring *u, const struct iovec *region, unsigned n)
{
	int err = 0;

	if (!u->has_table)
		return;
	forget_all(u);
	for (unsigned i = 0; i < n; i++) {
		int e = add_region(u, &region[i]);

		err = err ? err : e;
	}
	if (err)
		complain(u, err);
}

static bool holds(const struct vh_uring_piece *p, uintptr_t at, size_t len)
{
	return vh_range_inside(at, len, p->at, p->len);
}

int vh_uring_memory_find(struct vh_uring *u, const void *at, size_t len)
{
	const uintptr_t a = (uintptr_t)at;

	if (u->last_hit < u->n_pieces && holds(&u->piece[u->last_hit], a, len))
		return (int)u->last_hit;
	for (unsigned i = 0; i < u->n_pieces; i++)
		if (holds(&u->piece[i], a, len)) {
			u->last_hit = i;
			return (int)i;
		}
	return -1;
}
