/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same requests as "vhost bench blk" makes, to the same file, with nothing between
 * them and the kernel: O_DIRECT, a registered file, registered buffers, one thread that
 * polls its ring.  What a disk loses against this is what virtio costs.
 *
 *	bare_uring FILE rw=randread|randwrite|read|write block-size=BYTES depth=N:N...
 *seconds=N
 *
 * It prints what vhost bench --json does, as far as blk.py reads it.  Writing destroys
 * what is in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEPTH   1024
#define CLOCK_EVERY 64

struct load {
	struct io_uring ring;
	uint64_t n_blocks, next, random, n_done;
	unsigned block_size, seconds, n_running;
	bool writes, is_random;
	char *memory; /* a block for each request */
	const char *depths;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "bare_uring: %s: %s\n", what, strerror(err));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* xorshift64: any bits will do. */
static uint64_t roll(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static void launch(struct load *l, unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
	char *data = l->memory + (size_t)slot * l->block_size;
	const uint64_t block = (l->is_random ? roll(l) : l->next++) % l->n_blocks;

	if (l->writes)
		io_uring_prep_write_fixed(sqe, 0, data, l->block_size,
					  block * l->block_size, 0);
	else
		io_uring_prep_read_fixed(sqe, 0, data, l->block_size,
					 block * l->block_size, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = slot;
	l->n_running++;
}

/* What is done is counted and, until time is over, done again. */
static void turn(struct load *l, bool again)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int err = io_uring_submit_and_get_events(&l->ring);

	if (err < 0 && err != -EINTR)
		die("io_uring_enter", -err);
	io_uring_for_each_cqe(&l->ring, head, cqe)
	{
		if (cqe->res != (int)l->block_size)
			die("a request", cqe->res < 0 ? -cqe->res : EIO);
		l->n_running--;
		n++;
		if (again)
			launch(l, (unsigned)cqe->user_data);
	}
	io_uring_cq_advance(&l->ring, n);
	l->n_done += n;
}

static void measure(struct load *l, unsigned depth, const char *separator)
{
	const uint64_t start = now_ns(), end = start + l->seconds * 1000000000ull;
	bool again = true;

	l->n_done = l->next = 0;
	l->random = 0x9e3779b97f4a7c15ull;
	for (unsigned i = 0; i < depth; i++)
		launch(l, i);
	for (unsigned round = 0; again || l->n_running; round++) {
		turn(l, again);
		if (round % CLOCK_EVERY == 0)
			again = now_ns() < end;
	}
	printf("%s{\"depth\": %u, \"iops\": %.1f}", separator, depth,
	       (double)l->n_done * 1e9 / (double)(now_ns() - start));
}

static void make_ring(struct load *l, int fd)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER |
					     IORING_SETUP_DEFER_TASKRUN};
	struct iovec memory = {.iov_len = (size_t)MAX_DEPTH * l->block_size};
	int err = io_uring_queue_init_params(MAX_DEPTH, &l->ring, &p);

	if (err)
		die("io_uring_setup", -err);
	memory.iov_base = l->memory = aligned_alloc(4096, memory.iov_len);
	if (!l->memory)
		die("memory", ENOMEM);
	memset(l->memory, 0x5a, memory.iov_len);
	err = io_uring_register_files(&l->ring, &fd, 1);
	if (!err)
		err = io_uring_register_buffers(&l->ring, &memory, 1);
	if (err)
		die("io_uring_register", -err);
}

static bool take_word(struct load *l, const char *word)
{
	if (!strncmp(word, "rw=", 3)) {
		word += 3;
		l->is_random = !strncmp(word, "rand", 4);
		l->writes = strstr(word, "write");
	} else if (!strncmp(word, "block-size=", 11)) {
		l->block_size = (unsigned)strtoul(word + 11, NULL, 10);
	} else if (!strncmp(word, "depth=", 6)) {
		l->depths = word + 6;
	} else if (!strncmp(word, "seconds=", 8)) {
		l->seconds = (unsigned)strtoul(word + 8, NULL, 10);
	} else {
		return false;
	}
	return true;
}

static void measure_all(struct load *l)
{
	const char *at = l->depths, *separator = "";
	char *end;

	printf("{\"rows\": [");
	for (; *at; at = end + (*end == ':'), separator = ", ") {
		unsigned long depth = strtoul(at, &end, 10);

		if (end == at || !depth || depth > MAX_DEPTH)
			die("depth", EINVAL);
		measure(l, (unsigned)depth, separator);
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct load l = {.block_size = 4096, .seconds = 1, .depths = "1:32:128"};
	int fd;

	for (int i = 2; i < argc; i++)
		if (!take_word(&l, argv[i]))
			die(argv[i], EINVAL);
	if (argc < 2 || !l.block_size || l.block_size % 512)
		die("usage", EINVAL);
	fd = open(argv[1], (l.writes ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die(argv[1], errno);
	l.n_blocks = (uint64_t)lseek(fd, 0, SEEK_END) / l.block_size;
	if (!l.n_blocks)
		die("the file's size", EINVAL);
	make_ring(&l, fd);
	measure_all(&l);
	io_uring_queue_exit(&l.ring);
	free(l.memory);
	return 0;
}
