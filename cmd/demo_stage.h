/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where vhost demo plays: a switch, a random number device and guests, which are
 * processes of their own, all over sockets in a temporary folder.
 *
 * Thread: control, but for what guests do.
 */
#ifndef CMD_DEMO_STAGE_H
#define CMD_DEMO_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "demo_guest.h"
#include "run.h"

struct vh_switch;

struct demo_stage {
	struct run run;
	struct vh_switch *sw;
	struct demo_shared *shared;
	char dir[64];
	char net[N_GUESTS][96], rng[96]; /* addresses                            */
	pid_t pid[N_GUESTS];
	int go[2]; /* a pipe: guests begin when it closes  */
	unsigned n_running;
	bool failed; /* a guest ended badly */
};

/* All of it, with guests that wait.  0 or -errno (said); demo_stage_close() is due in
 * any case. */
int demo_stage_open(struct demo_stage *s);
void demo_stage_close(struct demo_stage *s);

/* Let the guests begin. */
void demo_stage_begin(struct demo_stage *s);
/* See which guests have ended. */
void demo_stage_reap(struct demo_stage *s);
/* The frames that the switch has dropped. */
uint64_t demo_stage_drops(struct demo_stage *s);

#endif
