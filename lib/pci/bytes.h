/* SPDX-License-Identifier: BSD-3-Clause */
/* Little-endian numbers at any place. */
#ifndef VH_PCI_BYTES_H
#define VH_PCI_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "PCI is, and so are we");

static inline uint16_t vh_le16_get(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t vh_le32_get(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The lowest @len bytes, up to 8. */
static inline uint64_t vh_le_get(const void *p, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, p, len < sizeof(v) ? len : sizeof(v));
	return v;
}

static inline void vh_le16_put(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void vh_le32_put(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void vh_le64_put(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif
