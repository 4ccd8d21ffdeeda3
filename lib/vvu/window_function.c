/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * It has no interrupts, and no MSI-X in particular: some VMMs do not survive that a
 * vfio-user function with MSI-X is unplugged.  A VMM that maps nothing gets each access
 * made for its guest.
 */
#include "vvu/window_function.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/address.h"
#include "pci/function.h"
#include "spec/vvu.h"
#include "vfu/vfu.h"
#include "vvu/trap.h"

#define PAGE 4096ull

struct vh_window_function {
	struct vh_pci_function pci;
	struct vh_trap *trap;
	struct vh_vfu *vfu;
	bool used, over;
};

/* ---- Accesses ---- */

static int function_read(void *arg, unsigned region, uint64_t offset, void *buf,
			 size_t len)
{
	struct vh_window_function *f = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_read(&f->pci, offset, buf, len);
	vh_trap_read(f->trap, offset, buf, len);
	return 0;
}

static int function_write(void *arg, unsigned region, uint64_t offset, const void *buf,
			  size_t len)
{
	struct vh_window_function *f = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_write(&f->pci, offset, buf, len);
	vh_trap_write(f->trap, offset, buf, len);
	return 0;
}

static int function_reset(void *arg)
{
	struct vh_window_function *f = arg;

	vh_pci_reset(&f->pci);
	return 0;
}

static void function_client(void *arg, bool here)
{
	struct vh_window_function *f = arg;

	f->used |= here;
	f->over = f->used && !here;
}

static const struct vh_vfu_ops ops = {
	.read = function_read,
	.write = function_write,
	.reset = function_reset,
	.client = function_client,
};

bool vh_window_function_is_over(const struct vh_window_function *f)
{
	return f->over;
}

/* ---- Making one ---- */

static int add_cap(struct vh_window_function *f,
		   const struct vh_window_function_params *p)
{
	struct vh_vvu_window_cap cap = {.len = sizeof(cap), .number = p->number};
	const size_t head = offsetof(struct vh_vvu_window_cap, len);
	int at;

	memcpy(cap.uuid, p->uuid, sizeof(cap.uuid));
	at = vh_pci_add_cap(&f->pci, VH_VVU_WINDOW_CAP, (const uint8_t *)&cap + head,
			    sizeof(cap) - head);
	return at < 0 ? at : 0;
}

static int make_pci(struct vh_window_function *f,
		    const struct vh_window_function_params *p, uint64_t bar_size)
{
	static const struct vh_pci_ids ids = {
		.vendor = VH_VVU_PCI_VENDOR,
		.device = VH_VVU_WINDOW_DEVICE,
		.subsystem_vendor = VH_VVU_PCI_VENDOR,
		.subsystem = VH_VVU_WINDOW_DEVICE,
		.class = VH_VVU_PCI_CLASS,
		.revision = 1,
	};
	int err;

	vh_pci_init(&f->pci, &ids);
	err = vh_pci_add_bar(&f->pci, VH_VVU_WINDOW_BAR, bar_size,
			     VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH);
	return err < 0 ? err : add_cap(f, p);
}

static int offer(struct vh_window_function *f, struct vh_reactor *r,
		 const struct vh_window_function_params *p, uint64_t bar_size)
{
	const uint64_t end = (p->size + PAGE - 1) & ~(PAGE - 1);
	struct vh_vfu_shape shape = {0};
	char *path[] = {(char *)p->socket, NULL}, *address;
	int err;

	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape.region[i].fd = -1;
	shape.region[VH_VFU_REGION_CONFIG].size = VH_PCI_CONFIG_SIZE;
	shape.region[VH_VVU_WINDOW_BAR] = (struct vh_vfu_region){
		.size = bar_size, .fd = p->fd, .n_areas = 1, .area = {{0, end}}};
	err = vh_options_join(path, &address);
	if (err < 0)
		return err;
	err = vh_vfu_open(r, address, p->tag, &shape, &ops, f, &f->vfu);
	free(address);
	return err;
}

int vh_window_function_create(struct vh_reactor *r,
			      const struct vh_window_function_params *p,
			      struct vh_window_function **function)
{
	struct vh_window_function *f = calloc(1, sizeof(*f));
	uint64_t bar_size = PAGE;
	int err;

	*function = NULL;
	if (!f)
		return -ENOMEM;
	while (bar_size < p->size && bar_size < 1ull << 47)
		bar_size *= 2;
	err = make_pci(f, p, bar_size);
	if (!err)
		err = vh_trap_create(p->tag, bar_size, bar_size, &f->trap);
	if (!err)
		err = vh_trap_add_file(f->trap, p->fd, p->size, 0);
	if (!err)
		err = offer(f, r, p, bar_size);
	if (err < 0)
		vh_window_function_destroy(f);
	else
		*function = f;
	return err;
}

void vh_window_function_destroy(struct vh_window_function *f)
{
	if (!f)
		return;
	vh_vfu_close(f->vfu);
	vh_trap_destroy(f->trap);
	free(f);
}
