/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of PCI: a function that this process has for itself, its
 * registers, BARs, interrupts, and memory that it can reach.  How it is had is the
 * bus's: in a guest the kernel's vfio-pci (vfio.c); tests have a client of vfio-user.
 * Control thread, but for mapped BARs and signals.
 */
#ifndef VH_PCI_HOST_H
#define VH_PCI_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/signal.h"

struct vh_pci_host;

/* Of an address, with its NUL. */
#define VH_PCI_ADDRESS_SIZE 128u

/* Memory that the function may read and write; zeroed, page-aligned. */
struct vh_pci_dma {
	uint8_t *va;
	size_t len;
	uint64_t iova;
};

struct vh_pci_bus {
	/* The addresses that are its: "0000:00:04.0" for vfio; "test:PATH" in tests. */
	bool (*has)(const char *address);
	/* As vh_pci_find(), among its own; NULL: it cannot look for any. */
	int (*find)(uint16_t vendor, uint16_t device, unsigned n,
		    char address[VH_PCI_ADDRESS_SIZE]);
	/* It may then read and write memory of .dma_alloc.  0 or -errno (logged, with
	 * what to do). */
	int (*open)(const char *address, const char *tag, struct vh_pci_host **h);
	void (*close)(struct vh_pci_host *h);
	int (*config_read)(struct vh_pci_host *h, unsigned offset, void *buf, size_t len);
	int (*config_write)(struct vh_pci_host *h, unsigned offset, const void *buf,
			    size_t len);
	/* @width is 1, 2, 4 or 8 bytes, one access, aligned.  0 or -errno: -ENODEV, it is
	 * gone. */
	int (*read)(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		    uint64_t *value);
	int (*write)(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t value);
	uint64_t (*bar_size)(struct vh_pci_host *h, unsigned bar); /* 0: none */
	/*
	 * Map [@offset, @offset + @len) of @bar, whole pages, for as long as @h is open
	 * or until .unmap.  0; -ENOTSUP: only .read and .write reach it; or -errno.
	 */
	int (*map)(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		   void **va);
	void (*unmap)(struct vh_pci_host *h, void *va, size_t len);
	/* A signal that writes @value there when it is fired, from any thread. */
	int (*signal)(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint32_t value, struct vh_signal **s);
	int (*dma_alloc)(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma);
	void (*dma_free)(struct vh_pci_host *h, struct vh_pci_dma *dma);
	/*
	 * MSI-X vectors 0 to @n - 1 from now on write to these eventfds (borrowed; -1:
	 * none).  One that has its number already is not touched.
	 */
	int (*set_vectors)(struct vh_pci_host *h, const int *fd, unsigned n);
	int (*reset)(struct vh_pci_host *h);
	/* Readable when the function is gone for good; -1: there is no telling. */
	int (*gone_fd)(const struct vh_pci_host *h);
};

struct vh_pci_host {
	const struct vh_pci_bus *bus;
	char tag[32];
	/*
	 * The user's to set: no IOMMU stands before the function, whatever there is in
	 * this machine, and memory for it has the machine's addresses.  Some buses only.
	 */
	bool direct;
};

/* Opens @address on whichever bus has it.  0 or -errno (logged). */
int vh_pci_open(const char *address, const char *tag, struct vh_pci_host **h);
void vh_pci_close(struct vh_pci_host *h); /* NULL is fine */

/* One bus more, for tests; before any thread opens something. */
void vh_pci_add_bus(const struct vh_pci_bus *bus);

/*
 * The addresses of functions with these IDs, bus by bus, in order: the @n-th, into
 * @address.  0, or -ENOENT.
 */
int vh_pci_find(uint16_t vendor, uint16_t device, unsigned n,
		char address[VH_PCI_ADDRESS_SIZE]);

#endif
