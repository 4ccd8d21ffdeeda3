/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps of requests through io_uring: one ring a channel, on its reactor's thread.
 *
 * Theory of operation: submit only writes SQEs into shared memory; start hands them over
 * in one system call, once a turn.  The ring is a poller of the reactor: completions are
 * read from shared memory without a system call while requests are expected to end soon,
 * and when they take longer the reactor sleeps on the ring's fd.
 *
 * COOP_TASKRUN saves the kernel the interrupt with which it would make us post our own
 * completions: it does that whenever we are in the kernel anyway, and TASKRUN_FLAG tells
 * .work when we should go there.  (SINGLE_ISSUER and DEFER_TASKRUN would bind the ring to
 * the thread that makes it, which may not be the one that runs the reactor later.)
 *
 * There are never more SQEs out than the completion queue holds; requests beyond that
 * wait in a list.
 */
#include "store/uring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define ENTRIES	 256
#define REAP_MAX 64

static const struct vh_poller_ops poller_ops;

static struct vh_uring *uring_of(struct vh_store_channel *ch)
{
	return vh_container_of(ch, struct vh_uring, ch);
}

/* ---- Birth and death ---- */

/* What a kernel does not know is left out: 0 or -errno. */
static int make_ring(struct io_uring *ring, unsigned entries)
{
	static const unsigned flags[] = {
		IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_CQSIZE,
	};
	int err = -EINVAL;

	for (size_t i = 0; err == -EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct io_uring_params p = {.flags = flags[i], .cq_entries = 4 * entries};

		err = io_uring_queue_init_params(entries, ring, &p);
	}
	return err;
}

int vh_uring_try(void)
{
	struct io_uring ring;
	int err = make_ring(&ring, 1);

	if (!err)
		io_uring_queue_exit(&ring);
	return err;
}

static void uring_channel_close(struct vh_store_channel *ch)
{
	struct vh_uring *u = uring_of(ch);

	vh_poller_remove(ch->reactor, &u->poller);
	vh_reactor_undefer(&u->late);
	/* A ring dies when the kernel finds the time; the file is let go of now. */
	if (u->has_file)
		io_uring_unregister_files(&u->ring);
	io_uring_queue_exit(&u->ring);
	free(u);
}

/* ---- From steps to SQEs ---- */

static void prepare_rw(struct vh_uring *u, struct io_uring_sqe *sqe, int fd,
		       const struct vh_step *step)
{
	const bool write = step->kind == VH_STEP_WRITE;
	const struct iovec *one = &step->one;
	int buffer;

	if (step->n_iov != 1) {
		io_uring_prep_rw(write ? IORING_OP_WRITEV : IORING_OP_READV, sqe, fd,
				 step->iov, step->n_iov, step->off);
	} else {
		buffer = vh_uring_memory_find(u, one->iov_base, one->iov_len);
		io_uring_prep_rw(write ? IORING_OP_WRITE : IORING_OP_READ, sqe, fd,
				 one->iov_base, (unsigned)one->iov_len, step->off);
		if (buffer >= 0) {
			sqe->opcode = write ? IORING_OP_WRITE_FIXED
					    : IORING_OP_READ_FIXED;
			sqe->buf_index = (uint16_t)buffer;
		}
	}
	sqe->rw_flags = step->mode;
}

static void prepare(struct vh_uring *u, struct io_uring_sqe *sqe,
		    const struct vh_step *step)
{
	const int fd = u->has_file ? 0 : u->file->fd;

	switch (step->kind) {
	case VH_STEP_READ:
	case VH_STEP_WRITE:
		prepare_rw(u, sqe, fd, step);
		break;
	case VH_STEP_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case VH_STEP_FALLOCATE:
		io_uring_prep_fallocate(sqe, fd, step->mode, (off_t)step->off,
					(off_t)step->len);
		break;
	}
	if (u->has_file)
		sqe->flags |= IOSQE_FIXED_FILE;
}

static struct io_uring_sqe *get_sqe(struct vh_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&u->ring);
	return io_uring_get_sqe(&u->ring);
}

static void end(struct vh_store_io *io)
{
	io->done(io, io->err);
}

/* False: no room. */
static bool launch(struct vh_uring *u, struct vh_store_io *io)
{
	struct io_uring_sqe *sqe = u->n_running < u->room ? get_sqe(u) : NULL;
	struct vh_step step;

	if (!sqe)
		return false;
	if (!vh_step_get(u->file, io, &step)) {
		/* It cannot be given back. */
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
		end(io);
		return true;
	}
	prepare(u, sqe, &step);
	io_uring_sqe_set_data(sqe, io);
	vh_list_append(&u->running, &io->link);
	u->n_running++;
	return true;
}

static void launch_or_wait(struct vh_uring *u, struct vh_store_io *io)
{
	if (!vh_list_is_empty(&u->waiting) || !launch(u, io))
		vh_list_append(&u->waiting, &io->link);
}

static void uring_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct vh_uring *u = uring_of(ch);

	if (vh_step_begin(u->file, io))
		launch_or_wait(u, io);
	else
		end(io);
}

/*
 * What the kernel does not take now (it is short of memory, or of room for completions)
 * stays in the ring, and is offered again at the next look.
 */
static void hand_over(struct vh_uring *u)
{
	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
}

static void hand_over_late(struct vh_deferred *d)
{
	hand_over(vh_container_of(d, struct vh_uring, late));
}

static void uring_start(struct vh_store_channel *ch)
{
	struct vh_uring *u = uring_of(ch);

	hand_over(u);
	if (u->n_running || io_uring_sq_ready(&u->ring))
		vh_poller_expect(ch->reactor, &u->poller);
}

/* ---- From CQEs back to steps ---- */

static void complete(struct vh_uring *u, struct vh_store_io *io, int res)
{
	const bool cancelled = io->err == -ECANCELED;

	vh_list_remove(&io->link);
	u->n_running--;
	if (!vh_step_took(u->file, io, res)) {
		end(io);
	} else if (cancelled) {
		/* Between two of its steps nobody touches anything. */
		vh_step_end(u->file, io, -ECANCELED);
		end(io);
	} else {
		launch_or_wait(u, io);
	}
}

static unsigned reap(struct vh_uring *u, unsigned budget)
{
	struct io_uring_cqe *cqe[REAP_MAX];
	struct vh_store_io *io[REAP_MAX];
	int res[REAP_MAX];
	unsigned n = io_uring_peek_batch_cqe(&u->ring, cqe,
					     budget < REAP_MAX ? budget : REAP_MAX);

	/* Copied first: what is done may submit, which may need the room. */
	for (unsigned i = 0; i < n; i++) {
		io[i] = io_uring_cqe_get_data(cqe[i]);
		res[i] = cqe[i]->res;
	}
	io_uring_cq_advance(&u->ring, n);
	for (unsigned i = 0; i < n; i++)
		if (io[i])
			complete(u, io[i], res[i]);
	return n;
}

static void launch_waiting(struct vh_uring *u)
{
	while (!vh_list_is_empty(&u->waiting)) {
		struct vh_store_io *io =
			vh_container_of(u->waiting.next, struct vh_store_io, link);

		vh_list_remove(&io->link);
		if (launch(u, io))
			continue;
		vh_list_append(u->waiting.next, &io->link);
		return;
	}
}

static unsigned uring_work(struct vh_poller *p, unsigned budget)
{
	struct vh_uring *u = vh_container_of(p, struct vh_uring, poller);
	unsigned n = reap(u, budget);

	launch_waiting(u);
	if (io_uring_sq_ready(&u->ring))
		vh_reactor_defer_late(u->ch.reactor, &u->late);
	return n;
}

/*
 * The fd says once that completions came: those that came before are looked for here.
 * What the kernel refused is offered again for as long as it is there.
 */
static bool uring_arm(struct vh_poller *p)
{
	struct vh_uring *u = vh_container_of(p, struct vh_uring, poller);
	struct io_uring_cqe *cqe;

	return io_uring_sq_ready(&u->ring) || !io_uring_peek_cqe(&u->ring, &cqe);
}

static void uring_disarm(struct vh_poller *p)
{
	(void)p; /* nobody spares us a kick */
}

static const struct vh_poller_ops poller_ops = {
	.work = uring_work,
	.arm = uring_arm,
	.disarm = uring_disarm,
};

/* ---- Giving up ---- */

static void cancel_waiting(struct vh_uring *u)
{
	struct vh_list batch;

	/* What is submitted meanwhile is not meant. */
	vh_list_append(&u->waiting, &batch);
	vh_list_remove(&u->waiting);
	while (!vh_list_is_empty(&batch)) {
		struct vh_store_io *io =
			vh_container_of(batch.next, struct vh_store_io, link);

		vh_list_remove(&io->link);
		vh_step_end(u->file, io, -ECANCELED);
		end(io);
	}
}

/* io->err marks those that are being cancelled; how they end decides their step. */
static void uring_cancel(struct vh_store_channel *ch)
{
	struct vh_uring *u = uring_of(ch);

	cancel_waiting(u);
	vh_list_for_each (l, &u->running) {
		struct vh_store_io *io = vh_container_of(l, struct vh_store_io, link);
		struct io_uring_sqe *sqe = io->err ? NULL : get_sqe(u);

		if (!sqe)
			continue;
		io->err = -ECANCELED;
		io_uring_prep_cancel(sqe, io, 0);
		io_uring_sqe_set_data(sqe, NULL);
	}
	uring_start(ch);
}

static void uring_memory(struct vh_store_channel *ch, const struct iovec *region,
			 unsigned n)
{
	vh_uring_memory_set(uring_of(ch), region, n);
}

/* A channel's own table: store.c does not put the store's in its place. */
static const struct vh_store_kind uring_kind = {
	.name = "file",
	.channel_close = uring_channel_close,
	.memory = uring_memory,
	.submit = uring_submit,
	.start = uring_start,
	.cancel = uring_cancel,
};

/* ---- Birth ---- */

/*
 * What the kernel cannot do without waiting it gives to workers of its own, which stay on
 * the CPUs of this thread.  On the one CPU of a pinned thread that polls they would only
 * run in its pauses, so they may go wherever else the process may.
 */
static void let_workers_go(struct vh_uring *u)
{
	cpu_set_t here, all;

	if (sched_getaffinity(0, sizeof(here), &here) || CPU_COUNT(&here) != 1 ||
	    sched_getaffinity(getpid(), sizeof(all), &all))
		return;
	CPU_OR(&all, &all, &here);
	CPU_XOR(&all, &all, &here);
	if (CPU_COUNT(&all))
		io_uring_register_iowq_aff(&u->ring, sizeof(all), &all);
}

static int open_ring(struct vh_uring *u, struct vh_reactor *r)
{
	int err = make_ring(&u->ring, ENTRIES);

	if (err)
		return err;
	/* Half of what the completion queue holds: a cancellation has one, too. */
	u->room = 2 * ENTRIES;
	u->has_file = !io_uring_register_files(&u->ring, &u->file->fd, 1);
	let_workers_go(u);
	vh_uring_memory_init(u);
	u->poller = (struct vh_poller){.ops = &poller_ops, .fd = u->ring.ring_fd};
	err = vh_poller_add(r, &u->poller);
	if (err)
		io_uring_queue_exit(&u->ring);
	return err;
}

int vh_uring_channel_open(struct vh_store *s, struct vh_reactor *r,
			  struct vh_store_channel *below, struct vh_store_channel **ch)
{
	struct vh_uring *u = calloc(1, sizeof(*u));
	int err;

	(void)below;
	if (!u)
		return -ENOMEM;
	u->file = vh_file_of(s);
	u->ch.kind = &uring_kind;
	u->ch.store = s;
	u->late.fn = hand_over_late;
	vh_list_init(&u->late.link);
	vh_list_init(&u->running);
	vh_list_init(&u->waiting);
	err = open_ring(u, r);
	if (err) {
		vh_log(s, VH_LOG_ERROR,
		       "a ring of io_uring: %s; raise the limits (ulimit -l, ulimit -n), "
		       "or say aio=threads",
		       vh_strerror(err));
		free(u);
		return err;
	}
	*ch = &u->ch;
	return 0;
}
