/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serve device models: the back-end role.
 *
 * A server holds any number of devices on a set of reactors.  The first
 * reactor is the control thread: it speaks the protocol and runs every control
 * callback.  Queues live on the others, round robin, or on the first when it
 * is the only one.
 */
#ifndef VHOST_SERVER_H
#define VHOST_SERVER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vh_device;
struct vh_device_ops;
struct vh_reactor;
struct vh_server;

struct vh_param {
	const char *key, *value;
};

/* The reactors are borrowed and must outlive the server.  0 and *@server, or -errno. */
int vh_server_create(struct vh_reactor *const *reactors, unsigned n,
		     struct vh_server **server);

/*
 * Serve @ops at @address ("unix:/run/rng.sock").  The device is made now, once,
 * and outlives connections: a front-end may come, go and come again.
 * @ctx is what vh_device_ctx() returns.  @params go to .config one by one.
 * @device, if not NULL, gets the instance.
 * Call it before vh_server_run() or on the control thread.
 * 0, or -errno after the cause was logged.
 */
int vh_server_add(struct vh_server *s, const struct vh_device_ops *ops, void *ctx,
		  const char *address, const struct vh_param *params, size_t n_params,
		  struct vh_device **device);

/*
 * Devices added from now on have their queues on the @n reactors from number @first on,
 * round robin, so that what happens on others does not disturb them; the first of all is
 * number 0.  Without it they are on all but that one.  -EINVAL: there are not so many.
 * Control thread, or before vh_server_run().
 */
int vh_server_spread(struct vh_server *s, unsigned first, unsigned n);

/*
 * Stop serving @device: close its connection, drain its queues, then call
 * .close and free it; @done(@arg) runs last, on the control thread.  Control
 * thread only.  @done may be NULL.
 */
void vh_server_remove(struct vh_server *s, struct vh_device *device,
		      void (*done)(void *arg), void *arg);

/*
 * Have @device look again at what stands behind it, a disk at the size of its file.  0;
 * -ENOTSUP: there is nothing that could change; or another -errno (logged).  Control
 * thread only.
 */
int vh_server_refresh(struct vh_server *s, struct vh_device *device);

/* Call @fn for every device, oldest first.  Control thread only; @fn may remove none. */
void vh_server_each(struct vh_server *s, void (*fn)(void *arg, struct vh_device *device),
		    void *arg);

/*
 * Run all reactors, the first in the calling thread and each other in a thread
 * of its own, until vh_server_stop(), or until no device can get a front-end any
 * more (each had a connected fd:N, whose peer went); then remove every device and
 * return.  0, or -errno.
 */
int vh_server_run(struct vh_server *s);

/* Any thread, and async-signal-safe. */
void vh_server_stop(struct vh_server *s);

/* After vh_server_run() returned, or instead of it. */
void vh_server_destroy(struct vh_server *s);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
