/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function as its driver sees it: configuration space with capabilities,
 * BARs, and the geometry of MSI-X.  Who offers it (lib/vfu) asks it for every access;
 * what is behind a BAR is a list of blocks, each with its reader and writer.  Pure, and
 * nothing that a driver writes can bring it into a state of which it was not told here.
 */
#ifndef VH_PCI_FUNCTION_H
#define VH_PCI_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VH_PCI_CONFIG_SIZE 256u
#define VH_PCI_BARS	   6u
#define VH_PCI_MAX_BLOCKS  16u

struct vh_pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class; /* 24 bits */
	uint8_t revision;
};

enum vh_pci_bar_flags {
	VH_PCI_BAR_64BIT = 1, /* takes the next BAR's register, too */
	VH_PCI_BAR_PREFETCH = 2,
};

/*
 * Part of a BAR.  @read and @write get offsets in the block and accesses that are inside
 * of it, of any length; an access across blocks is cut.  NULL: reads as 0, writes are
 * lost.  @write: 0, or -EINPROGRESS for one that ends later (whoever offers the function
 * waits for that).
 */
struct vh_pci_block {
	uint8_t bar;
	uint64_t offset, size;
	void (*read)(void *arg, uint64_t offset, void *buf, size_t len);
	int (*write)(void *arg, uint64_t offset, const void *buf, size_t len);
	void *arg;
};

struct vh_pci_bar {
	uint64_t size; /* a power of two; 0: none */
	unsigned flags;
};

struct vh_pci_function {
	uint8_t config[VH_PCI_CONFIG_SIZE];
	uint8_t writable[VH_PCI_CONFIG_SIZE]; /* bits that the driver may change */
	uint16_t cap_end;		      /* where the next capability goes     */
	uint8_t last_cap;		      /* 0: none                            */
	uint8_t msix_cap;		      /* 0: none                            */
	unsigned n_vectors;
	struct vh_pci_bar bar[VH_PCI_BARS];
	unsigned n_blocks;
	struct vh_pci_block block[VH_PCI_MAX_BLOCKS]; /* in order of bar and offset */
	/*
	 * Some of configuration space does something (the PCI-access capability of
	 * virtio).  For accesses that touch [hook_offset, hook_offset + hook_size):
	 * before the bytes of @config are read, and after they were written, with the
	 * whole access's place.  NULL: none.
	 */
	uint8_t hook_offset, hook_size;
	void (*hook_read)(void *arg, uint32_t offset, size_t len);
	int (*hook_write)(void *arg, uint32_t offset, size_t len);
	void *hook_arg;
};

/* ---- Making one ---- */

void vh_pci_init(struct vh_pci_function *f, const struct vh_pci_ids *ids);
/* 0, or -EINVAL: no power of two, too large, over another. */
int vh_pci_add_bar(struct vh_pci_function *f, unsigned bar, uint64_t size,
		   unsigned flags);
/*
 * Append a capability: @id, and @len bytes of body that follow its two bytes of header.
 * The offset of its header, or -ENOSPC.
 */
int vh_pci_add_cap(struct vh_pci_function *f, uint8_t id, const void *body, size_t len);
/* MSI-X with @n vectors, table and PBA in @bar; also adds their blocks (zeroes).  0 or
 * -errno. */
int vh_pci_add_msix(struct vh_pci_function *f, unsigned n, unsigned bar, uint32_t table,
		    uint32_t pba);
/* 0, or -ENOSPC, -EINVAL: outside of its BAR or over another. */
int vh_pci_add_block(struct vh_pci_function *f, const struct vh_pci_block *b);

/* ---- Accesses, which may be anything ---- */

/* All of [@offset, @offset + @len), or -EINVAL when it is not inside. */
int vh_pci_config_read(struct vh_pci_function *f, uint64_t offset, void *buf, size_t len);
/* 0, -EINVAL, or -EINPROGRESS of the hook. */
int vh_pci_config_write(struct vh_pci_function *f, uint64_t offset, const void *buf,
			size_t len);
int vh_pci_bar_read(struct vh_pci_function *f, unsigned bar, uint64_t offset, void *buf,
		    size_t len);
int vh_pci_bar_write(struct vh_pci_function *f, unsigned bar, uint64_t offset,
		     const void *buf, size_t len);

/* Registers as after power-on; capabilities and BARs stay. */
void vh_pci_reset(struct vh_pci_function *f);

/* The driver lets us read and write its memory and interrupt it (COMMAND.master). */
bool vh_pci_is_master(const struct vh_pci_function *f);

#endif
