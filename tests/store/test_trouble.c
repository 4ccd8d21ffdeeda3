/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file=PATH where something is missing, forbidden or full.  What changes the process for
 * good is done in a child.
 */
#include "store/image.h"

#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define CAPACITY (1 << 20)
#define LEN	 65536
#define SKIPPED	 77

static char buf[LEN] __attribute__((aligned(4096)));

/* All lines since log_all(). */
static char lines[8192];

static void append_line(void *arg, enum vh_log_level level, const char *tag,
			const char *text)
{
	const size_t len = strlen(lines);

	snprintf(lines + len, sizeof(lines) - len, "%s\n", text);
}

static void log_all(void)
{
	lines[0] = 0;
	vh_log_set(VH_LOG_INFO, append_line, NULL);
}

static void expect_line(const char *text)
{
	if (!strstr(lines, text))
		fail_msg("no \"%s\" in:\n%s", text, lines);
	vh_log_set(VH_LOG_WARN, NULL, NULL);
}

/* ---- In a child ---- */

/* Its line number where something is wrong, else 0; SKIPPED: it cannot be tried here. */
static void in_child(int (*what)(const struct image *i), const char *folder)
{
	struct image i;
	int status;
	pid_t pid;

	image_new(&i, folder, CAPACITY);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int line = what(&i);

		if (line && line != SKIPPED)
			fprintf(stderr, "line %d; the log:\n%s", line, lines);
		_exit(line == SKIPPED ? SKIPPED : line != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	image_delete(&i);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(true_)                     \
	do {                             \
		if (!(true_))            \
			return __LINE__; \
	} while (0)

/* io_uring_setup() returns @err from now on. */
static int forbid_io_uring(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int use_threads_instead(const struct image *i, int err)
{
	struct vh_store *s;
	struct statfs fs;
	struct rig rig;

	/* A file on tmpfs has no use for io_uring. */
	if (statfs(i->path, &fs) || fs.f_type == TMPFS_MAGIC || forbid_io_uring(err))
		return SKIPPED;
	log_all();
	CHECK(STORE_OPEN(&s, i->word, "aio=uring") == -err);
	CHECK(strstr(lines, "io_uring_disabled"));
	log_all();
	rig_open(&rig, i->word);
	CHECK(strstr(lines, "io_uring_disabled"));
	memset(buf, 't', LEN);
	CHECK(!do_op(&rig, VH_STORE_WRITE, 512, buf, LEN));
	memset(buf, 0, LEN);
	CHECK(!do_op(&rig, VH_STORE_READ, 512, buf, LEN));
	CHECK(is_all(buf, 't', LEN));
	rig_close(&rig);
	return 0;
}

static int not_permitted(const struct image *i)
{
	return use_threads_instead(i, EPERM);
}

static int not_in_this_kernel(const struct image *i)
{
	return use_threads_instead(i, ENOSYS);
}

static void where_io_uring_is_forbidden_threads_do_its_work(void **state)
{
	in_child(not_permitted, ON_DISK);
	in_child(not_in_this_kernel, ON_DISK);
}

/* An ordinary user's limits, save that the file is open already. */
static int become_nobody(void)
{
	const struct rlimit little = {65536, 65536};

	return setrlimit(RLIMIT_MEMLOCK, &little) ||
	       (!geteuid() &&
		(setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)));
}

static int work_unregistered(const struct image *i)
{
	const size_t len = 1 << 20;
	struct iovec region = {.iov_len = len};
	struct rig rig;

	rig.r = reactor_new(VH_POLL_SLEEP);
	CHECK(!STORE_OPEN(&rig.s, i->word, "aio=uring", "register=on"));
	if (become_nobody())
		return SKIPPED;
	if (vh_store_channel_open(rig.s, rig.r, &rig.ch))
		return SKIPPED; /* an old kernel, which counts rings, too */
	region.iov_base = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(region.iov_base != MAP_FAILED);
	log_all();
	vh_store_channel_memory(rig.ch, &region, 1);
	CHECK(strstr(lines, "LimitMEMLOCK="));
	memset(region.iov_base, 'u', LEN);
	CHECK(!do_op(&rig, VH_STORE_WRITE, 0, region.iov_base, LEN));
	memset(region.iov_base, 0, LEN);
	CHECK(!do_op(&rig, VH_STORE_READ, 0, region.iov_base, LEN));
	CHECK(is_all(region.iov_base, 'u', LEN));
	rig_close(&rig);
	munmap(region.iov_base, len);
	return 0;
}

static void where_memory_cannot_be_locked_it_works_and_says_how_to_be_faster(void **state)
{
	in_child(work_unregistered, IN_MEMORY);
}

static int fill(const char *folder, const char *aio)
{
	struct image i;
	struct rig rig;
	int err = 0;

	image_new(&i, folder, CAPACITY);
	rig_open(&rig, i.word, aio);
	log_all();
	for (off_t off = 0; !err && off < CAPACITY; off += LEN)
		err = do_op(&rig, VH_STORE_WRITE, (uint64_t)off, buf, LEN);
	CHECK(err == -ENOSPC);
	CHECK(strstr(lines, "make room"));
	/* What is there is there. */
	CHECK(!do_op(&rig, VH_STORE_READ, 0, buf, LEN));
	CHECK(!do_op(&rig, VH_STORE_DISCARD, 0, NULL, LEN));
	CHECK(!do_op(&rig, VH_STORE_WRITE, 0, buf, LEN));
	rig_close(&rig);
	image_delete(&i);
	return 0;
}

static int fill_a_small_file_system(const struct image *i)
{
	int line;

	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return SKIPPED;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", i->dir, "tmpfs", 0, "size=256k"))
		return SKIPPED;
	line = fill(i->dir, "aio=uring");
	if (!line)
		line = fill(i->dir, "aio=threads");
	return line ? line : fill(i->dir, "register=off");
}

static void a_full_file_system_fails_writes_with_enospc(void **state)
{
	in_child(fill_a_small_file_system, IN_MEMORY);
}

/* ---- Opening ---- */

static void a_second_writer_is_kept_out(void **state)
{
	struct vh_store *a, *b;
	struct image i;

	image_new(&i, IN_MEMORY, CAPACITY);
	assert_int_equal(STORE_OPEN(&a, i.word), 0);
	log_all();
	assert_int_equal(STORE_OPEN(&b, i.word), -EBUSY);
	assert_non_null(strstr(lines, i.path));
	expect_line("lock=off");
	assert_int_equal(STORE_OPEN(&b, i.word, "lock=off"), 0);
	vh_store_close(b);
	vh_store_close(a);
	assert_int_equal(STORE_OPEN(&b, i.word), 0);
	vh_store_close(b);
	image_delete(&i);
}

static void many_may_read(void **state)
{
	struct vh_store *a, *b;
	struct image i;

	image_new(&i, IN_MEMORY, CAPACITY);
	assert_int_equal(STORE_OPEN(&a, i.word, "readonly=on"), 0);
	assert_int_equal(STORE_OPEN(&b, i.word, "readonly=on"), 0);
	assert_true(vh_store_info(a)->readonly);
	vh_store_close(a);
	vh_store_close(b);
	image_delete(&i);
}

static void a_tail_that_is_no_block_is_not_used_and_told(void **state)
{
	struct image i;
	struct vh_store *s;

	image_new(&i, IN_MEMORY, CAPACITY + 700);
	log_all();
	assert_int_equal(STORE_OPEN(&s, i.word), 0);
	expect_line("the last 188 bytes");
	assert_int_equal(vh_store_info(s)->capacity, CAPACITY + 512);
	vh_store_close(s);
	log_all();
	assert_int_equal(STORE_OPEN(&s, i.word, "block-size=4096"), 0);
	expect_line("the last 700 bytes");
	assert_int_equal(vh_store_info(s)->capacity, CAPACITY);
	assert_int_equal(vh_store_info(s)->block_size, 4096);
	vh_store_close(s);
	image_delete(&i);
}

static void expect_refused(const char *word, int err, const char *text)
{
	struct vh_store *s;

	log_all();
	assert_int_equal(STORE_OPEN(&s, word, "readonly=on"), err);
	expect_line(text);
}

static void what_is_no_disk_is_refused(void **state)
{
	char word[200];
	struct image i;

	image_new(&i, IN_MEMORY, 100);
	expect_refused(i.word, -EINVAL, "not even one block");
	assert_int_equal(unlink(i.path), 0);
	expect_refused(i.word, -ENOENT, "make it");
	/* And nobody waits for a writer. */
	assert_int_equal(mkfifo(i.path, 0600), 0);
	expect_refused(i.word, -EINVAL, "neither a file nor a block device");
	snprintf(word, sizeof(word), "file=%s", i.dir);
	expect_refused(word, -EINVAL, "neither a file nor a block device");
	image_delete(&i);
}

static void each_switch_wants_on_or_off(void **state)
{
	static const char *const rows[] = {"direct=yes",  "register=1", "lock=",
					   "readonly=On", "aio=posix",	"block-size=1K"};
	struct vh_store *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_all();
		assert_int_equal(STORE_OPEN(&s, "file=/dev/null", rows[i]), -EINVAL);
		expect_line("want");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_io_uring_is_forbidden_threads_do_its_work),
		cmocka_unit_test(
			where_memory_cannot_be_locked_it_works_and_says_how_to_be_faster),
		cmocka_unit_test(a_full_file_system_fails_writes_with_enospc),
		cmocka_unit_test(a_second_writer_is_kept_out),
		cmocka_unit_test(many_may_read),
		cmocka_unit_test(a_tail_that_is_no_block_is_not_used_and_told),
		cmocka_unit_test(what_is_no_disk_is_refused),
		cmocka_unit_test(each_switch_wants_on_or_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
