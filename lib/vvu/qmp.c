/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands carry a number, and QEMU repeats it in the reply.  They are written at once,
 * or when the socket has room.  What comes is one JSON value after the other: a greeting,
 * replies ("return" or "error") and events.  QEMU is the VMM of a guest, and is trusted
 * in its words but not in their number: a value that does not end is cut off.
 */
#include "vvu/qmp.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"

#define MAX_VALUE (4u << 20)  /* bytes of one value */
#define MAX_OUT	  (64u << 10) /* bytes that QEMU has not read yet */

struct qmp_command {
	int64_t id;
	vh_qmp_reply *reply;
	void *arg;
	struct vh_list link;
};

struct vh_qmp {
	struct vh_reactor *reactor;
	const struct vh_qmp_ops *ops;
	void *arg;
	struct vh_event event;
	struct json_tokener *tokener;
	size_t unfinished; /* bytes of the value that has not ended */
	int64_t last_id;
	struct vh_list commands; /* without a reply, the oldest first */
	char *out;
	size_t out_len;
	bool greeted;
	bool busy, closed; /* we are in qmp_event(), which frees it; we are closed */
};

/* ---- Life ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	VH_AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return vh_fd_take(&fd);
}

static void qmp_event(struct vh_event *ev, uint32_t events);

static int qmp_init(struct vh_qmp *q, const char *path)
{
	q->event.fn = qmp_event;
	vh_list_init(&q->commands);
	q->event.fd = connect_to(path);
	if (q->event.fd < 0)
		return q->event.fd;
	q->tokener = json_tokener_new();
	if (!q->tokener)
		return -ENOMEM;
	return vh_event_add(q->reactor, &q->event, EPOLLIN);
}

int vh_qmp_open(struct vh_reactor *r, const char *path, const struct vh_qmp_ops *ops,
		void *arg, struct vh_qmp **qmp)
{
	struct vh_qmp *q = calloc(1, sizeof(*q));
	int err;

	*qmp = NULL;
	if (!q)
		return -ENOMEM;
	*q = (struct vh_qmp){.reactor = r, .ops = ops, .arg = arg};
	err = qmp_init(q, path);
	if (!err)
		err = vh_qmp_command(q, "qmp_capabilities", NULL, NULL, NULL);
	if (err < 0)
		vh_qmp_close(q);
	else
		*qmp = q;
	return err;
}

static void command_free(struct qmp_command *c)
{
	vh_list_remove(&c->link);
	free(c);
}

static void destroy(struct vh_qmp *q)
{
	if (q->tokener)
		json_tokener_free(q->tokener);
	free(q->out);
	free(q);
}

void vh_qmp_close(struct vh_qmp *q)
{
	if (!q)
		return;
	vh_list_for_each (l, &q->commands) {
		command_free(vh_container_of(l, struct qmp_command, link));
	}
	vh_event_remove(q->reactor, &q->event);
	vh_fd_drop(&q->event.fd);
	q->closed = true;
	if (!q->busy)
		destroy(q);
}

/* ---- Out ---- */

static void watch(struct vh_qmp *q)
{
	vh_event_modify(q->reactor, &q->event,
			EPOLLIN | (q->greeted && q->out_len ? EPOLLOUT : 0u));
}

/* Errors are seen when it is read. */
static void flush(struct vh_qmp *q)
{
	ssize_t n;

	if (!q->greeted || !q->out_len)
		return;
	n = send(q->event.fd, q->out, q->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		q->out_len -= (size_t)n;
		memmove(q->out, q->out + n, q->out_len);
	}
	watch(q);
}

static int append(struct vh_qmp *q, const char *text)
{
	const size_t len = strlen(text) + 1; /* a newline follows */
	char *out = q->out_len + len <= MAX_OUT ? realloc(q->out, q->out_len + len + 1)
						: NULL;

	if (!out)
		return -ENOMEM;
	snprintf(out + q->out_len, len + 1, "%s\n", text);
	q->out = out;
	q->out_len += len;
	return 0;
}

static int send_command(struct vh_qmp *q, const char *name, struct json_object *arguments,
			int64_t id)
{
	struct json_object *o = json_object_new_object();
	int err;

	if (!o) {
		json_object_put(arguments);
		return -ENOMEM;
	}
	json_object_object_add(o, "execute", json_object_new_string(name));
	if (arguments)
		json_object_object_add(o, "arguments", arguments);
	json_object_object_add(o, "id", json_object_new_int64(id));
	err = append(q, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return err;
}

int vh_qmp_command(struct vh_qmp *q, const char *name, struct json_object *arguments,
		   vh_qmp_reply *reply, void *arg)
{
	struct qmp_command *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		json_object_put(arguments);
		return -ENOMEM;
	}
	*c = (struct qmp_command){.id = ++q->last_id, .reply = reply, .arg = arg};
	err = send_command(q, name, arguments, c->id);
	if (err < 0) {
		free(c);
		return err;
	}
	vh_list_append(&q->commands, &c->link);
	flush(q);
	return 0;
}

/* ---- In ---- */

const char *vh_qmp_string(struct json_object *object, const char *name)
{
	struct json_object *o;

	return json_object_is_type(object, json_type_object) &&
			       json_object_object_get_ex(object, name, &o) &&
			       json_object_is_type(o, json_type_string)
		       ? json_object_get_string(o)
		       : NULL;
}

static struct qmp_command *find(const struct vh_qmp *q, struct json_object *value)
{
	struct json_object *id;

	if (json_object_object_get_ex(value, "id", &id) &&
	    json_object_is_type(id, json_type_int))
		for (struct vh_list *l = q->commands.next; l != &q->commands;
		     l = l->next) {
			struct qmp_command *c =
				vh_container_of(l, struct qmp_command, link);

			if (c->id == json_object_get_int64(id))
				return c;
		}
	return NULL;
}

static void take_reply(struct vh_qmp *q, struct json_object *value,
		       struct json_object *result, const char *error)
{
	struct qmp_command *c = find(q, value);
	vh_qmp_reply *reply = c ? c->reply : NULL;
	void *arg = c ? c->arg : NULL;

	if (c)
		command_free(c);
	if (reply)
		reply(arg, result, error);
}

/* One value.  What it says may close us. */
static void take_value(struct vh_qmp *q, struct json_object *value)
{
	const char *event = vh_qmp_string(value, "event");
	struct json_object *o = NULL;

	if (!json_object_is_type(value, json_type_object))
		return;
	if (event) {
		json_object_object_get_ex(value, "data", &o);
		q->ops->event(q->arg, event, o);
	} else if (json_object_object_get_ex(value, "return", &o)) {
		take_reply(q, value, o, NULL);
	} else if (json_object_object_get_ex(value, "error", &o)) {
		const char *text = vh_qmp_string(o, "desc");

		take_reply(q, value, NULL, text ? text : "an error without a text");
	} else if (json_object_object_get_ex(value, "QMP", &o)) {
		q->greeted = true;
		flush(q);
	}
}

/* Part of a value, or several.  False: it is no JSON, or too much, or we are closed. */
static bool take_bytes(struct vh_qmp *q, const char *bytes, size_t len)
{
	while (len > 0) {
		struct json_object *value =
			json_tokener_parse_ex(q->tokener, bytes, (int)len);
		size_t used = json_tokener_get_parse_end(q->tokener);

		if (!value) {
			q->unfinished += len;
			return json_tokener_get_error(q->tokener) ==
				       json_tokener_continue &&
			       q->unfinished <= MAX_VALUE;
		}
		q->unfinished = 0;
		bytes += used;
		len -= used;
		take_value(q, value);
		json_object_put(value);
		if (q->closed)
			return false;
	}
	return true;
}

static void go_down(struct vh_qmp *q, const char *why)
{
	vh_event_remove(q->reactor, &q->event);
	q->ops->down(q->arg, why);
}

static void receive(struct vh_qmp *q)
{
	char bytes[4096];
	ssize_t n = recv(q->event.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		go_down(q, vh_strerror(-errno));
	else if (!n)
		go_down(q, "QEMU has closed it");
	else if (!take_bytes(q, bytes, (size_t)n) && !q->closed)
		go_down(q, "what comes is not QMP");
}

static void qmp_event(struct vh_event *ev, uint32_t events)
{
	struct vh_qmp *q = vh_container_of(ev, struct vh_qmp, event);

	q->busy = true;
	if (events & EPOLLOUT)
		flush(q);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(q);
	q->busy = false;
	if (q->closed)
		destroy(q);
}
