/* SPDX-License-Identifier: BSD-3-Clause */
/* See demo_stage.h. */
#include "demo_stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dev/rng/rng.h"
#include "switch/switch.h"

/* ---- While it runs ---- */

static uint64_t drops_of(const struct vh_port_stats *s)
{
	return s->drop_full + s->drop_busy + s->drop_vlan + s->drop_invalid +
	       s->drop_flood + s->drop_offload;
}

static void add_drops(void *arg, const struct vh_port_info *info)
{
	*(uint64_t *)arg += drops_of(&info->stats);
}

uint64_t demo_stage_drops(struct demo_stage *s)
{
	uint64_t drops = 0;

	vh_switch_each(s->sw, add_drops, &drops);
	return drops;
}

void demo_stage_reap(struct demo_stage *s)
{
	for (unsigned i = 0; i < N_GUESTS; i++) {
		int status;

		if (s->pid[i] <= 0 || waitpid(s->pid[i], &status, WNOHANG) != s->pid[i])
			continue;
		s->pid[i] = 0;
		s->n_running--;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_OK) {
			complain("guest %u ended with status 0x%x", i + 1,
				 (unsigned)status);
			s->failed = true;
		}
	}
}

void demo_stage_begin(struct demo_stage *s)
{
	close(s->go[1]);
}

/* ---- Setting up ---- */

static int failed(const char *what, int err)
{
	complain("cannot make %s: %s", what, strerror(err));
	return -err;
}

static int make_places(struct demo_stage *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->dir, sizeof(s->dir), "%.40s/vhost-demo-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(s->dir)) {
		return failed(s->dir, errno);
	}
	for (unsigned i = 0; i < N_GUESTS; i++)
		snprintf(s->net[i], sizeof(s->net[i]), "unix:%s/guest%u", s->dir, i + 1);
	snprintf(s->rng, sizeof(s->rng), "unix:%s/rng", s->dir);
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return s->shared == MAP_FAILED ? failed("memory to share with guests", errno) : 0;
}

/* In the child: wait until the sockets are there, then be a guest. */
static void be_guest(struct demo_stage *s, unsigned i)
{
	char byte;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(s->go[1]);
	do
		n = read(s->go[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	_exit(guest_run(i, s->net[i], i ? NULL : s->rng, s->shared));
}

/* Before there is a thread, a reactor or a socket that a child could inherit. */
static int start_guests(struct demo_stage *s)
{
	if (pipe(s->go) < 0)
		return failed("a pipe", errno);
	for (unsigned i = 0; i < N_GUESTS; i++) {
		s->pid[i] = fork();
		if (s->pid[i] < 0)
			return failed("a process for a guest", errno);
		if (!s->pid[i])
			be_guest(s, i);
		s->n_running++;
	}
	close(s->go[0]);
	return 0;
}

static int add_port(struct demo_stage *s, unsigned i)
{
	struct vh_port_params p;
	char text[128];
	int err;

	snprintf(text, sizeof(text), "guest%u=%s", i + 1, s->net[i]);
	err = vh_port_params_parse(&p, text);
	if (!err)
		err = vh_switch_add(s->sw, &p);
	vh_port_params_fini(&p);
	return err;
}

static int start_devices(struct demo_stage *s)
{
	int err = run_start(&s->run);

	if (!err)
		err = vh_switch_create(s->run.server, s->run.reactor, s->run.n_reactors,
				       NULL, &s->sw);
	for (unsigned i = 0; i < N_GUESTS && !err; i++)
		err = add_port(s, i);
	if (!err)
		err = vh_server_add(s->run.server, &vh_rng, NULL, s->rng, NULL, 0, NULL);
	return err;
}

int demo_stage_open(struct demo_stage *s)
{
	int err = make_places(s);

	if (!err)
		err = start_guests(s);
	if (!err)
		err = start_devices(s);
	return err;
}

void demo_stage_close(struct demo_stage *s)
{
	for (unsigned i = 0; i < N_GUESTS; i++) {
		if (s->pid[i] > 0) {
			kill(s->pid[i], SIGKILL);
			waitpid(s->pid[i], NULL, 0);
		}
	}
	run_end_server(&s->run);
	if (s->sw)
		vh_switch_destroy(s->sw);
	run_end(&s->run);
	rmdir(s->dir);
}
