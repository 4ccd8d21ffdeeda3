/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus that the fake device is on, see vvu_fake.h. */
#include "vvu_fake.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/list.h"

struct fake *fake_now;

static struct fake *fake_of(struct vh_pci_host *h)
{
	return vh_container_of(h, struct fake, h);
}

static bool bus_has(const char *address)
{
	return fake_now && !strncmp(address, "fake:", 5);
}

static int bus_find(uint16_t vendor, uint16_t device, unsigned n,
		    char address[VH_PCI_ADDRESS_SIZE])
{
	assert_int_equal(vendor, VH_VVU_PCI_VENDOR);
	assert_int_equal(device, VH_VVU_WINDOW_DEVICE);
	for (unsigned i = 0; fake_now && i < FAKE_MAX_PLUGS; i++)
		if (fake_now->plug[i].is_there && n-- == 0) {
			snprintf(address, VH_PCI_ADDRESS_SIZE, "fake:%u", i);
			return 0;
		}
	return -ENOENT;
}

static int open_plug(struct fake_plug *p, struct vh_pci_host **h)
{
	assert_true(p->is_there);
	if (p->is_open)
		return -EBUSY;
	p->is_open = true;
	*h = &p->h;
	return 0;
}

static int bus_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	const uint16_t master = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	(void)tag;
	if (strcmp(address, "fake:device"))
		return open_plug(&fake_now->plug[atoi(address + 5)], h);
	fake_now->is_open = true;
	vh_pci_config_write(&fake_now->vp.fn, PCI_COMMAND, &master, sizeof(master));
	*h = &fake_now->h;
	return 0;
}

static struct fake_plug *plug_of(struct vh_pci_host *h)
{
	return h == &fake_now->h ? NULL : vh_container_of(h, struct fake_plug, h);
}

static struct vh_pci_function *function_of(struct vh_pci_host *h)
{
	return h == &fake_now->h ? &fake_now->vp.fn : &plug_of(h)->fn;
}

static void bus_close(struct vh_pci_host *h)
{
	if (h == &fake_now->h)
		fake_now->is_open = false;
	else
		plug_of(h)->is_open = false;
}

static int bus_config_read(struct vh_pci_host *h, unsigned offset, void *buf, size_t len)
{
	return vh_pci_config_read(function_of(h), offset, buf, len);
}

static int bus_config_write(struct vh_pci_host *h, unsigned offset, const void *buf,
			    size_t len)
{
	return vh_pci_config_write(function_of(h), offset, buf, len);
}

static int bus_read(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		    uint64_t *value)
{
	*value = 0;
	if (fake_of(h)->is_gone)
		memset(value, 0xff, width);
	else
		return vh_pci_bar_read(function_of(h), bar, offset, value, width);
	return 0;
}

static int bus_write(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t value)
{
	return fake_of(h)->is_gone
		       ? 0
		       : vh_pci_bar_write(function_of(h), bar, offset, &value, width);
}

static uint64_t bus_bar_size(struct vh_pci_host *h, unsigned bar)
{
	return function_of(h)->bar[bar].size;
}

static int bus_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		   void **va)
{
	int fd = plug_of(h)			   ? plug_of(h)->fd
		 : bar == 4			   ? fake_now->bar4
		 : bar == 2 && fake_now->bar2 >= 0 ? fake_now->bar2
						   : -1;

	assert_true(offset % 4096 == 0 && len % 4096 == 0);
	assert_true(offset + len <= bus_bar_size(h, bar));
	if (fd < 0 ||
	    (bar == 2 && !plug_of(h) && offset < FAKE_LOG && !fake_now->shape.polls))
		return -ENOTSUP;
	*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	return *va == MAP_FAILED ? -errno : 0;
}

static void bus_unmap(struct vh_pci_host *h, void *va, size_t len)
{
	(void)h;
	munmap(va, len);
}

/* A register that the test looks at: the doorbells' page is not mapped, so it counts. */
static int bus_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint32_t value, struct vh_signal **s)
{
	assert_int_equal(bar, 2);
	assert_int_equal(width, 2);
	assert_int_equal(value, offset / 4);
	return vh_signal_from_counter(&fake_of(h)->bells[offset / 4], s);
}

static int bus_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma)
{
	struct fake *f = fake_of(h);

	assert_null(f->dma);
	f->dma_len = (len + 4095) / 4096 * 4096;
	f->dma = mmap(NULL, f->dma_len, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(f->dma != MAP_FAILED);
	*dma = (struct vh_pci_dma){.va = f->dma, .len = f->dma_len, .iova = FAKE_IOVA};
	return 0;
}

static void bus_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma)
{
	struct fake *f = fake_of(h);

	assert_ptr_equal(dma->va, f->dma);
	munmap(f->dma, f->dma_len);
	f->dma = NULL;
	f->dma_len = 0;
}

static int bus_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n)
{
	struct fake *f = fake_of(h);

	for (unsigned i = 0; i < n; i++)
		if (fd[i] >= 0 && i + f->shape.no_vectors >= f->vp.fn.n_vectors)
			return -ENOSPC;
	assert_true(n <= f->vp.fn.n_vectors);
	free(f->irq);
	f->irq = calloc(n + 1, sizeof(*fd));
	assert_non_null(f->irq);
	if (n)
		memcpy(f->irq, fd, n * sizeof(*fd));
	f->n_irq = n;
	return 0;
}

static int bus_reset(struct vh_pci_host *h)
{
	vh_virtio_pci_reset(&fake_of(h)->vp);
	return 0;
}

static int bus_gone_fd(const struct vh_pci_host *h)
{
	return h == &fake_now->h ? fake_now->gone : -1;
}

const struct vh_pci_bus fake_bus = {
	.has = bus_has,
	.find = bus_find,
	.open = bus_open,
	.close = bus_close,
	.config_read = bus_config_read,
	.config_write = bus_config_write,
	.read = bus_read,
	.write = bus_write,
	.bar_size = bus_bar_size,
	.map = bus_map,
	.unmap = bus_unmap,
	.signal = bus_signal,
	.dma_alloc = bus_dma_alloc,
	.dma_free = bus_dma_free,
	.set_vectors = bus_set_vectors,
	.reset = bus_reset,
	.gone_fd = bus_gone_fd,
};
