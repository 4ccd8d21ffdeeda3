/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost serve: devices, each at its address, in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vhost/device.h>

#include "cli.h"
#include "control.h"
#include "dev/blk/blk.h"
#include "dev/rng/rng.h"
#include "run.h"
#include "serve.h"

/* A new device is a row here. */
static const struct model {
	const struct vh_device_ops *ops;
	/* Of vhost-user.json: its word for the device, and the inside of a JSON list. */
	const char *type, *features;
} models[] = {
	{&vh_rng, "rng", ""},
	{&vh_blk, "block", "\"read-only\", \"blk-file\""},
};

#define N_MODELS   (sizeof(models) / sizeof(models[0]))
#define MAX_PARAMS 64

static const struct model *find_model(const char *name)
{
	for (size_t i = 0; i < N_MODELS; i++)
		if (!strcmp(models[i].ops->name, name))
			return &models[i];
	complain("no device is called \"%s\"; there are:", name);
	for (size_t i = 0; i < N_MODELS; i++)
		fprintf(stderr, "  %s\n", models[i].ops->name);
	return NULL;
}

/*
 * What vhost-user.json of QEMU's docs/interop calls the capabilities of a program.
 * All other options are ignored, as the conventions say.
 */
static int print_capabilities(int argc, char **argv)
{
	const struct model *m = NULL;
	int i = 0;

	while (i < argc && argv[i][0] == '-')
		i++;
	if (i == argc)
		return usage_error(&verb_serve, "--print-capabilities takes DEVICE");
	m = find_model(argv[i]);
	if (!m)
		return EXIT_USAGE;
	printf("{\n  \"type\": \"%s\",\n  \"features\": [%s]\n}\n", m->type, m->features);
	return EXIT_OK;
}

static bool wants_capabilities(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}

int serve_add_device(struct run *r, int argc, char **argv)
{
	const struct model *m;
	struct vh_param params[MAX_PARAMS];
	size_t n = 0;

	if (!argc)
		return usage_error(r->verb, "a device is missing: DEVICE ADDRESS");
	m = find_model(argv[0]);
	if (!m)
		return EXIT_USAGE;
	if (argc == 1)
		return usage_error(r->verb, "%s needs an ADDRESS, like unix:/run/%s.sock",
				   argv[0], argv[0]);
	for (int i = 2; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals || n == MAX_PARAMS)
			return usage_error(r->verb, "\"%s\" is not KEY=VALUE", argv[i]);
		*equals = '\0';
		params[n++] = (struct vh_param){.key = argv[i], .value = equals + 1};
	}
	return exit_code_of_words(
		vh_server_add(r->server, m->ops, NULL, argv[1], params, n, NULL));
}

/* The words of each device stand between "--"s; options of RUN may stand anywhere. */
static int add_devices(struct run *r, int argc, char **argv)
{
	int start = 0, code = EXIT_OK;

	for (int i = 0; i < argc; i++)
		if (argv[i][0] == '-' && strcmp(argv[i], "--") != 0)
			return usage_error(r->verb, "there is no option \"%s\"", argv[i]);
	for (int i = 0; i <= argc && code == EXIT_OK; i++) {
		if (i < argc && strcmp(argv[i], "--") != 0)
			continue;
		code = serve_add_device(r, i - start, argv + start);
		start = i + 1;
	}
	return code;
}

static int serve(int argc, char **argv)
{
	struct run r = {.verb = &verb_serve};
	struct control *control = NULL;
	int code;

	if (wants_capabilities(argc, argv))
		return print_capabilities(argc, argv);
	argc = run_take_options(&r, argc, argv);
	if (argc < 0)
		return EXIT_USAGE;
	if (run_start(&r) < 0)
		return EXIT_FAILED;
	code = add_devices(&r, argc, argv);
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
		"  ADDRESS  unix:PATH[,server=on|off][,mode=OCTAL][,group=NAME], or "
		"fd:N\n"
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
