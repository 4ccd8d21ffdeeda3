/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file=PATH, every way of reading and writing it, in memory and on disk.  Each test runs
 * with each.
 */
#include "store/image.h"

#include <sys/mman.h>

#define CAPACITY (1 << 20)
#define LEN	 65536

struct way {
	const char *name, *folder, *words[3];
};

static const struct way ways[] = {
	{"uring, direct", ON_DISK, {"aio=uring", "register=off", NULL}},
	{"uring, direct, registered", ON_DISK, {"aio=uring", "register=on", NULL}},
	{"uring, buffered", ON_DISK, {"aio=uring", "direct=off", NULL}},
	{"uring, tmpfs", IN_MEMORY, {"aio=uring", "register=off", NULL}},
	{"at once, tmpfs", IN_MEMORY, {"register=off", NULL}},
	{"threads, direct", ON_DISK, {"aio=threads", NULL}},
	{"threads, buffered", ON_DISK, {"aio=threads", "direct=off", NULL}},
	{"threads, tmpfs", IN_MEMORY, {"aio=threads", NULL}},
};

struct disk {
	struct image image;
	struct rig rig;
	bool has_ring;
	char *buf; /* LEN bytes that O_DIRECT takes */
};

static int setup(struct disk *d, const struct way *way, enum vh_poll_mode mode)
{
	const struct iovec all = {.iov_len = LEN};
	struct iovec region = all;

	d->has_ring = !strcmp(way->words[0], "aio=uring");
	image_new(&d->image, way->folder, CAPACITY);
	rig_open_words(
		&d->rig, mode,
		(const char *const[]){d->image.word, way->words[0], way->words[1], NULL});
	d->buf = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_true(d->buf != MAP_FAILED);
	region.iov_base = d->buf;
	vh_store_channel_memory(d->rig.ch, &region, 1);
	return 0;
}

static void cleanup(struct disk *d)
{
	rig_close(&d->rig);
	munmap(d->buf, LEN);
	image_delete(&d->image);
}

/* @test with each way. */
static void with_each_way(void (*test)(struct disk *d))
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct disk d;

		print_message("  %s\n", ways[i].name);
		setup(&d, &ways[i], VH_POLL_SLEEP);
		test(&d);
		cleanup(&d);
	}
}

#define EACH_WAY(name)                    \
	static void name(void **state)    \
	{                                 \
		with_each_way(name##_on); \
	}

/* ---- Reading and writing ---- */

static void what_is_written_is_read_on(struct disk *d)
{
	char seen[512];

	memset(d->buf, 'a', LEN);
	assert_int_equal(do_op(&d->rig, VH_STORE_WRITE, 4096, d->buf, LEN), 0);
	image_read(&d->image, 4096 + LEN - 512, seen, 512);
	assert_true(is_all(seen, 'a', 512));
	image_read(&d->image, 4096 - 512, seen, 512);
	assert_true(is_all(seen, 0, 512));
	memset(d->buf, 0, LEN);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, 4096, d->buf, LEN), 0);
	assert_true(is_all(d->buf, 'a', LEN));
}
EACH_WAY(what_is_written_is_read)

static void the_last_block_is_there_on(struct disk *d)
{
	memset(d->buf, 'z', 512);
	assert_int_equal(do_op(&d->rig, VH_STORE_WRITE, CAPACITY - 512, d->buf, 512), 0);
	memset(d->buf, 0, 512);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, CAPACITY - 512, d->buf, 512), 0);
	assert_true(is_all(d->buf, 'z', 512));
}
EACH_WAY(the_last_block_is_there)

static void flush_and_fua_end_well_on(struct disk *d)
{
	memset(d->buf, 'f', LEN);
	assert_int_equal(do_flags(&d->rig, VH_STORE_WRITE, VH_STORE_FUA, 0, d->buf, LEN),
			 0);
	assert_int_equal(do_op(&d->rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(
		do_flags(&d->rig, VH_STORE_WRITE_ZEROES, VH_STORE_FUA, 0, NULL, LEN), 0);
}
EACH_WAY(flush_and_fua_end_well)

/* ---- Memory of all kinds ---- */

/* Write 4096 bytes that lie in pieces of @len from @at on with gaps of @gap; look. */
static void expect_pieces_written(struct disk *d, size_t at, size_t len, size_t gap)
{
	struct iovec v[4096];
	char seen[4096];
	struct request q;
	unsigned n = 0;

	request_init(&q, VH_STORE_WRITE, 8192, NULL, 4096);
	for (size_t left = 4096, from = at; left; n++) {
		v[n].iov_base = d->buf + from;
		v[n].iov_len = len < left ? len : left;
		memset(v[n].iov_base, 'A' + n % 26, v[n].iov_len);
		from += v[n].iov_len + gap;
		left -= v[n].iov_len;
	}
	q.io.iov = v;
	q.io.n_iov = n;
	begin(&d->rig, &q);
	assert_int_equal(finish(&d->rig, &q), 0);
	image_read(&d->image, 8192, seen, 4096);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(seen[i], 'A' + i / len % 26);
	/* And back again. */
	memset(d->buf, 0, LEN);
	q.io.op = VH_STORE_READ;
	q.n_done = 0;
	begin(&d->rig, &q);
	assert_int_equal(finish(&d->rig, &q), 0);
	for (unsigned i = 0; i < n; i++)
		assert_true(is_all(v[i].iov_base, 'A' + i % 26, v[i].iov_len));
	assert_true(is_all(d->buf, 0, at));
}

static void pieces_may_be_anywhere_and_of_any_length_on(struct disk *d)
{
	static const size_t rows[][3] = {
		{0, 4096, 0},  {512, 512, 0},	   {0, 512, 512}, {1, 4096, 0},
		{8, 1024, 24}, {3, 1000, 0},	   {7, 100, 13},  {4095, 1, 1},
		{1, 4095, 1},  {4096, 2048, 8192}, {0, 1, 0},	  {2, 3, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_pieces_written(d, rows[i][0], rows[i][1], rows[i][2]);
}
EACH_WAY(pieces_may_be_anywhere_and_of_any_length)

/* More than the kernel takes at a time, all in one place. */
static void more_pieces_than_a_system_call_takes_on(struct disk *d)
{
	enum { N = 1500 };
	struct iovec v[N];
	struct request q;

	for (unsigned i = 0; i < N; i++)
		v[i] = (struct iovec){.iov_base = d->buf + i % 2 * 4096, .iov_len = 512};
	memset(d->buf, 'x', 8192);
	request_init(&q, VH_STORE_WRITE, 0, NULL, N * 512);
	q.io.iov = v;
	q.io.n_iov = N;
	begin(&d->rig, &q);
	assert_int_equal(finish(&d->rig, &q), 0);
	for (unsigned i = 0; i < N / 128; i++) {
		assert_int_equal(do_op(&d->rig, VH_STORE_READ, i * LEN, d->buf, LEN), 0);
		assert_true(is_all(d->buf, 'x', LEN));
	}
}
EACH_WAY(more_pieces_than_a_system_call_takes)

/* ---- Discard and zeroes ---- */

static void zeroes_replace_what_was_there_on(struct disk *d)
{
	static const unsigned flags[] = {0, VH_STORE_UNMAP, VH_STORE_FUA,
					 VH_STORE_UNMAP | VH_STORE_FUA};

	for (unsigned i = 0; i < 4; i++) {
		memset(d->buf, 'a', LEN);
		assert_int_equal(do_op(&d->rig, VH_STORE_WRITE, 0, d->buf, LEN), 0);
		assert_int_equal(do_flags(&d->rig, VH_STORE_WRITE_ZEROES, flags[i], 512,
					  NULL, LEN - 1024),
				 0);
		assert_int_equal(do_op(&d->rig, VH_STORE_READ, 0, d->buf, LEN), 0);
		assert_true(is_all(d->buf, 'a', 512));
		assert_true(is_all(d->buf + 512, 0, LEN - 1024));
		assert_true(is_all(d->buf + LEN - 512, 'a', 512));
	}
}
EACH_WAY(zeroes_replace_what_was_there)

static blkcnt_t space_used(const struct image *i)
{
	struct stat st;

	assert_int_equal(stat(i->path, &st), 0);
	return st.st_blocks;
}

static void a_discard_gives_the_space_back_on(struct disk *d)
{
	blkcnt_t before;

	memset(d->buf, 'a', LEN);
	assert_int_equal(do_flags(&d->rig, VH_STORE_WRITE, VH_STORE_FUA, 0, d->buf, LEN),
			 0);
	before = space_used(&d->image);
	assert_int_equal(do_flags(&d->rig, VH_STORE_DISCARD, VH_STORE_FUA, 0, NULL, LEN),
			 0);
	assert_true(space_used(&d->image) < before);
}
EACH_WAY(a_discard_gives_the_space_back)

/* ---- What goes wrong ---- */

static void a_file_that_shrank_fails_reads_beyond_its_end_on(struct disk *d)
{
	memset(d->buf, 'a', LEN);
	assert_int_equal(do_op(&d->rig, VH_STORE_WRITE, 0, d->buf, LEN), 0);
	assert_int_equal(truncate(d->image.path, 5000), 0);
	log_to_test();
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, 0, d->buf, LEN), -EIO);
	assert_non_null(strstr(last_line, "shorter than it was"));
	assert_int_equal(n_lines, 1);
	/* The second time is not worth a line. */
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, 8192, d->buf, LEN), -EIO);
	assert_int_equal(n_lines, 1);
	vh_log_set(VH_LOG_WARN, NULL, NULL);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, 0, d->buf, 4096), 0);
	assert_true(is_all(d->buf, 'a', 4096));
}
EACH_WAY(a_file_that_shrank_fails_reads_beyond_its_end)

static void what_cannot_be_erased_says_so_on(struct disk *d)
{
	assert_false(vh_store_info(d->rig.s)->secure_erase);
	assert_int_equal(do_op(&d->rig, VH_STORE_SECURE_ERASE, 0, NULL, 4096),
			 -EOPNOTSUPP);
}
EACH_WAY(what_cannot_be_erased_says_so)

static void another_size_is_seen_when_asked_for_on(struct disk *d)
{
	assert_int_equal(vh_store_refresh(d->rig.s), 0);
	assert_int_equal(truncate(d->image.path, CAPACITY * 2 + 100), 0);
	assert_int_equal(vh_store_refresh(d->rig.s), 1);
	assert_int_equal(vh_store_info(d->rig.s)->capacity, CAPACITY * 2);
	assert_int_equal(vh_store_refresh(d->rig.s), 0);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, CAPACITY, d->buf, LEN), 0);
}
EACH_WAY(another_size_is_seen_when_asked_for)

/* ---- Many at a time ---- */

#define MANY 2000

static struct request many[MANY];

static void begin_many(struct disk *d, enum vh_store_op op)
{
	for (unsigned i = 0; i < MANY; i++) {
		request_init(&many[i], op, i * 512, d->buf + i % 128 * 512, 512);
		vh_store_submit(d->rig.ch, &many[i].io);
	}
}

static unsigned count_done(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += many[i].n_done;
	return n;
}

static void more_requests_than_there_is_room_for_end_on(struct disk *d)
{
	memset(d->buf, 'm', LEN);
	begin_many(d, VH_STORE_WRITE);
	vh_store_start(d->rig.ch);
	drive_until(d->rig.r, count_done() == MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(many[i].err, 0);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, (MANY - 128) * 512, d->buf, LEN),
			 0);
	assert_true(is_all(d->buf, 'm', LEN));
}
EACH_WAY(more_requests_than_there_is_room_for_end)

static void cancelled_ones_end_once_and_say_how_on(struct disk *d)
{
	unsigned n_cancelled = 0;

	memset(d->buf, 'c', LEN);
	begin_many(d, VH_STORE_WRITE);
	vh_store_cancel(d->rig.ch);
	drive_until(d->rig.r, count_done() == MANY);
	drive_until_idle(d->rig.r);
	for (unsigned i = 0; i < MANY; i++) {
		char seen[512];

		assert_int_equal(many[i].n_done, 1);
		assert_true(!many[i].err || many[i].err == -ECANCELED);
		n_cancelled += many[i].err == -ECANCELED;
		image_read(&d->image, i * 512, seen, 512);
		assert_true(is_all(seen, many[i].err ? 0 : 'c', 512));
	}
	/* A ring has not the room for so many; threads may be quick. */
	if (d->has_ring)
		assert_true(n_cancelled > 0);
	assert_int_equal(do_op(&d->rig, VH_STORE_READ, 0, d->buf, LEN), 0);
}
EACH_WAY(cancelled_ones_end_once_and_say_how)

static void each_way_of_polling_gets_its_completions(void **state)
{
	static const enum vh_poll_mode modes[] = {VH_POLL_ADAPTIVE, VH_POLL_BUSY,
						  VH_POLL_SLEEP};

	for (size_t m = 0; m < 3; m++)
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			struct disk d;

			setup(&d, &ways[i], modes[m]);
			for (unsigned n = 0; n < 50; n++)
				assert_int_equal(do_op(&d.rig, VH_STORE_READ, n * 512,
						       d.buf, 4096),
						 0);
			cleanup(&d);
		}
}

/* A buffer that was registered goes on meaning the same pages: so one can see it. */
static void put_other_memory_there(struct disk *d)
{
	assert_ptr_equal(mmap(d->buf, LEN, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 d->buf);
}

static void registered_memory_is_used_and_registered_anew(void **state)
{
	struct iovec region = {.iov_len = LEN};
	struct disk d;

	setup(&d, &ways[1], VH_POLL_SLEEP);
	region.iov_base = d.buf;
	memset(d.buf, 'r', LEN);
	assert_int_equal(do_op(&d.rig, VH_STORE_WRITE, 0, d.buf, LEN), 0);
	put_other_memory_there(&d);
	assert_int_equal(do_op(&d.rig, VH_STORE_READ, 0, d.buf, LEN), 0);
	assert_true(is_all(d.buf, 0, LEN));
	vh_store_channel_memory(d.rig.ch, &region, 1);
	assert_int_equal(do_op(&d.rig, VH_STORE_READ, 0, d.buf, LEN), 0);
	assert_true(is_all(d.buf, 'r', LEN));
	put_other_memory_there(&d);
	vh_store_channel_memory(d.rig.ch, NULL, 0);
	assert_int_equal(do_op(&d.rig, VH_STORE_READ, 0, d.buf, LEN), 0);
	assert_true(is_all(d.buf, 'r', LEN));
	cleanup(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_last_block_is_there),
		cmocka_unit_test(flush_and_fua_end_well),
		cmocka_unit_test(pieces_may_be_anywhere_and_of_any_length),
		cmocka_unit_test(more_pieces_than_a_system_call_takes),
		cmocka_unit_test(zeroes_replace_what_was_there),
		cmocka_unit_test(a_discard_gives_the_space_back),
		cmocka_unit_test(a_file_that_shrank_fails_reads_beyond_its_end),
		cmocka_unit_test(what_cannot_be_erased_says_so),
		cmocka_unit_test(another_size_is_seen_when_asked_for),
		cmocka_unit_test(more_requests_than_there_is_room_for_end),
		cmocka_unit_test(cancelled_ones_end_once_and_say_how),
		cmocka_unit_test(each_way_of_polling_gets_its_completions),
		cmocka_unit_test(registered_memory_is_used_and_registered_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
