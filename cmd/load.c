/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See load.h.  Polling, one thread drives all queues; sleeping, each has a thread of its
 * own.
 *
 * To verify, each block that was written holds its number and how often it was written
 * before.  A block has one request at a time, so what must be in it is known.
 */
#include "load.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vhost/client.h>

#include "cli.h"
#include "spec/virtio_blk.h"

#define SECTOR	    512u
#define BIT(n)	    (1ull << (n))
#define BUSY	    0x80000000u /* of a block's count: a request is under way */
#define CLOCK_EVERY 64
#define WAIT_MS	    1000

struct slot {
	struct virtio_blk_outhdr *header;
	uint8_t *data, *status;
	uint64_t block, since;
	bool writes;
};

/* One queue, and the thread that drives it alone when nobody polls. */
struct lane {
	struct load *load;
	struct vh_client_queue *queue;
	struct slot *slot;
	unsigned depth;
	uint64_t random, next, first, n; /* blocks: [first, first + n) are its own */
	struct load_row row;
	int err;
	pthread_t thread;
};

struct load {
	struct load_config c;
	struct vh_client *client;
	uint64_t n_blocks, deadline;
	uint32_t *written; /* by block; NULL: nothing is verified */
	struct lane lane[LOAD_MAX_QUEUES];
	struct slot slot[LOAD_MAX_QUEUES][LOAD_MAX_DEPTH];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- What and where ---- */

/* xorshift64: any bits will do. */
static uint64_t roll(struct lane *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static uint64_t pick(struct lane *l)
{
	const uint64_t i = l->load->c.random ? roll(l) % l->n : l->next++ % l->n;

	return l->first + i;
}

/* A block with nothing under way; there are more blocks than requests. */
static uint64_t pick_free(struct lane *l)
{
	const uint32_t *written = l->load->written;
	uint64_t block;

	do
		block = pick(l);
	while (written && written[block] & BUSY);
	return block;
}

static uint64_t word_of(uint64_t block, uint32_t count, uint64_t i)
{
	return (block << 24 ^ count) + i * 0x9e3779b97f4a7c15ull;
}

static void fill(const struct load *l, struct slot *s, uint32_t count)
{
	uint64_t *w = (uint64_t *)s->data;

	for (uint64_t i = 0; i < l->c.block_size / sizeof(*w); i++)
		w[i] = word_of(s->block, count, i);
}

static bool is_right(const struct load *l, const struct slot *s, uint32_t count)
{
	const uint64_t *w = (const uint64_t *)s->data;

	for (uint64_t i = 0; count && i < l->c.block_size / sizeof(*w); i++)
		if (w[i] != word_of(s->block, count, i))
			return false;
	return true;
}

/* ---- Requests ---- */

static int submit(struct lane *l, struct slot *s)
{
	struct load *load = l->load;
	const uint64_t size = load->c.block_size;
	const struct iovec iov[] = {
		{s->header, sizeof(*s->header)}, {s->data, size}, {s->status, 1}};

	s->block = pick_free(l);
	s->writes = roll(l) % 100 >= load->c.reads;
	*s->status = 0xff;
	*s->header = (struct virtio_blk_outhdr){.type = s->writes ? VIRTIO_BLK_T_OUT
								  : VIRTIO_BLK_T_IN,
						.sector = s->block * (size / SECTOR)};
	if (load->written) {
		load->written[s->block] |= BUSY;
		if (s->writes)
			fill(load, s, (load->written[s->block] & ~BUSY) + 1);
	}
	s->since = now_ns();
	return vh_client_add(l->queue, iov, s->writes ? 2 : 1, s->writes ? 1 : 2, s);
}

static void account(struct lane *l, struct slot *s)
{
	struct load *load = l->load;
	const bool fine = *s->status == VIRTIO_BLK_S_OK;

	histogram_add(&l->row.latency, now_ns() - s->since);
	l->row.errors += !fine;
	if (s->writes)
		l->row.writes++;
	else
		l->row.reads++;
	if (!load->written)
		return;
	load->written[s->block] &= ~BUSY;
	if (s->writes && fine)
		load->written[s->block]++;
	else if (!s->writes && fine)
		l->row.wrong += !is_right(load, s, load->written[s->block]);
}

/* What is done is counted and, until time is over, done again.  How many, or -errno. */
static int turn(struct lane *l, bool again)
{
	struct slot *s;
	uint32_t len;
	int n = 0, err = 0;

	while (!err && (s = vh_client_get(l->queue, &len))) {
		account(l, s);
		n++;
		if (again)
			err = submit(l, s);
	}
	if (n && again)
		vh_client_kick(l->queue);
	return err ? err : n;
}

static int begin(struct lane *l)
{
	int err = 0;

	for (unsigned i = 0; i < l->depth && !err; i++)
		err = submit(l, &l->slot[i]);
	vh_client_kick(l->queue);
	return err;
}

/* ---- Driving ---- */

static void *sleep_and_drive(void *arg)
{
	struct lane *l = arg;
	bool again = true;

	l->err = begin(l);
	while (!l->err && (again || vh_client_outstanding(l->queue))) {
		int n = vh_client_wait(l->queue, WAIT_MS);

		again = now_ns() < l->load->deadline;
		if (n >= 0)
			n = turn(l, again);
		l->err = n < 0 ? n : 0;
	}
	return NULL;
}

static int drive_sleeping(struct load *l)
{
	unsigned n = 0;
	int err = 0;

	for (; n < l->c.queues && !err; n += !err)
		err = -pthread_create(&l->lane[n].thread, NULL, sleep_and_drive,
				      &l->lane[n]);
	for (unsigned i = 0; i < n; i++) {
		pthread_join(l->lane[i].thread, NULL);
		if (!err)
			err = l->lane[i].err;
	}
	return err;
}

static unsigned outstanding(const struct load *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->c.queues; i++)
		n += vh_client_outstanding(l->lane[i].queue);
	return n;
}

static int drive_polling(struct load *l)
{
	bool again = true;
	int n = 0;

	for (unsigned i = 0; i < l->c.queues && n >= 0; i++)
		n = begin(&l->lane[i]);
	for (unsigned round = 0; n >= 0 && (again || outstanding(l)); round++) {
		for (unsigned i = 0; i < l->c.queues && n >= 0; i++)
			n = turn(&l->lane[i], again);
		if (round % CLOCK_EVERY)
			continue;
		again = now_ns() < l->deadline;
		for (unsigned i = 0; i < l->c.queues && n >= 0; i++)
			n = vh_client_queue_error(l->lane[i].queue);
	}
	return n < 0 ? n : 0;
}

static void lane_reset(struct load *l, unsigned i, unsigned depth)
{
	struct lane *lane = &l->lane[i];
	const uint64_t share = l->n_blocks / l->c.queues;

	*lane = (struct lane){.load = l,
			      .queue = vh_client_queue(l->client, i),
			      .slot = l->slot[i],
			      .depth = depth,
			      .random = 0x9e3779b97f4a7c15ull + i,
			      .first = i * share,
			      .n = share};
	vh_client_want_calls(lane->queue, !l->c.poll);
}

int load_measure(struct load *l, unsigned depth, struct load_row *row)
{
	uint64_t start;
	int err;

	for (unsigned i = 0; i < l->c.queues; i++)
		lane_reset(l, i, depth);
	start = now_ns();
	l->deadline = start + l->c.seconds * 1000000000;
	err = l->c.poll ? drive_polling(l) : drive_sleeping(l);
	*row = (struct load_row){.depth = depth,
				 .seconds = (double)(now_ns() - start) / 1e9};
	for (unsigned i = 0; i < l->c.queues; i++) {
		const struct load_row *r = &l->lane[i].row;

		row->reads += r->reads;
		row->writes += r->writes;
		row->errors += r->errors;
		row->wrong += r->wrong;
		histogram_merge(&row->latency, &r->latency);
	}
	return err;
}

/* ---- Life ---- */

static unsigned deepest(const struct load_config *c)
{
	unsigned depth = 0;

	for (unsigned i = 0; i < c->n_depths; i++)
		if (c->depth[i] > depth)
			depth = c->depth[i];
	return depth;
}

/* A request takes three entries where there are no indirect tables. */
static unsigned ring_size(const struct load_config *c)
{
	unsigned size = 128;

	while (size < 3 * deepest(c))
		size *= 2;
	return size;
}

static int make_slots(struct load *l)
{
	const unsigned depth = deepest(&l->c);

	for (unsigned q = 0; q < l->c.queues; q++) {
		for (unsigned i = 0; i < depth; i++) {
			struct slot *s = &l->slot[q][i];

			s->data = vh_client_alloc(l->client, l->c.block_size, 4096);
			s->header = vh_client_alloc(l->client, 64, 64);
			s->status = (uint8_t *)(s->header + 1);
			if (!s->data || !s->header)
				return -ENOMEM;
		}
	}
	return 0;
}

static uint64_t memory_needed(const struct load_config *c)
{
	return (uint64_t)c->queues * deepest(c) * (c->block_size + 4096 + 64) + 4096;
}

static int unfit(const char *why, uint64_t what)
{
	complain("%s (%llu)", why, (unsigned long long)what);
	return EXIT_UNSUPPORTED;
}

/* Only as much as there has to be: who is asked for more than it has may refuse it all.
 */
static int read_config(struct load *l, struct virtio_blk_config *disk)
{
	const size_t len = offsetof(struct virtio_blk_config, physical_block_exp);
	int err = vh_client_read_config(l->client, 0, disk, len);

	if (!err)
		return EXIT_OK;
	complain("the disk does not tell its size");
	return err == -EINVAL ? EXIT_PEER : exit_code_of(err);
}

/* How much of the disk is used, and may it be used like that? */
static int look_at_disk(struct load *l)
{
	struct virtio_blk_config disk = {0};
	struct vh_client_info info;
	const int code = read_config(l, &disk);
	uint64_t bytes;

	if (code != EXIT_OK)
		return code;
	vh_client_info(l->client, &info);
	bytes = disk.capacity * SECTOR;
	if (l->c.size && l->c.size < bytes)
		bytes = l->c.size;
	l->n_blocks = bytes / l->c.block_size;
	if (info.offered_features & BIT(VIRTIO_BLK_F_RO) && l->c.reads < 100)
		return unfit("the disk is read-only: rw=read or rw=randread", 0);
	if (info.features & BIT(VIRTIO_BLK_F_BLK_SIZE) && l->c.block_size % disk.blk_size)
		return unfit("block-size has to be a multiple of the disk's",
			     disk.blk_size);
	if (l->n_blocks / l->c.queues < 2ull * deepest(&l->c))
		return unfit("the disk is too small for so many requests, in blocks",
			     l->n_blocks);
	if (info.queue_num && l->c.queues > info.queue_num)
		return unfit("queues= is more than the disk has", info.queue_num);
	return EXIT_OK;
}

static int start(struct load *l)
{
	int err = vh_client_start(l->client, l->c.queues, ring_size(&l->c));

	if (!err)
		err = make_slots(l);
	if (!err && l->c.verify) {
		l->written = calloc(l->n_blocks, sizeof(*l->written));
		err = l->written ? 0 : -ENOMEM;
	}
	return err ? exit_code_of(err) : EXIT_OK;
}

int load_open(const char *address, const struct load_config *c, struct load **out)
{
	const struct vh_client_params p = {
		.size = sizeof(p),
		.address = address,
		.features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_MQ),
		.memory = memory_needed(c),
		.file = c->memory_file[0] ? c->memory_file : NULL,
	};
	struct load *l = calloc(1, sizeof(*l));
	int err, code;

	if (!l)
		return exit_code_of(-ENOMEM);
	l->c = *c;
	err = vh_client_create(&p, &l->client);
	if (!err)
		err = vh_client_connect(l->client);
	code = err ? exit_code_of(err) : look_at_disk(l);
	if (code == EXIT_OK)
		code = start(l);
	if (code == EXIT_OK)
		*out = l;
	else
		load_close(l);
	return code;
}

void load_close(struct load *l)
{
	if (!l)
		return;
	vh_client_destroy(l->client);
	free(l->written);
	free(l);
}
