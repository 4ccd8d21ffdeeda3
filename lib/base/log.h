/* SPDX-License-Identifier: BSD-3-Clause */
/* vh_log(obj, VH_LOG_WARN, "...", ...): any struct with a member `tag` can speak. */
#ifndef VH_BASE_LOG_H
#define VH_BASE_LOG_H

#include <stdbool.h>

#include <vhost/log.h>

bool vh_log_is_on(enum vh_log_level level);

__attribute__((format(printf, 3, 4))) void
vh_log_line(const char *tag, enum vh_log_level level, const char *format, ...);

/* The arguments are evaluated only when somebody listens. */
#define vh_log(obj, level, ...)                                        \
	do {                                                           \
		if (vh_log_is_on(level))                               \
			vh_log_line((obj)->tag, (level), __VA_ARGS__); \
	} while (0)

/* "No such file or directory" for -ENOENT; thread-safe, never NULL. */
const char *vh_strerror(int negative_errno);

#endif
