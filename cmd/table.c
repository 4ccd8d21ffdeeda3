/* SPDX-License-Identifier: BSD-3-Clause */
/* See table.h. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_WIDTH 5 /* see table_human() */

/* ---- Cells ---- */

void table_text(struct table *t, const char *text)
{
	if (t->n_cells == t->room) {
		const size_t room = t->room ? 2 * t->room : 64;
		void *cell = reallocarray(t->cell, room, sizeof(t->cell[0]));

		if (!cell)
			return;
		t->cell = cell;
		t->room = room;
	}
	snprintf(t->cell[t->n_cells++], TABLE_CELL, "%s", text);
}

void table_human(char text[8], double n)
{
	static const char units[] = "kMGTPE";
	const char *unit = units;

	if (n < 9999.5) {
		snprintf(text, 8, "%.0f", n);
		return;
	}
	/* From 999.5 on, three digits would be rounded to four. */
	n /= 1000;
	while (n >= 999.5 && unit[1]) {
		n /= 1000;
		unit++;
	}
	snprintf(text, 8, "%.*f%c", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, *unit);
}

void table_count(struct table *t, uint64_t n)
{
	char text[8];

	table_human(text, (double)n);
	table_text(t, text);
}

void table_rate(struct table *t, uint64_t n, uint64_t before, double seconds)
{
	char text[8] = "-";

	if (seconds > 0 && n >= before)
		table_human(text, (double)(n - before) / seconds);
	table_text(t, text);
}

/* ---- The whole ---- */

static int width_of(const struct table *t, unsigned column)
{
	/* Room for any number, lest a live table sway. */
	size_t width = column < t->n_left ? 0 : NUMBER_WIDTH;

	if (strlen(t->titles[column]) > width)
		width = strlen(t->titles[column]);
	for (size_t i = column; i < t->n_cells; i += t->n_columns)
		if (strlen(t->cell[i]) > width)
			width = strlen(t->cell[i]);
	return (int)width;
}

static void print_cell(const struct table *t, unsigned column, const char *text)
{
	const int width = width_of(t, column);

	printf("%s%*s", column ? "  " : "", column < t->n_left ? -width : width, text);
	if (column + 1 == t->n_columns)
		putchar('\n');
}

static void print_row(const struct table *t, size_t first)
{
	for (unsigned column = 0; column < t->n_columns; column++)
		if (first + column < t->n_cells)
			print_cell(t, column, t->cell[first + column]);
}

void table_print(const struct table *t, bool titles)
{
	for (unsigned column = 0; titles && column < t->n_columns; column++)
		print_cell(t, column, t->titles[column]);
	for (size_t row = 0; row < t->n_cells; row += t->n_columns)
		print_row(t, row);
}

void table_fini(struct table *t)
{
	free(t->cell);
	t->cell = NULL;
	t->n_cells = t->room = 0;
}
