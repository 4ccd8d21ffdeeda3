/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NBD servers to test against.  We listen for them and hand over the socket, as systemd
 * does, so there is nothing to wait for: who connects early waits in the backlog.
 */
#ifndef TESTS_STORE_NBD_SERVER_H
#define TESTS_STORE_NBD_SERVER_H

#include "store/rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

struct server {
	char dir[64], socket[96], file[96], log[96];
	char uri[160], word[170]; /* the word: nbd=URI */
	pid_t pid;
};

static inline int server_listen(const struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->socket);
	unlink(s->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* In the child: the socket is fd 3, as sd_listen_fds(3) has it. */
static inline void server_exec(int fd, const char *const *argv)
{
	char pid[16];
	const int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	dup2(null, 0);
	if (!getenv("VERBOSE"))
		dup2(null, 2);
	dup2(fd, 100);
	dup2(100, 3);
	close(100);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

/* "FILE" and "LOG=" in a word stand for the server's files. */
static inline void server_start(struct server *s, const char *const *words)
{
	const char *argv[24] = {NULL};
	char logfile[128];
	const int fd = server_listen(s);

	snprintf(logfile, sizeof(logfile), "logfile=%s", s->log);
	for (unsigned i = 0; words[i]; i++) {
		argv[i] = words[i];
		if (!strcmp(words[i], "FILE"))
			argv[i] = s->file;
		if (!strcmp(words[i], "LOG"))
			argv[i] = logfile;
	}
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		server_exec(fd, argv);
	close(fd);
}

#define SERVER_START(s, ...) server_start((s), (const char *const[]){__VA_ARGS__, NULL})
#define NBDKIT		     "nbdkit", "-f"
#define A_FILE		     "file", "FILE"

/* A place for it, with a file of @size zeroes. */
static inline void server_prepare(struct server *s, off_t size)
{
	int fd;

	*s = (struct server){.pid = -1};
	snprintf(s->dir, sizeof(s->dir), "/tmp/vhost-nbd-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/socket", s->dir);
	snprintf(s->file, sizeof(s->file), "%s/file", s->dir);
	snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s", s->socket);
	snprintf(s->word, sizeof(s->word), "nbd=%s", s->uri);
	fd = open(s->file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static inline void server_kill(struct server *s)
{
	if (s->pid < 0)
		return;
	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	s->pid = -1;
}

static inline void server_remove(struct server *s)
{
	server_kill(s);
	unlink(s->socket);
	unlink(s->file);
	unlink(s->log);
	rmdir(s->dir);
}

/* How often does the server's log say it? */
static inline unsigned server_logged(const struct server *s, const char *what)
{
	char line[512];
	unsigned n = 0;
	FILE *f = fopen(s->log, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	fclose(f);
	return n;
}

static inline bool have_program(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "%s --version >/dev/null 2>&1", name);
	return system(command) == 0;
}

#endif
