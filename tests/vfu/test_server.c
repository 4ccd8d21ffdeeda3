/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client is told, and accesses to regions. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_function_has_nine_regions_and_five_kinds_of_interrupts(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info info;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
	assert_int_equal(info.argsz, 16);
	assert_int_equal(info.flags, VH_VFU_DEVICE_RESET | VH_VFU_DEVICE_PCI);
	assert_int_equal(info.n_regions, 9);
	assert_int_equal(info.n_irqs, 5);
}

static void info_needs_room_for_itself_and_never_gets_more(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info ask = {.argsz = 32};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_GET_INFO, &ask, sizeof(ask), NULL, 0),
			 0);
	assert_int_equal(rig->c.len, 16);
	ask.argsz = 8;
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_GET_INFO, &ask, sizeof(ask), NULL, 0),
			 -EINVAL);
}

static void registers_are_read_and_written(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (uint32_t len = 1; len <= 8; len *= 2) {
		uint64_t in = 0x1122334455667788 >> (64 - 8 * len), out = 0;

		assert_int_equal(vfu_write(&rig->c, 0, 0x100 + len, &in, len), 0);
		assert_int_equal(vfu_read(&rig->c, 0, 0x100 + len, &out, len), 0);
		assert_int_equal(in, out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_function_has_nine_regions_and_five_kinds_of_interrupts),
		RIG_TEST(info_needs_room_for_itself_and_never_gets_more),
		RIG_TEST(registers_are_read_and_written),
	};

	return cmocka_run_group_tests_name("vfu/server", tests, NULL, NULL);
}
