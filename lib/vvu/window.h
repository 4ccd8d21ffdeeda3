/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window: where the guest sees the front-end's memory.  Three kinds:
 *
 *   static	one file that is known beforehand is the BAR
 *   hotplug	a PCI function is plugged into the guest for each file of a table
 *   trap	no mapping at all: each access of the guest is a message
 *
 * What the first two cannot place they trap, with a line in the log that says how to
 * make it fast.
 *
 * and beside it an area of the device's own for the dirty log and for inflight
 * requests.  Control thread.
 */
#ifndef VH_VVU_WINDOW_H
#define VH_VVU_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "spec/vhost_user.h"
#include "vfu/vfu.h"
#include "wire/msg.h"

#define VH_WINDOW_DEFAULT_SIZE (16ull << 30)

/*
 * One region as it is placed: at @at of the window, which is the BAR's offset, or one
 * with the number of a plugged function (VH_VVU_PLACE()).
 */
struct vh_window_region {
	uint64_t gpa, size, uva, at;
};

struct vh_window_table {
	unsigned n;
	struct vh_window_region region[VH_MAX_TABLE_REGIONS]; /* in order of @at */
};

struct vh_window;

struct vh_window_ops {
	/*
	 * Place the regions of @m, SET_MEM_TABLE with as many fds as regions, all of them
	 * or none: the old table stays when this fails.  0 and @table; -EINPROGRESS:
	 * *@done is called with 0 or -errno later, and then *@table is filled; -ENOSPC:
	 * the window is too small; or another -errno (logged, with what to do).  The fds
	 * stay @m's, and @m is there during the call only: what is needed later is
	 * duplicated.  Another place(), drop() or destroy() meanwhile: *@done is not
	 * called for the old one, nor is its *@table touched.
	 */
	int (*place)(struct vh_window *w, struct vh_msg *m, struct vh_window_table *table,
		     void (*done)(void *arg, int err), void *arg);
	/* Nobody uses the table any more (device reset, or the driver gave up). */
	void (*drop)(struct vh_window *w);
	/* An access of the guest to a part that is not mapped into it. */
	void (*read)(struct vh_window *w, uint64_t offset, void *buf, size_t len);
	void (*write)(struct vh_window *w, uint64_t offset, const void *buf, size_t len);
	void (*destroy)(struct vh_window *w);
};

struct vh_window {
	const struct vh_window_ops *ops;
	char tag[32];
	uint64_t size; /* of the BAR, a power of two; 0: the window is no BAR of the
			  device */
	/* What of it the guest may map, for vh_vfu_open(). */
	struct vh_vfu_region region;
};

/* What is asked for; strings are copied. */
struct vh_window_wish {
	const char *memory;  /* "file:PATH[,size=SIZE]", or NULL                  */
	const char *window;  /* "static", "hotplug:QMP-SOCKET[,...]", or NULL */
	const uint8_t *uuid; /* of the device: 16 bytes, for plugged functions    */
	uint64_t bar_size;   /* 0: VH_WINDOW_DEFAULT_SIZE                         */
	const char *tag;     /* for logs                                          */
};

/*
 * The window that suits: static when there is @memory, plugged when that is asked for,
 * else trapped.  0 or -errno (logged).
 */
int vh_window_open(struct vh_reactor *r, const struct vh_window_wish *wish,
		   struct vh_window **w);
void vh_window_destroy(struct vh_window *w); /* NULL is fine */

/* The single kinds. */
int vh_window_static(const char *memory, uint64_t bar_size, const char *tag,
		     struct vh_window **w);
int vh_window_trap(uint64_t bar_size, const char *tag, struct vh_window **w);
/* @qmp: "QMP-SOCKET[,port=ID][,unsealed=on|off]" of the guest's VMM. */
int vh_window_hotplug(struct vh_reactor *r, const char *qmp, const uint8_t uuid[16],
		      uint64_t bar_size, const char *tag, struct vh_window **w);

#endif
