/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-rng: fills every writable buffer with random bytes.  The device to read first.
 */
#include "dev/rng/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/virtio_ids.h>
#include <sys/uio.h>
#include <unistd.h>

static int rng_open(struct vh_device *d)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	vh_device_set_priv(d, (void *)(intptr_t)fd);
	return 0;
}

static void rng_close(struct vh_device *d)
{
	close((int)(intptr_t)vh_device_priv(d));
}

static void rng_process(struct vh_queue *q)
{
	int fd = (int)(intptr_t)vh_device_priv(vh_queue_device(q));
	const struct iovec *iov;
	struct vh_chain *c;

	while ((c = vh_queue_next(q))) {
		unsigned n = vh_chain_iov_in(c, &iov);
		ssize_t got;

		if (vh_chain_readable(c) > 0) {
			vh_chain_reject(c, "rng takes only writable buffers");
			break;
		}
		got = readv(fd, iov,
			    (int)(n < IOV_MAX ? n : IOV_MAX)); /* fewer bytes are fine */
		vh_chain_complete(c, got > 0 ? (size_t)got : 0);
	}
}

const struct vh_device_ops vh_rng = {
	.size = sizeof(vh_rng),
	.name = "rng",
	.virtio_id = VIRTIO_ID_RNG,
	.queues = 1,
	.open = rng_open,
	.close = rng_close,
	.process = rng_process,
};
