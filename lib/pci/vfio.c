/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions that the kernel's vfio-pci gives to this process, which needs no privilege
 * once the file of the group is its user's.  Each has a container of its own: functions
 * share no memory, and one may go without the others.  Registers are read and written
 * through the device's file; only memory and doorbells are mapped.  Control thread.
 */
#include "pci/vfio.h"

#include <ctype.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "pci/vfio_private.h"

int vh_vfio_failed(const struct vh_vfio *v, const char *doing, int err)
{
	vh_log(&v->h, VH_LOG_ERROR, "%s: cannot %s: %s", v->address, doing,
	       vh_strerror(err));
	return err;
}

static bool vfio_has(const char *address)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)address[i])
				   : address[i] != form[i])
			return false;
	return address[sizeof(form) - 1] == '\0';
}

/* ---- Accesses ---- */

static int access_region(struct vh_vfio *v, unsigned index, uint64_t offset, void *buf,
			 size_t len, bool writes)
{
	const struct vh_vfio_region *r = &v->region[index];
	ssize_t n;

	if (!vh_range_inside(offset, len, 0, r->size))
		return -EINVAL;
	n = writes ? pwrite(v->device, buf, len, (off_t)(r->at + offset))
		   : pread(v->device, buf, len, (off_t)(r->at + offset));
	if (n == (ssize_t)len)
		return 0;
	return n < 0 && errno == EINVAL ? -EINVAL : -ENODEV;
}

static int vfio_config_read(struct vh_pci_host *h, unsigned offset, void *buf, size_t len)
{
	return access_region(vh_vfio_of(h), VFIO_PCI_CONFIG_REGION_INDEX, offset, buf,
			     len, false);
}

static int vfio_config_write(struct vh_pci_host *h, unsigned offset, const void *buf,
			     size_t len)
{
	return access_region(vh_vfio_of(h), VFIO_PCI_CONFIG_REGION_INDEX, offset,
			     (void *)buf, len, true);
}

static int vfio_read(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t *value)
{
	*value = 0; /* little-endian, as we are */
	if (bar > VFIO_PCI_BAR5_REGION_INDEX || width > sizeof(*value))
		return -EINVAL;
	return access_region(vh_vfio_of(h), bar, offset, value, width, false);
}

static int vfio_write(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint64_t value)
{
	if (bar > VFIO_PCI_BAR5_REGION_INDEX || width > sizeof(value))
		return -EINVAL;
	return access_region(vh_vfio_of(h), bar, offset, &value, width, true);
}

static uint64_t vfio_bar_size(struct vh_pci_host *h, unsigned bar)
{
	return bar > VFIO_PCI_BAR5_REGION_INDEX ? 0 : vh_vfio_of(h)->region[bar].size;
}

static int vfio_reset(struct vh_pci_host *h)
{
	const struct vh_vfio *v = vh_vfio_of(h);

	if (!v->can_reset)
		return -ENOTSUP;
	return ioctl(v->device, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
}

static int vfio_gone_fd(const struct vh_pci_host *h)
{
	return ((const struct vh_vfio *)h)->requested;
}

/* ---- Life ---- */

/* Let it read and write our memory. */
static int set_master(struct vh_vfio *v)
{
	uint16_t command = 0;
	int err = vfio_config_read(&v->h, PCI_COMMAND, &command, sizeof(command));

	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (!err)
		err = vfio_config_write(&v->h, PCI_COMMAND, &command, sizeof(command));
	return err ? vh_vfio_failed(v, "make it a bus master", err) : 0;
}

static void vfio_close(struct vh_pci_host *h)
{
	struct vh_vfio *v = vh_vfio_of(h);

	if (v->device >= 0)
		vh_vfio_set_vectors(h, NULL, 0);
	while (v->n_dma) {
		struct vh_pci_dma last = v->dma[v->n_dma - 1];

		vh_vfio_dma_free(h, &last);
	}
	vh_vfio_unmap_pages(v);
	vh_fd_drop(&v->device);
	vh_fd_drop(&v->group);
	vh_fd_drop(&v->container);
	vh_fd_drop(&v->requested);
	free(v->vector);
	free(v);
}

static int set_up(struct vh_vfio *v)
{
	int err = vh_vfio_open_files(v);

	if (!err)
		err = vh_vfio_read_regions(v);
	if (!err)
		err = vh_vfio_watch_request(v);
	if (!err)
		err = set_master(v);
	return err;
}

static int vfio_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	struct vh_vfio *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	v->h.bus = &vh_vfio_bus;
	snprintf(v->h.tag, sizeof(v->h.tag), "%s", tag);
	snprintf(v->address, sizeof(v->address), "%s", address);
	v->container = v->group = v->device = v->requested = -1;
	err = set_up(v);
	if (err)
		vfio_close(&v->h);
	else
		*h = &v->h;
	return err;
}

const struct vh_pci_bus vh_vfio_bus = {
	.has = vfio_has,
	.find = vh_vfio_find,
	.open = vfio_open,
	.close = vfio_close,
	.config_read = vfio_config_read,
	.config_write = vfio_config_write,
	.read = vfio_read,
	.write = vfio_write,
	.bar_size = vfio_bar_size,
	.map = vh_vfio_map,
	.unmap = vh_vfio_unmap,
	.signal = vh_vfio_signal,
	.dma_alloc = vh_vfio_dma_alloc,
	.dma_free = vh_vfio_dma_free,
	.set_vectors = vh_vfio_set_vectors,
	.reset = vfio_reset,
	.gone_fd = vfio_gone_fd,
};
