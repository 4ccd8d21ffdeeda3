/* SPDX-License-Identifier: BSD-3-Clause */
/* See device_rig.h. */
#include "device_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define A_WHILE_MS  50
#define DMA_BYTES   0x40000u
#define DMA_IOVA    0x12340000ull
#define RX_AT	    0x4000u
#define TX_AT	    0x20000u
#define RX_MAX	    8192u

/* ---- Life ---- */

int dev_setup(void **state)
{
	static bool added;
	struct dev *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	if (!added)
		vfu_test_bus_add();
	added = true;
	rig_setup((void **)&d->rig);
	snprintf(d->vmm, sizeof(d->vmm), "%s/vmm", d->rig->dir);
	snprintf(d->front, sizeof(d->front), "%s/front", d->rig->dir);
	snprintf(d->memory, sizeof(d->memory), "/dev/shm/vhost-test-%d", (int)getpid());
	d->fd = -1;
	for (unsigned i = 0; i < DEV_VECTORS; i++)
		d->vector[i] = -1;
	*state = d;
	return 0;
}

int dev_teardown(void **state)
{
	struct dev *d = *state;
	int result;

	dev_close(d);
	unlink(d->memory);
	result = rig_teardown((void **)&d->rig);
	free(d);
	return result;
}

static void *run(void *arg)
{
	vh_reactor_run(arg);
	return NULL;
}

static void make_window(struct dev *d)
{
	const uint64_t bar = d->o.bar_size ? d->o.bar_size : 64 << 20;
	char memory[128];

	if (d->o.file) {
		snprintf(memory, sizeof(memory), "file:%s,size=%llu", d->memory,
			 (unsigned long long)d->o.file);
		assert_int_equal(vh_window_static(memory, bar, "window", &d->window), 0);
	} else {
		assert_int_equal(vh_window_trap(bar, "window", &d->window), 0);
	}
	if (!d->o.no_area)
		assert_int_equal(vh_area_create("area", &d->area), 0);
}

void dev_open(struct dev *d, const struct dev_options *o)
{
	const struct vh_reactor_params reactor = {.size = sizeof(reactor),
						  .name = "vvu",
						  .cpu = -1,
						  .poll = VH_POLL_ADAPTIVE};
	struct vh_vvu_pci_params p = {.pci = d->vmm,
				      .tag = "vvu",
				      .profile = o->profile,
				      .accept_early = !o->accept_ready,
				      .poll_doorbells = o->poll_doorbells};
	char front[96];

	d->o = *o;
	snprintf(front, sizeof(front), "unix:%s", d->front);
	assert_int_equal(vh_reactor_create(&reactor, &d->reactor), 0);
	make_window(d);
	p.front = front;
	p.window = d->window;
	p.area = d->area;
	memset(p.uuid, 0x5a, sizeof(p.uuid));
	assert_int_equal(vh_vvu_pci_open(d->reactor, &p, &d->device), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, run, d->reactor), 0);
	if (!o->no_guest)
		guest_connect(d);
}

void dev_close(struct dev *d)
{
	if (!d->reactor)
		return;
	guest_disconnect(d);
	front_close(d);
	vh_reactor_stop(d->reactor);
	pthread_join(d->thread, NULL);
	vh_vvu_pci_close(d->device);
	vh_area_destroy(d->area);
	vh_window_destroy(d->window);
	vh_reactor_destroy(d->reactor);
	d->reactor = NULL;
}

struct reading {
	struct dev *d;
	struct vh_vvu_pci_stats *s;
	int done;
};

static void read_stats(void *arg)
{
	struct reading *r = arg;

	vh_vvu_pci_read_stats(r->d->device, r->s);
	eventfd_write(r->done, 1);
}

void dev_stats(struct dev *d, struct vh_vvu_pci_stats *s)
{
	struct reading r = {d, s, eventfd(0, 0)};

	assert_int_equal(vh_reactor_post(d->reactor, read_stats, &r), 0);
	signal_wait(r.done);
	close(r.done);
}

void dev_session(struct dev *d, uint64_t features)
{
	guest_start(d, features);
	guest_is_ready(d);
	front_connect(d);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 3);
}

/* ---- Signals ---- */

void signal_wait(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t n;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	eventfd_read(fd, &n);
}

bool signal_came(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t n;

	return poll(&p, 1, 0) == 1 && !eventfd_read(fd, &n);
}

bool signal_stays_away(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, A_WHILE_MS) == 0;
}

/* ---- The guest: its VMM and registers ---- */

void guest_connect(struct dev *d)
{
	char address[96];

	snprintf(address, sizeof(address), "test:%s", d->vmm);
	assert_int_equal(vh_pci_open(address, "guest", &d->host), 0);
	assert_int_equal(vh_virtio_drv_init(&d->drv, d->host), 0);
}

static void forget_queues(struct dev *d)
{
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++) {
		vh_driver_ring_destroy(d->ring[q]);
		d->ring[q] = NULL;
	}
	if (d->dma.va) {
		vfu_dma_unmap_all(vfu_test_bus_client(d->host));
		munmap(d->dma.va, d->dma.len);
		close(d->dma_fd);
	}
	d->dma.va = NULL;
	for (unsigned i = 0; i < DEV_VECTORS; i++) {
		if (d->vector[i] >= 0)
			close(d->vector[i]);
		d->vector[i] = -1;
	}
}

void guest_disconnect(struct dev *d)
{
	if (!d->host)
		return;
	forget_queues(d);
	vh_pci_close(d->host);
	d->host = NULL;
}

uint64_t guest_read(struct dev *d, unsigned bar, uint64_t offset, unsigned width)
{
	uint64_t value = 0;

	assert_int_equal(d->host->bus->read(d->host, bar, offset, width, &value), 0);
	return value;
}

void guest_write(struct dev *d, unsigned bar, uint64_t offset, unsigned width,
		 uint64_t value)
{
	assert_int_equal(d->host->bus->write(d->host, bar, offset, width, value), 0);
}

const struct vh_virtio_place *guest_place(struct dev *d, uint8_t type, int id)
{
	const struct vh_virtio_place *p = vh_virtio_drv_place(&d->drv, type, id);

	assert_non_null(p);
	return p;
}

uint32_t guest_status(struct dev *d)
{
	uint64_t value;

	assert_int_equal(vh_virtio_drv_read_config(&d->drv, 0, 4, &value), 0);
	return (uint32_t)value;
}

void guest_set_status(struct dev *d, uint32_t status)
{
	assert_int_equal(vh_virtio_drv_write_config(&d->drv, 0, 4, status), 0);
}

void guest_is_ready(struct dev *d)
{
	guest_set_status(d, guest_status(d) | VH_VVU_BACKEND_UP);
}

uint8_t guest_isr(struct dev *d)
{
	uint8_t isr;

	assert_int_equal(vh_virtio_drv_isr(&d->drv, &isr), 0);
	return isr;
}

bool guest_needs_reset(struct dev *d)
{
	return vh_virtio_drv_status(&d->drv) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

void guest_hear(struct dev *d, unsigned vector)
{
	signal_wait(d->vector[vector]);
}

bool guest_heard(struct dev *d, unsigned vector)
{
	return signal_came(d->vector[vector]);
}

void guest_ring(struct dev *d, unsigned doorbell, unsigned width)
{
	const struct vh_virtio_place *p = guest_place(d, VH_VVU_CAP_DOORBELL, -1);

	guest_write(d, p->bar, p->offset + (uint64_t)doorbell * p->more, width, doorbell);
}

uint16_t guest_set_vector(struct dev *d, uint16_t vring, uint16_t vector)
{
	const struct vh_virtio_place *p = guest_place(d, VH_VVU_CAP_NOTIFICATION, -1);

	guest_write(d, p->bar, p->offset + VH_VVU_NOTIFY_SELECT, 2, vring);
	guest_write(d, p->bar, p->offset + VH_VVU_NOTIFY_VECTOR, 2, vector);
	return (uint16_t)guest_read(d, p->bar, p->offset + VH_VVU_NOTIFY_VECTOR, 2);
}

void guest_peek(struct dev *d, uint64_t at, void *buf, size_t len)
{
	const struct vh_virtio_place *p =
		guest_place(d, VH_VVU_CAP_MEMORY, VH_VVU_SHM_MEMORY);
	uint8_t *to = buf;

	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)guest_read(d, p->bar, p->offset + at + i, 1);
}

/* ---- Its queues ---- */

static bool to_device(void *arg, const void *p, size_t len, uint64_t *gpa)
{
	const struct vh_pci_dma *dma = arg;
	const size_t at = (size_t)((const uint8_t *)p - dma->va);

	*gpa = dma->iova + at;
	return at < dma->len && len <= dma->len - at;
}

static void set_vectors(struct dev *d)
{
	/* The new ones may have the numbers of those that were closed. */
	assert_int_equal(d->host->bus->set_vectors(d->host, NULL, 0), 0);
	for (unsigned i = 0; i < DEV_VECTORS; i++) {
		d->vector[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_true(d->vector[i] >= 0);
	}
	assert_int_equal(d->host->bus->set_vectors(d->host, d->vector, DEV_VECTORS), 0);
	assert_int_equal(vh_virtio_drv_config_vector(&d->drv, 0), 0);
}

static void set_queue(struct dev *d, unsigned q)
{
	uint8_t *mem = d->dma.va + q * 0x2000;
	const uint64_t iova = d->dma.iova + q * 0x2000;
	struct vh_driver_ring_places at;

	vh_driver_ring_places(DEV_RING, 0, &at);
	assert_int_equal(
		vh_driver_ring_create(mem, DEV_RING, 0, to_device, &d->dma, &d->ring[q]),
		0);
	assert_int_equal(vh_virtio_drv_enable(&d->drv, q, DEV_RING, iova + at.desc,
					      iova + at.avail, iova + at.used,
					      (uint16_t)(1 + q)),
			 0);
}

void guest_add_rx(struct dev *d, unsigned i, uint32_t len)
{
	struct iovec iov = {d->dma.va + RX_AT + i * (size_t)RX_MAX / 2, len};

	d->rx[i] = iov.iov_base;
	assert_int_equal(vh_driver_ring_add(d->ring[VH_VVU_RXQ], &iov, 0, 1, &d->rx[i]),
			 0);
	vh_driver_ring_publish(d->ring[VH_VVU_RXQ]);
	assert_int_equal(vh_virtio_drv_notify(&d->drv, VH_VVU_RXQ), 0);
}

void guest_begin(struct dev *d, uint64_t features)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	assert_int_equal(d->host->bus->config_write(d->host, PCI_COMMAND, &command, 2),
			 0);
	features |= VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_F_ACCESS_PLATFORM);
	assert_int_equal(vh_virtio_drv_begin(&d->drv, features, features), 0);
}

void guest_map(struct dev *d)
{
	assert_int_equal(vfu_dma_map(vfu_test_bus_client(d->host), d->dma.iova,
				     d->dma.len, d->dma_fd, 0, 3),
			 0);
}

void guest_unmap(struct dev *d)
{
	assert_int_equal(
		vfu_dma_unmap(vfu_test_bus_client(d->host), d->dma.iova, d->dma.len), 0);
}

static void make_memory(struct dev *d)
{
	d->dma_fd = rig_memfd(DMA_BYTES);
	d->dma = (struct vh_pci_dma){.iova = DMA_IOVA, .len = DMA_BYTES};
	d->dma.va =
		mmap(NULL, DMA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, d->dma_fd, 0);
	assert_ptr_not_equal(d->dma.va, MAP_FAILED);
	guest_map(d);
}

void guest_set_queues(struct dev *d)
{
	forget_queues(d);
	make_memory(d);
	set_vectors(d);
	d->tx = d->dma.va + TX_AT;
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++)
		set_queue(d, q);
	vh_driver_ring_arm(d->ring[VH_VVU_RXQ]);
}

void guest_start(struct dev *d, uint64_t features)
{
	guest_begin(d, features);
	guest_set_queues(d);
	for (unsigned i = 0; !d->o.no_buffers && i < 4; i++)
		guest_add_rx(d, i, d->o.buffer ? d->o.buffer : DEV_BUFFER);
	assert_int_equal(vh_virtio_drv_ready(&d->drv), 0);
}

void guest_reset(struct dev *d)
{
	assert_int_equal(vh_virtio_drv_reset(&d->drv), 0);
	forget_queues(d);
}

/* Waits for the interrupt as a driver does: look, ask, look again, sleep. */
static uint8_t **next_rx(struct dev *d, uint32_t *len)
{
	struct pollfd p = {.fd = d->vector[1], .events = POLLIN};
	uint8_t **at;

	while (!(at = vh_driver_ring_get(d->ring[VH_VVU_RXQ], len))) {
		if (vh_driver_ring_arm(d->ring[VH_VVU_RXQ]))
			continue;
		if (poll(&p, 1, A_WHILE_MS) != 1)
			return vh_driver_ring_get(d->ring[VH_VVU_RXQ], len);
		guest_heard(d, 1);
	}
	return at;
}

int guest_recv(struct dev *d, void *msg)
{
	uint32_t len;
	uint8_t **at = next_rx(d, &len);

	if (!at)
		return -1;
	memcpy(msg, *at, len);
	if (!d->o.no_buffers)
		guest_add_rx(d, (unsigned)(at - d->rx),
			     d->o.buffer ? d->o.buffer : DEV_BUFFER);
	return (int)len;
}

void guest_expect(struct dev *d, uint32_t id)
{
	uint8_t msg[RX_MAX];
	struct vh_wire_header h;
	int len = -1;

	for (unsigned i = 0; len < 0 && i < PATIENCE_MS / A_WHILE_MS; i++)
		len = guest_recv(d, msg);
	assert_true(len >= (int)sizeof(h));
	memcpy(&h, msg, sizeof(h));
	assert_int_equal(h.request, id);
	assert_int_equal(len, sizeof(h) + h.size);
}

void guest_send(struct dev *d, const void *bytes, size_t len)
{
	struct vh_driver_ring *ring = d->ring[VH_VVU_TXQ];
	struct iovec iov = {d->tx, len ? len : 1};
	uint32_t used;

	memcpy(d->tx, bytes, len);
	assert_int_equal(vh_driver_ring_add(ring, &iov, len > 0, !len, d->tx), 0);
	vh_driver_ring_publish(ring);
	assert_int_equal(vh_virtio_drv_notify(&d->drv, VH_VVU_TXQ), 0);
	if (vh_driver_ring_get(ring, &used))
		assert_int_equal(used, 0);
}

void guest_reply(struct dev *d, uint32_t id, uint64_t value)
{
	const struct vh_wire_header h = {id, VH_FLAG_VERSION | VH_FLAG_REPLY, 8};
	uint8_t bytes[20];

	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), &value, sizeof(value));
	guest_send(d, bytes, sizeof(bytes));
}

/* ---- The front-end ---- */

void front_connect(struct dev *d)
{
	d->fd = peer_connect(d->front);
	assert_true(d->fd >= 0);
}

void front_close(struct dev *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void front_say(struct dev *d, uint32_t id, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds)
{
	peer_send(d->fd, id, VH_FLAG_VERSION, payload, size, fds, n_fds);
}

void front_say_u64(struct dev *d, uint32_t id, uint64_t value)
{
	front_say(d, id, &value, sizeof(value), NULL, 0);
}

int front_wire(struct dev *d, uint32_t id, unsigned vring)
{
	const uint64_t value = vring;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	front_say(d, id, &value, sizeof(value), &fd, 1);
	guest_expect(d, id);
	return fd;
}

void front_unwire(struct dev *d, uint32_t id, unsigned vring)
{
	front_say_u64(d, id, vring | VH_VRING_NO_FD);
	guest_expect(d, id);
}

uint64_t front_hear(struct dev *d, uint32_t id)
{
	uint8_t payload[64];
	uint32_t got, flags;
	uint64_t value;
	unsigned n_fds = 0;

	assert_int_equal(
		peer_read(d->fd, &got, &flags, payload, sizeof(payload), NULL, &n_fds),
		8);
	assert_int_equal(got, id);
	assert_int_equal(flags, VH_FLAG_VERSION | VH_FLAG_REPLY);
	memcpy(&value, payload, sizeof(value));
	return value;
}

bool front_is_closed(struct dev *d)
{
	return peer_is_closed(d->fd);
}
