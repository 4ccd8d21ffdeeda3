/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs commands in a guest for a test outside it.
 *
 * It reads requests from a virtio-serial port and answers there, one at a time. Both
 * directions are lines of text, so that whoever joins in the middle (a test that gave up
 * and comes back, a guest that has just booted) is in step again at the next line end:
 *
 *	request		ID SECONDS COMMAND
 *	answer		ID out BASE64		any number of these: output and errors
 *			ID end STATUS		124 when the time was over
 *
 * ID is a word that the tester chooses anew for each request; answers to an older one are
 * for nobody and are ignored there. The command is given to sh. It ends when the shell
 * ends: what it left in the background lives on, with its output unread.
 *
 * It is linked statically and runs under the guest's init. One thread. It is no place for
 * secrets: whoever opens the port is root in the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	REQUEST_MAX = 65536,
	PIECE_MAX = 3072, /* a multiple of three: only the last piece is padded */
	ID_MAX = 32,
	STATUS_TIMEOUT = 124,
	STATUS_BROKEN = 125,
};

struct request {
	char id[ID_MAX];
	int seconds;
	const char *command;
};

struct command {
	pid_t pid;
	int pidfd;
	int output; /* read end of the pipe that the shell writes to */
};

static void answer(int port, const char *text, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(port, text, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

static size_t encode_base64(char *out, const unsigned char *in, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char *const start = out;

	for (size_t i = 0; i < len; i += 3) {
		const unsigned int b1 = i + 1 < len ? in[i + 1] : 0;
		const unsigned int b2 = i + 2 < len ? in[i + 2] : 0;
		const unsigned int bits = (unsigned int)in[i] << 16 | b1 << 8 | b2;

		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[bits & 63] : '=';
	}
	return (size_t)(out - start);
}

static void answer_output(int port, const char *id, const unsigned char *data, size_t len)
{
	char line[ID_MAX + 16 + PIECE_MAX / 3 * 4];
	size_t n = (size_t)sprintf(line, "%s out ", id);

	n += encode_base64(line + n, data, len);
	line[n++] = '\n';
	answer(port, line, n);
}

static void answer_status(int port, const char *id, int status)
{
	char line[ID_MAX + 32];
	const int n = sprintf(line, "%s end %d\n", id, status);

	answer(port, line, (size_t)n);
}

static void become_shell(const char *command, int output)
{
	const int null = open("/dev/null", O_RDONLY);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static bool start_command(struct command *c, const char *text)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	c->output = ends[0];
	c->pid = fork();
	if (c->pid == 0)
		become_shell(text, ends[1]);
	close(ends[1]);
	c->pidfd = c->pid < 0 ? -1 : pidfd_open(c->pid, 0);
	if (c->pidfd < 0) {
		close(c->output);
		return false;
	}
	fcntl(c->output, F_SETFL, O_NONBLOCK);
	return true;
}

/* Returns false when the pipe has nothing to give at the moment, or never again. */
static bool forward_output(int port, const char *id, int output)
{
	unsigned char piece[PIECE_MAX];
	const ssize_t n = read(output, piece, sizeof(piece));

	if (n > 0)
		answer_output(port, id, piece, (size_t)n);
	return n > 0;
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Forwards output until the shell ended or its time is over; returns whether it ended. */
static bool follow_command(int port, const struct request *r, const struct command *c)
{
	const long long end = now_ms() + r->seconds * 1000LL;
	struct pollfd fds[] = {
		{.fd = c->pidfd, .events = POLLIN},
		{.fd = c->output, .events = POLLIN},
	};

	for (;;) {
		const long long left = end - now_ms();

		if (left <= 0)
			return false;
		poll(fds, 2, (int)left);
		if (fds[1].revents && !forward_output(port, r->id, c->output))
			fds[1].fd = -1; /* end of file: poll would report it for ever */
		if (fds[0].revents)
			return true;
	}
}

static int end_command(int port, const struct request *r, struct command *c, bool ended)
{
	int status = 0;

	if (!ended)
		kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	while (forward_output(port, r->id, c->output))
		continue;
	close(c->output);
	close(c->pidfd);
	if (!ended)
		return STATUS_TIMEOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void serve_request(int port, const struct request *r)
{
	struct command c = {.pid = -1, .pidfd = -1, .output = -1};

	if (!start_command(&c, r->command)) {
		answer_status(port, r->id, STATUS_BROKEN);
		return;
	}
	const bool ended = follow_command(port, r, &c);

	answer_status(port, r->id, end_command(port, r, &c, ended));
}

static bool parse_request(char *line, struct request *r)
{
	int command_at = 0;

	if (sscanf(line, "%31s %d %n", r->id, &r->seconds, &command_at) < 2)
		return false;
	r->command = line + command_at;
	return command_at > 0 && r->seconds > 0;
}

static void serve(int port)
{
	static char line[REQUEST_MAX];
	FILE *requests = fdopen(dup(port), "r");
	struct request r;

	while (requests) {
		if (!fgets(line, sizeof(line), requests)) {
			clearerr(requests); /* nobody is connected at the other end */
			poll(NULL, 0, 100);
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		if (parse_request(line, &r))
			serve_request(port, &r);
	}
}

int main(int argc, char **argv)
{
	const int port = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;

	if (port < 0) {
		fprintf(stderr, "usage: agent PORT: %s\n", strerror(errno));
		return 2;
	}
	serve(port);
	return 1;
}
