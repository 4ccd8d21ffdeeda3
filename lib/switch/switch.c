/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch: its ports come and go.
 *
 * Theory of operation.
 *
 * Data reactors (workers) find a port by its slot in a table of pointers; they
 * take no lock and hold no reference, but keep no pointer from one turn to
 * the next either: what outlives a turn (a flood that goes on, a frame for a busy
 * queue) remembers slot and generation.  So a port is taken away like this, on
 * the control thread but for step 2:
 *
 *   1. Its slot is emptied and the slot's generation changes: from now on nobody
 *      finds it, and what was learned there is void.
 *   2. A message goes through all reactors, one after the other.  When it is
 *      back, each has begun a new turn, and none has the pointer any more.  On
 *      its way it stops an uplink, on that one's home reactor.
 *   3. A vhost port's device is removed: its connection is closed, its queues
 *      are drained (a batch of its own that is under way ends) and it is freed.
 *   4. The port is freed, and with it the slot for another one.
 *
 * When the whole server stops it removes the devices by itself, in its own way;
 * .close says when a device is gone, so step 3 finds it done.
 *
 * Ageing is a timer on the control reactor.
 *
 * Thread: control, but for what is called a worker's.
 */
#include "switch/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <vhost/server.h>

#include "base/log.h"
#include "switch/forward.h"
#include "switch/uplink.h"

#define FDB_ENTRIES	    65536
#define DEFAULT_AGE_S	    300
#define DEFAULT_MACS	    4096
#define DEFAULT_FLOOD_PER_S 100000
#define SWEEP_AGAIN_NS	    1000000

struct vh_switch {
	const char *tag;
	struct vh_server *server;
	struct vh_reactor **reactor; /* [0] is control */
	unsigned n_reactors;
	struct vh_fabric fabric;
	struct vh_list ports;			 /* published, in the order of creation */
	bool slot_is_taken[VH_SWITCH_MAX_PORTS]; /* also by one that is leaving         */
	unsigned n_leaving;
	struct vh_timer age;
	uint64_t tick_ns;
	bool sweeping;
};

/* A port on its way out. */
struct vh_removal {
	struct vh_switch *sw;
	struct vh_port *port;
	struct vh_post post;
	unsigned reactor; /* where the message is */
	bool unseen;	  /* it is back           */
	void (*done)(void *arg);
	void *arg;
};

/* ---- Leaving ---- */

static void port_is_gone(struct vh_post *post)
{
	struct vh_removal *r = vh_container_of(post, struct vh_removal, post);
	struct vh_switch *sw = r->sw;
	void (*done)(void *arg) = r->done;
	void *arg = r->arg;

	vh_log(r->port, VH_LOG_INFO, "port removed");
	sw->slot_is_taken[r->port->index] = false;
	vh_port_destroy(r->port);
	free(r);
	sw->n_leaving--;
	if (done)
		done(arg);
}

static void finish_removal(struct vh_removal *r)
{
	r->post.fn = port_is_gone;
	vh_reactor_post_node(r->sw->reactor[0], &r->post);
}

static void port_is_unseen(struct vh_removal *r)
{
	r->unseen = true;
	if (r->port->net.device)
		vh_server_remove(r->sw->server, r->port->net.device, NULL, NULL);
	else
		finish_removal(r);
}

/* On each reactor in turn, and at last on control again. */
static void pass_on(struct vh_post *post)
{
	struct vh_removal *r = vh_container_of(post, struct vh_removal, post);
	struct vh_uplink *u = r->port->uplink;

	if (r->reactor == r->sw->n_reactors) {
		port_is_unseen(r);
		return;
	}
	if (u && u->home == r->sw->reactor[r->reactor])
		vh_uplink_stop(u);
	r->reactor++;
	vh_reactor_post_node(r->sw->reactor[r->reactor % r->sw->n_reactors], post);
}

static int remove_port(struct vh_switch *sw, struct vh_port *p, void (*done)(void *arg),
		       void *arg)
{
	struct vh_removal *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct vh_removal){
		.sw = sw, .port = p, .post.fn = pass_on, .done = done, .arg = arg};
	p->removal = r;
	vh_list_remove(&p->link);
	sw->n_leaving++;
	vh_store_release(&sw->fabric.slot[p->index], NULL);
	vh_fdb_forget_port(sw->fabric.fdb, p->index);
	vh_reactor_post_node(sw->reactor[0], &r->post);
	return 0;
}

/* ---- A port's device ---- */

static struct vh_port *port_of(const struct vh_net *n)
{
	return vh_container_of(n, struct vh_port, net);
}

/* The queues' numbers are fixed from here on. */
static int net_open(struct vh_net *n, struct vh_device *d)
{
	struct vh_port *p = port_of(n);
	const struct vh_fabric *f = p->fabric;

	for (unsigned i = 0; i < p->pairs; i++) {
		struct vh_source *s = &p->source[i];

		s->queue = vh_device_queue(d, VH_NET_TX(i));
		for (unsigned w = 0; w < f->n_workers; w++)
			if (f->worker[w].reactor == vh_queue_reactor(s->queue))
				s->worker = &f->worker[w];
		vh_queue_set_priv(s->queue, s);
		p->sink[i].queue = vh_device_queue(d, VH_NET_RX(i));
		if (f->n_workers > 1)
			vh_queue_share(p->sink[i].queue);
	}
	return 0;
}

static void net_link(struct vh_net *n, bool up)
{
	port_of(n)->linked = up;
}

static int net_rarp(struct vh_net *n, const uint8_t mac[6])
{
	return vh_rarp_send(port_of(n), mac);
}

/* Worker. */
static void net_queue(struct vh_net *n, struct vh_queue *q, bool runs)
{
	if (!runs && vh_queue_index(q) % 2 == 0)
		vh_port_set_usable(port_of(n), vh_queue_index(q) / 2, false);
}

/* Worker; it follows the start of the queue, if the queue starts enabled. */
static void device_queue_enabled(struct vh_queue *q, bool on)
{
	struct vh_net *n = vh_device_ctx(vh_queue_device(q));

	if (vh_queue_index(q) % 2 == 0)
		vh_port_set_usable(port_of(n), vh_queue_index(q) / 2, on);
}

static void device_close(struct vh_device *d)
{
	struct vh_port *p = port_of(vh_device_ctx(d));

	p->net.device = NULL;
	if (p->removal && p->removal->unseen)
		finish_removal(p->removal);
}

static const struct vh_net_owner owner = {
	.transmit = vh_forward_transmit,
	.queue = net_queue,
	.open = net_open,
	.link = net_link,
	.rarp = net_rarp,
};

static int open_device(struct vh_switch *sw, struct vh_port *p, uint16_t mtu)
{
	p->net = (struct vh_net){
		.owner = &owner, .max_pairs = (uint16_t)p->pairs, .mtu = mtu};
	p->ops = vh_net_ops;
	p->ops.queues = (uint16_t)(2 * p->pairs);
	p->ops.close = device_close;
	p->ops.queue_enabled = device_queue_enabled;
	return vh_server_add(sw->server, &p->ops, &p->net, p->address, NULL, 0, NULL);
}

/* ---- Coming ---- */

static struct vh_port *find_port(struct vh_switch *sw, const char *name)
{
	vh_list_for_each (l, &sw->ports) {
		struct vh_port *p = vh_container_of(l, struct vh_port, link);

		if (!strcmp(p->name, name))
			return p;
	}
	return NULL;
}

static int find_slot(const struct vh_switch *sw)
{
	for (int i = 0; i < VH_SWITCH_MAX_PORTS; i++)
		if (!sw->slot_is_taken[i])
			return i;
	return -ENOSPC;
}

/* Spread over the workers, as the server spreads queues. */
static int open_uplink(struct vh_switch *sw, struct vh_port *p)
{
	struct vh_worker *w = &sw->fabric.worker[p->index % sw->fabric.n_workers];

	p->source[0].worker = w;
	return vh_uplink_create(p, w->reactor, &p->uplink);
}

static void publish(struct vh_switch *sw, struct vh_port *p)
{
	struct vh_fabric *f = &sw->fabric;

	sw->slot_is_taken[p->index] = true;
	vh_list_append(&sw->ports, &p->link);
	vh_store_release(&f->slot[p->index], p);
	if (f->n_slots <= p->index)
		vh_store_release(&f->n_slots, p->index + 1u);
	if (p->uplink)
		vh_uplink_start(p->uplink);
	vh_log(p, VH_LOG_INFO, "port added at %s", p->address);
}

static int make_port(struct vh_switch *sw, const struct vh_port_params *params,
		     unsigned slot)
{
	struct vh_port *p;
	int err = vh_port_create(&sw->fabric, params, &p);

	if (err < 0)
		return err;
	p->index = (uint16_t)slot;
	p->generation = vh_fdb_generation(sw->fabric.fdb, slot);
	if (p->kind == VH_PORT_VHOST)
		err = open_device(sw, p, params->mtu);
	else
		err = open_uplink(sw, p);
	if (err < 0)
		vh_port_destroy(p);
	else
		publish(sw, p);
	return err;
}

int vh_switch_add(struct vh_switch *sw, const struct vh_port_params *params)
{
	int slot;

	if (find_port(sw, params->name)) {
		vh_log(sw, VH_LOG_ERROR, "there is a port \"%s\" already", params->name);
		return -EEXIST;
	}
	slot = find_slot(sw);
	if (slot < 0) {
		vh_log(sw, VH_LOG_ERROR, "no room for \"%s\": %d ports are the most",
		       params->name, VH_SWITCH_MAX_PORTS);
		return slot;
	}
	return make_port(sw, params, (unsigned)slot);
}

int vh_switch_remove(struct vh_switch *sw, const char *name, void (*done)(void *arg),
		     void *arg)
{
	struct vh_port *p = find_port(sw, name);

	return p ? remove_port(sw, p, done, arg) : -ENOENT;
}

/* ---- Looking ---- */

static bool is_up(const struct vh_port *p)
{
	if (p->uplink)
		return vh_uplink_is_up(p->uplink);
	return p->linked && vh_port_has_sink(p);
}

void vh_switch_each(struct vh_switch *sw,
		    void (*fn)(void *arg, const struct vh_port_info *info), void *arg)
{
	vh_list_for_each (l, &sw->ports) {
		const struct vh_port *p = vh_container_of(l, struct vh_port, link);
		struct vh_port_info info = {
			.name = p->name,
			.address = p->address,
			.kind = p->kind,
			.up = is_up(p),
			.queues = p->pairs,
			.macs = vh_fdb_count(sw->fabric.fdb, p->index),
			.vlans = &p->vlans,
		};

		vh_port_read_stats(p, &info.stats);
		fn(arg, &info);
	}
}

int vh_switch_each_queue(struct vh_switch *sw, const char *name,
			 void (*fn)(void *arg, unsigned pair,
				    const struct vh_port_stats *s),
			 void *arg)
{
	const struct vh_port *p = find_port(sw, name);
	struct vh_port_stats s;

	if (!p)
		return -ENOENT;
	for (unsigned i = 0; i < p->pairs; i++) {
		vh_port_read_queue_stats(p, i, &s);
		fn(arg, i, &s);
	}
	return 0;
}

/* ---- Ageing ---- */

static void grow_older(struct vh_timer *t)
{
	struct vh_switch *sw = vh_container_of(t, struct vh_switch, age);

	if (!sw->sweeping)
		vh_fdb_tick(sw->fabric.fdb);
	/* A stretch at a time: meanwhile nobody learns. */
	sw->sweeping = !vh_fdb_sweep(sw->fabric.fdb);
	vh_timer_arm(sw->reactor[0], t, sw->sweeping ? SWEEP_AGAIN_NS : sw->tick_ns);
}

/* ---- Life ---- */

static unsigned or_default(unsigned value, unsigned otherwise)
{
	return value ? value : otherwise;
}

static int create_fdb(struct vh_switch *sw, const struct vh_switch_params *p)
{
	uint64_t seed[2];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	return vh_fdb_create(FDB_ENTRIES, or_default(p->macs_per_port, DEFAULT_MACS),
			     seed, &sw->fabric.fdb);
}

static int init_worker(struct vh_worker *w, struct vh_fabric *f, struct vh_reactor *r,
		       unsigned index)
{
	memset(w, 0, sizeof(*w));
	w->fabric = f;
	w->reactor = r;
	w->index = index;
	memset(w->first, 0xff, sizeof(w->first));
	w->batch = calloc(1, sizeof(*w->batch));
	return w->batch ? 0 : -ENOMEM;
}

/* All reactors but the first, or that, when it is alone. */
static int create_workers(struct vh_switch *sw)
{
	struct vh_fabric *f = &sw->fabric;
	const unsigned n = sw->n_reactors > 1 ? sw->n_reactors - 1 : 1;
	int err = 0;

	f->worker = aligned_alloc(64, n * sizeof(*f->worker));
	if (!f->worker)
		return -ENOMEM;
	for (; f->n_workers < n && !err; f->n_workers++)
		err = init_worker(&f->worker[f->n_workers], f,
				  sw->reactor[sw->n_reactors - n + f->n_workers],
				  f->n_workers);
	return err;
}

static void free_parts(struct vh_switch *sw)
{
	for (unsigned i = 0; i < sw->fabric.n_workers; i++)
		free(sw->fabric.worker[i].batch);
	free(sw->fabric.worker);
	vh_fdb_destroy(sw->fabric.fdb);
	free(sw->reactor);
	free(sw);
}

int vh_switch_create(struct vh_server *server, struct vh_reactor *const *reactors,
		     unsigned n, const struct vh_switch_params *params,
		     struct vh_switch **out)
{
	static const struct vh_switch_params defaults;
	const struct vh_switch_params *p = params ? params : &defaults;
	struct vh_switch *sw = calloc(1, sizeof(*sw));
	int err;

	if (!sw)
		return -ENOMEM;
	sw->tag = "switch";
	sw->server = server;
	sw->n_reactors = n;
	sw->fabric.flood_per_s = or_default(p->flood_per_s, DEFAULT_FLOOD_PER_S);
	sw->tick_ns =
		or_default(p->age_s, DEFAULT_AGE_S) * (1000000000ULL / VH_FDB_AGE_TICKS);
	vh_list_init(&sw->ports);
	vh_timer_init(&sw->age, grow_older);
	sw->reactor = calloc(n, sizeof(*sw->reactor));
	err = sw->reactor ? create_fdb(sw, p) : -ENOMEM;
	if (!err) {
		memcpy(sw->reactor, reactors, n * sizeof(*sw->reactor));
		err = create_workers(sw);
	}
	if (err < 0) {
		free_parts(sw);
		return err;
	}
	vh_timer_arm(sw->reactor[0], &sw->age, sw->tick_ns);
	*out = sw;
	return 0;
}

/* The reactors run no more: turn them by hand until all ports have left. */
static void drain(struct vh_switch *sw)
{
	vh_list_for_each (l, &sw->ports)
		remove_port(sw, vh_container_of(l, struct vh_port, link), NULL, NULL);
	while (sw->n_leaving)
		for (unsigned i = 0; i < sw->n_reactors; i++)
			vh_reactor_poll(sw->reactor[i], 0);
}

void vh_switch_destroy(struct vh_switch *sw)
{
	if (!sw)
		return;
	drain(sw);
	vh_timer_disarm(sw->reactor[0], &sw->age);
	free_parts(sw);
}
