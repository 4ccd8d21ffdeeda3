/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where things are, for the drivers that there are: some find everything by capability,
 * the first ones look at fixed places of BAR 2.  The common structures of virtio are
 * lib/pci's.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vvu/blocks.h"
#include "vvu/vvu_parts.h"

/* Of an offset and a length that old drivers add in 32 bits. */
#define MAX_CAP_END (0x100000000ull - 0x1000)

const struct vh_vvu_profile vh_vvu_profiles[VH_VVU_PROFILES] = {
	[VH_VVU_MODERN] = {.name = "modern",
			   .device_id = VH_VVU_PCI_DEVICE,
			   .virtio_id = 43,
			   .doorbell_stride = 4,
			   .window_bar = 4,
			   .area_bar = 3,
			   .layout = VH_LAYOUT_SUM},
	[VH_VVU_BAR2] = {.name = "bar2",
			 .device_id = 0x1058,
			 .virtio_id = 24,
			 .doorbell_stride = 2,
			 .window_bar = VH_VVU_DOORBELL_BAR,
			 .window_offset = VH_VVU_DOORBELL_PAGE,
			 .area_bar = 4,
			 .layout = VH_LAYOUT_SUM},
	[VH_VVU_CROSVM] = {.name = "crosvm",
			   .device_id = 0x107d,
			   .virtio_id = 61,
			   .doorbell_stride = 4,
			   .window_bar = 4,
			   .area_bar = 3,
			   .layout = VH_LAYOUT_OFFSET,
			   .empty_buffer = true,
			   .takes_kicks = true},
};

/* ---- BARs ---- */

static void let_map(struct vh_vfu_region *r, int fd, uint64_t offset, uint64_t size)
{
	r->fd = fd;
	r->n_areas = 1;
	r->area[0] = (struct vh_vfu_area){offset, size};
}

static int add_doorbell_bar(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	const bool polled = v->doorbells.memory;

	if (polled)
		let_map(&shape->region[VH_VVU_DOORBELL_BAR], v->doorbells.file,
			VH_VVU_DOORBELL_PAGE, VH_VVU_DOORBELL_PAGE);
	return vh_pci_add_bar(&v->regs.fn, VH_VVU_DOORBELL_BAR,
			      VH_VVU_DOORBELL_PAGE << polled, 0);
}

/* Behind the doorbells, in one BAR, there is no room for all of it: twice that then. */
static int add_window_bar(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	const struct vh_vvu_profile *p = v->profile;
	const uint64_t size = v->window->size;

	if (!size)
		return 0;
	if (!p->window_offset)
		shape->region[p->window_bar] = v->window->region;
	return vh_pci_add_bar(&v->regs.fn, p->window_bar,
			      p->window_offset ? 2 * size : size,
			      VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH);
}

static int add_area_bar(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	const uint8_t bar = v->profile->area_bar;

	if (!v->area)
		return 0;
	let_map(&shape->region[bar], vh_area_fd(v->area), 0, VH_AREA_SIZE);
	return vh_pci_add_bar(&v->regs.fn, bar, VH_AREA_SIZE, 0);
}

static int add_bars(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	int err = add_window_bar(v, shape);

	if (!err && v->profile->window_bar != VH_VVU_DOORBELL_BAR)
		err = add_doorbell_bar(v, shape);
	return err ? err : add_area_bar(v, shape);
}

/* ---- What is in them: blocks, and capabilities that tell of them ---- */

static int add_block(struct vh_vvu_pci *v, uint8_t bar, uint64_t offset, uint64_t size,
		     void (*read)(void *arg, uint64_t offset, void *buf, size_t len),
		     int (*write)(void *arg, uint64_t offset, const void *buf,
				  size_t len))
{
	const struct vh_pci_block b = {bar, offset, size, read, write, v};

	return vh_pci_add_block(&v->regs.fn, &b);
}

static int add_cap(struct vh_vvu_pci *v, uint8_t type, uint8_t bar, uint8_t id,
		   uint32_t offset, uint32_t length)
{
	int at = vh_virtio_pci_add_cap(&v->regs, type, bar, id, offset, length, NULL, 0);

	return at < 0 ? at : 0;
}

static int add_doorbells(struct vh_vvu_pci *v)
{
	const uint32_t multiplier = v->profile->doorbell_stride;
	int err = add_block(v, VH_VVU_DOORBELL_BAR, 0, VH_VVU_DOORBELL_PAGE, NULL,
			    vh_vvu_write_doorbell);

	if (!err && v->doorbells.memory)
		err = add_block(v, VH_VVU_DOORBELL_BAR, VH_VVU_DOORBELL_PAGE,
				VH_VVU_DOORBELL_PAGE, vh_vvu_read_counters,
				vh_vvu_write_counters);
	if (!err)
		err = vh_virtio_pci_add_cap(
			&v->regs, VH_VVU_CAP_DOORBELL, VH_VVU_DOORBELL_BAR, 0, 0,
			VH_VVU_DOORBELL_PAGE, &multiplier, sizeof(multiplier));
	return err < 0 ? err : 0;
}

static int add_notification(struct vh_vvu_pci *v)
{
	int err = add_block(v, 0, VH_VIRTIO_PCI_OWN, 4, vh_vvu_read_notification,
			    vh_vvu_write_notification);

	return err ? err
		   : add_cap(v, VH_VVU_CAP_NOTIFICATION, 0, 0, VH_VIRTIO_PCI_OWN, 4);
}

static int add_area(struct vh_vvu_pci *v)
{
	const uint8_t bar = v->profile->area_bar;
	int err;

	if (!v->area)
		return 0;
	err = vh_add_area_block(&v->regs.fn, bar, v->area);
	if (!err)
		err = add_cap(v, VH_VVU_CAP_MEMORY, bar, VH_VVU_SHM_LOG,
			      VH_AREA_LOG_OFFSET, VH_AREA_HALF);
	if (!err)
		err = add_cap(v, VH_VVU_CAP_MEMORY, bar, VH_VVU_SHM_INFLIGHT,
			      VH_AREA_INFLIGHT_OFFSET, VH_AREA_HALF);
	return err;
}

static int add_window(struct vh_vvu_pci *v)
{
	const struct vh_vvu_profile *p = v->profile;
	const uint64_t size = v->window->size, limit = MAX_CAP_END - p->window_offset;
	int err;

	if (!size)
		return 0;
	err = vh_add_window_block(&v->regs.fn, p->window_bar, p->window_offset,
				  v->window);
	return err ? err
		   : add_cap(v, VH_VVU_CAP_MEMORY, p->window_bar, VH_VVU_SHM_MEMORY,
			     p->window_offset, (uint32_t)(size < limit ? size : limit));
}

/* The window is the last of its type: drivers that know of one take that. */
static int add_contents(struct vh_vvu_pci *v)
{
	int err = add_doorbells(v);

	if (!err)
		err = add_notification(v);
	if (!err)
		err = add_area(v);
	return err ? err : add_window(v);
}

/* ---- All of it ---- */

/*
 * The VMM maps a file from its first byte on: with the window behind the doorbells' page
 * the guest could not see the first page of the front-end's memory.
 */
static int check(const struct vh_vvu_pci *v)
{
	const char *why = NULL;

	if (!v->profile->window_offset)
		return 0;
	if (!v->window->size)
		why = "its drivers look for the window in BAR 2, not in a function of "
		      "its own";
	else if (v->window->region.fd >= 0)
		why = "the window stands behind the doorbells in BAR 2, and a VMM maps a "
		      "file only from its beginning on";
	else if (v->doorbells.memory)
		why = "the window stands where the polled doorbells would be";
	if (!why)
		return 0;
	vh_log(v, VH_LOG_ERROR, "profile %s: %s; take profile modern", v->profile->name,
	       why);
	return -EOPNOTSUPP;
}

static void add_sizes(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	for (unsigned i = 0; i < VH_PCI_BARS; i++)
		shape->region[i].size = v->regs.fn.bar[i].size;
	shape->region[VH_VFU_REGION_CONFIG].size = VH_PCI_CONFIG_SIZE;
	shape->n_vectors = VH_VVU_VECTORS;
}

int vh_vvu_lay_out(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	int err = check(v);

	if (err)
		return err;
	*shape = (struct vh_vfu_shape){0};
	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape->region[i].fd = -1;
	err = add_bars(v, shape);
	if (!err)
		err = add_contents(v);
	if (err)
		vh_log(v, VH_LOG_ERROR, "profile %s: %s", v->profile->name,
		       vh_strerror(err));
	add_sizes(v, shape);
	return err;
}
