/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the vfio bus share. */
#ifndef VH_PCI_VFIO_PRIVATE_H
#define VH_PCI_VFIO_PRIVATE_H

#include <linux/vfio.h>

#include "pci/host.h"

#define VH_VFIO_REGIONS	  (VFIO_PCI_CONFIG_REGION_INDEX + 1)
#define VH_VFIO_AREAS	  8u
#define VH_VFIO_RANGES	  16u
#define VH_VFIO_MAX_DMA	  16u
#define VH_VFIO_DOORBELLS 4u /* pages of registers that signals write to */

struct vh_vfio_area {
	uint64_t offset, size;
};

struct vh_vfio_region {
	uint64_t size, at; /* @at: where it begins in the device's file          */
	unsigned n_areas;  /* parts that may be mapped                           */
	struct vh_vfio_area area[VH_VFIO_AREAS];
};

struct vh_vfio_range {
	uint64_t start, end; /* both are inside */
};

struct vh_vfio_page {
	unsigned bar;
	uint64_t offset;
	void *va; /* NULL: unused */
};

struct vh_vfio {
	struct vh_pci_host h;
	char address[16];
	int container, group, device; /* owned; -1: none                 */
	int requested;		      /* eventfd: somebody wants it back */
	bool no_iommu, can_reset;
	struct vh_vfio_region region[VH_VFIO_REGIONS];

	/* vfio_irq.c */
	int *vector; /* what each has now; -1: nothing */
	unsigned n_vectors;

	/* vfio_map.c */
	struct vh_vfio_page page[VH_VFIO_DOORBELLS];

	/* vfio_dma.c */
	unsigned n_ranges;
	struct vh_vfio_range range[VH_VFIO_RANGES];
	unsigned n_dma;
	struct vh_pci_dma dma[VH_VFIO_MAX_DMA];
};

static inline struct vh_vfio *vh_vfio_of(struct vh_pci_host *h)
{
	return (struct vh_vfio *)h;
}

/* Logs, and returns @err. */
int vh_vfio_failed(const struct vh_vfio *v, const char *doing, int err);

/* ---- vfio_open.c: the files of the function; 0 or -errno (logged) ---- */

int vh_vfio_open_files(struct vh_vfio *v);
int vh_vfio_find(uint16_t vendor, uint16_t device, unsigned n,
		 char address[VH_PCI_ADDRESS_SIZE]);

/* ---- vfio_map.c ---- */

int vh_vfio_read_regions(struct vh_vfio *v);
int vh_vfio_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		void **va);
void vh_vfio_unmap(struct vh_pci_host *h, void *va, size_t len);
int vh_vfio_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		   uint32_t value, struct vh_signal **s);
void vh_vfio_unmap_pages(struct vh_vfio *v);

/* ---- vfio_irq.c ---- */

int vh_vfio_watch_request(struct vh_vfio *v);
int vh_vfio_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n);

/* ---- vfio_dma.c ---- */

void vh_vfio_read_ranges(struct vh_vfio *v);
int vh_vfio_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma);
void vh_vfio_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma);

#endif
