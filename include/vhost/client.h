/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drive somebody's device: the front-end role, with its own shared memory.
 *
 * Setting up blocks, with a timeout; moving buffers does not, and makes a
 * system call only to kick or to wait.  A client belongs to one thread at a
 * time; its queues may each be used by another thread once they are started.
 *
 * The order of calls is create, connect, alloc, start, then the queue calls;
 * stop and start again at will; after vh_client_connect() again (the back-end
 * was restarted) memory and queue contents are as they were, and chains that
 * were under way stay under way.
 */
#ifndef VHOST_CLIENT_H
#define VHOST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct iovec;
struct vh_client;
struct vh_client_queue;

struct vh_client_params {
	size_t size;	     /* sizeof(struct vh_client_params)                       */
	const char *address; /* "unix:/run/rng.sock"; server=on listens; copied       */
	uint64_t features;   /* virtio features wanted; VERSION_1, RING_INDIRECT_DESC
				and RING_EVENT_IDX too must be named               */
	uint64_t memory;     /* bytes of shared memory to make; 0: none               */
	bool hugepages;	     /* of 2 MiB pages, when the system has them              */
	unsigned timeout_ms; /* for each blocking step; 0: 5000                       */
	/*
	 * Have the back-end note which chains it has, in memory that outlives it
	 * (INFLIGHT_SHMFD, where offered): the next one finishes them, each exactly once.
	 * Without it the next one is given all chains that are not done again.
	 */
	bool track;
	/*
	 * A file, large enough, that all shared memory is to be in, the rings behind
	 * `memory`: for back-ends that know it before they are connected, as those in
	 * other guests do.  It is there already and not changed in size.  NULL: files
	 * without a name are made.
	 */
	const char *file;
};

/* Makes the memory; does not connect.  0 and *@client, or -errno (logged). */
int vh_client_create(const struct vh_client_params *params, struct vh_client **client);
void vh_client_destroy(struct vh_client *c);

/*
 * Connect (or accept) and negotiate, up to SET_FEATURES.  -ETIMEDOUT when nobody came or
 * answered, -EPIPE when the back-end hung up, -EPROTO when it broke the protocol,
 * -EREMOTEIO when it refused a request, or another -errno; logged with what to do.
 */
int vh_client_connect(struct vh_client *c);

/* What was negotiated, and what the back-end offered.  After connect. */
struct vh_client_info {
	uint64_t offered_features, features;
	uint64_t offered_protocol_features, protocol_features;
	unsigned queue_num; /* GET_QUEUE_NUM's answer; 0 when it has not MQ            */
	unsigned memory_slots; /* GET_MAX_MEM_SLOTS's answer; 8 without that feature */
};

void vh_client_info(const struct vh_client *c, struct vh_client_info *info);

/*
 * GET_CONFIG / SET_CONFIG.  -ENOTSUP without the CONFIG feature, -EINVAL when
 * the back-end refuses the range.
 */
int vh_client_read_config(struct vh_client *c, size_t off, void *buf, size_t len);
int vh_client_write_config(struct vh_client *c, size_t off, const void *buf, size_t len);

/*
 * @len bytes of the shared memory, aligned to @align (a power of two).  NULL
 * when it is used up.  There is no free: memory goes with the client.
 */
void *vh_client_alloc(struct vh_client *c, size_t len, size_t align);

/*
 * Share the memory and start queues 0 to @n - 1, each of @size entries (a
 * power of two up to 32768).
 */
int vh_client_start(struct vh_client *c, unsigned n, unsigned size);

/* Stop all queues (GET_VRING_BASE): every chain that the device took has come back. */
int vh_client_stop(struct vh_client *c);

/* SET_VRING_ENABLE, and on all queues RESET_DEVICE where negotiated (-ENOTSUP). */
int vh_client_enable(struct vh_client *c, unsigned queue, bool on);
int vh_client_reset(struct vh_client *c);

/* SEND_RARP and NET_SET_MTU; -ENOTSUP without the feature. */
int vh_client_send_rarp(struct vh_client *c, const uint8_t mac[6]);
int vh_client_set_mtu(struct vh_client *c, uint16_t mtu);

/*
 * Readable when the back-end hung up or sent a message; then call the second.  What
 * comes while a call waits for an answer is taken by that call: so call it after
 * those, too.
 */
int vh_client_fd(const struct vh_client *c);
/* 0; -EPIPE when the back-end is gone.  Sets *@config_changed if it said so. */
int vh_client_handle(struct vh_client *c, bool *config_changed);

/* ---- Queues ---- */

/* NULL before vh_client_start() or beyond its @n. */
struct vh_client_queue *vh_client_queue(struct vh_client *c, unsigned index);

/*
 * Add a chain of @n_out buffers that the device reads and @n_in that it
 * writes, all from vh_client_alloc().  @cookie, not NULL, comes back when it is
 * done.  The device sees it after vh_client_kick().  -ENOSPC: the ring is full.
 */
int vh_client_add(struct vh_client_queue *q, const struct iovec *iov, unsigned n_out,
		  unsigned n_in, void *cookie);

/* Publish what was added; kicks only if the device wants to be kicked. */
void vh_client_kick(struct vh_client_queue *q);

/*
 * The cookie of the next chain that is done and in *@len the bytes written to
 * it (clipped to its writable size), or NULL.  A back-end that gives back what
 * it was not given breaks the queue: see vh_client_queue_error().
 */
void *vh_client_get(struct vh_client_queue *q, uint32_t *len);

/*
 * Sleep until something is done, for @timeout_ms at the most (-1: no limit).
 * 1: look; 0: time is over; -errno: the queue is broken.
 */
int vh_client_wait(struct vh_client_queue *q, int timeout_ms);

/* Poll instead: tell the device that this queue wants no calls. */
void vh_client_want_calls(struct vh_client_queue *q, bool on);

/* The eventfd of calls, for an application's own loop. */
int vh_client_queue_fd(const struct vh_client_queue *q);

/*
 * 0; -EPROTO once the back-end broke this queue's ring; -EIO when it says that the
 * queue is broken; -EPIPE while the back-end is known to be gone.  Starting the
 * queue again, or vh_client_connect(), cures them.
 */
int vh_client_queue_error(struct vh_client_queue *q);

/* Chains that are with the device. */
unsigned vh_client_outstanding(const struct vh_client_queue *q);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
