/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request to a file as a row of system calls.  It knows what comes next and what a
 * result means; an engine makes the calls.
 *
 * Theory of operation: io->pending is the phase, io->progress the bytes done in it,
 * io->own what had to be allocated.  That is rare: a request whose memory O_DIRECT does
 * not take goes through a buffer piece by piece, and one of many pieces that was cut
 * short needs a list of the pieces that are left.
 *
 * What a file system cannot do (punch holes, zero a range) is tried once, then
 * remembered: zeroes are written instead, and a discard, which is a hint, is dropped.
 * The same with memory that the kernel cannot pin, as that of another guest in a BAR of
 * this one: we can reach it, so all requests go through a buffer from then on.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/log.h"
#include "store/file.h"
#include "store/iov.h"
#include "store/words.h"

#define STEP_MAX   (1ull << 30) /* below what one call may do */
#define BOUNCE_MAX (1ull << 20)
#define ZEROES_MAX (1ull << 20)

enum phase {
	PHASE_RW,
	PHASE_PUNCH,
	PHASE_ZERO_RANGE,
	PHASE_WRITE_ZEROES,
	PHASE_SYNC,
};

struct scratch {
	char *bounce; /* of bounce_len bytes; NULL: the request's own memory */
	size_t bounce_len;
	struct iovec *rest;
};

/* Never written to; not const, so that it takes no room in the library's file. */
static char zeroes[ZEROES_MAX] __attribute__((aligned(4096)));

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- Trouble ---- */

static const struct trouble {
	int err;
	const char *advice;
} troubles[] = {
	[VH_TROUBLE_FULL] = {-ENOSPC, "make room on its file system"},
	[VH_TROUBLE_SHORT] = {-ENODATA, "somebody cut it off: give it back its size "
					"(truncate -s) and look for what is lost"},
	[VH_TROUBLE_IO] = {-EIO, "dmesg may say more: the medium may be failing"},
	[VH_TROUBLE_OTHER] = {0, "the guest sees an error"},
};

static_assert(sizeof(troubles) / sizeof(troubles[0]) == VH_TROUBLES, "a row for each");

static void complain(struct vh_file *f, const struct vh_store_io *io, int err)
{
	char more[64] = "";
	unsigned i = 0;
	uint64_t n_kept;

	while (i < VH_TROUBLE_OTHER && troubles[i].err != err)
		i++;
	if (!vh_complaint_is_due_now(&f->complaint[i], &n_kept))
		return;
	if (n_kept)
		snprintf(more, sizeof(more), " (%llu more since the last such line)",
			 (unsigned long long)n_kept);
	vh_log(&f->store, VH_LOG_ERROR, "%s: %s of %llu bytes at %llu: %s; %s%s", f->path,
	       vh_store_op_name(io->op), (unsigned long long)io->len,
	       (unsigned long long)io->off,
	       err == -ENODATA ? "The file is shorter than it was" : vh_strerror(err),
	       troubles[i].advice, more);
}

static void free_scratch(struct vh_store_io *io)
{
	struct scratch *own = io->own;

	if (!own)
		return;
	free(own->bounce);
	free(own->rest);
	free(own);
	io->own = NULL;
}

void vh_step_end(struct vh_file *f, struct vh_store_io *io, int err)
{
	free_scratch(io);
	if (err && err != -ECANCELED)
		complain(f, io, err);
	io->err = err == -ENODATA ? -EIO : err;
}

static bool end(struct vh_file *f, struct vh_store_io *io, int err)
{
	vh_step_end(f, io, err);
	return false;
}

/* ---- The first phase ---- */

static bool is_aligned(const struct vh_file *f, const struct vh_store_io *io)
{
	for (unsigned i = 0; i < io->n_iov; i++) {
		const struct iovec *v = &io->iov[i];

		if (v->iov_len &&
		    ((uintptr_t)v->iov_base % f->mem_align || v->iov_len % f->off_align))
			return false;
	}
	return true;
}

static bool get_scratch(struct vh_store_io *io)
{
	if (!io->own)
		io->own = calloc(1, sizeof(struct scratch));
	return io->own;
}

static bool get_bounce(const struct vh_file *f, struct vh_store_io *io)
{
	const size_t len = min(io->len, BOUNCE_MAX);
	struct scratch *own;
	void *p;

	if (!get_scratch(io) || posix_memalign(&p, f->mem_align, len))
		return false;
	own = io->own;
	own->bounce = p;
	own->bounce_len = len;
	return true;
}

static bool can(struct vh_file *f, enum vh_file_cannot what)
{
	return !(vh_load_relaxed(&f->cannot) & what);
}

static enum phase first_of_zeroes(struct vh_file *f, const struct vh_store_io *io)
{
	if (io->flags & VH_STORE_UNMAP && can(f, VH_CANNOT_PUNCH))
		return PHASE_PUNCH;
	return can(f, VH_CANNOT_ZERO_RANGE) ? PHASE_ZERO_RANGE : PHASE_WRITE_ZEROES;
}

bool vh_step_begin(struct vh_file *f, struct vh_store_io *io)
{
	io->progress = 0;
	io->err = 0;
	io->own = NULL;
	if (!io->len && io->op != VH_STORE_FLUSH)
		return false;
	switch (io->op) {
	case VH_STORE_READ:
	case VH_STORE_WRITE:
		io->pending = PHASE_RW;
		if (f->direct && !(can(f, VH_CANNOT_PIN) && is_aligned(f, io)) &&
		    !get_bounce(f, io))
			return end(f, io, -ENOMEM);
		return true;
	case VH_STORE_FLUSH:
		io->pending = PHASE_SYNC;
		return true;
	case VH_STORE_DISCARD:
		io->pending = PHASE_PUNCH;
		return can(f, VH_CANNOT_PUNCH);
	case VH_STORE_WRITE_ZEROES:
		io->pending = first_of_zeroes(f, io);
		return true;
	case VH_STORE_SECURE_ERASE:
	case VH_STORE_OPS:
		break;
	}
	io->err = -EOPNOTSUPP;
	return false;
}

/* ---- What to call now ---- */

/* The request's memory as one piece, if it is one. */
static bool is_one_piece(const struct vh_store_io *io, struct iovec *one)
{
	*one = io->iov[0];
	for (unsigned i = 1; i < io->n_iov; i++) {
		if ((char *)one->iov_base + one->iov_len != io->iov[i].iov_base)
			return false;
		one->iov_len += io->iov[i].iov_len;
	}
	return true;
}

static void use_one(struct vh_step *step, void *base, uint64_t len)
{
	step->one = (struct iovec){.iov_base = base, .iov_len = len};
	step->iov = &step->one;
	step->n_iov = 1;
	step->len = len;
}

static void use_bounce(struct vh_store_io *io, struct vh_step *step)
{
	struct scratch *own = io->own;

	use_one(step, own->bounce, min(own->bounce_len, io->len - io->progress));
	if (io->op == VH_STORE_WRITE)
		vh_iov_to_buf(io->iov, io->n_iov, io->progress, own->bounce, step->len);
}

/* Many pieces: all of them, or those that are left. */
static bool use_pieces(struct vh_store_io *io, struct vh_step *step)
{
	struct scratch *own;

	step->len = io->len - io->progress;
	step->iov = io->iov;
	step->n_iov = io->n_iov;
	if (io->progress) {
		if (!get_scratch(io))
			return false;
		own = io->own;
		if (!own->rest)
			own->rest = calloc(io->n_iov, sizeof(*own->rest));
		if (!own->rest)
			return false;
		step->n_iov = vh_iov_after(io->iov, io->n_iov, io->progress, own->rest);
		step->iov = own->rest;
	}
	step->n_iov = (unsigned)min(step->n_iov, IOV_MAX);
	if (step->n_iov == 1)
		use_one(step, step->iov->iov_base, min(step->iov->iov_len, STEP_MAX));
	return true;
}

static bool get_rw(struct vh_file *f, struct vh_store_io *io, struct vh_step *step)
{
	struct scratch *own = io->own;
	struct iovec one;

	step->kind = io->op == VH_STORE_READ ? VH_STEP_READ : VH_STEP_WRITE;
	if (io->op == VH_STORE_WRITE && io->flags & VH_STORE_FUA)
		step->mode = RWF_DSYNC;
	if (own && own->bounce)
		use_bounce(io, step);
	else if (is_one_piece(io, &one))
		use_one(step, (char *)one.iov_base + io->progress,
			min(one.iov_len - io->progress, STEP_MAX));
	else if (!use_pieces(io, step))
		return end(f, io, -ENOMEM);
	return true;
}

bool vh_step_get(struct vh_file *f, struct vh_store_io *io, struct vh_step *step)
{
	*step = (struct vh_step){.off = io->off + io->progress, .len = io->len};
	switch ((enum phase)io->pending) {
	case PHASE_RW:
		return get_rw(f, io, step);
	case PHASE_PUNCH:
		step->kind = VH_STEP_FALLOCATE;
		step->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		return true;
	case PHASE_ZERO_RANGE:
		step->kind = VH_STEP_FALLOCATE;
		step->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		return true;
	case PHASE_WRITE_ZEROES:
		step->kind = VH_STEP_WRITE;
		use_one(step, zeroes, min(io->len - io->progress, ZEROES_MAX));
		return true;
	case PHASE_SYNC:
		step->kind = VH_STEP_SYNC;
		return true;
	}
	return end(f, io, -EINVAL);
}

/* ---- What it returned ---- */

/* A phase before the sync is over.  Writes have RWF_DSYNC for that. */
static bool sync_or_end(struct vh_file *f, struct vh_store_io *io)
{
	if (!(io->flags & VH_STORE_FUA) || io->pending == PHASE_RW)
		return end(f, io, 0);
	io->pending = PHASE_SYNC;
	return true;
}

/* O_DIRECT did not get at the request's memory: the same again, through a buffer. */
static bool go_round(struct vh_file *f, struct vh_store_io *io)
{
	if (can(f, VH_CANNOT_PIN))
		vh_log(&f->store, VH_LOG_INFO,
		       "%s: the kernel cannot pin the guest's memory: data are copied "
		       "once more",
		       f->path);
	vh_fetch_or_release(&f->cannot, VH_CANNOT_PIN);
	return get_bounce(f, io) || end(f, io, -ENOMEM);
}

static bool took_bytes(struct vh_file *f, struct vh_store_io *io, int64_t res)
{
	const uint64_t before = io->progress;
	struct scratch *own = io->own;

	if (res == -EFAULT && f->direct && io->pending == PHASE_RW &&
	    !(own && own->bounce))
		return go_round(f, io);
	if (res < 0)
		return end(f, io, (int)res);
	if (own && own->bounce && io->op == VH_STORE_READ)
		vh_iov_from_buf(io->iov, io->n_iov, io->progress, own->bounce,
				(size_t)res);
	io->progress += (uint64_t)res;
	if (io->progress >= io->len)
		return sync_or_end(f, io);
	/* O_DIRECT goes on where a block begins, so part of one is done again. */
	if (f->direct)
		io->progress -= io->progress % f->off_align;
	return io->progress > before || end(f, io, -ENODATA);
}

static bool is_unsupported(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENODEV;
}

static bool took_fallocate(struct vh_file *f, struct vh_store_io *io, int64_t res)
{
	if (!res)
		return sync_or_end(f, io);
	if (!is_unsupported(res))
		return end(f, io, (int)res);
	vh_fetch_or_release(&f->cannot, io->pending == PHASE_PUNCH
						? VH_CANNOT_PUNCH
						: VH_CANNOT_ZERO_RANGE);
	if (io->op == VH_STORE_DISCARD)
		return end(f, io, 0);
	io->pending = first_of_zeroes(f, io);
	return true;
}

bool vh_step_took(struct vh_file *f, struct vh_store_io *io, int64_t res)
{
	if (res == -EINTR || res == -EAGAIN)
		return true; /* the same again */
	switch ((enum phase)io->pending) {
	case PHASE_RW:
	case PHASE_WRITE_ZEROES:
		return took_bytes(f, io, res);
	case PHASE_PUNCH:
	case PHASE_ZERO_RANGE:
		return took_fallocate(f, io, res);
	case PHASE_SYNC:
		break;
	}
	return end(f, io, (int)res);
}
