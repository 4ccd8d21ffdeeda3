/* SPDX-License-Identifier: BSD-3-Clause */
/* Files, tables of memory, and what is logged, for the tests of windows. */
#ifndef TESTS_VVU_WINDOW_RIG_H
#define TESTS_VVU_WINDOW_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vvu/window.h"

#define PAGE 4096u

/* A group's set-up: a folder of its own, lines of the log kept. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* "FOLDER/NAME"; the caller's to free. */
char *rig_path(const char *name);

/* Was a line logged that has @text in it, since the last rig_forget()?  How many? */
unsigned rig_logged(const char *text);
void rig_forget(void);

/* @len bytes of zeroes; @name NULL: of a memfd. */
int rig_file(const char *name, uint64_t len);

/* A mapping of all @len bytes of @fd, for good. */
uint8_t *rig_map(int fd, uint64_t len);

/* SET_MEM_TABLE with duplicates of @fds; vh_msg_close() it. */
struct vh_msg rig_table(const struct vh_wire_region *r, unsigned n, const int *fds);

/* .place without .done, and what became of the message's descriptors is checked. */
int rig_place(struct vh_window *w, const struct vh_wire_region *r, unsigned n,
	      const int *fds, struct vh_window_table *table);

uint64_t rig_read(struct vh_window *w, uint64_t at, size_t len);
void rig_write(struct vh_window *w, uint64_t at, uint64_t value, size_t len);

unsigned rig_count_fds(void);

#endif
