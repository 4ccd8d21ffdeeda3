/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line for people, from any thread.  Where lines go is the one thing that
 * the whole library shares; it is set before there are threads.  A line is
 * made on the stack and written at once, so lines of two threads never mix.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"

#define TEXT_LEN 512
#define LINE_LEN (TEXT_LEN + 128)

static const char *const level_names[] = {
	[VH_LOG_ERROR] = "error",
	[VH_LOG_WARN] = "warning",
	[VH_LOG_INFO] = "info",
	[VH_LOG_DEBUG] = "debug",
};

static void write_to_stderr(void *arg, enum vh_log_level level, const char *tag,
			    const char *text)
{
	char line[LINE_LEN];
	int len = snprintf(line, sizeof(line), "vhost: %s: %s%s%s\n", level_names[level],
			   tag, *tag ? ": " : "", text);

	if (len >= (int)sizeof(line)) {
		len = sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* What a full or closed stderr does not take is lost: there is nobody to tell. */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

static struct {
	enum vh_log_level level;
	vh_log_fn *fn;
	void *arg;
} sink = {.level = VH_LOG_WARN, .fn = write_to_stderr};

void vh_log_set(enum vh_log_level level, vh_log_fn *fn, void *arg)
{
	sink.fn = fn ? fn : write_to_stderr;
	sink.arg = arg;
	vh_store_release(&sink.level, level);
}

bool vh_log_is_on(enum vh_log_level level)
{
	return level <= vh_load_relaxed(&sink.level);
}

/* Text may quote a peer: it stays one line and moves no cursor. */
static void hide_control_characters(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void vh_log_line(const char *tag, enum vh_log_level level, const char *format, ...)
{
	int errno_before = errno;
	char text[TEXT_LEN];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	va_end(args);
	hide_control_characters(text);
	sink.fn(sink.arg, level, tag ? tag : "", text);
	errno = errno_before;
}

const char *vh_strerror(int negative_errno)
{
	const char *text = NULL;

	/* strerror() may use a buffer that all threads share, these do not. */
	if (negative_errno <= 0 && negative_errno > INT_MIN)
#ifdef __GLIBC__
		text = strerrordesc_np(-negative_errno);
#else
		text = strerror(-negative_errno);
#endif
	return text ? text : "unknown error";
}
