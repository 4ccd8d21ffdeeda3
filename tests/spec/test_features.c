/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of feature bits; the numbers are written out as in the specifications. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <vhost/vhost.h>

#include "spec/vhost_user.h"

enum {
	NET = 1,
	BLK = 2,
	CONSOLE = 3,
	RNG = 4,
	BALLOON = 5,
	SCSI = 8,
	GPU = 16,
	INPUT = 18
};
enum {
	VSOCK = 19,
	CRYPTO = 20,
	IOMMU = 23,
	MEM = 24,
	FS = 26,
	SCMI = 32,
	I2C = 34,
	BT = 40
};
enum { GPIO = 41 };

static void every_protocol_feature_has_its_name(void **state)
{
	const char *const names[] = {
		"MQ",
		"LOG_SHMFD",
		"RARP",
		"REPLY_ACK",
		"NET_MTU",
		"BACKEND_REQ",
		"CROSS_ENDIAN",
		"CRYPTO_SESSION",
		"PAGEFAULT",
		"CONFIG",
		"BACKEND_SEND_FD",
		"HOST_NOTIFIER",
		"INFLIGHT_SHMFD",
		"RESET_DEVICE",
		"INBAND_NOTIFICATIONS",
		"CONFIGURE_MEM_SLOTS",
		"STATUS",
		"XEN_MMAP",
		"SHARED_OBJECT",
		"DEVICE_STATE",
		"GET_VRING_BASE_INFLIGHT",
		"GPA_ADDRESSES",
		"SHMEM",
		"GET_VRING_BASE_SKIP_DRAIN",
	};

	assert_int_equal(sizeof(names) / sizeof(names[0]), VH_PF_COUNT);
	for (unsigned bit = 0; bit < VH_PF_COUNT; bit++)
		assert_string_equal(vh_protocol_feature_name(bit), names[bit]);
}

static void a_bit_that_nobody_defined_has_no_name(void **state)
{
	assert_null(vh_protocol_feature_name(VH_PF_COUNT));
	assert_null(vh_protocol_feature_name(63));
	assert_null(vh_protocol_feature_name(UINT32_MAX));
	assert_null(vh_feature_name(NET, 4));
	assert_null(vh_feature_name(NET, 25));
	assert_null(vh_feature_name(NET, 31));
	assert_null(vh_feature_name(NET, 42));
	assert_null(vh_feature_name(NET, 64));
	assert_null(vh_feature_name(BLK, 18));
	assert_null(vh_feature_name(BLK, UINT32_MAX));
}

static void a_device_without_features_has_only_the_common_names(void **state)
{
	const unsigned ids[] = {0, RNG, INPUT, 42, 63, 0x1000, UINT32_MAX};

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		for (unsigned bit = 0; bit < 24; bit++)
			assert_null(vh_feature_name(ids[i], bit));
		for (unsigned bit = 42; bit < 70; bit++)
			assert_null(vh_feature_name(ids[i], bit));
		assert_string_equal(vh_feature_name(ids[i], 32), "VERSION_1");
	}
}

static const struct {
	unsigned id, bit;
	const char *name;
} names[] = {
	{NET, 24, "NOTIFY_ON_EMPTY"},
	{NET, 26, "LOG_ALL"},
	{NET, 27, "ANY_LAYOUT"},
	{NET, 28, "INDIRECT_DESC"},
	{NET, 29, "EVENT_IDX"},
	{NET, 30, "PROTOCOL_FEATURES"},
	{NET, 33, "ACCESS_PLATFORM"},
	{NET, 34, "RING_PACKED"},
	{NET, 35, "IN_ORDER"},
	{NET, 36, "ORDER_PLATFORM"},
	{NET, 37, "SR_IOV"},
	{NET, 38, "NOTIFICATION_DATA"},
	{NET, 39, "NOTIF_CONFIG_DATA"},
	{NET, 40, "RING_RESET"},
	{NET, 41, "ADMIN_VQ"},
	{NET, 0, "CSUM"},
	{NET, 3, "MTU"},
	{NET, 5, "MAC"},
	{NET, 6, "GSO"},
	{NET, 12, "HOST_TSO6"},
	{NET, 15, "MRG_RXBUF"},
	{NET, 16, "STATUS"},
	{NET, 21, "GUEST_ANNOUNCE"},
	{NET, 22, "MQ"},
	{NET, 23, "CTRL_MAC_ADDR"},
	{NET, 50, "DEVICE_STATS"},
	{NET, 51, "HASH_TUNNEL"},
	{NET, 52, "VQ_NOTF_COAL"},
	{NET, 53, "NOTF_COAL"},
	{NET, 54, "GUEST_USO4"},
	{NET, 55, "GUEST_USO6"},
	{NET, 56, "HOST_USO"},
	{NET, 57, "HASH_REPORT"},
	{NET, 59, "GUEST_HDRLEN"},
	{NET, 60, "RSS"},
	{NET, 61, "RSC_EXT"},
	{NET, 62, "STANDBY"},
	{NET, 63, "SPEED_DUPLEX"},
	{BLK, 0, "BARRIER"},
	{BLK, 1, "SIZE_MAX"},
	{BLK, 5, "RO"},
	{BLK, 7, "SCSI"},
	{BLK, 9, "FLUSH"},
	{BLK, 11, "CONFIG_WCE"},
	{BLK, 12, "MQ"},
	{BLK, 14, "WRITE_ZEROES"},
	{BLK, 15, "LIFETIME"},
	{BLK, 16, "SECURE_ERASE"},
	{BLK, 17, "ZONED"},
	{CONSOLE, 1, "MULTIPORT"},
	{BALLOON, 5, "REPORTING"},
	{SCSI, 0, "INOUT"},
	{SCSI, 3, "T10_PI"},
	{GPU, 4, "CONTEXT_INIT"},
	{VSOCK, 0, "STREAM"},
	{VSOCK, 1, "SEQPACKET"},
	{VSOCK, 2, "NO_IMPLIED_STREAM"},
	{CRYPTO, 5, "AKCIPHER_STATELESS_MODE"},
	{IOMMU, 6, "BYPASS_CONFIG"},
	{MEM, 1, "UNPLUGGED_INACCESSIBLE"},
	{FS, 0, "NOTIFICATION"},
	{SCMI, 1, "SHARED_MEMORY"},
	{I2C, 0, "ZERO_LENGTH_REQUEST"},
	{BT, 2, "AOSP_EXT"},
	{GPIO, 0, "IRQ"},
};

static void a_feature_has_the_name_of_the_specification(void **state)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *name = vh_feature_name(names[i].id, names[i].bit);

		if (!name || strcmp(name, names[i].name))
			fail_msg("device %u, bit %u is %s", names[i].id, names[i].bit,
				 name ? name : "unnamed");
	}
}

static void no_device_gives_two_bits_one_name(void **state)
{
	for (unsigned id = 0; id < 50; id++) {
		for (unsigned a = 0; a < 64; a++) {
			for (unsigned b = a + 1; b < 64; b++) {
				const char *x = vh_feature_name(id, a);
				const char *y = vh_feature_name(id, b);

				assert_false(x && y && !strcmp(x, y));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_protocol_feature_has_its_name),
		cmocka_unit_test(a_bit_that_nobody_defined_has_no_name),
		cmocka_unit_test(a_device_without_features_has_only_the_common_names),
		cmocka_unit_test(a_feature_has_the_name_of_the_specification),
		cmocka_unit_test(no_device_gives_two_bits_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
