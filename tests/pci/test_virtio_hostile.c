/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-pci with a driver that writes anything, in any order and width. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
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

/* ---- Features ---- */

static void features_that_were_not_offered_are_refused(void **state)
{
	device_accept(&d, DEVICE_FEATURES | 1ULL << 9);
	assert_int_equal(device_status(&d), 3);
	assert_int_equal(d.n_features, 0);
}

static void a_driver_of_an_older_standard_is_refused(void **state)
{
	device_accept(&d, DEVICE_FEATURES & ~(1ULL << VIRTIO_F_VERSION_1));
	assert_int_equal(device_status(&d), 3);
	assert_int_equal(d.n_features, 0);
}

static void features_that_the_owner_cannot_have_are_refused(void **state)
{
	d.features_result = -EINVAL;
	device_accept(&d, DEVICE_FEATURES);
	assert_int_equal(device_status(&d), 3);
	assert_int_equal(d.n_features, 1);
}

static void features_are_fixed_once_they_are_accepted(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	device_put(&d, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	device_put(&d, VIRTIO_PCI_COMMON_GF, 0, 4);
	assert_int_equal(d.vp.driver_features, DEVICE_FEATURES);
}

static void features_above_64_do_not_exist(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_GFSELECT, 2, 4);
	device_put(&d, VIRTIO_PCI_COMMON_GF, 0xffffffff, 4);
	device_put(&d, VIRTIO_PCI_COMMON_GFSELECT, 0xffffffff, 4);
	device_put(&d, VIRTIO_PCI_COMMON_GF, 0xffffffff, 4);
	assert_int_equal(d.vp.driver_features, 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_GF, 4), 0);
}

/* ---- Status ---- */

static void nothing_starts_before_features_are_accepted(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 7, 1);
	assert_int_equal(device_status(&d), 3);
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	assert_int_equal(device_status(&d), 3);
	assert_int_equal(d.n_start, 0);
}

static void bits_of_the_status_do_not_go_one_by_one(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 1, 1);
	assert_int_equal(device_status(&d), 0xf);
	assert_true(vh_virtio_pci_is_running(&d.vp));
}

static void needs_reset_is_not_the_drivers(void **state)
{
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xff, 1);
	assert_int_equal(device_status(&d), 0x8f);
	vh_virtio_pci_needs_reset(&d.vp);
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	assert_int_equal(device_status(&d), 0xcf);
}

static void a_broken_device_does_not_start(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	vh_virtio_pci_needs_reset(&d.vp);
	device_queue(&d, 0);
	device_put(&d, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	assert_int_equal(d.n_start + d.n_enable, 0);
}

/* ---- Queues ---- */

static void a_queue_that_is_not_there_reads_as_nothing(void **state)
{
	static const unsigned none[] = {DEVICE_QUEUES, 255, 256, 0xffff};

	device_accept(&d, DEVICE_FEATURES);
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		device_queue(&d, none[i]);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SELECT, 2), none[i]);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
		device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	}
	assert_int_equal(d.n_enable + d.n_queue_reset, 0);
}

static void sizes_that_no_ring_has_are_lost(void **state)
{
	static const unsigned bad[] = {0, 3, 127, 256, 0x8000, 0xffff};

	device_accept(&d, DEVICE_FEATURES);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		device_put(&d, VIRTIO_PCI_COMMON_Q_SIZE, bad[i], 2);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2),
				 DEVICE_SIZE);
	}
}

static void a_queue_is_not_enabled_before_features_are_accepted(void **state)
{
	device_queue(&d, 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(d.n_enable, 0);
}

static void rings_that_are_not_aligned_are_refused(void **state)
{
	static const struct {
		unsigned reg, align;
	} part[] = {{VIRTIO_PCI_COMMON_Q_DESCLO, 16},
		    {VIRTIO_PCI_COMMON_Q_AVAILLO, 2},
		    {VIRTIO_PCI_COMMON_Q_USEDLO, 4}};

	device_accept(&d, DEVICE_FEATURES);
	for (unsigned i = 0; i < 3; i++) {
		device_put(&d, part[i].reg, 0x1000 + part[i].align / 2, 8);
		device_put(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		device_put(&d, part[i].reg, 0x1000 + part[i].align, 8);
	}
	assert_int_equal(d.n_enable, 0);
	device_put(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void a_queue_that_the_owner_refuses_is_not_enabled(void **state)
{
	d.enable_result = -EINVAL;
	device_accept(&d, DEVICE_FEATURES);
	device_queue(&d, 0);
	assert_int_equal(d.n_enable, 1);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
}

static void an_enabled_queue_stays_as_it_is(void **state)
{
	const struct vh_virtio_pci_queue was = d.vp.queue[1];

	device_put(&d, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_SIZE, 2, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 0, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	for (unsigned at = VIRTIO_PCI_COMMON_Q_DESCLO; at < VIRTIO_PCI_COMMON_Q_NDATA;
	     at += 8) {
		device_put(&d, at, 0, 4);
		device_put(&d, at, 0, 8);
	}
	assert_memory_equal(&d.vp.queue[1], &was, sizeof(was));
	assert_int_equal(d.n_enable, DEVICE_QUEUES);
}

static void vectors_that_are_not_there_read_back_as_none(void **state)
{
	static const unsigned bad[] = {DEVICE_VECTORS, 0x7ff, 0xfffe, 0xffff};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		device_put(&d, VIRTIO_PCI_COMMON_MSIX, bad[i], 2);
		device_put(&d, VIRTIO_PCI_COMMON_Q_MSIX, bad[i], 2);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
		assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	}
	assert_int_equal(vh_virtio_pci_config_changed(&d.vp), VH_VIRTIO_PCI_NO_VECTOR);
}

static void a_queue_is_not_reset_without_the_feature(void **state)
{
	device_accept(&d, 1ULL << VIRTIO_F_VERSION_1);
	device_queue(&d, 0);
	device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2);
	assert_int_equal(d.n_queue_reset, 0);
	assert_int_equal(device_get(&d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void only_1_resets_a_queue_and_only_one_that_is_enabled(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 1, 2);
	device_queue(&d, 0);
	device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 0, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_RESET, 3, 2);
	assert_int_equal(d.n_queue_reset, 0);
}

static void notifications_before_driver_ok_are_lost(void **state)
{
	device_accept(&d, DEVICE_FEATURES);
	device_queue(&d, 0);
	device_put(&d, NOTIFY, 0, 2);
	assert_int_equal(d.n_notify, 0);
}

static void notifications_beside_a_queue_are_lost(void **state)
{
	for (unsigned i = 0; i < 4 * DEVICE_QUEUES + 8; i++)
		if (i % 4 || i >= 4 * DEVICE_QUEUES)
			device_put(&d, NOTIFY + i, 0, 2);
	device_put(&d, NOTIFY, 0, 8);
	device_put(&d, NOTIFY, 0, 3); /* inside of one: as good as any */
	assert_int_equal(d.n_notify, 1);
}

/* ---- Widths ---- */

/* Everything that is no register, written with ones: nothing happens. */
static void writes_of_other_widths_are_lost(void **state)
{
	static const uint8_t width[60] = {
		[0] = 4,  [4] = 4,  [8] = 4,  [12] = 4, [16] = 2,
		[18] = 2, [20] = 1, [21] = 1, [22] = 2, [24] = 2,
		[26] = 2, [28] = 2, [30] = 2, [56] = 2, [58] = 2};
	const struct vh_virtio_pci was = d.vp;

	for (unsigned at = 0; at < sizeof(width); at++)
		for (size_t len = 1; len <= sizeof(width) - at; len++) {
			uint8_t ones[60];
			const bool address = at >= 32 && at < 56 &&
					     (len == 4 || len == 8) && at % len == 0;

			memset(ones, 0xff, sizeof(ones));
			if (len == width[at] || address)
				continue;
			assert_int_equal(vh_pci_bar_write(&d.vp.fn, 0, at, ones, len), 0);
			assert_memory_equal(&d.vp, &was, sizeof(was));
		}
}

static void registers_that_are_read_only_stay(void **state)
{
	const struct vh_virtio_pci was = d.vp;

	device_put(&d, VIRTIO_PCI_COMMON_DF, 0, 4);
	device_put(&d, VIRTIO_PCI_COMMON_NUMQ, 0, 2);
	device_put(&d, VIRTIO_PCI_COMMON_CFGGENERATION, 0xff, 1);
	device_put(&d, VIRTIO_PCI_COMMON_Q_NOFF, 7, 2);
	device_put(&d, VIRTIO_PCI_COMMON_Q_NDATA, 7, 2);
	device_put(&d, ISR, 0xff, 1);
	assert_memory_equal(&d.vp, &was, sizeof(was));
}

static void device_configuration_has_an_end(void **state)
{
	uint8_t buf[0x1000];

	memset(d.config, 0xaa, sizeof(d.config));
	vh_pci_bar_read(&d.vp.fn, 0, CONFIG, buf, sizeof(buf));
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], i < DEVICE_CONFIG ? 0xaa : 0);
	memset(buf, 0xbb, sizeof(buf));
	assert_int_equal(vh_pci_bar_write(&d.vp.fn, 0, CONFIG - 0x800, buf, sizeof(buf)),
			 0);
	for (unsigned i = 0; i < DEVICE_CONFIG; i++)
		assert_int_equal(d.config[i], 0xbb);
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define R(name) cmocka_unit_test_setup(name, setup_running)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(features_that_were_not_offered_are_refused),
		T(a_driver_of_an_older_standard_is_refused),
		T(features_that_the_owner_cannot_have_are_refused),
		T(features_are_fixed_once_they_are_accepted),
		T(features_above_64_do_not_exist),
		T(nothing_starts_before_features_are_accepted),
		R(bits_of_the_status_do_not_go_one_by_one),
		R(needs_reset_is_not_the_drivers),
		T(a_broken_device_does_not_start),
		T(a_queue_that_is_not_there_reads_as_nothing),
		T(sizes_that_no_ring_has_are_lost),
		T(a_queue_is_not_enabled_before_features_are_accepted),
		T(rings_that_are_not_aligned_are_refused),
		T(a_queue_that_the_owner_refuses_is_not_enabled),
		R(an_enabled_queue_stays_as_it_is),
		R(vectors_that_are_not_there_read_back_as_none),
		T(a_queue_is_not_reset_without_the_feature),
		T(only_1_resets_a_queue_and_only_one_that_is_enabled),
		T(notifications_before_driver_ok_are_lost),
		R(notifications_beside_a_queue_are_lost),
		R(writes_of_other_widths_are_lost),
		R(registers_that_are_read_only_stay),
		R(device_configuration_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
