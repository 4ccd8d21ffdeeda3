/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the front-end's memory is.  The device relays SET_MEM_TABLE with offsets of its
 * own, which say how far a region is behind the one before it; so they add up to places.
 * A place is in the window of the device itself, or in another function, whose number
 * stands in its upper bits.  Such functions come and go while the guest runs, and its
 * kernel may see one later than we see the message that speaks of it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/log.h"
#include "conn/vvu.h"

/* Functions that are looked through for a window. */
#define MAX_FUNCTIONS 32u

#define WINDOW_ALIGN 4096u

/* A window in a function of its own, open as long as something of it is mapped. */
struct vh_vvu_plugged {
	struct vh_barmap_window w;
	struct vh_vvu *owner;
	struct vh_vvu_plugged *next;
	char address[VH_PCI_ADDRESS_SIZE];
	uint16_t number;
	bool pinned; /* a reference of the message that waits to be handled */
};

/* ---- In the device itself ---- */

static void own_last(struct vh_barmap_window *w)
{
	free(w);
}

/* What the device's shared memory @id is; the front-end's reaches to the BAR's end. */
static int find_own(struct vh_vvu *v, int id, struct vh_barmap_window **w)
{
	const struct vh_virtio_place *p =
		vh_virtio_drv_place(&v->drv, VH_VVU_CAP_MEMORY, id);

	*w = NULL;
	/* Old devices have one, and say nothing of its kind. */
	if (!p && id == VH_VVU_SHM_MEMORY)
		p = vh_virtio_drv_place(&v->drv, VH_VVU_CAP_MEMORY, 0);
	/* What is aligned in a window has to be so in memory, too. */
	if (!p || p->offset % WINDOW_ALIGN)
		return 0;
	*w = calloc(1, sizeof(**w));
	if (!*w)
		return -ENOMEM;
	**w = (struct vh_barmap_window){.refs = 1,
					.host = v->host,
					.bar = p->bar,
					.offset = p->offset,
					.size = p->length,
					.last = own_last};
	if (id == VH_VVU_SHM_MEMORY)
		(*w)->size = v->host->bus->bar_size(v->host, p->bar) - p->offset;
	return 0;
}

int vh_vvu_find_windows(struct vh_vvu *v)
{
	int err = find_own(v, VH_VVU_SHM_MEMORY, &v->own);

	if (!err)
		err = find_own(v, VH_VVU_SHM_LOG, &v->log);
	if (!err)
		err = find_own(v, VH_VVU_SHM_INFLIGHT, &v->inflight);
	return err;
}

/* ---- In functions that are plugged ---- */

static void plugged_last(struct vh_barmap_window *w)
{
	struct vh_vvu_plugged *p = vh_container_of(w, struct vh_vvu_plugged, w);
	struct vh_vvu_plugged **at = &p->owner->plugged;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	vh_pci_close(w->host);
	free(p);
}

/* Which window of whose device @h is; 0: none. */
static uint16_t number_of(struct vh_pci_host *h, const uint8_t uuid[16])
{
	struct vh_vvu_window_cap cap;
	uint8_t at = 0;

	if (h->bus->config_read(h, PCI_CAPABILITY_LIST, &at, 1))
		return 0;
	for (unsigned i = 0; i < 48 && at >= 0x40; i++, at = cap.next) {
		size_t len = 256u - (at & ~3u);

		memset(&cap, 0, sizeof(cap));
		if (len > sizeof(cap))
			len = sizeof(cap);
		if (h->bus->config_read(h, at & ~3u, &cap, len))
			return 0;
		if (cap.id == PCI_CAP_ID_VNDR && cap.len >= sizeof(cap) &&
		    !memcmp(cap.uuid, uuid, sizeof(cap.uuid)))
			return cap.number;
	}
	return 0;
}

static struct vh_vvu_plugged *find_plugged(const struct vh_vvu *v, uint16_t number)
{
	struct vh_vvu_plugged *p = v->plugged;

	while (p && p->number != number)
		p = p->next;
	return p;
}

static bool is_open(const struct vh_vvu *v, const char *address)
{
	for (const struct vh_vvu_plugged *p = v->plugged; p; p = p->next)
		if (!strcmp(p->address, address))
			return true;
	return false;
}

/* Take it if it is one of ours that is new. */
static void try_function(struct vh_vvu *v, const char *address)
{
	struct vh_vvu_plugged *p;
	struct vh_pci_host *h;
	uint16_t number;

	if (vh_pci_open(address, v->c.tag, &h) < 0)
		return;
	number = number_of(h, v->uuid);
	p = number && !find_plugged(v, number) ? calloc(1, sizeof(*p)) : NULL;
	if (!p) {
		vh_pci_close(h);
		return;
	}
	*p = (struct vh_vvu_plugged){.w = {.refs = 1,
					   .host = h,
					   .bar = VH_VVU_WINDOW_BAR,
					   .size = h->bus->bar_size(h, VH_VVU_WINDOW_BAR),
					   .last = plugged_last},
				     .owner = v,
				     .next = v->plugged,
				     .number = number,
				     .pinned = true};
	snprintf(p->address, sizeof(p->address), "%s", address);
	v->plugged = p;
}

static void look_around(struct vh_vvu *v)
{
	char address[VH_PCI_ADDRESS_SIZE];

	for (unsigned i = 0; i < MAX_FUNCTIONS; i++) {
		if (vh_pci_find(VH_VVU_PCI_VENDOR, VH_VVU_WINDOW_DEVICE, i, address) < 0)
			return;
		if (!is_open(v, address))
			try_function(v, address);
	}
}

void vh_vvu_unpin_windows(struct vh_vvu *v)
{
	struct vh_vvu_plugged *p = v->plugged, *next;

	for (; p; p = next) {
		next = p->next;
		if (!p->pinned)
			continue;
		p->pinned = false;
		vh_barmap_window_put(&p->w);
	}
}

static bool pin(struct vh_vvu *v, uint16_t number)
{
	struct vh_vvu_plugged *p = find_plugged(v, number);

	if (!p)
		return false;
	if (!p->pinned)
		p->w.refs++;
	p->pinned = true;
	return true;
}

void vh_vvu_close_windows(struct vh_vvu *v)
{
	vh_vvu_unpin_windows(v);
	vh_barmap_window_put(v->own);
	vh_barmap_window_put(v->log);
	vh_barmap_window_put(v->inflight);
	v->own = v->log = v->inflight = NULL;
}

/* ---- Places ---- */

/*
 * The offsets of @m become places, which the session keeps as it would keep offsets in a
 * file: what is aligned there is so in our memory, and equal ones are the same memory.
 */
bool vh_vvu_place_regions(struct vh_msg *m)
{
	uint64_t end = 0;

	if (m->id != VH_MSG_SET_MEM_TABLE || m->payload != VH_PAYLOAD_MEM)
		return true;
	for (unsigned i = 0; i < m->mem.n; i++) {
		struct vh_wire_region *r = &m->mem.region[i];

		if (!vh_add_u64(end, r->offset, &r->offset) ||
		    !vh_add_u64(r->offset, r->size, &end))
			return false;
	}
	return true;
}

bool vh_vvu_windows_are_there(struct vh_vvu *v, const struct vh_msg *m)
{
	bool looked = false;

	if (m->id != VH_MSG_SET_MEM_TABLE || m->payload != VH_PAYLOAD_MEM)
		return true; /* nothing to wait for */
	for (unsigned i = 0; i < m->mem.n; i++) {
		const uint16_t number = VH_VVU_PLACE_NUMBER(m->mem.region[i].offset);

		if (!number || pin(v, number))
			continue;
		if (!looked)
			look_around(v);
		looked = true;
		if (!pin(v, number))
			return false;
	}
	return true;
}

static int find_place(const struct vh_vvu *v, uint64_t at, struct vh_barmap_place *place)
{
	const uint16_t number = VH_VVU_PLACE_NUMBER(at);
	struct vh_vvu_plugged *p = find_plugged(v, number);

	*place = (struct vh_barmap_place){.window = number ? p ? &p->w : NULL : v->own,
					  .at = VH_VVU_PLACE_OFFSET(at)};
	if (place->window)
		return 0;
	if (!number)
		vh_log(&v->c, VH_LOG_ERROR, "the device has no window");
	else
		vh_log(&v->c, VH_LOG_ERROR,
		       "function %u with the front-end's memory did not come, or is not "
		       "ours: bind all of %04x:%04x to vfio-pci (echo %04x %04x > "
		       "/sys/bus/pci/drivers/vfio-pci/new_id), and chown /dev/vfio/*",
		       number, VH_VVU_PCI_VENDOR, VH_VVU_WINDOW_DEVICE, VH_VVU_PCI_VENDOR,
		       VH_VVU_WINDOW_DEVICE);
	return -ENODEV;
}

int vh_vvu_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
	       struct vh_msg *m, const struct vh_map *old, struct vh_mapping **mapping,
	       bool *changed)
{
	struct vh_vvu *v = vh_vvu_of(c);
	struct vh_barmap_place place[VH_MAX_SLOTS];
	int err = 0;

	(void)m;
	for (unsigned i = 0; i < n && !err; i++)
		err = find_place(v, r[i].offset, &place[i]);
	if (!err)
		err = vh_barmap_table(c->tag, r, n, place, old, mapping, changed);
	vh_vvu_unpin_windows(v);
	return err;
}

/* ---- The log, and requests in flight ---- */

static int no_area(const struct vh_connector *c, const struct vh_msg *m)
{
	vh_log(c, VH_LOG_WARN, "%s: the device has no memory for that",
	       vh_msg_name(m->channel, m->id));
	return -ENOTSUP;
}

int vh_vvu_map_area(struct vh_connector *c, struct vh_msg *m, struct vh_mapping **mapping)
{
	const struct vh_vvu *v = vh_vvu_of(c);
	const bool is_log = m->payload == VH_PAYLOAD_LOG;
	const struct vh_barmap_place place = {
		.window = is_log ? v->log : v->inflight,
		.at = is_log ? m->log.offset : m->inflight.offset,
	};

	if (!place.window)
		return no_area(c, m);
	return vh_barmap_piece(c->tag, vh_msg_name(m->channel, m->id), &place,
			       is_log ? m->log.size : m->inflight.size, mapping);
}

/* The device makes the file behind it when it sees the reply. */
int vh_vvu_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m)
{
	const struct vh_vvu *v = vh_vvu_of(c);

	if (!v->inflight || !vh_vvu_has(v, VH_VVU_F_INFLIGHT) || size > v->inflight->size)
		return no_area(c, m);
	m->inflight.offset = 0;
	return 0;
}
