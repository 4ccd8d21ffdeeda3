/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory that a client shares: one memfd for the application's buffers, made
 * when the client is, and one for the rings, made when their size is known.
 * Both are sealed against shrinking, which back-ends may insist on.  Or both are
 * in one file of the application's, one behind the other.  Client's thread, save
 * vh_client_to_device(), which only reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "session/client.h"

#define HUGE_PAGE (2u << 20)

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

static int make_file(size_t len, unsigned flags)
{
	VH_AUTO_FD int fd =
		memfd_create("vhost-client", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return vh_fd_take(&fd);
}

/* Takes @fd, also on failure, which may be the -errno of making it. */
static int map_fd(struct vh_client_memory *m, int fd, size_t len, uint64_t offset)
{
	void *va;
	int err;

	if (fd < 0)
		return fd;
	va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (va == MAP_FAILED) {
		err = -errno;
		close(fd);
		return err;
	}
	*m = (struct vh_client_memory){.fd = fd, .va = va, .len = len, .offset = offset};
	return 0;
}

/* @len is a multiple of the page's.  0 or -errno. */
static int map_new(struct vh_client_memory *m, size_t len, unsigned flags)
{
	return map_fd(m, make_file(len, flags), len, 0);
}

/* ---- One file for all ---- */

int vh_client_memory_open(struct vh_client *c, const char *path)
{
	c->file = open(path, O_RDWR | O_CLOEXEC);
	if (c->file >= 0)
		return 0;
	vh_log(c, VH_LOG_ERROR, "%s: %s", path, vh_strerror(-errno));
	return -errno;
}

/* The rings are behind the buffers. */
static int map_part(struct vh_client *c, struct vh_client_memory *m, size_t len)
{
	const uint64_t offset = m == &c->rings ? c->ram.len : 0;
	struct stat st;

	if (fstat(c->file, &st) < 0)
		return -errno;
	if (!vh_range_inside(offset, len, 0, (uint64_t)st.st_size)) {
		vh_log(c, VH_LOG_ERROR,
		       "its file of %jd bytes has no room for %zu behind the first %ju",
		       (intmax_t)st.st_size, len, (uintmax_t)offset);
		return -ENOSPC;
	}
	return map_fd(m, fcntl(c->file, F_DUPFD_CLOEXEC, 0), len, offset);
}

/* ---- Either ---- */

/* 0 when it does not fit into an address. */
static size_t round_up(size_t len, size_t page)
{
	return len > SIZE_MAX / 2 ? 0 : (len + page - 1) / page * page;
}

int vh_client_memory_make(struct vh_client *c, struct vh_client_memory *m, uint64_t gpa,
			  size_t len, bool hugepages)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err = -ENOMEM;

	if (c->file >= 0 && round_up(len, page)) {
		err = map_part(c, m, round_up(len, page));
		m->gpa = gpa;
		/* Somebody else's rings may have been there. */
		if (!err && m == &c->rings)
			memset(m->va, 0, m->len);
		return err;
	}
	if (hugepages && round_up(len, HUGE_PAGE)) {
		err = map_new(m, round_up(len, HUGE_PAGE), MFD_HUGETLB | MFD_HUGE_2MB);
		if (err)
			vh_log(c, VH_LOG_INFO,
			       "no huge pages for %zu bytes (%s): using small ones", len,
			       vh_strerror(err));
	}
	if (err && round_up(len, page))
		err = map_new(m, round_up(len, page), 0);
	if (err) {
		vh_log(c, VH_LOG_ERROR, "cannot make %zu bytes of shared memory: %s", len,
		       vh_strerror(err));
		return err;
	}
	m->gpa = gpa;
	return 0;
}

void vh_client_memory_release(struct vh_client_memory *m)
{
	if (!m->len)
		return;
	munmap(m->va, m->len);
	vh_fd_drop(&m->fd);
	m->len = 0;
}

int vh_client_memory_offer(struct vh_client *c, struct vh_client_memory *m)
{
	const struct vh_wire_region r = {.gpa = m->gpa,
					 .size = m->len,
					 .uva = (uintptr_t)m->va,
					 .offset = m->offset};
	int err = 0;

	if (m->len && !m->offered)
		err = vh_frontend_want_region(&c->fe, &r);
	m->offered = !err;
	if (err)
		vh_log(c, VH_LOG_ERROR, "the back-end takes only %u memory regions",
		       c->fe.memory_slots);
	return err;
}

int vh_client_memory_fd(const struct vh_client *c, const struct vh_wire_region *r)
{
	if (c->ram.len && r->gpa == c->ram.gpa)
		return c->ram.fd;
	if (c->rings.len && r->gpa == c->rings.gpa)
		return c->rings.fd;
	return -1;
}

static bool find_in(const struct vh_client_memory *m, const void *p, size_t len,
		    uint64_t *gpa)
{
	const uintptr_t start = (uintptr_t)m->va, at = (uintptr_t)p;

	if (!m->len || !vh_range_inside(at, len, start, m->len))
		return false;
	*gpa = m->gpa + (at - start);
	return true;
}

bool vh_client_to_device(void *arg, const void *p, size_t len, uint64_t *gpa)
{
	const struct vh_client *c = arg;

	return find_in(&c->ram, p, len, gpa) || find_in(&c->rings, p, len, gpa);
}

void *vh_client_alloc(struct vh_client *c, size_t len, size_t align)
{
	struct vh_client_memory *m = &c->ram;
	uintptr_t at = (uintptr_t)m->va + m->used;
	size_t skip;

	if (!m->len || !vh_is_power_of_two(align))
		return NULL;
	skip = -at & (align - 1);
	if (skip > m->len - m->used || len > m->len - m->used - skip)
		return NULL;
	m->used += skip + len;
	return (void *)(at + skip);
}
