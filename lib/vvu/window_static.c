/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A VMM learns once, when its guest's device is made, which file
 * it may map for a BAR.  The descriptors of the front-end's memory come much later, and
 * again with each session; but if that memory is one file with a name, the BAR can be
 * that file from the start, and a table is only looked up in it: a region lies where it
 * lies in its file.  Front-ends come and go and nothing is mapped anew.
 *
 * The file is the user's, so it may be of any file system; what is not shared memory is
 * slow when pages are written back.  With a size the file is made here if it is not
 * there, so that either guest may start first; it stays when we end, since the front-end
 * may still run on it.  It must not shrink: the VMM that has mapped it would be killed by
 * the next access.
 *
 * Tables with other files get those trapped behind the end of the file.
 *
 * Control thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory_fd.h"
#include "conn/address.h"
#include "store/size.h"
#include "vvu/window_kind.h"

#define PAGE 4096ull

struct static_window {
	struct vh_window w;
	char *path;
	int fd;
	uint64_t file_size;
	dev_t dev;
	ino_t ino;
	struct vh_trap *trap;
	bool told;
};

static struct static_window *of(struct vh_window *w)
{
	return vh_container_of(w, struct static_window, w);
}

static int refuse(const struct static_window *s, const char *why)
{
	vh_log(&s->w, VH_LOG_ERROR, "%s: %s", s->path, why);
	return -EINVAL;
}

/* ---- Placing ---- */

static bool is_ours(const struct static_window *s, const struct stat *st)
{
	return st->st_dev == s->dev && st->st_ino == s->ino;
}

/* Region @i of @m, which is in our file. */
static int check_inside(const struct static_window *s, const struct vh_msg *m, unsigned i,
			uint64_t now)
{
	const struct vh_wire_region *r = &m->mem.region[i];

	if (now < s->file_size) {
		vh_log(&s->w, VH_LOG_ERROR,
		       "%s has shrunk from %" PRIu64 " to %" PRIu64
		       " bytes: nothing may cut it off while a guest has it mapped",
		       s->path, s->file_size, now);
		return -EINVAL;
	}
	if (r->size && vh_range_inside(r->offset, r->size, 0, s->file_size))
		return 0;
	vh_log(&s->w, VH_LOG_ERROR,
	       "region at %#" PRIx64 ", size %#" PRIx64 " at offset %#" PRIx64
	       ", is not inside of %s, which had %#" PRIx64
	       " bytes when it was opened: make it as long as the front-end's memory",
	       r->gpa, r->size, r->offset, s->path, s->file_size);
	return -EINVAL;
}

static int check_apart(const struct static_window *s, const struct vh_msg *m,
		       unsigned mask, unsigned i)
{
	const struct vh_wire_region *r = &m->mem.region[i];

	for (unsigned k = 0; k < i; k++) {
		const struct vh_wire_region *o = &m->mem.region[k];

		if (mask & (1u << k) ||
		    !vh_range_overlaps(r->offset, r->size, o->offset, o->size))
			continue;
		vh_log(&s->w, VH_LOG_WARN,
		       "regions at %#" PRIx64 " and %#" PRIx64 " share bytes of %s",
		       o->gpa, r->gpa, s->path);
		return -EINVAL;
	}
	return 0;
}

/* A file in memory is not looked for in file systems that may take their time. */
static bool may_be_ours(const struct static_window *s, int fd)
{
	return !vh_fd_is_memory(s->fd) || vh_fd_is_memory(fd);
}

/* Bits of the regions in other files into *@mask, places of those in ours into @at. */
static int sort_out(const struct static_window *s, const struct vh_msg *m, unsigned *mask,
		    uint64_t *at)
{
	*mask = 0;
	for (unsigned i = 0; i < m->mem.n; i++) {
		struct stat st;
		int err;

		if (!may_be_ours(s, m->fds[i]) || fstat(m->fds[i], &st) < 0 ||
		    !is_ours(s, &st)) {
			*mask |= 1u << i;
			continue;
		}
		err = check_inside(s, m, i, (uint64_t)st.st_size);
		if (!err)
			err = check_apart(s, m, *mask, i);
		if (err < 0)
			return err;
		at[i] = m->mem.region[i].offset;
	}
	return 0;
}

static int static_place(struct vh_window *w, struct vh_msg *m,
			struct vh_window_table *table, void (*done)(void *arg, int err),
			void *arg)
{
	struct static_window *s = of(w);
	uint64_t at[VH_MAX_TABLE_REGIONS] = {0};
	char cure[256];
	unsigned mask = 0;
	int err = vh_window_check(w, m);

	(void)done;
	(void)arg;
	if (!err)
		err = sort_out(s, m, &mask, at);
	if (!err)
		err = vh_trap_place(s->trap, m, mask, at);
	if (err < 0)
		return err;
	vh_window_fill(table, m, at);
	snprintf(cure, sizeof(cure),
		 "start the front-end's guest with memory-backend-file,mem-path=%s,"
		 "share=on",
		 s->path);
	vh_window_tell_trapped(w, m, mask, cure, &s->told);
	return 0;
}

/* What is trapped goes; the file is the guest's for good. */
static void static_drop(struct vh_window *w)
{
	vh_trap_drop(of(w)->trap);
}

static void static_read(struct vh_window *w, uint64_t offset, void *buf, size_t len)
{
	vh_trap_read(of(w)->trap, offset, buf, len);
}

static void static_write(struct vh_window *w, uint64_t offset, const void *buf,
			 size_t len)
{
	vh_trap_write(of(w)->trap, offset, buf, len);
}

static void static_destroy(struct vh_window *w)
{
	struct static_window *s = of(w);

	vh_trap_destroy(s->trap);
	vh_fd_drop(&s->fd);
	free(s->path);
	free(s);
}

static const struct vh_window_ops ops = {
	.place = static_place,
	.drop = static_drop,
	.read = static_read,
	.write = static_write,
	.destroy = static_destroy,
};

/* ---- The file ---- */

static int open_failed(const struct static_window *s, int err, bool can_make)
{
	vh_log(&s->w, VH_LOG_ERROR, "cannot open %s: %s%s", s->path, vh_strerror(err),
	       err == -ENOENT && !can_make ? "; with size=SIZE it is made here" : "");
	return err;
}

/* A file that is there is used; else ours is, for nobody but us and who we are. */
static int open_or_make(struct static_window *s, bool can_make)
{
	for (unsigned tries = 0; tries < 2; tries++) {
		s->fd = open(s->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (s->fd < 0 && errno == ENOENT && can_make)
			s->fd = open(s->path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL,
				     0600);
		if (s->fd >= 0)
			return 0;
		if (errno != EEXIST) /* somebody else has just made it: look again */
			break;
	}
	return open_failed(s, -errno, can_make);
}

/* An empty file is one that its maker, a VMM perhaps, has not given its size yet. */
static int give_size(struct static_window *s, uint64_t size, uint64_t *now)
{
	if (*now == size || !size)
		return 0;
	if (*now) {
		vh_log(&s->w, VH_LOG_ERROR,
		       "%s is there and has %" PRIu64 " bytes, not the %" PRIu64
		       " of size=: remove it, or give its size",
		       s->path, *now, size);
		return -EINVAL;
	}
	if (ftruncate(s->fd, (off_t)size) < 0) {
		int err = -errno;

		vh_log(&s->w, VH_LOG_ERROR, "cannot make %s %" PRIu64 " bytes long: %s",
		       s->path, size, vh_strerror(err));
		return err;
	}
	*now = size;
	return 0;
}

static void tell_kind(const struct static_window *s)
{
	if (!vh_fd_is_memory(s->fd))
		vh_log(&s->w, VH_LOG_WARN,
		       "%s is not in memory: its pages are written to a disk now and "
		       "then; use /dev/shm or hugetlbfs",
		       s->path);
}

static int open_file(struct static_window *s, uint64_t size)
{
	struct stat st;
	uint64_t now;
	int err = open_or_make(s, size > 0);

	if (err < 0)
		return err;
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse(s, "not a regular file");
	now = (uint64_t)st.st_size;
	err = give_size(s, size, &now);
	if (err < 0)
		return err;
	if (!now)
		return refuse(s, "it is empty; give its size, size=SIZE");
	s->file_size = now;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	tell_kind(s);
	return 0;
}

/* ---- Making one ---- */

/* @size is 0 when none is given. */
static int read_memory(struct static_window *s, const char *memory, uint64_t *size)
{
	const char *size_text = NULL;
	const struct vh_option known[] = {
		{.name = "size", .form = "SIZE", .value = &size_text}, {.name = NULL}};
	char **parts;
	int err = vh_options_split(memory, &parts);

	*size = 0;
	if (err < 0)
		return err;
	err = vh_options_read(s->w.tag, "memory", parts + 1, known);
	if (!err && (strncmp(parts[0], "file:", 5) != 0 || !parts[0][5] ||
		     (size_text && (!vh_parse_size(size_text, size) || !*size)))) {
		vh_log(&s->w, VH_LOG_ERROR, "memory %s: want file:PATH[,size=SIZE]",
		       memory);
		err = -EINVAL;
	}
	if (!err && !(s->path = strdup(parts[0] + 5)))
		err = -ENOMEM;
	vh_options_free(parts);
	return err;
}

/* The last page may be mapped, too, if the file does not fill it. */
static int export_file(struct static_window *s)
{
	const uint64_t end = (s->file_size + PAGE - 1) & ~(PAGE - 1);

	if (end > s->w.size) {
		vh_log(&s->w, VH_LOG_ERROR,
		       "%s has %" PRIu64 " bytes and the BAR %" PRIu64
		       ": make the BAR bigger (--bar-size)",
		       s->path, s->file_size, s->w.size);
		return -EINVAL;
	}
	s->w.region.fd = s->fd;
	s->w.region.n_areas = 1;
	s->w.region.area[0] = (struct vh_vfu_area){0, end};
	return vh_trap_create(s->w.tag, end, s->w.size, &s->trap);
}

int vh_window_static(const char *memory, uint64_t bar_size, const char *tag,
		     struct vh_window **w)
{
	struct static_window *s = calloc(1, sizeof(*s));
	uint64_t size;
	int err;

	*w = NULL;
	if (!s)
		return -ENOMEM;
	s->fd = -1;
	err = vh_window_init(&s->w, &ops, bar_size, tag);
	if (!err)
		err = read_memory(s, memory, &size);
	if (!err)
		err = open_file(s, size);
	if (!err)
		err = export_file(s);
	if (!err)
		err = vh_trap_add_file(s->trap, s->fd, s->file_size, 0);
	if (err < 0)
		static_destroy(&s->w);
	else
		*w = &s->w;
	return err;
}
