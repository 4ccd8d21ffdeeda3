/* SPDX-License-Identifier: BSD-3-Clause */
/* A window that is a file with a name. */
#include "window_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAR (1u << 20)

/* The window of file @name with what else is given; -errno in *@err. */
static struct vh_window *window_try(const char *name, const char *options, int *err)
{
	char *path = rig_path(name), *memory = NULL;
	struct vh_window *w;

	assert_true(asprintf(&memory, "file:%s%s", path, options) > 0);
	rig_forget();
	*err = vh_window_static(memory, BAR, "test", &w);
	free(memory);
	free(path);
	return w;
}

static struct vh_window *window_make(const char *name, const char *options)
{
	int err;
	struct vh_window *w = window_try(name, options, &err);

	assert_int_equal(err, 0);
	return w;
}

static int file_open(const char *name)
{
	char *path = rig_path(name);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	free(path);
	assert_true(fd >= 0);
	return fd;
}

static void file_remove(const char *name)
{
	char *path = rig_path(name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

/* ---- The file ---- */

static void the_bar_may_be_mapped_as_far_as_the_file_goes(void **state)
{
	struct vh_window *w;
	int fd = rig_file("a", 5 * PAGE + 1);
	struct stat ours, theirs;

	(void)state;
	w = window_make("a", "");
	assert_int_equal(w->size, BAR);
	assert_int_equal(w->region.size, BAR);
	assert_int_equal(w->region.n_areas, 1);
	assert_int_equal(w->region.area[0].offset, 0);
	assert_int_equal(w->region.area[0].size, 6 * PAGE);
	assert_int_equal(fstat(w->region.fd, &theirs), 0);
	assert_int_equal(fstat(fd, &ours), 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);
	vh_window_destroy(w);
	close(fd);
	file_remove("a");
}

static void with_a_size_the_file_is_made_for_nobody_else(void **state)
{
	struct vh_window *w = window_make("made", ",size=64K"), *again;
	int fd = file_open("made");
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 65536);
	assert_int_equal(st.st_mode & 0777, 0600);
	again = window_make("made", ",size=64K"); /* and used when it is there */
	vh_window_destroy(again);
	vh_window_destroy(w);
	close(fd);
	file_remove("made"); /* it stayed: a front-end may still use it */
}

static void an_empty_file_gets_its_size(void **state)
{
	int fd = rig_file("empty", 0);
	struct vh_window *w = window_make("empty", ",size=8K");

	(void)state;
	assert_int_equal(lseek(fd, 0, SEEK_END), 8192);
	vh_window_destroy(w);
	close(fd);
	file_remove("empty");
}

static void what_does_not_fit_is_refused_at_start(void **state)
{
	static const struct {
		const char *name, *options;
		int err;
		const char *says;
	} cases[] = {
		{"none", "", -ENOENT, "with size=SIZE it is made here"},
		{"small", ",size=8192", -EINVAL, "remove it, or give its size"},
		{"big", "", -EINVAL, "make the BAR bigger (--bar-size)"},
		{"new", ",size=2M", -EINVAL, "make the BAR bigger (--bar-size)"},
		{"void", "", -EINVAL, "it is empty"},
		{"small", ",size=", -EINVAL, "want file:PATH[,size=SIZE]"},
		{"small", ",size=0", -EINVAL, "want file:PATH[,size=SIZE]"},
		{"small", ",size=much", -EINVAL, "want file:PATH[,size=SIZE]"},
		{"small", ",color=red", -EINVAL, "has no option"},
		{"", "", -EISDIR, "Is a directory"},
		{"fifo", "", -EINVAL, "not a regular file"},
		{"none/at/all", ",size=4096", -ENOENT, "cannot open"},
	};
	char *fifo = rig_path("fifo");
	unsigned fds;

	(void)state;
	close(rig_file("small", PAGE));
	close(rig_file("big", BAR + 1));
	close(rig_file("void", 0));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fds = rig_count_fds();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err;

		assert_null(window_try(cases[i].name, cases[i].options, &err));
		assert_int_equal(err, cases[i].err);
		assert_int_equal(rig_logged(cases[i].says), 1);
	}
	assert_int_equal(rig_count_fds(), fds);
	unlink(fifo);
	free(fifo);
}

static void an_address_without_file_is_refused(void **state)
{
	static const char *const memory[] = {"", "file", "file:", "fd:3",
					     "file:,size=4K"};
	struct vh_window *w;

	(void)state;
	for (unsigned i = 0; i < sizeof(memory) / sizeof(memory[0]); i++) {
		rig_forget();
		assert_int_equal(vh_window_static(memory[i], BAR, "test", &w), -EINVAL);
		assert_int_equal(rig_logged("want file:PATH[,size=SIZE]"), 1);
	}
}

/* ---- Tables ---- */

static void regions_lie_where_they_lie_in_the_file(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0x100000000, .size = 3 * PAGE, .uva = 1, .offset = 5 * PAGE},
		{.gpa = 0, .size = 5 * PAGE, .uva = 2, .offset = 0},
	};
	struct vh_window *w = window_make("ram", ",size=32K");
	int fd = file_open("ram"), fds[] = {fd, fd};
	struct vh_window_table t;

	(void)state;
	assert_int_equal(rig_place(w, r, 2, fds, &t), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.region[0].at, 0);
	assert_int_equal(t.region[0].gpa, 0);
	assert_int_equal(t.region[1].at, 5 * PAGE);
	assert_int_equal(t.region[1].uva, 1);
	assert_int_equal(rig_logged("is a message"), 0);
	vh_window_destroy(w);
	close(fd);
	file_remove("ram");
}

static void a_guest_that_maps_nothing_reaches_the_file_all_the_same(void **state)
{
	struct vh_window *w = window_make("ram", ",size=8K");
	int fd = file_open("ram");
	uint8_t *front = rig_map(fd, 8192);

	(void)state;
	rig_write(w, 4095, 0x0201, 2);
	assert_int_equal(front[4095], 1);
	assert_int_equal(front[4096], 2);
	assert_int_equal(rig_read(w, 4094, 4), 0x020100);
	assert_int_equal(rig_read(w, 8192, 8), 0);
	munmap(front, 8192);
	vh_window_destroy(w);
	close(fd);
	file_remove("ram");
}

static void other_files_are_trapped_behind_its_end(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0x100000, .size = PAGE, .offset = PAGE},
		{.gpa = 0, .size = 2 * PAGE, .offset = 0},
	};
	struct vh_window *w = window_make("ram", ",size=8K");
	int fds[] = {rig_file(NULL, 2 * PAGE), file_open("ram")};
	uint8_t *other = rig_map(fds[0], 2 * PAGE);
	struct vh_window_table t;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_place(w, r, 2, fds, &t), 0);
	assert_int_equal(t.region[0].gpa, 0);
	assert_int_equal(t.region[0].at, 0);
	assert_int_equal(t.region[1].gpa, 0x100000);
	assert_int_equal(t.region[1].at, 2 * PAGE);
	rig_write(w, t.region[1].at + 5, 9, 1);
	assert_int_equal(other[PAGE + 5], 9);
	assert_int_equal(rig_logged("memory-backend-file,mem-path=/tmp/"), 1);
	w->ops->drop(w);
	assert_int_equal(rig_read(w, t.region[1].at + 5, 1), 0);
	munmap(other, 2 * PAGE);
	vh_window_destroy(w);
	close(fds[0]);
	close(fds[1]);
	file_remove("ram");
}

static void the_log_tells_again_after_a_good_table(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	struct vh_window *w = window_make("ram", ",size=8K");
	int good = file_open("ram"), bad = rig_file(NULL, PAGE);
	struct vh_window_table t;

	(void)state;
	assert_int_equal(rig_place(w, &r, 1, &bad, &t), 0);
	assert_int_equal(rig_place(w, &r, 1, &good, &t), 0);
	assert_int_equal(rig_place(w, &r, 1, &bad, &t), 0);
	assert_int_equal(rig_logged("share=on"), 2);
	vh_window_destroy(w);
	close(good);
	close(bad);
	file_remove("ram");
}

static void regions_outside_or_over_each_other_are_refused(void **state)
{
	static const struct {
		struct vh_wire_region region;
		const char *says;
	} cases[] = {
		{{.size = PAGE, .offset = 8 * PAGE}, "is not inside of"},
		{{.size = 8 * PAGE, .offset = PAGE}, "is not inside of"},
		{{.size = UINT64_MAX, .offset = PAGE}, "is not inside of"},
		{{.size = PAGE, .offset = UINT64_MAX}, "is not inside of"},
		{{.size = 0, .offset = PAGE}, "is not inside of"},
		{{.size = PAGE, .offset = PAGE - 1}, "share bytes of"},
		{{.size = 8 * PAGE, .offset = 0}, "share bytes of"},
	};
	static const struct vh_wire_region good = {.size = PAGE};
	struct vh_window *w = window_make("ram", ",size=32K");
	int fd = file_open("ram"), fds[] = {fd, fd};
	struct vh_window_table t;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vh_wire_region two[] = {good, cases[i].region};

		rig_forget();
		assert_int_equal(rig_place(w, two, 2, fds, &t), -EINVAL);
		assert_int_equal(rig_logged(cases[i].says), 1);
	}
	vh_window_destroy(w);
	close(fd);
	file_remove("ram");
}

static void a_file_that_has_shrunk_is_named(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	struct vh_window *w = window_make("ram", ",size=32K");
	int fd = file_open("ram");
	struct vh_window_table t;

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(rig_place(w, &r, 1, &fd, &t), -EINVAL);
	assert_int_equal(rig_logged("/ram has shrunk from 32768 to 4096 bytes"), 1);
	vh_window_destroy(w);
	close(fd);
	file_remove("ram");
}

static void a_table_without_its_descriptors_is_refused(void **state)
{
	struct vh_window *w = window_make("ram", ",size=32K");
	struct vh_window_table t;
	struct vh_msg m;

	(void)state;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 2;
	assert_int_equal(w->ops->place(w, &m, &t, NULL, NULL), -EINVAL);
	vh_window_destroy(w);
	file_remove("ram");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bar_may_be_mapped_as_far_as_the_file_goes),
		cmocka_unit_test(with_a_size_the_file_is_made_for_nobody_else),
		cmocka_unit_test(an_empty_file_gets_its_size),
		cmocka_unit_test(what_does_not_fit_is_refused_at_start),
		cmocka_unit_test(an_address_without_file_is_refused),
		cmocka_unit_test(regions_lie_where_they_lie_in_the_file),
		cmocka_unit_test(a_guest_that_maps_nothing_reaches_the_file_all_the_same),
		cmocka_unit_test(other_files_are_trapped_behind_its_end),
		cmocka_unit_test(the_log_tells_again_after_a_good_table),
		cmocka_unit_test(regions_outside_or_over_each_other_are_refused),
		cmocka_unit_test(a_file_that_has_shrunk_is_named),
		cmocka_unit_test(a_table_without_its_descriptors_is_refused),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
