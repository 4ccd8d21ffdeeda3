/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server: devices, and the reactors that they run on.  See <vhost/server.h>.
 *
 * Thread: control, but for vh_server_stop().
 */
#include "session/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "conn/address.h"
#include "session/device.h"

struct vh_server {
	const char *tag;
	struct vh_reactor **reactor; /* [0] is control */
	pthread_t *thread;	     /* [i] runs reactor[i]; [0] is not used */
	unsigned n;
	unsigned first, spread; /* the next device has [first, first + spread) */
	unsigned n_devices;	/* ever made: their numbers */
	struct vh_list devices;
	struct vh_event stop; /* an eventfd */
	bool stopping;
};

struct vh_reactor *vh_server_control(const struct vh_server *s)
{
	return s->reactor[0];
}

struct vh_reactor *vh_server_home(const struct vh_server *s, unsigned i)
{
	return s->reactor[s->first + i % s->spread];
}

int vh_server_spread(struct vh_server *s, unsigned first, unsigned n)
{
	if (!n || n > s->n || first > s->n - n)
		return -EINVAL;
	s->first = first;
	s->spread = n;
	return 0;
}

/* ---- Devices ---- */

/* How much of it there is: as much as can be read. */
static uint32_t config_size_of(struct vh_device *d)
{
	uint8_t buf[VH_MAX_CONFIG];
	size_t fits = 0, end = sizeof(buf) + 1;

	while (d->ops.read_config && end - fits > 1) {
		const size_t len = fits + (end - fits) / 2;

		if (d->ops.read_config(d, 0, buf, len) < 0)
			end = len;
		else
			fits = len;
	}
	return (uint32_t)fits;
}

/* Of a VMM whose memory is in other files than shared memory. */
static const char *loop_options(const char *path)
{
	const char *options = "";
	char **parts;

	if (vh_options_split(path, &parts) < 0)
		return options;
	for (char **o = parts + 1; parts[0] && *o; o++)
		if (!strcmp(*o, "any-memory=on"))
			options = ",any-memory=on";
	vh_options_free(parts);
	return options;
}

/* A virtio-pci device: a front-end of ours, to which the session is joined by a loop. */
static int attach_vpci(struct vh_server *s, struct vh_device *d, const char *path)
{
	char backend[64];
	const struct vh_vpci_params p = {.address = path,
					 .backend = backend,
					 .tag = d->tag,
					 .virtio_id = (uint16_t)d->ops.virtio_id,
					 .n_queues = d->ops.queues,
					 .config_size = config_size_of(d)};
	int err;

	snprintf(backend, sizeof(backend), "loop:vfio-user-%p%s", (void *)d,
		 loop_options(path));
	err = vh_vpci_open(s->reactor[0], &p, &d->vpci);
	if (!err)
		err = vh_session_open(&d->session, d, s->reactor[0], backend);
	if (err < 0)
		vh_vpci_close(d->vpci);
	return err;
}

static int attach(struct vh_server *s, struct vh_device *d, const char *address)
{
	static const char scheme[] = "vfio-user:";
	const size_t len = sizeof(scheme) - 1;

	if (!strncmp(address, scheme, len))
		return attach_vpci(s, d, address + len);
	return vh_session_open(&d->session, d, s->reactor[0], address);
}

int vh_server_add(struct vh_server *s, const struct vh_device_ops *ops, void *ctx,
		  const char *address, const struct vh_param *params, size_t n_params,
		  struct vh_device **device)
{
	struct vh_device *d;
	int err = vh_device_create(s, ops, ctx, s->n_devices, address, params, n_params,
				   &d);

	if (err < 0)
		return err;
	err = attach(s, d, address);
	if (err < 0) {
		vh_device_destroy(d);
		return err;
	}
	s->n_devices++;
	vh_list_append(&s->devices, &d->link);
	if (device)
		*device = d;
	return 0;
}

static void device_is_gone(struct vh_device *d)
{
	struct vh_server *s = d->server;
	void (*done)(void *arg) = d->removed;
	void *arg = d->removed_arg;

	d->leaving = false;
	if (vh_load_acquire(&d->config_posted))
		return; /* config_on_control() comes here again */
	vh_list_remove(&d->link);
	vh_device_destroy(d);
	if (done)
		done(arg);
	if (s->stopping && vh_list_is_empty(&s->devices))
		vh_reactor_stop(s->reactor[0]);
}

/* On each reactor in turn, and at last on control. */
static void pass_on(struct vh_post *post)
{
	struct vh_device *d = vh_container_of(post, struct vh_device, removed_post);
	struct vh_server *s = d->server;

	if (d->n_passed++ == s->n)
		device_is_gone(d);
	else
		vh_reactor_post_node(s->reactor[d->n_passed % s->n], post);
}

/*
 * Not at once: whoever closed the session may still be looking at it, and a switch's
 * worker at a queue, which it found before that stopped.  So a message goes through
 * all reactors; when it is back, each has ended the turn it was in.
 */
void vh_server_session_closed(struct vh_session *session)
{
	struct vh_device *d = session->device;

	if (session->state != VH_SESSION_CLOSED || d->leaving ||
	    vh_load_acquire(&d->config_posted))
		return; /* config_on_control() comes back here */
	d->leaving = true;
	d->n_passed = 0;
	d->removed_post.fn = pass_on;
	vh_reactor_post_node(d->server->reactor[0], &d->removed_post);
}

/* With nobody left who could ever come, there is nothing left to run for. */
void vh_server_session_over(struct vh_session *session)
{
	struct vh_server *s = session->device->server;

	vh_list_for_each (l, &s->devices) {
		const struct vh_device *d = vh_container_of(l, struct vh_device, link);

		if (!d->removing && !vh_session_is_over(&d->session))
			return;
	}
	vh_log(s, VH_LOG_INFO, "no front-end can come any more: stopping");
	vh_server_stop(s);
}

void vh_server_remove(struct vh_server *s, struct vh_device *d, void (*done)(void *arg),
		      void *arg)
{
	(void)s;
	if (d->removing)
		return;
	d->removing = true;
	d->removed = done;
	d->removed_arg = arg;
	vh_vpci_close(d->vpci);
	d->vpci = NULL;
	vh_session_close(&d->session);
}

int vh_server_refresh(struct vh_server *s, struct vh_device *d)
{
	(void)s;
	return d->ops.refresh ? d->ops.refresh(d) : -ENOTSUP;
}

void vh_server_each(struct vh_server *s, void (*fn)(void *arg, struct vh_device *device),
		    void *arg)
{
	vh_list_for_each (l, &s->devices)
		fn(arg, vh_container_of(l, struct vh_device, link));
}

/* ---- Running ---- */

static void remove_all(struct vh_server *s)
{
	vh_list_for_each (l, &s->devices)
		vh_server_remove(s, vh_container_of(l, struct vh_device, link), NULL,
				 NULL);
}

static void on_stop(struct vh_event *ev, uint32_t events)
{
	struct vh_server *s = vh_container_of(ev, struct vh_server, stop);

	(void)events;
	vh_event_remove(s->reactor[0], ev);
	s->stopping = true;
	if (vh_list_is_empty(&s->devices))
		vh_reactor_stop(s->reactor[0]);
	else
		remove_all(s);
}

void vh_server_stop(struct vh_server *s)
{
	const uint64_t one = 1;
	ssize_t n = write(s->stop.fd, &one, sizeof(one));

	(void)n; /* a full counter is a stop that is pending */
}

static void *run_reactor(void *arg)
{
	return (void *)(intptr_t)vh_reactor_run(arg);
}

static void join(struct vh_server *s, unsigned started)
{
	for (unsigned i = 1; i < started; i++)
		vh_reactor_stop(s->reactor[i]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(s->thread[i], NULL);
}

int vh_server_run(struct vh_server *s)
{
	unsigned started = 1;
	int err = 0;

	for (; started < s->n && !err; started += !err)
		err = -pthread_create(&s->thread[started], NULL, run_reactor,
				      s->reactor[started]);
	if (err)
		vh_log(s, VH_LOG_ERROR, "cannot start a thread: %s", vh_strerror(err));
	else
		err = vh_reactor_run(s->reactor[0]);
	join(s, started);
	return err;
}

/* ---- Life ---- */

int vh_server_create(struct vh_reactor *const *reactors, unsigned n,
		     struct vh_server **out)
{
	struct vh_server *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		return err;
	s->tag = "server";
	s->n = n;
	s->first = n > 1;
	s->spread = n > 1 ? n - 1 : 1;
	s->stop = (struct vh_event){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				    .fn = on_stop};
	vh_list_init(&s->devices);
	s->reactor = calloc(n, sizeof(s->reactor[0]));
	s->thread = calloc(n, sizeof(s->thread[0]));
	if (n && s->reactor && s->thread && s->stop.fd >= 0) {
		memcpy(s->reactor, reactors, n * sizeof(s->reactor[0]));
		err = vh_event_add(s->reactor[0], &s->stop, EPOLLIN);
	}
	if (!err) {
		*out = s;
		return 0;
	}
	vh_fd_drop(&s->stop.fd);
	free(s->reactor);
	free(s->thread);
	free(s);
	return err;
}

/* Without threads of ours: turn every reactor by hand until the devices are gone. */
static void drain(struct vh_server *s)
{
	remove_all(s);
	while (!vh_list_is_empty(&s->devices))
		for (unsigned i = 0; i < s->n; i++)
			vh_reactor_poll(s->reactor[i], 0);
}

void vh_server_destroy(struct vh_server *s)
{
	if (!s)
		return;
	drain(s);
	if (!s->stopping)
		vh_event_remove(s->reactor[0], &s->stop);
	vh_fd_drop(&s->stop.fd);
	free(s->reactor);
	free(s->thread);
	free(s);
}
