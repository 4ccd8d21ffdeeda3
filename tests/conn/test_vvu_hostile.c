/* SPDX-License-Identifier: BSD-3-Clause */
/* A device, or a front-end behind it, that does what it must not. */
#include "rig.h"
#include "vvu_fake.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "pci/virtio_drv.h"

#define DEVICE	"vvu:fake:device"
#define VERSION VH_FLAG_VERSION

static struct vh_connector *open_up(struct fake *f)
{
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	return c;
}

/* The front-end is cut off, and the next one is served. */
static void check_recovery(struct fake *f, struct vh_connector *c)
{
	enum vh_news news;
	struct vh_msg m;

	rig_expect(c, VH_NEWS_DOWN);
	assert_true(c->at_fault);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vh_connector_recv(c, &m, &news), 0);
		assert_int_equal(news, VH_NEWS_NOTHING);
	}
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
}

static void messages_of_a_wrong_length_cut_the_front_end_off(void **state)
{
	static const uint32_t used[] = {0, 1, 11, 12, 13, 19, 21, 8204, 8205, UINT32_MAX};
	struct {
		struct vh_wire_header h;
		uint64_t features;
	} m = {.h = {.request = VH_MSG_SET_FEATURES, .flags = VERSION, .size = 8}};
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	for (unsigned i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		fake_put(f, &m, 20, used[i]);
		check_recovery(f, c);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void headers_that_are_nonsense_cut_the_front_end_off(void **state)
{
	static const struct vh_wire_header bad[] = {
		{.request = VH_MSG_GET_FEATURES, .flags = 2},
		{.request = VH_MSG_GET_FEATURES, .flags = 0xffffffff},
		{.request = VH_MSG_GET_FEATURES, .flags = VERSION, .size = 0xffffffff},
		{.request = VH_MSG_GET_FEATURES, .flags = VERSION, .size = 8193},
		{.request = VH_MSG_GET_FEATURES, .flags = VERSION | VH_FLAG_REPLY},
		{.request = VH_MSG_SET_MEM_TABLE, .flags = VERSION},
	};
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_put(f, &bad[i], sizeof(bad[i]), sizeof(bad[i]));
		check_recovery(f, c);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_reply_that_nobody_waits_for_cuts_the_front_end_off(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	const uint64_t ack = 0;

	assert_int_equal(vh_connector_set_channel(c, -1), 0);
	fake_send(f, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, VERSION | VH_FLAG_REPLY, &ack, 8);
	check_recovery(f, c);
	vh_connector_close(c);
	fake_free(f);
}

static void a_table_of_too_many_regions_cuts_the_front_end_off(void **state)
{
	struct {
		uint32_t n, padding;
		struct vh_wire_region r[9];
	} table = {.n = 9};
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	fake_send(f, VH_MSG_SET_MEM_TABLE, VERSION, &table, sizeof(table));
	check_recovery(f, c);
	vh_connector_close(c);
	fake_free(f);
}

static void regions_whose_sum_comes_round_cut_the_front_end_off(void **state)
{
	static const struct vh_wire_region bad[] = {
		{.gpa = 0x10000, .size = UINT64_MAX},
		{.gpa = 0x10000, .size = 0x1000, .offset = UINT64_MAX - 0x1000},
		{.gpa = 0x10000, .size = UINT64_MAX - 0x1fff, .offset = 0x1000},
		{.gpa = 0x10000, .size = 0, .offset = UINT64_MAX},
	};
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vh_wire_mem table = {.n = 2, .region = {{.size = 0x1000}, bad[i]}};

		fake_send(f, VH_MSG_SET_MEM_TABLE, VERSION, &table,
			  offsetof(struct vh_wire_mem, region[2]));
		check_recovery(f, c);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_queue_that_the_device_breaks_is_made_anew(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	const unsigned resets = f->n_resets;

	fake_break_queue(f);
	check_recovery(f, c);
	assert_int_equal(f->n_resets, resets + 1);
	vh_connector_close(c);
	fake_free(f);
}

static void a_queue_that_breaks_before_anybody_came_is_made_anew(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_break_queue(f);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	check_recovery(f, c);
	vh_connector_close(c);
	fake_free(f);
}

/* ---- Capabilities ---- */

/* Where the first of the list is whose cfg_type is @type. */
static uint8_t find_cap(const struct fake *f, uint8_t type)
{
	const uint8_t *config = f->vp.fn.config;

	for (uint8_t at = config[PCI_CAPABILITY_LIST]; at; at = config[at + 1])
		if (config[at] == PCI_CAP_ID_VNDR && config[at + 3] == type)
			return at;
	fail_msg("no capability %u", type);
	return 0;
}

static int try_open(struct fake *f)
{
	struct vh_connector *c = NULL;
	int err = vh_connector_open(DEVICE, VH_ROLE_BACKEND, "test", &c);

	vh_connector_close(c);
	fake_free(f);
	return err;
}

static void a_list_that_turns_in_a_circle_ends(void **state)
{
	struct fake *f = fake_make(NULL);
	const uint8_t at = find_cap(f, 1);

	f->vp.fn.config[at + 1] = at;
	assert_true(try_open(f) < 0);
	f = fake_make(NULL);
	f->vp.fn.config[find_cap(f, VH_VVU_CAP_NOTIFICATION) + 1] = find_cap(f, 1);
	assert_true(try_open(f) <= 0);
}

static void a_structure_outside_of_its_bar_is_no_structure(void **state)
{
	static const uint8_t type[] = {1, 2, 4, VH_VVU_CAP_DOORBELL};

	for (unsigned i = 0; i < sizeof(type); i++) {
		struct fake *f = fake_make(NULL);

		memset(f->vp.fn.config + find_cap(f, type[i]) + 8, 0xff, 4);
		assert_int_equal(try_open(f), -ENODEV);
		f = fake_make(NULL);
		memset(f->vp.fn.config + find_cap(f, type[i]) + 12, 0xff, 4);
		assert_int_equal(try_open(f), -ENODEV);
		f = fake_make(NULL);
		f->vp.fn.config[find_cap(f, type[i]) + 4] = 6;
		assert_int_equal(try_open(f), -ENODEV);
		f = fake_make(NULL);
		f->vp.fn.config[find_cap(f, type[i]) + 4] = 3; /* none */
		assert_int_equal(try_open(f), -ENODEV);
	}
}

static void a_window_that_the_machine_has_no_room_for_is_told(void **state)
{
	struct fake *f = fake_make(NULL);

	f->vp.fn.bar[4].size = 0;
	rig_log_clear();
	assert_int_equal(try_open(f), 0);
	assert_int_equal(rig_logged("BAR 4 has no addresses"), 1);
}

static void a_structure_too_short_for_its_registers_is_no_structure(void **state)
{
	struct fake *f = fake_make(NULL);
	const uint32_t len = 0x10;

	memcpy(f->vp.fn.config + find_cap(f, 1) + 12, &len, sizeof(len));
	assert_int_equal(try_open(f), -ENODEV);
}

static void a_device_that_says_absurd_numbers_is_refused(void **state)
{
	static const uint32_t n[] = {0, 65537, UINT32_MAX};

	for (unsigned i = 0; i < 3; i++) {
		struct fake *f = fake_make(NULL);

		memcpy(f->config + 4, &n[i], sizeof(n[i]));
		assert_int_equal(try_open(f), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(messages_of_a_wrong_length_cut_the_front_end_off),
		RIG_TEST(headers_that_are_nonsense_cut_the_front_end_off),
		RIG_TEST(a_reply_that_nobody_waits_for_cuts_the_front_end_off),
		RIG_TEST(a_table_of_too_many_regions_cuts_the_front_end_off),
		RIG_TEST(regions_whose_sum_comes_round_cut_the_front_end_off),
		RIG_TEST(a_queue_that_the_device_breaks_is_made_anew),
		RIG_TEST(a_queue_that_breaks_before_anybody_came_is_made_anew),
		RIG_TEST(a_list_that_turns_in_a_circle_ends),
		RIG_TEST(a_structure_outside_of_its_bar_is_no_structure),
		RIG_TEST(a_window_that_the_machine_has_no_room_for_is_told),
		RIG_TEST(a_structure_too_short_for_its_registers_is_no_structure),
		RIG_TEST(a_device_that_says_absurd_numbers_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
