/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A file that a peer passes is trusted in nothing: it must
 * be a regular file of tmpfs or hugetlbfs, since a page fault in a file of FUSE
 * or of a network may take as long as its owner likes, and it must be as long
 * as the region says.  It can still shrink later; that is what mem/guard.h is
 * for, and the session that owns the mapping sees to it.
 *
 * Regions begin and end at any byte, mappings at pages, which are huge ones for
 * hugetlbfs.  So a mapping starts at the page of the first byte and ends at the
 * page of the last, and the region's address is inside of it.  The offset is
 * used once, in mmap(), and never added to an address.
 */
#include "conn/fdmap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/memory_fd.h"
#include "base/log.h"
#include "mem/guard.h"
#include "mem/translate.h"

struct fd_mapping {
	struct vh_mapping m;
	void *base; /* what munmap() wants */
	size_t base_len;
};

/* ---- Undoing ---- */

static void mapping_unmap(struct vh_mapping *m)
{
	struct fd_mapping *f = vh_container_of(m, struct fd_mapping, m);

	if (m->guard)
		vh_guard_remove(m->guard - 1);
	munmap(f->base, f->base_len);
	free(f);
}

/* ---- Is this a file that we take? ---- */

static int refuse(const struct vh_fdmap_rules *rules, const char *what, const char *why)
{
	vh_log(rules, VH_LOG_WARN, "%s: %s", what, why);
	return -EINVAL;
}

/* May its file system be asked for something? */
static bool is_taken(const struct vh_fdmap_rules *rules, int fd)
{
	return rules->any_file || vh_fd_is_memory(fd);
}

static int look_at(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		   struct stat *st, struct statfs *fs)
{
	if (!is_taken(rules, p->fd))
		return refuse(
			rules, p->what,
			"its file is neither memfd, tmpfs nor hugetlbfs: use shared "
			"memory, or option any-memory=on if its file system is trusted");
	if (fstat(p->fd, st) < 0 || fstatfs(p->fd, fs) < 0)
		return refuse(rules, p->what, vh_strerror(-errno));
	if (!S_ISREG(st->st_mode))
		return refuse(rules, p->what, "its descriptor is not a regular file");
	return 0;
}

static int check_range(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		       const struct stat *st)
{
	if (!p->size)
		return refuse(rules, p->what, "its size is 0");
	if (!vh_range_inside(p->offset, p->size, 0, (uint64_t)st->st_size)) {
		vh_log(rules, VH_LOG_WARN,
		       "%s: size %#" PRIx64 " at offset %#" PRIx64
		       " does not fit in its file of %#" PRIx64 " bytes",
		       p->what, p->size, p->offset, (uint64_t)st->st_size);
		return -EINVAL;
	}
	return 0;
}

/* ---- Mapping ---- */

static unsigned long count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static unsigned long max_mappings(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long max = 0;

	if (f && fscanf(f, "%lu", &max) != 1)
		max = 0;
	if (f)
		fclose(f);
	return max;
}

static int mmap_failed(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		       int err)
{
	const char *cure = "";
	char text[96];

	if (err == -EACCES || err == -EPERM) {
		cure = "; its descriptor must be open for reading and writing, unsealed";
	} else if (err == -ENOMEM) {
		unsigned long max = max_mappings(), n = count_mappings();

		snprintf(text, sizeof(text),
			 "; %lu mappings of vm.max_map_count=%lu are in use, raise it", n,
			 max);
		if (max && n + 16 > max)
			cure = text;
	}
	vh_log(rules, VH_LOG_ERROR, "%s: cannot map %#" PRIx64 " bytes: %s%s", p->what,
	       p->size, vh_strerror(err), cure);
	return err;
}

/*
 * The pages around the piece.  The sums cannot overflow: it ends inside of a
 * file, and no file is longer than 2^63 - 1.
 */
static int map_pages(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		     uint64_t page, struct fd_mapping *f)
{
	const int prot = f->m.readonly ? PROT_READ : PROT_READ | PROT_WRITE;
	const uint64_t start = p->offset & ~(page - 1);
	const uint64_t len = (p->offset + p->size - start + page - 1) & ~(page - 1);

	if (len > SIZE_MAX / 2)
		return mmap_failed(rules, p, -ENOMEM);
	f->base_len = (size_t)len;
	f->base = mmap(NULL, f->base_len, prot, MAP_SHARED | MAP_NORESERVE, p->fd,
		       (off_t)start);
	if (f->base == MAP_FAILED)
		return mmap_failed(rules, p, -errno);
	madvise(f->base, f->base_len, MADV_DONTDUMP);
	f->m.addr = (uint8_t *)f->base + (p->offset - start);
	return 0;
}

/* What st_blksize means is up to the file system; for hugetlbfs it is the page. */
static uint64_t page_of(const struct stat *st, const struct statfs *fs)
{
	uint64_t size = fs->f_type == HUGETLBFS_MAGIC ? (uint64_t)st->st_blksize : 0;

	return vh_is_power_of_two(size) ? size : (uint64_t)sysconf(_SC_PAGESIZE);
}

static int map_piece(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		     bool readonly, struct vh_mapping **mapping)
{
	struct fd_mapping *f;
	struct statfs fs;
	struct stat st;
	int err = look_at(rules, p, &st, &fs);

	if (!err)
		err = check_range(rules, p, &st);
	if (err)
		return err;
	f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct fd_mapping){.m = {.refs = 1,
				       .len = p->size,
				       .dev = st.st_dev,
				       .ino = st.st_ino,
				       .offset = p->offset,
				       .readonly = readonly,
				       .unmap = mapping_unmap}};
	err = map_pages(rules, p, page_of(&st, &fs), f);
	if (err < 0)
		free(f);
	else
		*mapping = &f->m;
	return err;
}

int vh_fdmap_piece(const struct vh_fdmap_rules *rules, const struct vh_fdmap_piece *p,
		   struct vh_mapping **mapping)
{
	return map_piece(rules, p, false, mapping);
}

/* ---- Tables ---- */

/* The fd that @m brings for the region at @gpa, or -1: it brings none for that. */
static int fd_of(const struct vh_msg *m, uint64_t gpa)
{
	if (!m)
		return -1;
	if (m->payload == VH_PAYLOAD_MEM_REG)
		return m->id == VH_MSG_ADD_MEM_REG && m->mem_reg.region.gpa == gpa
			       ? m->fds[0]
			       : -1;
	if (m->payload != VH_PAYLOAD_MEM)
		return -1;
	for (unsigned i = 0; i < m->mem.n && i < m->n_fds; i++)
		if (m->mem.region[i].gpa == gpa)
			return m->fds[i];
	return -1;
}

/* The mapping of the region of @old with all numbers as in @r, or NULL. */
static struct vh_mapping *find_old(const struct vh_map *old,
				   const struct vh_wire_region *r)
{
	const struct vh_map_region *o = old ? vh_map_find(old, r->gpa) : NULL;

	if (!o || o->gpa != r->gpa || o->len != r->size || o->uva != r->uva ||
	    o->mapping->offset != r->offset)
		return NULL;
	return o->mapping;
}

static bool is_readonly(const struct vh_fdmap_rules *rules, int fd)
{
	return rules->readonly && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

static bool is_file_of(const struct vh_fdmap_rules *rules, const struct vh_mapping *m,
		       int fd)
{
	struct stat st;

	return is_taken(rules, fd) && fstat(fd, &st) == 0 && st.st_dev == m->dev &&
	       st.st_ino == m->ino && is_readonly(rules, fd) == m->readonly;
}

static int map_region(const struct vh_fdmap_rules *rules, const struct vh_wire_region *r,
		      const struct vh_msg *m, const struct vh_map *old,
		      struct vh_mapping **mapping, bool *changed)
{
	struct vh_mapping *same = find_old(old, r);
	char what[48];
	struct vh_fdmap_piece p = {.what = what,
				   .fd = fd_of(m, r->gpa),
				   .offset = r->offset,
				   .size = r->size};

	if (same && (p.fd < 0 || is_file_of(rules, same, p.fd))) {
		*mapping = vh_mapping_get(same);
		return 0;
	}
	snprintf(what, sizeof(what), "region at %#" PRIx64, r->gpa);
	if (p.fd < 0)
		return refuse(rules, what, "no descriptor came for it");
	*changed |= same != NULL;
	return map_piece(rules, &p, is_readonly(rules, p.fd), mapping);
}

static void close_fds(struct vh_msg *m)
{
	for (unsigned i = 0; m && i < m->n_fds; i++) {
		VH_AUTO_FD int fd = vh_msg_take_fd(m, i);

		(void)fd;
	}
}

int vh_fdmap_table(const struct vh_fdmap_rules *rules, const struct vh_wire_region *r,
		   unsigned n, struct vh_msg *m, const struct vh_map *old,
		   struct vh_mapping **mapping, bool *changed)
{
	*changed = false;
	for (unsigned i = 0; i < n; i++) {
		int err = map_region(rules, &r[i], m, old, &mapping[i], changed);

		if (err < 0) {
			while (i-- > 0)
				vh_mapping_put(mapping[i]);
			return err;
		}
	}
	close_fds(m);
	return 0;
}

int vh_fdmap_area(const struct vh_fdmap_rules *rules, struct vh_msg *m,
		  struct vh_mapping **mapping)
{
	const bool is_log = m->payload == VH_PAYLOAD_LOG;
	const struct vh_fdmap_piece p = {.what = vh_msg_name(m->channel, m->id),
					 .fd = m->fds[0],
					 .offset = is_log ? m->log.offset
							  : m->inflight.offset,
					 .size = is_log ? m->log.size : m->inflight.size};
	int err;

	if ((!is_log && m->payload != VH_PAYLOAD_INFLIGHT) || !m->n_fds || p.fd < 0)
		return refuse(rules, p.what, "no descriptor came with it");
	err = vh_fdmap_piece(rules, &p, mapping);
	if (!err)
		close_fds(m);
	return err;
}

/* Sealed, so that the peer that keeps it cannot shrink it under whoever maps it. */
int vh_fdmap_make_area(const struct vh_fdmap_rules *rules, uint64_t size,
		       struct vh_msg *m)
{
	VH_AUTO_FD int fd =
		memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = -errno;

		vh_log(rules, VH_LOG_ERROR, "cannot make %" PRIu64 " bytes to share: %s",
		       size, vh_strerror(err));
		return err;
	}
	m->fds[m->n_fds++] = vh_fd_take(&fd);
	return 0;
}
