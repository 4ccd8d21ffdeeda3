/* SPDX-License-Identifier: BSD-3-Clause */
/* volatile=: what a power cut takes, and what it must not. */
#include "store/image.h"

#include <signal.h>
#include <sys/wait.h>

#define CAPACITY (1 << 20)
#define LEN	 65536

static char buf[LEN];

/* @what with the disk in a process that then dies: the file is what is left. */
static void cut_power_after(const struct image *i, const char *words,
			    void (*what)(struct rig *rig))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct rig rig;

		rig_open(&rig, i->word, words);
		what(&rig);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void write_all(struct rig *rig, char c, unsigned flags, uint64_t off)
{
	memset(buf, c, LEN);
	if (do_flags(rig, VH_STORE_WRITE, flags, off, buf, LEN))
		abort();
}

static void flush(struct rig *rig)
{
	if (do_op(rig, VH_STORE_FLUSH, 0, NULL, 0))
		abort();
}

static void expect_file(const struct image *i, off_t off, char c)
{
	image_read(i, off, buf, LEN);
	assert_true(is_all(buf, c, LEN));
}

static void write_flush_write(struct rig *rig)
{
	write_all(rig, 'a', 0, 0);
	flush(rig);
	write_all(rig, 'b', 0, 0);
	write_all(rig, 'c', 0, LEN);
}

static void what_was_not_flushed_is_lost(void **state)
{
	struct image i;

	image_new(&i, IN_MEMORY, CAPACITY);
	cut_power_after(&i, "volatile=on", write_flush_write);
	expect_file(&i, 0, 'a');
	expect_file(&i, LEN, 0);
	image_delete(&i);
}

static void fua_after_write(struct rig *rig)
{
	write_all(rig, 'a', 0, 0);
	write_all(rig, 'b', VH_STORE_FUA, LEN);
	write_all(rig, 'c', 0, LEN);
}

static void fua_keeps_its_own_blocks_and_no_others(void **state)
{
	struct image i;

	image_new(&i, IN_MEMORY, CAPACITY);
	cut_power_after(&i, "volatile=on", fua_after_write);
	expect_file(&i, 0, 0);
	expect_file(&i, LEN, 'b');
	image_delete(&i);
}

static void many_writes(struct rig *rig)
{
	write_all(rig, 'f', 0, 0);
	flush(rig);
	for (unsigned i = 1; i < CAPACITY / LEN; i++)
		write_all(rig, 'n', 0, i * LEN);
}

/* Of 15 writes half are early, each from some block to some other. */
static void a_cache_that_reorders_keeps_some_of_the_rest(void **state)
{
	unsigned n_kept = 0, n_lost = 0;
	struct image i;

	for (unsigned round = 0; round < 5; round++) {
		image_new(&i, IN_MEMORY, CAPACITY);
		cut_power_after(&i, "volatile=reorder", many_writes);
		expect_file(&i, 0, 'f');
		for (off_t off = LEN; off < CAPACITY; off += 512) {
			image_read(&i, off, buf, 512);
			n_kept += is_all(buf, 'n', 512);
			n_lost += is_all(buf, 0, 512);
		}
		image_delete(&i);
	}
	assert_true(n_kept > 0);
	assert_true(n_lost > 0);
	assert_int_equal(n_kept + n_lost, 5 * (CAPACITY - LEN) / 512);
}

static void zero_and_discard(struct rig *rig)
{
	write_all(rig, 'a', 0, 0);
	write_all(rig, 'a', 0, LEN);
	if (do_op(rig, VH_STORE_WRITE_ZEROES, 0, NULL, LEN) ||
	    do_op(rig, VH_STORE_DISCARD, LEN, NULL, LEN))
		abort();
	flush(rig);
}

static void zeroes_and_discards_take_the_place_of_what_was_not_flushed(void **state)
{
	struct image i;

	image_new(&i, IN_MEMORY, CAPACITY);
	cut_power_after(&i, "volatile=on", zero_and_discard);
	expect_file(&i, 0, 0);
	expect_file(&i, LEN, 0);
	image_delete(&i);
}

static void a_read_sees_what_was_not_flushed_among_what_was(void **state)
{
	struct image i;
	struct rig rig;

	image_new(&i, IN_MEMORY, CAPACITY);
	rig_open(&rig, i.word, "volatile=on");
	write_all(&rig, 'a', 0, 0);
	flush(&rig);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 1024, memset(buf, 'b', LEN), 512),
			 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, LEN), 0);
	assert_true(is_all(buf, 'a', 1024));
	assert_true(is_all(buf + 1024, 'b', 512));
	assert_true(is_all(buf + 1536, 'a', LEN - 1536));
	expect_file(&i, 0, 'a');
	rig_close(&rig);
	image_delete(&i);
}

/* A write-back that failed is none: the next flush tries again. */
static void what_could_not_be_written_back_is_not_forgotten(void **state)
{
	struct image i;
	struct rig rig;

	image_new(&i, IN_MEMORY, CAPACITY);
	rig_open(&rig, i.word, "volatile=on", "aio=threads");
	write_all(&rig, 'a', 0, 0);
	{
		struct request q;

		request_init(&q, VH_STORE_FLUSH, 0, NULL, 0);
		vh_store_submit(rig.ch, &q.io);
		vh_store_cancel(rig.ch);
		finish(&rig, &q);
		assert_true(!q.err || q.err == -ECANCELED);
	}
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, LEN), 0);
	assert_true(is_all(buf, 'a', LEN));
	flush(&rig);
	expect_file(&i, 0, 'a');
	rig_close(&rig);
	image_delete(&i);
}

/* A file cannot be erased securely, so nothing of it is gone. */
static void what_could_not_be_dropped_is_still_there(void **state)
{
	struct image i;
	struct rig rig;

	image_new(&i, IN_MEMORY, CAPACITY);
	rig_open(&rig, i.word, "volatile=on");
	write_all(&rig, 'a', 0, 0);
	assert_int_equal(do_op(&rig, VH_STORE_SECURE_ERASE, 0, NULL, LEN), -EOPNOTSUPP);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, LEN), 0);
	assert_true(is_all(buf, 'a', LEN));
	flush(&rig);
	expect_file(&i, 0, 'a');
	rig_close(&rig);
	image_delete(&i);
}

/* Jobs of two reactors, one after the other; the second waits for the first. */
static void a_flush_waits_for_that_of_another_channel(void **state)
{
	struct vh_reactor *other = reactor_new(VH_POLL_SLEEP);
	struct vh_store_channel *ch;
	struct request a, b, c;
	struct image i;
	struct rig rig;

	image_new(&i, IN_MEMORY, CAPACITY);
	rig_open(&rig, i.word, "volatile=on", "aio=uring");
	assert_int_equal(vh_store_channel_open(rig.s, other, &ch), 0);
	write_all(&rig, 'a', 0, 0);
	request_init(&a, VH_STORE_FLUSH, 0, NULL, 0);
	request_init(&b, VH_STORE_FLUSH, 0, NULL, 0);
	request_init(&c, VH_STORE_FLUSH, 0, NULL, 0);
	vh_store_submit(rig.ch, &a.io);
	vh_store_submit(ch, &b.io);
	vh_store_submit(ch, &c.io);
	vh_store_start(ch);
	drive_until_idle(other);
	assert_int_equal(b.n_done, 0);
	vh_store_start(rig.ch);
	assert_int_equal(finish(&rig, &a), 0);
	drive_until(other, b.n_done && c.n_done);
	assert_int_equal(b.err, 0);
	assert_int_equal(c.err, 0);
	expect_file(&i, 0, 'a');
	vh_store_channel_close(ch);
	rig_close(&rig);
	vh_reactor_destroy(other);
	image_delete(&i);
}

static void a_flush_that_waits_for_another_channel_can_be_cancelled(void **state)
{
	struct vh_reactor *other = reactor_new(VH_POLL_SLEEP);
	struct vh_store_channel *ch;
	struct request a, b;
	struct image i;
	struct rig rig;

	image_new(&i, IN_MEMORY, CAPACITY);
	rig_open(&rig, i.word, "volatile=on", "aio=uring");
	assert_int_equal(vh_store_channel_open(rig.s, other, &ch), 0);
	write_all(&rig, 'a', 0, 0);
	request_init(&a, VH_STORE_FLUSH, 0, NULL, 0);
	request_init(&b, VH_STORE_FLUSH, 0, NULL, 0);
	vh_store_submit(rig.ch, &a.io);
	vh_store_submit(ch, &b.io);
	vh_store_cancel(ch);
	assert_int_equal(b.err, -ECANCELED);
	vh_store_channel_close(ch);
	vh_store_start(rig.ch);
	assert_int_equal(finish(&rig, &a), 0);
	rig_close(&rig);
	vh_reactor_destroy(other);
	image_delete(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_flushed_is_lost),
		cmocka_unit_test(fua_keeps_its_own_blocks_and_no_others),
		cmocka_unit_test(a_cache_that_reorders_keeps_some_of_the_rest),
		cmocka_unit_test(
			zeroes_and_discards_take_the_place_of_what_was_not_flushed),
		cmocka_unit_test(a_read_sees_what_was_not_flushed_among_what_was),
		cmocka_unit_test(what_could_not_be_written_back_is_not_forgotten),
		cmocka_unit_test(what_could_not_be_dropped_is_still_there),
		cmocka_unit_test(a_flush_waits_for_that_of_another_channel),
		cmocka_unit_test(a_flush_that_waits_for_another_channel_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
