/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: bytes, a mask of the bits that can be changed, a list of
 * capabilities that only grows while the function is made.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/checked.h"
#include "pci/bytes.h"
#include "pci/function.h"

int vh_pci_add_cap(struct vh_pci_function *f, uint8_t id, const void *body, size_t len)
{
	const uint16_t at = f->cap_end;

	if (len > VH_PCI_CONFIG_SIZE ||
	    !vh_range_inside(at, PCI_CAP_FLAGS + len, 0, VH_PCI_CONFIG_SIZE))
		return -ENOSPC;
	f->config[at + PCI_CAP_LIST_ID] = id;
	memcpy(f->config + at + PCI_CAP_FLAGS, body, len);
	f->config[f->last_cap ? f->last_cap + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] =
		(uint8_t)at;
	f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	f->last_cap = (uint8_t)at;
	f->cap_end = (uint16_t)((at + PCI_CAP_FLAGS + len + 3) & ~3u);
	return at;
}

static bool hook_touched(const struct vh_pci_function *f, uint64_t offset, size_t len)
{
	return vh_range_overlaps(offset, len, f->hook_offset, f->hook_size);
}

int vh_pci_config_read(struct vh_pci_function *f, uint64_t offset, void *buf, size_t len)
{
	if (!vh_range_inside(offset, len, 0, VH_PCI_CONFIG_SIZE))
		return -EINVAL;
	if (f->hook_read && hook_touched(f, offset, len))
		f->hook_read(f->hook_arg, (uint32_t)offset, len);
	memcpy(buf, f->config + offset, len);
	return 0;
}

int vh_pci_config_write(struct vh_pci_function *f, uint64_t offset, const void *buf,
			size_t len)
{
	const uint8_t *from = buf;

	if (!vh_range_inside(offset, len, 0, VH_PCI_CONFIG_SIZE))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		const uint8_t can = f->writable[offset + i];
		uint8_t *byte = &f->config[offset + i];

		*byte = (uint8_t)((*byte & ~can) | (from[i] & can));
	}
	if (f->hook_write && hook_touched(f, offset, len))
		return f->hook_write(f->hook_arg, (uint32_t)offset, len);
	return 0;
}
