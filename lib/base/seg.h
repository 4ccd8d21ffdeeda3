/* SPDX-License-Identifier: BSD-3-Clause */
/* A piece of guest memory as we reach it, and where the guest has it. */
#ifndef VH_BASE_SEG_H
#define VH_BASE_SEG_H

#include <stdint.h>

struct vh_seg {
	uint8_t *va;  /* ours: mapped and inside one region                */
	uint64_t gpa; /* the guest's, for the dirty log                    */
	uint32_t len; /* bytes                                             */
	uint32_t pad; /* keeps two of them and a header in one cache line  */
};

#endif
