/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of QMP, the monitor of QEMU: commands, their replies, events.  It never waits:
 * who wants an answer in time arms a timer and closes.  It knows no command but the one
 * that begins a session.  Control thread.
 */
#ifndef VH_VVU_QMP_H
#define VH_VVU_QMP_H

#include "reactor/reactor.h"

struct vh_qmp;
struct json_object;

struct vh_qmp_ops {
	/* @data is borrowed, NULL when the event has none.  Both may close the client. */
	void (*event)(void *arg, const char *name, struct json_object *data);
	/* No reply to anything comes any more; only closing is left.  @why is a text. */
	void (*down)(void *arg, const char *why);
};

/*
 * What a command brings: its value, or (NULL) what QEMU says is wrong; both borrowed.
 * It may give the next command, or close the client.
 */
typedef void vh_qmp_reply(void *arg, struct json_object *value, const char *error);

/*
 * Connects to @path, where a monitor in control mode listens.  Commands can be given at
 * once.  0 or -errno (not logged).
 */
int vh_qmp_open(struct vh_reactor *r, const char *path, const struct vh_qmp_ops *ops,
		void *arg, struct vh_qmp **q);
/* Replies that did not come do not come.  NULL is fine. */
void vh_qmp_close(struct vh_qmp *q);

/* @arguments is taken, also on failure; NULL: none.  0 or -ENOMEM. */
int vh_qmp_command(struct vh_qmp *q, const char *name, struct json_object *arguments,
		   vh_qmp_reply *reply, void *arg);

/* The string that @object has by that name, or NULL: also when it is no string. */
const char *vh_qmp_string(struct json_object *object, const char *name);

#endif
