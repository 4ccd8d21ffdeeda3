/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost switch: an Ethernet switch between guests. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "control.h"
#include "run.h"
#include "switch/switch.h"
#include "switch_control.h"

static const char usage[] =
	"vhost switch --port "
	"NAME=ADDRESS[,queues=N][,vlan=ID|,trunk=ID:ID:...[,native=ID]]...\n"
	"                    [--uplink NAME=UPLINK]... [RUN]\n\n"
	"  ADDRESS  unix:PATH[,server=on|off][,mode=OCTAL][,group=NAME], fd:N\n"
	"  UPLINK   tap:IFNAME or packet:IFNAME\n"
	"  RUN      " RUN_USAGE "\n";

/* Add what --port and --uplink name; the options of RUN were read already. */
static int add_ports(struct vh_switch *sw, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct vh_port_params p;
		const char *text;
		int err;

		if (!option_with_value(argc, argv, &i, "--port", &text) &&
		    !option_with_value(argc, argv, &i, "--uplink", &text))
			continue;
		if (vh_port_params_parse(&p, text) < 0)
			return EXIT_USAGE;
		err = vh_switch_add(sw, &p);
		vh_port_params_fini(&p);
		if (err < 0)
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* 0, or an exit code: everything but the contents of ports. */
static int read_options(struct run *r, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *value;
		int found = run_option(r, argc, argv, &i);

		if (found < 0)
			return EXIT_USAGE;
		if (found)
			continue;
		if (!option_with_value(argc, argv, &i, "--port", &value) &&
		    !option_with_value(argc, argv, &i, "--uplink", &value))
			return usage_error(r->verb, "there is no option \"%s\"", argv[i]);
		if (!value)
			return usage_error(r->verb,
					   "--port and --uplink take NAME=ADDRESS");
	}
	return EXIT_OK;
}

static int run_switch(struct run *r, struct vh_switch *sw, int argc, char **argv)
{
	struct control *control = NULL;
	int code = add_ports(sw, argc, argv);

	if (code == EXIT_OK && r->control &&
	    control_open(r, switch_commands, sw, &control) < 0)
		code = EXIT_FAILED;
	if (code == EXIT_OK)
		code = exit_code_of(run_loop(r));
	control_close(control);
	return code;
}

static int switch_verb(int argc, char **argv)
{
	struct run r = {.verb = &verb_switch};
	struct vh_switch *sw;
	int code = read_options(&r, argc, argv);

	if (code != EXIT_OK)
		return code;
	if (run_start(&r) < 0)
		return EXIT_FAILED;
	if (vh_switch_create(r.server, r.reactor, r.n_reactors, NULL, &sw) < 0) {
		run_end(&r);
		return EXIT_FAILED;
	}
	code = run_switch(&r, sw, argc, argv);
	vh_server_destroy(r.server);
	r.server = NULL;
	vh_switch_destroy(sw);
	run_end(&r);
	return code;
}

const struct verb verb_switch = {
	.name = "switch",
	.run = switch_verb,
	.summary = "an Ethernet switch between guests",
	.usage = usage,
};
