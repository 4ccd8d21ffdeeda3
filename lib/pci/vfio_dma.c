/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for a function of vfio: ours, pinned, and mapped at the lowest address that is
 * free in the ranges which the IOMMU allows.  Without an IOMMU the function sees the
 * machine's addresses: then it is one huge page, whose address the kernel tells root.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "pci/vfio_private.h"

#define HUGE (2ul << 20)

/* Not 0, which drivers take for none. */
#define FIRST_IOVA 0x100000u
#define LAST_IOVA  UINT32_MAX /* any IOMMU reaches that */

/* ---- Ranges ---- */

static void add_range(struct vh_vfio *v, uint64_t start, uint64_t end)
{
	if (start < FIRST_IOVA)
		start = FIRST_IOVA;
	if (v->n_ranges < VH_VFIO_RANGES && start < end)
		v->range[v->n_ranges++] =
			(struct vh_vfio_range){.start = start, .end = end};
}

static void read_caps(struct vh_vfio *v, const struct vfio_iommu_type1_info *info)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	while (at >= sizeof(*info) &&
	       at + sizeof(struct vfio_iommu_type1_info_cap_iova_range) <= info->argsz) {
		const struct vfio_iommu_type1_info_cap_iova_range *c =
			(const void *)((const char *)info + at);

		if (c->header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			for (uint32_t i = 0; i < c->nr_iovas; i++)
				add_range(v, c->iova_ranges[i].start,
					  c->iova_ranges[i].end);
		if (c->header.next <= at)
			break;
		at = c->header.next;
	}
}

void vh_vfio_read_ranges(struct vh_vfio *v)
{
	union {
		struct vfio_iommu_type1_info info;
		uint8_t bytes[4096]; /* with what follows it */
	} u = {.info = {.argsz = sizeof(u)}};

	if (ioctl(v->container, VFIO_IOMMU_GET_INFO, &u) == 0)
		read_caps(v, &u.info);
	if (!v->n_ranges)
		add_range(v, FIRST_IOVA, LAST_IOVA);
}

/* ---- Places ---- */

/* The piece in the way of [@iova, @iova + @len), or NULL. */
static const struct vh_pci_dma *in_the_way(const struct vh_vfio *v, uint64_t iova,
					   size_t len)
{
	for (unsigned i = 0; i < v->n_dma; i++) {
		const struct vh_pci_dma *d = &v->dma[i];

		if (iova < d->iova + d->len && d->iova < iova + len)
			return d;
	}
	return NULL;
}

static bool find_place(const struct vh_vfio *v, size_t len, uint64_t *iova)
{
	for (unsigned i = 0; i < v->n_ranges; i++) {
		const struct vh_vfio_range *r = &v->range[i];
		const struct vh_pci_dma *d = NULL;
		uint64_t at = r->start;

		while (at <= r->end && len - 1 <= r->end - at &&
		       (d = in_the_way(v, at, len)))
			at = d->iova + d->len;
		if (!d && at <= r->end && len - 1 <= r->end - at) {
			*iova = at;
			return true;
		}
	}
	return false;
}

/* ---- With an IOMMU ---- */

static int cannot_pin(const struct vh_vfio *v, size_t len, int err)
{
	struct rlimit limit = {.rlim_cur = 0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (err == -ENOMEM && limit.rlim_cur != RLIM_INFINITY)
		vh_log(&v->h, VH_LOG_ERROR,
		       "%s: cannot pin %zu bytes: locked memory is limited to %llu bytes "
		       "(ulimit -l unlimited, or LimitMEMLOCK= of its service)",
		       v->address, len, (unsigned long long)limit.rlim_cur);
	else
		vh_vfio_failed(v, "map memory for it", err);
	return err;
}

static int map_iova(struct vh_vfio *v, struct vh_pci_dma *dma)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)dma->va,
		.size = dma->len,
	};

	if (!find_place(v, dma->len, &dma->iova))
		return vh_vfio_failed(v, "find an address for memory", -ENOSPC);
	map.iova = dma->iova;
	if (ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
		return cannot_pin(v, dma->len, -errno);
	return 0;
}

static void unmap_iova(const struct vh_vfio *v, const struct vh_pci_dma *dma)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = dma->iova, .size = dma->len};

	if (ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		vh_vfio_failed(v, "take memory back", -errno);
}

/* ---- Without one ---- */

/* The machine's address of @va; root only. */
static int physical(const struct vh_vfio *v, const void *va, uint64_t *address)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	VH_AUTO_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0 ||
	    pread(fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)va / page * sizeof(entry))) != sizeof(entry))
		return vh_vfio_failed(v, "read /proc/self/pagemap", -errno);
	*address = (entry & ((1ull << 55) - 1)) * page;
	if (*address)
		return 0;
	vh_log(&v->h, VH_LOG_ERROR, "%s: without an IOMMU only root can use it",
	       v->address);
	return -EPERM;
}

/* ---- Both ---- */

static bool is_direct(const struct vh_vfio *v)
{
	return v->no_iommu || v->h.direct;
}

static int get_pages(const struct vh_vfio *v, struct vh_pci_dma *dma)
{
	const int huge = is_direct(v) ? MAP_HUGETLB | MAP_LOCKED | MAP_POPULATE : 0;

	dma->va = mmap(NULL, dma->len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | huge, -1, 0);
	if (dma->va != MAP_FAILED)
		return 0;
	if (huge)
		vh_log(&v->h, VH_LOG_ERROR,
		       "%s: without an IOMMU it needs huge pages (sysctl "
		       "vm.nr_hugepages=1)",
		       v->address);
	return vh_vfio_failed(v, "get memory for it", -errno);
}

int vh_vfio_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma)
{
	struct vh_vfio *v = vh_vfio_of(h);
	const size_t page = is_direct(v) ? HUGE : (size_t)sysconf(_SC_PAGESIZE);
	int err;

	*dma = (struct vh_pci_dma){.len = (len + page - 1) / page * page};
	if (!len || v->n_dma == VH_VFIO_MAX_DMA || (is_direct(v) && len > HUGE))
		return vh_vfio_failed(v, "get so much memory for it", -ENOSPC);
	err = get_pages(v, dma);
	if (err)
		return err;
	err = is_direct(v) ? physical(v, dma->va, &dma->iova) : map_iova(v, dma);
	if (err)
		munmap(dma->va, dma->len);
	else
		v->dma[v->n_dma++] = *dma;
	return err;
}

void vh_vfio_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma)
{
	struct vh_vfio *v = vh_vfio_of(h);

	for (unsigned i = 0; i < v->n_dma; i++) {
		if (v->dma[i].va != dma->va)
			continue;
		if (!is_direct(v))
			unmap_iova(v, dma);
		munmap(dma->va, dma->len);
		v->dma[i] = v->dma[--v->n_dma];
		break;
	}
	*dma = (struct vh_pci_dma){.va = NULL};
}
