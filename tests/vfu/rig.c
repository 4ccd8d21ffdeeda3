/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

/* ---- The function ---- */

static void bar0_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct rig *rig = arg;

	memcpy(buf, rig->bar0 + offset, len);
}

static int bar0_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct rig *rig = arg;

	memcpy(rig->bar0 + offset, buf, len);
	if (offset != RIG_SLOW)
		return 0;
	rig->n_pending++;
	return -EINPROGRESS;
}

static void bar2_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct rig *rig = arg;

	assert_int_equal(pread(rig->bar2, buf, len, (off_t)offset), len);
}

static int bar2_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct rig *rig = arg;

	assert_int_equal(pwrite(rig->bar2, buf, len, (off_t)offset), len);
	return 0;
}

static void make_function(struct rig *rig)
{
	static const struct vh_pci_ids ids = {
		.vendor = 0x1af4, .device = 0x1017, .class = 0xff0000, .revision = 1};
	const struct vh_pci_block bar0 = {.bar = 0,
					  .size = RIG_BAR0,
					  .read = bar0_read,
					  .write = bar0_write,
					  .arg = rig};
	const struct vh_pci_block bar2 = {.bar = 2,
					  .size = RIG_BAR2,
					  .read = bar2_read,
					  .write = bar2_write,
					  .arg = rig};

	vh_pci_init(&rig->fn, &ids);
	assert_int_equal(vh_pci_add_bar(&rig->fn, 0, RIG_BAR0, 0), 0);
	assert_int_equal(vh_pci_add_bar(&rig->fn, 2, RIG_BAR2,
					VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH),
			 0);
	assert_int_equal(vh_pci_add_bar(&rig->fn, 4, 0x2000, 0), 0);
	assert_int_equal(vh_pci_add_block(&rig->fn, &bar0), 0);
	assert_int_equal(vh_pci_add_block(&rig->fn, &bar2), 0);
	assert_int_equal(vh_pci_add_msix(&rig->fn, RIG_VECTORS, 4, 0, 0x1000), 0);
}

/* ---- The owner ---- */

static int own_read(void *arg, unsigned region, uint64_t offset, void *buf, size_t len)
{
	struct rig *rig = arg;

	if (region == 0 && offset == RIG_BROKEN)
		return -EIO;
	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_read(&rig->fn, offset, buf, len);
	return vh_pci_bar_read(&rig->fn, region, offset, buf, len);
}

static int own_write(void *arg, unsigned region, uint64_t offset, const void *buf,
		     size_t len)
{
	struct rig *rig = arg;

	if (region == 0 && offset == RIG_BROKEN)
		return -EIO;
	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_write(&rig->fn, offset, buf, len);
	return vh_pci_bar_write(&rig->fn, region, offset, buf, len);
}

static int own_reset(void *arg)
{
	struct rig *rig = arg;

	vh_pci_reset(&rig->fn);
	memset(rig->bar0, 0, sizeof(rig->bar0));
	rig->n_resets++;
	if (!rig->slow_reset)
		return 0;
	rig->n_pending++;
	return -EINPROGRESS;
}

static int own_added(void *arg, const struct vh_vfu_dma *d)
{
	struct rig *rig = arg;

	if (d->iova == RIG_UNWANTED)
		return -EACCES;
	rig->n_added++;
	if (!rig->slow_adding)
		return 0;
	rig->n_pending++;
	return -EINPROGRESS;
}

static int own_removed(void *arg, const struct vh_vfu_dma *d)
{
	struct rig *rig = arg;

	(void)d;
	rig->n_removed++;
	if (rig->slow_removal) {
		rig->n_pending++;
		return -EINPROGRESS;
	}
	vh_map_put(rig->map);
	rig->map = NULL;
	return 0;
}

static void own_vectors(void *arg, unsigned first, unsigned n)
{
	struct rig *rig = arg;

	assert_true(first + n <= RIG_VECTORS);
	rig->n_vectors += n;
}

static unsigned own_io_fds(void *arg, unsigned region, struct vh_vfu_io_fd *io,
			   unsigned max)
{
	struct rig *rig = arg;

	if (region != 0 || max < 2)
		return 0;
	io[0] = (struct vh_vfu_io_fd){
		.offset = RIG_REGISTER, .size = 4, .fd = rig->doorbell};
	io[1] = (struct vh_vfu_io_fd){
		.offset = RIG_REGISTER + 4, .size = 4, .fd = rig->doorbell};
	return 2;
}

static void own_client(void *arg, bool here)
{
	struct rig *rig = arg;

	if (here)
		rig->n_came++;
	else
		rig->n_went++;
}

static const struct vh_vfu_ops ops = {
	.read = own_read,
	.write = own_write,
	.reset = own_reset,
	.dma_added = own_added,
	.dma_removed = own_removed,
	.vectors_changed = own_vectors,
	.io_fds = own_io_fds,
	.client = own_client,
};

/* ---- Life ---- */

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig_keep_log(VH_LOG_DEBUG);
	rig->n_fds = rig_count_fds();
	strcpy(rig->dir, "/tmp/vfu-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->dir);
	snprintf(rig->address, sizeof(rig->address), "%s", rig->path);
	rig->c.fd = rig->bar2 = rig->doorbell = -1;
	*state = rig;
	return 0;
}

static void *run(void *arg)
{
	vh_reactor_run(arg);
	return NULL;
}

void rig_open(struct rig *rig)
{
	const struct vh_reactor_params params = {.size = sizeof(params),
						 .name = "server",
						 .cpu = -1,
						 .poll = VH_POLL_SLEEP};
	struct vh_vfu_shape shape = {.n_vectors = RIG_VECTORS, .intx = true};

	make_function(rig);
	rig->bar2 = rig_memory(RIG_BAR2);
	rig->doorbell = rig_eventfd();
	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape.region[i].fd = -1;
	shape.region[0].size = RIG_BAR0;
	shape.region[2] = (struct vh_vfu_region){
		.size = RIG_BAR2,
		.fd = rig->bar2,
		.n_areas = 2,
		.area = {{RIG_PAGE, RIG_PAGE}, {0x4000, RIG_BAR2 - 0x4000 - RIG_PAGE}}};
	shape.region[4].size = 0x2000;
	shape.region[VH_VFU_REGION_CONFIG].size = VH_PCI_CONFIG_SIZE;
	assert_int_equal(vh_reactor_create(&params, &rig->reactor), 0);
	assert_int_equal(vh_vfu_open(rig->reactor, rig->address, "vfu", &shape, &ops, rig,
				     &rig->v),
			 0);
	assert_int_equal(pthread_create(&rig->thread, NULL, run, rig->reactor), 0);
}

void rig_connect(struct rig *rig)
{
	assert_int_equal(vfu_connect(&rig->c, rig->path), 0);
}

void rig_close(struct rig *rig)
{
	if (!rig->reactor)
		return;
	vh_reactor_stop(rig->reactor);
	pthread_join(rig->thread, NULL);
	vh_map_put(rig->map);
	vh_vfu_close(rig->v);
	vh_reactor_destroy(rig->reactor);
	close(rig->bar2);
	close(rig->doorbell);
	rig->reactor = NULL;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	vfu_disconnect(&rig->c);
	assert_int_equal(rmdir(rig->dir), 0);
	assert_int_equal(rig_count_fds(), rig->n_fds);
	vh_log_set(VH_LOG_INFO, NULL, NULL);
	free(rig);
	return 0;
}

/* ---- The server's thread ---- */

struct errand {
	struct rig *rig;
	void (*fn)(struct rig *rig);
	const unsigned *counter;
	unsigned value;
	struct vh_vfu_stats stats;
	sem_t done;
};

static void run_errand(void *arg)
{
	struct errand *e = arg;

	if (e->fn)
		e->fn(e->rig);
	if (e->counter)
		e->value = *e->counter;
	vh_vfu_read_stats(e->rig->v, &e->stats);
	sem_post(&e->done);
}

static void send_on(struct errand *e)
{
	sem_init(&e->done, 0, 0);
	assert_int_equal(vh_reactor_post(e->rig->reactor, run_errand, e), 0);
	while (sem_wait(&e->done) < 0)
		;
	sem_destroy(&e->done);
}

void rig_do(struct rig *rig, void (*fn)(struct rig *rig))
{
	send_on(&(struct errand){.rig = rig, .fn = fn});
}

unsigned rig_get(struct rig *rig, const unsigned *counter)
{
	struct errand e = {.rig = rig, .counter = counter};

	send_on(&e);
	return e.value;
}

/* Each look is a turn of the server's loop. */
void rig_wait(struct rig *rig, const unsigned *counter, unsigned n)
{
	unsigned tries = 0;

	while (rig_get(rig, counter) != n)
		assert_true(++tries < 1000000);
}

static void resume(struct rig *rig)
{
	assert_int_equal(rig->n_pending, 1);
	rig->n_pending = 0;
	vh_map_put(rig->map);
	rig->map = NULL;
	vh_vfu_resume(rig->v, rig->result);
}

void rig_resume(struct rig *rig)
{
	rig_do(rig, resume);
}

struct vh_vfu_stats rig_stats(struct rig *rig)
{
	struct errand e = {.rig = rig};

	send_on(&e);
	return e.stats;
}

/* ---- fds ---- */

int rig_memory(uint64_t size)
{
	const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

int rig_eventfd(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

uint64_t rig_signalled(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}
