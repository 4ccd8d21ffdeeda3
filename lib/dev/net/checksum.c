/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071).  Words are added as they stand in memory:
 * the sum does not care for byte order, as long as it is stored the same way.
 */
#include <string.h>

#include "dev/net/frame.h"

uint16_t vh_checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* 32 bits at a time into 64: no carry can be lost below 16 GiB. */
static uint64_t sum_words(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t i = 0;

	for (; i + 4 <= len; i += 4) {
		uint32_t word;

		memcpy(&word, p + i, sizeof(word));
		sum += word;
	}
	if (i < len) {
		uint32_t word = 0;

		memcpy(&word, p + i, len - i);
		sum += word;
	}
	return sum;
}

uint64_t vh_checksum_add(uint64_t sum, const void *p, uint32_t len, bool odd)
{
	uint64_t add = sum_words(p, len);

	/* Behind an odd byte each of these has the other half of its 16-bit word. */
	if (odd)
		add = __builtin_bswap16(vh_checksum_fold(add));
	add += sum;
	return add + (add < sum);
}
