/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both roles in one process: a server in a thread of its own, clients of it, and a
 * device that keeps its chains until it is told to let go.
 */
#ifndef VH_TESTS_SESSION_PAIR_H
#define VH_TESTS_SESSION_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include <vhost/vhost.h>

#define PAIR_REACTORS 4

struct pair {
	struct vh_reactor *reactor[PAIR_REACTORS];
	unsigned n;
	struct vh_server *server;
	pthread_t thread;
};

/* A server on @n reactors, the first of which is control; add devices, then start it. */
void pair_open(struct pair *p, unsigned n, enum vh_poll_mode poll);
struct vh_device *pair_add(struct pair *p, const struct vh_device_ops *ops, void *ctx,
			   const char *address);
void pair_start(struct pair *p);
/* Wait until the server ends, after stopping it or because it does so by itself. */
void pair_end(struct pair *p);
void pair_wait(struct pair *p);

/* A client with 1 MiB of memory; 0 features: VERSION_1 alone. */
struct vh_client *pair_client(const char *address, uint64_t features);

/* @n chains through queue @index of the keeper that @c drives, one after the other. */
void pair_use(struct vh_client *c, unsigned index, unsigned n);

/* ---- The keeper: completes chains, writing nothing, when it is not keeping ---- */

struct keeper {
	uint32_t keeps;	   /* any thread: chains stay where they are */
	uint32_t n_kept;   /* any thread: how many do                */
	uint32_t n_resets; /* any thread                             */
	/* The reactor's of its queue. */
	struct vh_queue *queue;
	struct vh_chain *kept[64];
};

/* Two queues; config space of one byte. @ctx is a struct keeper, for queue 0. */
extern const struct vh_device_ops keeper_ops;

void keeper_keep(struct keeper *k);
/* All chains go, from another thread. */
void keeper_let_go(struct keeper *k);
/* Until it has @n chains. */
void keeper_wait(const struct keeper *k, unsigned n);

#endif
