/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost serve: devices, each at its address, in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vhost/device.h>

#include "cli.h"
#include "control.h"
#include "dev/rng/rng.h"
#include "run.h"

static const struct vh_device_ops *const models[] = {&vh_rng};

#define N_MODELS   (sizeof(models) / sizeof(models[0]))
#define MAX_PARAMS 64

static const struct vh_device_ops *find_model(const char *name)
{
	for (size_t i = 0; i < N_MODELS; i++)
		if (!strcmp(models[i]->name, name))
			return models[i];
	complain("no device is called \"%s\"; there are:", name);
	for (size_t i = 0; i < N_MODELS; i++)
		fprintf(stderr, "  %s\n", models[i]->name);
	return NULL;
}

/* vhost-user.json's type and features; see docs/interop/vhost-user.json of QEMU. */
static int print_capabilities(const char *name)
{
	if (!find_model(name))
		return EXIT_USAGE;
	printf("{\n  \"type\": \"%s\",\n  \"features\": []\n}\n", name);
	return EXIT_OK;
}

/* DEVICE ADDRESS [KEY=VALUE]...; splits the words of KEY=VALUE in place. */
static int add_device(struct run *r, int argc, char **argv)
{
	const struct vh_device_ops *ops;
	struct vh_param params[MAX_PARAMS];
	size_t n = 0;

	if (argc < 2)
		return usage_error(r->verb, "serve takes DEVICE ADDRESS");
	ops = find_model(argv[0]);
	if (!ops)
		return EXIT_USAGE;
	for (int i = 2; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals || n == MAX_PARAMS)
			return usage_error(r->verb, "\"%s\" is not KEY=VALUE", argv[i]);
		*equals = '\0';
		params[n++] = (struct vh_param){.key = argv[i], .value = equals + 1};
	}
	return vh_server_add(r->server, ops, NULL, argv[1], params, n, NULL) < 0
		       ? EXIT_FAILED
		       : EXIT_OK;
}

/* The words of each device stand between "--"s; options of RUN may stand anywhere. */
static int add_devices(struct run *r, int argc, char **argv)
{
	int start = 0, code = EXIT_OK;

	for (int i = 0; i <= argc && code == EXIT_OK; i++) {
		if (i < argc && strcmp(argv[i], "--") != 0)
			continue;
		code = add_device(r, i - start, argv + start);
		start = i + 1;
	}
	return code;
}

/* Take the options of RUN out of argv; what is left, or -1. */
static int take_run_options(struct run *r, int argc, char **argv)
{
	int left = 0;

	for (int i = 0; i < argc; i++) {
		int found = run_option(r, argc, argv, &i);

		if (found < 0)
			return -1;
		if (!found && argv[i][0] == '-' && strcmp(argv[i], "--") != 0) {
			usage_error(r->verb, "there is no option %s", argv[i]);
			return -1;
		}
		if (!found)
			argv[left++] = argv[i];
	}
	return left;
}

static int serve(int argc, char **argv)
{
	struct run r = {.verb = &verb_serve};
	struct control *control = NULL;
	int code;

	if (argc == 2 && !strcmp(argv[1], "--print-capabilities"))
		return print_capabilities(argv[0]);
	argc = take_run_options(&r, argc, argv);
	if (argc < 0)
		return EXIT_USAGE;
	if (run_start(&r) < 0)
		return EXIT_FAILED;
	code = add_devices(&r, argc, argv);
	if (code == EXIT_OK && r.control &&
	    control_open(&r, control_serve_commands, &r, &control) < 0)
		code = EXIT_FAILED;
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
		 "       vhost serve DEVICE --print-capabilities\n\n"
		 "  DEVICE   rng\n"
		 "  ADDRESS  unix:PATH[,server=on|off][,mode=OCTAL][,group=NAME], fd:N\n"
		 "  RUN      " RUN_USAGE "\n",
};
