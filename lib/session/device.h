/* SPDX-License-Identifier: BSD-3-Clause */
/* A device: an instance of a model, its queues and its session.  Control thread. */
#ifndef VH_SESSION_DEVICE_H
#define VH_SESSION_DEVICE_H

#include <vhost/device.h>
#include <vhost/server.h>

#include "base/list.h"
#include "session/queue.h"
#include "session/session.h"
#include "vpci/vpci.h"

struct vh_device {
	char tag[32]; /* "rng0"               */
	struct vh_device_ops
		ops; /* copied: a model built against an older, smaller table is fine */
	void *ctx, *priv;
	void *own_priv; /* of ops.priv_size */
	struct vh_server *server;
	char *address;
	uint64_t features;	/* acknowledged         */
	struct vh_queue *queue; /* ops.queues of them   */
	struct vh_session session;
	/* See shmem.h. */
	uint64_t shmem;
	void (*shmem_answered)(struct vh_device *d, bool ok);
	struct vh_vpci *vpci; /* in front of it, at vfio-user:PATH; or NULL */
	struct vh_list link;  /* the server's         */

	bool opened; /* .open succeeded      */
	bool removing;
	bool leaving;	   /* removed_post is on its way through the reactors ... */
	unsigned n_passed; /* ... and has been at so many of them */
	void (*removed)(void *arg);
	void *removed_arg;
	struct vh_post removed_post;
	struct vh_post config_post; /* vh_device_config_changed(), from any thread */
	uint32_t config_posted;
};

/* 0 and *@d, or -errno (logged).  @number makes the tag. */
int vh_device_create(struct vh_server *s, const struct vh_device_ops *ops, void *ctx,
		     unsigned number, const char *address, const struct vh_param *params,
		     size_t n_params, struct vh_device **d);
/* Its session is closed. */
void vh_device_destroy(struct vh_device *d);

#endif
