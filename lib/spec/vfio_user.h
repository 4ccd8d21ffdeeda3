/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user: numbers and wire layouts, from QEMU's docs/interop/vfio-user.rst; what
 * it takes over from the kernel is in <linux/vfio.h>.  Knows nothing of sockets
 * or state.
 */
#ifndef VH_SPEC_VFIO_USER_H
#define VH_SPEC_VFIO_USER_H

/* Regions as <linux/vfio.h> numbers them: BARs 0-5, ROM, config space, VGA. */
#define VH_VFU_REGIONS	     9
#define VH_VFU_REGION_CONFIG 7

#endif
