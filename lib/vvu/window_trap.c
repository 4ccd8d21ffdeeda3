/* SPDX-License-Identifier: BSD-3-Clause */
/* A window that is not mapped: see trap.h.  Control thread. */
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "vvu/window_kind.h"

struct trap_window {
	struct vh_window w;
	struct vh_trap *trap;
	bool told;
};

static struct trap_window *of(struct vh_window *w)
{
	return vh_container_of(w, struct trap_window, w);
}

static int trap_place(struct vh_window *w, struct vh_msg *m,
		      struct vh_window_table *table, void (*done)(void *arg, int err),
		      void *arg)
{
	struct trap_window *t = of(w);
	const unsigned mask = (1u << VH_MAX_TABLE_REGIONS) - 1;
	uint64_t at[VH_MAX_TABLE_REGIONS] = {0};
	int err = vh_window_check(w, m);

	(void)done;
	(void)arg;
	if (!err)
		err = vh_trap_place(t->trap, m, mask, at);
	if (err < 0)
		return err;
	vh_window_fill(table, m, at);
	vh_window_tell_trapped(
		w, m, mask,
		"start the front-end's guest with memory-backend-file,mem-path=PATH,"
		"share=on and name that file here, --memory file:PATH",
		&t->told);
	return 0;
}

static void trap_drop(struct vh_window *w)
{
	vh_trap_drop(of(w)->trap);
}

static void trap_read(struct vh_window *w, uint64_t offset, void *buf, size_t len)
{
	vh_trap_read(of(w)->trap, offset, buf, len);
}

static void trap_write(struct vh_window *w, uint64_t offset, const void *buf, size_t len)
{
	vh_trap_write(of(w)->trap, offset, buf, len);
}

static void trap_destroy(struct vh_window *w)
{
	struct trap_window *t = of(w);

	vh_trap_destroy(t->trap);
	free(t);
}

static const struct vh_window_ops ops = {
	.place = trap_place,
	.drop = trap_drop,
	.read = trap_read,
	.write = trap_write,
	.destroy = trap_destroy,
};

int vh_window_trap(uint64_t bar_size, const char *tag, struct vh_window **w)
{
	struct trap_window *t = calloc(1, sizeof(*t));
	int err;

	*w = NULL;
	if (!t)
		return -ENOMEM;
	err = vh_window_init(&t->w, &ops, bar_size, tag);
	if (!err)
		err = vh_trap_create(t->w.tag, 0, t->w.size, &t->trap);
	if (err < 0)
		trap_destroy(&t->w);
	else
		*w = &t->w;
	return err;
}
