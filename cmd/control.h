/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: one JSON object a line, each way.
 *
 *   -> {"command": ["port", "add", "vm3=unix:/run/vm3.sock"]}
 *   <- {"schema": 1, "ok": true, ...}  or  {"schema": 1, "ok": false, "error": "..."}
 *
 * Thread: control.  Who may open the socket's path may do everything.
 */
#ifndef CMD_CONTROL_H
#define CMD_CONTROL_H

#include <json-c/json.h>

#include <vhost/stats.h>

#include "run.h"

struct control;
struct control_call; /* a command that was not answered yet */

/* Answer @call now or later, with control_succeed() or control_fail(), once. */
typedef void control_fn(void *arg, struct control_call *call, int argc, char **argv);

int control_open(struct run *r, control_fn *fn, void *arg, struct control **c);
/* After the loop has ended; unlinks the socket.  NULL is fine. */
void control_close(struct control *c);

/* Takes @result (an object), or NULL: nothing to say. */
void control_succeed(struct control_call *call, struct json_object *result);
/* Inside of a control_fn, an error that the library has told (said.h) is told instead. */
__attribute__((format(printf, 2, 3))) void control_fail(struct control_call *call,
							const char *format, ...);

/* The commands of vhost serve (@arg is its struct run), in serve_control.c. */
void control_serve_commands(void *arg, struct control_call *call, int argc, char **argv);
/* The counters of a queue, for both. */
struct json_object *json_of_queue(const struct vh_queue_stats *s);

/* ---- The other side: stat and ctl ---- */

/* Connect to "unix:PATH".  The fd, or -errno (said). */
int control_connect(const char *address);
/* Send @argc words; the answer, which is the caller's, or NULL (said). */
struct json_object *control_ask(int fd, int argc, char **argv);
/* Did it succeed?  If not, the error is said. */
bool control_ok(struct json_object *answer);

#endif
