/* SPDX-License-Identifier: BSD-3-Clause */
/* The sum, held against one that adds word after word. */
#include "packet.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MAX 600

/* Exactly @len bytes, so that ASan sees a read behind them. */
static uint8_t *some_bytes(uint32_t len, unsigned variant)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	for (uint32_t i = 0; i < len; i++)
		p[i] = variant ? (uint8_t)(i * variant + i / 7) : 0xff;
	return p;
}

static uint16_t sum_of(const uint8_t *p, uint32_t len)
{
	return ntohs(vh_checksum_fold(vh_checksum_add(0, p, len, false)));
}

/* 0 and all ones are the same number. */
static void assert_same(unsigned a, unsigned b)
{
	assert_int_equal(a % 0xffff, b % 0xffff);
}

static void every_length_and_alignment_has_its_sum(void **state)
{
	for (unsigned variant = 0; variant < 4; variant++) {
		for (uint32_t len = 0; len < MAX; len++) {
			uint8_t *p = some_bytes(len, variant);

			for (uint32_t off = 0; off < 8 && off <= len; off++)
				assert_same(sum_of(p + off, len - off),
					    packet_slow_sum(p + off, len - off));
			free(p);
		}
	}
}

static void a_sum_of_two_parts_is_the_sum_wherever_it_is_cut(void **state)
{
	for (uint32_t len = 1; len < 200; len++) {
		uint8_t *p = some_bytes(len, 3);

		for (uint32_t at = 0; at <= len; at++) {
			uint64_t sum = vh_checksum_add(0, p, at, false);

			sum = vh_checksum_add(sum, p + at, len - at, at & 1);
			assert_same(ntohs(vh_checksum_fold(sum)),
				    packet_slow_sum(p, len));
		}
		free(p);
	}
}

static void no_carry_is_lost(void **state)
{
	static const uint64_t sums[] = {0,
					0xffff,
					0x10000,
					0xffffffff,
					0x100000000,
					0xffffffff00000000,
					0xfffffffffffffffe,
					0xffffffffffffffff};

	for (unsigned i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		static const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff,
						0xff, 0xff, 0xff, 0xff};
		uint64_t sum = vh_checksum_add(sums[i], ones, 8, false);

		assert_same(vh_checksum_fold(sums[i]), (unsigned)(sums[i] % 0xffff));
		/* It adds 0, as ones' complement sees it. */
		assert_same(vh_checksum_fold(sum), (unsigned)(sums[i] % 0xffff));
	}
}

static void the_longest_frame_of_ones_sums_up_to_ones(void **state)
{
	uint8_t *p = some_bytes(VH_FRAME_MAX - 1, 0);

	assert_int_equal(sum_of(p, VH_FRAME_MAX - 1), 0xffff);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment_has_its_sum),
		cmocka_unit_test(a_sum_of_two_parts_is_the_sum_wherever_it_is_cut),
		cmocka_unit_test(no_carry_is_lost),
		cmocka_unit_test(the_longest_frame_of_ones_sums_up_to_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
