/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of feature bits, for people: those of virtio, by device, and those of
 * vhost-user.  Constant; any thread.
 */
#include <assert.h>

#include <linux/virtio_balloon.h>
#include <linux/virtio_bt.h>
#include <linux/virtio_console.h>
#include <linux/virtio_gpio.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_iommu.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_scmi.h>
#include <linux/virtio_scsi.h>

#include <vhost/vhost.h>

#include "spec/vhost_user.h"
#include "spec/virtio.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- "Protocol features" of vhost-user ---- */

#define NAME(bit) [VH_PF_##bit] = #bit

static const char *const protocol_features[] = {
	NAME(MQ),
	NAME(LOG_SHMFD),
	NAME(RARP),
	NAME(REPLY_ACK),
	NAME(NET_MTU),
	NAME(BACKEND_REQ),
	NAME(CROSS_ENDIAN),
	NAME(CRYPTO_SESSION),
	NAME(PAGEFAULT),
	NAME(CONFIG),
	NAME(BACKEND_SEND_FD),
	NAME(HOST_NOTIFIER),
	NAME(INFLIGHT_SHMFD),
	NAME(RESET_DEVICE),
	NAME(INBAND_NOTIFICATIONS),
	NAME(CONFIGURE_MEM_SLOTS),
	NAME(STATUS),
	NAME(XEN_MMAP),
	NAME(SHARED_OBJECT),
	NAME(DEVICE_STATE),
	NAME(GET_VRING_BASE_INFLIGHT),
	NAME(GPA_ADDRESSES),
	NAME(SHMEM),
	NAME(GET_VRING_BASE_SKIP_DRAIN),
};

#undef NAME

static_assert(ARRAY_LEN(protocol_features) == VH_PF_COUNT, "a feature has no name");

const char *vh_protocol_feature_name(unsigned bit)
{
	return bit < VH_PF_COUNT ? protocol_features[bit] : NULL;
}

/* ---- Bits 24 to 41 of virtio: rings and transport, whatever the device ---- */

#define FIRST_COMMON 24
#define LAST_COMMON  41

#define NAME(prefix, bit) [VIRTIO##prefix##_F_##bit - FIRST_COMMON] = #bit

static const char *const common[] = {
	NAME(, NOTIFY_ON_EMPTY),
	[VH_F_LOG_ALL - FIRST_COMMON] = "LOG_ALL",
	NAME(, ANY_LAYOUT),
	NAME(_RING, INDIRECT_DESC),
	NAME(_RING, EVENT_IDX),
	[VH_F_PROTOCOL_FEATURES - FIRST_COMMON] = "PROTOCOL_FEATURES",
	NAME(, VERSION_1),
	NAME(, ACCESS_PLATFORM),
	NAME(, RING_PACKED),
	NAME(, IN_ORDER),
	NAME(, ORDER_PLATFORM),
	NAME(, SR_IOV),
	NAME(, NOTIFICATION_DATA),
	NAME(, NOTIF_CONFIG_DATA),
	NAME(, RING_RESET),
	NAME(, ADMIN_VQ),
};

#undef NAME

static_assert(ARRAY_LEN(common) == LAST_COMMON - FIRST_COMMON + 1, "a bit is missing");

/* ---- Devices ---- */

static const char *const net[] = {
#define NAME(bit) [VIRTIO_NET_F_##bit] = #bit
	NAME(CSUM),	   NAME(GUEST_CSUM),	NAME(CTRL_GUEST_OFFLOADS),
	NAME(MTU),	   NAME(MAC),		NAME(GSO),
	NAME(GUEST_TSO4),  NAME(GUEST_TSO6),	NAME(GUEST_ECN),
	NAME(GUEST_UFO),   NAME(HOST_TSO4),	NAME(HOST_TSO6),
	NAME(HOST_ECN),	   NAME(HOST_UFO),	NAME(MRG_RXBUF),
	NAME(STATUS),	   NAME(CTRL_VQ),	NAME(CTRL_RX),
	NAME(CTRL_VLAN),   NAME(CTRL_RX_EXTRA), NAME(GUEST_ANNOUNCE),
	NAME(MQ),	   NAME(CTRL_MAC_ADDR), NAME(DEVICE_STATS),
	NAME(HASH_TUNNEL), NAME(VQ_NOTF_COAL),	NAME(NOTF_COAL),
	NAME(GUEST_USO4),  NAME(GUEST_USO6),	NAME(HOST_USO),
	NAME(HASH_REPORT), NAME(GUEST_HDRLEN),	NAME(RSS),
	NAME(RSC_EXT),	   NAME(STANDBY),	NAME(SPEED_DUPLEX),
#undef NAME
};

static const char *const blk[] = {
#define NAME(bit) [VIRTIO_BLK_F_##bit] = #bit
	NAME(BARRIER),	    NAME(SIZE_MAX),   NAME(SEG_MAX),	  NAME(GEOMETRY),
	NAME(RO),	    NAME(BLK_SIZE),   NAME(SCSI),	  NAME(FLUSH),
	NAME(TOPOLOGY),	    NAME(CONFIG_WCE), NAME(MQ),		  NAME(DISCARD),
	NAME(WRITE_ZEROES), NAME(LIFETIME),   NAME(SECURE_ERASE), NAME(ZONED),
#undef NAME
};

static const char *const console[] = {
#define NAME(bit) [VIRTIO_CONSOLE_F_##bit] = #bit
	NAME(SIZE),
	NAME(MULTIPORT),
	NAME(EMERG_WRITE),
#undef NAME
};

static const char *const balloon[] = {
#define NAME(bit) [VIRTIO_BALLOON_F_##bit] = #bit
	NAME(MUST_TELL_HOST), NAME(STATS_VQ),	 NAME(DEFLATE_ON_OOM),
	NAME(FREE_PAGE_HINT), NAME(PAGE_POISON), NAME(REPORTING),
#undef NAME
};

static const char *const scsi[] = {
#define NAME(bit) [VIRTIO_SCSI_F_##bit] = #bit
	NAME(INOUT),
	NAME(HOTPLUG),
	NAME(CHANGE),
	NAME(T10_PI),
#undef NAME
};

static const char *const gpu[] = {
#define NAME(bit) [VIRTIO_GPU_F_##bit] = #bit
	NAME(VIRGL),	     NAME(EDID),	 NAME(RESOURCE_UUID),
	NAME(RESOURCE_BLOB), NAME(CONTEXT_INIT), NAME(BLOB_ALIGNMENT),
#undef NAME
};

static const char *const vsock[] = {
#define NAME(bit) [VIRTIO_VSOCK_F_##bit] = #bit
	NAME(STREAM),
	NAME(SEQPACKET),
	NAME(NO_IMPLIED_STREAM),
#undef NAME
};

static const char *const crypto[] = {
#define NAME(bit) [VIRTIO_CRYPTO_F_##bit] = #bit
	NAME(REVISION_1),	   NAME(CIPHER_STATELESS_MODE),
	NAME(HASH_STATELESS_MODE), NAME(MAC_STATELESS_MODE),
	NAME(AEAD_STATELESS_MODE), NAME(AKCIPHER_STATELESS_MODE),
#undef NAME
};

static const char *const iommu[] = {
#define NAME(bit) [VIRTIO_IOMMU_F_##bit] = #bit
	NAME(INPUT_RANGE), NAME(DOMAIN_RANGE), NAME(MAP_UNMAP),	    NAME(BYPASS),
	NAME(PROBE),	   NAME(MMIO),	       NAME(BYPASS_CONFIG),
#undef NAME
};

static const char *const mem[] = {
#define NAME(bit) [VIRTIO_MEM_F_##bit] = #bit
	NAME(ACPI_PXM),
	NAME(UNPLUGGED_INACCESSIBLE),
#undef NAME
};

static const char *const fs[] = {[VIRTIO_FS_F_NOTIFICATION] = "NOTIFICATION"};
static const char *const i2c[] = {[VIRTIO_I2C_F_ZERO_LENGTH_REQUEST] =
					  "ZERO_LENGTH_REQUEST"};
static const char *const gpio[] = {[VIRTIO_GPIO_F_IRQ] = "IRQ"};
static const char *const scmi[] = {[VIRTIO_SCMI_F_P2A_CHANNELS] = "P2A_CHANNELS",
				   [VIRTIO_SCMI_F_SHARED_MEMORY] = "SHARED_MEMORY"};
static const char *const bt[] = {[VIRTIO_BT_F_VND_HCI] = "VND_HCI",
				 [VIRTIO_BT_F_MSFT_EXT] = "MSFT_EXT",
				 [VIRTIO_BT_F_AOSP_EXT] = "AOSP_EXT"};

/* Devices that are not here (rng, input, ...) have no features of their own. */
static const struct {
	const char *const *names;
	unsigned n;
} devices[] = {
#define DEVICE(id, table) [VIRTIO_ID_##id] = {table, ARRAY_LEN(table)}
	DEVICE(NET, net),	  DEVICE(BLOCK, blk),	  DEVICE(CONSOLE, console),
	DEVICE(BALLOON, balloon), DEVICE(SCSI, scsi),	  DEVICE(GPU, gpu),
	DEVICE(VSOCK, vsock),	  DEVICE(CRYPTO, crypto), DEVICE(IOMMU, iommu),
	DEVICE(MEM, mem),	  DEVICE(FS, fs),	  DEVICE(SCMI, scmi),
	DEVICE(I2C_ADAPTER, i2c), DEVICE(BT, bt),	  DEVICE(GPIO, gpio),
#undef DEVICE
};

const char *vh_feature_name(unsigned virtio_id, unsigned bit)
{
	if (bit >= FIRST_COMMON && bit <= LAST_COMMON)
		return common[bit - FIRST_COMMON];
	if (virtio_id < ARRAY_LEN(devices) && bit < devices[virtio_id].n)
		return devices[virtio_id].names[bit];
	return NULL;
}
