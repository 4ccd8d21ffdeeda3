/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user: numbers and wire layouts, from QEMU's docs/interop/vhost-user.rst.
 * Section names are that document's.  Knows nothing of sockets or state.
 */
#ifndef VH_SPEC_VHOST_USER_H
#define VH_SPEC_VHOST_USER_H

#include <stdint.h>

/* ---- Header ---- */

#define VH_FLAG_VERSION_MASK 0x3u
#define VH_FLAG_VERSION	     0x1u
#define VH_FLAG_REPLY	     (1u << 2)
#define VH_FLAG_NEED_REPLY   (1u << 3)

#define VH_MAX_PAYLOAD 8192
#define VH_MAX_FDS     8 /* in one message, both channels */

struct vh_wire_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

/* ---- Feature bits of the virtio feature word that vhost-user itself uses ---- */

#define VH_F_LOG_ALL	       26
#define VH_F_PROTOCOL_FEATURES 30

/* ---- "Protocol features" ---- */

enum vh_protocol_feature {
	VH_PF_MQ = 0,
	VH_PF_LOG_SHMFD = 1,
	VH_PF_RARP = 2,
	VH_PF_REPLY_ACK = 3,
	VH_PF_NET_MTU = 4,
	VH_PF_BACKEND_REQ = 5,
	VH_PF_CROSS_ENDIAN = 6,
	VH_PF_CRYPTO_SESSION = 7,
	VH_PF_PAGEFAULT = 8,
	VH_PF_CONFIG = 9,
	VH_PF_BACKEND_SEND_FD = 10,
	VH_PF_HOST_NOTIFIER = 11,
	VH_PF_INFLIGHT_SHMFD = 12,
	VH_PF_RESET_DEVICE = 13,
	VH_PF_INBAND_NOTIFICATIONS = 14,
	VH_PF_CONFIGURE_MEM_SLOTS = 15,
	VH_PF_STATUS = 16,
	VH_PF_XEN_MMAP = 17,
	VH_PF_SHARED_OBJECT = 18,
	VH_PF_DEVICE_STATE = 19,
	VH_PF_GET_VRING_BASE_INFLIGHT = 20,
	VH_PF_GPA_ADDRESSES = 21,
	VH_PF_SHMEM = 22,
	VH_PF_GET_VRING_BASE_SKIP_DRAIN = 23,
	VH_PF_COUNT
};

#define VH_PF_ALWAYS 0xff /* gate: no feature needed                     */
#define VH_PF_ANY    0xfe /* gate: bit 30 offered in GET_FEATURES        */

#define VH_BIT(n) (1ULL << (n))

/* ---- Payloads; native byte order, no padding between messages ---- */

struct vh_wire_state {
	uint32_t index, num;
};

#define VH_VRING_F_LOG 1u

struct vh_wire_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

/* A region as the peer describes it: "Memory region description". */
struct vh_wire_region {
	uint64_t gpa, size, uva, offset;
};

#define VH_MAX_TABLE_REGIONS 8 /* SET_MEM_TABLE                                 */
#ifndef VH_MAX_SLOTS
#define VH_MAX_SLOTS 509 /* with CONFIGURE_MEM_SLOTS; never shrinks       */
#endif

struct vh_wire_mem {
	uint32_t n, pad;
	struct vh_wire_region region[VH_MAX_TABLE_REGIONS];
};

struct vh_wire_mem_reg {
	uint64_t pad;
	struct vh_wire_region region;
};

struct vh_wire_log {
	uint64_t size, offset;
};

enum vh_iotlb_type {
	VH_IOTLB_MISS = 1,
	VH_IOTLB_UPDATE = 2,
	VH_IOTLB_INVALIDATE = 3,
	VH_IOTLB_ACCESS_FAIL = 4,
};

#define VH_IOTLB_READ  1u
#define VH_IOTLB_WRITE 2u

struct vh_wire_iotlb {
	uint64_t iova, size, uva;
	uint8_t perm, type, pad[6];
};

#define VH_MAX_CONFIG 4096

struct vh_wire_config {
	uint32_t offset, size, flags;
	uint8_t data[VH_MAX_CONFIG];
};

struct vh_wire_area {
	uint64_t index, size, offset;
};

struct vh_wire_inflight {
	uint64_t size, offset;
	uint16_t n_queues, queue_size;
	uint32_t pad;
};

/*
 * Bytes of the inflight region of one split ring: a header of 16, 16 for each entry, up
 * to whole 64s.  Regions stand back to back; the text leaves the distance open, this is
 * what other back-ends use.
 */
#define VH_INFLIGHT_ALIGN 8 /* of its widest word */

static inline uint64_t vh_inflight_stride(uint32_t queue_size)
{
	return (16 + 16 * (uint64_t)queue_size + 63) / 64 * 64;
}

#define VH_MMAP_WRITABLE 1u

struct vh_wire_mmap {
	uint8_t shmid, pad[7];
	uint64_t fd_offset, shm_offset, len, flags;
};

#define VH_MAX_SHMEM 256

/* Sizes by shmid; 0: there is none. */
struct vh_wire_shmem {
	uint32_t n, pad;
	uint64_t size[VH_MAX_SHMEM];
};

struct vh_wire_xfer {
	uint32_t direction, phase;
};

/* u64 of SET_VRING_KICK, CALL and ERR. */
#define VH_VRING_INDEX_MASK 0xffu
#define VH_VRING_NO_FD	    (1u << 8)

/* u64 that answers SET_DEVICE_STATE_FD: the error, and VH_VRING_NO_FD. */
#define VH_RESULT_ERROR_MASK 0xffu

/* Flags of SET_CONFIG. */
#define VH_CONFIG_WRITABLE  0u
#define VH_CONFIG_MIGRATION 1u
/* Some front-ends number the two 1 and 2: all that may ever come. */
#define VH_CONFIG_FLAGS 3u

/* One bit of the dirty log stands for this many bytes. */
#define VH_LOG_PAGE 4096u

#define VH_MAX_RING_SIZE 32768u

#endif
