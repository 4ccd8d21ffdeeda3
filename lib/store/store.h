/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store: where the blocks of a disk are.  Asynchronous throughout: a request
 * is submitted, and its @done is called when it ended.
 *
 * A store is opened once for a disk.  Each reactor that has queues of the disk
 * opens a channel of its own to it, on which it submits; what is submitted on a
 * channel is done on its reactor.  Wrapper stores (delay, error, limit, volatile)
 * stand before another one and hold requests back, fail them or pass them on.
 *
 * Threads: a store's functions run on the control thread, a channel's on its
 * reactor.  No function may block, save open and close.
 */
#ifndef VH_STORE_STORE_H
#define VH_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/mailbox.h"

struct vh_reactor;

/* ---- Requests ---- */

enum vh_store_op {
	VH_STORE_READ,
	VH_STORE_WRITE,
	VH_STORE_FLUSH,	  /* what was done before it was submitted is on stable storage */
	VH_STORE_DISCARD, /* the contents are of no use any more                        */
	VH_STORE_WRITE_ZEROES, /* they read as zeroes from now on */
	VH_STORE_SECURE_ERASE, /* they, and every copy of them, are gone */
	VH_STORE_OPS,
};

enum vh_store_io_flags {
	VH_STORE_FUA = 1 << 0,	 /* on stable storage when it is done   */
	VH_STORE_UNMAP = 1 << 1, /* WRITE_ZEROES: may give the space back */
};

struct vh_store_channel;

struct vh_store_io {
	/*
	 * The caller's, constant until @done is called.  @off and @len are bytes,
	 * multiples of the store's block_size and inside of its capacity (the caller
	 * checked); 0 for FLUSH.  @iov holds exactly @len bytes, for READ and WRITE; its
	 * pieces may be of any length and alignment, and a guest may change what they
	 * hold meanwhile.
	 */
	enum vh_store_op op;
	unsigned flags; /* enum vh_store_io_flags */
	unsigned n_iov;
	const struct iovec *iov;
	uint64_t off, len;
	/*
	 * Once, on the channel's reactor; may be called before submit returns.  @err is 0
	 * or -errno: then how much was done is not known.  -ECANCELED: by
	 * vh_store_cancel(), and nothing of it will touch @iov or the store any more. @io
	 * may be used again.
	 */
	void (*done)(struct vh_store_io *io, int err);

	/* The store's while it has the request: what each is for is the store's own
	 * affair.  */
	struct vh_store_channel *channel;
	struct vh_list link;
	struct vh_post post;
	uint64_t progress; /* bytes, or a time          */
	unsigned pending;  /* parts under way           */
	int err;	   /* the first that a part had */
	void *own;
};

/* ---- Stores ---- */

/* What a store can do.  Constant, but for the capacity. */
struct vh_store_info {
	uint64_t capacity;	 /* bytes, a multiple of block_size                     */
	uint32_t block_size;	 /* smallest unit: a power of two, 512 to 64 KiB        */
	uint32_t physical_block; /* unit that is written without reading first; bytes   */
	uint32_t optimal_io;	 /* bytes; 0: not known                                 */
	uint32_t discard_unit;	 /* bytes                                               */
	bool readonly, discard, write_zeroes, secure_erase;
	bool has_lifetime; /* wear of flash: as in virtio_blk_lifetime            */
	uint16_t pre_eol, lifetime_a, lifetime_b;
};

struct vh_store;

/* How a file is read and written. */
enum vh_store_aio {
	VH_STORE_AIO_BEST, /* neither on tmpfs; io_uring where permitted; else threads */
	VH_STORE_AIO_URING,
	VH_STORE_AIO_THREADS,
};

/* What stands on the command line: gathered word by word, then opened. */
struct vh_store_params {
	const char *kind, *rest; /* "file", "disk.raw"; kind NULL: not yet named  */
	bool readonly;
	uint32_t block_size; /* asked for; 0: what suits the store            */
	bool no_direct;	     /* file: through the page cache                  */
	bool register_;	     /* file: pin the guest's memory; see uring_memory.c */
	bool no_lock;	     /* file: others may write to it, too             */
	enum vh_store_aio aio;
	const char *delay, *error, *limit, *volatile_; /* wrappers; NULL: none    */
};

/*
 * Does KEY=VALUE belong to a store?  1: yes, and @p keeps @value by reference; 0: no;
 * -EINVAL: yes, but it is wrong (logged in the name of @tag).
 */
int vh_store_param(struct vh_store_params *p, const char *tag, const char *key,
		   const char *value);

/* 0 and *@store, or -errno (logged with what to do).  @tag is for logs, and copied. */
int vh_store_open(const struct vh_store_params *p, const char *tag,
		  struct vh_store **store);
/* All channels are closed, and their reactors not yet destroyed.  NULL is fine. */
void vh_store_close(struct vh_store *s);

const struct vh_store_info *vh_store_info(const struct vh_store *s);

/* Look how large it is now: 1: another capacity is in force; 0: the same; -errno
 * (logged). */
int vh_store_refresh(struct vh_store *s);

/* ---- Channels ---- */

/* For use on @r, by its thread.  0 and *@ch, or -errno (logged). */
int vh_store_channel_open(struct vh_store *s, struct vh_reactor *r,
			  struct vh_store_channel **ch);
/* Nothing is under way on it; not from inside a request's @done. */
void vh_store_channel_close(struct vh_store_channel *ch);

/*
 * Requests will be for these pieces of memory and no others: register them, forget
 * older ones.  A hint: what is not there works too.
 */
void vh_store_channel_memory(struct vh_store_channel *ch, const struct iovec *region,
			     unsigned n);

void vh_store_submit(struct vh_store_channel *ch, struct vh_store_io *io);

/* The batch is complete: start what was submitted.  Once a turn, after the last submit.
 */
void vh_store_start(struct vh_store_channel *ch);

/*
 * Give up what is under way, as far as that can be done for certain: those requests are
 * done with -ECANCELED, now or later; others end as they would have.
 */
void vh_store_cancel(struct vh_store_channel *ch);

#endif
