/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a driver in a guest is told where the regions of a memory table are in its window.
 * No fd comes with its table, so the offset of a region means what the driver makes of
 * it, and that is set here to what leads it to the right place.  Pure.
 */
#ifndef VH_VVU_LAYOUT_H
#define VH_VVU_LAYOUT_H

#include "spec/vhost_user.h"
#include "vvu/relay.h"

/* NULL, or what is wrong with the regions themselves (a literal). */
const char *vh_layout_check(const struct vh_wire_mem *mem);

/*
 * The table for the driver: the regions of @placed, in that order, with offsets as
 * @layout has them; VH_LAYOUT_VERBATIM: @sent as it is.  0, or -EINVAL: the driver
 * would look elsewhere.
 */
int vh_layout_write(enum vh_relay_layout layout, const struct vh_wire_mem *sent,
		    const struct vh_window_table *placed, struct vh_wire_mem *mem);

#endif
