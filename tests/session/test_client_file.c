/* SPDX-License-Identifier: BSD-3-Clause */
/* A client whose memory is all in one file that has a name. */
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "dev/rng/rng.h"

#define MEMORY 0x10000u

static char path[32];

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/dev/shm/vhost-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int teardown(void **state)
{
	return unlink(path);
}

static struct vh_client *create(const char *file)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = "loop:file",
					   .features = 1ull << VIRTIO_F_VERSION_1,
					   .memory = MEMORY,
					   .file = file};
	struct vh_client *c = NULL;

	vh_client_create(&p, &c);
	return c;
}

/* Rubbish in the file, as of a client that was there before. */
static void fill_file(size_t len)
{
	uint8_t bytes[4096];
	const int fd = open(path, O_WRONLY);

	memset(bytes, 0xa5, sizeof(bytes));
	for (size_t at = 0; at < len; at += sizeof(bytes))
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

static void buffers_and_rings_are_in_the_file(void **state)
{
	struct pair p;
	struct vh_client *c;
	uint8_t byte[64], *b;
	int fd;

	fill_file(2 * MEMORY);
	pair_open(&p, 2, VH_POLL_SLEEP);
	pair_add(&p, &vh_rng, NULL, "loop:file");
	pair_start(&p);
	c = create(path);
	assert_non_null(c);
	assert_int_equal(vh_client_connect(c), 0);
	b = vh_client_alloc(c, sizeof(byte), 64);
	memcpy(b, "here", 4);
	assert_int_equal(vh_client_start(c, 1, 16), 0);
	pair_use(c, 0, 3);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, byte, sizeof(byte), 0), sizeof(byte));
	assert_memory_equal(byte, "here", 4);
	assert_int_equal(pread(fd, byte, sizeof(byte), MEMORY), sizeof(byte));
	assert_int_equal(byte[8], 1); /* the length of the first descriptor */
	close(fd);
	vh_client_destroy(c);
	pair_end(&p);
}

static void a_file_that_is_too_small_is_refused(void **state)
{
	fill_file(MEMORY / 2);
	assert_null(create(path));
}

static void a_file_without_room_for_rings_is_refused(void **state)
{
	struct pair p;
	struct vh_client *c;

	fill_file(MEMORY);
	pair_open(&p, 2, VH_POLL_SLEEP);
	pair_add(&p, &vh_rng, NULL, "loop:file");
	pair_start(&p);
	c = create(path);
	assert_non_null(c);
	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(vh_client_start(c, 1, 16), -ENOSPC);
	vh_client_destroy(c);
	pair_end(&p);
}

static void a_file_that_is_not_there_is_refused(void **state)
{
	assert_null(create("/tmp/vhost-is/not/there"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(buffers_and_rings_are_in_the_file),
		T(a_file_that_is_too_small_is_refused),
		T(a_file_without_room_for_rings_is_refused),
		T(a_file_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
