/* SPDX-License-Identifier: BSD-3-Clause */
/* A table for people: columns as wide as what is in them, numbers with units. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_CELL 40 /* bytes of a cell's text, its end counted */

struct table {
	const char *const *titles; /* borrowed                                   */
	unsigned n_columns;
	unsigned n_left; /* the first so many stand left, the others right */
	/* The cells of all rows, one behind the other. */
	char (*cell)[TABLE_CELL];
	size_t n_cells, room;
};

/* The next cell: text, a count, a count for each second.  Lost when there is no memory.
 */
void table_text(struct table *t, const char *text);
void table_count(struct table *t, uint64_t n);
/* "-" with @seconds of 0, which means that @before is not known, and for a new start. */
void table_rate(struct table *t, uint64_t n, uint64_t before, double seconds);

/* To stdout, with the titles or not. */
void table_print(const struct table *t, bool titles);
void table_fini(struct table *t);

/* "9999", "12.3k", "1.20G": never more than five characters. */
void table_human(char text[8], double n);

#endif
