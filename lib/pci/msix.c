/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSI-X as whoever offers a function needs it: its place and its size.  The table is the
 * VMM's, who looks at it alone and tells the server of eventfds: here it is zeroes.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "base/checked.h"
#include "pci/bytes.h"
#include "pci/function.h"

#define MOST 2048u

static int msix_add_blocks(struct vh_pci_function *f, unsigned n, uint8_t bar,
			   uint32_t table, uint32_t pba)
{
	const struct vh_pci_block t = {
		.bar = bar, .offset = table, .size = n * PCI_MSIX_ENTRY_SIZE};
	const struct vh_pci_block p = {
		.bar = bar, .offset = pba, .size = (n + 63) / 64 * 8};
	const int err = vh_pci_add_block(f, &t);

	return err ? err : vh_pci_add_block(f, &p);
}

int vh_pci_add_msix(struct vh_pci_function *f, unsigned n, unsigned bar, uint32_t table,
		    uint32_t pba)
{
	uint8_t body[PCI_CAP_MSIX_SIZEOF - PCI_CAP_FLAGS] = {0};
	int at;

	if (!n || n > MOST || bar >= VH_PCI_BARS || table % 8 || pba % 8 || f->msix_cap)
		return -EINVAL;
	at = msix_add_blocks(f, n, (uint8_t)bar, table, pba);
	if (at)
		return at;
	vh_le16_put(body + PCI_MSIX_FLAGS - PCI_CAP_FLAGS, (uint16_t)(n - 1));
	vh_le32_put(body + PCI_MSIX_TABLE - PCI_CAP_FLAGS, table | bar);
	vh_le32_put(body + PCI_MSIX_PBA - PCI_CAP_FLAGS, pba | bar);
	at = vh_pci_add_cap(f, PCI_CAP_ID_MSIX, body, sizeof(body));
	if (at < 0)
		return at;
	vh_le16_put(f->writable + at + PCI_MSIX_FLAGS,
		    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	f->msix_cap = (uint8_t)at;
	f->n_vectors = n;
	return 0;
}
