/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost serve: devices, each at its address, in one process. */
#include <string.h>

#include "cli.h"
#include "control.h"
#include "run.h"
#include "serve.h"

static bool wants_capabilities(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}

static int serve(int argc, char **argv)
{
	struct run r = {.verb = &verb_serve};
	struct control *control = NULL;
	struct serve_entry entry[SERVE_MAX_DEVICES];
	unsigned n = 0;
	int code;

	if (wants_capabilities(argc, argv))
		return serve_print_capabilities(argc, argv);
	argc = run_take_options(&r, argc, argv);
	if (argc < 0)
		return EXIT_USAGE;
	code = serve_read_entries(&r, argc, argv, entry, &n);
	if (code != EXIT_OK)
		return code;
	if (run_start(&r) < 0)
		return EXIT_FAILED;
	code = serve_add_entries(&r, entry, n);
	if (code == EXIT_OK && r.control)
		code = exit_code_of(
			control_open(&r, control_serve_commands, &r, &control));
	if (code == EXIT_OK)
		code = exit_code_of(run_loop(&r));
	control_close(control);
	run_end(&r);
	return code;
}

const struct verb verb_serve = {
	.name = "serve",
	.run = serve,
	.summary = "serve devices to VMMs and other front-ends",
	.usage = "vhost serve DEVICE ADDRESS [KEY=VALUE]... "
		 "['--' DEVICE ADDRESS [KEY=VALUE]...]... [RUN]\n"
		 "       vhost serve DEVICE --print-capabilities",
	.help = "  DEVICE   rng, blk\n"
		"  ADDRESS  unix:PATH[,server=on|off][,mode=OCTAL][,group=NAME], fd:N,\n"
		"           vfio-user:PATH[,mode=OCTAL][,group=NAME], as a virtio-pci "
		"device,\n"
		"           or vvu:0000:00:04.0, a device of this guest\n"
		"  cores=LIST                  threads of its own on these CPUs, like "
		"0:2-3\n"
		"  --print-capabilities        say what the device can do, as "
		"JSON\n\n"
		"Keys of blk, the first to say where its blocks are; see man "
		"vhost-serve:\n"
		"  file=PATH    a file or a block device\n"
		"  memory=SIZE  memory of this process, like 64M\n"
		"  null=SIZE    reads are zeroes\n"
		"  nbd=URI      on an NBD server\n"
		"  readonly=on|off, serial=TEXT, num-queues=N, "
		"block-size=512|4096\n\n" RUN_HELP,
};
