/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring and its registered memory: what uring.c and uring_memory.c share. */
#ifndef VH_STORE_URING_H
#define VH_STORE_URING_H

#include <liburing.h>

#include "base/list.h"
#include "reactor/reactor.h"
#include "store/file.h"

/* Pieces of at most 1 GiB, which is what the kernel takes as one buffer. */
#define VH_URING_PIECES 512

struct vh_uring_piece {
	uintptr_t at;
	size_t len;
};

/* All of it belongs to the reactor's thread. */
struct vh_uring {
	struct vh_store_channel ch;
	struct vh_file *file;
	struct io_uring ring;
	struct vh_poller poller;
	struct vh_deferred
		late;  /* SQEs of completions are handed over at the end of the turn */
	bool has_file; /* the file is number 0 of the ring's                    */
	struct vh_list running; /* requests with an SQE */
	struct vh_list waiting; /* requests for which the ring had no room, in order */
	unsigned n_running, room;
	/* Registered memory: buffer i of the ring is piece[i]; len 0: none.  */
	bool has_table;
	unsigned n_pieces, last_hit;
	struct vh_uring_piece piece[VH_URING_PIECES];
};

void vh_uring_memory_init(struct vh_uring *u);
void vh_uring_memory_set(struct vh_uring *u, const struct iovec *region, unsigned n);
/* The number of the buffer that holds all of [at, at + len), or -1. */
int vh_uring_memory_find(struct vh_uring *u, const void *at, size_t len);

#endif
