/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end that is killed in the middle of its work, again and again, and a driver that
 * keeps account: every request ends once, what was acknowledged is there, and of a disk
 * with a volatile cache, what was flushed.
 *
 * VHOST_KILLS says how often (25).  The back-end is a child, the driver is we.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <vhost/vhost.h>

#include "dev/blk/blk.h"
#include "spec/virtio_blk.h"

#define BIT(n)	 (1ull << (n))
#define BLOCK	 4096u
#define N_BLOCKS 512u
#define N_QUEUES 2u
#define DEPTH	 24u   /* on each queue */
#define FLUSH_OF 16    /* one request of so many is a flush */
#define RUN_US	 15000 /* at the most, from start to kill */
#define SLOW	 6     /* times that, where every write is flushed */
#define SLOW	 6     /* times that, where every write is flushed */

/* What is known of a block: versions are counted, 0 is all zeroes. */
struct block {
	uint32_t newest; /* submitted                            */
	uint32_t acked;	 /* the driver was told that it is there */
	uint32_t stable; /* covered by a flush that ended        */
	bool busy;
};

struct slot {
	struct virtio_blk_outhdr *header;
	uint64_t *data;
	uint8_t *status;
	bool busy;
	uint32_t block;		  /* of a write or read */
	uint32_t acked[N_BLOCKS]; /* of a flush: what was acknowledged when it was sent */
};

struct driver {
	char folder[64], disk[96], address[128];
	const char *extra; /* one more KEY=VALUE, or NULL */
	uint64_t features; /* of the disk, negotiated     */
	unsigned run_us;
	bool is_volatile; /* only what was flushed is promised */
	pid_t device;
	struct vh_client *client;
	struct block block[N_BLOCKS];
	struct slot slot[N_QUEUES][DEPTH];
	uint64_t n_writes, n_flushes, n_reads, n_carried_over;
	unsigned seed;
};

/* ---- The device, in a process of its own ---- */

static void be_the_device(const struct driver *d)
{
	struct vh_reactor *r[2];
	struct vh_server *s;
	/* Blocks as large as ours: a power cut leaves each whole. */
	struct vh_param p[3] = {{"file", d->disk}, {"block-size", "4096"}};
	char extra[64];
	size_t n = 2;

	if (d->extra) {
		snprintf(extra, sizeof(extra), "%s", d->extra);
		p[2] = (struct vh_param){strtok(extra, "="), strtok(NULL, "")};
		n = 3;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < 2; i++) {
		const struct vh_reactor_params rp = {.size = sizeof(rp),
						     .name = "device",
						     .cpu = -1,
						     .poll = VH_POLL_SLEEP};

		if (vh_reactor_create(&rp, &r[i]) < 0)
			_exit(1);
	}
	if (vh_server_create(r, 2, &s) < 0 ||
	    vh_server_add(s, &vh_blk, NULL, d->address, p, n, NULL) < 0)
		_exit(1);
	vh_server_run(s);
	_exit(0);
}

static void device_starts(struct driver *d)
{
	d->device = fork();
	if (!d->device)
		be_the_device(d);
	assert_true(d->device > 0);
}

static void device_is_killed(struct driver *d)
{
	int status;

	assert_int_equal(kill(d->device, SIGKILL), 0);
	assert_int_equal(waitpid(d->device, &status, 0), d->device);
	assert_true(WIFSIGNALED(status)); /* it did not end by itself before */
}

/* ---- Requests ---- */

static void stamp(struct slot *s, uint32_t block, uint32_t version)
{
	for (unsigned i = 0; i < BLOCK / 8; i++)
		s->data[i] = version ? (uint64_t)block << 32 | version : 0;
}

/* The version that the data is of; it must be of one in all its parts. */
static uint32_t version_of(const struct slot *s)
{
	for (unsigned i = 1; i < BLOCK / 8; i++)
		assert_int_equal(s->data[i], s->data[0]);
	if (!s->data[0])
		return 0;
	assert_int_equal(s->data[0] >> 32, s->block);
	return (uint32_t)s->data[0];
}

static void add(struct driver *d, unsigned q, struct slot *s, bool has_data)
{
	struct iovec iov[] = {
		{s->header, sizeof(*s->header)}, {s->data, BLOCK}, {s->status, 1}};
	const bool reads = s->header->type == VIRTIO_BLK_T_IN;

	if (!has_data)
		iov[1] = iov[2];
	*s->status = 0xff;
	s->busy = true;
	assert_int_equal(vh_client_add(vh_client_queue(d->client, q), iov,
				       has_data && !reads ? 2 : 1, reads ? 2 : 1, s),
			 0);
}

static void submit_flush(struct driver *d, unsigned q, struct slot *s)
{
	for (unsigned i = 0; i < N_BLOCKS; i++)
		s->acked[i] = d->block[i].acked;
	*s->header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_FLUSH};
	add(d, q, s, false);
	d->n_flushes++;
}

static void submit_data(struct driver *d, unsigned q, struct slot *s, uint32_t type)
{
	struct block *b;

	do
		s->block = (uint32_t)rand_r(&d->seed) % N_BLOCKS;
	while (d->block[s->block].busy);
	b = &d->block[s->block];
	b->busy = true;
	*s->header = (struct virtio_blk_outhdr){
		.type = type, .sector = (uint64_t)s->block * (BLOCK / 512)};
	if (type == VIRTIO_BLK_T_OUT) {
		stamp(s, s->block, ++b->newest);
		d->n_writes++;
	} else {
		memset(s->data, 0xee, BLOCK);
		d->n_reads++;
	}
	add(d, q, s, true);
}

static void submit(struct driver *d, unsigned q, struct slot *s)
{
	const int dice = rand_r(&d->seed) % FLUSH_OF;

	if (!dice && d->features & BIT(VIRTIO_BLK_F_FLUSH))
		submit_flush(d, q, s);
	else
		submit_data(d, q, s, dice % 4 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
}

/* A cache may have lost what was not flushed, but then goes on with what is left. */
static void check_version(struct driver *d, const struct slot *s)
{
	struct block *b = &d->block[s->block];
	const uint32_t v = version_of(s);

	assert_in_range(v, d->is_volatile ? b->stable : b->acked, b->newest);
}

static void finish(struct driver *d, struct slot *s)
{
	struct block *b = &d->block[s->block];

	assert_true(s->busy); /* it ends once */
	s->busy = false;
	assert_int_equal(*s->status, VIRTIO_BLK_S_OK);
	if (s->header->type == VIRTIO_BLK_T_FLUSH) {
		for (unsigned i = 0; i < N_BLOCKS; i++)
			if (d->block[i].stable < s->acked[i])
				d->block[i].stable = s->acked[i];
		return;
	}
	b->busy = false;
	if (s->header->type == VIRTIO_BLK_T_OUT)
		b->acked = b->newest;
	else
		check_version(d, s);
}

static unsigned collect(struct driver *d, unsigned q)
{
	struct slot *s;
	unsigned n = 0;
	uint32_t len;

	for (; (s = vh_client_get(vh_client_queue(d->client, q), &len)); n++)
		finish(d, s);
	return n;
}

static void fill(struct driver *d, unsigned q)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (!d->slot[q][i].busy)
			submit(d, q, &d->slot[q][i]);
	vh_client_kick(vh_client_queue(d->client, q));
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void work_until(struct driver *d, uint64_t end)
{
	do {
		for (unsigned q = 0; q < N_QUEUES; q++) {
			collect(d, q);
			fill(d, q);
		}
	} while (now_us() < end);
}

static void drain(struct driver *d)
{
	for (unsigned q = 0; q < N_QUEUES; q++) {
		struct vh_client_queue *queue = vh_client_queue(d->client, q);

		while (vh_client_outstanding(queue)) {
			collect(d, q);
			if (vh_client_outstanding(queue))
				assert_int_equal(vh_client_wait(queue, 20000), 1);
		}
	}
}

/*
 * After a power cut the driver knows of each block only what it reads.  What it finds is
 * what counts from then on, once it is flushed: the device has repeated writes that were
 * under way, and holds them in its cache.
 */
static void look_at_all(struct driver *d)
{
	struct slot *s = &d->slot[0][0];

	submit_flush(d, 0, s);
	memset(s->acked, 0, sizeof(s->acked)); /* much of that is lost */
	vh_client_kick(vh_client_queue(d->client, 0));
	drain(d);
	for (uint32_t i = 0; i < N_BLOCKS; i++) {
		struct block *b = &d->block[i];

		s->block = i;
		b->busy = true;
		*s->header = (struct virtio_blk_outhdr){
			.type = VIRTIO_BLK_T_IN, .sector = (uint64_t)i * (BLOCK / 512)};
		add(d, 0, s, true);
		vh_client_kick(vh_client_queue(d->client, 0));
		drain(d);
		b->newest = b->acked = b->stable = version_of(s);
	}
}

/* A new device has it on again. */
static void turn_cache_off(struct driver *d)
{
	const uint8_t off = 0;

	assert_int_equal(vh_client_write_config(d->client,
						offsetof(struct virtio_blk_config, wce),
						&off, 1),
			 0);
}

/* ---- Life ---- */

static void make_slots(struct driver *d)
{
	for (unsigned q = 0; q < N_QUEUES; q++) {
		for (unsigned i = 0; i < DEPTH; i++) {
			struct slot *s = &d->slot[q][i];

			s->data = vh_client_alloc(d->client, BLOCK, BLOCK);
			s->header = vh_client_alloc(d->client, 32, 32);
			s->status = (uint8_t *)(s->header + 1);
			assert_non_null(s->header);
		}
	}
}

static void driver_open(struct driver *d, const char *extra, uint64_t features)
{
	struct vh_client_params p = {.size = sizeof(p),
				     .features = BIT(VIRTIO_F_VERSION_1) |
						 BIT(VIRTIO_RING_F_INDIRECT_DESC) |
						 BIT(VIRTIO_RING_F_EVENT_IDX) |
						 BIT(VIRTIO_BLK_F_MQ) | features,
				     .memory = 2 << 20,
				     .timeout_ms = 20000,
				     .track = true};
	FILE *f;

	memset(d, 0, sizeof(*d));
	d->seed = 1;
	d->extra = extra;
	d->features = features;
	d->run_us = RUN_US;
	strcpy(d->folder, "/tmp/vhost-test-killed-XXXXXX");
	assert_non_null(mkdtemp(d->folder));
	snprintf(d->disk, sizeof(d->disk), "%s/disk", d->folder);
	snprintf(d->address, sizeof(d->address), "unix:%s/socket", d->folder);
	f = fopen(d->disk, "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), N_BLOCKS * BLOCK), 0);
	fclose(f);
	device_starts(d);
	p.address = d->address;
	assert_int_equal(vh_client_create(&p, &d->client), 0);
	assert_int_equal(vh_client_connect(d->client), 0);
	assert_int_equal(vh_client_start(d->client, N_QUEUES, 128), 0);
	make_slots(d);
}

static void driver_close(struct driver *d)
{
	char socket[128];

	vh_client_destroy(d->client);
	device_is_killed(d);
	snprintf(socket, sizeof(socket), "%s/socket", d->folder);
	unlink(socket);
	unlink(d->disk);
	rmdir(d->folder);
}

static unsigned n_kills(void)
{
	const char *text = getenv("VHOST_KILLS");

	return text ? (unsigned)atoi(text) : 25;
}

/*
 * With the cache that is lost the machine is, and so is the driver's knowledge of what a
 * flush that was under way would have covered: the next device can flush only what it
 * has.
 */
static void forget_flushes(struct driver *d)
{
	for (unsigned q = 0; q < N_QUEUES; q++)
		for (unsigned i = 0; i < DEPTH; i++)
			memset(d->slot[q][i].acked, 0, sizeof(d->slot[q][i].acked));
}

static void run_and_kill(struct driver *d)
{
	const unsigned kills = n_kills();

	for (unsigned i = 0; i < kills; i++) {
		work_until(d, now_us() + 1000 + (unsigned)rand_r(&d->seed) % d->run_us);
		device_is_killed(d);
		for (unsigned q = 0; q < N_QUEUES; q++)
			d->n_carried_over +=
				vh_client_outstanding(vh_client_queue(d->client, q));
		if (d->is_volatile)
			forget_flushes(d);
		device_starts(d);
		assert_int_equal(vh_client_connect(d->client), 0);
		if (!d->is_volatile)
			continue;
		drain(d);
		look_at_all(d);
	}
	drain(d);
	/* It was killed with work in its hands, or this shows nothing. */
	assert_true(d->n_carried_over > kills);
	print_message(
		"%u kills, %llu writes, %llu reads, %llu flushes, %llu carried over\n",
		kills, (unsigned long long)d->n_writes, (unsigned long long)d->n_reads,
		(unsigned long long)d->n_flushes, (unsigned long long)d->n_carried_over);
}

static void check_disk(struct driver *d)
{
	FILE *f = fopen(d->disk, "r");
	struct slot s = {.data = malloc(BLOCK)};

	assert_true(f && s.data);
	for (s.block = 0; s.block < N_BLOCKS; s.block++) {
		assert_int_equal(fread(s.data, BLOCK, 1, f), 1);
		check_version(d, &s);
	}
	free(s.data);
	fclose(f);
}

/* ---- Tests ---- */

static struct driver driver; /* it is large */

static void a_killed_device_loses_nothing_that_it_acknowledged(void **state)
{
	(void)state;
	driver_open(&driver, NULL, BIT(VIRTIO_BLK_F_FLUSH));
	run_and_kill(&driver);
	check_disk(&driver);
	driver_close(&driver);
}

static void with_threads_in_place_of_io_uring_it_is_the_same(void **state)
{
	(void)state;
	driver_open(&driver, "aio=threads", BIT(VIRTIO_BLK_F_FLUSH));
	run_and_kill(&driver);
	check_disk(&driver);
	driver_close(&driver);
}

static void of_a_volatile_cache_a_power_cut_leaves_what_was_flushed(void **state)
{
	(void)state;
	driver_open(&driver, "volatile=on", BIT(VIRTIO_BLK_F_FLUSH));
	driver.is_volatile = true;
	run_and_kill(&driver);
	driver_close(&driver);
}

static void whatever_else_the_cache_wrote_before_the_power_cut(void **state)
{
	(void)state;
	driver_open(&driver, "volatile=reorder", BIT(VIRTIO_BLK_F_FLUSH));
	driver.is_volatile = true;
	run_and_kill(&driver);
	driver_close(&driver);
}

/* "Driver Requirements: Device Initialization": it then finds everything written through.
 */
static void to_a_driver_that_cannot_flush_every_write_is_stable(void **state)
{
	(void)state;
	driver_open(&driver, "volatile=on", 0);
	driver.run_us = SLOW * RUN_US;
	run_and_kill(&driver);
	check_disk(&driver);
	driver_close(&driver);
}

static void to_a_driver_that_turned_the_cache_off_every_write_is_stable(void **state)
{
	(void)state;
	driver_open(&driver, "volatile=reorder",
		    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE));
	driver.run_us = SLOW * RUN_US;
	turn_cache_off(&driver);
	run_and_kill(&driver);
	check_disk(&driver);
	driver_close(&driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_device_loses_nothing_that_it_acknowledged),
		cmocka_unit_test(with_threads_in_place_of_io_uring_it_is_the_same),
		cmocka_unit_test(of_a_volatile_cache_a_power_cut_leaves_what_was_flushed),
		cmocka_unit_test(whatever_else_the_cache_wrote_before_the_power_cut),
		cmocka_unit_test(to_a_driver_that_cannot_flush_every_write_is_stable),
		cmocka_unit_test(
			to_a_driver_that_turned_the_cache_off_every_write_is_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
