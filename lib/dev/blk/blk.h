/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-blk: a disk whose blocks are in a store.  KEY=VALUE are the store's (store.h),
 * and
 *
 *   serial=TEXT        what GET_ID says, up to 20 bytes
 *   num-queues=N       virtqueues, 1 to 64 (64)
 *   drain-timeout=S    fail requests that the store can give up when the front-end has
 * waited for them for S seconds (0: wait for as long as it takes)
 */
#ifndef VH_DEV_BLK_BLK_H
#define VH_DEV_BLK_BLK_H

#include <vhost/device.h>

extern const struct vh_device_ops vh_blk;

#endif
