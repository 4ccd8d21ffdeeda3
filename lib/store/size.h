/* SPDX-License-Identifier: BSD-3-Clause */
/* SIZE of the command line: 4096, 64K, 16M, 2G, 1T. */
#ifndef VH_STORE_SIZE_H
#define VH_STORE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* False: it is no size, or too large for 63 bits. */
bool vh_parse_size(const char *text, uint64_t *bytes);

/* The capacity of @kind=@text: 0; -EINVAL (logged) when it is no multiple of 512 above 0.
 */
int vh_store_parse_capacity(const char *tag, const char *kind, const char *text,
			    uint64_t *bytes);

#endif
