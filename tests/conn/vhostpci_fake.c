/* SPDX-License-Identifier: BSD-3-Clause */
/* See vhostpci_fake.h. */
#include "vhostpci_fake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/list.h"
#include "spec/vhost_user.h"

#define IOVA 0x10000000ull

static struct fake_adapter *now;

/* ---- What is behind the registers ---- */

static void on_reset(void *arg)
{
	struct fake_adapter *f = arg;

	f->n_reset++;
	memset(f->taken, 0, sizeof(f->taken));
}

static void on_features(void *arg)
{
}

static int on_check(void *arg)
{
	return 0;
}

static void on_ready(void *arg, bool ready)
{
	struct fake_adapter *f = arg;

	f->n_ready += ready;
	f->n_unready += !ready;
}

static void on_notify(void *arg, unsigned q)
{
}

static void on_doorbell(void *arg, unsigned n)
{
	((struct fake_adapter *)arg)->n_doorbells++;
}

static uint16_t on_wires(void *arg, unsigned vring)
{
	return 0;
}

static bool on_interrupt(void *arg, uint16_t vector)
{
	struct fake_adapter *f = arg;

	return f->vector[vector] >= 0 && eventfd_write(f->vector[vector], 1) == 0;
}

static const struct vh_adapter_regs_ops ops = {
	.reset = on_reset,
	.features = on_features,
	.check = on_check,
	.ready = on_ready,
	.notify = on_notify,
	.doorbell = on_doorbell,
	.wires = on_wires,
	.interrupt = on_interrupt,
};

/* ---- The bus ---- */

static struct fake_adapter *fake_of(struct vh_pci_host *h)
{
	return vh_container_of(h, struct fake_adapter, h);
}

static bool bus_has(const char *address)
{
	return now && !strcmp(address, "adapter:");
}

static int bus_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	assert_false(now->is_open);
	now->is_open = true;
	*h = &now->h;
	return 0;
}

static void bus_close(struct vh_pci_host *h)
{
	fake_of(h)->is_open = false;
}

static int bus_config_read(struct vh_pci_host *h, unsigned offset, void *buf, size_t len)
{
	return vh_pci_config_read(&fake_of(h)->fn, offset, buf, len);
}

static int bus_config_write(struct vh_pci_host *h, unsigned offset, const void *buf,
			    size_t len)
{
	return vh_pci_config_write(&fake_of(h)->fn, offset, buf, len);
}

static int bus_read(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		    uint64_t *value)
{
	struct fake_adapter *f = fake_of(h);

	*value = 0;
	if (f->is_gone)
		return -ENODEV;
	assert_int_equal(offset % width, 0);
	if (f->moves && offset == VH_ADAPTER_MEM_GEN)
		vh_adapter_set_memory(&f->regs, NULL);
	assert_int_equal(vh_pci_bar_read(&f->fn, bar, offset, value, width), 0);
	for (unsigned i = 0; i < f->n_lies; i++)
		if (f->lie[i].at == offset)
			*value = f->lie[i].value;
	return 0;
}

static int bus_write(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t value)
{
	struct fake_adapter *f = fake_of(h);

	if (f->is_gone)
		return -ENODEV;
	assert_int_equal(offset % width, 0);
	return vh_pci_bar_write(&f->fn, bar, offset, &value, width);
}

static uint64_t bus_bar_size(struct vh_pci_host *h, unsigned bar)
{
	return bar == VH_ADAPTER_WINDOW_BAR ? FAKE_WINDOW
	       : bar == VH_ADAPTER_AREA_BAR ? FAKE_AREA
					    : fake_of(h)->fn.bar[bar].size;
}

static int bus_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		   void **va)
{
	const struct fake_adapter *f = fake_of(h);
	const int fd = bar == VH_ADAPTER_WINDOW_BAR ? f->window : f->area;

	assert_true(bar == VH_ADAPTER_WINDOW_BAR || bar == VH_ADAPTER_AREA_BAR);
	assert_true(offset + len <= bus_bar_size(h, bar));
	*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	return *va == MAP_FAILED ? -errno : 0;
}

static void bus_unmap(struct vh_pci_host *h, void *va, size_t len)
{
	munmap(va, len);
}

static int bus_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint32_t value, struct vh_signal **s)
{
	assert_int_equal(bus_write(h, bar, offset, width, value), 0);
	return vh_signal_from_eventfd(eventfd(0, EFD_CLOEXEC), s);
}

static int bus_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma)
{
	*dma = (struct vh_pci_dma){.len = (len + 4095) & ~(size_t)4095};
	dma->va = aligned_alloc(4096, dma->len);
	assert_non_null(dma->va);
	memset(dma->va, 0, dma->len);
	/* The device finds it by taking this away again. */
	dma->iova = IOVA + (uintptr_t)dma->va;
	return 0;
}

static void bus_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma)
{
	free(dma->va);
}

static int bus_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n)
{
	struct fake_adapter *f = fake_of(h);

	if (n > f->n_vectors)
		return -ENOSPC;
	memset(f->vector, 0xff, sizeof(f->vector));
	if (n)
		memcpy(f->vector, fd, n * sizeof(*fd));
	return 0;
}

static int bus_reset(struct vh_pci_host *h)
{
	return 0;
}

static int bus_gone_fd(const struct vh_pci_host *h)
{
	return -1;
}

static const struct vh_pci_bus bus = {
	.has = bus_has,
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

/* ---- Life ---- */

static int make_memory(size_t len)
{
	const int fd = memfd_create("fake", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)len) == 0);
	return fd;
}

void fake_make(struct fake_adapter *f)
{
	static bool added;
	static const uint8_t uuid[16];
	const struct vh_adapter_regs_params p = {
		.features = VH_BIT(VH_ADAPTER_F_VERSION_1) | VH_BIT(VH_ADAPTER_F_LOG) |
			    VH_BIT(VH_ADAPTER_F_INFLIGHT),
		.window_size = FAKE_WINDOW,
		.uuid = uuid,
		.ops = &ops,
		.arg = f,
	};

	if (!added)
		vh_pci_add_bus(&bus);
	added = true;
	memset(f, 0, sizeof(*f));
	memset(f->vector, 0xff, sizeof(f->vector));
	f->n_vectors = VH_ADAPTER_VECTORS;
	f->h.bus = &bus;
	f->window = make_memory(FAKE_WINDOW);
	f->area = make_memory(FAKE_AREA);
	assert_int_equal(vh_adapter_regs_init(&f->regs, &f->fn, &p), 0);
	now = f;
}

void fake_free(struct fake_adapter *f)
{
	assert_false(f->is_open);
	close(f->window);
	close(f->area);
	now = NULL;
}

void fake_lie(struct fake_adapter *f, uint64_t at, uint64_t value)
{
	assert_true(f->n_lies < FAKE_LIES);
	f->lie[f->n_lies].at = at;
	f->lie[f->n_lies++].value = value;
}

/* ---- The front-end ---- */

void fake_come(struct fake_adapter *f)
{
	assert_true(vh_adapter_is_live(&f->regs));
	vh_adapter_session_begins(&f->regs);
}

void fake_go(struct fake_adapter *f)
{
	vh_adapter_session_ends(&f->regs, VH_RELAY_FRONTEND_CLOSED);
}

static void *at(uint64_t iova)
{
	return (void *)(uintptr_t)(iova - IOVA);
}

/* The descriptor of the next buffer of queue @q; NULL: there is none. */
static uint64_t *next(struct fake_adapter *f, unsigned q, uint16_t *head)
{
	const struct vh_adapter_bank *b = &f->regs.bank[q];
	const uint16_t *avail = at(b->avail);

	if (avail[1] == f->taken[q])
		return NULL;
	*head = avail[2 + f->taken[q] % b->size];
	return (uint64_t *)at(b->desc) + (size_t)2 * *head;
}

static void use(struct fake_adapter *f, unsigned q, uint16_t head, uint32_t len)
{
	const struct vh_adapter_bank *b = &f->regs.bank[q];
	uint16_t *used = at(b->used);
	uint32_t *entry = (uint32_t *)(void *)(used + 2);

	entry += (size_t)2 * (f->taken[q] % b->size);
	entry[0] = head;
	entry[1] = len;
	used[1] = ++f->taken[q];
	vh_adapter_used(&f->regs, q);
}

void fake_say(struct fake_adapter *f, uint32_t id)
{
	const struct vh_wire_header h = {id, VH_FLAG_VERSION, 0};
	uint16_t head;
	const uint64_t *desc = next(f, VH_ADAPTER_M2S, &head);

	assert_non_null(desc);
	memcpy(at(desc[0]), &h, sizeof(h));
	use(f, VH_ADAPTER_M2S, head, sizeof(h));
}

uint32_t fake_hear(struct fake_adapter *f)
{
	struct vh_wire_header h;
	uint16_t head;
	const uint64_t *desc = next(f, VH_ADAPTER_S2M, &head);

	if (!desc)
		return 0;
	memcpy(&h, at(desc[0]), sizeof(h));
	use(f, VH_ADAPTER_S2M, head, 0);
	return h.request;
}
