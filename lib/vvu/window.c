/* SPDX-License-Identifier: BSD-3-Clause */
/* Which window, and what all of them do.  Control thread. */
#include "vvu/window.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vvu/window_kind.h"

#define MIN_SIZE 4096ull
#define MAX_SIZE (1ull << 47) /* no processor has more, and places have 48 bits */

int vh_window_init(struct vh_window *w, const struct vh_window_ops *ops,
		   uint64_t bar_size, const char *tag)
{
	*w = (struct vh_window){
		.ops = ops,
		.size = bar_size ? bar_size : VH_WINDOW_DEFAULT_SIZE,
		.region = {.fd = -1},
	};
	w->region.size = w->size;
	snprintf(w->tag, sizeof(w->tag), "%s", tag);
	if (vh_is_power_of_two(w->size) && w->size >= MIN_SIZE && w->size <= MAX_SIZE)
		return 0;
	vh_log(w, VH_LOG_ERROR,
	       "BAR size %" PRIu64 ": want a power of two from 4K to 128T", w->size);
	return -EINVAL;
}

int vh_window_check(const struct vh_window *w, const struct vh_msg *m)
{
	if (m->mem.n <= VH_MAX_TABLE_REGIONS && m->mem.n == m->n_fds)
		return 0;
	vh_log(w, VH_LOG_WARN, "a table of %u regions came with %u descriptors", m->mem.n,
	       m->n_fds);
	return -EINVAL;
}

/* Stable, so that equal tables come out equal. */
void vh_window_fill(struct vh_window_table *table, const struct vh_msg *m,
		    const uint64_t at[VH_MAX_TABLE_REGIONS])
{
	table->n = 0;
	for (unsigned i = 0; i < m->mem.n; i++) {
		const struct vh_wire_region *r = &m->mem.region[i];
		unsigned k = table->n++;

		for (; k > 0 && table->region[k - 1].at > at[i]; k--)
			table->region[k] = table->region[k - 1];
		table->region[k] = (struct vh_window_region){
			.gpa = r->gpa, .size = r->size, .uva = r->uva, .at = at[i]};
	}
}

void vh_window_tell_trapped(const struct vh_window *w, const struct vh_msg *m,
			    unsigned mask, const char *cure, bool *told)
{
	uint64_t bytes = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < m->mem.n; i++)
		if (mask & (1u << i)) {
			bytes += m->mem.region[i].size;
			n++;
		}
	if (n && !*told)
		vh_log(w, VH_LOG_WARN,
		       "each access to %u regions of %" PRIu64
		       " bytes in all is a message, which is slow: %s",
		       n, bytes, cure);
	*told = n > 0;
}

bool vh_window_cannot_shrink(int fd)
{
	const int seals = fcntl(fd, F_GET_SEALS);

	return (seals >= 0 && seals & F_SEAL_SHRINK) ||
	       !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
}

void vh_window_destroy(struct vh_window *w)
{
	if (w)
		w->ops->destroy(w);
}

/* ---- Which one ---- */

static int refuse(const struct vh_window_wish *wish, const char *why)
{
	vh_log(wish, VH_LOG_ERROR, "window: %s", why);
	return -EINVAL;
}

int vh_window_open(struct vh_reactor *r, const struct vh_window_wish *wish,
		   struct vh_window **w)
{
	static const char plugged[] = "hotplug:";
	const char *kind = wish->window;

	*w = NULL;
	if (!kind)
		kind = wish->memory ? "static" : "trap";
	if (!strcmp(kind, "static") && !wish->memory)
		return refuse(wish, "static needs the memory's file: file:PATH");
	if (!strcmp(kind, "static"))
		return vh_window_static(wish->memory, wish->bar_size, wish->tag, w);
	if (wish->memory)
		return refuse(wish, "memory's file is for static");
	if (!strncmp(kind, plugged, strlen(plugged)))
		return vh_window_hotplug(r, kind + strlen(plugged), wish->uuid,
					 wish->bar_size, wish->tag, w);
	if (!strcmp(kind, "trap"))
		return vh_window_trap(wish->bar_size, wish->tag, w);
	return refuse(wish, "want static or hotplug:QMP-SOCKET");
}
