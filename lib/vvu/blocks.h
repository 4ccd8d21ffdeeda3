/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BARs of memory, as both register front-ends have them: accesses of a guest that its VMM
 * has not mapped.  Control thread.
 */
#ifndef VH_VVU_BLOCKS_H
#define VH_VVU_BLOCKS_H

#include "pci/function.h"
#include "vvu/area.h"
#include "vvu/window.h"

/* All of it is at @offset of @bar, which is there and large enough.  0 or -errno. */
int vh_add_window_block(struct vh_pci_function *f, uint8_t bar, uint64_t offset,
			struct vh_window *w);
int vh_add_area_block(struct vh_pci_function *f, uint8_t bar, struct vh_area *a);

#endif
