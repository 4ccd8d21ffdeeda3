/* SPDX-License-Identifier: BSD-3-Clause */
/* What a line of the log looks like, and when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

struct heard {
	unsigned n;
	enum vh_log_level level;
	char tag[64];
	char text[1024];
};

static const struct {
	const char *tag;
} queue = {"rng0/q1"};

static void hear(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
	struct heard *h = arg;

	h->n++;
	h->level = level;
	snprintf(h->tag, sizeof(h->tag), "%s", tag);
	snprintf(h->text, sizeof(h->text), "%s", text);
}

/* stderr is a pipe while the log is used; what came out of it is in @out. */
static int stderr_to_pipe(int *reader)
{
	int fds[2];
	int before = dup(STDERR_FILENO);

	assert_return_code(pipe2(fds, O_NONBLOCK), errno);
	assert_return_code(dup2(fds[1], STDERR_FILENO), errno);
	close(fds[1]);
	*reader = fds[0];
	return before;
}

static size_t stderr_back(int before, int reader, char *out, size_t len)
{
	dup2(before, STDERR_FILENO);
	close(before);

	ssize_t n = read(reader, out, len - 1);

	close(reader);
	out[n > 0 ? n : 0] = 0;
	return n > 0 ? n : 0;
}

static void a_line_names_level_object_and_text(void **state)
{
	char out[256];
	int reader;

	vh_log_set(VH_LOG_WARN, NULL, NULL);

	int before = stderr_to_pipe(&reader);

	vh_log(&queue, VH_LOG_WARN, "text %d", 7);
	stderr_back(before, reader, out, sizeof(out));
	assert_string_equal(out, "vhost: warning: rng0/q1: text 7\n");
}

static void an_object_without_a_tag_is_left_out(void **state)
{
	char out[256];
	int reader;

	vh_log_set(VH_LOG_WARN, NULL, NULL);

	int before = stderr_to_pipe(&reader);

	vh_log_line("", VH_LOG_ERROR, "one");
	vh_log_line(NULL, VH_LOG_ERROR, "two");
	stderr_back(before, reader, out, sizeof(out));
	assert_string_equal(out, "vhost: error: one\nvhost: error: two\n");
}

static void a_line_that_is_too_long_still_ends(void **state)
{
	char tag[2000], out[4096];
	int reader;

	memset(tag, 't', sizeof(tag) - 1);
	tag[sizeof(tag) - 1] = 0;
	vh_log_set(VH_LOG_WARN, NULL, NULL);

	int before = stderr_to_pipe(&reader);

	vh_log_line(tag, VH_LOG_ERROR, "text");

	size_t n = stderr_back(before, reader, out, sizeof(out));

	assert_in_range(n, 500, 1000);
	assert_ptr_equal(strchr(out, '\n'), out + n - 1);
}

static void less_urgent_lines_are_not_even_formatted(void **state)
{
	struct heard h = {0};
	int evaluated = 0;

	vh_log_set(VH_LOG_INFO, hear, &h);
	vh_log(&queue, VH_LOG_DEBUG, "%d", evaluated++);
	assert_int_equal(h.n, 0);
	assert_int_equal(evaluated, 0);
	vh_log(&queue, VH_LOG_INFO, "%d", evaluated++);
	vh_log(&queue, VH_LOG_ERROR, "%d", evaluated++);
	assert_int_equal(h.n, 2);
	assert_int_equal(evaluated, 2);
}

static void the_application_hears_level_tag_and_text(void **state)
{
	struct heard h = {0};

	vh_log_set(VH_LOG_DEBUG, hear, &h);
	vh_log(&queue, VH_LOG_DEBUG, "index=%u", 65535u);
	assert_int_equal(h.level, VH_LOG_DEBUG);
	assert_string_equal(h.tag, "rng0/q1");
	assert_string_equal(h.text, "index=65535");
}

static void text_of_a_peer_cannot_start_a_line_or_move_the_cursor(void **state)
{
	struct heard h = {0};

	vh_log_set(VH_LOG_WARN, hear, &h);
	vh_log(&queue, VH_LOG_WARN, "serial \"%s\"",
	       "a\nvhost: b\r\033[2J\177\t\xc3\xa9");
	assert_string_equal(h.text, "serial \"a?vhost: b??[2J??\xc3\xa9\"");
}

static void text_that_was_cut_says_so(void **state)
{
	struct heard h = {0};

	vh_log_set(VH_LOG_WARN, hear, &h);
	vh_log(&queue, VH_LOG_WARN, "%0600d", 0);
	assert_int_equal(strlen(h.text), 511);
	assert_string_equal(h.text + 508, "...");
	vh_log(&queue, VH_LOG_WARN, "%0511d", 0);
	assert_string_equal(h.text + 508, "000");
}

static void a_log_line_keeps_errno(void **state)
{
	char out[256];
	int reader;

	vh_log_set(VH_LOG_WARN, NULL, NULL);

	int before = stderr_to_pipe(&reader);

	close(STDERR_FILENO);
	errno = ENOSPC;
	vh_log(&queue, VH_LOG_WARN, "lost");
	assert_int_equal(errno, ENOSPC);
	stderr_back(before, reader, out, sizeof(out));
	assert_string_equal(out, "");
}

#define N_LINES 200

static void *write_lines(void *arg)
{
	const struct {
		const char *tag;
	} me = {arg};

	for (unsigned i = 0; i < N_LINES; i++)
		vh_log(&me, VH_LOG_WARN,
		       "a line that another thread must not cut in two");
	return NULL;
}

static unsigned count_whole_lines(char *out)
{
	unsigned n = 0;
	char *rest = NULL;

	for (char *l = strtok_r(out, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
		char expected[128];

		snprintf(expected, sizeof(expected),
			 "vhost: warning: %c: a line that another thread must not cut in "
			 "two",
			 l[16]);
		assert_string_equal(l, expected);
		n++;
	}
	return n;
}

static void lines_of_two_threads_do_not_mix(void **state)
{
	static char out[65536];
	pthread_t a, b;
	int reader;

	vh_log_set(VH_LOG_WARN, NULL, NULL);

	int before = stderr_to_pipe(&reader);

	pthread_create(&a, NULL, write_lines, "a");
	pthread_create(&b, NULL, write_lines, "b");
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	stderr_back(before, reader, out, sizeof(out));
	assert_int_equal(count_whole_lines(out), 2 * N_LINES);
}

static void an_error_number_has_a_text(void **state)
{
	assert_string_equal(vh_strerror(-ENOENT), "No such file or directory");
	assert_string_equal(vh_strerror(0), "Success");
	assert_string_equal(vh_strerror(-99999), "unknown error");
	assert_string_equal(vh_strerror(ENOENT), "unknown error");
	assert_string_equal(vh_strerror(INT_MIN), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_names_level_object_and_text),
		cmocka_unit_test(an_object_without_a_tag_is_left_out),
		cmocka_unit_test(a_line_that_is_too_long_still_ends),
		cmocka_unit_test(less_urgent_lines_are_not_even_formatted),
		cmocka_unit_test(the_application_hears_level_tag_and_text),
		cmocka_unit_test(text_of_a_peer_cannot_start_a_line_or_move_the_cursor),
		cmocka_unit_test(text_that_was_cut_says_so),
		cmocka_unit_test(a_log_line_keeps_errno),
		cmocka_unit_test(lines_of_two_threads_do_not_mix),
		cmocka_unit_test(an_error_number_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
