/* SPDX-License-Identifier: BSD-3-Clause */
/* Two disks of one server, on the same reactor: what befalls one is not the other's. */
#include "session/pair.h"

#include <string.h>
#include <sys/uio.h>

#include <linux/virtio_config.h>

#include "dev/blk/blk.h"
#include "spec/virtio_blk.h"

#define SECTOR	  512u
#define NO_STATUS 0xee

/* A front-end with room for some requests at once. */
struct side {
	struct vh_client *client;
	uint8_t *mem;
};

enum { SLOTS = 16, HEADER = 0, STATUS = 64, DATA = 512, SLOT = 1024 };

struct two {
	struct pair pair;
	struct side bad, good;
};

static void add_disk(struct two *t, const char *address, const char *key,
		     const char *value)
{
	const struct vh_param params[] = {{"memory", "1M"}, {key, value}};

	assert_int_equal(
		vh_server_add(t->pair.server, &vh_blk, NULL, address, params, 2, NULL),
		0);
}

static void side_open(struct side *s, const char *address)
{
	s->client = pair_client(address, 1ull << VIRTIO_BLK_F_FLUSH);
	assert_int_equal(vh_client_start(s->client, 1, 64), 0);
	s->mem = vh_client_alloc(s->client, SLOTS * SLOT, 4096);
	assert_non_null(s->mem);
}

/* The bad one with an option of its own; the good one is slow, so that it has requests.
 */
static void two_open(struct two *t, const char *key, const char *value)
{
	pair_open(&t->pair, 2, VH_POLL_SLEEP);
	add_disk(t, "loop:bad-disk", key, value);
	add_disk(t, "loop:good-disk", "delay", "20ms");
	pair_start(&t->pair);
	side_open(&t->bad, "loop:bad-disk");
	side_open(&t->good, "loop:good-disk");
}

static void two_close(struct two *t)
{
	vh_client_destroy(t->bad.client);
	vh_client_destroy(t->good.client);
	pair_end(&t->pair);
}

static void ask(struct side *s, unsigned slot, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	uint8_t *at = s->mem + SLOT * slot;
	const struct iovec iov[] = {
		{at + HEADER, sizeof(h)}, {at + DATA, SECTOR}, {at + STATUS, 1}};
	const unsigned n_out = type == VIRTIO_BLK_T_OUT ? 2 : 1;

	memcpy(at + HEADER, &h, sizeof(h));
	at[STATUS] = NO_STATUS;
	assert_int_equal(
		vh_client_add(vh_client_queue(s->client, 0), iov, n_out, 3 - n_out, at),
		0);
	vh_client_kick(vh_client_queue(s->client, 0));
}

static uint8_t *next_done(struct side *s)
{
	struct vh_client_queue *q = vh_client_queue(s->client, 0);
	uint32_t len;
	uint8_t *at;

	while (!(at = vh_client_get(q, &len)))
		assert_int_equal(vh_client_wait(q, 60000), 1);
	return at;
}

static void start_writes(struct side *s)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		memset(s->mem + SLOT * i + DATA, (int)(i + 1), SECTOR);
		ask(s, i, VIRTIO_BLK_T_OUT, i);
	}
}

static void expect_all(struct side *s, uint8_t status)
{
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(next_done(s)[STATUS], status);
}

/* What start_writes() wrote is there. */
static void expect_written(struct side *s)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		const uint8_t *at;

		memset(s->mem + DATA, 0, SECTOR);
		ask(s, 0, VIRTIO_BLK_T_IN, i);
		at = next_done(s);
		assert_int_equal(at[STATUS], VIRTIO_BLK_S_OK);
		for (unsigned k = 0; k < SECTOR; k++)
			assert_int_equal(at[DATA + k], i + 1);
	}
}

static void a_disk_that_fails_disturbs_no_other(void **state)
{
	struct two t;

	(void)state;
	two_open(&t, "error", "EIO");
	start_writes(&t.good);
	start_writes(&t.bad);
	expect_all(&t.bad, VIRTIO_BLK_S_IOERR);
	expect_all(&t.good, VIRTIO_BLK_S_OK);
	expect_written(&t.good);
	two_close(&t);
}

static void a_driver_that_breaks_its_disk_disturbs_no_other(void **state)
{
	struct vh_client_queue *q;
	struct iovec iov;
	struct two t;

	(void)state;
	two_open(&t, "delay", "off");
	q = vh_client_queue(t.bad.client, 0);
	iov = (struct iovec){.iov_base = t.bad.mem, .iov_len = 1};
	start_writes(&t.good);
	assert_int_equal(vh_client_add(q, &iov, 1, 0, t.bad.mem), 0); /* no status */
	vh_client_kick(q);
	while (!vh_client_queue_error(q))
		vh_client_wait(q, 100);
	expect_all(&t.good, VIRTIO_BLK_S_OK);
	expect_written(&t.good);
	two_close(&t);
}

static void a_disk_that_stalls_disturbs_no_other(void **state)
{
	struct two t;

	(void)state;
	two_open(&t, "delay", "500ms");
	start_writes(&t.bad);
	start_writes(&t.good);
	expect_all(&t.good, VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(t.bad.mem[SLOT * i + STATUS], NO_STATUS);
	expect_all(&t.bad, VIRTIO_BLK_S_OK);
	expect_written(&t.good);
	two_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_fails_disturbs_no_other),
		cmocka_unit_test(a_driver_that_breaks_its_disk_disturbs_no_other),
		cmocka_unit_test(a_disk_that_stalls_disturbs_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
