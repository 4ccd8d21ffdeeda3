/* SPDX-License-Identifier: BSD-3-Clause */
/* See vvu_fake.h. */
#include "vvu_fake.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "spec/vhost_user.h"

#define BAR2 0x40000u

/* ---- Rings, from the device's side ---- */

static void *at_iova(const struct fake *f, uint64_t iova, size_t len)
{
	assert_true(iova >= FAKE_IOVA && iova - FAKE_IOVA <= f->dma_len &&
		    len <= f->dma_len - (iova - FAKE_IOVA));
	return f->dma + (iova - FAKE_IOVA);
}

static struct vring ring_of(const struct fake *f, unsigned q)
{
	const struct vh_virtio_pci_queue *r = &f->vp.queue[q];

	assert_true(r->enabled);
	return (struct vring){
		.num = r->size,
		.desc = at_iova(f, r->desc, 16u * r->size),
		.avail = at_iova(f, r->avail, 6u + 2 * r->size),
		.used = at_iova(f, r->used, 6u + 8 * r->size),
	};
}

/* The next buffer that the driver gave; NULL: none. */
static uint8_t *next_buffer(struct fake *f, unsigned q, uint32_t *id, uint32_t *len)
{
	const struct vring r = ring_of(f, q);
	const struct vring_desc *d;

	if (f->queue[q].avail == r.avail->idx)
		return NULL;
	*id = r.avail->ring[f->queue[q].avail++ % r.num];
	d = &r.desc[*id];
	assert_int_equal(d->flags, q ? 0 : VRING_DESC_F_WRITE);
	*len = d->len;
	return at_iova(f, d->addr, d->len);
}

static void use(struct fake *f, unsigned q, uint32_t id, uint32_t len)
{
	const struct vring r = ring_of(f, q);

	r.used->ring[f->queue[q].used++ % r.num] =
		(struct vring_used_elem){.id = id, .len = len};
	__atomic_store_n(&r.used->idx, f->queue[q].used, __ATOMIC_RELEASE);
	fake_interrupt(f, vh_virtio_pci_used(&f->vp, q));
}

void fake_put(struct fake *f, const void *bytes, size_t len, uint32_t used_len)
{
	uint32_t id, room;
	uint8_t *buf = next_buffer(f, VH_VVU_RXQ, &id, &room);

	assert_non_null(buf);
	assert_true(len <= room);
	memcpy(buf, bytes, len);
	use(f, VH_VVU_RXQ, id, used_len);
}

void fake_send(struct fake *f, uint32_t id, uint32_t flags, const void *payload,
	       uint32_t size)
{
	const struct vh_wire_header h = {.request = id, .flags = flags, .size = size};
	uint8_t bytes[sizeof(h) + VH_MAX_PAYLOAD];

	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	fake_put(f, bytes, sizeof(h) + size, (uint32_t)sizeof(h) + size);
}

int fake_take(struct fake *f, uint32_t *id, uint32_t *flags, void *payload, size_t size)
{
	uint32_t index, len;
	const uint8_t *buf = next_buffer(f, VH_VVU_TXQ, &index, &len);
	struct vh_wire_header h;

	if (!buf)
		return -1;
	assert_true(len >= sizeof(h));
	memcpy(&h, buf, sizeof(h));
	assert_int_equal(len, sizeof(h) + h.size);
	assert_true(h.size <= size);
	if (h.size)
		memcpy(payload, buf + sizeof(h), h.size);
	*id = h.request;
	*flags = h.flags;
	use(f, VH_VVU_TXQ, index, 0);
	return (int)h.size;
}

void fake_break_queue(struct fake *f)
{
	use(f, VH_VVU_RXQ, 12345, 12);
}

/* ---- Interrupts, and the session's status ---- */

void fake_interrupt(struct fake *f, uint16_t vector)
{
	if (vector < f->n_irq && f->irq[vector] >= 0)
		assert_int_equal(eventfd_write(f->irq[vector], 1), 0);
}

void fake_kick(struct fake *f, unsigned vring)
{
	fake_interrupt(f, f->vector[vring]);
}

uint32_t fake_status(const struct fake *f)
{
	uint32_t status;

	memcpy(&status, f->config, sizeof(status));
	return status;
}

void fake_set_status_quietly(struct fake *f, uint32_t status)
{
	memcpy(f->config, &status, sizeof(status));
}

void fake_set_status(struct fake *f, uint32_t status)
{
	fake_set_status_quietly(f, status);
	fake_interrupt(f, vh_virtio_pci_config_changed(&f->vp));
}

void fake_arrive(struct fake *f)
{
	assert_int_equal(fake_status(f), VH_VVU_BACKEND_UP);
	fake_set_status(f, VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
}

void fake_depart(struct fake *f)
{
	fake_set_status(f, 0);
}

/* ---- The device behind the registers ---- */

static int set_features(void *arg)
{
	(void)arg;
	return 0;
}

static void start(void *arg)
{
	(void)arg;
}

static int reset(void *arg)
{
	struct fake *f = arg;

	f->n_resets++;
	memset(f->queue, 0, sizeof(f->queue));
	memset(f->vector, 0xff, sizeof(f->vector));
	fake_set_status_quietly(f, 0);
	return 0;
}

static int enable(void *arg, unsigned q)
{
	(void)arg;
	(void)q;
	return 0;
}

static void notified(void *arg, unsigned q)
{
	struct fake *f = arg;

	(void)q;
	f->n_notified++;
}

static void read_config(void *arg, uint32_t offset, void *buf, size_t len)
{
	const struct fake *f = arg;

	memcpy(buf, f->config + offset, len);
}

/* The device looks at BACKEND_UP only; who takes it away loses the front-end. */
static void write_config(void *arg, uint32_t offset, const void *buf, size_t len)
{
	struct fake *f = arg;
	uint32_t status;

	assert_int_equal(offset, 0);
	assert_int_equal(len, 4);
	memcpy(&status, buf, len);
	if (!(status & VH_VVU_BACKEND_UP))
		fake_set_status_quietly(f, 0);
	else
		fake_set_status_quietly(f, fake_status(f) | VH_VVU_BACKEND_UP);
}

static const struct vh_virtio_pci_ops device_ops = {
	.set_features = set_features,
	.start = start,
	.reset = reset,
	.enable = enable,
	.notify = notified,
	.read_config = read_config,
	.write_config = write_config,
};

static void notification_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct fake *f = arg;
	const uint16_t value[2] = {
		f->select, f->select < VH_VVU_MAX_VRINGS ? f->vector[f->select] : 0xffff};

	memcpy(buf, (const uint8_t *)value + offset, len);
}

static int notification_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct fake *f = arg;
	uint16_t value;

	assert_int_equal(len, 2);
	memcpy(&value, buf, len);
	if (offset == VH_VVU_NOTIFY_SELECT)
		f->select = value;
	else if (f->select < VH_VVU_MAX_VRINGS)
		f->vector[f->select] =
			f->shape.refuses_vectors || value >= f->vp.fn.n_vectors ? 0xffff
										: value;
	return 0;
}

static int bell_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct fake *f = arg;

	(void)buf;
	(void)len;
	assert_true(offset / 4 < sizeof(f->bells) / sizeof(f->bells[0]));
	f->bells[offset / 4]++;
	return 0;
}

/* ---- Life ---- */

static int file_of(size_t len, uint8_t **va)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(*va != MAP_FAILED);
	return fd;
}

static void add_cap(struct fake *f, uint8_t type, uint8_t bar, uint8_t id, uint32_t at,
		    uint32_t len, const void *more, size_t n_more)
{
	assert_true(vh_virtio_pci_add_cap(&f->vp, type, bar, id, at, len, more, n_more) >=
		    0);
}

static void add_notification(struct fake *f)
{
	const struct vh_pci_block b = {.bar = 0,
				       .offset = VH_VIRTIO_PCI_OWN,
				       .size = 4,
				       .read = notification_read,
				       .write = notification_write,
				       .arg = f};

	assert_int_equal(vh_pci_add_block(&f->vp.fn, &b), 0);
	add_cap(f, VH_VVU_CAP_NOTIFICATION, 0, 0, VH_VIRTIO_PCI_OWN, 4, NULL, 0);
}

static void add_memory(struct fake *f, uint8_t bar, uint8_t id, uint32_t at, uint32_t len)
{
	add_cap(f, VH_VVU_CAP_MEMORY, bar, id, at, len, NULL, 0);
}

static void add_own(struct fake *f)
{
	const uint32_t stride = 4;
	const struct vh_pci_block bells = {
		.bar = 2, .size = 0x1000, .write = bell_write, .arg = f};

	assert_int_equal(vh_pci_add_bar(&f->vp.fn, 2, BAR2, 0), 0);
	assert_int_equal(vh_pci_add_bar(&f->vp.fn, 4, FAKE_WINDOW,
					VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH),
			 0);
	assert_int_equal(vh_pci_add_block(&f->vp.fn, &bells), 0);
	add_cap(f, VH_VVU_CAP_DOORBELL, 2, 0, 0, 0x1000, &stride, sizeof(stride));
	if (!f->shape.no_notification)
		add_notification(f);
	if (!f->shape.no_areas) {
		add_memory(f, 2, VH_VVU_SHM_LOG, FAKE_LOG, FAKE_AREA);
		add_memory(f, 2, VH_VVU_SHM_INFLIGHT, FAKE_INFLIGHT, FAKE_AREA);
	}
	if (!f->shape.no_window)
		add_memory(f, 4, VH_VVU_SHM_MEMORY, 0, 0x1000); /* a mere placeholder */
}

struct fake *fake_make(const struct fake_shape *shape)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct vh_virtio_pci_params p = {
		.ids = {.vendor = VH_VVU_PCI_VENDOR, .device = VH_VVU_PCI_DEVICE},
		.features = (VH_BIT(VIRTIO_F_VERSION_1) |
			     VH_BIT(VIRTIO_RING_F_EVENT_IDX) | 0x3f),
		.n_queues = 2,
		.queue_size = 128,
		.config_size = 24,
		.n_vectors = 259,
		.ops = &device_ops,
		.arg = f,
	};
	uint32_t n_vrings;

	assert_non_null(f);
	if (shape)
		f->shape = *shape;
	if (f->shape.n_vectors)
		p.n_vectors = f->shape.n_vectors;
	if (!f->shape.polls)
		p.features &= ~VH_BIT(VH_VVU_F_DOORBELL_POLL);
	assert_int_equal(vh_virtio_pci_init(&f->vp, &p), 0);
	f->vp.features &= ~f->shape.no_features;
	add_own(f);
	n_vrings = f->shape.n_vrings ? f->shape.n_vrings : VH_VVU_MAX_VRINGS;
	memcpy(f->config + 4, &n_vrings, sizeof(n_vrings));
	memset(f->config + 8, 0x77, 16);
	memset(f->vector, 0xff, sizeof(f->vector));
	f->h = (struct vh_pci_host){.bus = &fake_bus, .tag = "fake"};
	f->bar2 = file_of(BAR2, &f->polled);
	f->bar4 = file_of(FAKE_WINDOW, &f->memory);
	f->gone = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(f->gone >= 0);
	for (unsigned i = 0; i < FAKE_MAX_PLUGS; i++)
		f->plug[i].fd = -1;
	fake_now = f;
	vh_pci_add_bus(&fake_bus);
	return f;
}

void fake_free(struct fake *f)
{
	assert_false(f->is_open);
	assert_null(f->dma);
	for (unsigned i = 0; i < FAKE_MAX_PLUGS; i++) {
		assert_false(f->plug[i].is_open);
		if (f->plug[i].fd >= 0)
			close(f->plug[i].fd);
	}
	munmap(f->polled, BAR2);
	munmap(f->memory, FAKE_WINDOW);
	close(f->bar2);
	close(f->bar4);
	close(f->gone);
	free(f->irq);
	free(f);
	fake_now = NULL;
}

/* ---- Windows that come ---- */

uint8_t *fake_plug(struct fake *f, uint16_t number, const uint8_t uuid[16], size_t len)
{
	struct vh_vvu_window_cap cap = {.number = number};
	struct fake_plug *p = f->plug;
	uint8_t *va;

	while (p->is_there)
		p++;
	assert_true(p < f->plug + FAKE_MAX_PLUGS);
	cap.len = sizeof(cap);
	memcpy(cap.uuid, uuid, sizeof(cap.uuid));
	vh_pci_init(&p->fn, &(struct vh_pci_ids){.vendor = VH_VVU_PCI_VENDOR,
						 .device = VH_VVU_WINDOW_DEVICE});
	assert_true(vh_pci_add_cap(&p->fn, VH_VVU_WINDOW_CAP, &cap.len, sizeof(cap) - 2) >
		    0);
	assert_int_equal(vh_pci_add_bar(&p->fn, VH_VVU_WINDOW_BAR, len, VH_PCI_BAR_64BIT),
			 0);
	p->h = (struct vh_pci_host){.bus = &fake_bus, .tag = "plug"};
	p->fd = file_of(len, &va);
	p->is_there = true;
	return va; /* to be unmapped by the test */
}
