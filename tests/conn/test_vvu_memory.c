/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a device of this guest shows a front-end's memory, and where it does not. */
#include "rig.h"
#include "vvu_fake.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "mem/map.h"

#define DEVICE	"vvu:fake:device"
#define VERSION VH_FLAG_VERSION
#define PLUG	0x10000u

static const uint8_t uuid[16] = {0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77,
				 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77};

struct table {
	struct vh_wire_mem wire;
	struct vh_mapping *mapping[VH_MAX_TABLE_REGIONS];
	bool changed;
};

static struct vh_connector *open_up(struct fake *f)
{
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	return c;
}

static struct vh_wire_region region(uint64_t gpa, uint64_t size, uint64_t offset)
{
	return (struct vh_wire_region){
		.gpa = gpa, .size = size, .uva = 0x7f0000000000 + gpa, .offset = offset};
}

/* Have the front-end send the table, and map it. */
static int map(struct vh_connector *c, struct table *t, const struct vh_map *old)
{
	struct vh_msg m;

	fake_send(fake_now, VH_MSG_SET_MEM_TABLE, VERSION, &t->wire,
		  (uint32_t)offsetof(struct vh_wire_mem, region[t->wire.n]));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.id, VH_MSG_SET_MEM_TABLE);
	/* The session has them as the message says now. */
	return vh_connector_map(c, m.mem.region, m.mem.n, &m, old, t->mapping,
				&t->changed);
}

static void put(struct table *t)
{
	for (unsigned i = 0; i < t->wire.n; i++)
		vh_mapping_put(t->mapping[i]);
}

static void regions_are_behind_each_other_with_the_gaps_they_tell(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct table t = {.wire = {.n = 3,
				   .region = {region(0, 0x3000, 0),
					      region(0x100000, 0x1001, 0x5000),
					      region(0x200000, 0x2000, 0xfff)}}};

	assert_int_equal(map(c, &t, NULL), 0);
	f->memory[0x10] = 1;
	f->memory[0x3000 + 0x5000 + 0x1000] = 2;
	f->memory[0x3000 + 0x5000 + 0x1001 + 0xfff] = 3;
	assert_int_equal(t.mapping[0]->addr[0x10], 1);
	assert_int_equal(t.mapping[1]->addr[0x1000], 2);
	assert_int_equal(t.mapping[2]->addr[0], 3);
	assert_int_equal(t.mapping[1]->len, 0x1001);
	t.mapping[2]->addr[1] = 4;
	assert_int_equal(f->memory[0x3000 + 0x5000 + 0x1001 + 0xfff + 1], 4);
	put(&t);
	vh_connector_close(c);
	fake_free(f);
}

static void a_table_of_equal_places_keeps_its_mappings(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct table t = {
		.wire = {.n = 2,
			 .region = {region(0, 0x3000, 0), region(0x100000, 0x1000, 0)}}};
	struct table other = t;
	struct vh_map *m;

	assert_int_equal(map(c, &t, NULL), 0);
	assert_int_equal(vh_map_create(t.wire.region, t.mapping, 2, 1, &m), 0);
	assert_int_equal(map(c, &other, m), 0);
	assert_false(other.changed);
	assert_ptr_equal(other.mapping[0], t.mapping[0]);
	assert_ptr_equal(other.mapping[1], t.mapping[1]);
	put(&other);
	other.wire.region[1].offset = 0x1000;
	assert_int_equal(map(c, &other, m), 0);
	assert_true(other.changed);
	assert_ptr_equal(other.mapping[0], t.mapping[0]);
	assert_ptr_not_equal(other.mapping[1], t.mapping[1]);
	put(&other);
	vh_map_put(m);
	vh_connector_close(c);
	fake_free(f);
}

static void a_region_outside_of_the_window_fails_the_whole_table(void **state)
{
	static const struct {
		uint64_t size, offset;
	} bad[] = {
		{0x1000, FAKE_WINDOW - 0x1000},
		{FAKE_WINDOW - 0x1000 + 1, 0},
		{FAKE_WINDOW, 0},
		{1, FAKE_WINDOW},
		{1, UINT32_MAX},
		{1ull << 47, 0},
		{1ull << 47, 1ull << 46},
	};
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct table t = {.wire = {.n = 2,
					   .region = {region(0, 0x1000, 0),
						      region(0x100000, bad[i].size,
							     bad[i].offset)}}};

		assert_int_equal(map(c, &t, NULL), -EINVAL);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_region_that_ends_with_the_window_is_mapped(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct table t = {
		.wire = {.n = 1, .region = {region(0, FAKE_WINDOW - 0x1000, 0x1000)}}};

	assert_int_equal(map(c, &t, NULL), 0);
	put(&t);
	vh_connector_close(c);
	fake_free(f);
}

/* ---- Windows in functions of their own ---- */

static void a_window_that_is_plugged_is_found_by_whose_and_which_it_is(void **state)
{
	const struct fake_shape shape = {.no_window = true};
	static const uint8_t stranger[16] = {1};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	uint8_t *other = fake_plug(f, 7, stranger, PLUG);
	uint8_t *wrong = fake_plug(f, 6, uuid, PLUG);
	uint8_t *right = fake_plug(f, 7, uuid, PLUG);
	struct table t = {.wire = {.n = 2,
				   .region = {region(0, 0x1000, VH_VVU_PLACE(7, 0x2000)),
					      region(0x100000, 0x1000, 0x1000)}}};

	assert_int_equal(map(c, &t, NULL), 0);
	right[0x2000] = 5;
	right[0x4000] = 6;
	assert_int_equal(t.mapping[0]->addr[0], 5);
	assert_int_equal(t.mapping[1]->addr[0], 6);
	assert_false(f->plug[0].is_open);
	assert_false(f->plug[1].is_open);
	assert_true(f->plug[2].is_open);
	put(&t);
	assert_false(f->plug[2].is_open);
	munmap(other, PLUG);
	munmap(wrong, PLUG);
	munmap(right, PLUG);
	vh_connector_close(c);
	fake_free(f);
}

static void a_window_may_come_later_than_its_message(void **state)
{
	const struct fake_shape shape = {.no_window = true};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	struct table t = {
		.wire = {.n = 1, .region = {region(0, 0x1000, VH_VVU_PLACE(1, 0))}}};
	enum vh_news news;
	struct vh_msg m;
	uint8_t *memory;

	fake_send(f, VH_MSG_SET_MEM_TABLE, VERSION, &t.wire,
		  (uint32_t)offsetof(struct vh_wire_mem, region[1]));
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect_quiet(c);
	memory = fake_plug(f, 1, uuid, PLUG);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.id, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(
		vh_connector_map(c, m.mem.region, 1, &m, NULL, t.mapping, &t.changed), 0);
	put(&t);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	/* Who goes meanwhile leaves nothing behind. */
	fake_send(f, VH_MSG_SET_MEM_TABLE, VERSION,
		  &(struct vh_wire_mem){
			  .n = 1, .region = {region(0, 0x1000, VH_VVU_PLACE(2, 0))}},
		  (uint32_t)offsetof(struct vh_wire_mem, region[1]));
	assert_int_equal(vh_connector_recv(c, &m, &news), 0);
	assert_int_equal(news, VH_NEWS_NOTHING);
	fake_depart(f);
	rig_expect(c, VH_NEWS_DOWN);
	assert_false(f->plug[0].is_open);
	munmap(memory, PLUG);
	vh_connector_close(c);
	fake_free(f);
}

static void without_a_window_there_is_no_memory(void **state)
{
	const struct fake_shape shape = {.no_window = true};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	struct table t = {.wire = {.n = 1, .region = {region(0, 0x1000, 0)}}};

	assert_true(map(c, &t, NULL) < 0);
	vh_connector_close(c);
	fake_free(f);
}

/* ---- Areas ---- */

static void the_log_is_in_the_devices_shared_memory(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct vh_wire_log log = {.size = 0x100, .offset = 0x20};
	struct vh_mapping *mapping;
	struct vh_msg m;

	fake_send(f, VH_MSG_SET_LOG_BASE, VERSION, &log, sizeof(log));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_map_area(c, &m, &mapping), 0);
	mapping->addr[3] = 9;
	assert_int_equal(f->polled[FAKE_LOG + 0x20 + 3], 9);
	vh_mapping_put(mapping);
	log.size = FAKE_AREA;
	fake_send(f, VH_MSG_SET_LOG_BASE, VERSION, &log, sizeof(log));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_map_area(c, &m, &mapping), -EINVAL);
	vh_connector_close(c);
	fake_free(f);
}

static void an_inflight_area_is_the_devices_to_make(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct vh_wire_inflight want = {.n_queues = 1, .queue_size = 64};
	struct vh_mapping *mapping;
	struct vh_msg m, reply;

	fake_send(f, VH_MSG_GET_INFLIGHT_FD, VERSION, &want, sizeof(want));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	vh_msg_init_reply(&reply, &m, VH_PAYLOAD_INFLIGHT);
	assert_int_equal(vh_connector_make_area(c, FAKE_AREA, &reply), 0);
	assert_int_equal(reply.n_fds, 0);
	assert_int_equal(vh_connector_make_area(c, FAKE_AREA + 1, &reply), -ENOTSUP);
	want.size = 0x800;
	want.offset = 0x1000;
	fake_send(f, VH_MSG_SET_INFLIGHT_FD, VERSION, &want, sizeof(want));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_map_area(c, &m, &mapping), 0);
	mapping->addr[0] = 8;
	assert_int_equal(f->polled[FAKE_INFLIGHT + 0x1000], 8);
	vh_mapping_put(mapping);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_without_areas_is_not_asked_for_any(void **state)
{
	const struct fake_shape shape = {.no_areas = true};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	struct vh_wire_inflight want = {.n_queues = 1, .queue_size = 64};
	struct vh_msg m, reply;

	assert_int_equal(f->vp.driver_features &
				 (VH_BIT(VH_VVU_F_LOG) | VH_BIT(VH_VVU_F_INFLIGHT)),
			 0);
	fake_send(f, VH_MSG_GET_INFLIGHT_FD, VERSION, &want, sizeof(want));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	vh_msg_init_reply(&reply, &m, VH_PAYLOAD_INFLIGHT);
	assert_int_equal(vh_connector_make_area(c, 0x100, &reply), -ENOTSUP);
	vh_connector_close(c);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(regions_are_behind_each_other_with_the_gaps_they_tell),
		RIG_TEST(a_table_of_equal_places_keeps_its_mappings),
		RIG_TEST(a_region_outside_of_the_window_fails_the_whole_table),
		RIG_TEST(a_region_that_ends_with_the_window_is_mapped),
		RIG_TEST(a_window_that_is_plugged_is_found_by_whose_and_which_it_is),
		RIG_TEST(a_window_may_come_later_than_its_message),
		RIG_TEST(without_a_window_there_is_no_memory),
		RIG_TEST(the_log_is_in_the_devices_shared_memory),
		RIG_TEST(an_inflight_area_is_the_devices_to_make),
		RIG_TEST(a_device_without_areas_is_not_asked_for_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
