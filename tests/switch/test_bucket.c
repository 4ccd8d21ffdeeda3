/* SPDX-License-Identifier: BSD-3-Clause */
/* The flood limit, on a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "switch/bucket.h"

#define SECOND 1000000000ULL
#define START  (1000 * SECOND)

static void a_new_bucket_has_some(void **state)
{
	const struct vh_bucket b = {0};

	assert_true(vh_bucket_has_any(&b, 0));
	assert_true(vh_bucket_has_any(&b, START));
}

/* How many copies it lets through when asked each ms for that long. */
static unsigned copies_in(uint64_t ns, uint32_t per_s, unsigned at_once)
{
	struct vh_bucket b = {0};
	unsigned n = 0;

	for (uint64_t now = START; now < START + ns; now += SECOND / 1000) {
		while (vh_bucket_has_any(&b, now)) {
			vh_bucket_charge(&b, now, at_once, per_s);
			n += at_once;
		}
	}
	return n;
}

static void it_lets_so_many_a_second_through_and_a_tenth_at_once(void **state)
{
	assert_in_range(copies_in(SECOND, 1000, 1), 1090, 1110);
	assert_in_range(copies_in(10 * SECOND, 1000, 1), 10090, 10110);
	assert_in_range(copies_in(10 * SECOND, 100000, 1), 1009000, 1011000);
}

static void a_large_charge_is_a_debt_that_is_paid_over_time(void **state)
{
	struct vh_bucket b = {0};

	assert_in_range(copies_in(10 * SECOND, 1000, 700), 10000, 10900);
	vh_bucket_charge(&b, START, 2100, 1000);
	assert_false(vh_bucket_has_any(&b, START + 2 * SECOND - 1));
	assert_true(vh_bucket_has_any(&b, START + 2 * SECOND));
}

static void a_long_silence_saves_no_more_than_a_tenth_of_a_second(void **state)
{
	struct vh_bucket b = {0};

	vh_bucket_charge(&b, START, 1, 1000);
	vh_bucket_charge(&b, 2 * START, 101, 1000);
	assert_false(vh_bucket_has_any(&b, 2 * START));
	assert_true(vh_bucket_has_any(&b, 2 * START + SECOND / 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_bucket_has_some),
		cmocka_unit_test(it_lets_so_many_a_second_through_and_a_tenth_at_once),
		cmocka_unit_test(a_large_charge_is_a_debt_that_is_paid_over_time),
		cmocka_unit_test(a_long_silence_saves_no_more_than_a_tenth_of_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
