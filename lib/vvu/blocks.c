/* SPDX-License-Identifier: BSD-3-Clause */
#include "vvu/blocks.h"

#include <string.h>

static void window_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_window *w = arg;

	w->ops->read(w, offset, buf, len);
}

static int window_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_window *w = arg;

	w->ops->write(w, offset, buf, len);
	return 0;
}

int vh_add_window_block(struct vh_pci_function *f, uint8_t bar, uint64_t offset,
			struct vh_window *w)
{
	const struct vh_pci_block b = {.bar = bar,
				       .offset = offset,
				       .size = w->size,
				       .read = window_read,
				       .write = window_write,
				       .arg = w};

	return vh_pci_add_block(f, &b);
}

/* The guest may write there at any time by itself, so there is nothing to take care of.
 */
static void area_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	memcpy(buf, vh_area_at(arg, offset), len);
}

static int area_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	memcpy(vh_area_at(arg, offset), buf, len);
	return 0;
}

int vh_add_area_block(struct vh_pci_function *f, uint8_t bar, struct vh_area *a)
{
	const struct vh_pci_block b = {.bar = bar,
				       .size = VH_AREA_SIZE,
				       .read = area_read,
				       .write = area_write,
				       .arg = a};

	return vh_pci_add_block(f, &b);
}
