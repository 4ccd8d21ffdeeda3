/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of a driver of a modern virtio-pci device.  The device is not trusted: what
 * it says of its registers is checked in virtio_cap.c, and what it answers can only make
 * a step fail.  Control thread.
 */
#include "pci/virtio_drv.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <time.h>

#include "base/log.h"

/* How long a device may take for its reset. */
#define RESET_TRIES   200u
#define RESET_WAIT_NS (5 * 1000 * 1000L)

/* ---- Registers ---- */

static int place_read(struct vh_virtio_drv *d, const struct vh_virtio_place *p,
		      uint64_t offset, unsigned width, uint64_t *value)
{
	if (!p->present || offset > p->length || width > p->length - offset)
		return -EINVAL;
	return d->host->bus->read(d->host, p->bar, p->offset + offset, width, value);
}

static int place_write(struct vh_virtio_drv *d, const struct vh_virtio_place *p,
		       uint64_t offset, unsigned width, uint64_t value)
{
	if (!p->present || offset > p->length || width > p->length - offset)
		return -EINVAL;
	return d->host->bus->write(d->host, p->bar, p->offset + offset, width, value);
}

static int common_read(struct vh_virtio_drv *d, unsigned offset, unsigned width,
		       uint64_t *value)
{
	return place_read(d, &d->common, offset, width, value);
}

static int common_write(struct vh_virtio_drv *d, unsigned offset, unsigned width,
			uint64_t value)
{
	return place_write(d, &d->common, offset, width, value);
}

static int failed(const struct vh_virtio_drv *d, const char *doing, int err)
{
	vh_log(d->host, VH_LOG_ERROR, "cannot %s: %s", doing,
	       err == -ENODEV ? "the device is gone" : vh_strerror(err));
	return err;
}

/* ---- Status ---- */

int vh_virtio_drv_status(struct vh_virtio_drv *d)
{
	uint64_t status = 0;
	int err = common_read(d, VIRTIO_PCI_COMMON_STATUS, 1, &status);

	if (err)
		return err;
	return status == 0xff ? -ENODEV : (int)status;
}

static int add_status(struct vh_virtio_drv *d, unsigned bits)
{
	int status = vh_virtio_drv_status(d);

	if (status < 0)
		return status;
	return common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, (unsigned)status | bits);
}

int vh_virtio_drv_reset(struct vh_virtio_drv *d)
{
	const struct timespec wait = {.tv_nsec = RESET_WAIT_NS};
	int status, err = common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, 0);

	if (err)
		return err;
	for (unsigned i = 0; i < RESET_TRIES; i++) {
		status = vh_virtio_drv_status(d);
		if (status <= 0)
			return status;
		nanosleep(&wait, NULL);
	}
	return -ETIMEDOUT;
}

int vh_virtio_drv_ready(struct vh_virtio_drv *d)
{
	int err = add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);

	return err ? failed(d, "start the device", err) : 0;
}

/* ---- Features ---- */

static int read_features(struct vh_virtio_drv *d, uint64_t *features)
{
	*features = 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t half = 0;
		int err = common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, i);

		if (!err)
			err = common_read(d, VIRTIO_PCI_COMMON_DF, 4, &half);
		if (err)
			return err;
		*features |= (half & UINT32_MAX) << 32 * i;
	}
	return 0;
}

static int write_features(struct vh_virtio_drv *d, uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		int err = common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, i);

		if (!err)
			err = common_write(d, VIRTIO_PCI_COMMON_GF, 4,
					   (features >> 32 * i) & UINT32_MAX);
		if (err)
			return err;
	}
	return 0;
}

/* The device has the last word. */
static int agree(struct vh_virtio_drv *d)
{
	int err = add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	int status = err ? err : vh_virtio_drv_status(d);

	if (status < 0)
		return status;
	return status & VIRTIO_CONFIG_S_FEATURES_OK ? 0 : -EPROTO;
}

int vh_virtio_drv_begin(struct vh_virtio_drv *d, uint64_t wanted, uint64_t required)
{
	uint64_t offered = 0;
	int err = vh_virtio_drv_reset(d);

	if (err)
		return failed(d, "reset the device", err);
	err = add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (!err)
		err = add_status(d, VIRTIO_CONFIG_S_DRIVER);
	if (!err)
		err = read_features(d, &offered);
	if (err)
		return failed(d, "read the device's features", err);
	if (required & ~offered) {
		vh_log(d->host, VH_LOG_ERROR,
		       "the device lacks features: it offers %#" PRIx64 ", and %#" PRIx64
		       " is needed",
		       offered, required);
		return -ENOTSUP;
	}
	d->features = offered & (wanted | required);
	err = write_features(d, d->features);
	if (!err)
		err = agree(d);
	return err ? failed(d, "agree on features with the device", err) : 0;
}

/* ---- Queues ---- */

static int select_queue(struct vh_virtio_drv *d, unsigned q)
{
	return common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
}

int vh_virtio_drv_queue_size(struct vh_virtio_drv *d, unsigned q, uint16_t *size)
{
	uint64_t max = 0;
	int err = select_queue(d, q);

	if (!err)
		err = common_read(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, &max);
	if (!err && (max == 0 || max > 32768))
		err = -ENOENT;
	if (err) {
		vh_log(d->host, VH_LOG_ERROR, "the device has no queue %u: %s", q,
		       vh_strerror(err));
		return err;
	}
	if (*size > max)
		*size = (uint16_t)max;
	/* A split ring has a power of two. */
	while (*size & (*size - 1))
		*size &= (uint16_t)(*size - 1);
	return 0;
}

/* Two halves: a device may take no 64-bit access. */
static int write_address(struct vh_virtio_drv *d, unsigned offset, uint64_t address)
{
	int err = common_write(d, offset, 4, address & UINT32_MAX);

	return err ? err : common_write(d, offset + 4, 4, address >> 32);
}

/* A vector that the device cannot use reads back as none. */
static int write_vector(struct vh_virtio_drv *d, unsigned offset, uint16_t vector)
{
	uint64_t taken = 0;
	int err = common_write(d, offset, 2, vector);

	if (!err)
		err = common_read(d, offset, 2, &taken);
	if (!err && taken != vector)
		err = -EBUSY;
	return err;
}

int vh_virtio_drv_config_vector(struct vh_virtio_drv *d, uint16_t vector)
{
	int err = write_vector(d, VIRTIO_PCI_COMMON_MSIX, vector);

	return err ? failed(d, "have the device interrupt for its configuration", err)
		   : 0;
}

int vh_virtio_drv_enable(struct vh_virtio_drv *d, unsigned q, uint16_t size,
			 uint64_t desc, uint64_t avail, uint64_t used, uint16_t vector)
{
	int err = select_queue(d, q);

	if (!err)
		err = common_write(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	if (!err)
		err = write_vector(d, VIRTIO_PCI_COMMON_Q_MSIX, vector);
	if (!err)
		err = write_address(d, VIRTIO_PCI_COMMON_Q_DESCLO, desc);
	if (!err)
		err = write_address(d, VIRTIO_PCI_COMMON_Q_AVAILLO, avail);
	if (!err)
		err = write_address(d, VIRTIO_PCI_COMMON_Q_USEDLO, used);
	if (!err)
		err = common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	return err ? failed(d, "enable a queue", err) : 0;
}

int vh_virtio_drv_notify(struct vh_virtio_drv *d, unsigned q)
{
	uint64_t off = 0;
	int err = select_queue(d, q);

	if (!err)
		err = common_read(d, VIRTIO_PCI_COMMON_Q_NOFF, 2, &off);
	if (err)
		return err;
	return place_write(d, &d->notify, off * d->notify.more, 2, q);
}

int vh_virtio_drv_notify_offset(struct vh_virtio_drv *d, unsigned q, uint64_t *offset)
{
	uint64_t off = 0;
	int err = select_queue(d, q);

	if (!err)
		err = common_read(d, VIRTIO_PCI_COMMON_Q_NOFF, 2, &off);
	*offset = d->notify.offset + off * d->notify.more;
	return !err && (d->notify.length < 2 ||
			off * d->notify.more > d->notify.length - 2)
		       ? -EINVAL
		       : err;
}

/* ---- The rest ---- */

int vh_virtio_drv_isr(struct vh_virtio_drv *d, uint8_t *isr)
{
	uint64_t value = 0;
	int err = place_read(d, &d->isr, 0, 1, &value);

	*isr = (uint8_t)value;
	return err;
}

int vh_virtio_drv_read_config(struct vh_virtio_drv *d, unsigned offset, unsigned width,
			      uint64_t *value)
{
	return place_read(d, &d->config, offset, width, value);
}

int vh_virtio_drv_write_config(struct vh_virtio_drv *d, unsigned offset, unsigned width,
			       uint64_t value)
{
	return place_write(d, &d->config, offset, width, value);
}
