/* SPDX-License-Identifier: BSD-3-Clause */
/* delay=, error=, limit=: see test_random.c for what they must not change. */
#include "store/rig.h"

static char buf[65536];

static uint64_t now(const struct rig *rig)
{
	return vh_reactor_now(rig->r);
}

/* ---- Words ---- */

static void words_that_make_no_sense_are_refused(void **state)
{
	static const char *const rows[] = {
		"delay=",
		"delay=x",
		"delay=5x",
		"delay=read",
		"delay=read:",
		"delay=read:5,",
		"delay=touch:5",
		"delay=-1",
		"delay=999999999999999999s",
		"error=",
		"error=EWHAT",
		"error=EIO:",
		"error=EIO:reed",
		"error=EIO:every=0",
		"error=EIO:at=5",
		"error=EIO:at=2M-1M",
		"error=EIO,",
		"error=EIO:after=x",
		"limit=",
		"limit=iops=0",
		"limit=bps=x",
		"limit=burst=1",
		"limit=iops=1,burst=9999999",
		"limit=iops",
		"limit=iops=5,",
		"volatile=yes",
	};

	vh_log_set(VH_LOG_INFO, remember_line, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vh_store *s;

		n_lines = 0;
		assert_int_equal(STORE_OPEN(&s, "memory=1M", rows[i]), -EINVAL);
		assert_int_equal(n_lines, 1);
	}
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

static void off_is_none(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=1M", "delay=1s", "delay=off", "error=off", "limit=off",
		 "volatile=off");
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, 512), 0);
	rig_close(&rig);
}

/* ---- Delay ---- */

static void a_delay_is_waited_for(void **state)
{
	struct rig rig;
	uint64_t start;

	rig_open(&rig, "memory=1M", "delay=20");
	start = now(&rig);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, 512), 0);
	assert_true(now(&rig) - start >= 20 * MS);
	rig_close(&rig);
}

static void each_kind_has_a_delay_of_its_own(void **state)
{
	struct request slow, quick, at_once;
	struct rig rig;

	rig_open(&rig, "memory=1M", "delay=write:3600s,read:500us");
	request_init(&slow, VH_STORE_WRITE, 0, buf, 512);
	request_init(&quick, VH_STORE_READ, 0, buf, 512);
	request_init(&at_once, VH_STORE_FLUSH, 0, NULL, 0);
	vh_store_submit(rig.ch, &slow.io);
	vh_store_submit(rig.ch, &quick.io);
	vh_store_submit(rig.ch, &at_once.io);
	vh_store_start(rig.ch);
	assert_int_equal(at_once.n_done, 1);
	assert_int_equal(quick.n_done, 0);
	assert_int_equal(finish(&rig, &quick), 0);
	assert_int_equal(slow.n_done, 0);
	vh_store_cancel(rig.ch);
	assert_int_equal(finish(&rig, &slow), -ECANCELED);
	rig_close(&rig);
}

static void what_is_held_back_can_be_cancelled(void **state)
{
	struct request q[3];
	struct rig rig;

	rig_open(&rig, "memory=1M", "delay=3600s", "volatile=on");
	for (unsigned i = 0; i < 3; i++) {
		request_init(&q[i], VH_STORE_WRITE, i * 512, buf, 512);
		begin(&rig, &q[i]);
	}
	drive_until_idle(rig.r);
	vh_store_cancel(rig.ch);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(finish(&rig, &q[i]), -ECANCELED);
	rig_close(&rig);
}

/* ---- Errors ---- */

/* Of @n such requests, which fail, as a row of '.' and 'x'. */
static const char *pattern(const char *words, enum vh_store_op op, uint64_t off,
			   unsigned n)
{
	static char row[64];
	struct rig rig;

	rig_open(&rig, "memory=4M", words);
	for (unsigned i = 0; i < n; i++)
		row[i] = do_op(&rig, op, off, buf, op == VH_STORE_FLUSH ? 0 : 4096) ? 'x'
										    : '.';
	row[n] = 0;
	rig_close(&rig);
	return row;
}

static void rules_fail_what_they_name(void **state)
{
	static const struct {
		const char *words;
		enum vh_store_op op;
		uint64_t off;
		const char *row;
	} rows[] = {
		{"error=EIO", VH_STORE_READ, 0, "xxx"},
		{"error=EIO:read", VH_STORE_WRITE, 0, "..."},
		{"error=EIO:read:write", VH_STORE_WRITE, 0, "xxx"},
		{"error=EIO:flush", VH_STORE_FLUSH, 0, "xxx"},
		{"error=EIO:read:every=3", VH_STORE_READ, 0, "..x..x.."},
		{"error=ENOSPC:write:after=4", VH_STORE_WRITE, 0, "....xxx"},
		{"error=EIO:after=2:every=2", VH_STORE_READ, 0, "...x.x.x"},
		{"error=EIO:once", VH_STORE_READ, 0, "x..."},
		{"error=EIO:after=2:once", VH_STORE_READ, 0, "..x.."},
		{"error=EIO:at=1M-2M", VH_STORE_READ, (1 << 20) - 4096, ".."},
		{"error=EIO:at=1M-2M", VH_STORE_READ, (1 << 20) - 512, "xx"},
		{"error=EIO:at=1M-2M", VH_STORE_READ, 1 << 20, "xx"},
		{"error=EIO:at=1M-2M", VH_STORE_READ, 2 << 20, ".."},
		{"error=EIO:at=1M-2M", VH_STORE_FLUSH, 0, ".."},
		{"error=EIO:write,EIO:read:after=1", VH_STORE_READ, 0, ".xx"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(pattern(rows[i].words, rows[i].op, rows[i].off,
					    strlen(rows[i].row)),
				    rows[i].row);
}

static void the_first_rule_that_fires_names_the_error(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=1M", "error=ENOSPC:write,EIO:read,EROFS");
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, buf, 512), -ENOSPC);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, 512), -EIO);
	assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), -EROFS);
	rig_close(&rig);
}

static void what_failed_did_not_reach_the_store(void **state)
{
	struct rig rig;

	rig_open(&rig, "memory=1M", "error=EIO:write:once");
	memset(buf, 'a', 512);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, buf, 512), -EIO);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, buf, 512), 0);
	assert_true(is_all(buf, 0, 512));
	rig_close(&rig);
}

/* ---- Limits ---- */

/* How long @n reads of @len take that are submitted at once. */
static uint64_t time_of(const char *words, unsigned n, uint64_t len)
{
	struct request q[64];
	struct rig rig;
	uint64_t start;

	rig_open(&rig, "null=1M", words);
	start = now(&rig);
	for (unsigned i = 0; i < n; i++) {
		request_init(&q[i], VH_STORE_READ, 0, buf, len);
		vh_store_submit(rig.ch, &q[i].io);
	}
	vh_store_start(rig.ch);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(finish(&rig, &q[i]), 0);
	start = now(&rig) - start;
	rig_close(&rig);
	return start;
}

static void requests_are_paced(void **state)
{
	/* The first begins at once, the others 2 ms after each other. */
	assert_true(time_of("limit=iops=500,burst=0", 21, 512) >= 40 * MS);
}

static void bytes_are_paced(void **state)
{
	assert_true(time_of("limit=bps=1M,burst=0", 3, 32768) >= 62 * MS);
}

static void the_stricter_limit_counts(void **state)
{
	assert_true(time_of("limit=iops=1000000,bps=1M,burst=0", 3, 32768) >= 62 * MS);
	assert_true(time_of("limit=iops=500,bps=1T,burst=0", 21, 512) >= 40 * MS);
}

static void a_burst_is_let_through(void **state)
{
	struct request q;
	struct rig rig;

	rig_open(&rig, "null=1M", "limit=iops=1,burst=3");
	/* Three seconds' worth, and the one that begins when that is used up. */
	for (unsigned i = 0; i < 4; i++) {
		request_init(&q, VH_STORE_READ, 0, buf, 512);
		begin(&rig, &q);
		assert_int_equal(q.n_done, 1);
	}
	request_init(&q, VH_STORE_READ, 0, buf, 512);
	begin(&rig, &q);
	assert_int_equal(q.n_done, 0);
	vh_store_cancel(rig.ch);
	assert_int_equal(finish(&rig, &q), -ECANCELED);
	rig_close(&rig);
}

static void flushes_are_free(void **state)
{
	struct rig rig;

	rig_open(&rig, "null=1M", "limit=iops=1,burst=0");
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
	rig_close(&rig);
}

/* Two channels, on two reactors: together they get what one would. */
static void channels_share_a_limit(void **state)
{
	struct vh_reactor *other = reactor_new(VH_POLL_SLEEP);
	struct vh_store_channel *ch;
	struct request a, b, c;
	struct rig rig;
	uint64_t start;

	rig_open(&rig, "null=1M", "limit=iops=20,burst=0");
	assert_int_equal(vh_store_channel_open(rig.s, other, &ch), 0);
	start = now(&rig);
	request_init(&a, VH_STORE_READ, 0, buf, 512);
	request_init(&b, VH_STORE_READ, 0, buf, 512);
	request_init(&c, VH_STORE_READ, 0, buf, 512);
	vh_store_submit(rig.ch, &a.io);
	vh_store_submit(ch, &b.io);
	vh_store_submit(rig.ch, &c.io);
	assert_int_equal(a.n_done, 1);
	drive_until(other, b.n_done);
	assert_true(now(&rig) - start >= 50 * MS);
	assert_int_equal(c.n_done, 0);
	assert_int_equal(finish(&rig, &c), 0);
	assert_true(now(&rig) - start >= 100 * MS);
	vh_store_channel_close(ch);
	rig_close(&rig);
	vh_reactor_destroy(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_make_no_sense_are_refused),
		cmocka_unit_test(off_is_none),
		cmocka_unit_test(a_delay_is_waited_for),
		cmocka_unit_test(each_kind_has_a_delay_of_its_own),
		cmocka_unit_test(what_is_held_back_can_be_cancelled),
		cmocka_unit_test(rules_fail_what_they_name),
		cmocka_unit_test(the_first_rule_that_fires_names_the_error),
		cmocka_unit_test(what_failed_did_not_reach_the_store),
		cmocka_unit_test(requests_are_paced),
		cmocka_unit_test(bytes_are_paced),
		cmocka_unit_test(the_stricter_limit_counts),
		cmocka_unit_test(a_burst_is_let_through),
		cmocka_unit_test(flushes_are_free),
		cmocka_unit_test(channels_share_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
