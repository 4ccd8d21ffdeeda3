/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-rng, virtio 1.2 section 5.4. */
#ifndef VH_DEV_RNG_RNG_H
#define VH_DEV_RNG_RNG_H

#include <vhost/device.h>

extern const struct vh_device_ops vh_rng;

#endif
