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
static void write_line(const char *level, const char *tag, const char *text)
{
	char line[MAX_TEXT + 32];

	snprintf(line, sizeof(line), "vhost: %s: %s%s%s\n", level, tag, *tag ? ": " : "",
		 text);
	fputs(line, stderr); /* which has no buffer */
}

static void on_line(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
	static const char *const names[] = {
		[VH_LOG_ERROR] = "error",
		[VH_LOG_WARN] = "warning",
		[VH_LOG_INFO] = "info",
		[VH_LOG_DEBUG] = "debug",
	};
	const pid_t thread = vh_load_relaxed(&listener);

	(void)arg;
	write_line(names[level], tag, text);
	if (level == VH_LOG_ERROR && thread && thread == gettid() && !*kept)
		snprintf(kept, sizeof(kept), "%s%s%s", tag, *tag ? ": " : "", text);
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
