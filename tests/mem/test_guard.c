/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that shrink.  The handler that was there before ours can be chosen once
 * in a process, so what depends on it runs in a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/memfd.h>

#include "mem/guard.h"

#define PAGE 4096u
#define LEN  (8 * PAGE)

struct file {
	int fd, bell;
	uint8_t *addr;
	size_t len;
};

/*
 * cmocka takes SIGBUS for itself at the start of each test, and the guard installs
 * its handler once in a process: give it back what is the guard's.
 */
static void guard_takes_over(void)
{
	static struct sigaction guard;
	static uint8_t byte;
	unsigned slot;

	if (!guard.sa_sigaction) {
		assert_int_equal(vh_guard_add(&byte, 1, -1, &slot), 0);
		vh_guard_remove(slot);
		sigaction(SIGBUS, NULL, &guard);
	}
	sigaction(SIGBUS, &guard, NULL);
}

static void file_make(struct file *f, size_t len, unsigned flags)
{
	guard_takes_over();
	f->len = len;
	f->fd = memfd_create("guard", MFD_CLOEXEC | flags);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, (off_t)len), 0);
	f->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	f->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(f->bell >= 0);
}

static void file_free(struct file *f)
{
	munmap(f->addr, f->len);
	close(f->fd);
	close(f->bell);
}

static uint64_t rings(const struct file *f)
{
	uint64_t n = 0;

	return read(f->bell, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* The value at run time, and a touch that the compiler does not take away. */
static uint8_t look(const uint8_t *p)
{
	return *(const volatile uint8_t *)p;
}

static void a_lost_page_reads_as_zeroes_and_the_owner_is_told(void **state)
{
	struct file f;
	unsigned slot;

	file_make(&f, LEN, 0);
	memset(f.addr, 1, LEN);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &slot), 0);
	assert_false(vh_guard_hit(slot));
	assert_int_equal(ftruncate(f.fd, 3 * PAGE), 0);
	assert_int_equal(look(f.addr + 5 * PAGE), 0);
	assert_true(vh_guard_hit(slot));
	assert_int_equal(rings(&f), 1);
	vh_guard_remove(slot);
	file_free(&f);
}

static void everything_behind_a_lost_page_can_be_used(void **state)
{
	struct file f;
	unsigned slot;

	file_make(&f, LEN, 0);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &slot), 0);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	f.addr[2 * PAGE + 5] = 7;
	memset(f.addr + 2 * PAGE, 9, 6 * PAGE);
	assert_int_equal(look(f.addr + LEN - 1), 9);
	assert_int_equal(rings(&f), 1);
	vh_guard_remove(slot);
	file_free(&f);
}

static void what_is_before_a_lost_page_stays_shared(void **state)
{
	struct file f;
	unsigned slot;
	uint8_t byte;

	file_make(&f, LEN, 0);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &slot), 0);
	assert_int_equal(ftruncate(f.fd, 3 * PAGE), 0);
	look(f.addr + 3 * PAGE);
	f.addr[PAGE] = 42;
	assert_int_equal(pread(f.fd, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 42);
	vh_guard_remove(slot);
	file_free(&f);
}

static void a_file_that_shrinks_again_is_covered_again(void **state)
{
	struct file f;
	unsigned slot;

	file_make(&f, LEN, 0);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &slot), 0);
	assert_int_equal(ftruncate(f.fd, 5 * PAGE), 0);
	look(f.addr + 6 * PAGE);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(look(f.addr), 0);
	assert_int_equal(rings(&f), 1); /* told once */
	vh_guard_remove(slot);
	file_free(&f);
}

/* A region may begin and end inside of a page of its mapping. */
static void a_range_that_is_not_aligned_is_covered(void **state)
{
	struct file f;
	unsigned slot;

	file_make(&f, LEN, 0);
	assert_int_equal(vh_guard_add(f.addr + 100, LEN - 300, f.bell, &slot), 0);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(look(f.addr + 100), 0);
	assert_int_equal(look(f.addr + LEN - 201), 0);
	assert_true(vh_guard_hit(slot));
	vh_guard_remove(slot);
	file_free(&f);
}

static void only_the_file_that_shrank_is_hit(void **state)
{
	struct file a, b;
	unsigned slot_a, slot_b;

	file_make(&a, LEN, 0);
	file_make(&b, LEN, 0);
	assert_int_equal(vh_guard_add(a.addr, LEN, a.bell, &slot_a), 0);
	assert_int_equal(vh_guard_add(b.addr, LEN, b.bell, &slot_b), 0);
	b.addr[0] = 5;
	assert_int_equal(ftruncate(a.fd, 0), 0);
	look(a.addr);
	assert_true(vh_guard_hit(slot_a));
	assert_false(vh_guard_hit(slot_b));
	assert_int_equal(rings(&b), 0);
	assert_int_equal(look(b.addr), 5);
	vh_guard_remove(slot_a);
	vh_guard_remove(slot_b);
	file_free(&a);
	file_free(&b);
}

static void a_mapping_of_huge_pages_is_covered(void **state)
{
	const size_t huge = 2u << 20;
	struct file f;
	unsigned slot;

	file_make(&f, huge, MFD_HUGETLB | MFD_HUGE_2MB);
	if (f.addr == MAP_FAILED) {
		f.addr = NULL;
		file_free(&f);
		print_message("no huge pages on this host\n");
		skip();
	}
	/* As a session has it: the region ends before the huge page does. */
	assert_int_equal(vh_guard_add(f.addr + 3 * PAGE, huge / 2, f.bell, &slot), 0);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(look(f.addr + 5 * PAGE), 0);
	assert_true(vh_guard_hit(slot));
	vh_guard_remove(slot);
	file_free(&f);
}

static void a_slot_can_be_used_again(void **state)
{
	unsigned first, again;
	struct file f;

	file_make(&f, LEN, 0);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &first), 0);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	look(f.addr);
	vh_guard_remove(first);
	assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &again), 0);
	assert_int_equal(again, first);
	assert_false(vh_guard_hit(again));
	vh_guard_remove(again);
	file_free(&f);
}

static void the_table_has_an_end(void **state)
{
	static unsigned slot[5000];
	static uint8_t byte[2];
	unsigned n = 0;

	while (n < 5000 && !vh_guard_add(byte, 1, -1, &slot[n]))
		n++;
	assert_int_equal(n, 4096);
	assert_int_equal(vh_guard_add(byte, 1, -1, &slot[n]), -ENOSPC);
	while (n)
		vh_guard_remove(slot[--n]);
	assert_int_equal(vh_guard_add(byte, 1, -1, &slot[0]), 0);
	vh_guard_remove(slot[0]);
}

/* ---- Threads that come and go while another one faults ---- */

static void *add_and_remove(void *arg)
{
	static uint8_t elsewhere[PAGE];
	const uint32_t *stop = arg;
	unsigned slot;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
		if (!vh_guard_add(elsewhere, sizeof(elsewhere), -1, &slot))
			vh_guard_remove(slot);
	return NULL;
}

static void faults_are_found_while_the_table_changes(void **state)
{
	uint32_t stop = 0;
	pthread_t t[2];

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, add_and_remove, &stop), 0);
	for (unsigned i = 0; i < 300; i++) {
		struct file f;
		unsigned slot;

		file_make(&f, LEN, 0);
		assert_int_equal(vh_guard_add(f.addr, LEN, f.bell, &slot), 0);
		assert_int_equal(ftruncate(f.fd, 0), 0);
		look(f.addr + PAGE);
		assert_true(vh_guard_hit(slot));
		vh_guard_remove(slot);
		file_free(&f);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* ---- Faults that are not ours: in a child ---- */

enum { CHILD_HANDLED = 42, CHILD_WENT_ON = 43 };

static void handle_plain(int sig)
{
	_exit(sig == SIGBUS ? CHILD_HANDLED : 1);
}

static void handle_info(int sig, siginfo_t *info, void *context)
{
	_exit(sig == SIGBUS && info->si_addr && context ? CHILD_HANDLED : 1);
}

static void fault_elsewhere(void)
{
	struct file f;

	file_make(&f, LEN, 0);
	if (!ftruncate(f.fd, 0))
		look(f.addr);
}

static void fault_by_kill(void)
{
	kill(getpid(), SIGBUS);
}

/* A new process: @before is the handler, then ours comes, then @fault. */
static int child_status(const struct sigaction *before, void (*fault)(void))
{
	const struct rlimit no_core = {0};
	struct file f;
	unsigned slot;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		return status;
	}
	setrlimit(RLIMIT_CORE, &no_core);
	sigaction(SIGBUS, before, NULL);
	file_make(&f, LEN, 0);
	if (vh_guard_add(f.addr, LEN, f.bell, &slot))
		_exit(1);
	fault();
	_exit(CHILD_WENT_ON);
}

static void expect_exit(int status, int code)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static void expect_killed(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void a_handler_of_before_gets_what_is_not_ours(void **state)
{
	const struct sigaction plain = {.sa_handler = handle_plain};
	const struct sigaction info = {.sa_sigaction = handle_info,
				       .sa_flags = SA_SIGINFO};

	expect_exit(child_status(&plain, fault_elsewhere), CHILD_HANDLED);
	expect_exit(child_status(&info, fault_elsewhere), CHILD_HANDLED);
	expect_exit(child_status(&plain, fault_by_kill), CHILD_HANDLED);
}

static void without_a_handler_a_foreign_fault_kills(void **state)
{
	const struct sigaction none = {.sa_handler = SIG_DFL};

	expect_killed(child_status(&none, fault_elsewhere));
	expect_killed(child_status(&none, fault_by_kill));
}

static void an_ignored_signal_stays_ignored_but_a_fault_kills(void **state)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	expect_exit(child_status(&ignore, fault_by_kill), CHILD_WENT_ON);
	expect_killed(child_status(&ignore, fault_elsewhere));
}

int main(void)
{
	/* The children come first: here our handler is not installed yet. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_of_before_gets_what_is_not_ours),
		cmocka_unit_test(without_a_handler_a_foreign_fault_kills),
		cmocka_unit_test(an_ignored_signal_stays_ignored_but_a_fault_kills),
		cmocka_unit_test(a_lost_page_reads_as_zeroes_and_the_owner_is_told),
		cmocka_unit_test(everything_behind_a_lost_page_can_be_used),
		cmocka_unit_test(what_is_before_a_lost_page_stays_shared),
		cmocka_unit_test(a_file_that_shrinks_again_is_covered_again),
		cmocka_unit_test(a_range_that_is_not_aligned_is_covered),
		cmocka_unit_test(only_the_file_that_shrank_is_hit),
		cmocka_unit_test(a_mapping_of_huge_pages_is_covered),
		cmocka_unit_test(a_slot_can_be_used_again),
		cmocka_unit_test(the_table_has_an_end),
		cmocka_unit_test(faults_are_found_while_the_table_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
