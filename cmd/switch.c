/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost switch: an Ethernet switch between guests. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "control.h"
#include "run.h"
#include "switch/switch.h"
#include "switch_control.h"

static bool is_uplink(const char *text)
{
	const char *address = strchr(text, '=');

	return address &&
	       (!strncmp(address, "=tap:", 5) || !strncmp(address, "=packet:", 8));
}

static int add_port(struct vh_switch *sw, const char *text)
{
	struct vh_port_params p;
	int err = vh_port_params_parse(&p, text);

	if (!err) {
		err = vh_switch_add(sw, &p);
		vh_port_params_fini(&p);
	}
	return exit_code_of_words(err);
}

/* Add what --port and --uplink name; the options of RUN were taken already. */
static int add_ports(const struct run *r, struct vh_switch *sw, int argc, char **argv)
{
	int code = EXIT_OK;

	for (int i = 0; i < argc && code == EXIT_OK; i++) {
		const bool uplink = !strncmp(argv[i], "--uplink", 8);
		const char *value;

		if (!option_with_value(argc, argv, &i, "--port", &value) &&
		    !option_with_value(argc, argv, &i, "--uplink", &value))
			return usage_error(r->verb, "there is no option \"%s\"", argv[i]);
		if (!value)
			return usage_error(r->verb, uplink ? "--uplink takes NAME=UPLINK"
							   : "--port takes NAME=ADDRESS");
		if (uplink != is_uplink(value))
			return usage_error(
				r->verb,
				uplink ? "--uplink %s: an uplink is "
					 "NAME=tap:IFNAME or NAME=packet:IFNAME"
				       : "--port %s: that is an uplink, give it "
					 "with --uplink",
				value);
		code = add_port(sw, value);
	}
	return code;
}

static int run_switch(struct run *r, struct vh_switch *sw, int argc, char **argv)
{
	struct control *control = NULL;
	int code = add_ports(r, sw, argc, argv);

	if (code == EXIT_OK && r->control)
		code = exit_code_of(control_open(r, switch_commands, sw, &control));
	if (code == EXIT_OK)
		code = exit_code_of(run_loop(r));
	control_close(control);
	return code;
}

static int switch_verb(int argc, char **argv)
{
	struct run r = {.verb = &verb_switch};
	struct vh_switch *sw;
	int code;

	argc = run_take_options(&r, argc, argv);
	if (argc < 0)
		return EXIT_USAGE;
	if (run_start(&r) < 0)
		return EXIT_FAILED;
	if (vh_switch_create(r.server, r.reactor, r.n_reactors, NULL, &sw) < 0) {
		run_end(&r);
		return EXIT_FAILED;
	}
	code = run_switch(&r, sw, argc, argv);
	run_end_server(&r);
	vh_switch_destroy(sw);
	run_end(&r);
	return code;
}

const struct verb verb_switch = {
	.name = "switch",
	.run = switch_verb,
	.summary = "an Ethernet switch between guests",
	.usage = "vhost switch --port "
		 "NAME=ADDRESS[,queues=N][,vlan=ID|,trunk=ID:ID:...[,native=ID]]...\n"
		 "                    [--uplink NAME=UPLINK]... [RUN]",
	.help = "  --port NAME=ADDRESS         a port for a guest; NAME is for vhost "
		"stat\n"
		"  --uplink NAME=UPLINK        a port that is an interface of this "
		"machine\n"
		"  ADDRESS  unix:PATH[,server=on|off][,mode=OCTAL][,group=NAME], fd:N, "
		"or\n"
		"           vvu:0000:00:04.0, a device of this guest\n"
		"  UPLINK   tap:IFNAME (made if it is not there) or packet:IFNAME\n\n"
		"Behind an ADDRESS or UPLINK, after commas:\n"
		"  queues=N          pairs of queues, 1 to 128; 1\n"
		"  vlan=ID           untagged frames belong to that VLAN\n"
		"  trunk=ID:ID:...  tagged frames of these VLANs\n"
		"  native=ID         the VLAN of untagged frames on a trunk\n"
		"  mtu=N             what the guest is told; 1500\n\n" RUN_HELP,
};
