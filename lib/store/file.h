/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file=PATH: what its parts share.  Inside store/ only.
 *
 *	file.c   opening and closing, which engine does the work
 *	probe.c  what the file can: size, alignment, lock, wear
 *	step.c   a request as a row of system calls, and what goes wrong with them
 *	uring.c  an engine: io_uring, one ring a channel
 *	threads.c  an engine: a few threads a store, where io_uring is not to be had
 *	sync.c   an engine: the reactor's own thread, for a file that is memory
 */
#ifndef VH_STORE_FILE_H
#define VH_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/complaint.h"
#include "store/kind.h"

/* What a file system can do wrong, or not at all. */
enum vh_file_trouble {
	VH_TROUBLE_FULL,
	VH_TROUBLE_SHORT,
	VH_TROUBLE_IO,
	VH_TROUBLE_OTHER,
	VH_TROUBLES,
};

enum vh_file_cannot {
	VH_CANNOT_PUNCH = 1 << 0,
	VH_CANNOT_ZERO_RANGE = 1 << 1,
	VH_CANNOT_PIN = 1 << 2, /* the guest's memory, for O_DIRECT */
};

struct vh_file_pool;

struct vh_file {
	struct vh_store store;
	/* Fixed at birth. */
	int fd;
	char *path;
	bool is_device;
	bool direct;	    /* opened with O_DIRECT, which wants:   */
	uint32_t mem_align; /* memory at multiples of this ...      */
	uint32_t off_align; /* offsets and lengths at those of this */
	bool register_memory;
	bool is_memory;		   /* on tmpfs                     */
	bool is_sync;		   /* the engine is sync.c         */
	struct vh_file_pool *pool; /* of threads.c; NULL: io_uring  */
	/* Any thread. */
	uint32_t cannot; /* enum vh_file_cannot: found out so far */
	struct vh_complaint complaint[VH_TROUBLES];
	struct vh_complaint memlock;
};

static inline struct vh_file *vh_file_of(struct vh_store *s)
{
	return vh_container_of(s, struct vh_file, store);
}

/* ---- probe.c: at opening, on the control thread ---- */

/* Open f->path and fill in all that is known of it: 0, or -errno (logged for @tag). */
int vh_file_probe(struct vh_file *f, const struct vh_store_params *p, const char *tag);
/* How large it is now: 0 and *@bytes, or -errno. */
int vh_file_size(const struct vh_file *f, uint64_t *bytes);

/* ---- step.c: on the channel's reactor, or on a thread of the pool ---- */

enum vh_step_kind { VH_STEP_READ, VH_STEP_WRITE, VH_STEP_SYNC, VH_STEP_FALLOCATE };

/* One system call. */
struct vh_step {
	enum vh_step_kind kind;
	int mode; /* RWF_* of a write, FALLOC_FL_* */
	/* Stays where it is while the request lasts, save that @one dies with the step.
	 */
	const struct iovec *iov;
	unsigned n_iov; /* 1 is always @one: one piece of memory */
	struct iovec one;
	uint64_t off, len;
};

/*
 * A request's steps are begun once, and then got and taken in turn until one of the
 * three says that it ended: false, and io->err is how.  Who calls them calls io->done.
 */
bool vh_step_begin(struct vh_file *f, struct vh_store_io *io);
bool vh_step_get(struct vh_file *f, struct vh_store_io *io, struct vh_step *step);
/* @res is what the system call returned, or -errno. */
bool vh_step_took(struct vh_file *f, struct vh_store_io *io, int64_t res);
/* It will not go on: io->err is @err. */
void vh_step_end(struct vh_file *f, struct vh_store_io *io, int err);

/* ---- The engines ---- */

/* Can this process use it at all: 0 or -errno. */
int vh_uring_try(void);
int vh_uring_channel_open(struct vh_store *s, struct vh_reactor *r,
			  struct vh_store_channel *below, struct vh_store_channel **ch);

/* What the step's system call returned, or -errno. */
int64_t vh_step_call(const struct vh_file *f, const struct vh_step *step);
/* All steps of a request that was begun. */
void vh_step_call_all(struct vh_file *f, struct vh_store_io *io);
int vh_sync_channel_open(struct vh_store *s, struct vh_reactor *r,
			 struct vh_store_channel *below, struct vh_store_channel **ch);

int vh_file_pool_create(struct vh_file *f, const char *tag);
void vh_file_pool_destroy(struct vh_file_pool *pool); /* NULL is fine */
int vh_threads_channel_open(struct vh_store *s, struct vh_reactor *r,
			    struct vh_store_channel *below, struct vh_store_channel **ch);

#endif
