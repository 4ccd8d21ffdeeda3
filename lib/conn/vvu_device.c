/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device: what it has to have, what is agreed on, and in which order it is told.
 * Vectors are placed before DRIVER_OK, since some devices look at them only then.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/vvu.h"

#define WANTED                                                                \
	(VH_BIT(VIRTIO_F_ACCESS_PLATFORM) | VH_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VH_BIT(VH_VVU_F_BACKEND_REQ) | VH_BIT(VH_VVU_F_NOTIFY) |             \
	 VH_BIT(VH_VVU_F_LONG_MSG))
#define REQUIRED VH_BIT(VIRTIO_F_VERSION_1)

/* More than any device says that it can serve. */
#define MAX_QUEUES 65536u

#define CONFIG(field) offsetof(struct vh_vvu_config, field)

/* ---- Its configuration ---- */

int vh_vvu_read_status(struct vh_vvu *v, uint32_t *status)
{
	uint64_t value = 0;
	int err = vh_virtio_drv_read_config(&v->drv, CONFIG(status), 4, &value);

	*status = (uint32_t)value;
	if (err)
		return err;
	/* Only a device that is there has a status of its own. */
	return value & ~(uint64_t)(VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP) &&
			       vh_virtio_drv_status(&v->drv) < 0
		       ? -ENODEV
		       : 0;
}

int vh_vvu_write_status(struct vh_vvu *v, uint32_t status)
{
	return vh_virtio_drv_write_config(&v->drv, CONFIG(status), 4, status);
}

bool vh_vvu_needs_reset(struct vh_vvu *v)
{
	const int status = vh_virtio_drv_status(&v->drv);

	return status > 0 && status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static int read_config(struct vh_vvu *v)
{
	uint64_t value = 0;
	int err = vh_virtio_drv_read_config(&v->drv, CONFIG(max_vhost_queues), 4, &value);

	if (!err && (!value || value > MAX_QUEUES))
		err = -EINVAL;
	v->n_bells = (unsigned)value;
	v->vectors.n_vrings = value > VH_VVU_MAX_VRINGS ? VH_VVU_MAX_VRINGS
							: (unsigned)value;
	for (unsigned i = 0; i < sizeof(v->uuid) && !err; i++) {
		err = vh_virtio_drv_read_config(&v->drv, CONFIG(uuid) + i, 1, &value);
		v->uuid[i] = (uint8_t)value;
	}
	if (err)
		vh_log(&v->c, VH_LOG_ERROR,
		       "its configuration is not that of a virtio-vhost-user device: %s",
		       vh_strerror(err));
	return err;
}

/* ---- From reset to DRIVER_OK ---- */

static uint64_t wanted(const struct vh_vvu *v)
{
	return WANTED | (v->log ? VH_BIT(VH_VVU_F_LOG) : 0) |
	       (v->inflight ? VH_BIT(VH_VVU_F_INFLIGHT) : 0) |
	       (v->bells ? VH_BIT(VH_VVU_F_DOORBELL_POLL) : 0);
}

static int open_queues(struct vh_vvu *v)
{
	uint16_t size[VH_VVU_QUEUES] = {VH_MSGQ_MAX_SLOTS, VH_MSGQ_MAX_SLOTS};
	int err = 0;

	for (unsigned i = 0; i < VH_VVU_QUEUES && !err; i++)
		err = vh_virtio_drv_queue_size(&v->drv, i, &size[i]);
	if (err)
		return err;
	return vh_msgq_open(&v->q, v->host, v->c.tag, size[VH_VVU_RXQ], size[VH_VVU_TXQ],
			    v->drv.features & VH_BIT(VIRTIO_RING_F_EVENT_IDX));
}

/* Buffers that are sent are taken back without an interrupt. */
static int enable_queues(struct vh_vvu *v)
{
	const uint16_t vector[VH_VVU_QUEUES] = {
		[VH_VVU_RXQ] = vh_vectors_of(&v->vectors, VH_VECTOR_RX),
		[VH_VVU_TXQ] = 0xffff,
	};
	int err = 0;

	for (unsigned i = 0; i < VH_VVU_QUEUES && !err; i++) {
		struct vh_msgq_ring r;

		vh_msgq_ring(&v->q, (enum vh_msgq_side)i, &r);
		err = vh_virtio_drv_enable(&v->drv, i, r.size, r.desc, r.avail, r.used,
					   vector[i]);
	}
	return err;
}

/* It says that it has two queues, or nothing of them after a reset. */
int vh_vvu_start(struct vh_vvu *v)
{
	int err = vh_virtio_drv_begin(&v->drv, wanted(v), REQUIRED);

	vh_msgq_close(&v->q);
	v->host->direct = v->shm && !vh_vvu_has(v, VIRTIO_F_ACCESS_PLATFORM);
	if (!err)
		err = read_config(v);
	if (!err && v->shm)
		err = vh_vvu_shm_start(v);
	if (!err)
		err = vh_virtio_drv_config_vector(&v->drv, VH_VECTOR_STATUS);
	if (!err)
		err = open_queues(v);
	if (!err)
		err = enable_queues(v);
	if (!err)
		err = vh_vectors_place(&v->vectors);
	if (!err)
		err = vh_virtio_drv_ready(&v->drv);
	if (err)
		return err;
	vh_msgq_fill(&v->q);
	vh_virtio_drv_notify(&v->drv, VH_VVU_RXQ);
	v->state = VH_VVU_OFF;
	v->broken = false;
	return 0;
}

/* ---- Finding it ---- */

#define MAX_BELLS VH_VVU_MAX_VRINGS

/* Counters in place of doorbells are behind them, where the BAR is longer than that. */
static void map_bells(struct vh_vvu *v)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_DOORBELL, -1);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t at = p->offset + VH_VVU_DOORBELL_COUNTER(0);
	const uint64_t end =
		p->offset + VH_VVU_DOORBELL_COUNTER(VH_VVU_N_DOORBELLS(MAX_BELLS));
	const uint64_t start = at & ~(page - 1);
	const uint64_t size = v->host->bus->bar_size(v->host, p->bar);
	const size_t len = (size_t)(((end + page - 1) & ~(page - 1)) - start);

	if (at % 4 || start > size || len > size - start)
		return;
	if (v->host->bus->map(v->host, p->bar, start, len, &v->bells_base) < 0)
		return;
	v->bells_len = len;
	v->bells = (uint8_t *)v->bells_base + (at - start);
}

static int open_vectors(struct vh_vvu *v)
{
	int err = vh_vectors_open(&v->vectors);

	v->vectors.place = vh_vvu_place_kick;
	v->vectors.arg = v;
	for (unsigned i = 0; i < VH_VECTOR_KICK && !err; i++)
		if (v->vectors.irq[i] >= 0)
			err = vh_waker_watch(&v->waker, v->vectors.irq[i]);
	return err;
}

int vh_vvu_find_device(struct vh_vvu *v)
{
	int err = vh_virtio_drv_init(&v->drv, v->host);

	if (err)
		return err;
	v->shm = vh_vvu_is_shm(v);
	if (!v->drv.config.present ||
	    v->drv.config.length < sizeof(struct vh_vvu_config) ||
	    !(vh_virtio_drv_place(&v->drv, VH_VVU_CAP_DOORBELL, -1) || v->shm)) {
		vh_log(&v->c, VH_LOG_ERROR,
		       "this virtio device is not of the kind virtio-vhost-user");
		return -ENODEV;
	}
	if (!v->shm)
		map_bells(v);
	err = vh_vvu_find_windows(v);
	if (!err)
		err = open_vectors(v);
	if (!err)
		err = vh_vvu_start(v);
	return err;
}
