/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the machine wants done: actions, views, answers.  Thread: control.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_config.h>

#include "base/log.h"
#include "mem/guard.h"
#include "session/device.h"

/* ---- Actions: what can fail ---- */

/* A file that shrinks must fault this session only; without a free slot it goes
 * unguarded. */
static void guard_mapping(struct vh_session *s, struct vh_mapping *m)
{
	unsigned slot;

	if (m->guard)
		return;
	if (vh_guard_add(m->addr, m->len, s->shrunk.fd, &slot) < 0)
		vh_log(s, VH_LOG_WARN,
		       "too many regions to guard: a file that shrinks will "
		       "end this process");
	else
		m->guard = slot + 1;
}

/* 0, 1 (a file behind equal numbers is another one), or -errno. */
static int map_memory(struct vh_session *s)
{
	const struct vh_backend *b = &s->machine;
	struct vh_mapping *mapping[VH_MAX_SLOTS];
	struct vh_map *map;
	bool changed = false;
	int err;

	err = vh_connector_map(s->conn, b->next, b->n_next, &s->request, s->map, mapping,
			       &changed);
	if (err < 0)
		return err;
	for (unsigned i = 0; i < b->n_next; i++)
		guard_mapping(s, mapping[i]);
	err = vh_map_create(b->next, mapping, b->n_next, b->memory_epoch, &map);
	if (err < 0)
		return err;
	s->old_map = s->map;
	s->map = map;
	return changed;
}

static int map_log(struct vh_session *s)
{
	struct vh_mapping *mapping;
	struct vh_dirty_log *log;
	int err = vh_connector_map_area(s->conn, &s->request, &mapping);

	if (err < 0)
		return err;
	guard_mapping(s, mapping);
	err = vh_dirty_log_create(mapping, &log);
	if (err < 0)
		return err;
	s->old_log = s->log;
	s->log = log;
	return 0;
}

/* Failure is an answer, too: a size of 0. */
static int make_inflight(struct vh_session *s)
{
	const struct vh_wire_inflight *want = &s->request.inflight;
	struct vh_wire_inflight *have = &s->made.inflight;

	vh_msg_init_reply(&s->made, &s->request, VH_PAYLOAD_INFLIGHT);
	*have = (struct vh_wire_inflight){.n_queues = want->n_queues,
					  .queue_size = want->queue_size};
	have->size = want->n_queues * vh_inflight_stride(want->queue_size) + VH_LASTING;
	if (vh_connector_make_area(s->conn, have->size, &s->made) < 0)
		have->size = 0;
	return 0;
}

static void tell_lasting(struct vh_session *s, uint8_t *bytes)
{
	s->lasting = bytes;
	if (s->device->ops.lasting)
		s->device->ops.lasting(s->device, bytes);
}

static void drop_inflight(struct vh_session *s)
{
	if (s->lasting)
		tell_lasting(s, NULL);
	vh_mapping_put(s->inflight);
	s->inflight = NULL;
}

/* They are behind the queues' regions, if the area is one of ours: others have no room.
 */
static uint8_t *lasting_of(const struct vh_session *s)
{
	const struct vh_wire_inflight *a = &s->request.inflight;
	const uint64_t notes = a->n_queues * vh_inflight_stride(a->queue_size);

	return s->inflight->len >= notes + VH_LASTING ? s->inflight->addr + notes : NULL;
}

static int map_inflight(struct vh_session *s)
{
	struct vh_mapping *mapping;
	int err = vh_connector_map_area(s->conn, &s->request, &mapping);

	if (err < 0)
		return err;
	guard_mapping(s, mapping);
	drop_inflight(s);
	s->inflight = mapping;
	tell_lasting(s, lasting_of(s));
	return 0;
}

static struct vh_signal **signal_of(struct vh_session *s, uint32_t id, unsigned q)
{
	switch (id) {
	case VH_MSG_SET_VRING_KICK:
		return &s->vring[q].kick;
	case VH_MSG_SET_VRING_CALL:
		return &s->vring[q].call;
	case VH_MSG_SET_VRING_ERR:
		return &s->vring[q].err;
	default:
		return &s->log_call;
	}
}

/* Views hold references of their own, so the old one may go at once. */
static int take_fd(struct vh_session *s)
{
	struct vh_msg *m = &s->request;
	struct vh_signal **slot, *signal;
	int err;

	if (m->id == VH_MSG_SET_BACKEND_REQ_FD)
		return vh_connector_set_channel(s->conn, vh_msg_take_fd(m, 0));
	err = vh_connector_signal(s->conn, m, &signal);
	if (err < 0)
		return err;
	slot = signal_of(s, m->id, s->machine.vring_index);
	vh_signal_put(*slot);
	*slot = signal;
	return 0;
}

static int set_features(struct vh_session *s)
{
	struct vh_device *d = s->device;
	int err = d->ops.set_features ? d->ops.set_features(d, s->machine.features) : 0;

	if (!err)
		d->features = s->machine.features;
	return err;
}

static int write_config(struct vh_session *s)
{
	const struct vh_wire_config *c = &s->request.config;
	struct vh_device *d = s->device;

	return d->ops.write_config ? d->ops.write_config(d, c->offset, c->data, c->size)
				   : -ENOTSUP;
}

static int send_rarp(struct vh_session *s)
{
	uint8_t mac[8];

	memcpy(mac, &s->request.u64, sizeof(mac));
	return s->device->ops.send_rarp(s->device, mac);
}

static int act(struct vh_session *s, enum vh_action action)
{
	struct vh_device *d = s->device;
	struct vh_wire_config *c = &s->request.config;

	switch (action) {
	case VH_ACTION_NONE:
		return 0;
	case VH_ACTION_MAP:
		return map_memory(s);
	case VH_ACTION_MAP_LOG:
		return map_log(s);
	case VH_ACTION_MAKE_INFLIGHT:
		return make_inflight(s);
	case VH_ACTION_MAP_INFLIGHT:
		return map_inflight(s);
	case VH_ACTION_TAKE_FD:
		return take_fd(s);
	case VH_ACTION_SET_FEATURES:
		return set_features(s);
	case VH_ACTION_READ_CONFIG:
		return d->ops.read_config(d, c->offset, c->data, c->size);
	case VH_ACTION_WRITE_CONFIG:
		return write_config(s);
	case VH_ACTION_SEND_RARP:
		return send_rarp(s);
	case VH_ACTION_SET_MTU:
		return d->ops.set_mtu(d, (uint16_t)s->request.u64);
	}
	return -ENOTSUP;
}

/* ---- Views ---- */

static void lay_out(struct vh_session *s, const struct vh_vring *r, struct vh_view *v)
{
	const uint64_t n = r->num;

	v->layout = (struct vh_ring_layout){
		.desc = vh_map_uva(s->map, r->addr.desc, 16 * n),
		.avail = vh_map_uva(s->map, r->addr.avail, 6 + 2 * n),
		.used = vh_map_uva_writable(s->map, r->addr.used, 6 + 8 * n),
		.num = r->num,
		.log_used = r->addr.flags & VH_VRING_F_LOG,
		.log_gpa = r->addr.log,
	};
	/* The machine saw that each lies in a region; here it must be one that is mapped.
	 */
	v->parked = !v->layout.desc || !v->layout.avail || !v->layout.used;
}

static int make_ring(struct vh_session *s, unsigned q, struct vh_view *v)
{
	const struct vh_backend *b = &s->machine;
	int err = vh_ring_create(&s->device->queue[q], b->vring[q].num, b->features,
				 &v->start);

	if (err || !vh_backend_tracks(b, q))
		return err;
	/* Nobody replaces the area while a ring runs, so the session's reference will do.
	 */
	return vh_ring_track(v->start, s->inflight->addr +
					       q * vh_inflight_stride(b->inflight_size));
}

static struct vh_view *make_view(struct vh_session *s, unsigned q)
{
	const struct vh_backend *b = &s->machine;
	const struct vh_vring *r = &b->vring[q];
	struct vh_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	/* The machine knows its epoch only now that the map is made; nobody has seen it
	 * yet. */
	if (s->map && s->map->epoch != b->memory_epoch)
		s->map->epoch = b->memory_epoch;
	v->map = vh_map_get(s->map);
	v->log = b->features & VH_BIT(VH_F_LOG_ALL) ? vh_dirty_log_get(s->log) : NULL;
	v->kick = vh_signal_get(s->vring[q].kick);
	v->call = vh_signal_get(s->vring[q].call);
	v->log_call = vh_signal_get(s->log_call);
	v->features = b->features;
	v->enabled = r->enabled;
	v->base = r->base;
	v->parked = !vh_backend_runs(b, q);
	if (!v->parked)
		lay_out(s, r, v);
	if (!s->has_ring[q] && !v->parked && make_ring(s, q, v) < 0) {
		vh_view_destroy(v);
		return NULL;
	}
	return v;
}

/* The hand-over of a request, or the next one while that still waits. */
static struct vh_handover *free_handover(struct vh_queue *q)
{
	struct vh_handover *h = &q->handover[VH_HANDOVER_REQUEST];

	return h->under_way ? &q->handover[VH_HANDOVER_END] : h;
}

static int hand_over(struct vh_session *s, unsigned q, enum vh_settle settle)
{
	struct vh_handover *h = free_handover(&s->device->queue[q]);
	bool runs = s->machine.vring[q].started && settle != VH_SETTLE_DRAINED;
	struct vh_view *v = runs ? make_view(s, q) : NULL;

	if (runs && !v)
		return -ENOMEM;
	s->has_ring[q] = runs && (s->has_ring[q] || v->start);
	h->view = v;
	h->settle = settle;
	h->abandons = s->state != VH_SESSION_UP;
	h->ticket = s->machine.ticket;
	vh_queue_hand_over(h);
	return 0;
}

void vh_queue_settled(struct vh_handover *h)
{
	struct vh_queue *q = h->queue;
	const struct vh_backend_event ev = {.type = VH_EV_SETTLED,
					    .vring = q->index,
					    .ticket = h->ticket,
					    .base = h->base};

	h->under_way = false;
	vh_view_destroy(h->view);
	vh_ring_destroy(h->ring);
	h->view = NULL;
	h->ring = NULL;
	vh_session_step(&q->device->session, &ev);
}

/* ---- Answers ---- */

static void reply(struct vh_session *s, const struct vh_effects *fx)
{
	struct vh_msg m;
	char text[256];

	vh_msg_init_reply(&m, &s->request,
			  fx->reply_empty ? VH_PAYLOAD_NONE : fx->reply_payload);
	switch (fx->reply_payload) {
	case VH_PAYLOAD_STATE:
		m.state = fx->reply_state;
		break;
	case VH_PAYLOAD_CONFIG:
		m.config = s->request.config;
		break;
	case VH_PAYLOAD_INFLIGHT:
		m = s->made;
		break;
	case VH_PAYLOAD_SHMEM:
		m.shmem = (struct vh_wire_shmem){.n = 1,
						 .size = {[1] = s->machine.offer.shmem}};
		break;
	default:
		m.u64 = fx->reply_u64;
	}
	if (vh_log_is_on(VH_LOG_DEBUG)) {
		vh_msg_print(&m, text, sizeof(text));
		vh_log(s, VH_LOG_DEBUG, "-> %s", text);
	}
	if (vh_connector_send(s->conn, &m) < 0)
		vh_log(s, VH_LOG_DEBUG, "the reply was not taken");
	vh_msg_close(&s->made);
}

static void notify_config(struct vh_session *s)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	if (vh_connector_send(s->conn, &m) < 0)
		vh_log(s, VH_LOG_WARN,
		       "the front-end could not be told of a config change");
}

static void release(struct vh_session *s)
{
	vh_map_put(s->old_map);
	vh_dirty_log_put(s->old_log);
	s->old_map = NULL;
	s->old_log = NULL;
}

void vh_session_release_all(struct vh_session *s)
{
	vh_map_put(s->old_map);
	vh_map_put(s->map);
	vh_dirty_log_put(s->old_log);
	vh_dirty_log_put(s->log);
	vh_signal_put(s->log_call);
	s->old_map = s->map = NULL;
	s->old_log = s->log = NULL;
	s->log_call = NULL;
	for (unsigned q = 0; q < VH_MAX_VRINGS; q++) {
		vh_signal_put(s->vring[q].kick);
		vh_signal_put(s->vring[q].call);
		vh_signal_put(s->vring[q].err);
	}
	memset(s->vring, 0, sizeof(s->vring));
	memset(s->has_ring, 0, sizeof(s->has_ring));
	drop_inflight(s);
	vh_msg_close(&s->made);
	vh_msg_close(&s->request);
}

/* ---- All of it, in the order of struct vh_effects ---- */

static bool hand_over_all(struct vh_session *s, const struct vh_effects *fx)
{
	vh_queue_set_for_each (q, &fx->views)
		if (hand_over(s, q, fx->settle) < 0)
			return false;
	return true;
}

static void next_request(struct vh_session *s)
{
	vh_msg_close(&s->request);
	if (s->state == VH_SESSION_UP)
		vh_connector_hold(s->conn, false);
}

/* The driver has let go of its requests, also of those that broke the device. */
static void reset_device(struct vh_session *s)
{
	const struct vh_backend *b = &s->machine;

	/* Only what is in use: the area may be as long as the front-end likes. */
	if (s->inflight)
		memset(s->inflight->addr, 0,
		       b->inflight_queues * vh_inflight_stride(b->inflight_size));
	if (s->lasting)
		memset(s->lasting, 0, VH_LASTING);
	if (s->device->ops.reset)
		s->device->ops.reset(s->device);
}

static void answer(struct vh_session *s, const struct vh_effects *fx)
{
	vh_queue_set_for_each (q, &fx->call)
		if (s->vring[q].call)
			vh_signal_fire(s->vring[q].call);
	vh_queue_set_for_each (q, &fx->err)
		if (s->vring[q].err)
			vh_signal_fire(s->vring[q].err);
	if (fx->reset_device)
		reset_device(s);
	if (fx->reply && s->state == VH_SESSION_UP)
		reply(s, fx);
	if (fx->release)
		release(s);
	if (fx->notify_config && s->state == VH_SESSION_UP)
		notify_config(s);
	if (fx->next)
		next_request(s);
}

void vh_session_apply(struct vh_session *s, const struct vh_effects *fx)
{
	if (fx->warn)
		vh_log(s, VH_LOG_WARN, "%s: %s",
		       vh_msg_name(VH_CHANNEL_MAIN, s->request.id), fx->warn);
	if (fx->action != VH_ACTION_NONE) {
		const struct vh_backend_event done = {.type = VH_EV_DONE,
						      .result = act(s, fx->action)};

		vh_session_step(s, &done);
		return;
	}
	if (!hand_over_all(s, fx)) {
		vh_session_fault(s, "there is no memory for its rings");
		return;
	}
	answer(s, fx);
	if (fx->close)
		vh_session_fault(s, "the front-end broke the protocol");
	else if (fx->gone)
		vh_session_ended(s);
}
