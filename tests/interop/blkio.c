/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libblkio in front of a disk that somebody serves over vhost-user:
 *
 *	blkio SOCKET FILE
 *
 * Every slot keeps one request under way, in a part of the disk that is its own, so that
 * what must be in it is known.  While the rings run, memory comes and goes: buffers move
 * to a new region, and the old one is taken away.  At the end the file behind the disk is
 * held against what must be in it.
 *
 * libblkio has no indirect descriptors, and its rings are in memory that is no multiple
 *of a page; at the depth used here a ring is full to the last descriptor.
 */
#include <blkio.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR	   512u
#define PART	   16384u /* of the disk, and of memory: a slot's */
#define N_QUEUES   3
#define RING	   512
#define DEPTH	   128 /* of four descriptors: header, two buffers, status */
#define N_SLOTS	   (N_QUEUES * DEPTH)
#define DISK	   ((uint64_t)N_SLOTS * PART)
#define N_REGIONS  4
#define PER_REGION (4 * N_SLOTS) /* requests before the next region comes */

enum kind { READ, WRITE, ZERO, DISCARD, FLUSH };

struct slot {
	enum kind kind;
	uint64_t off, len;
	struct iovec iov[2];
	unsigned region; /* where its buffer is */
	bool must_write; /* the contents are unknown since a discard */
};

struct disk {
	struct blkio *b;
	struct blkio_mem_region region[N_REGIONS];
	unsigned newest;
	unsigned n_users[N_REGIONS];
	struct slot slot[N_QUEUES][DEPTH];
	unsigned n_running[N_QUEUES];
	uint64_t n_done[FLUSH + 1];
	uint8_t *image; /* what the disk must hold now */
	int file;
};

/* The same numbers in every run. */
static uint32_t next_number(void)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

static void want(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s (%s)", what, strerror(-ret), blkio_get_error_msg());
}

/* ---- Memory ---- */

static void add_region(struct disk *d, unsigned i)
{
	want(blkio_alloc_mem_region(d->b, &d->region[i], N_SLOTS * PART), "memory");
	want(blkio_map_mem_region(d->b, &d->region[i]), "a region");
	d->newest = i;
}

static void remove_region(struct disk *d, unsigned i)
{
	blkio_unmap_mem_region(d->b, &d->region[i]);
	blkio_free_mem_region(d->b, &d->region[i]);
}

/* ---- Requests ---- */

static void fill(const struct slot *s)
{
	for (unsigned i = 0; i < 2; i++)
		for (size_t j = 0; j < s->iov[i].iov_len; j += sizeof(uint32_t)) {
			const uint32_t n = next_number();

			memcpy((uint8_t *)s->iov[i].iov_base + j, &n, sizeof(n));
		}
}

/* A buffer in two pieces that are not side by side. */
static void place(struct disk *d, struct slot *s, unsigned nth)
{
	uint8_t *at = (uint8_t *)d->region[d->newest].addr + (size_t)nth * PART;
	const size_t first = SECTOR * (1 + next_number() % (s->len / SECTOR - 1));

	s->region = d->newest;
	d->n_users[s->region]++;
	s->iov[0] = (struct iovec){.iov_base = at + PART - first, .iov_len = first};
	s->iov[1] = (struct iovec){.iov_base = at, .iov_len = s->len - first};
}

static enum kind choose(const struct slot *s)
{
	static const enum kind mix[] = {READ, READ, READ,    WRITE,
					ZERO, READ, DISCARD, WRITE};
	const unsigned n = next_number() % 64;

	if (s->must_write)
		return WRITE;
	return n ? mix[n % 8] : FLUSH;
}

/* Two to 32 sectors of the slot's own; after a discard, the same again. */
static void locate(struct slot *s, unsigned nth)
{
	const unsigned n_sectors = PART / SECTOR;
	unsigned first;

	if (s->must_write)
		return;
	first = next_number() % (n_sectors - 1);
	s->len = (2 + next_number() % (n_sectors - first - 1)) * SECTOR;
	s->off = (uint64_t)nth * PART + first * SECTOR;
}

static void submit(struct disk *d, unsigned queue, unsigned i)
{
	struct blkioq *q = blkio_get_queue(d->b, (int)queue);
	struct slot *s = &d->slot[queue][i];
	const unsigned nth = queue * DEPTH + i;

	s->kind = choose(s);
	locate(s, nth);
	place(d, s, nth);
	switch (s->kind) {
	case READ:
		memset(s->iov[0].iov_base, 0x5a, s->iov[0].iov_len);
		memset(s->iov[1].iov_base, 0x5a, s->iov[1].iov_len);
		blkioq_readv(q, s->off, s->iov, 2, s, 0);
		break;
	case WRITE:
		fill(s);
		blkioq_writev(q, s->off, s->iov, 2, s, 0);
		break;
	case ZERO:
		blkioq_write_zeroes(q, s->off, s->len, s,
				    nth % 2 ? BLKIO_REQ_NO_UNMAP : 0);
		break;
	case DISCARD:
		blkioq_discard(q, s->off, s->len, s, 0);
		break;
	case FLUSH:
		blkioq_flush(q, s, 0);
		break;
	}
	d->n_running[queue]++;
}

static void check_read(const struct disk *d, const struct slot *s)
{
	const uint8_t *image = d->image + s->off;

	if (memcmp(s->iov[0].iov_base, image, s->iov[0].iov_len) != 0 ||
	    memcmp(s->iov[1].iov_base, image + s->iov[0].iov_len, s->iov[1].iov_len) != 0)
		errx(1, "%" PRIu64 " bytes at %" PRIu64 " are not as they were written",
		     s->len, s->off);
}

static void done(struct disk *d, const struct blkio_completion *c)
{
	struct slot *s = c->user_data;
	uint8_t *image = d->image + s->off;

	if (c->ret)
		errx(1, "request %d, %" PRIu64 " bytes at %" PRIu64 ": %s", s->kind,
		     s->len, s->off, c->error_msg ? c->error_msg : strerror(-c->ret));
	if (s->kind == READ)
		check_read(d, s);
	if (s->kind == ZERO)
		memset(image, 0, s->len);
	if (s->kind == WRITE) {
		memcpy(image, s->iov[0].iov_base, s->iov[0].iov_len);
		memcpy(image + s->iov[0].iov_len, s->iov[1].iov_base, s->iov[1].iov_len);
	}
	s->must_write = s->kind == DISCARD;
	d->n_done[s->kind]++;
	d->n_users[s->region]--;
}

/* ---- Driving ---- */

/* At least one request of the queue ends, and begins anew if @again.  How many ended. */
static unsigned turn(struct disk *d, unsigned queue, bool again)
{
	struct blkio_completion c[DEPTH];
	int n;

	if (!d->n_running[queue])
		return 0;
	n = blkioq_do_io(blkio_get_queue(d->b, (int)queue), c, 1, DEPTH, NULL);
	want(n, "do_io");
	d->n_running[queue] -= (unsigned)n;
	for (int i = 0; i < n; i++) {
		const struct slot *s = c[i].user_data;

		done(d, &c[i]);
		if (again || s->must_write)
			submit(d, queue, (unsigned)(s - d->slot[queue]));
	}
	return (unsigned)n;
}

static void run(struct disk *d, unsigned n_wanted)
{
	for (unsigned n = 0; n < n_wanted;)
		for (unsigned q = 0; q < N_QUEUES; q++)
			n += turn(d, q, true);
}

static void run_until_unused(struct disk *d, unsigned region)
{
	while (d->n_users[region])
		run(d, 1);
}

/* The next region comes, and the one before it goes, both under load. */
static void run_all(struct disk *d)
{
	for (unsigned q = 0; q < N_QUEUES; q++)
		for (unsigned i = 0; i < DEPTH; i++)
			submit(d, q, i);
	run(d, PER_REGION);
	for (unsigned r = 1; r < N_REGIONS; r++) {
		add_region(d, r);
		run_until_unused(d, r - 1);
		remove_region(d, r - 1);
		run(d, PER_REGION);
	}
	for (unsigned q = 0; q < N_QUEUES; q++)
		while (d->n_running[q])
			turn(d, q, false);
}

static void check_file(const struct disk *d)
{
	uint8_t *file = malloc(DISK);

	if (!file || pread(d->file, file, DISK, 0) != (ssize_t)DISK)
		err(1, "the file");
	for (uint64_t i = 0; i < DISK; i += SECTOR)
		if (memcmp(file + i, d->image + i, SECTOR) != 0)
			errx(1, "sector %" PRIu64 " of the file is not as it was written",
			     i / SECTOR);
	free(file);
}

/* ---- Life ---- */

static void open_file(struct disk *d, const char *path)
{
	d->file = open(path, O_RDONLY | O_CLOEXEC);
	d->image = malloc(DISK);
	if (d->file < 0 || !d->image ||
	    pread(d->file, d->image, DISK, 0) != (ssize_t)DISK)
		err(1, "%s, which has to have %" PRIu64 " bytes", path, DISK);
}

static void start(struct disk *d, const char *socket)
{
	uint64_t capacity;
	int max_queues;

	want(blkio_create("virtio-blk-vhost-user", &d->b), "the driver");
	want(blkio_set_str(d->b, "path", socket), "path");
	want(blkio_connect(d->b), "connecting");
	want(blkio_get_uint64(d->b, "capacity", &capacity), "capacity");
	want(blkio_get_int(d->b, "max-queues", &max_queues), "max-queues");
	if (capacity != DISK || max_queues != N_QUEUES)
		errx(1, "%" PRIu64 " bytes and %d queues, not %" PRIu64 " and %d",
		     capacity, max_queues, DISK, N_QUEUES);
	want(blkio_set_int(d->b, "num-queues", N_QUEUES), "num-queues");
	want(blkio_set_int(d->b, "queue-size", RING), "queue-size");
	want(blkio_start(d->b), "starting");
	for (int q = 0; q < N_QUEUES; q++)
		blkioq_set_completion_fd_enabled(blkio_get_queue(d->b, q), true);
}

int main(int argc, char **argv)
{
	static struct disk d;

	if (argc != 3)
		errx(2, "usage: blkio SOCKET FILE");
	open_file(&d, argv[2]);
	start(&d, argv[1]);
	add_region(&d, 0);
	run_all(&d);
	blkio_destroy(&d.b);
	check_file(&d);
	for (unsigned k = 0; k <= FLUSH; k++)
		if (!d.n_done[k])
			errx(1, "of kind %u there was no request", k);
	printf("%" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
	       " ranges of zeroes, %" PRIu64 " discards, %" PRIu64 " flushes\n",
	       d.n_done[READ], d.n_done[WRITE], d.n_done[ZERO], d.n_done[DISCARD],
	       d.n_done[FLUSH]);
	free(d.image);
	close(d.file);
	return 0;
}
