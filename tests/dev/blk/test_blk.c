/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk and a driver that keeps the rules; and one that asks for what cannot be had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"

#define LOOP "loop:blk"

static const char *const memory[] = {"memory=8M", "serial=cannot fly", NULL};

static void open_memory(struct disk *d)
{
	disk_open(d, LOOP, memory, ALL_RING_FEATURES | ALL_BLK_FEATURES, 1);
}

/* ---- Data ---- */

static void what_was_written_is_read_back_in_any_split(void **state)
{
	static const struct cuts all[] = {
		{0, 0, false},	 {1, 0, false}, {16, 512, false}, {7, 100, false},
		{3, 4096, true}, {0, 0, true},	{1, 513, true},	  {5, 1, false},
	};
	struct disk d;

	(void)state;
	for (uint64_t ring = 0; ring < 4; ring++) {
		disk_open(&d, LOOP, memory,
			  ALL_BLK_FEATURES | (ring & 1) << VIRTIO_RING_F_INDIRECT_DESC |
				  (ring >> 1) << VIRTIO_RING_F_EVENT_IDX,
			  1);
		for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			const size_t len = all[i].data == 1 ? 512 : 32768;
			struct cuts in = all[i], out = all[i];
			uint32_t used;

			out.status_with_data = false;
			disk_fill(&d, i, len);
			assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_OUT, 100, len, true,
						 &out, &used),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(used, 1);
			memset(d.data, 0, len);
			assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_IN, 100, len, false,
						 &in, &used),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(used, len + 1);
			assert_true(disk_has(&d, i, len));
		}
		disk_close(&d);
	}
}

static void all_queues_lead_to_the_same_blocks(void **state)
{
	static const char *const params[] = {"memory=8M", "num-queues=5", NULL};
	struct disk d;

	(void)state;
	disk_open(&d, LOOP, params, ALL_RING_FEATURES | ALL_BLK_FEATURES, 5);
	for (unsigned i = 0; i < 5; i++) {
		disk_fill(&d, i, SECTOR);
		assert_int_equal(
			disk_do(&d, i, VIRTIO_BLK_T_OUT, i, SECTOR, true, NULL, NULL),
			VIRTIO_BLK_S_OK);
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(disk_do(&d, (i + 3) % 5, VIRTIO_BLK_T_IN, i, SECTOR,
					 false, NULL, NULL),
				 VIRTIO_BLK_S_OK);
		assert_true(disk_has(&d, i, SECTOR));
	}
	disk_close(&d);
}

/* Every request is made before one is waited for: more than the store takes at once. */
static void many_requests_at_once_all_end(void **state)
{
	struct disk d;
	struct vh_client_queue *q;
	struct virtio_blk_outhdr *h;
	unsigned done = 0, n = 600;

	(void)state;
	open_memory(&d);
	q = vh_client_queue(d.client, 0);
	h = (struct virtio_blk_outhdr *)d.data;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *status = d.data + (1 << 20) + i;
		const struct iovec iov[] = {{&h[i], sizeof(h[i])}, {status, 1}};

		h[i] = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_FLUSH};
		*status = NO_STATUS;
		assert_int_equal(vh_client_add(q, iov, 1, 1, status), 0);
	}
	vh_client_kick(q);
	while (done < n) {
		uint32_t used;
		uint8_t *status = vh_client_get(q, &used);

		if (!status) {
			assert_int_equal(vh_client_wait(q, 20000), 1);
			continue;
		}
		assert_int_equal(*status, VIRTIO_BLK_S_OK);
		*status = NO_STATUS;
		done++;
	}
	disk_close(&d);
}

/* ---- What a driver may ask besides ---- */

static void the_identity_is_told(void **state)
{
	struct disk d;

	(void)state;
	open_memory(&d);
	memset(d.data, 0xff, 32);
	assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_GET_ID, 0, 20, false, NULL, NULL),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(d.data, "cannot fly\0\0\0\0\0\0\0\0\0\0", 20);
	memset(d.data, 0xff, 32);
	assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_GET_ID, 0, 6, false, NULL, NULL),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(d.data, "cannot\xff", 7);
	disk_close(&d);
}

static void ranges_are_discarded_zeroed_and_erased(void **state)
{
	static const struct {
		uint32_t type, flags;
	} rows[] = {
		{VIRTIO_BLK_T_WRITE_ZEROES, 0},
		{VIRTIO_BLK_T_WRITE_ZEROES, VH_BLK_RANGE_UNMAP},
		{VIRTIO_BLK_T_DISCARD, 0},
		{VIRTIO_BLK_T_SECURE_ERASE, 0},
	};
	struct disk d;

	(void)state;
	open_memory(&d);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		disk_fill(&d, 1, 16 * SECTOR);
		assert_int_equal(disk_write(&d, 0, 16 * SECTOR), VIRTIO_BLK_S_OK);
		assert_int_equal(disk_range(&d, rows[i].type, 0, 16, rows[i].flags),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(disk_read(&d, 0, 16 * SECTOR), VIRTIO_BLK_S_OK);
		assert_true(disk_is_zero(&d, 16 * SECTOR));
	}
	disk_close(&d);
}

static void many_ranges_in_one_request_are_all_done(void **state)
{
	struct vh_blk_range g[17];
	struct disk d;

	(void)state;
	open_memory(&d);
	disk_fill(&d, 3, 64 * SECTOR);
	disk_write(&d, 0, 64 * SECTOR);
	for (unsigned i = 0; i < 17; i++)
		g[i] = (struct vh_blk_range){.sector = 2 * i, .num_sectors = i != 5};
	memcpy(d.data, g, sizeof(g));
	assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16 * sizeof(g[0]),
				 true, NULL, NULL),
			 VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 16; i++) {
		disk_read(&d, 2 * i, SECTOR);
		assert_int_equal(disk_is_zero(&d, SECTOR), i != 5);
		disk_read(&d, 2 * i + 1, SECTOR);
		assert_false(disk_is_zero(&d, SECTOR));
	}
	memcpy(d.data, g, sizeof(g));
	assert_int_equal(
		disk_do(&d, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(g), true, NULL, NULL),
		VIRTIO_BLK_S_IOERR); /* one more than was offered */
	disk_close(&d);
}

/* ---- What cannot be had ---- */

static void what_is_not_there_is_an_error_of_that_request_only(void **state)
{
	const uint64_t end = (8 << 20) / SECTOR;
	static const uint32_t unknown[] = {2,  3,  5,	7,	    9,
					   12, 15, 100, 0x80000000, 0xffffffff};
	struct disk d;

	(void)state;
	open_memory(&d);
	assert_int_equal(disk_read(&d, end - 1, SECTOR), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&d, end, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, end - 1, 2 * SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_write(&d, end - 1, 2 * SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, UINT64_MAX, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, UINT64_MAX / SECTOR, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, 1ull << 55, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, 0, 100), VIRTIO_BLK_S_IOERR);
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(disk_do(&d, 0, unknown[i], 0, SECTOR, false, NULL, NULL),
				 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_DISCARD, 0, 1, 1),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_DISCARD, end - 1, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_DISCARD, 0, 0xffffffff, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_DISCARD, 0, 15, true, NULL, NULL),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_do(&d, 0, VIRTIO_BLK_T_DISCARD, 0, 0, true, NULL, NULL),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, 0, SECTOR), VIRTIO_BLK_S_OK);
	disk_close(&d);
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	struct disk d;

	(void)state;
	disk_open(&d, LOOP, memory, ALL_RING_FEATURES, 1);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_DISCARD, 0, 1, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_SECURE_ERASE, 0, 1, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(
		disk_do(&d, 0, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false, NULL, NULL),
		VIRTIO_BLK_S_UNSUPP);
	disk_close(&d);
}

static void a_read_only_disk_takes_no_writes(void **state)
{
	static const char *const params[] = {"memory=8M", "readonly=on", NULL};
	struct vh_client_info info;
	struct disk d;

	(void)state;
	disk_open(&d, LOOP, params, ALL_RING_FEATURES | ALL_BLK_FEATURES, 1);
	vh_client_info(d.client, &info);
	assert_true(info.features & BIT(VIRTIO_BLK_F_RO));
	assert_false(info.features & BIT(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(disk_write(&d, 0, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, 0, SECTOR), VIRTIO_BLK_S_OK);
	assert_true(disk_is_zero(&d, SECTOR));
	disk_close(&d);
}

static void blocks_are_whole_ones(void **state)
{
	static const char *const params[] = {"memory=8M", "block-size=4096", NULL};
	struct disk d;

	(void)state;
	disk_open(&d, LOOP, params, ALL_RING_FEATURES | ALL_BLK_FEATURES, 1);
	assert_int_equal(disk_read(&d, 8, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&d, 1, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_read(&d, 8, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_range(&d, VIRTIO_BLK_T_DISCARD, 8, 4, 0),
			 VIRTIO_BLK_S_IOERR);
	disk_close(&d);
}

/* ---- Drivers that break the rules ---- */

static void expect_broken(unsigned n_out, unsigned n_in, size_t out_len)
{
	struct vh_client_queue *q;
	struct iovec iov[2];
	struct disk d;

	open_memory(&d);
	q = vh_client_queue(d.client, 0);
	iov[0] = (struct iovec){d.header, out_len};
	iov[1] = (struct iovec){d.status, 1};
	assert_int_equal(vh_client_add(q, n_out ? iov : iov + 1, n_out, n_in, d.status),
			 0);
	vh_client_kick(q);
	while (vh_client_queue_error(q) == 0)
		vh_client_wait(q, 100);
	assert_int_equal(vh_client_queue_error(q), -EIO);
	/* It works again from the start. */
	assert_int_equal(vh_client_reset(d.client), 0);
	assert_int_equal(vh_client_outstanding(q), 1);
	disk_close(&d);
}

static void a_chain_without_header_or_status_breaks_the_device(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		expect_broken(1, 0, 16);
		expect_broken(1, 1, 15);
		expect_broken(0, 1, 0);
	}
}

/* ---- Config space ---- */

static void config_space_tells_of_the_disk(void **state)
{
	static const char *const params[] = {"memory=8M", "block-size=4096",
					     "num-queues=3", NULL};
	struct virtio_blk_config c;
	uint8_t more[256];
	struct disk d;

	(void)state;
	disk_open(&d, LOOP, params, ALL_RING_FEATURES | ALL_BLK_FEATURES, 1);
	assert_int_equal(vh_client_read_config(d.client, 0, &c, sizeof(c)), 0);
	assert_int_equal(c.capacity, (8 << 20) / SECTOR);
	assert_int_equal(c.blk_size, 4096);
	assert_int_equal(c.num_queues, 3);
	assert_int_equal(c.seg_max, 126);
	assert_int_equal(c.wce, 1);
	assert_true(c.max_discard_sectors && c.max_write_zeroes_sectors);
	assert_int_equal(vh_client_read_config(d.client, 0, more, sizeof(more)), 0);
	assert_int_equal(vh_client_read_config(d.client, 250, more, 7), -EINVAL);
	disk_close(&d);
}

/* SeaBIOS has 16 bits for that, and asks for nothing, for ever, when they are zeroes. */
static void sixteen_bits_count_the_sectors_of_the_largest_request(void **state)
{
	struct virtio_blk_config c;
	struct disk d;

	(void)state;
	open_memory(&d);
	assert_int_equal(vh_client_read_config(d.client, 0, &c, sizeof(c)), 0);
	assert_in_range((uint64_t)c.size_max * c.seg_max / SECTOR, 1, UINT16_MAX);
	disk_close(&d);
}

static void the_cache_mode_is_all_that_can_be_written(void **state)
{
	const uint8_t off = 0, bad = 2, long_one[2] = {0};
	const size_t wce = offsetof(struct virtio_blk_config, wce);
	struct virtio_blk_config c;
	struct disk d;

	(void)state;
	open_memory(&d);
	assert_int_equal(vh_client_write_config(d.client, wce, &off, 1), 0);
	assert_int_equal(vh_client_read_config(d.client, 0, &c, sizeof(c)), 0);
	assert_int_equal(c.wce, 0);
	assert_int_equal(vh_client_write_config(d.client, wce, &bad, 1), -EINVAL);
	assert_int_equal(vh_client_write_config(d.client, wce, long_one, 2), -EINVAL);
	assert_int_equal(vh_client_write_config(d.client, 0, &off, 1), -EINVAL);
	disk_fill(&d, 9, SECTOR);
	assert_int_equal(disk_write(&d, 0, SECTOR), VIRTIO_BLK_S_OK);
	disk_close(&d);
}

/* ---- Another size ---- */

struct resize {
	struct disk *d;
	int result;
	int done; /* a pipe's end */
};

static void refresh_on_control(void *arg)
{
	struct resize *r = arg;

	r->result = vh_server_refresh(r->d->server, r->d->device);
	assert_int_equal(write(r->done, "", 1), 1);
}

static void refresh(struct disk *d)
{
	struct resize r = {.d = d};
	int pipe_fd[2];
	char c;

	assert_int_equal(pipe(pipe_fd), 0);
	r.done = pipe_fd[1];
	assert_int_equal(vh_reactor_post(d->reactor[0], refresh_on_control, &r), 0);
	assert_int_equal(read(pipe_fd[0], &c, 1), 1);
	assert_int_equal(r.result, 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void wait_for_config_change(struct vh_client *c)
{
	bool changed = false;

	while (!changed) {
		struct pollfd p = {.fd = vh_client_fd(c), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(vh_client_handle(c, &changed), 0);
	}
}

static void a_file_that_grew_or_shrank_is_told_to_the_driver(void **state)
{
	char path[] = "/tmp/vhost-test-blk-XXXXXX", word[64];
	const char *const params[] = {word, NULL};
	struct virtio_blk_config c;
	int fd = mkstemp(path);
	struct disk d;

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	snprintf(word, sizeof(word), "file=%s", path);
	disk_open(&d, LOOP, params, ALL_RING_FEATURES | ALL_BLK_FEATURES, 1);
	assert_int_equal(disk_read(&d, 2048, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	refresh(&d);
	wait_for_config_change(d.client);
	assert_int_equal(vh_client_read_config(d.client, 0, &c, sizeof(c)), 0);
	assert_int_equal(c.capacity, (2 << 20) / SECTOR);
	assert_int_equal(disk_read(&d, 2048, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(disk_read(&d, 2048, 4096), VIRTIO_BLK_S_IOERR);
	refresh(&d);
	wait_for_config_change(d.client);
	assert_int_equal(disk_read(&d, 0, 4096), VIRTIO_BLK_S_OK);
	disk_close(&d);
	unlink(path);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_back_in_any_split),
		cmocka_unit_test(all_queues_lead_to_the_same_blocks),
		cmocka_unit_test(many_requests_at_once_all_end),
		cmocka_unit_test(the_identity_is_told),
		cmocka_unit_test(ranges_are_discarded_zeroed_and_erased),
		cmocka_unit_test(many_ranges_in_one_request_are_all_done),
		cmocka_unit_test(what_is_not_there_is_an_error_of_that_request_only),
		cmocka_unit_test(what_was_not_negotiated_is_unsupported),
		cmocka_unit_test(a_read_only_disk_takes_no_writes),
		cmocka_unit_test(blocks_are_whole_ones),
		cmocka_unit_test(a_chain_without_header_or_status_breaks_the_device),
		cmocka_unit_test(config_space_tells_of_the_disk),
		cmocka_unit_test(sixteen_bits_count_the_sectors_of_the_largest_request),
		cmocka_unit_test(the_cache_mode_is_all_that_can_be_written),
		cmocka_unit_test(a_file_that_grew_or_shrank_is_told_to_the_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
