/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define TIMEOUT_MS 20000
#define SOON_MS	   50 /* what a server would have done by then, had it not to wait */

/* ---- The server ---- */

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_keep_log(VH_LOG_INFO);
	rig->n_fds = rig_count_fds();
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/vpci.XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/s", rig->dir);
	snprintf(rig->address, sizeof(rig->address), "vfio-user:%s", rig->path);
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;
	const bool is_clean = rmdir(rig->dir) == 0 && rig_count_fds() == rig->n_fds;

	free(rig);
	return is_clean ? 0 : -1;
}

void rig_serve(struct rig *rig, const struct vh_device_ops *ops,
	       const struct vh_param *params)
{
	size_t n = 0;

	while (params && params[n].key)
		n++;
	pair_open(&rig->pair, 2, VH_POLL_SLEEP);
	assert_int_equal(vh_server_add(rig->pair.server, ops, &rig->keeper, rig->address,
				       params, n, &rig->device),
			 0);
	pair_start(&rig->pair);
}

void rig_end(struct rig *rig)
{
	pair_end(&rig->pair);
}

struct call {
	struct rig *rig;
	void (*fn)(struct rig *rig);
	sem_t done;
};

static void call_it(void *arg)
{
	struct call *c = arg;

	c->fn(c->rig);
	sem_post(&c->done);
}

void rig_do(struct rig *rig, void (*fn)(struct rig *rig))
{
	struct call c = {.rig = rig, .fn = fn};

	sem_init(&c.done, 0, 0);
	assert_int_equal(vh_reactor_post(rig->pair.reactor[0], call_it, &c), 0);
	assert_int_equal(TEMP_FAILURE_RETRY(sem_wait(&c.done)), 0);
	sem_destroy(&c.done);
}

static void read_stats(struct rig *rig)
{
	vh_device_read_stats(rig->device, &rig->stats);
}

struct vh_device_stats rig_stats(struct rig *rig)
{
	rig_do(rig, read_stats);
	return rig->stats;
}

/* ---- The VMM ---- */

static int address_of(const struct rig *rig, char *to, size_t size)
{
	return snprintf(to, size, "test:%s", rig->path);
}

static void become_master(struct vmm *m)
{
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	assert_int_equal(m->host->bus->config_write(m->host, PCI_COMMAND, &command,
						    sizeof(command)),
			 0);
}

void vmm_open(struct vmm *m, const struct rig *rig)
{
	static bool has_bus;
	char address[96];

	if (!has_bus)
		vfu_test_bus_add();
	has_bus = true;
	address_of(rig, address, sizeof(address));
	*m = (struct vmm){0};
	assert_int_equal(vh_pci_open(address, "vmm", &m->host), 0);
	m->c = vfu_test_bus_client(m->host);
	assert_int_equal(vh_virtio_drv_init(&m->drv, m->host), 0);
	become_master(m);
	assert_int_equal(m->host->bus->dma_alloc(m->host, VMM_MEMORY, &m->mem), 0);
	for (unsigned i = 0; i <= RIG_QUEUES; i++)
		m->vector[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void vmm_close(struct vmm *m)
{
	for (unsigned q = 0; q < RIG_QUEUES; q++)
		vh_driver_ring_destroy(m->ring[q]);
	for (unsigned i = 0; i <= RIG_QUEUES; i++)
		close(m->vector[i]);
	m->host->bus->dma_free(m->host, &m->mem);
	vh_pci_close(m->host);
}

void vmm_begin(struct vmm *m, uint64_t wanted)
{
	assert_int_equal(vh_virtio_drv_begin(&m->drv, wanted, VERSION_1), 0);
}

static bool to_device(void *arg, const void *p, size_t len, uint64_t *gpa)
{
	const struct vmm *m = arg;
	const size_t at = (size_t)((const uint8_t *)p - m->mem.va);

	*gpa = m->mem.iova + at;
	return at <= m->mem.len && len <= m->mem.len - at;
}

void vmm_enable(struct vmm *m, unsigned q)
{
	uint8_t *const at = m->mem.va + q * VMM_RING;
	const uint64_t iova = m->mem.iova + q * VMM_RING;
	struct vh_driver_ring_places p;

	memset(at, 0, VMM_RING);
	vh_driver_ring_destroy(m->ring[q]);
	assert_int_equal(vh_driver_ring_create(at, RIG_SIZE, m->drv.features, to_device,
					       m, &m->ring[q]),
			 0);
	vh_driver_ring_places(RIG_SIZE, m->drv.features, &p);
	assert_int_equal(vh_virtio_drv_enable(&m->drv, q, RIG_SIZE, iova + p.desc,
					      iova + p.avail, iova + p.used,
					      (uint16_t)(1 + q)),
			 0);
}

void vmm_start(struct vmm *m, uint64_t wanted, unsigned n)
{
	vmm_begin(m, wanted);
	assert_int_equal(m->host->bus->set_vectors(m->host, m->vector, 1 + n), 0);
	assert_int_equal(vh_virtio_drv_config_vector(&m->drv, 0), 0);
	for (unsigned q = 0; q < n; q++)
		vmm_enable(m, q);
	assert_int_equal(vh_virtio_drv_ready(&m->drv), 0);
}

/* ---- Chains ---- */

uint8_t *vmm_buffer(const struct vmm *m, size_t offset)
{
	return m->mem.va + VMM_BUFFERS + offset;
}

void vmm_add(struct vmm *m, unsigned q, const struct iovec *iov, unsigned n_out,
	     unsigned n_in)
{
	assert_int_equal(
		vh_driver_ring_add(m->ring[q], iov, n_out, n_in, iov[0].iov_base), 0);
	if (vh_driver_ring_publish(m->ring[q]))
		assert_int_equal(vh_virtio_drv_notify(&m->drv, q), 0);
}

void vmm_wait(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	assert_int_equal(TEMP_FAILURE_RETRY(poll(&p, 1, TIMEOUT_MS)), 1);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
}

bool vmm_is_quiet(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) < 0 && errno == EAGAIN;
}

uint32_t vmm_get(struct vmm *m, unsigned q)
{
	uint32_t len = 0;

	while (!vh_driver_ring_get(m->ring[q], &len)) {
		assert_null(vh_driver_ring_why(m->ring[q]));
		if (!vh_driver_ring_arm(m->ring[q]))
			vmm_wait(m->vector[1 + q]);
	}
	return len;
}

static bool is_late(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 > TIMEOUT_MS;
}

uint32_t vmm_poll(struct vmm *m, unsigned q)
{
	struct timespec since;
	uint32_t len = 0;

	clock_gettime(CLOCK_MONOTONIC, &since);
	while (!vh_driver_ring_get(m->ring[q], &len)) {
		assert_false(is_late(&since));
		sched_yield();
	}
	return len;
}

void vmm_use(struct vmm *m, unsigned q)
{
	const struct iovec iov = {.iov_base = vmm_buffer(m, 0), .iov_len = 64};

	vmm_add(m, q, &iov, 0, 1);
	vmm_get(m, q);
}

bool vmm_hears_nothing(const struct vmm *m)
{
	struct pollfd p = {.fd = m->c->fd, .events = POLLIN};

	return TEMP_FAILURE_RETRY(poll(&p, 1, SOON_MS)) == 0;
}

void vmm_expect_broken(struct vmm *m)
{
	int status;

	vmm_wait(m->vector[0]);
	status = vh_virtio_drv_status(&m->drv);
	assert_true(status >= 0 && status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

uint64_t vmm_common(struct vmm *m, unsigned offset, unsigned width)
{
	uint64_t value = 0;

	assert_int_equal(m->host->bus->read(m->host, m->drv.common.bar,
					    m->drv.common.offset + offset, width, &value),
			 0);
	return value;
}

void vmm_set_common(struct vmm *m, unsigned offset, unsigned width, uint64_t value)
{
	assert_int_equal(m->host->bus->write(m->host, m->drv.common.bar,
					     m->drv.common.offset + offset, width, value),
			 0);
}
