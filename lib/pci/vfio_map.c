/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BARs of a function of vfio.  A BAR may have more gigabytes than this machine, so
 * nothing is mapped but what somebody asks for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "pci/vfio_private.h"

/* ---- What there is ---- */

static void add_area(struct vh_vfio_region *r, uint64_t offset, uint64_t size)
{
	if (r->n_areas < VH_VFIO_AREAS && vh_range_inside(offset, size, 0, r->size))
		r->area[r->n_areas++] =
			(struct vh_vfio_area){.offset = offset, .size = size};
}

/* The kernel's list of parts; false: it has none. */
static bool read_sparse(struct vh_vfio_region *r, const struct vfio_region_info *info)
{
	uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	while (at >= sizeof(*info) &&
	       at + sizeof(struct vfio_region_info_cap_sparse_mmap) <= info->argsz) {
		const struct vfio_region_info_cap_sparse_mmap *s =
			(const void *)((const char *)info + at);

		if (s->header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			for (uint32_t i = 0; i < s->nr_areas; i++)
				add_area(r, s->areas[i].offset, s->areas[i].size);
			return true;
		}
		if (s->header.next <= at)
			break;
		at = s->header.next;
	}
	return false;
}

static int read_region(struct vh_vfio *v, unsigned index)
{
	struct vh_vfio_region *r = &v->region[index];
	union {
		struct vfio_region_info info;
		uint8_t bytes[4096]; /* with what follows it */
	} u = {.info = {.argsz = sizeof(u), .index = index}};
	const struct vfio_region_info *info = &u.info;

	if (ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &u) < 0)
		return vh_vfio_failed(v, "ask for its BARs", -errno);
	r->size = info->size;
	r->at = info->offset;
	if (info->flags & VFIO_REGION_INFO_FLAG_MMAP && !read_sparse(r, info))
		add_area(r, 0, r->size);
	return 0;
}

int vh_vfio_read_regions(struct vh_vfio *v)
{
	for (unsigned i = 0; i < VH_VFIO_REGIONS; i++) {
		int err = i == VFIO_PCI_ROM_REGION_INDEX ? 0 : read_region(v, i);

		if (err)
			return err;
	}
	return 0;
}

/* ---- Mapping ---- */

static bool may_map(const struct vh_vfio_region *r, uint64_t offset, size_t len)
{
	for (unsigned i = 0; i < r->n_areas; i++)
		if (vh_range_inside(offset, len, r->area[i].offset, r->area[i].size))
			return true;
	return false;
}

int vh_vfio_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		void **va)
{
	const struct vh_vfio *v = vh_vfio_of(h);
	const struct vh_vfio_region *r = &v->region[bar];

	if (bar > VFIO_PCI_BAR5_REGION_INDEX || !len ||
	    !vh_range_inside(offset, len, 0, r->size))
		return -EINVAL;
	if (!may_map(r, offset, len))
		return -ENOTSUP;
	*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, v->device,
		   (off_t)(r->at + offset));
	return *va == MAP_FAILED ? -errno : 0;
}

void vh_vfio_unmap(struct vh_pci_host *h, void *va, size_t len)
{
	(void)h;
	munmap(va, len);
}

/* ---- Signals ---- */

static int map_page(struct vh_vfio *v, unsigned bar, uint64_t offset, void **va)
{
	struct vh_vfio_page *p = v->page;
	int err;

	for (; p < v->page + VH_VFIO_DOORBELLS && p->va; p++)
		if (p->bar == bar && p->offset == offset) {
			*va = p->va;
			return 0;
		}
	if (p == v->page + VH_VFIO_DOORBELLS)
		return -ENOSPC;
	err = vh_vfio_map(&v->h, bar, offset, (size_t)sysconf(_SC_PAGESIZE), va);
	if (!err)
		*p = (struct vh_vfio_page){.bar = bar, .offset = offset, .va = *va};
	return err;
}

void vh_vfio_unmap_pages(struct vh_vfio *v)
{
	for (unsigned i = 0; i < VH_VFIO_DOORBELLS; i++)
		if (v->page[i].va)
			munmap(v->page[i].va, (size_t)sysconf(_SC_PAGESIZE));
	memset(v->page, 0, sizeof(v->page));
}

int vh_vfio_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		   uint32_t value, struct vh_signal **s)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct vh_vfio *v = vh_vfio_of(h);
	void *va = NULL;
	int err;

	*s = NULL;
	if (!width || offset % width)
		return -EINVAL;
	err = map_page(v, bar, offset & ~(page - 1), &va);
	if (err)
		return vh_vfio_failed(v, "map its doorbells", err);
	return vh_signal_from_register((uint8_t *)va + (offset & (page - 1)),
				       (uint8_t)width, value, s);
}
