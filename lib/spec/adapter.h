/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-pci adapter: registers of a plain PCI function that hands the back-end side
 * of a vhost-user connection to a guest.  A proposal of 2017 names its parts;
 * docs/design/010 says what of it this is and what is ours.  All little-endian.
 */
#ifndef VH_SPEC_ADAPTER_H
#define VH_SPEC_ADAPTER_H

#include <stdint.h>

/* Its device ID: VH_VPCI_ADAPTER_DEVICE of spec/vvu.h. */
#define VH_ADAPTER_SUBSYSTEM 0x5650u
#define VH_ADAPTER_CLASS     0xff0000u

/* ---- BARs ---- */

enum {
	VH_ADAPTER_BAR = 0,
	VH_ADAPTER_MSIX_BAR = 1,
	VH_ADAPTER_WINDOW_BAR = 2, /* 64-bit: the front-end's memory   */
	VH_ADAPTER_AREA_BAR = 4,   /* 64-bit: dirty log, inflight area */
};

#define VH_ADAPTER_MAX_VRINGS 256u
#define VH_ADAPTER_VECTORS    (3u + VH_ADAPTER_MAX_VRINGS)

/* ---- Parts of BAR 0 ---- */

#define VH_ADAPTER_BAR_SIZE    0x10000u
#define VH_ADAPTER_BANK(q)     (0x100u + 0x40u * (q))
#define VH_ADAPTER_VRINGS      0x1000u
#define VH_ADAPTER_VRING_SIZE  16u
#define VH_ADAPTER_DOORBELLS   0x2000u /* numbered as in spec/vvu.h */
#define VH_ADAPTER_STRIDE      4u
#define VH_ADAPTER_NOTIFY(q)   (0x3000u + 4u * (q))
#define VH_ADAPTER_MEMORY      0x4000u
#define VH_ADAPTER_MEMORY_SIZE 32u
#define VH_ADAPTER_MAX_REGIONS 512u

enum { VH_ADAPTER_M2S, VH_ADAPTER_S2M, VH_ADAPTER_QUEUES };

/* ---- Global registers ---- */

enum {
	VH_ADAPTER_MAGIC = 0x00,
	VH_ADAPTER_VERSION = 0x04,
	VH_ADAPTER_DEV_FEATURES = 0x08, /* 64 bits */
	VH_ADAPTER_DRV_FEATURES = 0x10, /* 64 bits */
	VH_ADAPTER_CONTROL = 0x18,
	VH_ADAPTER_STATUS = 0x1c,
	VH_ADAPTER_ERROR = 0x20, /* enum vh_relay_end */
	VH_ADAPTER_SESSION = 0x24,
	VH_ADAPTER_SESSION_ACK = 0x28,
	VH_ADAPTER_INT_STATUS = 0x2c,
	VH_ADAPTER_N_VRINGS = 0x30,
	VH_ADAPTER_MSG_SIZE = 0x34,
	VH_ADAPTER_VEC_STATUS = 0x38, /* 16 bits */
	VH_ADAPTER_DB_STRIDE = 0x3c,
	VH_ADAPTER_MEM_GEN = 0x40,
	VH_ADAPTER_MEM_COUNT = 0x44,
	VH_ADAPTER_WINDOW_SIZE = 0x48,	/* 64 bits */
	VH_ADAPTER_LOG_OFF = 0x50,	/* 64 bits */
	VH_ADAPTER_LOG_LEN = 0x58,	/* 64 bits */
	VH_ADAPTER_INFLIGHT_OFF = 0x60, /* 64 bits */
	VH_ADAPTER_INFLIGHT_LEN = 0x68, /* 64 bits */
	VH_ADAPTER_UUID = 0x70,		/* 16 bytes */
	VH_ADAPTER_EXT_PTR = 0x80,
	VH_ADAPTER_DEVICE_ID = 0x84,
	VH_ADAPTER_PROTO_MASK = 0x88, /* 64 bits */
};

#define VH_ADAPTER_MAGIC_VALUE	  0x49435056u /* "VPCI" */
#define VH_ADAPTER_VERSION_VALUE  0x00010000u
#define VH_ADAPTER_MAJOR(version) ((version) >> 16)

enum {
	VH_ADAPTER_CONTROL_RESET = 1,
	VH_ADAPTER_CONTROL_FEATURES_OK = 2,
	VH_ADAPTER_CONTROL_READY = 4,
};

#define VH_ADAPTER_STATUS_FEATURES_OK (1u << 0)
#define VH_ADAPTER_STATUS_LIVE	      (1u << 1)
#define VH_ADAPTER_STATUS_CONNECTED   (1u << 2)
#define VH_ADAPTER_STATUS_QUIESCE     (1u << 3)
#define VH_ADAPTER_STATUS_FAILED      (1u << 31)

enum {
	VH_ADAPTER_INT_CHANGED = 1, /* STATUS                                   */
	VH_ADAPTER_INT_M2S = 2,
	VH_ADAPTER_INT_S2M = 4,
	VH_ADAPTER_INT_KICK = 8, /* one without a vector that can be used       */
};

/* Feature bits. */
enum {
	VH_ADAPTER_F_EVENT_IDX = 0,
	VH_ADAPTER_F_LOG = 1,
	VH_ADAPTER_F_INFLIGHT = 2,
	VH_ADAPTER_F_BACKEND_REQ = 3,
	VH_ADAPTER_F_MEM_SLOTS = 4,
	VH_ADAPTER_F_STABLE_WINDOW = 5,
	VH_ADAPTER_F_KEEP_SESSION = 6,
	VH_ADAPTER_F_VERSION_1 = 32,
};

/* ---- A bank ---- */

enum {
	VH_ADAPTER_Q_MAX = 0x00,
	VH_ADAPTER_Q_SIZE = 0x04,
	VH_ADAPTER_Q_DESC = 0x08,  /* 64 bits */
	VH_ADAPTER_Q_AVAIL = 0x10, /* 64 bits */
	VH_ADAPTER_Q_USED = 0x18,  /* 64 bits */
	VH_ADAPTER_Q_VEC = 0x20,   /* 16 bits */
	VH_ADAPTER_Q_ENABLE = 0x24,
	VH_ADAPTER_Q_NOTIFY = 0x28,
};

#define VH_ADAPTER_NO_VECTOR 0xffffu

/* ---- Tables ---- */

struct vh_adapter_vring {
	uint16_t kick_vec;
	uint16_t state;
	uint32_t kick_pend;
	uint64_t reserved;
};

enum {
	VH_ADAPTER_VR_KICK = 1,
	VH_ADAPTER_VR_CALL = 2,
	VH_ADAPTER_VR_ERR = 4,
	VH_ADAPTER_VR_KICK_POLLED = 8,
	VH_ADAPTER_VR_CALL_POLLED = 16,
};

struct vh_adapter_region {
	uint64_t gpa, size, uva, bar_offset;
};

_Static_assert(sizeof(struct vh_adapter_vring) == VH_ADAPTER_VRING_SIZE, "as laid down");
_Static_assert(sizeof(struct vh_adapter_region) == VH_ADAPTER_MEMORY_SIZE,
	       "as laid down");

#endif
