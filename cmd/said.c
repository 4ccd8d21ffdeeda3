/* SPDX-License-Identifier: BSD-3-Clause */
/* See said.h. */
#include "said.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/barrier.h"

#define MAX_TEXT 640

static pid_t listener; /* the thread whose errors are kept; 0: none */
static char kept[MAX_TEXT];

/* One call, so that lines of two threads never mix. */
static void write_line(const char *level, const char *text)
{
	char line[MAX_TEXT + 32];

	snprintf(line, sizeof(line), "vhost: %s: %s\n", level, text);
	fputs(line, stderr); /* which has no buffer */
}

void said_keep(const char *text)
{
	const pid_t thread = vh_load_relaxed(&listener);

	if (thread && thread == gettid() && !*kept)
		snprintf(kept, sizeof(kept), "%s", text);
}

static void on_line(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
	static const char *const names[] = {
		[VH_LOG_ERROR] = "error",
		[VH_LOG_WARN] = "warning",
		[VH_LOG_INFO] = "info",
		[VH_LOG_DEBUG] = "debug",
	};
	char line[MAX_TEXT];

	(void)arg;
	snprintf(line, sizeof(line), "%s%s%s", tag, *tag ? ": " : "", text);
	write_line(names[level], line);
	if (level == VH_LOG_ERROR)
		said_keep(line);
}

void said_start(enum vh_log_level level)
{
	vh_log_set(level, on_line, NULL);
}

void said_listen(void)
{
	*kept = '\0';
	vh_store_relaxed(&listener, gettid());
}

const char *said_error(void)
{
	return kept;
}

void said_stop(void)
{
	vh_store_relaxed(&listener, 0);
	*kept = '\0';
}
