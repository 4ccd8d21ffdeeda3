/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance of a device model: see device.h.  Thread: control, but for what says
 * otherwise. */
#include "session/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vhost/stats.h>

#include "base/barrier.h"
#include "base/log.h"
#include "session/server.h"

void *vh_device_priv(const struct vh_device *d)
{
	return d->priv;
}

void vh_device_set_priv(struct vh_device *d, void *priv)
{
	d->priv = priv;
}

void *vh_device_ctx(const struct vh_device *d)
{
	return d->ctx;
}

const char *vh_device_tag(const struct vh_device *d)
{
	return d->tag;
}

uint64_t vh_device_features(const struct vh_device *d)
{
	return d->features;
}

struct vh_queue *vh_device_queue(const struct vh_device *d, unsigned index)
{
	return index < d->ops.queues ? &d->queue[index] : NULL;
}

/* There it is the VMM that comes and goes. */
static void read_vpci_stats(const struct vh_device *d, struct vh_device_stats *s)
{
	struct vh_vpci_stats v;

	vh_vpci_read_stats(d->vpci, &v);
	s->connected = v.connected;
	s->connections = v.clients;
	s->faults += v.faults;
}

void vh_device_read_stats(const struct vh_device *d, struct vh_device_stats *s)
{
	const struct vh_session *session = &d->session;

	*s = (struct vh_device_stats){
		.tag = d->tag,
		.address = d->address,
		.connected = session->state == VH_SESSION_UP,
		.connections = session->connections,
		.faults = session->faults,
		.features = d->features,
		.n_queues = d->ops.queues,
	};
	if (s->connected) {
		s->protocol_features = session->machine.protocol_features;
		s->n_regions = session->machine.n_regions;
	}
	if (d->vpci)
		read_vpci_stats(d, s);
}

/* ---- Config space changed ---- */

static void config_on_control(struct vh_post *post)
{
	struct vh_device *d = vh_container_of(post, struct vh_device, config_post);
	const struct vh_backend_event ev = {.type = VH_EV_CONFIG_CHANGED};

	/* Before the step: what changes from now on is another change. */
	vh_store_release(&d->config_posted, 0);
	if (d->session.state == VH_SESSION_UP)
		vh_session_step(&d->session, &ev);
	if (d->removing)
		vh_server_session_closed(&d->session);
}

void vh_device_config_changed(struct vh_device *d)
{
	if (!vh_exchange(&d->config_posted, 1))
		vh_reactor_post_node(vh_server_control(d->server), &d->config_post);
}

/* ---- Guest memory ---- */

unsigned vh_memory_count(const struct vh_memory *m)
{
	return ((const struct vh_map *)m)->n;
}

struct vh_memory_region vh_memory_at(const struct vh_memory *m, unsigned i)
{
	const struct vh_map_region *r = &((const struct vh_map *)m)->region[i];

	return (struct vh_memory_region){.addr = r->va, .len = r->len, .gpa = r->gpa};
}

/* ---- Life ---- */

static int configure(struct vh_device *d, const struct vh_param *params, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int err;

		if (!d->ops.config) {
			vh_log(d, VH_LOG_ERROR, "%s=%s: this device has no options",
			       params[i].key, params[i].value);
			return -EINVAL;
		}
		err = d->ops.config(d, params[i].key, params[i].value);
		if (err < 0)
			return err;
	}
	return 0;
}

static int make_priv(struct vh_device *d)
{
	if (!d->ops.priv_size)
		return 0;
	d->priv = d->own_priv = calloc(1, d->ops.priv_size);
	return d->priv ? 0 : -ENOMEM;
}

/* The instance's own number from here on. */
static int count_queues(struct vh_device *d)
{
	const uint16_t n = d->ops.n_queues ? d->ops.n_queues(d) : d->ops.queues;

	if (!n || n > d->ops.queues)
		return -EINVAL;
	d->ops.queues = n;
	return 0;
}

static int make_queues(struct vh_device *d, unsigned number)
{
	unsigned group = d->ops.queue_group ? d->ops.queue_group : 1;

	d->queue = aligned_alloc(64, d->ops.queues * sizeof(struct vh_queue));
	if (!d->queue)
		return -ENOMEM;
	for (unsigned i = 0; i < d->ops.queues; i++)
		vh_queue_init(&d->queue[i], d, i,
			      vh_server_home(d->server, number + i / group),
			      vh_server_control(d->server));
	return 0;
}

static int check_model(const struct vh_device *d)
{
	if (d->ops.process && d->ops.queues >= 1 && d->ops.queues <= VH_MAX_VRINGS)
		return 0;
	vh_log(d, VH_LOG_ERROR, "a device model needs .process and 1 to %d queues",
	       VH_MAX_VRINGS);
	return -EINVAL;
}

int vh_device_create(struct vh_server *s, const struct vh_device_ops *ops, void *ctx,
		     unsigned number, const char *address, const struct vh_param *params,
		     size_t n_params, struct vh_device **out)
{
	struct vh_device *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	memcpy(&d->ops, ops, ops->size < sizeof(d->ops) ? ops->size : sizeof(d->ops));
	d->server = s;
	d->ctx = ctx;
	d->config_post.fn = config_on_control;
	vh_list_init(&d->link);
	snprintf(d->tag, sizeof(d->tag), "%.20s%u", ops->name, number);
	d->address = strdup(address);
	err = d->address ? check_model(d) : -ENOMEM;
	if (!err)
		err = make_priv(d);
	if (!err)
		err = configure(d, params, n_params);
	if (!err)
		err = count_queues(d);
	if (!err)
		err = make_queues(d, number);
	if (!err && d->ops.open)
		err = d->ops.open(d);
	if (!err) {
		d->opened = true;
		*out = d;
		return 0;
	}
	vh_device_destroy(d);
	return err;
}

void vh_device_destroy(struct vh_device *d)
{
	if (d->opened && d->ops.close)
		d->ops.close(d);
	free(d->own_priv);
	free(d->queue);
	free(d->address);
	free(d);
}
