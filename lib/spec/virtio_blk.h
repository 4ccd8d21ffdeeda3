/* SPDX-License-Identifier: BSD-3-Clause */
/* "Block Device" of the virtio specification: what Debian 12's headers do not have. */
#ifndef VH_SPEC_VIRTIO_BLK_H
#define VH_SPEC_VIRTIO_BLK_H

#include <linux/types.h>
#include <linux/virtio_blk.h>

#ifndef VIRTIO_BLK_F_LIFETIME
#define VIRTIO_BLK_F_LIFETIME 15
#endif
#ifndef VIRTIO_BLK_F_ZONED
#define VIRTIO_BLK_F_ZONED 17
#endif
#ifndef VIRTIO_BLK_T_GET_LIFETIME
#define VIRTIO_BLK_T_GET_LIFETIME 10
#endif

/* The answer to GET_LIFETIME. */
struct vh_blk_lifetime {
	__u16 pre_eol_info;
	__u16 device_lifetime_est_typ_a;
	__u16 device_lifetime_est_typ_b;
};

/* One range of DISCARD, WRITE_ZEROES and SECURE_ERASE. */
struct vh_blk_range {
	__u64 sector;
	__u32 num_sectors;
	__u32 flags; /* bit 0: unmap */
};

#define VH_BLK_RANGE_UNMAP 1u

#endif
