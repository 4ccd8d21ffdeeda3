/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RUN: [--cores LIST] [--poll busy|adaptive|sleep] [--control CONTROL], and what
 * serving verbs share: reactors, signals, readiness.
 */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include <vhost/reactor.h>
#include <vhost/server.h>

#include "cli.h"
#include "hangup.h"

/* The lines of a verb's help. */
#define RUN_HELP                                                                     \
	"RUN:\n"                                                                     \
	"  --cores LIST                a data thread on each of these CPUs, like "   \
	"0,2-3\n"                                                                    \
	"  --poll busy|adaptive|sleep  never sleep; sleep when idle (the default); " \
	"never\n"                                                                    \
	"                              spin\n"                                       \
	"  --control unix:PATH         where vhost stat and vhost ctl find it\n"
#define MAX_CORES 256

/* Some of the data reactors. */
struct core_set {
	unsigned first, n; /* of run.core */
};

struct run {
	const struct verb *verb;
	unsigned n_cores;    /* data reactors; 0: one, on any core            */
	int core[MAX_CORES]; /* the CPU of each; -1: any                      */
	enum vh_poll_mode poll;
	const char *control; /* address; NULL: none                */
	bool alone;	     /* no data reactors: the control thread does what they do */
	/* After run_start(). */
	struct vh_reactor *reactor[1 + MAX_CORES]; /* [0] is control  */
	unsigned n_reactors;
	struct vh_server *server;
	struct hangup hangup;
};

/*
 * Is argv[*i] an option of RUN?  1: yes, and *@i is on its last word; 0: no;
 * -1: yes, but wrong (it was said how).
 */
int run_option(struct run *r, int argc, char **argv, int *i);

/*
 * Take the options of RUN, which may stand anywhere, out of @argv.  How many words are
 * left; -1: one is wrong (it was said which).
 */
int run_take_options(struct run *r, int argc, char **argv);

/*
 * Before run_start(): more data reactors, on the CPUs of @list ("0:2-3") or, NULL, one on
 * any.  False: it is no such list, or there are too many.
 */
bool run_add_set(struct run *r, const char *list, struct core_set *set);

/* Have devices that are added from now on use only @set, which is not empty. */
void run_use_set(struct run *r, const struct core_set *set);

/*
 * Reactors and server, which from here on SIGTERM and SIGINT stop, be it before it
 * runs.  0 or -errno (logged).
 */
int run_start(struct run *r);

/* Run until the server is stopped; says READY=1 to systemd.  0 or -errno. */
int run_loop(struct run *r);

/* Before run_end(): the server alone, for what must outlive it and not the reactors. */
void run_end_server(struct run *r);
void run_end(struct run *r);

#endif
