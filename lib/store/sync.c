/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of requests as system calls that are waited for.  Any thread that may wait. */
#include <errno.h>
#include <fcntl.h>
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
