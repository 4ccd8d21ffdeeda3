/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end programs of the vhost-user conventions: links to vhost by the name
 * of vhost-user-DEVICE, which take the conventions' options for one device.
 */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

struct program;

/* The program that @argv0, with or without folders before it, names; or NULL. */
const struct program *program_find(const char *argv0);

/* @argv: the words behind the name.  An exit code. */
int program_run(const struct program *p, int argc, char **argv);

#endif
