/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bus of lib/pci on which there are vfio-user servers of this process's tests:
 * "test:PATH".  What can be mapped is mapped, a signal is an eventfd where the server
 * has one for that register, memory is a memfd that is told with DMA_MAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "client.h"

#define PREFIX	   "test:"
#define MAX_IO_FDS 64u
#define FIRST_IOVA 0x100000ull

struct test_host {
	struct vh_pci_host h;
	struct vfu_client c;
	struct vfu_region bar[6];
	uint64_t next_iova;
	int *vector; /* what each has now; -1: nothing */
	unsigned n_vectors;
};

static struct test_host *host_of(struct vh_pci_host *h)
{
	return (struct test_host *)h;
}

static bool test_has(const char *address)
{
	return !strncmp(address, PREFIX, strlen(PREFIX));
}

static void test_close(struct vh_pci_host *h)
{
	struct test_host *t = host_of(h);

	for (unsigned i = 0; i < 6; i++)
		if (t->bar[i].fd >= 0)
			close(t->bar[i].fd);
	vfu_disconnect(&t->c);
	free(t->vector);
	free(t);
}

static int test_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	const uint16_t master = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	struct test_host *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->h.bus = &vfu_test_bus;
	snprintf(t->h.tag, sizeof(t->h.tag), "%s", tag);
	t->next_iova = FIRST_IOVA;
	for (unsigned i = 0; i < 6; i++)
		t->bar[i].fd = -1;
	err = vfu_connect(&t->c, address + strlen(PREFIX));
	for (unsigned i = 0; i < 6 && !err; i++)
		err = vfu_get_region(&t->c, i, &t->bar[i]);
	if (!err)
		err = vfu_write(&t->c, VH_VFU_REGION_CONFIG, PCI_COMMAND, &master,
				sizeof(master));
	if (err) {
		vh_log(&t->h, VH_LOG_ERROR, "cannot open %s: %s", address,
		       vh_strerror(err));
		test_close(&t->h);
		return err;
	}
	*h = &t->h;
	return 0;
}

static int test_config_read(struct vh_pci_host *h, unsigned offset, void *buf, size_t len)
{
	return vfu_read(&host_of(h)->c, VH_VFU_REGION_CONFIG, offset, buf, (uint32_t)len);
}

static int test_config_write(struct vh_pci_host *h, unsigned offset, const void *buf,
			     size_t len)
{
	return vfu_write(&host_of(h)->c, VH_VFU_REGION_CONFIG, offset, buf,
			 (uint32_t)len);
}

/* A server that hung up is a function that is gone. */
static int ended(int err)
{
	return err == -EPIPE ? -ENODEV : err;
}

static int test_read(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t *value)
{
	*value = 0;
	return ended(vfu_read(&host_of(h)->c, bar, offset, value, width));
}

static int test_write(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint64_t value)
{
	return ended(vfu_write(&host_of(h)->c, bar, offset, &value, width));
}

static uint64_t test_bar_size(struct vh_pci_host *h, unsigned bar)
{
	return bar < 6 ? host_of(h)->bar[bar].size : 0;
}

static int test_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		    void **va)
{
	const struct vfu_region *r = &host_of(h)->bar[bar];

	for (unsigned i = 0; i < r->n_areas; i++) {
		if (!vh_range_inside(offset, len, r->area[i].offset, r->area[i].size))
			continue;
		*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
			   (off_t)(r->offset + offset));
		return *va == MAP_FAILED ? -errno : 0;
	}
	return -ENOTSUP;
}

static void test_unmap(struct vh_pci_host *h, void *va, size_t len)
{
	(void)h;
	munmap(va, len);
}

/* The one of @offset, which is the caller's; -1: there is none.  The others are closed.
 */
static int pick_io_fd(const struct vfu_io_fd *io, unsigned n, uint64_t offset,
		      unsigned width)
{
	int found = -1;

	for (unsigned i = 0; i < n; i++)
		if (io[i].offset == offset && (!io[i].size || io[i].size == width))
			found = fcntl(io[i].fd, F_DUPFD_CLOEXEC, 0);
	for (unsigned i = 0; i < n; i++) {
		bool is_last = true;

		for (unsigned j = i + 1; j < n; j++)
			is_last &= io[j].fd != io[i].fd;
		if (is_last)
			close(io[i].fd);
	}
	return found;
}

static int test_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		       unsigned width, uint32_t value, struct vh_signal **s)
{
	struct vfu_io_fd io[MAX_IO_FDS];
	unsigned n;
	const int err = vfu_get_io_fds(&host_of(h)->c, bar, io, MAX_IO_FDS, &n);
	int fd;

	(void)value;
	*s = NULL;
	if (err)
		return ended(err);
	fd = pick_io_fd(io, n, offset, width);
	return fd < 0 ? -ENOTSUP : vh_signal_from_eventfd(fd, s);
}

static int test_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma)
{
	struct test_host *t = host_of(h);
	const size_t size = (len + 4095) & ~(size_t)4095;
	const int fd = memfd_create("dma", MFD_CLOEXEC);
	int err;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	*dma = (struct vh_pci_dma){
		.va = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
		.len = size,
		.iova = t->next_iova};
	err = dma->va == MAP_FAILED
		      ? -errno
		      : vfu_dma_map(&t->c, dma->iova, size, fd, 0,
				    VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE);
	close(fd);
	if (!err)
		t->next_iova += size + 4096;
	else if (dma->va != MAP_FAILED)
		munmap(dma->va, size);
	return ended(err);
}

static void test_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma)
{
	if (!dma->va)
		return;
	vfu_dma_unmap(&host_of(h)->c, dma->iova, dma->len);
	munmap(dma->va, dma->len);
	*dma = (struct vh_pci_dma){0};
}

static int change_number(struct test_host *t, unsigned n)
{
	int err = vfu_set_irqs(&t->c, VH_VFU_IRQ_MSIX,
			       VH_VFU_SET_NONE | VH_VFU_SET_TRIGGER, 0, 0, NULL, 0);
	int *vector = calloc(n + 1, sizeof(*vector));

	if (!vector)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		vector[i] = -1;
	free(t->vector);
	t->vector = vector;
	t->n_vectors = n;
	return err;
}

/* One that does not change is not touched: an interrupt of it could be lost. */
static int test_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n)
{
	struct test_host *t = host_of(h);
	int err = n == t->n_vectors ? 0 : change_number(t, n);

	for (unsigned i = 0; i < n && !err; i++) {
		if (fd[i] == t->vector[i])
			continue;
		err = vfu_set_vector(&t->c, i, fd[i]);
		t->vector[i] = fd[i];
	}
	return ended(err);
}

static int test_reset(struct vh_pci_host *h)
{
	return ended(vfu_reset(&host_of(h)->c));
}

/* Nothing is ever to be read there between two commands but the end. */
static int test_gone_fd(const struct vh_pci_host *h)
{
	return ((const struct test_host *)h)->c.fd;
}

const struct vh_pci_bus vfu_test_bus = {
	.has = test_has,
	.open = test_open,
	.close = test_close,
	.config_read = test_config_read,
	.config_write = test_config_write,
	.read = test_read,
	.write = test_write,
	.bar_size = test_bar_size,
	.map = test_map,
	.unmap = test_unmap,
	.signal = test_signal,
	.dma_alloc = test_dma_alloc,
	.dma_free = test_dma_free,
	.set_vectors = test_set_vectors,
	.reset = test_reset,
	.gone_fd = test_gone_fd,
};

void vfu_test_bus_add(void)
{
	vh_pci_add_bus(&vfu_test_bus);
}

struct vfu_client *vfu_test_bus_client(struct vh_pci_host *h)
{
	return &host_of(h)->c;
}
