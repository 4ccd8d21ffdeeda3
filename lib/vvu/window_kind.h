/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kinds of windows share.  Control thread. */
#ifndef VH_VVU_WINDOW_KIND_H
#define VH_VVU_WINDOW_KIND_H

#include "vvu/trap.h"
#include "vvu/window.h"

/* Fills @w but for its region.  0, or -EINVAL: no size for a BAR (logged). */
int vh_window_init(struct vh_window *w, const struct vh_window_ops *ops,
		   uint64_t bar_size, const char *tag);

/* @m has a descriptor for each region.  0 or -EINVAL (logged). */
int vh_window_check(const struct vh_window *w, const struct vh_msg *m);

/* The regions of @m at @at, in order of that. */
void vh_window_fill(struct vh_window_table *table, const struct vh_msg *m,
		    const uint64_t at[VH_MAX_TABLE_REGIONS]);

/* Is @fd's file sealed against shrinking, or can it be?  Then it is. */
bool vh_window_cannot_shrink(int fd);

/* Log that the regions in @mask are trapped and how to get around that, once for each
 * time that *@told is false; *@told is whether there are such. */
void vh_window_tell_trapped(const struct vh_window *w, const struct vh_msg *m,
			    unsigned mask, const char *cure, bool *told);

#endif
