/* SPDX-License-Identifier: BSD-3-Clause */
/* The VMM's memory, which comes and goes while a device uses it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	  4096u
#define ELSEWHERE 0x100000000ull /* where there is nothing unless we map it */
#define RW	  (VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE)
#define SLOTS	  509u

static int make_file(size_t size)
{
	const int fd = memfd_create("more", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* ---- A chain whose buffer is where we like ---- */

static bool to_anywhere(void *arg, const void *p, size_t len, uint64_t *gpa)
{
	const struct vmm *m = arg;

	(void)len;
	if ((uintptr_t)p >= ELSEWHERE && (uintptr_t)p < 2 * ELSEWHERE)
		*gpa = (uintptr_t)p;
	else
		*gpa = m->mem.iova + (uint64_t)((const uint8_t *)p - m->mem.va);
	return true;
}

/* The ring of queue @q again, with buffers that need not be in the VMM's first memory. */
static void reach_everything(struct vmm *m, unsigned q)
{
	vh_driver_ring_destroy(m->ring[q]);
	memset(m->mem.va + q * VMM_RING, 0, VMM_RING);
	assert_int_equal(vh_driver_ring_create(m->mem.va + q * VMM_RING, RIG_SIZE,
					       m->drv.features, to_anywhere, m,
					       &m->ring[q]),
			 0);
}

static void add_elsewhere(struct vmm *m, unsigned q, uint64_t iova)
{
	const struct iovec iov = {.iov_base = (void *)(uintptr_t)iova, .iov_len = 64};

	vmm_add(m, q, &iov, 0, 1);
}

static void open_running(struct vmm *m, struct rig *rig)
{
	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(m, rig);
	vmm_start(m, 0, 2);
	reach_everything(m, 0);
	reach_everything(m, 1);
}

static void close_all(struct vmm *m, struct rig *rig)
{
	vmm_close(m);
	rig_end(rig);
}

static void map(struct vmm *m, uint64_t iova, size_t size, uint32_t flags)
{
	const int fd = make_file(size);

	assert_int_equal(vfu_dma_map(m->c, iova, size, fd, 0, flags), 0);
	close(fd);
}

static unsigned count_regions(struct rig *rig)
{
	return rig_stats(rig).n_regions;
}

/* ---- Coming ---- */

static void memory_that_comes_while_rings_run_is_used(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, PAGE, RW);
	add_elsewhere(&m, 0, ELSEWHERE);
	vmm_get(&m, 0);
	close_all(&m, rig);
}

static void memory_comes_to_the_device_when_its_driver_is_ready(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	for (unsigned i = 0; i < 300; i++) {
		map(&m, ELSEWHERE + i * PAGE, PAGE, RW);
		if (i % 3)
			assert_int_equal(vfu_dma_unmap(m.c, ELSEWHERE + i * PAGE, PAGE),
					 0);
	}
	vmm_begin(&m, 0);
	assert_int_equal(count_regions(rig), 0);
	vmm_start(&m, 0, 1);
	assert_int_equal(count_regions(rig), 1 + 100);
	vmm_use(&m, 0);
	close_all(&m, rig);
}

static void it_stays_over_a_reset(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, PAGE, RW);
	assert_int_equal(vfu_reset(m.c), 0);
	assert_int_equal(count_regions(rig), 2);
	assert_int_equal(vfu_dma_unmap(m.c, ELSEWHERE, PAGE), 0);
	assert_int_equal(count_regions(rig), 1);
	close_all(&m, rig);
}

static void memory_without_a_file_is_a_hole(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	assert_int_equal(vfu_dma_map(m.c, ELSEWHERE, PAGE, -1, 0, RW), 0);
	assert_int_equal(count_regions(rig), 1);
	vmm_use(&m, 0);
	add_elsewhere(&m, 0, ELSEWHERE);
	vmm_expect_broken(&m);
	close_all(&m, rig);
}

/* As a guest's IOMMU has it of what a disk is to write. */
static void memory_that_is_to_be_read_is_not_written(void **state)
{
	const struct iovec iov = {.iov_base = (void *)ELSEWHERE, .iov_len = 64};
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, PAGE, VH_VFU_DMA_READABLE);
	vmm_add(&m, 0, &iov, 1, 0);
	vmm_get(&m, 0);
	add_elsewhere(&m, 1, ELSEWHERE);
	vmm_expect_broken(&m);
	assert_int_equal(rig_logged("only to be read"), 1);
	close_all(&m, rig);
}

static void no_ring_is_in_memory_that_is_to_be_read(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, 0x4000, VH_VFU_DMA_READABLE);
	vmm_begin(&m, 0);
	assert_int_equal(vh_virtio_drv_enable(&m.drv, 0, 256, ELSEWHERE,
					      ELSEWHERE + 0x1000, ELSEWHERE + 0x2000,
					      0xffff),
			 0);
	assert_int_equal(vh_virtio_drv_ready(&m.drv), 0);
	assert_int_equal(vh_virtio_drv_notify(&m.drv, 0), 0);
	vmm_start(&m, 0, 2);
	vmm_use(&m, 0);
	close_all(&m, rig);
}

static void memory_of_a_kind_that_is_not_taken_is_a_hole(void **state)
{
	struct rig *rig = *state;
	char name[] = "/var/tmp/vpci.XXXXXX";
	const int fd = mkstemp(name);
	struct vmm m;

	unlink(name);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	open_running(&m, rig);
	if (vfu_dma_map(m.c, ELSEWHERE, PAGE, fd, 0, RW) == 0 && count_regions(rig) == 1)
		assert_true(rig_logged("any-memory=on"));
	vmm_use(&m, 0);
	close(fd);
	close_all(&m, rig);
}

/* ---- Going ---- */

static void what_goes_is_answered_when_no_chain_is_in_it(void **state)
{
	const struct vh_vfu_dma_unmap u = {
		.argsz = sizeof(u), .iova = ELSEWHERE, .size = PAGE};
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, PAGE, RW);
	keeper_keep(&rig->keeper);
	add_elsewhere(&m, 0, ELSEWHERE);
	keeper_wait(&rig->keeper, 1);
	assert_int_equal(vfu_send(m.c, VH_VFU_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0), 0);
	assert_true(vmm_hears_nothing(&m));
	keeper_let_go(&rig->keeper);
	assert_int_equal(vfu_recv(m.c), 0);
	assert_int_equal(m.c->reply.flags, VH_VFU_REPLY);
	vmm_get(&m, 0);
	close_all(&m, rig);
}

static void rings_run_on_meanwhile(void **state)
{
	const struct vh_vfu_dma_unmap u = {
		.argsz = sizeof(u), .iova = ELSEWHERE, .size = PAGE};
	struct rig *rig = *state;
	struct vh_signal *kick;
	struct vmm m;
	struct iovec iov;

	open_running(&m, rig);
	iov = (struct iovec){.iov_base = vmm_buffer(&m, 0), .iov_len = 64};
	assert_int_equal(m.host->bus->signal(m.host, m.drv.notify.bar,
					     m.drv.notify.offset + 4, 2, 1, &kick),
			 0);
	map(&m, ELSEWHERE, PAGE, RW);
	keeper_keep(&rig->keeper);
	add_elsewhere(&m, 0, ELSEWHERE);
	keeper_wait(&rig->keeper, 1);
	assert_int_equal(vfu_send(m.c, VH_VFU_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(vh_driver_ring_add(m.ring[1], &iov, 0, 1, &iov), 0);
		vh_driver_ring_publish(m.ring[1]);
		vh_signal_fire(kick);
		vmm_get(&m, 1);
	}
	keeper_let_go(&rig->keeper);
	assert_int_equal(vfu_recv(m.c), 0);
	vh_signal_put(kick);
	close_all(&m, rig);
}

static void what_is_gone_is_not_reached_any_more(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	map(&m, ELSEWHERE, PAGE, RW);
	add_elsewhere(&m, 0, ELSEWHERE);
	vmm_get(&m, 0);
	assert_int_equal(vfu_dma_unmap(m.c, ELSEWHERE, PAGE), 0);
	assert_int_equal(count_regions(rig), 1);
	add_elsewhere(&m, 0, ELSEWHERE);
	vmm_expect_broken(&m);
	close_all(&m, rig);
}

static void other_memory_at_the_same_place_is_other_memory(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 50; i++) {
		map(&m, ELSEWHERE, PAGE, RW);
		add_elsewhere(&m, 0, ELSEWHERE);
		vmm_get(&m, 0);
		assert_int_equal(vfu_dma_unmap(m.c, ELSEWHERE, PAGE), 0);
	}
	close_all(&m, rig);
}

/* A ring's own memory may go under it; the ring runs again when it is back. */
static void a_ring_waits_for_its_memory(void **state)
{
	struct rig *rig = *state;
	const int fd = make_file(VMM_MEMORY);
	struct vmm m;

	open_running(&m, rig);
	vmm_use(&m, 0);
	assert_int_equal(vfu_dma_unmap(m.c, m.mem.iova, m.mem.len), 0);
	assert_int_equal(pwrite(fd, m.mem.va, m.mem.len, 0), m.mem.len);
	munmap(m.mem.va, m.mem.len);
	assert_ptr_equal(mmap(m.mem.va, m.mem.len, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 m.mem.va);
	assert_int_equal(vfu_dma_map(m.c, m.mem.iova, m.mem.len, fd, 0, RW), 0);
	vmm_use(&m, 0);
	close(fd);
	close_all(&m, rig);
}

/* ---- Too much of it ---- */

static void as_much_as_there_are_slots_is_taken(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < SLOTS - 1; i++)
		map(&m, ELSEWHERE + 2 * i * PAGE, PAGE, RW);
	assert_int_equal(count_regions(rig), SLOTS);
	add_elsewhere(&m, 0, ELSEWHERE + 2 * (SLOTS - 2) * PAGE);
	vmm_get(&m, 0);
	close_all(&m, rig);
}

static void more_of_it_needs_a_reset_and_the_log_says_what_to_do(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 600; i++)
		map(&m, ELSEWHERE + 2 * i * PAGE, PAGE, RW);
	vmm_expect_broken(&m);
	assert_int_equal(rig_logged("iommu=pt"), 1);
	assert_int_equal(vfu_dma_unmap(m.c, ELSEWHERE, 1200 * PAGE), 0);
	vmm_start(&m, 0, 2);
	vmm_use(&m, 1);
	close_all(&m, rig);
}

static void more_of_it_when_the_driver_becomes_ready_is_told_too(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	for (unsigned i = 0; i < 600; i++)
		map(&m, ELSEWHERE + 2 * i * PAGE, PAGE, RW);
	vmm_start(&m, 0, 1);
	vmm_expect_broken(&m);
	assert_int_equal(rig_logged("iommu=pt"), 1);
	close_all(&m, rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(memory_that_comes_while_rings_run_is_used),
		RIG_TEST(memory_comes_to_the_device_when_its_driver_is_ready),
		RIG_TEST(it_stays_over_a_reset),
		RIG_TEST(memory_without_a_file_is_a_hole),
		RIG_TEST(memory_that_is_to_be_read_is_not_written),
		RIG_TEST(no_ring_is_in_memory_that_is_to_be_read),
		RIG_TEST(memory_of_a_kind_that_is_not_taken_is_a_hole),
		RIG_TEST(what_goes_is_answered_when_no_chain_is_in_it),
		RIG_TEST(rings_run_on_meanwhile),
		RIG_TEST(what_is_gone_is_not_reached_any_more),
		RIG_TEST(other_memory_at_the_same_place_is_other_memory),
		RIG_TEST(a_ring_waits_for_its_memory),
		RIG_TEST(as_much_as_there_are_slots_is_taken),
		RIG_TEST(more_of_it_needs_a_reset_and_the_log_says_what_to_do),
		RIG_TEST(more_of_it_when_the_driver_becomes_ready_is_told_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
