/* SPDX-License-Identifier: BSD-3-Clause */
/* See view.h.  Control thread. */
#include "session/view.h"

#include <stdlib.h>

void vh_view_destroy(struct vh_view *v)
{
	if (!v)
		return;
	vh_ring_destroy(v->start);
	vh_signal_put(v->kick);
	vh_signal_put(v->call);
	vh_signal_put(v->log_call);
	vh_dirty_log_put(v->log);
	vh_map_put(v->map);
	free(v);
}
