/* SPDX-License-Identifier: BSD-3-Clause */
/* The common configuration of virtio-pci: of use to virtio_pci.c alone. */
#ifndef VH_PCI_VIRTIO_COMMON_H
#define VH_PCI_VIRTIO_COMMON_H

#include "pci/virtio_pci.h"

/* With queue_notify_data and queue_reset. */
#define VH_VIRTIO_COMMON_SIZE 60u

void vh_virtio_common_read(void *arg, uint64_t offset, void *buf, size_t len);
int vh_virtio_common_write(void *arg, uint64_t offset, const void *buf, size_t len);
/* As after a reset, without telling anybody. */
void vh_virtio_common_reset(struct vh_virtio_pci *vp);
/* Tell the owner, and reset: 0 or -EINPROGRESS. */
int vh_virtio_common_begin_reset(struct vh_virtio_pci *vp);

#endif
