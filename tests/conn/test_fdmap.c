/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory path: what is mapped and what is refused. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/memfd.h>

#include "base/cleanup.h"
#include "conn/fdmap.h"

#define PAGE 4096u

static const struct vh_fdmap_rules strict = {.tag = "test"};
static const struct vh_fdmap_rules lenient = {.tag = "test", .any_file = true};

/* Map one region of @fd; its result. */
static int map_one(const struct vh_fdmap_rules *rules, const struct vh_wire_region *r,
		   int fd, struct vh_mapping **mapping)
{
	struct vh_msg m = rig_table(r, 1, &fd);
	bool changed;
	int err = vh_fdmap_table(rules, r, 1, &m, NULL, mapping, &changed);

	assert_false(changed);
	if (!err)
		assert_int_equal(m.fds[0], -1); /* closed: the mapping does not need it */
	vh_msg_close(&m);
	return err;
}

/* ---- What is mapped ---- */

static void a_region_is_shared_with_the_file_at_its_offset(void **state)
{
	static const struct {
		uint64_t offset, size;
	} cases[] = {{0, 8 * PAGE},  {PAGE, PAGE},	    {3 * PAGE, 5 * PAGE},
		     {1, 1},	     {PAGE - 1, 2},	    {100, 8 * PAGE - 100},
		     {0, PAGE + 10}, {PAGE + 5, PAGE + 10}, {8 * PAGE - 1, 1}};
	int fd = rig_memfd(8 * PAGE);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct vh_wire_region r = {.size = cases[i].size,
						 .offset = cases[i].offset};
		struct vh_mapping *m;

		assert_int_equal(map_one(&strict, &r, fd, &m), 0);
		assert_int_equal(m->len, r.size);
		m->addr[0] = 0x5a;
		m->addr[r.size - 1] = (uint8_t)(0x10 + i);
		assert_int_equal(rig_byte_at(fd, r.offset + r.size - 1), 0x10 + i);
		if (r.size > 1)
			assert_int_equal(rig_byte_at(fd, r.offset), 0x5a);
		vh_mapping_put(m);
	}
	assert_int_equal(rig_count_memfd_maps(), 0);
	close(fd);
}

static void no_more_pages_than_a_region_has_are_mapped(void **state)
{
	const struct vh_wire_region r = {.size = PAGE, .offset = 5 * PAGE + 1};
	int fd = rig_memfd(8 * PAGE);
	unsigned long start = 0, end = 0;
	struct vh_mapping *m;
	char line[512];
	FILE *f;

	(void)state;
	assert_int_equal(map_one(&strict, &r, fd, &m), 0);
	f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "memfd:test"))
			assert_int_equal(sscanf(line, "%lx-%lx", &start, &end), 2);
	fclose(f);
	assert_int_equal(end - start, 2 * PAGE);
	assert_int_equal((unsigned long)m->addr - start, 1);
	vh_mapping_put(m);
	close(fd);
}

static void regions_get_the_fds_in_the_order_of_the_message(void **state)
{
	const struct vh_wire_region sent[2] = {{.gpa = 1 << 20, .size = PAGE, .uva = 7},
					       {.gpa = 0, .size = PAGE, .uva = 1 << 20}};
	const struct vh_wire_region sorted[2] = {sent[1], sent[0]};
	int fds[2] = {rig_memfd(PAGE), rig_memfd(PAGE)};
	struct vh_msg m = rig_table(sent, 2, fds);
	struct vh_mapping *mapping[2];
	bool changed;

	(void)state;
	assert_int_equal(vh_fdmap_table(&strict, sorted, 2, &m, NULL, mapping, &changed),
			 0);
	mapping[0]->addr[0] = 1;
	mapping[1]->addr[0] = 2;
	assert_int_equal(rig_byte_at(fds[0], 0), 2);
	assert_int_equal(rig_byte_at(fds[1], 0), 1);
	for (unsigned i = 0; i < 2; i++) {
		vh_mapping_put(mapping[i]);
		close(fds[i]);
	}
	vh_msg_close(&m);
}

static void huge_pages_are_mapped_from_any_offset(void **state)
{
	const uint64_t huge = 2 << 20;
	const struct vh_wire_region r = {.size = huge + PAGE, .offset = huge - PAGE};
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	struct vh_mapping *m;

	(void)state;
	if (fd < 0 || ftruncate(fd, 2 * huge) < 0) {
		vh_cleanup_fd(&fd);
		skip(); /* a kernel without pages of 2 MiB */
	}
	/* No page has to exist for this; it is not touched. */
	assert_int_equal(map_one(&strict, &r, fd, &m), 0);
	assert_int_equal((uintptr_t)m->addr % huge, huge - PAGE);
	vh_mapping_put(m);
	close(fd);
}

static void mappings_are_not_dumped(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	int fd = rig_memfd(PAGE);
	struct vh_mapping *m;
	char line[256];
	bool ours = false, dumped = true;
	FILE *f;

	(void)state;
	assert_int_equal(map_one(&strict, &r, fd, &m), 0);
	f = fopen("/proc/self/smaps", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "memfd:test"))
			ours = true;
		if (ours && !strncmp(line, "VmFlags:", 8)) {
			dumped = !strstr(line, " dd");
			break;
		}
	}
	assert_true(ours);
	assert_false(dumped);
	fclose(f);
	vh_mapping_put(m);
	close(fd);
}

/* ---- What is refused ---- */

static void expect_refused(uint64_t size, uint64_t offset, uint64_t file,
			   const char *in_log)
{
	const struct vh_wire_region r = {.size = size, .offset = offset};
	int fd = rig_memfd(file), before = rig_count_fds();
	struct vh_mapping *m;

	rig_log_clear();
	assert_int_equal(map_one(&strict, &r, fd, &m), -EINVAL);
	assert_int_equal(rig_logged(in_log), 1);
	assert_int_equal(rig_count_fds(), before);
	assert_int_equal(rig_count_memfd_maps(), 0);
	close(fd);
}

static void a_region_that_its_file_does_not_hold_is_refused(void **state)
{
	(void)state;
	expect_refused(0, 0, PAGE, "its size is 0");
	expect_refused(UINT64_MAX, 0, PAGE, "size 0xffffffffffffffff");
	expect_refused(UINT64_MAX, 1, PAGE, "does not fit");
	expect_refused(UINT64_MAX - PAGE + 1, PAGE, PAGE, "does not fit");
	expect_refused(PAGE, UINT64_MAX, PAGE, "offset 0xffffffffffffffff");
	expect_refused(PAGE, (uint64_t)-PAGE, PAGE, "does not fit");
	expect_refused(PAGE, 1ULL << 63, PAGE, "does not fit");
	expect_refused(PAGE, 1, PAGE, "file of 0x1000 bytes");
	expect_refused(PAGE + 1, 0, PAGE, "size 0x1001 at offset 0");
	expect_refused(1, PAGE, PAGE, "does not fit");
	expect_refused(1, 0, 0, "does not fit");
}

static void what_is_no_file_is_refused(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	int pair[2], pipes[2];
	struct vh_mapping *m;

	(void)state;
	peer_pair(pair);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	{
		const int fds[] = {eventfd(0, EFD_CLOEXEC),
				   pair[0],
				   pair[1],
				   pipes[0],
				   pipes[1],
				   open("/dev/zero", O_RDWR | O_CLOEXEC),
				   open("/dev/shm", O_RDONLY | O_CLOEXEC)};

		for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
			assert_int_equal(map_one(&strict, &r, fds[i], &m), -EINVAL);
			assert_int_equal(map_one(&lenient, &r, fds[i], &m), -EINVAL);
			assert_int_equal(rig_logged("is neither memfd"), i + 1);
			assert_int_equal(rig_logged("is not a regular file"), i + 1);
			close(fds[i]);
		}
	}
}

/* Some file that is not on tmpfs; -1 when there is nowhere to make one. */
static int file_elsewhere(void)
{
	static const char *const folders[] = {"/var/tmp", "/tmp", "."};

	for (unsigned i = 0; i < 3; i++) {
		VH_AUTO_FD int fd =
			open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		struct statfs fs;

		if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC &&
		    ftruncate(fd, PAGE) == 0)
			return vh_fd_take(&fd);
	}
	return -1;
}

static void a_file_of_another_file_system_needs_an_option(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	int fd = file_elsewhere();
	struct vh_mapping *m;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(map_one(&strict, &r, fd, &m), -EINVAL);
	assert_int_equal(rig_logged("any-memory=on"), 1);
	assert_int_equal(map_one(&lenient, &r, fd, &m), 0);
	vh_mapping_put(m);
	close(fd);
}

static void any_memory_is_an_option_of_each_scheme(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	const struct rig *rig = *state;
	int fd = file_elsewhere(), pair[2];
	char address[3][96];

	if (fd < 0)
		skip();
	peer_pair(pair);
	snprintf(address[0], 96, "unix:%s,any-memory=on", rig->path);
	snprintf(address[1], 96, "fd:%d,any-memory=on", pair[0]);
	snprintf(address[2], 96, "loop:x,any-memory=on");
	for (unsigned i = 0; i < 3; i++) {
		struct vh_connector *c = rig_open(address[i], VH_ROLE_BACKEND);
		struct vh_msg m = rig_table(&r, 1, &fd);
		struct vh_mapping *mapping;
		bool changed;

		assert_int_equal(vh_connector_map(c, &r, 1, &m, NULL, &mapping, &changed),
				 0);
		vh_mapping_put(mapping);
		vh_msg_close(&m);
		vh_connector_close(c);
	}
	close(pair[1]);
	close(fd);
}

static void memory_that_we_may_not_write_is_refused(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), reader;
	struct vh_mapping *m;
	char path[40];

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(map_one(&strict, &r, reader, &m), -EACCES);
	assert_int_equal(rig_logged("open for reading and writing"), 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(map_one(&strict, &r, fd, &m), -EPERM);
	close(reader);
	close(fd);
}

/* Between the two ends of a loop, where somebody checks each buffer. */
static void memory_that_is_to_be_read_is_marked_where_it_is_taken(void **state)
{
	static const struct vh_fdmap_rules rules = {.tag = "test", .readonly = true};
	const struct vh_wire_region r = {.size = PAGE};
	int fd = rig_memfd(PAGE), reader;
	struct vh_mapping *m;
	struct vh_map *map;
	char path[40];

	(void)state;
	assert_int_equal(pwrite(fd, "abc", 4, 0), 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(map_one(&rules, &r, reader, &m), 0);
	assert_string_equal(m->addr, "abc");
	assert_int_equal(vh_map_create(&r, &m, 1, 1, &map), 0);
	assert_non_null(vh_map_uva(map, 0, 4));
	assert_null(vh_map_uva_writable(map, 0, 4));
	vh_map_put(map);
	assert_int_equal(map_one(&rules, &r, fd, &m), 0);
	assert_false(m->readonly);
	vh_mapping_put(m);
	close(reader);
	close(fd);
}

static void too_many_mappings_name_their_limit(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	int fd = rig_memfd(2 * PAGE), err;
	const unsigned most = 1 << 17;
	struct vh_mapping *m;
	unsigned n = 0;
	void **at = calloc(most, sizeof(*at));

	(void)state;
	assert_non_null(at);
	/* Two neighbours are no neighbours in the file, so they do not become one. */
	while (n < most) {
		at[n] = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, n % 2 ? PAGE : 0);
		if (at[n] == MAP_FAILED)
			break;
		n++;
	}
	err = n < most ? map_one(&strict, &r, fd, &m) : 0;
	for (unsigned i = 0; i < n; i++)
		munmap(at[i], PAGE);
	free(at);
	close(fd);
	if (n == most)
		skip(); /* the limit is too high to be reached here */
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(rig_logged("vm.max_map_count="), 1);
}

/* ---- The dirty log ---- */

static int map_log(uint64_t size, uint64_t offset, int fd, struct vh_mapping **mapping)
{
	struct vh_msg m;
	int err;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_LOG_BASE);
	m.log = (struct vh_wire_log){.size = size, .offset = offset};
	m.fds[m.n_fds++] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	err = vh_fdmap_area(&strict, &m, mapping);
	vh_msg_close(&m);
	return err;
}

static void the_offset_of_a_log_is_applied_once(void **state)
{
	static const uint64_t offsets[] = {0, 1, 8, PAGE, PAGE + 8, 3 * PAGE};
	int fd = rig_memfd(4 * PAGE);

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct vh_mapping *m;

		assert_int_equal(map_log(64, offsets[i], fd, &m), 0);
		assert_int_equal(m->len, 64);
		m->addr[0] = (uint8_t)(i + 1);
		m->addr[63] = (uint8_t)(i + 101);
		assert_int_equal(rig_byte_at(fd, offsets[i]), i + 1);
		assert_int_equal(rig_byte_at(fd, offsets[i] + 63), i + 101);
		vh_mapping_put(m);
	}
	close(fd);
}

static void a_log_that_its_file_does_not_hold_is_refused(void **state)
{
	static const struct vh_wire_log bad[] = {
		{0, 0},
		{UINT64_MAX, 0},
		{UINT64_MAX, 1},
		{UINT64_MAX - 8, 9},
		{UINT64_MAX - PAGE + 1, PAGE},
		{1, UINT64_MAX},
		{PAGE, 1},
		{PAGE + 1, 0},
		{1, PAGE},
		{8, (uint64_t)INT64_MAX},
	};
	int fd = rig_memfd(PAGE);
	struct vh_mapping *m;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(map_log(bad[i].size, bad[i].offset, fd, &m), -EINVAL);
		assert_int_equal(rig_logged("SET_LOG_BASE: "), i + 1);
	}
	close(fd);
}

static void a_log_without_a_file_is_refused(void **state)
{
	struct vh_mapping *mapping;
	struct vh_msg m;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_LOG_BASE);
	m.log.size = 8;
	assert_int_equal(vh_fdmap_area(&strict, &m, &mapping), -EINVAL);
	m.payload = VH_PAYLOAD_U64;
	assert_int_equal(vh_fdmap_area(&strict, &m, &mapping), -EINVAL);
	assert_int_equal(rig_logged("no descriptor came with it"), 2);
	assert_int_equal(map_log(8, 0, fd, &mapping), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_region_is_shared_with_the_file_at_its_offset),
		RIG_TEST(no_more_pages_than_a_region_has_are_mapped),
		RIG_TEST(regions_get_the_fds_in_the_order_of_the_message),
		RIG_TEST(huge_pages_are_mapped_from_any_offset),
		RIG_TEST(mappings_are_not_dumped),
		RIG_TEST(a_region_that_its_file_does_not_hold_is_refused),
		RIG_TEST(what_is_no_file_is_refused),
		RIG_TEST(a_file_of_another_file_system_needs_an_option),
		RIG_TEST(any_memory_is_an_option_of_each_scheme),
		RIG_TEST(memory_that_we_may_not_write_is_refused),
		RIG_TEST(memory_that_is_to_be_read_is_marked_where_it_is_taken),
		RIG_TEST(too_many_mappings_name_their_limit),
		RIG_TEST(the_offset_of_a_log_is_applied_once),
		RIG_TEST(a_log_that_its_file_does_not_hold_is_refused),
		RIG_TEST(a_log_without_a_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
