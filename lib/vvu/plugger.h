/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugs vfio-user functions into a guest of QEMU's while it runs, and takes them out
 * again, by way of its monitor.  It knows the functions by the socket that each listens
 * on, and nothing of what they are.  Control thread.
 */
#ifndef VH_VVU_PLUGGER_H
#define VH_VVU_PLUGGER_H

#include <stdint.h>

#include "base/list.h"
#include "reactor/reactor.h"

struct vh_plugger;

enum vh_plug_state {
	VH_PLUG_OUT,
	VH_PLUG_WANTED, /* it will be plugged in */
	VH_PLUG_IN,
	VH_PLUG_UNWANTED, /* the guest will be asked for it */
	VH_PLUG_LEAVING,  /* the guest was asked */
};

/* One function: its owner's, who fills id and socket and zeroes the rest. */
struct vh_plug {
	char id[32];	  /* in QEMU; nothing else there has it */
	char socket[108]; /* where it listens                   */
	enum vh_plug_state state;
	struct vh_list link;
};

struct vh_plugger_ops {
	/* It is in; or (@error, a text) it is out, and why. */
	void (*plugged)(void *arg, struct vh_plug *plug, const char *error);
	/* It is out, asked for or not; or (@error) it is still in, and why. */
	void (*unplugged)(void *arg, struct vh_plug *plug, const char *error);
};

/*
 * @qmp is where QEMU's monitor listens, one that nobody else uses; it is connected to
 * when there is something to do.  @port is the ID of a root port, or NULL: any that is
 * free.  All strings are copied.  0 or -ENOMEM.
 */
int vh_plugger_create(struct vh_reactor *r, const char *qmp, const char *port,
		      const char *tag, const struct vh_plugger_ops *ops, void *arg,
		      struct vh_plugger **p);
/* What is plugged in stays so; nothing of it is called or touched any more. */
void vh_plugger_destroy(struct vh_plugger *p); /* NULL is fine */

/*
 * In order, one after the other, each in at most 10 s.  The answer never comes from
 * inside of these.  When all ports are taken and functions are on their way out, one of
 * theirs is waited for.
 */
void vh_plugger_plug(struct vh_plugger *p, struct vh_plug *plug);   /* which is out */
void vh_plugger_unplug(struct vh_plugger *p, struct vh_plug *plug); /* which is in  */
/* Its owner frees it: nothing is heard of it any more. */
void vh_plugger_forget(struct vh_plugger *p, struct vh_plug *plug);

/* For tests: another time than 10 s. */
void vh_plugger_set_time_out(struct vh_plugger *p, uint64_t ns);

#endif
