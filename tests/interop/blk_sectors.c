/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes the sectors of somebody's disk through virtio-blk requests, and holds
 * them against the file behind it:
 *
 *	blk_sectors ADDRESS FILE [PID]
 *
 * With PID, that of the back-end, it also stops and kills that process while requests
 * are under way, and goes on with the one that listens there next.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vhost/vhost.h>

#define SECTOR	  512u
#define CHUNK	  65536u /* no request crosses a multiple of it */
#define N_QUEUES  2
#define RING	  64
#define N_SLOTS	  16 /* of each queue: three descriptors each */
#define N_ROUNDS  8
#define MEMORY	  (N_QUEUES * N_SLOTS * (CHUNK + 4096u))
#define LOST_PART 12 /* requests that are under way when the back-end dies */

struct slot {
	struct virtio_blk_outhdr *hdr; /* shared, as are the next two */
	uint8_t *data, *status;
	uint32_t type, len; /* as they were asked for      */
	uint8_t wanted;	    /* status                      */
	bool busy;
};

struct disk {
	struct vh_client *client;
	struct vh_client_queue *queue[N_QUEUES];
	struct slot slot[N_QUEUES][N_SLOTS];
	uint8_t *image; /* what the disk must hold now */
	uint64_t len;	/* bytes                       */
	int file;
	uint64_t n_done;
};

/* The same numbers in every run. */
static uint32_t next_number(void)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

/* ---- Requests ---- */

static void check_done(struct disk *d, struct slot *s, uint32_t written)
{
	const bool reads = s->type == VIRTIO_BLK_T_IN || s->type == VIRTIO_BLK_T_GET_ID;

	if (*s->status != s->wanted)
		errx(1, "type %u, sector %" PRIu64 ": status %u, not %u", s->type,
		     (uint64_t)s->hdr->sector, *s->status, s->wanted);
	if (!s->wanted && written != (reads ? s->len : 0) + 1)
		errx(1, "type %u, %u bytes: %u were written", s->type, s->len, written);
	s->busy = false;
	d->n_done++;
}

/* Handle what is done in queue @q; the back-end may have to be waited for. */
static void reap(struct disk *d, unsigned q)
{
	struct slot *s;
	uint32_t len;
	int got;

	while ((s = vh_client_get(d->queue[q], &len)))
		check_done(d, s, len);
	if (!vh_client_outstanding(d->queue[q]))
		return;
	got = vh_client_wait(d->queue[q], 10000);
	if (got == -EPIPE)
		got = vh_client_connect(d->client) ? -EPIPE : 1;
	if (got != 1)
		errx(1, "queue %u: %s", q, got ? strerror(-got) : "no answer");
}

static void reap_all(struct disk *d)
{
	for (unsigned q = 0; q < N_QUEUES; q++) {
		vh_client_kick(d->queue[q]);
		while (vh_client_outstanding(d->queue[q]))
			reap(d, q);
	}
}

static struct slot *free_slot(struct disk *d, unsigned q)
{
	for (;;) {
		for (unsigned i = 0; i < N_SLOTS; i++)
			if (!d->slot[q][i].busy)
				return &d->slot[q][i];
		vh_client_kick(d->queue[q]);
		reap(d, q);
	}
}

/* Queues it; @s->data is filled already when it is written. */
static void submit(struct disk *d, unsigned q, struct slot *s, uint32_t type,
		   uint64_t sector, uint32_t len)
{
	const bool writes = type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_WRITE_ZEROES;
	struct iovec iov[3] = {{s->hdr, sizeof(*s->hdr)}};
	unsigned n = 1;

	*s->hdr = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*s->status = 0xff;
	s->type = type;
	s->len = len;
	s->wanted = VIRTIO_BLK_S_OK;
	s->busy = true;
	if (len)
		iov[n++] = (struct iovec){s->data, len};
	iov[n++] = (struct iovec){s->status, 1};
	if (vh_client_add(d->queue[q], iov, writes ? n - 1 : 1, writes ? 1 : n - 1, s))
		errx(1, "queue %u does not take a request", q);
}

/* ---- Tests ---- */

static void read_everything(struct disk *d)
{
	for (uint64_t at = 0; at < d->len;) {
		struct slot *s[N_QUEUES * N_SLOTS];
		const uint64_t first = at;
		unsigned n = 0;

		for (; n < N_QUEUES * N_SLOTS && at < d->len; n++, at += CHUNK) {
			s[n] = free_slot(d, n % N_QUEUES);
			submit(d, n % N_QUEUES, s[n], VIRTIO_BLK_T_IN, at / SECTOR,
			       CHUNK);
		}
		reap_all(d);
		for (unsigned i = 0; i < n; i++)
			if (memcmp(s[i]->data, d->image + first + i * CHUNK, CHUNK) != 0)
				errx(1, "what was read at %" PRIu64 " is not there",
				     first + i * CHUNK);
	}
}

static void write_somewhere(struct disk *d, unsigned q, uint64_t chunk)
{
	const uint32_t first = next_number() % (CHUNK / SECTOR);
	const uint32_t n = 1 + next_number() % (CHUNK / SECTOR - first);
	const uint64_t at = chunk * CHUNK + first * SECTOR;
	struct slot *s = free_slot(d, q);

	for (uint32_t i = 0; i < n * SECTOR; i++)
		s->data[i] = d->image[at + i] = (uint8_t)(next_number() >> 8);
	submit(d, q, s, VIRTIO_BLK_T_OUT, at / SECTOR, n * SECTOR);
}

static void flush(struct disk *d)
{
	submit(d, 0, free_slot(d, 0), VIRTIO_BLK_T_FLUSH, 0, 0);
	reap_all(d);
}

static void compare_with_file(struct disk *d)
{
	uint8_t *now = malloc(d->len);

	if (!now || pread(d->file, now, d->len, 0) != (ssize_t)d->len)
		err(1, "cannot read the file");
	for (uint64_t i = 0; i < d->len; i++)
		if (now[i] != d->image[i])
			errx(1, "the file differs at %" PRIu64, i);
	free(now);
}

static void write_round(struct disk *d, unsigned round)
{
	const uint64_t n_chunks = d->len / CHUNK;

	/* Each chunk once: no order between two requests is needed. */
	for (uint64_t i = round % 3; i < n_chunks; i += 3)
		write_somewhere(d, i % N_QUEUES, i);
	reap_all(d);
	flush(d);
}

static void write_zeroes(struct disk *d)
{
	const struct virtio_blk_discard_write_zeroes range = {.sector = 24,
							      .num_sectors = 40};
	struct slot *s = free_slot(d, 1);

	memcpy(s->data, &range, sizeof(range));
	submit(d, 1, s, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range));
	memset(d->image + 24 * SECTOR, 0, 40 * SECTOR);
	reap_all(d);
	flush(d);
}

/* The device says so and goes on. */
static void ask_for_the_impossible(struct disk *d)
{
	struct slot *s = free_slot(d, 0);

	submit(d, 0, s, VIRTIO_BLK_T_IN, d->len / SECTOR - 1, 2 * SECTOR);
	s->wanted = VIRTIO_BLK_S_IOERR;
	s = free_slot(d, 1);
	submit(d, 1, s, 12345, 0, SECTOR);
	s->wanted = VIRTIO_BLK_S_UNSUPP;
	reap_all(d);
}

/* It is stopped first, so that what was sent is lost with it. */
static void have_it_die(struct disk *d, pid_t pid)
{
	if (kill(pid, SIGSTOP) < 0)
		err(1, "cannot stop %d", (int)pid);
	for (unsigned i = 0; i < LOST_PART; i++)
		write_somewhere(d, i % N_QUEUES, i);
	for (unsigned q = 0; q < N_QUEUES; q++)
		vh_client_kick(d->queue[q]);
	if (kill(pid, SIGKILL) < 0)
		err(1, "cannot kill %d", (int)pid);
	reap_all(d);
	flush(d);
}

/* ---- Setting up ---- */

static void open_file(struct disk *d, const char *path)
{
	struct stat st;

	d->file = open(path, O_RDONLY | O_CLOEXEC);
	if (d->file < 0 || fstat(d->file, &st) < 0)
		err(1, "%s", path);
	d->len = (uint64_t)st.st_size;
	if (!d->len || d->len % CHUNK)
		errx(1, "%s: not a multiple of %u bytes", path, CHUNK);
	d->image = malloc(d->len);
	if (!d->image || pread(d->file, d->image, d->len, 0) != st.st_size)
		err(1, "cannot read %s", path);
}

static void make_slots(struct disk *d)
{
	for (unsigned i = 0; i < N_QUEUES * N_SLOTS; i++) {
		struct slot *s = &d->slot[i / N_SLOTS][i % N_SLOTS];

		s->hdr = vh_client_alloc(d->client, sizeof(*s->hdr), 16);
		s->data = vh_client_alloc(d->client, CHUNK, SECTOR);
		s->status = vh_client_alloc(d->client, 1, 1);
		if (!s->hdr || !s->data || !s->status)
			errx(1, "too little memory");
	}
}

static void start(struct disk *d)
{
	if (vh_client_start(d->client, N_QUEUES, RING))
		errx(1, "cannot start");
	for (unsigned q = 0; q < N_QUEUES; q++)
		d->queue[q] = vh_client_queue(d->client, q);
}

static void connect_to(struct disk *d, const char *address)
{
	const struct vh_client_params p = {
		.size = sizeof(p),
		.address = address,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
			    1ull << VIRTIO_RING_F_INDIRECT_DESC |
			    1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ |
			    1ull << VIRTIO_BLK_F_WRITE_ZEROES,
		.memory = MEMORY};
	struct vh_client_info info;
	uint64_t capacity;

	if (vh_client_create(&p, &d->client) || vh_client_connect(d->client))
		errx(1, "cannot connect");
	vh_client_info(d->client, &info);
	if (info.features & ~p.features & ~(1ull << 30) || p.features & ~info.features)
		errx(1, "features 0x%" PRIx64, info.features);
	if (vh_client_read_config(d->client, 0, &capacity, sizeof(capacity)) ||
	    capacity != d->len / SECTOR)
		errx(1, "the disk has another size than the file");
}

static void test(struct disk *d, pid_t pid)
{
	read_everything(d);
	for (unsigned i = 0; i < N_ROUNDS; i++) {
		write_round(d, i);
		compare_with_file(d);
	}
	write_zeroes(d);
	compare_with_file(d);
	ask_for_the_impossible(d);
	read_everything(d);
	if (vh_client_stop(d->client))
		errx(1, "cannot stop");
	start(d);
	read_everything(d);
	if (!pid)
		return;
	have_it_die(d, pid);
	compare_with_file(d);
	read_everything(d);
}

int main(int argc, char **argv)
{
	struct disk d = {0};

	if (argc < 3)
		errx(2, "usage: blk_sectors ADDRESS FILE [PID]");
	open_file(&d, argv[2]);
	connect_to(&d, argv[1]);
	make_slots(&d);
	start(&d);
	test(&d, argc > 3 ? (pid_t)atoi(argv[3]) : 0);
	printf("%" PRIu64 " requests\n", d.n_done);
	vh_client_destroy(d.client);
	free(d.image);
	return 0;
}
