/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a modern virtio-pci device has its structures.  The list may loop, point
 * anywhere, and name BARs that do not exist: what does not lie in a BAR is not taken.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "pci/virtio_drv.h"

/* No list of dwords in 256 bytes is longer. */
#define MAX_CAPS 48u

/* What the driver touches of each structure. */
#define COMMON_BYTES 0x38u

/* The body of a capability as far as @len goes, the rest as zeroes. */
struct cap {
	uint8_t byte[24];
	unsigned len;
};

static uint32_t le32_at(const struct cap *c, unsigned at)
{
	return c->byte[at] | (uint32_t)c->byte[at + 1] << 8 |
	       (uint32_t)c->byte[at + 2] << 16 | (uint32_t)c->byte[at + 3] << 24;
}

static int read_cap(struct vh_pci_host *h, unsigned at, struct cap *c)
{
	unsigned len = c->byte[2];
	int err;

	memset(c, 0, sizeof(*c));
	if (len > sizeof(c->byte))
		len = sizeof(c->byte);
	if (len > 256 - at)
		len = 256 - at;
	err = h->bus->config_read(h, at, c->byte, len);
	c->len = len;
	return err;
}

static struct vh_virtio_place place_of(const struct cap *c)
{
	struct vh_virtio_place p = {
		.type = c->byte[3],
		.bar = c->byte[4],
		.id = c->byte[5],
		.offset = le32_at(c, 8),
		.length = le32_at(c, 12),
	};

	if (p.type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG && c->len >= 24) {
		p.offset |= (uint64_t)le32_at(c, 16) << 32;
		p.length |= (uint64_t)le32_at(c, 20) << 32;
	} else {
		p.more = le32_at(c, 16);
	}
	return p;
}

/*
 * Shared memory says with 32 bits how long it is, or nothing of use: there the end of
 * the BAR counts.
 */
static bool lies_in_bar(struct vh_pci_host *h, struct vh_virtio_place *p)
{
	const uint64_t size = p->bar < 6 ? h->bus->bar_size(h, p->bar) : 0;

	if (p->type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG && p->offset < size &&
	    p->length > size - p->offset)
		p->length = size - p->offset;
	return p->length && vh_range_inside(p->offset, p->length, 0, size);
}

/* A BAR of a size that the machine could not place has none. */
static void tell_outside(struct vh_pci_host *h, const struct vh_virtio_place *p)
{
	if (p->bar < 6 && !h->bus->bar_size(h, p->bar))
		vh_log(h, VH_LOG_WARN,
		       "BAR %u has no addresses: it is not there, or the machine has no "
		       "room for one so big (dmesg, \"can't assign\")",
		       p->bar);
	else
		vh_log(h, VH_LOG_WARN,
		       "structure %u at %#" PRIx64 " of BAR %u, %#" PRIx64
		       " bytes, is not inside of that BAR",
		       p->type, p->offset, p->bar, p->length);
}

static void take(struct vh_virtio_drv *d, const struct cap *c)
{
	struct vh_virtio_place p = place_of(c);

	if (c->len < 16 || p.type == VIRTIO_PCI_CAP_PCI_CFG ||
	    d->n_places == VH_VIRTIO_MAX_PLACES)
		return;
	if (!lies_in_bar(d->host, &p)) {
		tell_outside(d->host, &p);
		return;
	}
	p.present = true;
	d->place[d->n_places++] = p;
}

static int walk(struct vh_virtio_drv *d)
{
	struct vh_pci_host *h = d->host;
	uint8_t next = 0;
	int err = h->bus->config_read(h, PCI_CAPABILITY_LIST, &next, 1);

	for (unsigned i = 0; !err && next >= 0x40 && i < MAX_CAPS; i++) {
		const unsigned at = next & ~3u;
		struct cap c = {.len = 0};

		err = h->bus->config_read(h, at, c.byte, 4);
		next = c.byte[1];
		if (!err && c.byte[0] == PCI_CAP_ID_VNDR && c.byte[2] >= 16) {
			err = read_cap(h, at, &c);
			if (!err)
				take(d, &c);
		}
	}
	return err;
}

const struct vh_virtio_place *vh_virtio_drv_place(const struct vh_virtio_drv *d,
						  uint8_t type, int id)
{
	for (unsigned i = 0; i < d->n_places; i++)
		if (d->place[i].type == type && (id < 0 || d->place[i].id == id))
			return &d->place[i];
	return NULL;
}

static void find(const struct vh_virtio_drv *d, uint8_t type, uint64_t least,
		 struct vh_virtio_place *p)
{
	const struct vh_virtio_place *found = vh_virtio_drv_place(d, type, -1);

	if (found && found->length >= least)
		*p = *found;
}

int vh_virtio_drv_init(struct vh_virtio_drv *d, struct vh_pci_host *host)
{
	int err;

	*d = (struct vh_virtio_drv){.host = host};
	err = walk(d);
	if (err) {
		vh_log(host, VH_LOG_ERROR, "cannot read its configuration space: %s",
		       vh_strerror(err));
		return err;
	}
	find(d, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_BYTES, &d->common);
	find(d, VIRTIO_PCI_CAP_NOTIFY_CFG, 2, &d->notify);
	find(d, VIRTIO_PCI_CAP_ISR_CFG, 1, &d->isr);
	find(d, VIRTIO_PCI_CAP_DEVICE_CFG, 1, &d->config);
	if (d->common.present && d->notify.present)
		return 0;
	vh_log(host, VH_LOG_ERROR, "it is no modern virtio device");
	return -ENODEV;
}
