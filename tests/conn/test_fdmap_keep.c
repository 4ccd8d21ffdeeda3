/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory path: which mappings of the old table live on in the new one. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "conn/fdmap.h"

#define PAGE 4096u

static const struct vh_fdmap_rules strict = {.tag = "test"};

struct kept {
	struct vh_wire_region r[2];
	int fd[2];
	struct vh_map *map;
	struct vh_mapping *mapping[2]; /* the map's */
};

static void keep(struct kept *k)
{
	struct vh_msg m;
	bool changed;

	k->r[0] = (struct vh_wire_region){.gpa = 0, .size = PAGE, .uva = 1 << 20};
	k->r[1] = (struct vh_wire_region){
		.gpa = PAGE, .size = PAGE, .uva = 1 << 21, .offset = PAGE};
	k->fd[0] = rig_memfd(2 * PAGE);
	k->fd[1] = rig_memfd(2 * PAGE);
	m = rig_table(k->r, 2, k->fd);
	assert_int_equal(vh_fdmap_table(&strict, k->r, 2, &m, NULL, k->mapping, &changed),
			 0);
	vh_msg_close(&m);
	assert_int_equal(vh_map_create(k->r, k->mapping, 2, 1, &k->map), 0);
}

static void drop(struct kept *k)
{
	vh_map_put(k->map);
	close(k->fd[0]);
	close(k->fd[1]);
	assert_int_equal(rig_count_memfd_maps(), 0);
}

static void equal_regions_keep_their_mappings(void **state)
{
	struct vh_mapping *mapping[2];
	struct kept k;
	struct vh_msg m;
	bool changed;

	(void)state;
	keep(&k);
	m = rig_table(k.r, 2, k.fd);
	assert_int_equal(vh_fdmap_table(&strict, k.r, 2, &m, k.map, mapping, &changed),
			 0);
	assert_false(changed);
	for (unsigned i = 0; i < 2; i++) {
		assert_ptr_equal(mapping[i], k.mapping[i]);
		assert_int_equal(mapping[i]->refs, 2);
		assert_int_equal(m.fds[i], -1);
		vh_mapping_put(mapping[i]);
	}
	drop(&k);
}

static void a_region_with_another_number_is_mapped_anew(void **state)
{
	struct kept k;

	(void)state;
	keep(&k);
	for (unsigned i = 0; i < 4; i++) {
		struct vh_wire_region r = k.r[0];
		struct vh_mapping *mapping;
		struct vh_msg m;
		bool changed;

		if (i == 0)
			r.gpa = PAGE * 16;
		else if (i == 1)
			r.size = 2 * PAGE;
		else if (i == 2)
			r.uva += PAGE;
		else
			r.offset = PAGE;
		m = rig_table(&r, 1, k.fd);
		assert_int_equal(
			vh_fdmap_table(&strict, &r, 1, &m, k.map, &mapping, &changed), 0);
		assert_ptr_not_equal(mapping, k.mapping[0]);
		assert_false(changed);
		vh_mapping_put(mapping);
	}
	drop(&k);
}

static void equal_numbers_with_another_file_are_a_change(void **state)
{
	struct vh_mapping *mapping[2];
	struct kept k;
	struct vh_msg m;
	bool changed;
	int fds[2];

	(void)state;
	keep(&k);
	fds[0] = k.fd[0];
	fds[1] = rig_memfd(2 * PAGE);
	m = rig_table(k.r, 2, fds);
	assert_int_equal(vh_fdmap_table(&strict, k.r, 2, &m, k.map, mapping, &changed),
			 0);
	assert_true(changed);
	assert_ptr_equal(mapping[0], k.mapping[0]);
	assert_ptr_not_equal(mapping[1], k.mapping[1]);
	vh_mapping_put(mapping[0]);
	vh_mapping_put(mapping[1]);
	close(fds[1]);
	drop(&k);
}

static struct vh_msg slot_message(uint32_t id, const struct vh_wire_region *r, int fd)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	m.mem_reg.region = *r;
	m.fds[m.n_fds++] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return m;
}

static void an_added_region_is_mapped_and_the_others_stay(void **state)
{
	const struct vh_wire_region added = {
		.gpa = PAGE * 8, .size = PAGE, .uva = 1 << 22};
	struct vh_wire_region r[3];
	struct vh_mapping *mapping[3];
	struct kept k;
	struct vh_msg m;
	bool changed;

	(void)state;
	keep(&k);
	memcpy(r, k.r, sizeof(k.r));
	r[2] = added;
	m = slot_message(VH_MSG_ADD_MEM_REG, &added, k.fd[1]);
	assert_int_equal(vh_fdmap_table(&strict, r, 3, &m, k.map, mapping, &changed), 0);
	assert_false(changed);
	assert_ptr_equal(mapping[0], k.mapping[0]);
	assert_ptr_equal(mapping[1], k.mapping[1]);
	mapping[2]->addr[0] = 77;
	assert_int_equal(rig_byte_at(k.fd[1], 0), 77);
	for (unsigned i = 0; i < 3; i++)
		vh_mapping_put(mapping[i]);
	drop(&k);
}

static void after_a_removal_the_others_stay_and_a_stray_fd_is_closed(void **state)
{
	struct vh_mapping *mapping;
	struct kept k;
	struct vh_msg m;
	bool changed;

	(void)state;
	keep(&k);
	m = slot_message(VH_MSG_REM_MEM_REG, &k.r[0], k.fd[0]);
	assert_int_equal(
		vh_fdmap_table(&strict, &k.r[1], 1, &m, k.map, &mapping, &changed), 0);
	assert_ptr_equal(mapping, k.mapping[1]);
	assert_int_equal(m.fds[0], -1);
	vh_mapping_put(mapping);
	drop(&k);
}

static void the_fd_of_a_removal_is_never_mapped(void **state)
{
	struct vh_mapping *mapping;
	struct kept k;
	struct vh_msg m;
	bool changed;

	(void)state;
	keep(&k);
	m = slot_message(VH_MSG_REM_MEM_REG, &k.r[1], k.fd[0]);
	assert_int_equal(
		vh_fdmap_table(&strict, &k.r[1], 1, &m, k.map, &mapping, &changed), 0);
	assert_false(changed);
	assert_ptr_equal(mapping, k.mapping[1]);
	vh_mapping_put(mapping);
	drop(&k);
}

static void an_empty_table_is_mapped_to_nothing(void **state)
{
	struct kept k;
	struct vh_msg m;
	bool changed = true;

	(void)state;
	keep(&k);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(vh_fdmap_table(&strict, NULL, 0, &m, k.map, NULL, &changed), 0);
	assert_false(changed);
	drop(&k);
}

static void one_bad_region_undoes_all_and_leaves_the_old_ones(void **state)
{
	struct vh_wire_region r[3];
	struct vh_mapping *mapping[3];
	struct kept k;
	struct vh_msg m;
	bool changed;
	int fds[3];

	(void)state;
	keep(&k);
	memcpy(r, k.r, sizeof(k.r));
	r[1].uva += PAGE; /* mapped anew */
	r[2] = (struct vh_wire_region){.gpa = PAGE * 8, .size = 3 * PAGE};
	memcpy(fds, k.fd, sizeof(k.fd));
	fds[2] = k.fd[0];
	m = rig_table(r, 3, fds);
	assert_int_equal(vh_fdmap_table(&strict, r, 3, &m, k.map, mapping, &changed),
			 -EINVAL);
	assert_int_equal(rig_logged("region at 0x8000: size 0x3000"), 1);
	assert_int_equal(k.mapping[0]->refs, 1);
	assert_int_equal(k.mapping[1]->refs, 1);
	assert_int_equal(rig_count_memfd_maps(), 2);
	vh_msg_close(&m);
	drop(&k);
}

static void a_region_without_fd_and_without_old_mapping_is_refused(void **state)
{
	const struct vh_wire_region r = {.size = PAGE};
	struct vh_mapping *mapping;
	struct vh_msg m;
	bool changed;

	(void)state;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 1;
	m.mem.region[0] = r;
	assert_int_equal(vh_fdmap_table(&strict, &r, 1, &m, NULL, &mapping, &changed),
			 -EINVAL);
	assert_int_equal(rig_logged("no descriptor came for it"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(equal_regions_keep_their_mappings),
		RIG_TEST(a_region_with_another_number_is_mapped_anew),
		RIG_TEST(equal_numbers_with_another_file_are_a_change),
		RIG_TEST(an_added_region_is_mapped_and_the_others_stay),
		RIG_TEST(after_a_removal_the_others_stay_and_a_stray_fd_is_closed),
		RIG_TEST(the_fd_of_a_removal_is_never_mapped),
		RIG_TEST(an_empty_table_is_mapped_to_nothing),
		RIG_TEST(one_bad_region_undoes_all_and_leaves_the_old_ones),
		RIG_TEST(a_region_without_fd_and_without_old_mapping_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
