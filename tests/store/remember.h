/* SPDX-License-Identifier: BSD-3-Clause */
/* The lines that were logged since the test began; any thread may log them. */
#ifndef TESTS_STORE_REMEMBER_H
#define TESTS_STORE_REMEMBER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static char lines[16][512];
static unsigned n_said;

static inline void remember(void *arg, enum vh_log_level level, const char *tag,
			    const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (n_said < 16)
		snprintf(lines[n_said++], sizeof(lines[0]), "%s", text);
	pthread_mutex_unlock(&lock);
}

static inline bool was_said(const char *what)
{
	for (unsigned i = 0; i < n_said; i++)
		if (strstr(lines[i], what))
			return true;
	return false;
}

static inline void remember_lines(void)
{
	n_said = 0;
	vh_log_set(VH_LOG_WARN, remember, NULL);
}

#endif
