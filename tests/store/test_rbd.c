/* SPDX-License-Identifier: BSD-3-Clause */
/* rbd=POOL/IMAGE against a librbd of ours. */
#include "store/rig.h"

#include "store/fake_rbd.h"

#define LEN 65536

static char data[FAKE_IMAGE], back[FAKE_IMAGE];
static struct rig rig;

static int setup(void **state)
{
	fake_rbd_reset();
	log_to_test();
	return 0;
}

/* Whatever happened, nothing of librbd's is left. */
static int teardown(void **state)
{
	return fake_rbd.n_objects == 0 ? 0 : -1;
}

static void what_is_written_is_read(void **state)
{
	rig_open(&rig, "rbd=pool/image");
	assert_int_equal(vh_store_info(rig.s)->capacity, FAKE_IMAGE);
	memset(data, 'a', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 4096, data, LEN), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 4096, back, LEN), 0);
	assert_memory_equal(back, data, LEN);
	assert_true(is_all(fake_image + 4096, 'a', LEN));
	rig_close(&rig);
}

static void each_operation_is_librbds(void **state)
{
	rig_open(&rig, "rbd=pool/image");
	memset(data, 'a', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, LEN), 0);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE_ZEROES, 512, NULL, 512), 0);
	assert_int_equal(do_op(&rig, VH_STORE_DISCARD, 8192, NULL, 4096), 0);
	assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(do_op(&rig, VH_STORE_SECURE_ERASE, 0, NULL, 512), -EOPNOTSUPP);
	assert_string_equal(fake_rbd.history, "writev write_zeroes discard flush ");
	assert_true(is_all(fake_image, 'a', 512));
	assert_true(is_all(fake_image + 512, 0, 512));
	assert_true(is_all(fake_image + 1024, 'a', 8192 - 1024));
	assert_true(is_all(fake_image + 8192, 0, 4096));
	rig_close(&rig);
}

static void fua_is_a_flush_behind_the_write(void **state)
{
	rig_open(&rig, "rbd=pool/image");
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE, VH_STORE_FUA, 0, data, 512), 0);
	assert_int_equal(do_flags(&rig, VH_STORE_READ, VH_STORE_FUA, 0, back, 512), 0);
	assert_string_equal(fake_rbd.history, "writev flush readv ");
	rig_close(&rig);
}

static void more_pieces_than_a_call_takes_are_many_calls(void **state)
{
	enum { N = 2500 };
	static struct iovec iov[N];
	struct request q;

	for (unsigned i = 0; i < N; i++)
		iov[i] = (struct iovec){data + i * 200, 200};
	for (unsigned i = 0; i < N * 200; i++)
		data[i] = (char)(i * 7 / 3);
	/* 2500 * 200 is no multiple of 512, which is the caller's affair, not ours. */
	rig_open(&rig, "rbd=pool/image");
	request_init(&q, VH_STORE_WRITE, 0, data, N * 200);
	q.io.iov = iov;
	q.io.n_iov = N;
	begin(&rig, &q);
	assert_int_equal(finish(&rig, &q), 0);
	assert_string_equal(fake_rbd.history, "writev writev writev ");
	assert_int_equal(fake_rbd.max_iov, 1024);
	assert_memory_equal(fake_image, data, N * 200);
	rig_close(&rig);
}

static void answers_may_come_in_any_order(void **state)
{
	enum { N = 64 };
	static struct request q[N];

	fake_rbd.backwards = true;
	rig_open(&rig, "rbd=pool/image");
	fake_rbd_hold(true);
	for (unsigned i = 0; i < N; i++) {
		memset(data + i * 4096, (int)i, 4096);
		request_init(&q[i], VH_STORE_WRITE, i * 4096, data + i * 4096, 4096);
		begin(&rig, &q[i]);
	}
	drive_until_idle(rig.r);
	assert_int_equal(q[0].n_done + q[N - 1].n_done, 0);
	fake_rbd_hold(false);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(finish(&rig, &q[i]), 0);
	assert_memory_equal(fake_image, data, N * 4096);
	rig_close(&rig);
}

static void an_error_is_the_requests(void **state)
{
	fake_rbd.fail_with = -ENOSPC;
	fake_rbd.fail_answers = true;
	rig_open(&rig, "rbd=pool/image");
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE, VH_STORE_FUA, 0, data, 512),
			 -ENOSPC);
	assert_string_equal(fake_rbd.history, "writev ");
	rig_close(&rig);
}

static void a_call_that_cannot_start_is_an_error(void **state)
{
	static const char *const rows[] = {"rbd_aio", "rbd_aio_create_completion"};

	for (unsigned i = 0; i < 2; i++) {
		fake_rbd.fail_at = rows[i];
		fake_rbd.fail_with = -ENOMEM;
		rig_open(&rig, "rbd=pool/image");
		assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 512), -ENOMEM);
		rig_close(&rig);
	}
}

static void an_image_that_shrank_reads_short_and_is_noticed(void **state)
{
	rig_open(&rig, "rbd=pool/image");
	fake_rbd.size = FAKE_IMAGE / 2;
	assert_int_equal(do_op(&rig, VH_STORE_READ, FAKE_IMAGE / 2 - 512, back, 1024),
			 -EIO);
	assert_int_equal(vh_store_refresh(rig.s), 1);
	assert_int_equal(vh_store_info(rig.s)->capacity, FAKE_IMAGE / 2);
	rig_close(&rig);
}

static void readonly_opens_the_image_so(void **state)
{
	rig_open(&rig, "rbd=pool/image", "readonly=on");
	assert_true(fake_rbd.readonly);
	assert_true(vh_store_info(rig.s)->readonly);
	rig_close(&rig);
}

static void what_cannot_be_opened_is_named_and_leaves_nothing(void **state)
{
	static const struct {
		const char *function, *said;
	} rows[] = {
		{"rados_create", "configuration"},
		{"rados_conf_read_file", "configuration"},
		{"rados_connect", "connecting to the cluster"},
		{"rados_ioctx_create", "opening the pool"},
		{"rbd_open", "opening the image"},
		{"rbd_stat", "opening the image"},
	};
	struct vh_store *s;

	fake_rbd.fail_with = -ETIMEDOUT;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_to_test();
		fake_rbd.fail_at = rows[i].function;
		assert_int_equal(STORE_OPEN(&s, "rbd=pool/image"), -ETIMEDOUT);
		assert_int_equal(n_lines, 1);
		assert_non_null(strstr(last_line, "rbd=pool/image"));
		assert_non_null(strstr(last_line, rows[i].said));
		assert_int_equal(fake_rbd.n_objects, 0);
	}
}

static void a_name_is_a_pool_and_an_image(void **state)
{
	static const char *const rows[] = {"rbd=", "rbd=image", "rbd=/image",
					   "rbd=pool/"};
	struct vh_store *s;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(STORE_OPEN(&s, rows[i]), -EINVAL);
		assert_non_null(strstr(last_line, "want POOL/IMAGE"));
	}
	assert_int_equal(STORE_OPEN(&s, "rbd=pool/another"), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(each_operation_is_librbds),
		TEST(fua_is_a_flush_behind_the_write),
		TEST(more_pieces_than_a_call_takes_are_many_calls),
		TEST(answers_may_come_in_any_order),
		TEST(an_error_is_the_requests),
		TEST(a_call_that_cannot_start_is_an_error),
		TEST(an_image_that_shrank_reads_short_and_is_noticed),
		TEST(readonly_opens_the_image_so),
		TEST(what_cannot_be_opened_is_named_and_leaves_nothing),
		TEST(a_name_is_a_pool_and_an_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
