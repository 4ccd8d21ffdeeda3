/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus of the kernel's vfio-pci: functions that were given to this process. */
#ifndef VH_PCI_VFIO_H
#define VH_PCI_VFIO_H

#include "pci/host.h"

extern const struct vh_pci_bus vh_vfio_bus;

#endif
