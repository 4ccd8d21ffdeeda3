/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices as a guest's drivers use them: data, configuration, features. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "dev/blk/blk.h"
#include "dev/rng/rng.h"
#include "spec/vhost_user.h"

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)

static const struct vh_param four_mebibytes[] = {
	{"memory", "4M"}, {"num-queues", "2"}, {"serial", "here"}, {NULL, NULL}};

/* ---- A disk's requests ---- */

#define SECTORS 8u

static void request(struct vmm *m, unsigned q, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *header = (void *)vmm_buffer(m, 0);
	uint8_t *data = vmm_buffer(m, 0x1000), *status = vmm_buffer(m, 0x800);
	const struct iovec iov[] = {
		{.iov_base = header, .iov_len = sizeof(*header)},
		{.iov_base = data, .iov_len = 512 * SECTORS},
		{.iov_base = status, .iov_len = 1},
	};
	const bool is_write = type == VIRTIO_BLK_T_OUT;

	*header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*status = 0xff;
	vmm_add(m, q, iov, is_write ? 2 : 1, is_write ? 1 : 2);
	vmm_get(m, q);
	assert_int_equal(*status, VIRTIO_BLK_S_OK);
}

static void fill(uint8_t *data, unsigned seed)
{
	for (unsigned i = 0; i < 512 * SECTORS; i++)
		data[i] = (uint8_t)(seed * 31 + i * 7 + i / 256);
}

static void write_and_verify(struct vmm *m, unsigned seed)
{
	uint8_t *data = vmm_buffer(m, 0x1000), was[512 * SECTORS];

	for (unsigned i = 0; i < 32; i++) {
		fill(data, seed + i);
		request(m, i % 2, VIRTIO_BLK_T_OUT, SECTORS * i);
	}
	for (unsigned i = 0; i < 32; i++) {
		fill(was, seed + i);
		memset(data, 0, sizeof(was));
		request(m, (i + 1) % 2, VIRTIO_BLK_T_IN, SECTORS * i);
		assert_memory_equal(data, was, sizeof(was));
	}
}

/* ---- Data ---- */

static void a_disk_reads_what_was_written(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 2);
	write_and_verify(&m, 1);
	vmm_close(&m);
	rig_end(rig);
}

static void random_numbers_arrive(void **state)
{
	struct rig *rig = *state;
	uint8_t any = 0;
	struct vmm m;

	rig_serve(rig, &vh_rng, NULL);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 1);
	for (unsigned i = 0; i < 100; i++) {
		const struct iovec iov = {.iov_base = vmm_buffer(&m, 0), .iov_len = 64};

		vmm_add(&m, 0, &iov, 0, 1);
		assert_int_equal(vmm_get(&m, 0), 64);
		for (unsigned k = 0; k < 64; k++)
			any |= vmm_buffer(&m, 0)[k];
	}
	assert_int_not_equal(any, 0);
	vmm_close(&m);
	rig_end(rig);
}

/* As a firmware, a boot loader and a kernel do, one after the other. */
static void each_driver_negotiates_for_itself(void **state)
{
	static const uint64_t wanted[] = {0, EVENT_IDX, INDIRECT, EVENT_IDX | INDIRECT};
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	for (unsigned i = 0; i < 8; i++) {
		vmm_start(&m, wanted[i % 4], 2);
		assert_int_equal(m.drv.features & (EVENT_IDX | INDIRECT), wanted[i % 4]);
		write_and_verify(&m, i);
	}
	vmm_close(&m);
	rig_end(rig);
}

static void what_a_disk_holds_outlives_the_vmm(void **state)
{
	struct rig *rig = *state;
	uint8_t was[512 * SECTORS];
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 2);
	fill(vmm_buffer(&m, 0x1000), 5);
	request(&m, 0, VIRTIO_BLK_T_OUT, 100);
	vmm_close(&m);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 2);
	request(&m, 1, VIRTIO_BLK_T_IN, 100);
	fill(was, 5);
	assert_memory_equal(vmm_buffer(&m, 0x1000), was, sizeof(was));
	vmm_close(&m);
	rig_end(rig);
}

/* ---- What it says of itself ---- */

static void it_is_the_pci_device_that_qemu_has_for_it(void **state)
{
	struct rig *rig = *state;
	uint8_t id[PCI_REVISION_ID + 4];
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	assert_int_equal(m.host->bus->config_read(m.host, 0, id, sizeof(id)), 0);
	assert_memory_equal(id, "\xf4\x1a\x42\x10", 4);
	assert_memory_equal(id + PCI_REVISION_ID, "\x01\x00\x00\x01", 4);
	vmm_close(&m);
	rig_end(rig);
}

static void features_of_the_transport_are_ours_and_not_the_guests(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_begin(&m, UINT64_MAX);
	assert_true(m.drv.features >> VIRTIO_F_ACCESS_PLATFORM & 1);
	assert_true(m.drv.features >> VIRTIO_F_RING_RESET & 1);
	assert_false(m.drv.features >> VH_F_LOG_ALL & 1);
	assert_false(m.drv.features >> VH_F_PROTOCOL_FEATURES & 1);
	assert_int_equal(rig_stats(rig).features & (1ull << VIRTIO_F_ACCESS_PLATFORM |
						    1ull << VIRTIO_F_RING_RESET),
			 0);
	vmm_close(&m);
	rig_end(rig);
}

static void a_driver_without_version_1_is_not_taken(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_rng, NULL);
	vmm_open(&m, rig);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	assert_int_equal(vh_virtio_drv_status(&m.drv), 3);
	vmm_close(&m);
	rig_end(rig);
}

/* ---- Configuration ---- */

static uint64_t config(struct vmm *m, unsigned offset, unsigned width)
{
	uint64_t value = 0;

	assert_int_equal(vh_virtio_drv_read_config(&m->drv, offset, width, &value), 0);
	return value;
}

static void configuration_is_the_devices(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_begin(&m, 0);
	assert_int_equal(config(&m, 0, 4), (4 << 20) / 512);
	assert_int_equal(config(&m, offsetof(struct virtio_blk_config, num_queues), 2),
			 2);
	vmm_close(&m);
	rig_end(rig);
}

static void what_the_driver_writes_is_there_when_it_reads(void **state)
{
	const unsigned wce = offsetof(struct virtio_blk_config, wce);
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vh_virtio_drv_write_config(&m.drv, wce, 1, i & 1), 0);
		assert_int_equal(config(&m, wce, 1), i & 1);
	}
	vmm_close(&m);
	rig_end(rig);
}

static void what_the_device_refuses_does_not_stay(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &vh_blk, four_mebibytes);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 1);
	assert_int_equal(vh_virtio_drv_write_config(&m.drv, 0, 4, 1), 0);
	assert_int_equal(config(&m, 0, 4), (4 << 20) / 512);
	vmm_close(&m);
	rig_end(rig);
}

static void refresh(struct rig *rig)
{
	assert_int_equal(vh_server_refresh(rig->pair.server, rig->device), 0);
}

static void a_disk_that_grows_tells_its_driver(void **state)
{
	struct rig *rig = *state;
	char file[64];
	const struct vh_param params[] = {{"file", file}, {NULL, NULL}};
	struct vmm m;
	uint64_t generation;
	int fd;

	snprintf(file, sizeof(file), "%s/disk", rig->dir);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	rig_serve(rig, &vh_blk, params);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 1);
	generation = vmm_common(&m, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	assert_int_equal(config(&m, 0, 4), (1 << 20) / 512);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	rig_do(rig, refresh);
	vmm_wait(m.vector[0]);
	assert_int_equal(config(&m, 0, 4), (2 << 20) / 512);
	assert_int_not_equal(vmm_common(&m, VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			     generation);
	vmm_close(&m);
	rig_end(rig);
	close(fd);
	unlink(file);
}

/* ---- What it is not for ---- */

static void a_network_device_is_refused_and_why(void **state)
{
	struct rig *rig = *state;
	struct vh_device_ops net = vh_rng;

	net.virtio_id = VIRTIO_ID_NET;
	pair_open(&rig->pair, 1, VH_POLL_SLEEP);
	assert_int_equal(
		vh_server_add(rig->pair.server, &net, NULL, rig->address, NULL, 0, NULL),
		-ENOTSUP);
	assert_int_equal(rig_logged("use unix:PATH"), 1);
	vh_server_destroy(rig->pair.server);
	vh_reactor_destroy(rig->pair.reactor[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_disk_reads_what_was_written),
		RIG_TEST(random_numbers_arrive),
		RIG_TEST(each_driver_negotiates_for_itself),
		RIG_TEST(what_a_disk_holds_outlives_the_vmm),
		RIG_TEST(it_is_the_pci_device_that_qemu_has_for_it),
		RIG_TEST(features_of_the_transport_are_ours_and_not_the_guests),
		RIG_TEST(a_driver_without_version_1_is_not_taken),
		RIG_TEST(configuration_is_the_devices),
		RIG_TEST(what_the_driver_writes_is_there_when_it_reads),
		RIG_TEST(what_the_device_refuses_does_not_stay),
		RIG_TEST(a_disk_that_grows_tells_its_driver),
		RIG_TEST(a_network_device_is_refused_and_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
