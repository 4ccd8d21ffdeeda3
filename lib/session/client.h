/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client from inside.  The public contract, also of threads, is
 * <vhost/client.h>; the protocol is proto/frontend.h's.
 */
#ifndef VH_SESSION_CLIENT_H
#define VH_SESSION_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhost/client.h>

#include "conn/connector.h"
#include "proto/frontend.h"
#include "ring/driver.h"

/* Where the device finds our memory; not 0, and a whole huge page. */
#define VH_CLIENT_GPA 0x200000u

/* One piece of shared memory; len 0: none. */
struct vh_client_memory {
	int fd; /* owned                                            */
	uint8_t *va;
	size_t len, used;     /* bytes; @used of them were handed out   */
	uint64_t gpa, offset; /* the latter in the file             */
	bool offered;	      /* to the back-end of this connection         */
};

/* A chain that was done when its queue stopped, until it is asked for. */
struct vh_client_done {
	void *cookie;
	uint32_t len;
};

struct vh_client_queue {
	/* Constant while it runs. */
	struct vh_client *client;
	unsigned index;
	uint32_t num;
	struct vh_driver_ring *ring;
	int kick, call, err; /* eventfds, owned                     */

	/* The thread's that uses the queue. */
	struct vh_client_done *done; /* @num places                 */
	uint32_t first_done, n_done;
	bool calls_wanted; /* also while nobody waits               */
	bool told;	   /* the log knows that the ring is broken */
	int error;	   /* what the back-end said of it; or 0    */

	/* Written by the client's thread, read by the queue's. */
	uint32_t gone; /* the back-end is                           */
};

enum vh_client_link {
	VH_CLIENT_DOWN,	 /* nobody is there                         */
	VH_CLIENT_UP,	 /* somebody is, and nothing was said yet   */
	VH_CLIENT_READY, /* negotiated                              */
};

struct vh_client {
	char tag[32]; /* the address, or its end            */
	char *address;
	uint64_t wanted; /* features */
	unsigned timeout_ms;
	int file; /* that all memory is in, owned; -1: none */

	struct vh_connector *conn; /* NULL before the first connect  */
	enum vh_client_link link;
	bool config_changed; /* and vh_client_handle() has not said so */
	pthread_t thread;    /* that called last; read by queues'      */
	struct vh_frontend fe;

	struct vh_client_memory ram, rings;
	bool tracks;
	struct vh_wire_inflight inflight; /* the area; size 0: none yet  */
	int inflight_fd;		  /* its file; -1: none          */
	uint64_t features; /* that the rings were made for                  */
	bool running;	   /* started; after a hang-up: to be started again */
	unsigned n_queues;
	uint32_t ring_size;
	struct vh_client_queue *queue[VH_MAX_VRINGS]; /* made once, kept to the end */
};

/* ---- client_link.c: waiting for the back-end, and talking with it ---- */

/* Wait until a back-end is there.  0, -ETIMEDOUT, or -errno (logged). */
int vh_client_wait_up(struct vh_client *c, uint64_t deadline);

/* Reach @goal.  0, or -errno (logged) and the connection is ended. */
int vh_client_pursue(struct vh_client *c, enum vh_goal goal);

/*
 * One request beside the goals, handled when it returns; *@reply is its answer if it
 * has one.  0; -ENOTSUP; -EREMOTEIO: refused; else the connection is ended (logged).
 */
int vh_client_ask(struct vh_client *c, struct vh_msg *m, struct vh_msg *reply);

/* What the back-end has to say unasked.  0; -EPIPE: it is gone. */
int vh_client_listen(struct vh_client *c);

/* End the connection, if there is one; every queue's thread is told. */
void vh_client_hang_up(struct vh_client *c);

/* Milliseconds on a clock that only goes forward; a deadline is one of them. */
uint64_t vh_client_now(void);

/* ---- client_memory.c ---- */

/* All memory is to be in the file at @path.  0 or -errno (logged). */
int vh_client_memory_open(struct vh_client *c, const char *path);

/* @len bytes, zeroed, for the device at @gpa.  0 or -errno (logged). */
int vh_client_memory_make(struct vh_client *c, struct vh_client_memory *m, uint64_t gpa,
			  size_t len, bool hugepages);
void vh_client_memory_release(struct vh_client_memory *m);

/* Have the machine want it, once a connection.  0 or -ENOSPC (logged). */
int vh_client_memory_offer(struct vh_client *c, struct vh_client_memory *m);

/* The fd behind region @r of a message; -1 if there is none. */
int vh_client_memory_fd(const struct vh_client *c, const struct vh_wire_region *r);

/* For the ring: where the device has our @p. */
bool vh_client_to_device(void *arg, const void *p, size_t len, uint64_t *gpa);

/* ---- client_start.c ---- */

/* Share memory and run all queues, each from where it stands.  0 or -errno (logged). */
int vh_client_run(struct vh_client *c);

void vh_client_queues_destroy(struct vh_client *c);

/* Forget what back-ends noted: everything is given to the next one anew. */
void vh_client_drop_inflight(struct vh_client *c);

/* ---- client_queue.c ---- */

/* Take what is done out of the ring, for the user to get later; nobody uses @q now. */
void vh_client_queue_harvest(struct vh_client_queue *q);

/*
 * Another device takes over: everything that is with the device is offered again, unless
 * it is @tracked, so that the device itself knows.
 */
void vh_client_queue_rewind(struct vh_client_queue *q, bool tracked);

/* Kick whatever the device asks for. */
void vh_client_queue_kick(const struct vh_client_queue *q);

/* Wake whoever waits: the back-end is @gone. */
void vh_client_queue_wake(struct vh_client_queue *q, bool gone);

#endif
