/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share: a server, its client's memory and interrupts. */
#ifndef VH_VFU_PRIVATE_H
#define VH_VFU_PRIVATE_H

#include "base/signal.h"
#include "conn/listen.h"
#include "vfu/link.h"
#include "vfu/vfu.h"

/* ---- dma.c: the client's memory ---- */

#define VH_VFU_MAX_DMA	   65535u
#define VH_VFU_MAX_DMA_LEN (8ULL << 40) /* of all pieces together */

struct vh_vfu_piece;
struct vh_vfu_file;

struct vh_vfu_memory {
	struct vh_vfu_piece **piece; /* sorted by iova, disjoint         */
	unsigned n, room;
	uint64_t total;
	struct vh_list files;	    /* each file once, however often it came */
	struct vh_vfu_piece *going; /* what .dma_removed is not done with    */
	uint64_t first, last;	    /* and the range of which it is          */
	struct vh_map *map;	    /* NULL: not asked for since it changed  */
	uint32_t epoch;
	bool is_too_many;	/* more pieces than a map has, which was said */
	bool any_file;		/* option any-memory                     */
	struct vh_event shrunk; /* the guard's eventfd                   */
};

int vh_vfu_memory_init(struct vh_vfu *v); /* 0 or -errno (logged) */
void vh_vfu_memory_fini(struct vh_vfu *v);

/* Takes @fd, also on failure; -1: the client keeps it to itself.  0 or -errno;
 * -EINPROGRESS: it is there, and the owner is not done. */
int vh_vfu_memory_add(struct vh_vfu *v, const struct vh_vfu_dma_map *m, int fd);
/*
 * Remove what lies in [@iova, @iova + @size), which may be nothing.  0; -EINVAL: a piece
 * is cut by it; -EINPROGRESS: vh_vfu_memory_continue() when .dma_removed is done.
 */
int vh_vfu_memory_remove(struct vh_vfu *v, uint64_t iova, uint64_t size);
int vh_vfu_memory_remove_all(struct vh_vfu *v); /* 0 or -EINPROGRESS */
int vh_vfu_memory_continue(struct vh_vfu *v);

/* ---- irq.c: the client's interrupts ---- */

struct vh_vfu_irqs {
	struct vh_signal **vector; /* of n_vectors; NULL: none  */
	struct vh_signal *intx, *err;
	struct vh_signal *resample; /* the client signals it: unmask INTx */
	struct vh_event resampled;
	bool level, masked;   /* of INTx                                          */
	unsigned n_resampled; /* since the level was set                          */
};

int vh_vfu_irqs_init(struct vh_vfu *v); /* 0 or -ENOMEM */
/* No eventfds any more; the level stays. */
void vh_vfu_irqs_clear(struct vh_vfu *v);
void vh_vfu_irqs_fini(struct vh_vfu *v);

void vh_vfu_irqs_info(const struct vh_vfu *v, struct vh_vfu_irq_info *info);
/* SET_IRQS; takes the fds that it uses from the link.  0 or -errno. */
int vh_vfu_irqs_set(struct vh_vfu *v, const struct vh_vfu_cmd *c);

/* ---- remote.c: memory that the client keeps to itself ---- */

struct vh_vfu_remote {
	struct vh_list requests; /* the first is under way                    */
	unsigned n;
	uint16_t id;	/* of the message for that                            */
	uint32_t asked; /* bytes that it is about; 0: none is with the client */
	struct vh_deferred later;
};

void vh_vfu_remote_init(struct vh_vfu *v);
void vh_vfu_remote_fini(struct vh_vfu *v);
/* The client is gone. */
void vh_vfu_remote_fail(struct vh_vfu *v);
/* The link's message is a reply. */
void vh_vfu_remote_answer(struct vh_vfu *v);

/* ---- shape.c ---- */

int vh_vfu_shape_check(const struct vh_vfu *v); /* 0 or -EINVAL (logged) */

/* ---- command.c: what each command does ---- */

/* The command that is under way. */
struct vh_vfu_call {
	struct vh_vfu_cmd cmd;
	size_t reply_len; /* of payload that is in the link */
	unsigned n_fds;	  /* to go with the reply            */
	int fds[VH_VFU_MAX_IO_FDS];
	uint64_t done; /* writes of a multiple one        */
	int err;       /* of a part that is done          */
};

/* 0, -errno, or -EINPROGRESS: vh_vfu_call_continue() with how it ended. */
int vh_vfu_call_start(struct vh_vfu *v);
int vh_vfu_call_continue(struct vh_vfu *v, int err);

/* ---- server.c ---- */

enum vh_vfu_phase {
	VH_VFU_NOBODY,
	VH_VFU_GREETING, /* somebody is there, but no VERSION came yet */
	VH_VFU_SERVING,
	VH_VFU_LEAVING, /* it went, and what was its goes */
};

/* Look for what the client may do now. */
void vh_vfu_watch(struct vh_vfu *v);

struct vh_vfu {
	char tag[32];
	struct vh_reactor *reactor;
	struct vh_vfu_shape shape;
	struct vh_vfu_ops ops;
	void *arg;
	struct vh_listen path;
	struct vh_event listener, socket;
	struct vh_timer starved;  /* accept() lacked resources: try again later    */
	bool is_starved, refused; /* was logged                                    */
	enum vh_vfu_phase phase;
	struct vh_vfu_link link;
	uint32_t watched;  /* events of the socket; 0: it is not in the loop */
	unsigned n_bad;	   /* messages of this client that were refused      */
	uint32_t max_fds;  /* that it takes in a message                    */
	uint32_t max_data; /* bytes, in an answer to us or from us          */
	/* What waits for vh_vfu_resume(); NULL: nothing. */
	void (*resume)(struct vh_vfu *v, int err);
	struct vh_vfu_call call;
	bool cut; /* vh_vfu_fault() */
	struct vh_deferred cutting;
	struct vh_vfu_memory memory;
	struct vh_vfu_irqs irqs;
	struct vh_vfu_remote remote;
	struct vh_vfu_stats stats;
};

#endif
