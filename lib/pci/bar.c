/* SPDX-License-Identifier: BSD-3-Clause */
/* BARs: registers that tell their size, and the blocks behind them. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/checked.h"
#include "pci/bytes.h"
#include "pci/function.h"

/* Four bits of the register tell the type, so no BAR of memory is smaller. */
#define SMALLEST   16u
#define LARGEST	   (1ULL << 63)
#define LARGEST_32 (1ULL << 31)

static bool bar_is_free(const struct vh_pci_function *f, unsigned bar)
{
	return !f->bar[bar].size && !(bar && f->bar[bar - 1].flags & VH_PCI_BAR_64BIT);
}

static bool bar_is_valid(const struct vh_pci_function *f, unsigned bar, uint64_t size,
			 unsigned flags)
{
	const bool wide = flags & VH_PCI_BAR_64BIT;

	if (bar >= VH_PCI_BARS || !vh_is_power_of_two(size) || size < SMALLEST ||
	    size > (wide ? LARGEST : LARGEST_32) || !bar_is_free(f, bar))
		return false;
	return !wide || (bar + 1 < VH_PCI_BARS && bar_is_free(f, bar + 1));
}

int vh_pci_add_bar(struct vh_pci_function *f, unsigned bar, uint64_t size, unsigned flags)
{
	const unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
	const uint64_t address = ~(size - 1);

	if (!bar_is_valid(f, bar, size, flags))
		return -EINVAL;
	f->bar[bar] = (struct vh_pci_bar){.size = size, .flags = flags};
	if (flags & VH_PCI_BAR_PREFETCH)
		f->config[at] |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	vh_le32_put(f->writable + at, (uint32_t)address);
	if (flags & VH_PCI_BAR_64BIT) {
		f->config[at] |= PCI_BASE_ADDRESS_MEM_TYPE_64;
		vh_le32_put(f->writable + at + 4, (uint32_t)(address >> 32));
	}
	return 0;
}

/* ---- Blocks ---- */

static bool comes_before(const struct vh_pci_block *a, const struct vh_pci_block *b)
{
	return a->bar != b->bar ? a->bar < b->bar : a->offset < b->offset;
}

static bool collides(const struct vh_pci_block *a, const struct vh_pci_block *b)
{
	return a->bar == b->bar &&
	       vh_range_overlaps(a->offset, a->size, b->offset, b->size);
}

int vh_pci_add_block(struct vh_pci_function *f, const struct vh_pci_block *b)
{
	unsigned at = f->n_blocks;

	if (b->bar >= VH_PCI_BARS || !b->size ||
	    !vh_range_inside(b->offset, b->size, 0, f->bar[b->bar].size))
		return -EINVAL;
	for (unsigned i = 0; i < f->n_blocks; i++)
		if (collides(b, &f->block[i]))
			return -EINVAL;
	if (f->n_blocks == VH_PCI_MAX_BLOCKS)
		return -ENOSPC;
	for (; at && comes_before(b, &f->block[at - 1]); at--)
		f->block[at] = f->block[at - 1];
	f->block[at] = *b;
	f->n_blocks++;
	return 0;
}

/* ---- Accesses ---- */

static bool access_is_inside(const struct vh_pci_function *f, unsigned bar,
			     uint64_t offset, size_t len)
{
	return bar < VH_PCI_BARS && f->bar[bar].size &&
	       vh_range_inside(offset, len, 0, f->bar[bar].size);
}

/* The part of an access that is in @b: false: none. */
static bool access_cut(const struct vh_pci_block *b, unsigned bar, uint64_t offset,
		       size_t len, uint64_t *from, size_t *n)
{
	const uint64_t end = offset + len, block_end = b->offset + b->size;

	if (b->bar != bar || !vh_range_overlaps(offset, len, b->offset, b->size))
		return false;
	*from = offset > b->offset ? offset : b->offset;
	*n = (size_t)((end < block_end ? end : block_end) - *from);
	return true;
}

int vh_pci_bar_read(struct vh_pci_function *f, unsigned bar, uint64_t offset, void *buf,
		    size_t len)
{
	uint8_t *to = buf;

	if (!access_is_inside(f, bar, offset, len))
		return -EINVAL;
	memset(to, 0, len);
	for (unsigned i = 0; i < f->n_blocks; i++) {
		const struct vh_pci_block *b = &f->block[i];
		uint64_t at;
		size_t n;

		if (b->read && access_cut(b, bar, offset, len, &at, &n))
			b->read(b->arg, at - b->offset, to + (at - offset), n);
	}
	return 0;
}

int vh_pci_bar_write(struct vh_pci_function *f, unsigned bar, uint64_t offset,
		     const void *buf, size_t len)
{
	const uint8_t *from = buf;
	int result = 0;

	if (!access_is_inside(f, bar, offset, len))
		return -EINVAL;
	for (unsigned i = 0; i < f->n_blocks; i++) {
		const struct vh_pci_block *b = &f->block[i];
		uint64_t at;
		size_t n;
		int err;

		if (!b->write || !access_cut(b, bar, offset, len, &at, &n))
			continue;
		err = b->write(b->arg, at - b->offset, from + (at - offset), n);
		if (err)
			result = err;
	}
	return result;
}
