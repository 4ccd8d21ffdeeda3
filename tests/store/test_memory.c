/* SPDX-License-Identifier: BSD-3-Clause */
/* memory=SIZE: see also test_random.c. */
#include "store/rig.h"

#define LEN 65536

static char buf[LEN];

static void it_is_zeroes_at_first(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=1M");
	memset(buf, 1, LEN);
	assert_int_equal(vh_store_info(rig.s)->capacity, 1 << 20);
	assert_int_equal(do_op(&rig, VH_STORE_READ, (1 << 20) - LEN, buf, LEN), 0);
	assert_true(is_all(buf, 0, LEN));
	rig_close(&rig);
}

static void what_is_written_is_read(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=1M");
	memset(buf, 'a', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 512, buf, LEN), 0);
	memset(buf, 0, LEN);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 512, buf, LEN), 0);
	assert_true(is_all(buf, 'a', LEN));
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, 512), 0);
	assert_true(is_all(buf, 0, 512));
	rig_close(&rig);
}

/* Fill, zero [off, off + len) by @op, look at all. */
static void expect_zeroed(enum vh_store_op op, unsigned flags, uint64_t off, uint64_t len)
{
	struct rig rig;

	rig_open(&rig, "memory=64K");
	memset(buf, 'a', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, buf, LEN), 0);
	assert_int_equal(do_flags(&rig, op, flags, off, NULL, len), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, LEN), 0);
	assert_true(is_all(buf, 'a', off));
	assert_true(is_all(buf + off, 0, len));
	assert_true(is_all(buf + off + len, 'a', LEN - off - len));
	rig_close(&rig);
}

static void zeroes_end_where_they_should(void **state)
{
	static const uint64_t rows[][2] = {
		{0, LEN},     {512, 512},   {512, 8192},
		{3584, 1024}, {4096, 4096}, {4608, 16384},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect_zeroed(VH_STORE_WRITE_ZEROES, 0, rows[i][0], rows[i][1]);
		expect_zeroed(VH_STORE_WRITE_ZEROES, VH_STORE_UNMAP, rows[i][0],
			      rows[i][1]);
		expect_zeroed(VH_STORE_SECURE_ERASE, 0, rows[i][0], rows[i][1]);
	}
}

static void a_discard_leaves_its_neighbours_alone(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=64K");
	memset(buf, 'a', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, buf, LEN), 0);
	assert_int_equal(do_op(&rig, VH_STORE_DISCARD, 4608, NULL, 8192), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, LEN), 0);
	assert_true(is_all(buf, 'a', 4608));
	assert_true(is_all(buf + 8192, 0, 4096));
	assert_true(is_all(buf + 12800, 'a', LEN - 12800));
	rig_close(&rig);
}

static void a_wrong_size_is_refused(void **state)
{
	struct vh_store *s;

	assert_int_equal(STORE_OPEN(&s, "memory=513"), -EINVAL);
	assert_int_equal(STORE_OPEN(&s, "memory=0"), -EINVAL);
	assert_int_equal(STORE_OPEN(&s, "memory=4M", "null=4M"), -EINVAL);
	/* No machine has so many addresses. */
	assert_int_equal(STORE_OPEN(&s, "memory=4194304T"), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_zeroes_at_first),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(zeroes_end_where_they_should),
		cmocka_unit_test(a_discard_leaves_its_neighbours_alone),
		cmocka_unit_test(a_wrong_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
