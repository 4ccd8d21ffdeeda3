/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device behind a generic vhost-user device, which has neither doorbells nor vectors
 * of vrings: each vring has a queue, on which nothing is ever put.  To notify it is to
 * call the vring, and it interrupts when the vring is kicked.
 */
#include <errno.h>
#include <string.h>

#include "conn/vvu.h"

/* The smallest ring that there is: descriptors, available, used. */
#define RING_SIZE  1u
#define RING_AVAIL 16u
#define RING_USED  32u
#define RING_BYTES 64u

bool vh_vvu_is_shm(const struct vh_vvu *v)
{
	return !vh_virtio_drv_place(&v->drv, VH_VVU_CAP_DOORBELL, -1) &&
	       !vh_virtio_drv_place(&v->drv, VH_VVU_CAP_NOTIFICATION, -1) &&
	       vh_virtio_drv_place(&v->drv, VH_VVU_CAP_MEMORY, VH_VVU_SHM_MEMORY);
}

int vh_vvu_shm_start(struct vh_vvu *v)
{
	const size_t len = (size_t)v->vectors.n_vrings * RING_BYTES;

	if (v->rings.va)
		v->host->bus->dma_free(v->host, &v->rings);
	return v->host->bus->dma_alloc(v->host, len, &v->rings);
}

int vh_vvu_shm_place(struct vh_vvu *v, unsigned vring, uint16_t vector)
{
	const uint64_t at = v->rings.iova + (uint64_t)vring * RING_BYTES;
	uint16_t size = RING_SIZE;
	int err;

	/* A queue that is set up keeps its vector, and so none is tried. */
	if (vector >= VH_VECTOR_KICK)
		return -EBUSY;
	err = vh_virtio_drv_queue_size(&v->drv, VH_VVU_SHM_QUEUE(vring), &size);
	return err ? err
		   : vh_virtio_drv_enable(&v->drv, VH_VVU_SHM_QUEUE(vring), size, at,
					  at + RING_AVAIL, at + RING_USED, vector);
}

int vh_vvu_shm_call(struct vh_vvu *v, unsigned vring, struct vh_signal **s)
{
	const unsigned q = VH_VVU_SHM_QUEUE(vring);
	uint64_t offset;
	int err = vh_virtio_drv_notify_offset(&v->drv, q, &offset);

	return err ? err
		   : v->host->bus->signal(v->host, v->drv.notify.bar, offset, 2, q, s);
}
