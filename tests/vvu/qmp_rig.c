/* SPDX-License-Identifier: BSD-3-Clause */
#include "window_rig.h"

#include "qmp_rig.h"

#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "vvu/qmp.h"

/* ---- The loop ---- */

struct vh_reactor *fake_reactor(void)
{
	static const struct vh_reactor_params params = {
		.size = sizeof(params), .name = "test", .cpu = -1, .poll = VH_POLL_SLEEP};
	struct vh_reactor *r;

	assert_int_equal(vh_reactor_create(&params, &r), 0);
	return r;
}

void fake_until(struct vh_reactor *r, bool (*yes)(const void *arg), const void *arg)
{
	struct pollfd p = {.fd = vh_reactor_fd(r), .events = POLLIN};
	unsigned idle = 0;

	/* What another thread does wakes nobody. */
	while (!yes(arg))
		if (vh_reactor_poll(r, 0) == 0 && !yes(arg) && !poll(&p, 1, 20))
			assert_in_range(++idle, 0, 250);
}

void fake_settle(struct vh_reactor *r)
{
	struct pollfd p = {.fd = vh_reactor_fd(r), .events = POLLIN};

	while (vh_reactor_poll(r, 0) > 0 || poll(&p, 1, 0) > 0)
		;
}

/* ---- Words ---- */

void fake_send(struct fake_qmp *q, const char *text)
{
	/* In two pieces: a value may come in any number of them. */
	const size_t len = strlen(text), half = len / 2;

	if (send(q->conn.fd, text, half, MSG_NOSIGNAL) < 0 ||
	    send(q->conn.fd, text + half, len - half, MSG_NOSIGNAL) < 0)
		return;
}

static void answer(struct fake_qmp *q, struct json_object *id, const char *member,
		   const char *value)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"%s\": %s, \"id\": %s}\r\n", member, value,
		 json_object_to_json_string(id));
	fake_send(q, text);
}

static void answer_error(struct fake_qmp *q, struct json_object *id, const char *desc)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"class\": \"GenericError\", \"desc\": \"%s\"}",
		 desc);
	answer(q, id, "error", text);
}

void fake_give_back(struct fake_qmp *q, unsigned port)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"timestamp\": {\"seconds\": 1}, \"event\": \"DEVICE_DELETED\", "
		 "\"data\": {\"device\": \"%s\", \"path\": \"/machine/peripheral\"}}\r\n",
		 q->used_by[port]);
	q->used_by[port][0] = '\0';
	fake_send(q, text);
}

/* ---- Commands ---- */

static void list_ports(struct fake_qmp *q, struct json_object *id)
{
	char text[512] = "[{\"name\": \"type\", \"type\": \"string\"}";

	for (unsigned i = 0; i < q->n_ports; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ", {\"name\": \"rp%u\", \"type\": \"child<pcie-root-port>\"}",
			 i);
	strcat(text, "]");
	answer(q, id, "return", text);
}

static void add_device(struct fake_qmp *q, struct json_object *id,
		       struct json_object *args)
{
	const char *bus = vh_qmp_string(args, "bus");
	struct json_object *socket = NULL;
	unsigned port = 0;

	assert_string_equal(vh_qmp_string(args, "driver"), "vfio-user-pci");
	assert_true(json_object_object_get_ex(args, "socket", &socket));
	assert_string_equal(vh_qmp_string(socket, "type"), "unix");
	q->n_adds++;
	if (q->refuses || sscanf(bus, "rp%u", &port) != 1 || port >= q->n_ports) {
		answer_error(q, id, q->refuses ? q->refuses : "no such bus");
	} else if (q->used_by[port][0]) {
		answer_error(q, id, "PCI: slot 0 function 0 is in use");
	} else {
		snprintf(q->used_by[port], sizeof(q->used_by[port]), "%s",
			 vh_qmp_string(args, "id"));
		snprintf(q->socket, sizeof(q->socket), "%s",
			 vh_qmp_string(socket, "path"));
		answer(q, id, "return", "{}");
	}
}

static void delete_device(struct fake_qmp *q, struct json_object *id,
			  struct json_object *args)
{
	const char *device = vh_qmp_string(args, "id");
	unsigned port = 0;

	q->n_asks++;
	while (port < q->n_ports && strcmp(q->used_by[port], device) != 0)
		port++;
	if (port == q->n_ports) {
		answer_error(q, id, "Device 'x' not found");
		return;
	}
	if (!q->keeps && q->event_first)
		fake_give_back(q, port);
	answer(q, id, "return", "{}");
	if (!q->keeps && !q->event_first)
		fake_give_back(q, port);
}

static void take_command(struct fake_qmp *q, struct json_object *o)
{
	const char *name = vh_qmp_string(o, "execute");
	struct json_object *id = NULL, *args = NULL;

	assert_non_null(name);
	json_object_object_get_ex(o, "id", &id);
	json_object_object_get_ex(o, "arguments", &args);
	if (!strcmp(name, "qmp_capabilities"))
		answer(q, id, "return", "{}");
	else if (q->says)
		fake_send(q, q->says);
	else if (q->no_answers)
		return;
	else if (!strcmp(name, "qom-list"))
		list_ports(q, id);
	else if (!strcmp(name, "device_add"))
		add_device(q, id, args);
	else if (!strcmp(name, "device_del"))
		delete_device(q, id, args);
	else
		answer_error(q, id, "no such command");
}

/* ---- Connections ---- */

void fake_hang_up(struct fake_qmp *q)
{
	vh_event_remove(q->reactor, &q->conn);
	vh_fd_drop(&q->conn.fd);
	q->in_len = 0;
}

static void on_bytes(struct vh_event *ev, uint32_t events)
{
	struct fake_qmp *q = vh_container_of(ev, struct fake_qmp, conn);
	ssize_t n = recv(ev->fd, q->in + q->in_len, sizeof(q->in) - q->in_len - 1,
			 MSG_DONTWAIT);
	char *end;

	(void)events;
	if (n <= 0) {
		fake_hang_up(q);
		return;
	}
	q->in_len += (size_t)n;
	q->in[q->in_len] = '\0';
	while (q->conn.fd >= 0 && (end = strchr(q->in, '\n'))) {
		struct json_object *o;

		*end++ = '\0';
		o = json_tokener_parse(q->in);
		assert_non_null(o);
		q->in_len -= (size_t)(end - q->in);
		memmove(q->in, end, q->in_len + 1);
		take_command(q, o);
		json_object_put(o);
	}
}

/* One at a time, as QEMU: others wait in the backlog. */
static void on_connection(struct vh_event *ev, uint32_t events)
{
	struct fake_qmp *q = vh_container_of(ev, struct fake_qmp, listener);

	(void)events;
	if (q->conn.fd >= 0)
		fake_hang_up(q);
	q->conn.fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(q->conn.fd >= 0);
	q->n_connections++;
	assert_int_equal(vh_event_add(q->reactor, &q->conn, EPOLLIN), 0);
	if (!q->no_greeting)
		fake_send(q, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
}

void fake_start(struct fake_qmp *q, struct vh_reactor *r, const char *path,
		unsigned n_ports)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	*q = (struct fake_qmp){.reactor = r, .n_ports = n_ports};
	snprintf(q->path, sizeof(q->path), "%s", path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	q->conn.fd = -1;
	q->conn.fn = on_bytes;
	q->listener.fn = on_connection;
	q->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(q->listener.fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(q->listener.fd, 4), 0);
	assert_int_equal(vh_event_add(r, &q->listener, EPOLLIN), 0);
}

void fake_stop(struct fake_qmp *q)
{
	fake_hang_up(q);
	vh_event_remove(q->reactor, &q->listener);
	vh_fd_drop(&q->listener.fd);
	unlink(q->path);
}
