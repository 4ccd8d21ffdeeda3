/* SPDX-License-Identifier: BSD-3-Clause */
/* What vhost demo shows: a table while it runs, and its summary. */
#ifndef CMD_DEMO_TABLE_H
#define CMD_DEMO_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "demo_guest.h"

struct demo_table {
	struct guest_stats last[N_GUESTS]; /* of the rows before, for rates */
	bool begun;
};

void demo_table_head(void);
/* A row a guest, @elapsed seconds after the start; on a terminal over those before. */
void demo_table_rows(struct demo_table *t, const struct demo_shared *shared,
		     unsigned elapsed, uint64_t drops);

/* All guests together; the frames that went wrong. */
uint64_t demo_sum(const struct demo_shared *shared, struct guest_stats *sum);
void demo_summary_print(const struct guest_stats *sum, unsigned seconds);
void demo_summary_print_json(const struct guest_stats *sum, unsigned seconds, bool ok);

#endif
