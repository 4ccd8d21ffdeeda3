/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drive a reactor from a test, as an application's own loop does.  It waits
 * only for what the reactor says it waits for, never for a time.
 */
#ifndef TESTS_REACTOR_DRIVE_H
#define TESTS_REACTOR_DRIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "reactor/reactor.h"

#define MS 1000000ULL

/* Longer than any test needs: what does not happen by then never does. */
#define FOR_EVER_MS 20000

static inline struct vh_reactor *reactor_new(enum vh_poll_mode mode)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params),
		.name = "test",
		.cpu = -1,
		.poll = mode,
	};
	struct vh_reactor *r = NULL;

	assert_int_equal(vh_reactor_create(&params, &r), 0);
	return r;
}

static inline bool fd_is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

/* One turn; true when all that is left is to wait. */
static inline bool turn_ends_idle(struct vh_reactor *r)
{
	int n = vh_reactor_poll(r, 0);

	assert_true(n >= 0);
	return n == 0;
}

#define drive_until(r, condition)                                                       \
	do {                                                                            \
		while (!(condition))                                                    \
			if (turn_ends_idle(r) && !(condition))                          \
				assert_true(                                            \
					fd_is_readable(vh_reactor_fd(r), FOR_EVER_MS)); \
	} while (0)

/* Until there is nothing to do but wait. */
static inline void drive_until_idle(struct vh_reactor *r)
{
	while (!turn_ends_idle(r))
		;
}

static inline void kick(int fd)
{
	assert_int_equal(eventfd_write(fd, 1), 0);
}

static inline int eventfd_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* The last line of the log, and how many there were. */
static char last_line[512] __attribute__((unused));
static unsigned n_lines __attribute__((unused));

static inline void remember_line(void *arg, enum vh_log_level level, const char *tag,
				 const char *text)
{
	snprintf(last_line, sizeof(last_line), "%s: %s", tag, text);
	n_lines++;
}

static inline void log_to_test(void)
{
	n_lines = 0;
	last_line[0] = 0;
	vh_log_set(VH_LOG_INFO, remember_line, NULL);
}

#endif
