/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon's answer to "stat", as a table. */
#ifndef CMD_STAT_TABLE_H
#define CMD_STAT_TABLE_H

#include <stdbool.h>

struct json_object;

/*
 * Print @now, with rates since @last (NULL: there is none yet), which was said @seconds
 * before it; with the columns' @titles or not.
 */
void stat_table_print(struct json_object *now, struct json_object *last, double seconds,
		      bool titles);

#endif
