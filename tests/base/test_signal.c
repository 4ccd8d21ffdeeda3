/* SPDX-License-Identifier: BSD-3-Clause */
/* What is taken for a doorbell, and what ringing it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/signal.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void check_refused(int fd)
{
	struct vh_signal *s;

	assert_true(fd >= 0);
	assert_int_equal(vh_signal_from_eventfd(fd, &s), -EINVAL);
	assert_null(s);
	assert_false(is_open(fd));
}

static void only_eventfds_are_taken_and_others_are_closed(void **state)
{
	int pair[2], ends[2];

	assert_int_equal(pipe(pair), 0);
	check_refused(pair[0]);
	check_refused(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_refused(ends[0]);
	close(ends[1]);
	check_refused(memfd_create("[eventfd]", MFD_CLOEXEC));
	check_refused(open("/dev/null", O_RDWR | O_CLOEXEC));
	check_refused(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	check_refused(epoll_create1(EPOLL_CLOEXEC));
}

static void no_fd_is_no_eventfd(void **state)
{
	struct vh_signal *s;

	assert_int_equal(vh_signal_from_eventfd(-1, &s), -EINVAL);
}

static void firing_an_eventfd_counts_up(void **state)
{
	const int fd = eventfd(0, EFD_CLOEXEC);
	struct vh_signal *s;
	uint64_t n;

	assert_int_equal(vh_signal_from_eventfd(fd, &s), 0);
	vh_signal_fire(s);
	vh_signal_fire(s);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 2);
	vh_signal_put(s);
	assert_false(is_open(fd));
}

/* The peer made it blocking, and full. */
static void firing_a_full_eventfd_does_not_block(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	const int fd = eventfd(0, EFD_CLOEXEC);
	struct vh_signal *s;
	uint64_t n;

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	assert_int_equal(vh_signal_from_eventfd(fd, &s), 0);
	vh_signal_fire(s);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, full);
	vh_signal_put(s);
}

static void a_signal_lives_as_long_as_it_is_referenced(void **state)
{
	const int fd = eventfd(0, EFD_CLOEXEC);
	struct vh_signal *s;

	assert_int_equal(vh_signal_from_eventfd(fd, &s), 0);
	assert_ptr_equal(vh_signal_get(s), s);
	vh_signal_put(s);
	assert_true(is_open(fd));
	vh_signal_put(s);
	assert_false(is_open(fd));
	assert_null(vh_signal_get(NULL));
	vh_signal_put(NULL);
}

static void a_register_is_written_in_its_width(void **state)
{
	static const uint32_t after[] = {
		[1] = 0xffffff44, [2] = 0xffff3344, [4] = 0x11223344};

	for (uint8_t width = 1; width <= 4; width *= 2) {
		uint32_t reg[2] = {0xffffffff, 0xffffffff};
		struct vh_signal *s;

		assert_int_equal(vh_signal_from_register(reg, width, 0x11223344, &s), 0);
		vh_signal_fire(s);
		assert_int_equal(reg[0], after[width]);
		assert_int_equal(reg[1], 0xffffffff);
		vh_signal_put(s);
	}
}

static void a_register_of_an_odd_width_or_place_is_refused(void **state)
{
	static uint32_t reg[2];
	struct vh_signal *s;

	assert_int_equal(vh_signal_from_register(reg, 0, 1, &s), -EINVAL);
	assert_int_equal(vh_signal_from_register(reg, 3, 1, &s), -EINVAL);
	assert_int_equal(vh_signal_from_register(reg, 8, 1, &s), -EINVAL);
	assert_int_equal(vh_signal_from_register((uint8_t *)reg + 2, 4, 1, &s), -EINVAL);
	assert_int_equal(vh_signal_from_register(NULL, 4, 1, &s), -EINVAL);
}

static void a_counter_counts_up_from_wherever_it_is(void **state)
{
	uint32_t counter[2] = {UINT32_MAX, 7};
	struct vh_signal *s;

	assert_int_equal(vh_signal_from_counter(counter, &s), 0);
	vh_signal_fire(s);
	vh_signal_fire(s);
	assert_int_equal(counter[0], 1);
	assert_int_equal(counter[1], 7);
	vh_signal_put(s);
	assert_int_equal(vh_signal_from_counter(NULL, &s), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_eventfds_are_taken_and_others_are_closed),
		cmocka_unit_test(no_fd_is_no_eventfd),
		cmocka_unit_test(firing_an_eventfd_counts_up),
		cmocka_unit_test(firing_a_full_eventfd_does_not_block),
		cmocka_unit_test(a_signal_lives_as_long_as_it_is_referenced),
		cmocka_unit_test(a_register_is_written_in_its_width),
		cmocka_unit_test(a_register_of_an_odd_width_or_place_is_refused),
		cmocka_unit_test(a_counter_counts_up_from_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
