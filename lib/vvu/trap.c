/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  Regions stand one behind the other, each at the page after the
 * last one, at the same offset in its page as in its file: what is aligned for the
 * front-end is aligned here, so that an access of 1, 2, 4 or 8 aligned bytes is one of
 * the processor's.  The same table lands at the same places whatever its files are,
 * which drivers rely on that keep what they have mapped.
 *
 * A file that shrinks becomes zeroes from where it ends, and nobody is told but the log:
 * its front-end is the one that suffers.
 */
#include "vvu/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "conn/fdmap.h"
#include "mem/guard.h"
#include "mem/map.h"

#define PAGE 4096ull

struct trap_region {
	uint64_t at;
	struct vh_mapping *mapping;
};

struct trap_regions {
	unsigned n;
	struct trap_region region[VH_MAX_TABLE_REGIONS];
};

struct vh_trap {
	char tag[32];
	uint64_t start, end;
	int shrunk; /* eventfd of the guard      */
	bool told;  /* that something has shrunk */
	struct trap_region file;
	struct trap_regions now;
};

/* ---- Life ---- */

int vh_trap_create(const char *tag, uint64_t start, uint64_t end, struct vh_trap **trap)
{
	struct vh_trap *t = calloc(1, sizeof(*t));
	int err;

	*trap = NULL;
	if (!t)
		return -ENOMEM;
	*t = (struct vh_trap){.start = start, .end = end};
	snprintf(t->tag, sizeof(t->tag), "%s", tag);
	t->shrunk = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->shrunk < 0) {
		err = -errno;
		vh_log(t, VH_LOG_ERROR, "no event fd: %s", vh_strerror(err));
		free(t);
		return err;
	}
	*trap = t;
	return 0;
}

static void regions_put(struct trap_regions *r)
{
	while (r->n > 0)
		vh_mapping_put(r->region[--r->n].mapping);
}

void vh_trap_drop(struct vh_trap *t)
{
	regions_put(&t->now);
}

void vh_trap_destroy(struct vh_trap *t)
{
	if (!t)
		return;
	vh_trap_drop(t);
	vh_mapping_put(t->file.mapping);
	vh_fd_drop(&t->shrunk);
	free(t);
}

static int guard(struct vh_trap *t, struct vh_mapping *m)
{
	unsigned slot;
	int err = vh_guard_add(m->addr, m->len, t->shrunk, &slot);

	if (err < 0)
		vh_log(t, VH_LOG_ERROR, "cannot guard against a file that shrinks: %s",
		       vh_strerror(err));
	else
		m->guard = slot + 1;
	return err;
}

/* ---- A file for good ---- */

static void file_unmap(struct vh_mapping *m)
{
	if (m->guard)
		vh_guard_remove(m->guard - 1);
	munmap(m->addr, m->len);
	free(m);
}

int vh_trap_add_file(struct vh_trap *t, int fd, uint64_t size, uint64_t at)
{
	struct vh_mapping *m = calloc(1, sizeof(*m));
	void *va;
	int err;

	if (!m)
		return -ENOMEM;
	va = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (va == MAP_FAILED) {
		err = -errno;
		vh_log(t, VH_LOG_ERROR, "cannot map %#" PRIx64 " bytes: %s", size,
		       vh_strerror(err));
		free(m);
		return err;
	}
	madvise(va, size, MADV_DONTDUMP);
	*m = (struct vh_mapping){.refs = 1, .addr = va, .len = size, .unmap = file_unmap};
	err = guard(t, m);
	if (err < 0)
		vh_mapping_put(m);
	else
		t->file = (struct trap_region){at, m};
	return err;
}

/* ---- Placing ---- */

/* What is to be mapped, as a message of its own: mapping closes its fds. */
static int pick(struct vh_trap *t, const struct vh_msg *m, unsigned mask,
		struct vh_msg *part)
{
	vh_msg_init(part, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	for (unsigned i = 0; i < m->mem.n && i < m->n_fds; i++) {
		int fd, err;

		if (!(mask & (1u << i)))
			continue;
		fd = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			err = -errno;
			vh_log(t, VH_LOG_ERROR, "cannot duplicate a descriptor: %s",
			       vh_strerror(err));
			return err;
		}
		part->fds[part->n_fds++] = fd;
		part->mem.region[part->mem.n++] = m->mem.region[i];
	}
	return 0;
}

/* Where a region goes that stands behind [.., @end). */
static bool place_after(const struct vh_trap *t, uint64_t end,
			const struct vh_wire_region *r, uint64_t *at)
{
	uint64_t page;

	if (!vh_add_u64(end, PAGE - 1, &page))
		return false;
	*at = (page & ~(PAGE - 1)) + r->offset % PAGE;
	return vh_range_inside(*at, r->size, t->start, t->end - t->start);
}

static int lay_out(const struct vh_trap *t, const struct vh_msg *part,
		   struct trap_regions *regions)
{
	uint64_t end = t->start;

	for (unsigned i = 0; i < part->mem.n; i++) {
		const struct vh_wire_region *r = &part->mem.region[i];

		if (!place_after(t, end, r, &regions->region[i].at)) {
			vh_log(t, VH_LOG_ERROR,
			       "a table of memory does not fit: %#" PRIx64
			       " bytes are left of %#" PRIx64 ", a region has %#" PRIx64
			       "; make the BAR bigger (--bar-size)",
			       t->end - end, t->end - t->start, r->size);
			return -ENOSPC;
		}
		end = regions->region[i].at + r->size;
	}
	return 0;
}

static int map_regions(struct vh_trap *t, struct vh_msg *part,
		       struct trap_regions *regions)
{
	const struct vh_fdmap_rules rules = {.tag = t->tag};
	const unsigned n = part->mem.n;
	struct vh_mapping *mapping[VH_MAX_TABLE_REGIONS];
	bool changed;
	int err = vh_fdmap_table(&rules, part->mem.region, n, part, NULL, mapping,
				 &changed);

	if (err < 0)
		return err;
	for (; regions->n < n; regions->n++)
		regions->region[regions->n].mapping = mapping[regions->n];
	for (unsigned i = 0; i < n && !err; i++)
		err = guard(t, mapping[i]);
	if (err < 0)
		regions_put(regions);
	return err;
}

int vh_trap_place(struct vh_trap *t, const struct vh_msg *m, unsigned mask,
		  uint64_t at[VH_MAX_TABLE_REGIONS])
{
	struct trap_regions regions = {0};
	struct vh_msg part;
	unsigned n = 0;
	int err = pick(t, m, mask, &part);

	if (!err)
		err = lay_out(t, &part, &regions);
	if (!err)
		err = map_regions(t, &part, &regions);
	vh_msg_close(&part);
	if (err < 0)
		return err;
	for (unsigned i = 0; i < m->mem.n; i++)
		if (mask & (1u << i))
			at[i] = regions.region[n++].at;
	regions_put(&t->now);
	t->now = regions;
	t->told = false;
	return 0;
}

/* ---- Accesses ---- */

/* The widest access at @va within @len. */
static size_t width_at(const uint8_t *va, size_t len)
{
	size_t width = 8;

	while (width > len || (uintptr_t)va % width)
		width /= 2;
	return width;
}

static void copy_in(uint8_t *buf, const uint8_t *va, size_t len)
{
	while (len > 0) {
		const size_t width = width_at(va, len);
		const uint64_t value = width == 8   ? vh_guest_read64(va)
				       : width == 4 ? vh_guest_read32(va)
				       : width == 2 ? vh_guest_read16(va)
						    : vh_guest_read8(va);

		memcpy(buf, &value, width); /* little-endian, as the guest is */
		buf += width;
		va += width;
		len -= width;
	}
}

static void copy_out(uint8_t *va, const uint8_t *buf, size_t len)
{
	while (len > 0) {
		const size_t width = width_at(va, len);
		uint64_t value = 0;

		memcpy(&value, buf, width);
		if (width == 8)
			vh_guest_write64(va, value);
		else if (width == 4)
			vh_guest_write32(va, (uint32_t)value);
		else if (width == 2)
			vh_guest_write16(va, (uint16_t)value);
		else
			vh_guest_write8(va, (uint8_t)value);
		buf += width;
		va += width;
		len -= width;
	}
}

/* What [offset, offset + len) and the region share: its start in the region and in the
 * access. */
static size_t overlap(const struct trap_region *r, uint64_t offset, size_t len,
		      uint64_t *in_region, size_t *in_access)
{
	const uint64_t size = r->mapping->len;
	uint64_t start, end;

	if (!vh_range_overlaps(r->at, size, offset, len))
		return 0;
	start = r->at > offset ? r->at : offset;
	end = r->at + size < offset + len ? r->at + size : offset + len;
	*in_region = start - r->at;
	*in_access = start - offset;
	return end - start;
}

static const struct trap_region *region_of(const struct vh_trap *t, unsigned i)
{
	return i < t->now.n ? &t->now.region[i] : t->file.mapping ? &t->file : NULL;
}

static void tell_shrunk(struct vh_trap *t, const struct trap_region *r)
{
	if (t->told || !vh_guard_hit(r->mapping->guard - 1))
		return;
	t->told = true;
	vh_log(t, VH_LOG_ERROR,
	       "a file of the front-end's memory has shrunk: what is gone reads as 0");
}

void vh_trap_read(struct vh_trap *t, uint64_t offset, void *buf, size_t len)
{
	memset(buf, 0, len);
	for (unsigned i = 0; i <= t->now.n; i++) {
		const struct trap_region *r = region_of(t, i);
		uint64_t from;
		size_t to, n = r ? overlap(r, offset, len, &from, &to) : 0;

		if (!n)
			continue;
		copy_in((uint8_t *)buf + to, r->mapping->addr + from, n);
		tell_shrunk(t, r);
	}
}

/*
 * The guest's next access, a read perhaps, is made after others can see this one: it is
 * how a processor behaves with device memory, and drivers of rings count on it.
 */
void vh_trap_write(struct vh_trap *t, uint64_t offset, const void *buf, size_t len)
{
	for (unsigned i = 0; i <= t->now.n; i++) {
		const struct trap_region *r = region_of(t, i);
		uint64_t to;
		size_t from, n = r ? overlap(r, offset, len, &to, &from) : 0;

		if (!n)
			continue;
		copy_out(r->mapping->addr + to, (const uint8_t *)buf + from, n);
		tell_shrunk(t, r);
	}
	vh_fence_full();
}
