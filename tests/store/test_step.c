/* SPDX-License-Identifier: BSD-3-Clause */
/* A request to a file as a row of system calls, which this test makes up. */
#include "store/rig.h"

#include <linux/falloc.h>

#include "store/file.h"

#define PUNCH	   (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

static struct vh_file buffered(void)
{
	return (struct vh_file){.store = {.tag = "disk"}, .path = "disk.raw"};
}

static struct vh_file direct(void)
{
	struct vh_file f = buffered();

	f.direct = true;
	f.mem_align = f.off_align = 512;
	return f;
}

static char memory[1 << 21] __attribute__((aligned(4096)));

static void init(struct request *q, enum vh_store_op op, unsigned flags, uint64_t len)
{
	request_init(q, op, 4096, memory, len);
	q->io.flags = flags;
}

/* The next step is this one. */
static struct vh_step expect_step(struct vh_file *f, struct request *q,
				  enum vh_step_kind kind, uint64_t off, uint64_t len)
{
	/* A step of one piece points into itself: until the next call, here. */
	static struct vh_step step;

	assert_true(vh_step_get(f, &q->io, &step));
	assert_int_equal(step.kind, kind);
	if (kind != VH_STEP_SYNC) {
		assert_int_equal(step.off, off);
		assert_int_equal(step.len, len);
	}
	return step;
}

static void expect_more(struct vh_file *f, struct request *q, int64_t res)
{
	assert_true(vh_step_took(f, &q->io, res));
}

static void expect_end(struct vh_file *f, struct request *q, int64_t res, int err)
{
	assert_false(vh_step_took(f, &q->io, res));
	assert_int_equal(q->io.err, err);
	assert_null(q->io.own);
}

static void what_was_cut_short_goes_on(void **state)
{
	struct vh_file f = buffered();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_WRITE, 0, 8192);
	assert_true(vh_step_begin(&f, &q.io));
	expect_step(&f, &q, VH_STEP_WRITE, 4096, 8192);
	expect_more(&f, &q, 100);
	step = expect_step(&f, &q, VH_STEP_WRITE, 4196, 8092);
	assert_int_equal(step.n_iov, 1);
	assert_ptr_equal(step.iov->iov_base, memory + 100);
	expect_end(&f, &q, 8092, 0);
}

static void pieces_that_were_cut_short_go_on_in_the_middle_of_one(void **state)
{
	const struct iovec v[] = {{memory, 512}, {memory + 1024, 512}, {memory, 1024}};
	struct vh_file f = buffered();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_READ, 0, 2048);
	q.io.iov = v;
	q.io.n_iov = 3;
	assert_true(vh_step_begin(&f, &q.io));
	step = expect_step(&f, &q, VH_STEP_READ, 4096, 2048);
	assert_ptr_equal(step.iov, v);
	assert_int_equal(step.n_iov, 3);
	expect_more(&f, &q, 600);
	step = expect_step(&f, &q, VH_STEP_READ, 4696, 1448);
	assert_int_equal(step.n_iov, 2);
	assert_ptr_equal(step.iov[0].iov_base, memory + 1024 + 88);
	assert_int_equal(step.iov[0].iov_len, 424);
	expect_more(&f, &q, 424);
	step = expect_step(&f, &q, VH_STEP_READ, 5120, 1024);
	assert_int_equal(step.n_iov, 1);
	expect_end(&f, &q, 1024, 0);
}

static void pieces_that_follow_each_other_are_one(void **state)
{
	const struct iovec v[] = {{memory, 512}, {memory + 512, 0}, {memory + 512, 1024}};
	struct vh_file f = direct();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_READ, 0, 1536);
	q.io.iov = v;
	q.io.n_iov = 3;
	assert_true(vh_step_begin(&f, &q.io));
	step = expect_step(&f, &q, VH_STEP_READ, 4096, 1536);
	assert_int_equal(step.n_iov, 1);
	assert_ptr_equal(step.iov->iov_base, memory);
	expect_end(&f, &q, 1536, 0);
}

static void direct_io_goes_on_where_a_block_begins(void **state)
{
	struct vh_file f = direct();
	struct request q;

	init(&q, VH_STORE_READ, 0, 8192);
	assert_true(vh_step_begin(&f, &q.io));
	expect_step(&f, &q, VH_STEP_READ, 4096, 8192);
	expect_more(&f, &q, 1000);
	expect_step(&f, &q, VH_STEP_READ, 4096 + 512, 8192 - 512);
	/* The rest of the file is no whole block: it will never be. */
	vh_log_set(VH_LOG_ERROR, remember_line, NULL);
	expect_end(&f, &q, 100, -EIO);
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

static void memory_that_direct_io_does_not_take_goes_through_a_buffer(void **state)
{
	struct vh_file f = direct();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_WRITE, 0, (1 << 20) + 4096);
	q.iov.iov_base = memory + 1;
	memset(memory, 'b', sizeof(memory));
	assert_true(vh_step_begin(&f, &q.io));
	step = expect_step(&f, &q, VH_STEP_WRITE, 4096, 1 << 20);
	assert_int_equal((uintptr_t)step.iov->iov_base % 512, 0);
	assert_true(is_all(step.iov->iov_base, 'b', step.len));
	expect_more(&f, &q, 1 << 20);
	expect_step(&f, &q, VH_STEP_WRITE, 4096 + (1 << 20), 4096);
	expect_end(&f, &q, 4096, 0);
}

static void memory_that_the_kernel_cannot_pin_goes_through_a_buffer(void **state)
{
	struct vh_file f = direct();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_READ, 0, 4096);
	assert_true(vh_step_begin(&f, &q.io));
	step = expect_step(&f, &q, VH_STEP_READ, 4096, 4096);
	assert_ptr_equal(step.iov->iov_base, memory);
	expect_more(&f, &q, -EFAULT);
	step = expect_step(&f, &q, VH_STEP_READ, 4096, 4096);
	assert_ptr_not_equal(step.iov->iov_base, memory);
	memset(step.iov->iov_base, 'p', 4096);
	memset(memory, 'm', sizeof(memory));
	expect_end(&f, &q, 4096, 0);
	assert_true(is_all(memory, 'p', 4096));
}

static void once_it_could_not_pin_memory_it_is_not_asked_again(void **state)
{
	struct vh_file f = direct();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_READ, 0, 4096);
	assert_true(vh_step_begin(&f, &q.io));
	expect_more(&f, &q, -EFAULT);
	expect_end(&f, &q, 4096, 0);
	init(&q, VH_STORE_WRITE, 0, 4096);
	assert_true(vh_step_begin(&f, &q.io));
	step = expect_step(&f, &q, VH_STEP_WRITE, 4096, 4096);
	assert_ptr_not_equal(step.iov->iov_base, memory);
	/* That was our own memory: there is no way round. */
	vh_log_set(VH_LOG_ERROR, remember_line, NULL);
	expect_end(&f, &q, -EFAULT, -EFAULT);
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

static void only_writes_with_fua_are_made_durable(void **state)
{
	struct vh_file f = buffered();
	struct request q;

	init(&q, VH_STORE_WRITE, VH_STORE_FUA, 512);
	assert_true(vh_step_begin(&f, &q.io));
	assert_int_equal(expect_step(&f, &q, VH_STEP_WRITE, 4096, 512).mode, RWF_DSYNC);
	expect_end(&f, &q, 512, 0);
	init(&q, VH_STORE_WRITE, 0, 512);
	assert_true(vh_step_begin(&f, &q.io));
	assert_int_equal(expect_step(&f, &q, VH_STEP_WRITE, 4096, 512).mode, 0);
	expect_end(&f, &q, 512, 0);
}

static void zeroes_with_fua_end_with_a_sync(void **state)
{
	struct vh_file f = buffered();
	struct request q;

	init(&q, VH_STORE_WRITE_ZEROES, VH_STORE_FUA, 8192);
	assert_true(vh_step_begin(&f, &q.io));
	assert_int_equal(expect_step(&f, &q, VH_STEP_FALLOCATE, 4096, 8192).mode,
			 ZERO_RANGE);
	expect_more(&f, &q, 0);
	expect_step(&f, &q, VH_STEP_SYNC, 0, 0);
	expect_end(&f, &q, 0, 0);
}

static void where_nothing_else_works_zeroes_are_written(void **state)
{
	struct vh_file f = buffered();
	struct request q;
	struct vh_step step;

	init(&q, VH_STORE_WRITE_ZEROES, VH_STORE_UNMAP | VH_STORE_FUA, (1 << 20) + 512);
	assert_true(vh_step_begin(&f, &q.io));
	assert_int_equal(
		expect_step(&f, &q, VH_STEP_FALLOCATE, 4096, (1 << 20) + 512).mode,
		PUNCH);
	expect_more(&f, &q, -EOPNOTSUPP);
	assert_int_equal(
		expect_step(&f, &q, VH_STEP_FALLOCATE, 4096, (1 << 20) + 512).mode,
		ZERO_RANGE);
	expect_more(&f, &q, -EOPNOTSUPP);
	step = expect_step(&f, &q, VH_STEP_WRITE, 4096, 1 << 20);
	assert_true(is_all(step.iov->iov_base, 0, step.len));
	expect_more(&f, &q, 1 << 20);
	expect_step(&f, &q, VH_STEP_WRITE, 4096 + (1 << 20), 512);
	expect_more(&f, &q, 512);
	expect_step(&f, &q, VH_STEP_SYNC, 0, 0);
	expect_end(&f, &q, 0, 0);
	/* It is remembered. */
	assert_true(vh_step_begin(&f, &q.io));
	expect_step(&f, &q, VH_STEP_WRITE, 4096, 1 << 20);
	vh_step_end(&f, &q.io, 0);
}

static void a_discard_that_cannot_be_is_dropped(void **state)
{
	struct vh_file f = buffered();
	struct request q;

	init(&q, VH_STORE_DISCARD, 0, 8192);
	assert_true(vh_step_begin(&f, &q.io));
	assert_int_equal(expect_step(&f, &q, VH_STEP_FALLOCATE, 4096, 8192).mode, PUNCH);
	expect_end(&f, &q, -EOPNOTSUPP, 0);
	assert_false(vh_step_begin(&f, &q.io));
	assert_int_equal(q.io.err, 0);
}

static void what_was_interrupted_is_done_again(void **state)
{
	struct vh_file f = buffered();
	struct request q;

	init(&q, VH_STORE_READ, 0, 512);
	assert_true(vh_step_begin(&f, &q.io));
	expect_step(&f, &q, VH_STEP_READ, 4096, 512);
	expect_more(&f, &q, -EINTR);
	expect_step(&f, &q, VH_STEP_READ, 4096, 512);
	expect_more(&f, &q, -EAGAIN);
	expect_step(&f, &q, VH_STEP_READ, 4096, 512);
	expect_end(&f, &q, 512, 0);
}

static void what_is_empty_ends_at_once(void **state)
{
	struct vh_file f = buffered();
	struct request q;

	init(&q, VH_STORE_READ, 0, 0);
	assert_false(vh_step_begin(&f, &q.io));
	assert_int_equal(q.io.err, 0);
	init(&q, VH_STORE_FLUSH, 0, 0);
	assert_true(vh_step_begin(&f, &q.io));
}

static void expect_line(struct vh_file *f, int64_t res, const char *text, unsigned n)
{
	struct request q;

	init(&q, VH_STORE_WRITE, 0, 512);
	assert_true(vh_step_begin(f, &q.io));
	expect_end(f, &q, res, res ? (int)res : -EIO);
	assert_non_null(strstr(last_line, text));
	assert_int_equal(n_lines, n);
}

static void each_kind_of_trouble_is_told_once_at_first(void **state)
{
	struct vh_file f = buffered();

	log_to_test();
	expect_line(&f, -ENOSPC, "make room", 1);
	expect_line(&f, -ENOSPC, "make room", 1);
	expect_line(&f, -EIO, "dmesg", 2);
	expect_line(&f, -EFBIG, "File too large", 3);
	expect_line(&f, 0, "shorter", 4);
	expect_line(&f, -ENOSPC, "shorter", 4);
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

static void a_complaint_comes_back_after_ten_seconds_with_a_count(void **state)
{
	struct vh_complaint c = {0};
	uint64_t n_kept = 1;

	assert_true(vh_complaint_is_due(&c, 5000 * MS, &n_kept));
	assert_int_equal(n_kept, 0);
	assert_false(vh_complaint_is_due(&c, 5001 * MS, &n_kept));
	assert_false(vh_complaint_is_due(&c, 14999 * MS, &n_kept));
	assert_true(vh_complaint_is_due(&c, 15000 * MS, &n_kept));
	assert_int_equal(n_kept, 2);
}

static char line[512];

static void keep_line(void *arg, enum vh_log_level level, const char *tag,
		      const char *text)
{
	snprintf(line, sizeof(line), "%s", text);
}

static void fail_once(struct vh_file *f)
{
	struct request q;

	line[0] = 0;
	init(&q, VH_STORE_FLUSH, 0, 0);
	assert_true(vh_step_begin(f, &q.io));
	expect_end(f, &q, -EIO, -EIO);
}

static void a_complaint_speaks_of_others_only_where_there_were_some(void **state)
{
	struct vh_file f = buffered();

	vh_log_set(VH_LOG_ERROR, keep_line, NULL);
	fail_once(&f);
	assert_non_null(strstr(line, "dmesg"));
	assert_null(strstr(line, "more since"));
	fail_once(&f);
	assert_string_equal(line, "");
	/* As if ten seconds had gone by. */
	f.complaint[VH_TROUBLE_IO].due = 0;
	fail_once(&f);
	assert_non_null(strstr(line, "(1 more since the last such line)"));
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_cut_short_goes_on),
		cmocka_unit_test(pieces_that_were_cut_short_go_on_in_the_middle_of_one),
		cmocka_unit_test(pieces_that_follow_each_other_are_one),
		cmocka_unit_test(direct_io_goes_on_where_a_block_begins),
		cmocka_unit_test(
			memory_that_direct_io_does_not_take_goes_through_a_buffer),
		cmocka_unit_test(memory_that_the_kernel_cannot_pin_goes_through_a_buffer),
		cmocka_unit_test(once_it_could_not_pin_memory_it_is_not_asked_again),
		cmocka_unit_test(only_writes_with_fua_are_made_durable),
		cmocka_unit_test(zeroes_with_fua_end_with_a_sync),
		cmocka_unit_test(where_nothing_else_works_zeroes_are_written),
		cmocka_unit_test(a_discard_that_cannot_be_is_dropped),
		cmocka_unit_test(what_was_interrupted_is_done_again),
		cmocka_unit_test(what_is_empty_ends_at_once),
		cmocka_unit_test(each_kind_of_trouble_is_told_once_at_first),
		cmocka_unit_test(a_complaint_comes_back_after_ten_seconds_with_a_count),
		cmocka_unit_test(a_complaint_speaks_of_others_only_where_there_were_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
