/* SPDX-License-Identifier: BSD-3-Clause */
/* SIZE: what is one and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/size.h"

static void a_size_is_a_number_with_a_suffix(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{"0", 0},	   {"4096", 4096},	  {"64K", 65536},
		{"16m", 16777216}, {"2G", 2147483648ull}, {"1T", 1099511627776ull},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n = 1;

		assert_true(vh_parse_size(rows[i].text, &n));
		assert_int_equal(n, rows[i].bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"K",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1KK",
		"1B",
		"0x10",
		"1.5",
		"99999999999999999999",
		"8388608T",
		"18446744073709551615",
	};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_false(vh_parse_size(rows[i], &n));
}

static void a_capacity_is_whole_sectors_and_not_none(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(vh_store_parse_capacity("t", "null", "1M", &n), 0);
	assert_true(vh_store_parse_capacity("t", "null", "0", &n) < 0);
	assert_true(vh_store_parse_capacity("t", "null", "513", &n) < 0);
	assert_true(vh_store_parse_capacity("t", "null", "many", &n) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_is_a_number_with_a_suffix),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(a_capacity_is_whole_sectors_and_not_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
