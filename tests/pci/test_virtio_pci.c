/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-pci with a driver that keeps the rules: Linux's and DPDK's ways to touch it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "device.h"

static struct device d;

static int setup(void **state)
{
	device_make(&d);
	return 0;
}

static int setup_running(void **state)
{
	device_make(&d);
	device_run(&d);
	return 0;
}

/* ---- How it is found ---- */

/* The place of the virtio capability of @type, or 0. */
static uint8_t cap_of(uint8_t type)
{
	uint8_t at = d.vp.fn.config[PCI_CAPABILITY_LIST];

	while (at &&
	       !(d.vp.fn.config[at] == PCI_CAP_ID_VNDR && d.vp.fn.config[at + 3] == type))
		at = d.vp.fn.config[at + 1];
	return at;
}

static void capabilities_name_all_structures(void **state)
{
	static const struct {
		uint8_t type, len;
		uint32_t offset, length;
	} want[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, 16, 0, 60},
		{VIRTIO_PCI_CAP_ISR_CFG, 16, ISR, 1},
		{VIRTIO_PCI_CAP_DEVICE_CFG, 16, CONFIG, DEVICE_CONFIG},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, 20, NOTIFY, 4 * DEVICE_QUEUES},
		{VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0},
	};

	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const uint8_t at = cap_of(want[i].type);
		struct virtio_pci_cap cap;

		assert_int_not_equal(at, 0);
		memcpy(&cap, d.vp.fn.config + at, sizeof(cap));
		assert_int_equal(cap.cap_len, want[i].len);
		assert_int_equal(cap.bar, 0);
		assert_int_equal(cap.offset, want[i].offset);
		assert_int_equal(cap.length, want[i].length);
	}
}

static void the_notify_multiplier_is_4(void **state)
{
	uint32_t multiplier;

	memcpy(&multiplier, d.vp.fn.config + cap_of(VIRTIO_PCI_CAP_NOTIFY_CFG) + 16, 4);
	assert_int_equal(multiplier, 4);
}

static void an_owner_can_add_a_structure(void **state)
{
	const uint32_t more = 2;
	const int at = vh_virtio_pci_add_cap(&d.vp, 6, 2, 1, 0x1000, 0x2000, &more, 4);

	assert_int_equal(at, cap_of(6));
	assert_memory_equal(d.vp.fn.config + at + 2,
			    "\x14\x06\x02\x01\0\0\0\x10\0\0\0\x20\0\0\2\0\0\0", 18);
	assert_int_equal(vh_virtio_pci_add_cap(&d.vp, 6, 2, 1, 0, 0, &more, 17), -EINVAL);
}

static void a_device_without_configuration_has_no_capability_for_it(void **state)
{
	const struct vh_virtio_pci_params p = {.features = DEVICE_FEATURES,
					       .n_queues = 1,
					       .queue_size = 1,
					       .ops = d.vp.ops,
					       .arg = &d};
	static struct vh_virtio_pci small;

	assert_int_equal(vh_virtio_pci_init(&small, &p), 0);
	d.vp.fn = small.fn;
	assert_int_equal(cap_of(VIRTIO_PCI_CAP_DEVICE_CFG), 0);
	assert_int_equal(small.fn.msix_cap, 0);
}

static void parameters_that_cannot_be_are_refused(void **state)
{
	const struct vh_virtio_pci_params good = {.features = DEVICE_FEATURES,
						  .n_queues = 1,
						  .queue_size = 256,
						  .n_vectors = 2,
						  .ops = d.vp.ops,
						  .arg = &d};
	struct vh_virtio_pci_params bad[] = {good, good, good, good, good, good};
	static struct vh_virtio_pci vp;

	bad[0].features = 0;
	bad[1].n_queues = 0;
	bad[2].n_queues = VH_VIRTIO_PCI_MAX_QUEUES + 1;
	bad[3].queue_size = 100;
	bad[4].config_size = 0x1001;
	bad[5].n_vectors = 2049;
	assert_int_equal(vh_virtio_pci_init(&vp, &good), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vh_virtio_pci_init(&vp, &bad[i]), -EINVAL);
}

/* ---- Features ---- */

static void features_are_offered_in_two_halves(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_DFSELECT, 0, 4);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_DF, 4),
			 (uint32_t)DEVICE_FEATURES);
	device_put(&d, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_DF, 4), DEVICE_FEATURES >> 32);
	device_put(&d, VIRTIO_PCI_COMMON_DFSELECT, 2, 4);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_DF, 4), 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_DFSELECT, 4), 2);
}

static void features_that_are_written_are_negotiated(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	assert_int_equal(device_status(&d), 0xb);
	assert_int_equal(d.n_features, 1);
	assert_int_equal(d.vp.driver_features, DEVICE_FEATURES);
	device_put(&d, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_GF, 4), DEVICE_FEATURES >> 32);
}

/* ---- Queues ---- */

static void a_queue_has_its_registers_back(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_NUMQ, 2), DEVICE_QUEUES);
	device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2), DEVICE_SIZE);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_NOFF, 2), 2);
	device_queue(&d, 2);
	assert_int_equal(d.n_enable, 1);
	assert_int_equal(d.last_queue, 2);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_MSIX, 2), 3);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_USEDLO, 8), 0x100022000);
}

static void addresses_can_be_written_in_halves(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	for (unsigned i = 0; i < 3; i++) {
		device_put(&d, VIRTIO_PCI_COMMON_Q_DESCLO + 8 * i, 0x89abcde0 + i, 4);
		device_put(&d, VIRTIO_PCI_COMMON_Q_DESCHI + 8 * i, 0x01234567, 4);
	}
	assert_int_equal(d.vp.queue[0].desc, 0x0123456789abcde0);
	assert_int_equal(d.vp.queue[0].avail, 0x0123456789abcde1);
	assert_int_equal(d.vp.queue[0].used, 0x0123456789abcde2);
}

static void one_read_of_everything_equals_reads_of_registers(void **state)
{
	uint8_t all[60], bytes[60];

	device_accept(&d, DEVICE_FEATURES);
	device_queue(&d, 1);
	vh_pci_bar_read(&d.vp.fn, 0, 0, all, sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++)
		bytes[i] = (uint8_t)device_get(&d, i, 1);
	assert_memory_equal(all, bytes, sizeof(all));
}

/* ---- Running ---- */

static void driver_ok_starts_the_device_once(void **state)
{
	assert_int_equal(device_status(&d), 0xf);
	assert_true(vh_virtio_pci_is_running(&d.vp));
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	assert_int_equal(d.n_start, 1);
	assert_int_equal(d.n_enable, DEVICE_QUEUES);
}

static void a_notification_may_have_any_width(void **state)
{
	static const size_t width[] = {1, 2, 4};

	for (unsigned i = 0; i < 3; i++) {
		device_put(&d, NOTIFY + 4 * i, 0, width[i]);
		assert_int_equal(d.n_notify, i + 1);
		assert_int_equal(d.last_queue, i);
	}
	assert_int_equal(device_get(&d, NOTIFY, 4), 0);
}

static void device_configuration_is_the_owners(void **state)
{
	memcpy(d.config, "0123456789abcdefghijklmn", DEVICE_CONFIG);
	assert_int_equal(device_get(&d, CONFIG + 1, 2), 0x3231);
	device_put(&d, CONFIG + 22, 0x4241, 2);
	assert_memory_equal(d.config, "0123456789abcdefghijklAB", DEVICE_CONFIG);
}

static void interrupts_have_the_vectors_that_were_asked_for(void **state)
{
	assert_int_equal(vh_virtio_pci_used(&d.vp, 1), 2);
	assert_int_equal(vh_virtio_pci_config_changed(&d.vp), 0);
	assert_int_equal(device_get(&d, ISR, 1), VH_ISR_QUEUE | VH_ISR_CONFIG);
	assert_int_equal(device_get(&d, ISR, 1), 0);
}

static void a_vector_can_change_while_the_queue_runs(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
	assert_int_equal(d.n_vector, 1);
	assert_int_equal(d.last_queue, 1);
	assert_int_equal(vh_virtio_pci_used(&d.vp, 1), 0);
}

static void nobody_is_interrupted_who_is_not_master(void **state)
{
	const uint16_t command = PCI_COMMAND_MEMORY;

	vh_pci_config_write(&d.vp.fn, PCI_COMMAND, &command, 2);
	assert_int_equal(vh_virtio_pci_used(&d.vp, 1), VH_VIRTIO_PCI_NO_VECTOR);
	assert_int_equal(vh_virtio_pci_config_changed(&d.vp), VH_VIRTIO_PCI_NO_VECTOR);
	assert_int_equal(device_get(&d, ISR, 1), VH_ISR_QUEUE | VH_ISR_CONFIG);
}

static void a_change_of_configuration_is_a_new_generation(void **state)
{
	const uint64_t was = device_get(&d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	vh_virtio_pci_used(&d.vp, 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), was);
	vh_virtio_pci_config_changed(&d.vp);
	assert_int_not_equal(device_get(&d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), was);
}

static void a_device_that_is_broken_says_so_and_stops(void **state)
{
	assert_int_equal(vh_virtio_pci_needs_reset(&d.vp), 0);
	assert_int_equal(device_status(&d), 0x4f);
	assert_int_equal(device_get(&d, ISR, 1), VH_ISR_CONFIG);
	device_put(&d, NOTIFY, 0, 2);
	assert_int_equal(d.n_notify, 0);
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	assert_int_equal(device_status(&d), 0);
}

/* ---- Reset ---- */

static void expect_fresh(void)
{
	static struct device fresh;

	device_make(&fresh);
	fresh.vp.generation = d.vp.generation;
	for (unsigned q = 0; q <= DEVICE_QUEUES; q++) {
		uint8_t a[60], b[60];

		device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		device_put(&fresh, VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		vh_pci_bar_read(&d.vp.fn, 0, 0, a, sizeof(a));
		vh_pci_bar_read(&fresh.vp.fn, 0, 0, b, sizeof(b));
		assert_memory_equal(a, b, sizeof(a));
	}
}

static void writing_0_to_the_status_resets(void **state)
{
	assert_int_equal(device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0, 1), 0);
	expect_fresh();
	assert_true(vh_pci_is_master(&d.vp.fn));
	device_run(&d);
	assert_int_equal(device_status(&d), 0xf);
}

static void a_reset_of_the_function_is_one_of_the_device(void **state)
{
	const unsigned was = d.n_reset;

	assert_int_equal(vh_virtio_pci_reset(&d.vp), 0);
	assert_int_equal(d.n_reset, was + 1);
	assert_false(vh_pci_is_master(&d.vp.fn));
	expect_fresh();
}

static void a_reset_may_end_later(void **state)
{
	const unsigned was = d.n_reset;

	d.reset_result = -EINPROGRESS;
	assert_int_equal(device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0, 1), -EINPROGRESS);
	assert_int_equal(device_status(&d), 0xf);
	assert_false(vh_virtio_pci_is_running(&d.vp));
	assert_int_equal(vh_virtio_pci_used(&d.vp, 0), VH_VIRTIO_PCI_NO_VECTOR);
	device_put(&d, NOTIFY, 0, 2);
	device_put(&d, CONFIG, 1, 4);
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	assert_int_equal(d.n_notify, 0);
	assert_int_equal(d.config[0], 0);
	assert_int_equal(vh_virtio_pci_reset(&d.vp), -EINPROGRESS);
	assert_int_equal(d.n_reset, was + 1);
	vh_virtio_pci_reset_done(&d.vp);
	expect_fresh();
}

static void one_queue_can_be_reset(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	assert_int_equal(device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2), 0);
	assert_int_equal(d.n_queue_reset, 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2), DEVICE_SIZE);
	device_put(&d, NOTIFY + 4, 1, 2);
	assert_int_equal(d.n_notify, 0);
	device_queue(&d, 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	device_put(&d, NOTIFY + 4, 1, 2);
	assert_int_equal(d.n_notify, 1);
}

static void a_reset_of_a_queue_may_end_later(void **state)
{
	d.queue_reset_result = -EINPROGRESS;
	device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	assert_int_equal(device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2), -EINPROGRESS);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_RESET, 2), 1);
	device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2);
	device_put(&d, NOTIFY + 4, 1, 2);
	assert_int_equal(d.n_queue_reset, 1);
	assert_int_equal(d.n_notify, 0);
	vh_virtio_pci_queue_reset_done(&d.vp, 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
}

/* ---- Access through configuration space ---- */

static void aim(uint8_t bar, uint32_t offset, uint32_t length)
{
	const uint8_t at = cap_of(VIRTIO_PCI_CAP_PCI_CFG);

	vh_pci_config_write(&d.vp.fn, at + 4, &bar, 1);
	vh_pci_config_write(&d.vp.fn, at + 8, &offset, 4);
	vh_pci_config_write(&d.vp.fn, at + 12, &length, 4);
}

static void registers_are_reached_through_configuration_space(void **state)
{
	const uint8_t data = cap_of(VIRTIO_PCI_CAP_PCI_CFG) + 16;
	uint16_t v = 0;

	aim(0, VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(vh_pci_config_read(&d.vp.fn, data, &v, 2), 0);
	assert_int_equal(v, DEVICE_QUEUES);
	aim(0, VIRTIO_PCI_COMMON_Q_SELECT, 2);
	v = 7;
	assert_int_equal(vh_pci_config_write(&d.vp.fn, data, &v, 2), 0);
	assert_int_equal(d.vp.queue_select, 7);
}

static void a_reset_through_configuration_space_may_end_later(void **state)
{
	const uint8_t data = cap_of(VIRTIO_PCI_CAP_PCI_CFG) + 16;

	d.reset_result = -EINPROGRESS;
	aim(0, VIRTIO_PCI_COMMON_STATUS, 1);
	assert_int_equal(vh_pci_config_write(&d.vp.fn, data, "", 1), -EINPROGRESS);
}

/* Who reads all of configuration space must not clear anything. */
static void only_an_access_of_the_right_width_reaches_through(void **state)
{
	const uint8_t data = cap_of(VIRTIO_PCI_CAP_PCI_CFG) + 16;
	uint8_t all[VH_PCI_CONFIG_SIZE];

	vh_virtio_pci_used(&d.vp, 0);
	aim(0, ISR, 1);
	vh_pci_config_read(&d.vp.fn, 0, all, sizeof(all));
	vh_pci_config_read(&d.vp.fn, data, all, 2);
	vh_pci_config_read(&d.vp.fn, data + 1, all, 1);
	assert_int_equal(d.vp.isr, VH_ISR_QUEUE);
	vh_pci_config_read(&d.vp.fn, data, all, 1);
	assert_int_equal(all[0], VH_ISR_QUEUE);
	assert_int_equal(d.vp.isr, 0);
}

static void what_is_not_there_reads_as_ones_through_configuration_space(void **state)
{
	const uint8_t data = cap_of(VIRTIO_PCI_CAP_PCI_CFG) + 16;
	static const struct {
		uint8_t bar;
		uint32_t offset;
	} bad[] = {{5, 0}, {6, 0}, {255, 0}, {0, VH_VIRTIO_PCI_BAR0_SIZE}, {0, ~3u}};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t v = 0;

		aim(bad[i].bar, bad[i].offset, 4);
		assert_int_equal(vh_pci_config_write(&d.vp.fn, data, &v, 4), 0);
		assert_int_equal(vh_pci_config_read(&d.vp.fn, data, &v, 4), 0);
		assert_int_equal(v, 0xffffffff);
	}
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define R(name) cmocka_unit_test_setup(name, setup_running)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(capabilities_name_all_structures),
		T(the_notify_multiplier_is_4),
		T(an_owner_can_add_a_structure),
		T(a_device_without_configuration_has_no_capability_for_it),
		T(parameters_that_cannot_be_are_refused),
		T(features_are_offered_in_two_halves),
		T(features_that_are_written_are_negotiated),
		T(a_queue_has_its_registers_back),
		T(addresses_can_be_written_in_halves),
		T(one_read_of_everything_equals_reads_of_registers),
		R(driver_ok_starts_the_device_once),
		R(a_notification_may_have_any_width),
		R(device_configuration_is_the_owners),
		R(interrupts_have_the_vectors_that_were_asked_for),
		R(a_vector_can_change_while_the_queue_runs),
		R(nobody_is_interrupted_who_is_not_master),
		R(a_change_of_configuration_is_a_new_generation),
		R(a_device_that_is_broken_says_so_and_stops),
		R(writing_0_to_the_status_resets),
		R(a_reset_of_the_function_is_one_of_the_device),
		R(a_reset_may_end_later),
		R(one_queue_can_be_reset),
		R(a_reset_of_a_queue_may_end_later),
		R(registers_are_reached_through_configuration_space),
		R(a_reset_through_configuration_space_may_end_later),
		R(only_an_access_of_the_right_width_reaches_through),
		R(what_is_not_there_reads_as_ones_through_configuration_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
