/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfds of a front-end, which a guest cannot have: kicks are watched here and
 * become interrupts, doorbells that the guest rings are written to the others.
 *
 * A kick's eventfd is watched edge-triggered and never read, as everywhere in this
 * library: each write wakes us, and one that was written before we came does, too.  All
 * of them are eventfds, made non-blocking, so that writing cannot block.
 */
#include <sys/epoll.h>

#include "base/log.h"
#include "vvu/relay_state.h"

/* ---- Kicks ---- */

static void on_kick(struct vh_event *ev, uint32_t events)
{
	struct vh_relay_vring *v = vh_container_of(ev, struct vh_relay_vring, kicked);
	struct vh_relay *r = v->relay;

	(void)events;
	r->stats.kicks++;
	r->ops->kick(r->arg, (unsigned)(v - r->vring));
}

static void unwatch(struct vh_relay_vring *v)
{
	if (v->watched)
		vh_event_remove(v->relay->reactor, &v->kicked);
	v->watched = false;
}

static void watch(struct vh_relay_vring *v)
{
	struct vh_relay *r = v->relay;
	int err;

	if (v->watched || !v->kick || !(r->driver & VH_BIT(VH_VVU_F_NOTIFY)))
		return;
	v->kicked = (struct vh_event){.fd = v->kick->fd, .fn = on_kick};
	err = vh_event_add(r->reactor, &v->kicked, EPOLLIN | EPOLLET);
	v->watched = !err;
	if (err < 0)
		vh_log(r, VH_LOG_ERROR, "cannot watch the kicks of vring %u: %s",
		       (unsigned)(v - r->vring), vh_strerror(err));
}

void vh_relay_watch_kicks(struct vh_relay *r)
{
	for (unsigned i = 0; i < r->max_vrings; i++) {
		if (r->driver & VH_BIT(VH_VVU_F_NOTIFY))
			watch(&r->vring[i]);
		else
			unwatch(&r->vring[i]);
	}
}

/* ---- Wiring ---- */

static void replace(struct vh_signal **old, struct vh_signal *s)
{
	vh_signal_put(*old);
	*old = s;
}

void vh_relay_unwire_kick(struct vh_relay *r, unsigned vring)
{
	unwatch(&r->vring[vring]);
	replace(&r->vring[vring].kick, NULL);
	r->vring[vring].kick_polled = false;
}

static void wire_kick(struct vh_relay_vring *v, struct vh_signal *s)
{
	unwatch(v);
	replace(&v->kick, s);
	v->kick_polled = !s;
	watch(v);
}

int vh_relay_wire(struct vh_relay *r, struct vh_msg *m)
{
	struct vh_relay_vring *v = &r->vring[m->u64 & VH_VRING_INDEX_MASK];
	struct vh_signal *s;
	int err = vh_connector_signal(r->front, m, &s);

	if (err < 0)
		return err;
	switch (m->id) {
	case VH_MSG_SET_VRING_KICK:
		wire_kick(v, s);
		break;
	case VH_MSG_SET_VRING_CALL:
		replace(&v->call, s);
		v->call_polled = !s;
		break;
	case VH_MSG_SET_VRING_ERR:
		replace(&v->err, s);
		break;
	default:
		replace(&r->log_call, s);
	}
	return 0;
}

void vh_relay_unwire_all(struct vh_relay *r)
{
	for (unsigned i = 0; i < r->max_vrings; i++) {
		struct vh_relay_vring *v = &r->vring[i];

		vh_relay_unwire_kick(r, i);
		replace(&v->call, NULL);
		replace(&v->err, NULL);
		v->call_polled = false;
	}
	replace(&r->log_call, NULL);
}

void vh_relay_init_vrings(struct vh_relay *r)
{
	for (unsigned i = 0; i < VH_VVU_MAX_VRINGS; i++)
		r->vring[i] = (struct vh_relay_vring){.relay = r};
}

/* ---- Doorbells ---- */

/* What is behind doorbell @n; NULL: nothing. */
static struct vh_signal *find_doorbell(const struct vh_relay *r, unsigned n)
{
	const unsigned max = r->max_vrings;

	if (n < max)
		return r->vring[n].call;
	if (n < 2 * max)
		return r->vring[n - max].err;
	return n == VH_VVU_DOORBELL_LOG(max) ? r->log_call : NULL;
}

void vh_relay_ring(struct vh_relay *r, unsigned n)
{
	const struct vh_signal *s = find_doorbell(r, n);

	if (!s)
		return;
	/* Who is told of marks looks for them at once. */
	if (n == VH_VVU_DOORBELL_LOG(r->max_vrings))
		vh_relay_merge_log(r);
	r->stats.doorbells++;
	vh_signal_fire(s);
}

void vh_relay_wires(const struct vh_relay *r, unsigned vring, struct vh_relay_wires *w)
{
	const struct vh_relay_vring *v = &r->vring[vring % VH_VVU_MAX_VRINGS];

	*w = (struct vh_relay_wires){
		.kick = v->kick,
		.call = v->call,
		.err = v->err,
		.kick_polled = v->kick_polled,
		.call_polled = v->call_polled,
	};
}
