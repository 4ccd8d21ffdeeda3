/* SPDX-License-Identifier: BSD-3-Clause */
/* Which features pass between a front-end and a driver in a guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_config.h>

#include "spec/vhost_user.h"
#include "spec/vvu.h"
#include "vvu/filter.h"

#define ALWAYS                                                                       \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_RARP) | VH_BIT(VH_PF_REPLY_ACK) |           \
	 VH_BIT(VH_PF_NET_MTU) | VH_BIT(VH_PF_CROSS_ENDIAN) | VH_BIT(VH_PF_CONFIG) | \
	 VH_BIT(VH_PF_RESET_DEVICE) | VH_BIT(VH_PF_STATUS) |                         \
	 VH_BIT(VH_PF_GPA_ADDRESSES))

static uint64_t protocol_of(uint64_t driver, size_t max_msg)
{
	struct vh_filter f;

	vh_filter_init(&f, driver, max_msg);
	return vh_filter_protocol(&f, UINT64_MAX);
}

static void a_driver_that_acks_nothing_gets_what_needs_no_fds(void **state)
{
	(void)state;
	assert_int_equal(protocol_of(0, 1024), ALWAYS);
}

static void each_feature_of_the_driver_lets_its_own_bits_pass(void **state)
{
	const struct {
		uint64_t driver;
		size_t max_msg;
		uint64_t more;
	} rows[] = {
		{VH_BIT(VH_VVU_F_BACKEND_REQ), 1024,
		 VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_INBAND_NOTIFICATIONS)},
		{VH_BIT(VH_VVU_F_LOG), 1024, VH_BIT(VH_PF_LOG_SHMFD)},
		{VH_BIT(VH_VVU_F_INFLIGHT), 1024,
		 VH_BIT(VH_PF_INFLIGHT_SHMFD) | VH_BIT(VH_PF_GET_VRING_BASE_INFLIGHT) |
			 VH_BIT(VH_PF_GET_VRING_BASE_SKIP_DRAIN)},
		{VH_BIT(VH_VVU_F_NOTIFY), 1024, 0},
		{VH_BIT(VH_VVU_F_LONG_MSG), 1024, 0},
		{VH_BIT(VH_VVU_F_LONG_MSG), 4096, VH_BIT(VH_PF_CRYPTO_SESSION)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(protocol_of(rows[i].driver, rows[i].max_msg),
				 ALWAYS | rows[i].more);
}

static void what_needs_other_fds_never_passes(void **state)
{
	const uint64_t never = VH_BIT(VH_PF_PAGEFAULT) | VH_BIT(VH_PF_BACKEND_SEND_FD) |
			       VH_BIT(VH_PF_HOST_NOTIFIER) |
			       VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) |
			       VH_BIT(VH_PF_XEN_MMAP) | VH_BIT(VH_PF_SHARED_OBJECT) |
			       VH_BIT(VH_PF_DEVICE_STATE) | VH_BIT(VH_PF_SHMEM);

	(void)state;
	assert_int_equal(protocol_of(UINT64_MAX, 1 << 20) & never, 0);
	assert_int_equal(protocol_of(UINT64_MAX, 1 << 20) >> VH_PF_COUNT, 0);
}

static void bits_are_never_added(void **state)
{
	struct vh_filter f;

	(void)state;
	vh_filter_init(&f, UINT64_MAX, 4096);
	assert_int_equal(vh_filter_protocol(&f, 0), 0);
	assert_int_equal(vh_filter_features(&f, 0), 0);
	assert_int_equal(vh_filter_features(&f, 0x123456789abcdef), 0x123456789abcdef);
}

static void a_bit_goes_with_the_one_that_it_needs(void **state)
{
	struct vh_filter f;

	(void)state;
	vh_filter_init(&f, UINT64_MAX, 4096);
	assert_int_equal(vh_filter_protocol(&f, VH_BIT(VH_PF_INBAND_NOTIFICATIONS) |
							VH_BIT(VH_PF_REPLY_ACK)),
			 VH_BIT(VH_PF_REPLY_ACK));
	assert_int_equal(
		vh_filter_protocol(&f, VH_BIT(VH_PF_GET_VRING_BASE_SKIP_DRAIN) |
					       VH_BIT(VH_PF_GET_VRING_BASE_INFLIGHT)),
		0);
}

static void dirty_pages_and_an_iommu_pass_only_with_what_they_need(void **state)
{
	const uint64_t log = VH_BIT(VH_F_LOG_ALL),
		       iommu = VH_BIT(VIRTIO_F_ACCESS_PLATFORM);
	struct vh_filter f;

	(void)state;
	vh_filter_init(&f, 0, 1024);
	assert_int_equal(vh_filter_features(&f, UINT64_MAX), ~(log | iommu));
	vh_filter_init(&f, VH_BIT(VH_VVU_F_LOG), 1024);
	assert_int_equal(vh_filter_features(&f, UINT64_MAX), ~iommu);
	vh_filter_init(&f, VH_BIT(VH_VVU_F_BACKEND_REQ), 1024);
	assert_int_equal(vh_filter_features(&f, UINT64_MAX), ~log);
}

static void queues_are_no_more_than_there_are_doorbells(void **state)
{
	(void)state;
	assert_int_equal(vh_filter_queues(4, 256, 1), 4);
	assert_int_equal(vh_filter_queues(UINT64_MAX, 256, 1), 256);
	assert_int_equal(vh_filter_queues(200, 256, 2), 128);
	assert_int_equal(vh_filter_queues(1, 1, 2), 0);
	assert_int_equal(vh_filter_queues(7, 8, 0), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_that_acks_nothing_gets_what_needs_no_fds),
		cmocka_unit_test(each_feature_of_the_driver_lets_its_own_bits_pass),
		cmocka_unit_test(what_needs_other_fds_never_passes),
		cmocka_unit_test(bits_are_never_added),
		cmocka_unit_test(a_bit_goes_with_the_one_that_it_needs),
		cmocka_unit_test(dirty_pages_and_an_iommu_pass_only_with_what_they_need),
		cmocka_unit_test(queues_are_no_more_than_there_are_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
