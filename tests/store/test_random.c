/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every store, alone and wrapped, against a model of it in memory: several reactors with
 * a channel each do random requests, many at a time, in memory of any shape.  Each has a
 * part of the disk to itself, and no two requests that are under way touch the same
 * blocks, so what a read must see is known.
 */
#include "store/image.h"

#include <pthread.h>
#include <sys/mman.h>

#define WORKERS	   3
#define REQUESTS   400
#define DEPTH	   12
#define PART	   (1 << 20)
#define BLOCK	   4096
#define N_BLOCKS   (PART / BLOCK)
#define MAX_BLOCKS 16
#define MAX_PIECES 64
/* The bytes of the largest request, and as many between its pieces. */
#define SLOT (2 * MAX_BLOCKS * BLOCK)

struct slot {
	struct request q;
	struct iovec iov[MAX_PIECES];
	char *memory;
	unsigned first, n; /* blocks */
	bool busy;
};

struct worker {
	pthread_t thread;
	unsigned number;
	struct vh_store *s;
	struct vh_reactor *r;
	struct vh_store_channel *ch;
	char *memory;
	char *model;	       /* what the part holds                    */
	bool known[N_BLOCKS];  /* false: discarded, or a write failed    */
	bool in_use[N_BLOCKS]; /* by a request                           */
	struct slot slot[DEPTH];
	unsigned n_busy;
	uint64_t random;
	const char *wrong; /* the first thing that was */
};

static uint64_t random_below(struct worker *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % n;
}

static void fault(struct worker *w, const char *what)
{
	if (!w->wrong)
		w->wrong = what;
}

/* ---- The end of a request ---- */

static void copy_pieces(const struct slot *s, char *flat)
{
	for (unsigned i = 0; i < s->q.io.n_iov; i++) {
		memcpy(flat, s->iov[i].iov_base, s->iov[i].iov_len);
		flat += s->iov[i].iov_len;
	}
}

static void check_read(struct worker *w, const struct slot *s)
{
	char flat[MAX_BLOCKS * BLOCK];

	copy_pieces(s, flat);
	for (unsigned i = 0; i < s->n; i++)
		if (w->known[s->first + i] &&
		    memcmp(flat + i * BLOCK, w->model + (s->first + i) * BLOCK, BLOCK))
			fault(w, "a read saw what was not there");
}

static void settle(struct worker *w, struct slot *s)
{
	const enum vh_store_op op = s->q.io.op;
	const bool changes = op != VH_STORE_READ && op != VH_STORE_FLUSH;

	if (s->q.n_done != 1)
		fault(w, "a request ended twice");
	if (s->q.err && s->q.err != -EREMOTEIO)
		fault(w, vh_strerror(s->q.err));
	if (!s->q.err && op == VH_STORE_READ)
		check_read(w, s);
	for (unsigned i = 0; i < s->n; i++) {
		w->in_use[s->first + i] = false;
		if (changes)
			w->known[s->first + i] = !s->q.err && op != VH_STORE_DISCARD;
	}
	s->busy = false;
	w->n_busy--;
}

/* ---- The beginning of one ---- */

/* Some blocks that nobody uses. */
static void choose_blocks(struct worker *w, struct slot *s)
{
	const unsigned most = 1 + random_below(w, MAX_BLOCKS);

	do {
		s->first = random_below(w, N_BLOCKS);
	} while (w->in_use[s->first]);
	for (s->n = 0; s->n < most && s->first + s->n < N_BLOCKS; s->n++)
		if (w->in_use[s->first + s->n])
			break;
	for (unsigned i = 0; i < s->n; i++)
		w->in_use[s->first + i] = true;
}

/* Cut @len bytes of the slot's memory into pieces, each at a multiple of @unit. */
static void choose_pieces(struct worker *w, struct slot *s, size_t len)
{
	static const size_t units[] = {1, 8, 512, 512, 4096};
	const size_t unit = units[random_below(w, 5)];
	const bool gaps = random_below(w, 2);
	const unsigned most = 1 + random_below(w, MAX_PIECES);
	char *at = s->memory + unit * random_below(w, 2);
	unsigned n = 0;

	while (len) {
		size_t piece = unit * (1 + random_below(w, 2 * len / unit / most + 1));

		if (piece > len || n == MAX_PIECES - 1)
			piece = len;
		s->iov[n++] = (struct iovec){.iov_base = at, .iov_len = piece};
		at += piece;
		if (gaps && at + unit + len <= s->memory + SLOT)
			at += unit;
		len -= piece;
	}
	s->q.io.iov = s->iov;
	s->q.io.n_iov = n;
}

static void fill_pieces(struct worker *w, struct slot *s)
{
	uint64_t flat[MAX_BLOCKS * BLOCK / sizeof(uint64_t)];
	const char *from = (const char *)flat;

	for (size_t i = 0; i < s->q.io.len / sizeof(flat[0]); i++)
		flat[i] = random_below(w, UINT64_MAX);
	for (unsigned i = 0; i < s->q.io.n_iov; i++) {
		memcpy(s->iov[i].iov_base, from, s->iov[i].iov_len);
		from += s->iov[i].iov_len;
	}
}

static void expect_change(struct worker *w, struct slot *s)
{
	char *in_model = w->model + s->first * BLOCK;

	if (s->q.io.op == VH_STORE_WRITE)
		copy_pieces(s, in_model);
	else
		memset(in_model, 0, s->n * BLOCK);
}

static enum vh_store_op choose_op(struct worker *w)
{
	static const enum vh_store_op ops[] = {
		VH_STORE_READ,	VH_STORE_READ,	VH_STORE_READ,	  VH_STORE_READ,
		VH_STORE_WRITE, VH_STORE_WRITE, VH_STORE_WRITE,	  VH_STORE_WRITE,
		VH_STORE_READ,	VH_STORE_WRITE, VH_STORE_DISCARD, VH_STORE_WRITE_ZEROES,
	};

	if (!random_below(w, 50))
		return VH_STORE_FLUSH;
	return ops[random_below(w, sizeof(ops) / sizeof(ops[0]))];
}

static void submit_one(struct worker *w, struct slot *s)
{
	const enum vh_store_op op = choose_op(w);

	s->n = 0;
	s->busy = true;
	w->n_busy++;
	request_init(&s->q, op, 0, NULL, 0);
	if (op != VH_STORE_FLUSH) {
		choose_blocks(w, s);
		s->q.io.off = (uint64_t)w->number * PART + s->first * BLOCK;
		s->q.io.len = s->n * BLOCK;
	}
	if (op == VH_STORE_READ || op == VH_STORE_WRITE)
		choose_pieces(w, s, s->q.io.len);
	if (op == VH_STORE_WRITE)
		fill_pieces(w, s);
	if (op == VH_STORE_WRITE || op == VH_STORE_WRITE_ZEROES) {
		expect_change(w, s);
		s->q.io.flags = random_below(w, 20) ? 0 : VH_STORE_FUA;
	}
	if (op == VH_STORE_WRITE_ZEROES && random_below(w, 2))
		s->q.io.flags |= VH_STORE_UNMAP;
	vh_store_submit(w->ch, &s->q.io);
}

/* ---- A worker ---- */

/* cmocka's asserts are for the first thread only. */
static void turn(struct worker *w)
{
	int n = vh_reactor_poll(w->r, 0);

	for (unsigned i = 0; i < DEPTH; i++)
		if (w->slot[i].busy && w->slot[i].q.n_done) {
			settle(w, &w->slot[i]);
			n = 1;
		}
	if (n < 0 || (n == 0 && !fd_is_readable(vh_reactor_fd(w->r), FOR_EVER_MS)))
		fault(w, "a request never ended");
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned n = 0;

	while (!w->wrong && n < REQUESTS) {
		for (unsigned i = 0; i < DEPTH; i++)
			if (!w->slot[i].busy && n < REQUESTS && random_below(w, 2)) {
				submit_one(w, &w->slot[i]);
				n++;
			}
		vh_store_start(w->ch);
		if (w->n_busy)
			turn(w);
	}
	while (!w->wrong && w->n_busy)
		turn(w);
	return NULL;
}

static void *map(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void worker_start(struct worker *w, unsigned number, struct vh_store *s)
{
	struct iovec region = {.iov_len = DEPTH * SLOT};

	w->number = number;
	w->s = s;
	w->random = 88172645463325252ull + number;
	w->r = reactor_new(number ? VH_POLL_SLEEP : VH_POLL_ADAPTIVE);
	w->model = map(PART);
	w->memory = region.iov_base = map(region.iov_len);
	for (unsigned i = 0; i < N_BLOCKS; i++)
		w->known[i] = true;
	for (unsigned i = 0; i < DEPTH; i++)
		w->slot[i].memory = w->memory + i * SLOT;
	assert_int_equal(vh_store_channel_open(s, w->r, &w->ch), 0);
	vh_store_channel_memory(w->ch, &region, 1);
	assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
	if (w->wrong)
		fail_msg("worker %u: %s", w->number, w->wrong);
	vh_store_channel_close(w->ch);
	munmap(w->model, PART);
	munmap(w->memory, DEPTH * SLOT);
}

static void expect_like_the_model(const char *const *words)
{
	struct worker *w = calloc(WORKERS, sizeof(*w));
	struct vh_store *s;

	assert_non_null(w);
	for (unsigned i = 0; words[i]; i++)
		print_message(i ? " %s" : "  %s", words[i]);
	print_message("\n");
	assert_int_equal(store_open(&s, words), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		worker_start(&w[i], i, s);
	for (unsigned i = 0; i < WORKERS; i++)
		worker_join(&w[i]);
	vh_store_close(s);
	for (unsigned i = 0; i < WORKERS; i++)
		vh_reactor_destroy(w[i].r);
	free(w);
}

/* ---- The stores ---- */

#define ROW_MAX 6

static const char *const wrappings[][ROW_MAX] = {
	{NULL},
	{"volatile=on", NULL},
	{"volatile=reorder", NULL},
	{"delay=read:1,write:200us", NULL},
	{"error=EREMOTEIO:every=7", NULL},
	{"limit=iops=4000,bps=500M,burst=0", NULL},
	{"volatile=on", "delay=write:1", "error=EREMOTEIO:read:every=9",
	 "limit=iops=20000", NULL},
};

#define N_WRAPPINGS (sizeof(wrappings) / sizeof(wrappings[0]))

/* @words, and one more row of them. */
static void expect_wrapped_like_the_model(const char *const *words,
					  const char *const *wrapping)
{
	const char *all[2 * ROW_MAX];
	unsigned n = 0;

	for (unsigned i = 0; words[i]; i++)
		all[n++] = words[i];
	for (unsigned i = 0; wrapping[i]; i++)
		all[n++] = wrapping[i];
	all[n] = NULL;
	expect_like_the_model(all);
}

static void memory_is_like_the_model(void **state)
{
	for (size_t i = 0; i < N_WRAPPINGS; i++)
		expect_wrapped_like_the_model((const char *const[]){"memory=3M", NULL},
					      wrappings[i]);
}

static void expect_file_like_the_model(const char *folder, size_t n_wrappings,
				       const char *const *words)
{
	const char *all[ROW_MAX];
	struct image image;
	unsigned k = 1;

	for (; words[k - 1]; k++)
		all[k] = words[k - 1];
	all[k] = NULL;
	for (size_t i = 0; i < n_wrappings; i++) {
		image_new(&image, folder, WORKERS * PART);
		all[0] = image.word;
		expect_wrapped_like_the_model(all, wrappings[i]);
		image_delete(&image);
	}
}

#define FILE_LIKE_THE_MODEL(folder, n_wrappings, ...)   \
	expect_file_like_the_model(folder, n_wrappings, \
				   (const char *const[]){__VA_ARGS__, NULL})

static void a_file_with_io_uring_is_like_the_model(void **state)
{
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=uring");
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=uring", "block-size=4096");
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=uring", "register=on");
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=uring", "direct=off");
	FILE_LIKE_THE_MODEL(IN_MEMORY, N_WRAPPINGS, "aio=uring");
}

static void a_file_with_threads_is_like_the_model(void **state)
{
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=threads");
	FILE_LIKE_THE_MODEL(ON_DISK, 1, "aio=threads", "direct=off");
	FILE_LIKE_THE_MODEL(IN_MEMORY, N_WRAPPINGS, "aio=threads");
}

static void a_file_on_tmpfs_is_like_the_model(void **state)
{
	FILE_LIKE_THE_MODEL(IN_MEMORY, N_WRAPPINGS, "register=off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_like_the_model),
		cmocka_unit_test(a_file_with_io_uring_is_like_the_model),
		cmocka_unit_test(a_file_with_threads_is_like_the_model),
		cmocka_unit_test(a_file_on_tmpfs_is_like_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
