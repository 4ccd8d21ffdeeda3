/* SPDX-License-Identifier: BSD-3-Clause */
/* The asking end of the control socket: see control.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "control.h"

/* A connection, or -errno. */
static int connect_to(const char *path)
{
	VH_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return vh_fd_take(&fd);
}

int control_connect(const char *address)
{
	int fd;

	if (strncmp(address, "unix:", 5) != 0 || !address[5]) {
		complain("a control address is unix:PATH, not \"%s\"", address);
		return -EINVAL;
	}
	fd = connect_to(address + 5);
	if (fd < 0)
		complain("nobody answers at %s: %s (%s)", address, strerror(-fd),
			 fd == -EACCES ? "it is for the user who started the daemon"
				       : "was the daemon started with --control?");
	return fd;
}

static bool send_command(int fd, int argc, char **argv)
{
	struct json_object *o = json_object_new_object(),
			   *words = json_object_new_array();
	const char *text;
	size_t len;
	bool fine;

	for (int i = 0; i < argc; i++)
		json_object_array_add(words, json_object_new_string(argv[i]));
	json_object_object_add(o, "command", words);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	len = strlen(text);
	fine = send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len &&
	       send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
	json_object_put(o);
	return fine;
}

struct json_object *control_ask(int fd, int argc, char **argv)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o = NULL;
	char buf[4096];
	ssize_t n = 1;

	if (!send_command(fd, argc, argv))
		n = 0;
	while (!o && n > 0) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			o = json_tokener_parse_ex(t, buf, (int)n);
		if (!o && json_tokener_get_error(t) != json_tokener_continue)
			break;
	}
	json_tokener_free(t);
	if (!o)
		complain("the daemon closed the control connection");
	return o;
}

bool control_ok(struct json_object *answer)
{
	struct json_object *v;

	if (json_object_object_get_ex(answer, "ok", &v) && json_object_get_boolean(v))
		return true;
	if (json_object_object_get_ex(answer, "error", &v))
		complain("%s", json_object_get_string(v));
	return false;
}
