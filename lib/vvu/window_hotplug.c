/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  Memory that nobody knew beforehand comes to the guest with PCI
 * functions that are plugged into it: one for each file of a table, since a VMM maps one
 * descriptor for a BAR, and learns of it when the function is made.  A file that the
 * next table has, too, keeps its function; functions of new files are plugged in before
 * those of old ones are asked for, so that a driver whose rings run can move.  If the
 * guest has no port for that, the old ones are asked for first: a driver that is between
 * two sessions gives them at once.
 *
 * A file that could shrink is not mapped into a guest, whose VMM would be killed by the
 * next access: it is sealed against that, and where that cannot be, or nothing can be
 * plugged, it is trapped.
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
#include "spec/vvu.h"
#include "vvu/plugger.h"
#include "vvu/window_function.h"
#include "vvu/window_kind.h"

#define MAX_FILES 64u /* wanted and on their way out */

struct hot_file {
	struct vh_plug plug;
	struct vh_window_function *function;
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t size;
	uint16_t number;
	bool wanted; /* by the present table, or the one that is placed */
	bool again;  /* its port was another one's, which was asked for */
	struct vh_list link;
};

struct hot_window {
	struct vh_window w;
	struct vh_reactor *reactor;
	char *path;
	uint8_t uuid[16];
	bool unsealed;
	struct vh_plugger *plugger;
	struct vh_trap *trap;
	struct vh_list files;
	unsigned n_files;
	uint16_t last_number;
	bool told;
	/* The table that is placed. */
	bool placing;
	struct vh_msg msg; /* with duplicates of its descriptors */
	struct hot_file *file[VH_MAX_TABLE_REGIONS]; /* NULL: trapped */
	struct vh_window_table *table;
	void (*done)(void *arg, int err);
	void *arg;
};

static struct hot_window *of(struct vh_window *w)
{
	return vh_container_of(w, struct hot_window, w);
}

/* ---- Files ---- */

static void file_free(struct hot_window *h, struct hot_file *f)
{
	vh_plugger_forget(h->plugger, &f->plug);
	vh_window_function_destroy(f->function);
	vh_fd_drop(&f->fd);
	vh_list_remove(&f->link);
	h->n_files--;
	free(f);
}

/* What a guest can have mapped.  Trapping looks at the rest again, and says more. */
static bool can_be_plugged(struct hot_window *h, int fd, struct stat *st)
{
	if (!vh_fd_is_memory(fd))
		return false;
	if (!h->unsealed && !vh_window_cannot_shrink(fd)) {
		vh_log(&h->w, VH_LOG_WARN,
		       "memory that can shrink is not mapped into a guest: give the "
		       "front-end's memory-backend-memfd, or option unsealed=on if the "
		       "front-end is trusted");
		return false;
	}
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size > 0;
}

static struct hot_file *find_file(struct hot_window *h, const struct stat *st)
{
	vh_list_for_each (l, &h->files) {
		struct hot_file *f = vh_container_of(l, struct hot_file, link);

		if (f->dev == st->st_dev && f->ino == st->st_ino &&
		    f->size == (uint64_t)st->st_size &&
		    (f->plug.state == VH_PLUG_IN || f->plug.state == VH_PLUG_WANTED) &&
		    !vh_window_function_is_over(f->function))
			return f;
	}
	return NULL;
}

/* The names are our process's and the function's: others may plug things, too. */
static int file_offer(struct hot_window *h, struct hot_file *f)
{
	const struct vh_window_function_params params = {
		.socket = f->plug.socket,
		.uuid = h->uuid,
		.number = f->number,
		.fd = f->fd,
		.size = f->size,
		.tag = h->w.tag,
	};
	int n = snprintf(f->plug.socket, sizeof(f->plug.socket), "%s.window%d-%u",
			 h->path, (int)getpid(), f->number);

	snprintf(f->plug.id, sizeof(f->plug.id), "vhost-window%d-%u", (int)getpid(),
		 f->number);
	if (n >= (int)sizeof(f->plug.socket)) {
		vh_log(&h->w, VH_LOG_ERROR,
		       "%s: too long, the functions' sockets are beside it", h->path);
		return -ENAMETOOLONG;
	}
	return vh_window_function_create(h->reactor, &params, &f->function);
}

static struct hot_file *make_file(struct hot_window *h, int fd, const struct stat *st)
{
	struct hot_file *f = h->n_files < MAX_FILES ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return NULL;
	if (!++h->last_number)
		h->last_number = 1;
	*f = (struct hot_file){
		.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.number = h->last_number,
	};
	vh_list_append(&h->files, &f->link);
	h->n_files++;
	if (f->fd < 0 || file_offer(h, f) < 0) {
		file_free(h, f);
		return NULL;
	}
	return f;
}

static void unplug_unwanted(struct hot_window *h)
{
	vh_list_for_each (l, &h->files) {
		struct hot_file *f = vh_container_of(l, struct hot_file, link);

		if (!f->wanted && f->plug.state == VH_PLUG_IN)
			vh_plugger_unplug(h->plugger, &f->plug);
	}
}

/* ---- Placing ---- */

static bool has_unwanted(const struct hot_window *h)
{
	vh_list_for_each (l, &h->files) {
		if (!vh_container_of(l, struct hot_file, link)->wanted)
			return true;
	}
	return false;
}

static void stop_placing(struct hot_window *h)
{
	if (h->placing)
		vh_msg_close(&h->msg);
	h->placing = false;
}

static bool is_plugging(const struct hot_window *h)
{
	for (unsigned i = 0; i < h->msg.mem.n; i++)
		if (h->file[i] && h->file[i]->plug.state != VH_PLUG_IN)
			return true;
	return false;
}

/* All that could be plugged is.  Functions that nobody needs any more are asked for, but
 * only if the new table is in force. */
static int finish(struct hot_window *h)
{
	uint64_t at[VH_MAX_TABLE_REGIONS] = {0};
	unsigned mask = 0;
	int err;

	for (unsigned i = 0; i < h->msg.mem.n; i++)
		if (h->file[i])
			at[i] = VH_VVU_PLACE(h->file[i]->number,
					     h->msg.mem.region[i].offset);
		else
			mask |= 1u << i;
	err = vh_trap_place(h->trap, &h->msg, mask, at);
	if (!err) {
		vh_window_fill(h->table, &h->msg, at);
		vh_window_tell_trapped(&h->w, &h->msg, mask,
				       "it could not be plugged in, as said before",
				       &h->told);
		unplug_unwanted(h);
	}
	stop_placing(h);
	return err;
}

static void go_on(struct hot_window *h)
{
	if (h->placing && !is_plugging(h))
		h->done(h->arg, finish(h));
}

/* The file of region @i, or NULL: it is trapped. */
static struct hot_file *choose(struct hot_window *h, unsigned i)
{
	const struct vh_wire_region *r = &h->msg.mem.region[i];
	struct hot_file *f;
	struct stat st;

	if (!can_be_plugged(h, h->msg.fds[i], &st) || !r->size ||
	    !vh_range_inside(r->offset, r->size, 0, (uint64_t)st.st_size))
		return NULL;
	f = find_file(h, &st);
	if (!f) {
		f = make_file(h, h->msg.fds[i], &st);
		if (f)
			vh_plugger_plug(h->plugger, &f->plug);
	}
	return f;
}

/* Drivers may compute places, for which regions may not overlap. */
static bool overlaps_earlier(const struct hot_window *h, unsigned i)
{
	const struct vh_wire_region *r = &h->msg.mem.region[i];

	for (unsigned k = 0; k < i; k++)
		if (h->file[k] == h->file[i] && h->file[i] &&
		    vh_range_overlaps(r->offset, r->size, h->msg.mem.region[k].offset,
				      h->msg.mem.region[k].size))
			return true;
	return false;
}

static void choose_all(struct hot_window *h)
{
	vh_list_for_each (l, &h->files) {
		vh_container_of(l, struct hot_file, link)->wanted = false;
	}
	for (unsigned i = 0; i < h->msg.mem.n; i++) {
		h->file[i] = choose(h, i);
		if (overlaps_earlier(h, i))
			h->file[i] = NULL;
		if (h->file[i])
			h->file[i]->wanted = true;
	}
}

static int copy_message(struct hot_window *h, const struct vh_msg *m)
{
	vh_msg_init(&h->msg, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	h->msg.mem = m->mem;
	for (; h->msg.n_fds < m->n_fds; h->msg.n_fds++) {
		int fd = fcntl(m->fds[h->msg.n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			vh_log(&h->w, VH_LOG_ERROR, "cannot duplicate a descriptor: %s",
			       vh_strerror(err));
			vh_msg_close(&h->msg);
			return err;
		}
		h->msg.fds[h->msg.n_fds] = fd;
	}
	return 0;
}

static int hot_place(struct vh_window *w, struct vh_msg *m, struct vh_window_table *table,
		     void (*done)(void *arg, int err), void *arg)
{
	struct hot_window *h = of(w);
	int err = vh_window_check(w, m);

	stop_placing(h);
	if (!err)
		err = copy_message(h, m);
	if (err < 0)
		return err;
	h->placing = true;
	h->table = table;
	h->done = done;
	h->arg = arg;
	choose_all(h);
	return is_plugging(h) ? -EINPROGRESS : finish(h);
}

/* ---- What became of plugging ---- */

/* Nothing is plugged for it; its regions, if a table waits for them, are trapped. */
static void give_up(struct hot_window *h, struct hot_file *f)
{
	for (unsigned i = 0; h->placing && i < h->msg.mem.n; i++)
		if (h->file[i] == f)
			h->file[i] = NULL;
	file_free(h, f);
}

static void on_plugged(void *arg, struct vh_plug *plug, const char *error)
{
	struct hot_window *h = arg;
	struct hot_file *f = vh_container_of(plug, struct hot_file, plug);

	if (error && f->wanted && !f->again && has_unwanted(h)) {
		f->again = true;
		unplug_unwanted(h);
		vh_plugger_plug(h->plugger, plug);
		return;
	}
	if (error) {
		vh_log(&h->w, VH_LOG_ERROR, "cannot plug memory into the guest: %s",
		       error);
		give_up(h, f);
	} else if (!f->wanted) {
		vh_plugger_unplug(h->plugger, plug);
	}
	go_on(h);
}

static void on_unplugged(void *arg, struct vh_plug *plug, const char *error)
{
	struct hot_window *h = arg;
	struct hot_file *f = vh_container_of(plug, struct hot_file, plug);

	if (error && !vh_window_function_is_over(f->function)) {
		vh_log(&h->w, VH_LOG_ERROR, "cannot take memory out of the guest: %s",
		       error);
		return;
	}
	file_free(h, f);
}

static const struct vh_plugger_ops plugger_ops = {
	.plugged = on_plugged,
	.unplugged = on_unplugged,
};

static void hot_drop(struct vh_window *w)
{
	struct hot_window *h = of(w);

	stop_placing(h);
	vh_trap_drop(h->trap);
	vh_list_for_each (l, &h->files) {
		vh_container_of(l, struct hot_file, link)->wanted = false;
	}
	unplug_unwanted(h);
}

/* ---- The rest ---- */

static void hot_read(struct vh_window *w, uint64_t offset, void *buf, size_t len)
{
	vh_trap_read(of(w)->trap, offset, buf, len);
}

static void hot_write(struct vh_window *w, uint64_t offset, const void *buf, size_t len)
{
	vh_trap_write(of(w)->trap, offset, buf, len);
}

static void hot_destroy(struct vh_window *w)
{
	struct hot_window *h = of(w);

	stop_placing(h);
	vh_list_for_each (l, &h->files) {
		file_free(h, vh_container_of(l, struct hot_file, link));
	}
	vh_plugger_destroy(h->plugger);
	vh_trap_destroy(h->trap);
	free(h->path);
	free(h);
}

static const struct vh_window_ops ops = {
	.place = hot_place,
	.drop = hot_drop,
	.read = hot_read,
	.write = hot_write,
	.destroy = hot_destroy,
};

/* "QMP-SOCKET[,port=ID][,unsealed=on|off]" */
static int read_address(struct hot_window *h, const char *qmp)
{
	const char *port = NULL, *unsealed = NULL;
	const struct vh_option known[] = {
		{.name = "port", .form = "ID", .value = &port},
		{.name = "unsealed", .form = "on|off", .value = &unsealed},
		{.name = NULL}};
	char **parts;
	int err = vh_options_split(qmp, &parts);

	if (err < 0)
		return err;
	err = vh_options_read(h->w.tag, "hotplug", parts + 1, known);
	if (!err)
		err = vh_option_on_off(h->w.tag, "unsealed", unsealed, &h->unsealed);
	if (!err && !parts[0][0]) {
		vh_log(&h->w, VH_LOG_ERROR,
		       "want hotplug:QMP-SOCKET[,port=ID][,unsealed=on|off]");
		err = -EINVAL;
	}
	if (!err && !(h->path = strdup(parts[0])))
		err = -ENOMEM;
	if (!err)
		err = vh_plugger_create(h->reactor, h->path, port, h->w.tag, &plugger_ops,
					h, &h->plugger);
	vh_options_free(parts);
	return err;
}

int vh_window_hotplug(struct vh_reactor *r, const char *qmp, const uint8_t uuid[16],
		      uint64_t bar_size, const char *tag, struct vh_window **w)
{
	struct hot_window *h = calloc(1, sizeof(*h));
	int err;

	*w = NULL;
	if (!h)
		return -ENOMEM;
	h->reactor = r;
	vh_list_init(&h->files);
	memcpy(h->uuid, uuid, sizeof(h->uuid));
	err = vh_window_init(&h->w, &ops, bar_size, tag);
	if (!err)
		err = read_address(h, qmp);
	if (!err)
		err = vh_trap_create(h->w.tag, 0, h->w.size, &h->trap);
	if (err < 0)
		hot_destroy(&h->w);
	else
		*w = &h->w;
	return err;
}
