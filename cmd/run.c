/* SPDX-License-Identifier: BSD-3-Clause */
/* See run.h. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- Options ---- */

static bool add_cores(struct run *r, uint64_t first, uint64_t last)
{
	if (last < first || last - first >= MAX_CORES - r->n_cores)
		return false;
	for (uint64_t c = first; c <= last; c++)
		r->core[r->n_cores++] = (int)c;
	return true;
}

/* "0,2-3", as in taskset. */
static bool parse_cores(struct run *r, const char *text)
{
	const uint64_t limit = (uint64_t)sysconf(_SC_NPROCESSORS_CONF) - 1;
	char *copy = strdup(text), *rest = copy, *word;
	bool fine = copy != NULL;

	r->n_cores = 0;
	while (fine && (word = strsep(&rest, ","))) {
		char *dash = strchr(word, '-');
		uint64_t first, last;

		if (dash)
			*dash = '\0';
		fine = parse_number(word, 0, limit, &first) &&
		       parse_number(dash ? dash + 1 : word, 0, limit, &last) &&
		       add_cores(r, first, last);
	}
	free(copy);
	return fine;
}

static bool parse_poll(struct run *r, const char *text)
{
	static const char *const names[] = {
		[VH_POLL_ADAPTIVE] = "adaptive",
		[VH_POLL_BUSY] = "busy",
		[VH_POLL_SLEEP] = "sleep",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			r->poll = (enum vh_poll_mode)i;
			return true;
		}
	}
	return false;
}

static int wrong(const struct run *r, const char *what, const char *value)
{
	usage_error(r->verb, value ? "%s, not \"%s\"" : "%s", what, value);
	return -1;
}

int run_option(struct run *r, int argc, char **argv, int *i)
{
	const char *value;

	if (option_with_value(argc, argv, i, "--cores", &value)) {
		if (!value || !parse_cores(r, value))
			return wrong(r, "--cores takes CPUs of this machine, like 0,2-3",
				     value);
	} else if (option_with_value(argc, argv, i, "--poll", &value)) {
		if (!value || !parse_poll(r, value))
			return wrong(r, "--poll is busy, adaptive or sleep", value);
	} else if (option_with_value(argc, argv, i, "--control", &value)) {
		if (!value || strncmp(value, "unix:", 5) != 0)
			return wrong(r, "--control takes unix:PATH", value);
		r->control = value;
	} else {
		return 0;
	}
	return 1;
}

/* ---- Life ---- */

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

int run_start(struct run *r)
{
	int err;

	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	err = make_reactor(r, "control", -1, VH_POLL_SLEEP);
	if (!err)
		err = make_data_reactors(r);
	if (!err)
		err = vh_server_create(r->reactor, r->n_reactors, &r->server);
	if (err)
		run_end(r);
	return err;
}

static struct vh_server *signalled;

static void on_signal(int signo)
{
	(void)signo;
	vh_server_stop(signalled);
}

static void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, len);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

int run_loop(struct run *r)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int err;

	signalled = r->server;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	notify_systemd("READY=1");
	err = vh_server_run(r->server);
	notify_systemd("STOPPING=1");
	return err;
}

void run_end(struct run *r)
{
	vh_server_destroy(r->server);
	while (r->n_reactors)
		vh_reactor_destroy(r->reactor[--r->n_reactors]);
}
