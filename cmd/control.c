/* SPDX-License-Identifier: BSD-3-Clause */
/* The serving end of the control socket: see control.h. */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "conn/listen.h"
#include "reactor/reactor.h"
#include "said.h"

#define MAX_WORDS 64
#define MAX_LINE  65536

struct control {
	struct run *run;
	struct vh_listen path;
	struct vh_event listen;
	control_fn *fn;
	void *arg;
	struct vh_list clients;
};

/* One connection; one command at a time. */
struct control_call {
	struct control *control;
	struct vh_event event;
	struct vh_list link;
	bool busy; /* a command waits for its answer      */
	bool gone; /* the connection went meanwhile       */
	size_t len;
	char line[MAX_LINE];
};

static struct vh_reactor *reactor_of(struct control_call *c)
{
	return c->control->run->reactor[0];
}

static void drop(struct control_call *c)
{
	if (!c->gone) {
		vh_event_remove(reactor_of(c), &c->event);
		vh_fd_drop(&c->event.fd);
		vh_list_remove(&c->link);
		c->gone = true;
	}
	if (!c->busy)
		free(c);
}

/* ---- Answers ---- */

/* The socket blocks for nobody: a client that does not read loses its connection. */
static void send_line(struct control_call *c, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text);
	struct iovec iov[2] = {{(void *)text, len}, {"\n", 1}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (sendmsg(c->event.fd, &m, MSG_NOSIGNAL) != (ssize_t)len + 1)
		drop(c);
}

static void answer(struct control_call *c, struct json_object *o, bool ok)
{
	c->busy = false;
	json_object_object_add(o, "schema", json_object_new_int(1));
	json_object_object_add(o, "ok", json_object_new_boolean(ok));
	if (c->gone)
		drop(c);
	else
		send_line(c, o);
	json_object_put(o);
}

void control_succeed(struct control_call *call, struct json_object *result)
{
	answer(call, result ? result : json_object_new_object(), true);
}

void control_fail(struct control_call *call, const char *format, ...)
{
	struct json_object *o = json_object_new_object();
	char text[512];
	const char *error = said_error();
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_object_object_add(o, "error", json_object_new_string(*error ? error : text));
	answer(call, o, false);
}

/* ---- Commands ---- */

static void run_words(struct control_call *c, struct json_object *words)
{
	char *argv[MAX_WORDS + 1];
	size_t n = json_object_array_length(words);

	for (size_t i = 0; i < n && i < MAX_WORDS; i++)
		argv[i] = (char *)json_object_get_string(
			json_object_array_get_idx(words, i));
	if (!n || n > MAX_WORDS) {
		control_fail(c, "a command has 1 to %d words", MAX_WORDS);
		return;
	}
	argv[n] = NULL;
	said_listen();
	c->control->fn(c->control->arg, c, (int)n, argv);
	said_stop();
}

static void run_line(struct control_call *c, const char *line)
{
	struct json_object *o = json_tokener_parse(line), *words;

	c->busy = true;
	if (o && json_object_is_type(o, json_type_object) &&
	    json_object_object_get_ex(o, "command", &words) &&
	    json_object_is_type(words, json_type_array))
		run_words(c, words);
	else
		control_fail(c, "not a JSON object with an array \"command\"");
	json_object_put(o);
}

/* A client that sends on before it was answered is not one of ours. */
static void on_client(struct vh_event *ev, uint32_t events)
{
	struct control_call *c = vh_container_of(ev, struct control_call, event);
	ssize_t n = recv(ev->fd, c->line + c->len, sizeof(c->line) - 1 - c->len, 0);
	char *end;

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || c->busy) {
		drop(c);
		return;
	}
	c->len += (size_t)n;
	c->line[c->len] = '\0';
	end = strchr(c->line, '\n');
	if (end) {
		*end = '\0';
		c->len = 0;
		run_line(c, c->line);
	} else if (c->len == sizeof(c->line) - 1) {
		drop(c);
	}
}

static void on_listen(struct vh_event *ev, uint32_t events)
{
	struct control *control = vh_container_of(ev, struct control, listen);
	struct control_call *c = calloc(1, sizeof(*c));

	(void)events;
	if (!c)
		return;
	c->control = control;
	c->event.fn = on_client;
	c->event.fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c->event.fd < 0 ||
	    vh_event_add(control->run->reactor[0], &c->event, EPOLLIN) < 0) {
		vh_fd_drop(&c->event.fd);
		free(c);
		return;
	}
	vh_list_append(&control->clients, &c->link);
}

/* The owner's alone: who may connect may do everything. */
static int start_listening(struct control *c)
{
	const struct vh_listen_access owner = {.mode = 0600, .group = VH_LISTEN_AS_IT_IS};
	int err = vh_listen_set_path(&c->path, c->run->control + strlen("unix:"));

	if (!err)
		err = vh_listen_start(&c->path, &owner);
	if (err < 0)
		return err;
	c->listen.fd = err;
	return vh_event_add(c->run->reactor[0], &c->listen, EPOLLIN);
}

int control_open(struct run *r, control_fn *fn, void *arg, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	*c = (struct control){.run = r, .fn = fn, .arg = arg, .path.tag = "control"};
	vh_list_init(&c->clients);
	c->listen = (struct vh_event){.fd = -1, .fn = on_listen};
	err = start_listening(c);
	if (err < 0)
		control_close(c);
	else
		*out = c;
	return err;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	vh_list_for_each (l, &c->clients)
		drop(vh_container_of(l, struct control_call, link));
	vh_event_remove(c->run->reactor[0], &c->listen);
	vh_fd_drop(&c->listen.fd);
	vh_listen_end(&c->path);
	free(c);
}
