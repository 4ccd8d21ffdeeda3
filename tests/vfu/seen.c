/* SPDX-License-Identifier: BSD-3-Clause */
#include "seen.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- The log ---- */

static struct {
	pthread_mutex_t lock;
	char text[1 << 16];
	size_t len;
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_line(void *arg, enum vh_log_level level, const char *tag,
		      const char *text)
{
	pthread_mutex_lock(&logged.lock);
	if (logged.len + strlen(tag) + strlen(text) + 4 < sizeof(logged.text))
		logged.len +=
			(size_t)sprintf(logged.text + logged.len, "%s: %s\n", tag, text);
	pthread_mutex_unlock(&logged.lock);
}

void rig_keep_log(enum vh_log_level level)
{
	logged.text[logged.len = 0] = '\0';
	vh_log_set(level, keep_line, NULL);
}

unsigned rig_logged(const char *text)
{
	unsigned n = 0;

	pthread_mutex_lock(&logged.lock);
	for (const char *at = logged.text; (at = strstr(at, text)); at++)
		n++;
	pthread_mutex_unlock(&logged.lock);
	return n;
}

/* ---- Open files ---- */

int rig_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
