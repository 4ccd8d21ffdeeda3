/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user: numbers and wire layouts, from QEMU's docs/interop/vfio-user.rst; what
 * it takes over from the kernel is in <linux/vfio.h>.  Knows nothing of sockets
 * or state.  All numbers are of the host's byte order.
 */
#ifndef VH_SPEC_VFIO_USER_H
#define VH_SPEC_VFIO_USER_H

#include <assert.h>
#include <stdint.h>

/* Regions as <linux/vfio.h> numbers them: BARs 0-5, ROM, config space, VGA. */
#define VH_VFU_REGIONS	     9
#define VH_VFU_REGION_ROM    6
#define VH_VFU_REGION_CONFIG 7

/* Interrupts as <linux/vfio.h> numbers them. */
enum vh_vfu_irq_index {
	VH_VFU_IRQ_INTX,
	VH_VFU_IRQ_MSI,
	VH_VFU_IRQ_MSIX,
	VH_VFU_IRQ_ERR,
	VH_VFU_IRQ_REQ,
	VH_VFU_IRQS,
};

enum vh_vfu_command {
	VH_VFU_VERSION = 1,
	VH_VFU_DMA_MAP,
	VH_VFU_DMA_UNMAP,
	VH_VFU_GET_INFO,
	VH_VFU_GET_REGION_INFO,
	VH_VFU_GET_REGION_IO_FDS,
	VH_VFU_GET_IRQ_INFO,
	VH_VFU_SET_IRQS,
	VH_VFU_REGION_READ,
	VH_VFU_REGION_WRITE,
	VH_VFU_DMA_READ,  /* of the server */
	VH_VFU_DMA_WRITE, /* of the server */
	VH_VFU_RESET,
	VH_VFU_DIRTY_PAGES, /* retired     */
	VH_VFU_REGION_WRITE_MULTI,
	VH_VFU_FEATURE,
	VH_VFU_MIG_DATA_READ,
	VH_VFU_MIG_DATA_WRITE,
	VH_VFU_COMMANDS,
};

/* ---- Messages ---- */

struct vh_vfu_header {
	uint16_t id, command;
	uint32_t size; /* of the whole message */
	uint32_t flags;
	uint32_t error; /* a positive errno, in replies */
};

#define VH_VFU_TYPE	0xfu /* of flags */
#define VH_VFU_REPLY	1u
#define VH_VFU_NO_REPLY 0x10u
#define VH_VFU_ERROR	0x20u

#define VH_VFU_HEADER sizeof(struct vh_vfu_header)
#define VH_VFU_MAX_DATA \
	(1u << 20) /* bytes of a region in a message: what we say we take */
#define VH_VFU_MAX_MSG (VH_VFU_MAX_DATA + 32u)
#define VH_VFU_MAX_FDS 253u /* the kernel's limit, SCM_MAX_FD */

/* What we agree on: the major version is the client's, the minor at most this. */
#define VH_VFU_MAJOR 0u
#define VH_VFU_MINOR 2u

struct vh_vfu_version {
	uint16_t major, minor;
	char json[]; /* with its NUL; or nothing at all */
};

struct vh_vfu_dma_map {
	uint32_t argsz, flags;
	uint64_t offset, iova, size;
};

#define VH_VFU_DMA_READABLE 1u
#define VH_VFU_DMA_WRITABLE 2u

struct vh_vfu_dma_unmap {
	uint32_t argsz, flags;
	uint64_t iova, size;
};

#define VH_VFU_UNMAP_DIRTY 1u
#define VH_VFU_UNMAP_ALL   2u

struct vh_vfu_device_info {
	uint32_t argsz, flags, n_regions, n_irqs;
};

#define VH_VFU_DEVICE_RESET 1u
#define VH_VFU_DEVICE_PCI   2u

struct vh_vfu_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};

#define VH_VFU_REGION_READABLE 1u
#define VH_VFU_REGION_WRITABLE 2u
#define VH_VFU_REGION_MAPPABLE 4u
#define VH_VFU_REGION_CAPS     8u

/* The capability that says which parts of a region can be mapped; areas follow. */
struct vh_vfu_sparse {
	uint16_t id, version;
	uint32_t next, n_areas, reserved;
};

#define VH_VFU_CAP_SPARSE 1u

struct vh_vfu_sparse_area {
	uint64_t offset, size;
};

struct vh_vfu_io_fds {
	uint32_t argsz, flags, index, count;
};

struct vh_vfu_io_fd_entry {
	uint64_t offset, size; /* size 0: any */
	uint32_t fd_index, type, flags, padding;
	uint64_t datamatch;
};

#define VH_VFU_IOEVENTFD 0u /* type */

struct vh_vfu_irq_info {
	uint32_t argsz, flags, index, count;
};

#define VH_VFU_IRQ_EVENTFD    1u
#define VH_VFU_IRQ_MASKABLE   2u
#define VH_VFU_IRQ_AUTOMASKED 4u

struct vh_vfu_irq_set {
	uint32_t argsz, flags, index, start, count;
	uint8_t data[];
};

/* Exactly one of each three. */
#define VH_VFU_SET_NONE	   1u
#define VH_VFU_SET_BOOL	   2u
#define VH_VFU_SET_EVENTFD 4u
#define VH_VFU_SET_MASK	   8u
#define VH_VFU_SET_UNMASK  16u
#define VH_VFU_SET_TRIGGER 32u

struct vh_vfu_region_access {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[];
};

struct vh_vfu_dma_access {
	uint64_t iova, count; /* data follows */
};

struct vh_vfu_multi_write {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[8];
};

static_assert(sizeof(struct vh_vfu_header) == 16, "wire");
static_assert(sizeof(struct vh_vfu_version) == 4, "wire");
static_assert(sizeof(struct vh_vfu_dma_map) == 32, "wire");
static_assert(sizeof(struct vh_vfu_dma_unmap) == 24, "wire");
static_assert(sizeof(struct vh_vfu_device_info) == 16, "wire");
static_assert(sizeof(struct vh_vfu_region_info) == 32, "wire");
static_assert(sizeof(struct vh_vfu_sparse) == 16, "wire");
static_assert(sizeof(struct vh_vfu_sparse_area) == 16, "wire");
static_assert(sizeof(struct vh_vfu_io_fds) == 16, "wire");
static_assert(sizeof(struct vh_vfu_io_fd_entry) == 40, "wire");
static_assert(sizeof(struct vh_vfu_irq_info) == 16, "wire");
static_assert(sizeof(struct vh_vfu_irq_set) == 20, "wire");
static_assert(sizeof(struct vh_vfu_region_access) == 16, "wire");
static_assert(sizeof(struct vh_vfu_dma_access) == 16, "wire");
static_assert(sizeof(struct vh_vfu_multi_write) == 24, "wire");

#endif
