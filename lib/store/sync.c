/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps of requests as system calls that are waited for: what the threads of threads.c
 * do, and an engine that does it in submit, on the channel's reactor.
 *
 * That engine is for a file on tmpfs.  A call there is a copy, like those of memory.c,
 * and waits for nobody while there is no swapping.  io_uring has no way to try it without
 * waiting, so it wakes a thread of the kernel for every batch, which costs more than the
 * copy, and on the CPU of a reactor that polls has to wait for that one's time slice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/file.h"

int64_t vh_step_call(const struct vh_file *f, const struct vh_step *step)
{
	const int n = (int)step->n_iov;
	const off_t off = (off_t)step->off;
	int64_t res = -1;

	switch (step->kind) {
	case VH_STEP_READ:
		res = preadv2(f->fd, step->iov, n, off, 0);
		break;
	case VH_STEP_WRITE:
		res = pwritev2(f->fd, step->iov, n, off, step->mode);
		break;
	case VH_STEP_SYNC:
		res = fdatasync(f->fd);
		break;
	case VH_STEP_FALLOCATE:
		res = fallocate(f->fd, step->mode, off, (off_t)step->len);
		break;
	}
	return res < 0 ? -errno : res;
}

void vh_step_call_all(struct vh_file *f, struct vh_store_io *io)
{
	struct vh_step step;

	while (vh_step_get(f, io, &step))
		if (!vh_step_took(f, io, vh_step_call(f, &step)))
			break;
}

/* ---- The channel ---- */

static void sync_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct vh_file *f = vh_file_of(ch->store);

	if (vh_step_begin(f, io))
		vh_step_call_all(f, io);
	io->done(io, io->err);
}

static void sync_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

static const struct vh_store_kind sync_kind = {
	.name = "file",
	.channel_close = sync_channel_close,
	.submit = sync_submit,
};

int vh_sync_channel_open(struct vh_store *s, struct vh_reactor *r,
			 struct vh_store_channel *below, struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	if (!*ch)
		return -ENOMEM;
	(*ch)->kind = &sync_kind;
	return 0;
}
