/* SPDX-License-Identifier: BSD-3-Clause */
/* The device models of vhost serve, by name: see serve.h. */
#include <stdio.h>
#include <string.h>

#include <vhost/device.h>

#include "cli.h"
#include "dev/blk/blk.h"
#include "dev/rng/rng.h"
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
int serve_print_capabilities(int argc, char **argv)
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
