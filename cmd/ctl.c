/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost ctl: one command for a running daemon. */
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"

/* What succeeded without a word needs none; what has an answer is printed as JSON. */
static void print_answer(struct json_object *answer)
{
	json_object_object_del(answer, "ok");
	if (json_object_object_length(answer) == 1) /* the schema */
		return;
	puts(json_object_to_json_string_ext(
		answer, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int ctl(int argc, char **argv)
{
	struct json_object *answer;
	int fd, code = EXIT_FAILED;

	if (argc && argv[0][0] == '-')
		return usage_error(&verb_ctl, "there is no option \"%s\"", argv[0]);
	if (argc < 2)
		return usage_error(&verb_ctl, "%s is missing",
				   argc ? "a COMMAND"
					: "CONTROL, the socket of a daemon,");
	fd = control_connect(argv[0]);
	if (fd < 0)
		return exit_code_of_words(fd);
	answer = control_ask(fd, argc - 1, argv + 1);
	close(fd);
	if (answer && control_ok(answer)) {
		print_answer(answer);
		code = EXIT_OK;
	}
	json_object_put(answer);
	return code;
}

const struct verb verb_ctl = {
	.name = "ctl",
	.run = ctl,
	.summary = "tell a running daemon what to do",
	.usage = "vhost ctl CONTROL COMMAND [ARG...]",
	.help = "  CONTROL  unix:PATH, the control socket of the daemon\n\n"
		"Of a switch:\n"
		"  port add NAME=ADDRESS[,...]   a port or an uplink, as for vhost "
		"switch\n"
		"  port del NAME                 returns when its socket is closed\n"
		"  port list                     with all counters, as JSON\n"
		"  stat                          the same\n\n"
		"Of vhost serve:\n"
		"  device list                   with all counters, as JSON\n"
		"  device add DEVICE ADDRESS [KEY=VALUE]...\n"
		"  device del NAME               returns when its socket is closed\n"
		"  device resize NAME            to the size that its file has now\n"
		"  stat                          the same as device list\n",
};
