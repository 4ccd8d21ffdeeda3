/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers and VMMs that do what they must not: nobody is hurt but themselves. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOWHERE	   0x7000000000ull
#define BEGUN	   (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define NEGOTIATED (BEGUN | VIRTIO_CONFIG_S_FEATURES_OK)

static void open_device(struct vmm *m, struct rig *rig)
{
	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(m, rig);
}

/* It still serves who behaves. */
static void close_all(struct vmm *m, struct rig *rig)
{
	vmm_start(m, 0, 2);
	vmm_use(m, 0);
	vmm_use(m, 1);
	vmm_close(m);
	rig_end(rig);
}

static void notify(struct vmm *m, unsigned q)
{
	assert_int_equal(m->host->bus->write(m->host, m->drv.notify.bar,
					     m->drv.notify.offset + 4 * q, 2, q),
			 0);
}

/* ---- Queues ---- */

static void set_queue(struct vmm *m, unsigned q, uint64_t size, uint64_t desc,
		      uint64_t avail, uint64_t used)
{
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_DESCLO, 8, desc);
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, avail);
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_USEDLO, 8, used);
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void rings_outside_of_memory_do_nothing(void **state)
{
	struct rig *rig = *state;
	struct vmm m;
	uint64_t end;

	open_device(&m, rig);
	end = m.mem.iova + m.mem.len;
	for (unsigned i = 0; i < 6; i++) {
		const uint64_t at[] = {NOWHERE,	 0,	     ~0ull & ~15ull,
				       end - 64, 1ull << 63, m.mem.iova - 16};

		vmm_begin(&m, 0);
		set_queue(&m, 0, 256, at[i], at[i], at[i]);
		set_queue(&m, 1, 256, m.mem.iova, m.mem.iova + 8192, at[i]);
		assert_int_equal(vh_virtio_drv_ready(&m.drv), 0);
		notify(&m, 0);
		notify(&m, 1);
	}
	close_all(&m, rig);
}

static void sizes_that_no_queue_has_are_not_taken(void **state)
{
	static const uint64_t sizes[] = {0, 3, 255, 257, 512, 32768, 65535};
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_begin(&m, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vmm_set_common(&m, VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[i]);
		assert_int_equal(vmm_common(&m, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	}
	close_all(&m, rig);
}

static void queues_that_are_not_there_are_not_enabled(void **state)
{
	static const unsigned queues[] = {2, 3, 255, 256, 65535};
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_begin(&m, 0);
	for (unsigned i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		set_queue(&m, queues[i], 256, m.mem.iova, m.mem.iova, m.mem.iova);
		assert_int_equal(vmm_common(&m, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
	close_all(&m, rig);
}

/* Both work on the same bytes: that is the driver's loss. */
static void two_queues_in_one_ring_do_no_harm(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_begin(&m, 0);
	for (unsigned q = 0; q < 2; q++)
		set_queue(&m, q, 256, m.mem.iova, m.mem.iova + 4096, m.mem.iova + 8192);
	memset(m.mem.va, 0x5a, m.mem.len);
	assert_int_equal(vh_virtio_drv_ready(&m.drv), 0);
	notify(&m, 0);
	notify(&m, 1);
	close_all(&m, rig);
}

static void rubbish_in_a_ring_needs_a_reset(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	for (unsigned i = 0; i < 10; i++) {
		vmm_start(&m, 0, 2);
		memset(m.mem.va, 0xa5, VMM_RING);
		notify(&m, 0);
		vmm_expect_broken(&m);
	}
	close_all(&m, rig);
}

/* ---- Order ---- */

static void notifications_before_driver_ok_are_not_lost_and_do_no_harm(void **state)
{
	struct rig *rig = *state;
	struct iovec iov;
	struct vmm m;

	open_device(&m, rig);
	notify(&m, 0);
	vmm_begin(&m, 0);
	notify(&m, 1);
	assert_int_equal(m.host->bus->set_vectors(m.host, m.vector, 3), 0);
	vmm_enable(&m, 0);
	iov = (struct iovec){.iov_base = vmm_buffer(&m, 0), .iov_len = 64};
	vmm_add(&m, 0, &iov, 0, 1);
	assert_int_equal(vh_virtio_drv_ready(&m.drv), 0);
	vmm_get(&m, 0);
	close_all(&m, rig);
}

static void driver_ok_without_features_is_not_taken(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1,
		       BEGUN | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(vh_virtio_drv_status(&m.drv), BEGUN);
	close_all(&m, rig);
}

static void features_do_not_change_while_they_are_in_force(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_begin(&m, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
	assert_int_equal(vmm_common(&m, VIRTIO_PCI_COMMON_GF, 4), 0);
	assert_int_equal(vh_virtio_drv_status(&m.drv), NEGOTIATED);
	close_all(&m, rig);
}

static void a_ring_that_runs_stays_where_it_is(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_device(&m, rig);
	vmm_start(&m, 0, 2);
	set_queue(&m, 0, 8, NOWHERE, NOWHERE, NOWHERE);
	vmm_use(&m, 0);
	close_all(&m, rig);
}

/* ---- Anything ---- */

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

static void anything_written_anywhere_does_no_harm(void **state)
{
	static const unsigned widths[] = {1, 2, 4, 8};
	struct rig *rig = *state;
	uint32_t x = 2463534242u;
	struct vmm m;

	open_device(&m, rig);
	vmm_start(&m, 0, 2);
	for (unsigned i = 0; i < 20000; i++) {
		const unsigned width = widths[next_random(&x) % 4];
		const uint32_t block = next_random(&x) % 8 ? 0 : next_random(&x) % 4;
		const uint64_t offset = block * 0x1000 + next_random(&x) % 64;
		uint64_t value = next_random(&x);

		if (next_random(&x) % 4)
			value &= 0x1f;
		assert_int_equal(vfu_write(m.c, 0, offset, &value, width), 0);
		if (i % 64 == 0)
			vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		if (i % 64 == 1)
			vmm_begin(&m, 0);
	}
	close_all(&m, rig);
}

static void pieces_of_memory_of_any_kind_do_no_harm(void **state)
{
	struct rig *rig = *state;
	const int fd = memfd_create("m", MFD_CLOEXEC), zero = dup(0);
	uint32_t x = 88172645u;
	struct vmm m;

	assert_int_equal(ftruncate(fd, 0x10000), 0);
	open_device(&m, rig);
	vmm_start(&m, 0, 2);
	for (unsigned i = 0; i < 3000; i++) {
		const uint64_t at = NOWHERE + next_random(&x) % 32 * 4096;
		const uint64_t len = (1 + next_random(&x) % 4) * 4096;
		const uint32_t kind = next_random(&x) % 8;

		if (next_random(&x) % 2)
			vfu_dma_map(m.c, at, len,
				    kind == 0	? zero
				    : kind == 1 ? -1
						: fd,
				    next_random(&x) % 20 * 4096, kind % 4);
		else
			vfu_dma_unmap(m.c, at, len);
	}
	vmm_use(&m, 0);
	assert_true(vfu_dma_unmap(m.c, NOWHERE, 36 * 4096) <= 0);
	close(fd);
	close(zero);
	close_all(&m, rig);
}

static void a_vmm_that_goes_at_any_message_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	for (unsigned n = 0; n < 60; n++) {
		vmm_open(&m, rig);
		vmm_begin(&m, 0);
		for (unsigned i = 0; i < n; i++) {
			const uint8_t status = i % 7 ? NEGOTIATED | 4 : 0;

			/* Nobody waits for what these do. */
			assert_int_equal(
				vfu_post(m.c, 0, i % 2 ? 0x14 : 0x1c, &status, 1), 0);
		}
		vfu_disconnect(m.c);
		vmm_close(&m);
	}
	vmm_open(&m, rig);
	close_all(&m, rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(rings_outside_of_memory_do_nothing),
		RIG_TEST(sizes_that_no_queue_has_are_not_taken),
		RIG_TEST(queues_that_are_not_there_are_not_enabled),
		RIG_TEST(two_queues_in_one_ring_do_no_harm),
		RIG_TEST(rubbish_in_a_ring_needs_a_reset),
		RIG_TEST(notifications_before_driver_ok_are_not_lost_and_do_no_harm),
		RIG_TEST(driver_ok_without_features_is_not_taken),
		RIG_TEST(features_do_not_change_while_they_are_in_force),
		RIG_TEST(a_ring_that_runs_stays_where_it_is),
		RIG_TEST(anything_written_anywhere_does_no_harm),
		RIG_TEST(pieces_of_memory_of_any_kind_do_no_harm),
		RIG_TEST(a_vmm_that_goes_at_any_message_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
