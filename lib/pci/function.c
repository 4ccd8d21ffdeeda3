/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci/function.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "pci/bytes.h"

#define COMMAND_BITS                                                                     \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

void vh_pci_init(struct vh_pci_function *f, const struct vh_pci_ids *ids)
{
	memset(f, 0, sizeof(*f));
	vh_le16_put(f->config + PCI_VENDOR_ID, ids->vendor);
	vh_le16_put(f->config + PCI_DEVICE_ID, ids->device);
	vh_le16_put(f->config + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	vh_le16_put(f->config + PCI_SUBSYSTEM_ID, ids->subsystem);
	vh_le32_put(f->config + PCI_CLASS_REVISION, ids->class << 8 | ids->revision);
	vh_le16_put(f->writable + PCI_COMMAND, COMMAND_BITS);
	f->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	f->writable[PCI_LATENCY_TIMER] = 0xff;
	f->writable[PCI_INTERRUPT_LINE] = 0xff;
	f->cap_end = PCI_STD_HEADER_SIZEOF;
}

/* What the driver may change is zero after power-on, all of it. */
void vh_pci_reset(struct vh_pci_function *f)
{
	for (unsigned i = 0; i < VH_PCI_CONFIG_SIZE; i++)
		f->config[i] &= (uint8_t)~f->writable[i];
}

bool vh_pci_is_master(const struct vh_pci_function *f)
{
	return vh_le16_get(f->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}
