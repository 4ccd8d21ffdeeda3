/* SPDX-License-Identifier: BSD-3-Clause */
/* Reactors, signals and readiness of the verbs that serve: see run.h. */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "notify.h"

/* A port with many queues has hundreds of eventfds. */
static void raise_fd_limit(void)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int make_reactor(struct run *r, const char *name, int cpu, enum vh_poll_mode poll)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params), .name = name, .cpu = cpu, .poll = poll};
	int err = vh_reactor_create(&params, &r->reactor[r->n_reactors]);

	if (!err)
		r->n_reactors++;
	return err;
}

static int make_data_reactors(struct run *r)
{
	unsigned n = r->n_cores ? r->n_cores : 1;
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++) {
		char name[16];

		snprintf(name, sizeof(name), "data%u", i);
		err = make_reactor(r, name, r->n_cores ? r->core[i] : -1, r->poll);
	}
	return err;
}

void run_use_set(struct run *r, const struct core_set *set)
{
	vh_server_spread(r->server, 1 + set->first, set->n);
}

/* ---- Signals: from the server's first moment to its last ---- */

static struct vh_server *signalled;

static void on_signal(int signo)
{
	(void)signo;
	vh_server_stop(signalled);
}

static void catch_signals(struct vh_server *s)
{
	const struct sigaction stop = {.sa_handler = on_signal};

	signalled = s;
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
}

static void leave_signals(void)
{
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
}

/* ---- Life ---- */

int run_start(struct run *r)
{
	int err;

	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	if (r->alone)
		err = make_reactor(r, "control", r->n_cores ? r->core[0] : -1, r->poll);
	else
		err = make_reactor(r, "control", -1, VH_POLL_SLEEP);
	if (!err && !r->alone)
		err = make_data_reactors(r);
	if (!err)
		err = vh_server_create(r->reactor, r->n_reactors, &r->server);
	if (!err)
		err = hangup_open(&r->hangup, r->reactor[0], r->server);
	if (err)
		run_end(r);
	else
		catch_signals(r->server);
	return err;
}

int run_loop(struct run *r)
{
	int err;

	notify_systemd("READY=1");
	err = vh_server_run(r->server);
	notify_systemd("STOPPING=1");
	return err;
}

void run_end_server(struct run *r)
{
	leave_signals();
	hangup_close(&r->hangup);
	vh_server_destroy(r->server);
	r->server = NULL;
}

void run_end(struct run *r)
{
	run_end_server(r);
	while (r->n_reactors)
		vh_reactor_destroy(r->reactor[--r->n_reactors]);
}
