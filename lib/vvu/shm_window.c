/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A piece is a run of pages of a file, and each region of a table
 * is in one.  Pieces that the next table has, too, stay where they are; new ones go to
 * where nothing is, and old ones are taken away when the new table is there.  So what
 * is in use never moves, as long as the window has room for both tables.
 *
 * Answers come in the order of questions, so a list of pieces that were asked for is all
 * that has to be remembered.
 *
 * When the guest is reset its VMM takes all away, when it is merely paused nothing;
 * nobody says which it was, and QEMU does not survive to be asked for what is not there.
 * So all is forgotten, and since something may be left, places are given round and round:
 * the next table does not come to where the last one was.
 */
#include "vvu/shm_window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/log.h"
#include "vvu/window_kind.h"

#define PAGE	   4096ull
#define MAX_PIECES 32u

enum piece_state { PIECE_COMING, PIECE_THERE, PIECE_GOING };

struct piece {
	enum piece_state state;
	uint64_t at, offset, len;
	dev_t dev;
	ino_t ino;
	bool wanted;
	struct vh_list link;  /* of the window's, in order of at */
	struct vh_list asked; /* of the window's                 */
};

struct shm_window {
	struct vh_window w;
	const struct vh_shm_window_ops *ops;
	void *arg;
	struct vh_list pieces, asked;
	unsigned n_pieces;
	unsigned n_stale; /* answers to come that are of no interest     */
	uint64_t cursor;  /* where the next piece goes, if there is room */
	/* The table that is placed. */
	bool placing, failed;
	unsigned n;
	struct vh_wire_mem mem;
	struct piece *piece[VH_MAX_TABLE_REGIONS];
	struct vh_window_table *table;
	void (*done)(void *arg, int err);
	void *done_arg;
};

static struct shm_window *of(struct vh_window *w)
{
	return vh_container_of(w, struct shm_window, w);
}

/* ---- Pieces ---- */

static void piece_free(struct shm_window *s, struct piece *p)
{
	vh_list_remove(&p->link);
	vh_list_remove(&p->asked);
	s->n_pieces--;
	free(p);
}

static struct piece *find_piece(struct shm_window *s, const struct piece *like)
{
	vh_list_for_each (l, &s->pieces) {
		struct piece *p = vh_container_of(l, struct piece, link);

		if (p->state != PIECE_GOING && p->dev == like->dev &&
		    p->ino == like->ino && p->offset == like->offset &&
		    p->len == like->len)
			return p;
	}
	return NULL;
}

/* The first gap from @from on that is long enough: what it is before, or NULL. */
static struct vh_list *find_gap(struct shm_window *s, struct piece *p, uint64_t from)
{
	struct vh_list *l = s->pieces.next;

	p->at = from;
	for (; l != &s->pieces; l = l->next) {
		const struct piece *next = vh_container_of(l, struct piece, link);

		if (next->at >= p->at && next->at - p->at >= p->len)
			return l;
		if (next->at + next->len > p->at)
			p->at = next->at + next->len;
	}
	return s->w.size >= p->at && s->w.size - p->at >= p->len ? l : NULL;
}

static int make_piece(struct shm_window *s, const struct piece *like, int fd,
		      struct piece **out)
{
	struct piece *p = s->n_pieces < MAX_PIECES ? calloc(1, sizeof(*p)) : NULL;
	struct vh_list *before;
	int err;

	if (!p)
		return -ENOMEM;
	*p = *like;
	vh_list_init(&p->link);
	vh_list_init(&p->asked);
	before = find_gap(s, p, s->cursor);
	if (!before)
		before = find_gap(s, p, 0);
	err = before ? s->ops->map(s->arg, p->at, fd, p->offset, p->len) : -ENOSPC;
	if (err < 0) {
		vh_log(&s->w, VH_LOG_ERROR,
		       "%#" PRIx64 " bytes of memory cannot be shown to the guest: %s",
		       p->len, vh_strerror(err));
		free(p);
		return err;
	}
	s->n_pieces++;
	s->cursor = p->at + p->len;
	vh_list_append(before, &p->link);
	vh_list_append(&s->asked, &p->asked);
	*out = p;
	return 0;
}

static void unmap_unwanted(struct shm_window *s)
{
	vh_list_for_each (l, &s->pieces) {
		struct piece *p = vh_container_of(l, struct piece, link);

		if (p->wanted || p->state != PIECE_THERE)
			continue;
		if (s->ops->unmap(s->arg, p->at, p->len) < 0) {
			vh_log(&s->w, VH_LOG_WARN, "memory stays in the guest's sight");
			continue;
		}
		p->state = PIECE_GOING;
		vh_list_append(&s->asked, &p->asked);
	}
}

/* ---- Placing ---- */

/* The pages of region @r in its file. */
static int describe(struct shm_window *s, const struct vh_wire_region *r, int fd,
		    struct piece *like)
{
	struct stat st;
	uint64_t end;

	if (!vh_window_cannot_shrink(fd)) {
		vh_log(&s->w, VH_LOG_ERROR,
		       "memory that can shrink is not mapped into a guest: give the "
		       "front-end's memory-backend-memfd");
		return -EINVAL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !r->size ||
	    !vh_range_inside(r->offset, r->size, 0, (uint64_t)st.st_size)) {
		vh_log(&s->w, VH_LOG_WARN,
		       "region at %#" PRIx64 " is not inside of its file", r->gpa);
		return -EINVAL;
	}
	end = (r->offset + r->size + PAGE - 1) & ~(PAGE - 1);
	*like = (struct piece){.state = PIECE_COMING,
			       .offset = r->offset & ~(PAGE - 1),
			       .dev = st.st_dev,
			       .ino = st.st_ino,
			       .wanted = true};
	like->len = end - like->offset;
	return 0;
}

/* Regions of the same pages would lie on top of each other. */
static bool is_taken(const struct shm_window *s, const struct piece *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (s->piece[i] == p)
			return true;
	return false;
}

static int choose(struct shm_window *s, const struct vh_msg *m, unsigned i)
{
	struct piece like, *p;
	int err = describe(s, &m->mem.region[i], m->fds[i], &like);

	if (err < 0)
		return err;
	p = find_piece(s, &like);
	if (p && is_taken(s, p, i))
		return -EINVAL;
	if (!p)
		err = make_piece(s, &like, m->fds[i], &p);
	if (!err) {
		p->wanted = true;
		s->piece[i] = p;
	}
	return err;
}

static bool is_coming(const struct shm_window *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->piece[i]->state == PIECE_COMING)
			return true;
	return false;
}

static int finish(struct shm_window *s)
{
	struct vh_msg m;
	uint64_t at[VH_MAX_TABLE_REGIONS] = {0};

	s->placing = false;
	if (s->failed)
		return -EIO;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem = s->mem;
	for (unsigned i = 0; i < s->n; i++)
		at[i] = s->piece[i]->at + m.mem.region[i].offset % PAGE;
	vh_window_fill(s->table, &m, at);
	unmap_unwanted(s);
	return 0;
}

static void want_nothing(struct shm_window *s)
{
	vh_list_for_each (l, &s->pieces) {
		vh_container_of(l, struct piece, link)->wanted = false;
	}
	s->placing = s->failed = false;
	s->n = 0;
}

static int shm_place(struct vh_window *w, struct vh_msg *m, struct vh_window_table *table,
		     void (*done)(void *arg, int err), void *arg)
{
	struct shm_window *s = of(w);
	int err = vh_window_check(w, m);

	want_nothing(s);
	for (unsigned i = 0; i < m->mem.n && !err; i++)
		err = choose(s, m, i);
	if (err < 0)
		return err;
	s->n = m->mem.n;
	s->mem = m->mem;
	s->table = table;
	s->done = done;
	s->done_arg = arg;
	s->placing = true;
	return is_coming(s) ? -EINPROGRESS : finish(s);
}

/* A driver that lets go is often reset next: only one that goes on is asked for. */
static void shm_drop(struct vh_window *w)
{
	want_nothing(of(w));
}

/* ---- What the VMM says ---- */

static void refused(struct shm_window *s, struct piece *p)
{
	vh_log(&s->w, VH_LOG_ERROR,
	       "the guest's VMM does not %s %#" PRIx64 " bytes of memory",
	       p->state == PIECE_COMING ? "show" : "take away", p->len);
	if (p->state == PIECE_GOING) {
		p->state = PIECE_THERE;
		return;
	}
	for (unsigned i = 0; i < s->n; i++)
		if (s->piece[i] == p)
			s->failed = true;
	if (s->failed)
		s->n = 0;
	piece_free(s, p);
}

void vh_shm_window_answered(struct vh_window *w, bool ok)
{
	struct shm_window *s = of(w);
	struct piece *p;

	if (s->n_stale) {
		s->n_stale--;
		return;
	}
	if (vh_list_is_empty(&s->asked))
		return;
	p = vh_container_of(vh_list_take(&s->asked), struct piece, asked);
	if (!ok)
		refused(s, p);
	else if (p->state == PIECE_GOING)
		piece_free(s, p);
	else
		p->state = PIECE_THERE;
	if (s->placing && (s->failed || !is_coming(s)))
		s->done(s->done_arg, finish(s));
}

void vh_shm_window_stop(struct vh_window *w)
{
	struct shm_window *s = of(w);

	want_nothing(s);
	vh_list_for_each (l, &s->pieces) {
		struct piece *p = vh_container_of(l, struct piece, link);

		s->n_stale += !vh_list_is_empty(&p->asked);
		piece_free(s, p);
	}
}

void vh_shm_window_lost(struct vh_window *w)
{
	struct shm_window *s = of(w);

	vh_shm_window_stop(w);
	s->n_stale = 0;
	s->cursor = 0;
}

/* ---- The rest ---- */

/* All of it is mapped, or nothing is there. */
static void shm_read(struct vh_window *w, uint64_t offset, void *buf, size_t len)
{
	memset(buf, 0, len);
}

static void shm_write(struct vh_window *w, uint64_t offset, const void *buf, size_t len)
{
}

static void shm_destroy(struct vh_window *w)
{
	struct shm_window *s = of(w);

	vh_shm_window_lost(w);
	free(s);
}

static const struct vh_window_ops ops = {
	.place = shm_place,
	.drop = shm_drop,
	.read = shm_read,
	.write = shm_write,
	.destroy = shm_destroy,
};

int vh_shm_window_create(uint64_t size, const char *tag,
			 const struct vh_shm_window_ops *vmm, void *arg,
			 struct vh_window **w)
{
	struct shm_window *s = calloc(1, sizeof(*s));
	int err;

	*w = NULL;
	if (!s)
		return -ENOMEM;
	vh_list_init(&s->pieces);
	vh_list_init(&s->asked);
	s->ops = vmm;
	s->arg = arg;
	err = vh_window_init(&s->w, &ops, size, tag);
	if (err < 0)
		shm_destroy(&s->w);
	else
		*w = &s->w;
	return err;
}
