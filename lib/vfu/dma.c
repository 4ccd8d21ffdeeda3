/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory: pieces by iova, as its DMA_MAP told, with the semantics of
 * the kernel's type1 IOMMU for DMA_UNMAP.  Nothing is mapped before somebody asks for
 * the map; then each piece is mapped once, and stays so until it goes.
 *
 * The same file comes with many pieces (one for each page of a guest with a virtual
 * IOMMU), so it is kept once: nobody has fds for tens of thousands.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory_fd.h"
#include "conn/fdmap.h"
#include "mem/guard.h"
#include "vfu/private.h"

struct vh_vfu_file {
	struct vh_list link;
	unsigned refs;
	int fd, access; /* O_RDONLY, ... */
	dev_t dev;
	ino_t ino;
	uint64_t size; /* when it came */
};

struct vh_vfu_piece {
	struct vh_vfu_dma d;
	struct vh_vfu_file *file;   /* NULL: nobody can reach it from here */
	struct vh_mapping *mapping; /* NULL: not wanted yet, or it cannot be had */
	bool refused;		    /* it cannot be had, which was said */
};

/* ---- Files ---- */

static void file_put(struct vh_vfu_file *f)
{
	if (!f || --f->refs)
		return;
	vh_list_remove(&f->link);
	vh_fd_drop(&f->fd);
	free(f);
}

static struct vh_vfu_file *file_find(struct vh_vfu_memory *m, const struct stat *st,
				     int access)
{
	vh_list_for_each (l, &m->files) {
		struct vh_vfu_file *f = vh_container_of(l, struct vh_vfu_file, link);

		if (f->dev == st->st_dev && f->ino == st->st_ino && f->access == access)
			return f;
	}
	return NULL;
}

/* Takes @fd.  0 and *@file; *@file is NULL for what is no file that we take. */
static int file_get(struct vh_vfu_memory *m, int fd, struct vh_vfu_file **file)
{
	VH_AUTO_FD int owned = fd;
	const int flags = fcntl(fd, F_GETFL);
	struct vh_vfu_file *f;
	struct stat st;

	*file = NULL;
	if (!m->any_file && !vh_fd_is_memory(fd))
		return 0;
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	f = file_find(m, &st, flags & O_ACCMODE);
	if (!f) {
		f = malloc(sizeof(*f));
		if (!f)
			return -ENOMEM;
		*f = (struct vh_vfu_file){.fd = vh_fd_take(&owned),
					  .access = flags & O_ACCMODE,
					  .dev = st.st_dev,
					  .ino = st.st_ino};
		vh_list_append(&m->files, &f->link);
	}
	f->size = (uint64_t)st.st_size;
	f->refs++;
	*file = f;
	return 0;
}

/* ---- Pieces ---- */

static void piece_destroy(struct vh_vfu_piece *p)
{
	if (!p)
		return;
	vh_mapping_put(p->mapping);
	file_put(p->file);
	free(p);
}

static uint64_t piece_last(const struct vh_vfu_piece *p)
{
	return p->d.iova + p->d.size - 1;
}

/* The first piece that ends at @iova or behind it. */
static unsigned find(const struct vh_vfu_memory *m, uint64_t iova)
{
	unsigned low = 0, high = m->n;

	while (low < high) {
		const unsigned mid = low + (high - low) / 2;

		if (piece_last(m->piece[mid]) < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_same(const struct vh_vfu_piece *a, const struct vh_vfu_piece *b)
{
	return a->d.iova == b->d.iova && a->d.size == b->d.size &&
	       a->d.offset == b->d.offset && a->file == b->file &&
	       a->d.readable == b->d.readable && a->d.writable == b->d.writable;
}

static void forget_map(struct vh_vfu_memory *m)
{
	vh_map_put(m->map);
	m->map = NULL;
}

static int make_room(struct vh_vfu_memory *m)
{
	const unsigned room = m->room ? 2 * m->room : 64;
	struct vh_vfu_piece **more;

	if (m->n < m->room)
		return 0;
	more = realloc(m->piece, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->piece = more;
	m->room = room;
	return 0;
}

static int insert(struct vh_vfu_memory *m, unsigned at, struct vh_vfu_piece *p)
{
	const int err = make_room(m);

	if (err)
		return err;
	memmove(&m->piece[at + 1], &m->piece[at], (m->n - at) * sizeof(m->piece[0]));
	m->piece[at] = p;
	m->n++;
	m->total += p->d.size;
	forget_map(m);
	return 0;
}

static struct vh_vfu_piece *take_out(struct vh_vfu_memory *m, unsigned at)
{
	struct vh_vfu_piece *p = m->piece[at];

	m->n--;
	memmove(&m->piece[at], &m->piece[at + 1], (m->n - at) * sizeof(m->piece[0]));
	m->total -= p->d.size;
	forget_map(m);
	return p;
}

/* ---- Adding ---- */

static int check_numbers(const struct vh_vfu_memory *m, const struct vh_vfu_dma_map *c)
{
	uint64_t end;

	if (!c->size || !vh_add_u64(c->iova, c->size, &end))
		return -EINVAL;
	if (m->n >= VH_VFU_MAX_DMA || c->size > VH_VFU_MAX_DMA_LEN - m->total)
		return -ENOSPC;
	return 0;
}

/* A piece of nothing that can be mapped is as one without a file: a guest may live. */
static int set_file(struct vh_vfu *v, struct vh_vfu_piece *p, int fd)
{
	int err;

	if (fd < 0)
		return 0;
	err = file_get(&v->memory, fd, &p->file);
	if (err)
		return err;
	if (!p->file) {
		vh_log(v, VH_LOG_INFO,
		       "memory at %#" PRIx64 " is neither memfd, tmpfs nor hugetlbfs: "
		       "out of our reach, but for "
		       "option any-memory=on",
		       p->d.iova);
		return 0;
	}
	p->d.fd = p->file->fd;
	if (p->d.offset % (uint64_t)sysconf(_SC_PAGESIZE) ||
	    !vh_range_inside(p->d.offset, p->d.size, 0, p->file->size))
		return -EINVAL;
	return 0;
}

/* Takes @p, also on failure. */
static int place(struct vh_vfu *v, struct vh_vfu_piece *p)
{
	struct vh_vfu_memory *m = &v->memory;
	const unsigned at = find(m, p->d.iova);
	int err;

	if (at < m->n && m->piece[at]->d.iova <= piece_last(p)) {
		err = is_same(m->piece[at], p) ? 0 : -EEXIST;
		piece_destroy(p);
		return err;
	}
	err = insert(m, at, p);
	if (err) {
		piece_destroy(p);
		return err;
	}
	if (v->ops.dma_added)
		err = v->ops.dma_added(v->arg, &p->d);
	if (err && err != -EINPROGRESS)
		piece_destroy(take_out(m, at));
	return err;
}

int vh_vfu_memory_add(struct vh_vfu *v, const struct vh_vfu_dma_map *c, int fd)
{
	VH_AUTO_FD int owned = fd;
	struct vh_vfu_piece *p;
	int err = check_numbers(&v->memory, c);

	if (err)
		return err;
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct vh_vfu_piece){.d = {.iova = c->iova,
					 .size = c->size,
					 .offset = c->offset,
					 .fd = -1,
					 .readable = c->flags & VH_VFU_DMA_READABLE,
					 .writable = c->flags & VH_VFU_DMA_WRITABLE}};
	err = set_file(v, p, vh_fd_take(&owned));
	if (!err)
		return place(v, p);
	piece_destroy(p);
	return err;
}

/* ---- Removing ---- */

static int remove_next(struct vh_vfu *v)
{
	struct vh_vfu_memory *m = &v->memory;
	unsigned at;

	while ((at = find(m, m->first)) < m->n && m->piece[at]->d.iova <= m->last) {
		int err = 0;

		m->going = take_out(m, at);
		if (v->ops.dma_removed)
			err = v->ops.dma_removed(v->arg, &m->going->d);
		if (err == -EINPROGRESS)
			return err;
		piece_destroy(m->going);
		m->going = NULL;
	}
	return 0;
}

int vh_vfu_memory_continue(struct vh_vfu *v)
{
	piece_destroy(v->memory.going);
	v->memory.going = NULL;
	return remove_next(v);
}

/* Does the range begin or end inside of a piece? */
static bool cuts(const struct vh_vfu_memory *m, uint64_t first, uint64_t last)
{
	const unsigned a = find(m, first), b = find(m, last);

	return (a < m->n && m->piece[a]->d.iova < first) ||
	       (b < m->n && m->piece[b]->d.iova <= last &&
		piece_last(m->piece[b]) > last);
}

int vh_vfu_memory_remove(struct vh_vfu *v, uint64_t iova, uint64_t size)
{
	struct vh_vfu_memory *m = &v->memory;
	const uint64_t last = iova + size - 1;

	if (!size || last < iova || cuts(m, iova, last))
		return -EINVAL;
	m->first = iova;
	m->last = last;
	return remove_next(v);
}

int vh_vfu_memory_remove_all(struct vh_vfu *v)
{
	v->memory.first = 0;
	v->memory.last = UINT64_MAX;
	return remove_next(v);
}

/* ---- Looking ---- */

void vh_vfu_dma_each(const struct vh_vfu *v,
		     void (*fn)(void *arg, const struct vh_vfu_dma *d), void *arg)
{
	for (unsigned i = 0; i < v->memory.n; i++)
		fn(arg, &v->memory.piece[i]->d);
}

static int guard(struct vh_vfu *v, const char *what, struct vh_mapping *m)
{
	unsigned slot;
	const int err = vh_guard_add(m->addr, (size_t)m->len, v->memory.shrunk.fd, &slot);

	if (err)
		vh_log(v, VH_LOG_ERROR,
		       "%s: cannot be guarded against a file that shrinks: %s", what,
		       vh_strerror(err));
	else
		m->guard = slot + 1;
	return err;
}

static int piece_map(struct vh_vfu *v, struct vh_vfu_piece *p)
{
	char what[48];
	const struct vh_fdmap_rules rules = {.tag = v->tag,
					     .any_file = v->memory.any_file};
	const struct vh_fdmap_piece piece = {
		.what = what, .fd = p->d.fd, .offset = p->d.offset, .size = p->d.size};
	struct vh_mapping *m;
	int err;

	snprintf(what, sizeof(what), "memory at %#" PRIx64, p->d.iova);
	err = vh_fdmap_piece(&rules, &piece, &m);
	if (err)
		return err;
	err = guard(v, what, m);
	if (err)
		vh_mapping_put(m);
	else
		p->mapping = m;
	return err;
}

static bool is_wanted(const struct vh_vfu_piece *p)
{
	return p->file && p->d.readable && p->d.writable;
}

static bool have_mapping(struct vh_vfu *v, struct vh_vfu_piece *p)
{
	if (!p->mapping && !p->refused)
		p->refused = piece_map(v, p) < 0;
	return p->mapping;
}

/* What of it we can have: a device gets along without a guest's oddest memory. */
static unsigned collect(struct vh_vfu *v, struct vh_wire_region *r,
			struct vh_mapping **mapping)
{
	struct vh_vfu_memory *m = &v->memory;
	unsigned n = 0;

	for (unsigned i = 0; i < m->n && n < VH_MAX_SLOTS; i++) {
		const struct vh_vfu_dma *d = &m->piece[i]->d;
		if (!is_wanted(m->piece[i]) || !have_mapping(v, m->piece[i]))
			continue;
		r[n] = (struct vh_wire_region){.gpa = d->iova,
					       .uva = d->iova,
					       .size = d->size,
					       .offset = d->offset};
		mapping[n++] = vh_mapping_get(m->piece[i]->mapping);
	}
	return n;
}

static unsigned count_wanted(const struct vh_vfu_memory *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n; i++)
		n += is_wanted(m->piece[i]);
	return n;
}

static int too_many(struct vh_vfu *v, unsigned n)
{
	if (!v->memory.is_too_many)
		vh_log(v, VH_LOG_ERROR,
		       "the client's memory has %u pieces, we map at most %d", n,
		       VH_MAX_SLOTS);
	v->memory.is_too_many = true;
	return -E2BIG;
}

static int make_map(struct vh_vfu *v)
{
	struct vh_vfu_memory *m = &v->memory;
	struct vh_wire_region region[VH_MAX_SLOTS];
	struct vh_mapping *mapping[VH_MAX_SLOTS];
	const unsigned n = count_wanted(m);
	int err;

	if (n > VH_MAX_SLOTS)
		return too_many(v, n);
	m->is_too_many = false;
	err = vh_map_create(region, mapping, collect(v, region, mapping), ++m->epoch,
			    &m->map);
	if (err)
		vh_log(v, VH_LOG_ERROR, "cannot make a map of the client's memory: %s",
		       vh_strerror(err));
	return err;
}

int vh_vfu_map(struct vh_vfu *v, struct vh_map **map)
{
	const int err = v->memory.map ? 0 : make_map(v);

	*map = err ? NULL : vh_map_get(v->memory.map);
	return err;
}

/* ---- Life ---- */

static void shrunk(struct vh_event *ev, uint32_t events)
{
	struct vh_vfu *v = vh_container_of(ev, struct vh_vfu, memory.shrunk);
	uint64_t n;

	(void)events;
	if (read(ev->fd, &n, sizeof(n)) == sizeof(n))
		vh_vfu_fault(v, "a file of its memory shrank");
}

int vh_vfu_memory_init(struct vh_vfu *v)
{
	struct vh_vfu_memory *m = &v->memory;
	int err;

	vh_list_init(&m->files);
	m->shrunk = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				      .fn = shrunk};
	err = m->shrunk.fd < 0 ? -errno : vh_event_add(v->reactor, &m->shrunk, EPOLLIN);
	if (err)
		vh_log(v, VH_LOG_ERROR, "cannot make an eventfd: %s", vh_strerror(err));
	return err;
}

void vh_vfu_memory_fini(struct vh_vfu *v)
{
	struct vh_vfu_memory *m = &v->memory;

	forget_map(m);
	piece_destroy(m->going);
	while (m->n)
		piece_destroy(take_out(m, m->n - 1));
	free(m->piece);
	if (m->shrunk.fd >= 0)
		vh_event_remove(v->reactor, &m->shrunk);
	vh_fd_drop(&m->shrunk.fd);
}
