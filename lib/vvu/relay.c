/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A session is a front-end and a driver that are there at the same
 * time.  Either may come first and wait; what the front-end says meanwhile stays in its
 * socket.  Whoever goes ends the session, and both begin anew: the front-end by
 * connecting, the driver by saying that it is ready.
 *
 * A message is taken from the socket only when it can be finished: acted on, and handed
 * to the driver, who has a bounded number of buffers.  So one message at most is held
 * here, and behind it the front-end waits as it would for a slow back-end.  Answers on
 * the channel of the driver's own requests come between; there can be no more of them
 * than requests, which are counted.
 *
 * Towards the front-end nothing waits: what its socket does not take is queued, and who
 * does not read a mebibyte of answers is dropped.
 *
 * Control thread.
 */
#include "vvu/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vvu/relay_state.h"

/* So many messages in a turn, then everybody else. */
#define MESSAGES_PER_TURN 32

static const char *const reasons[] = {
	[VH_RELAY_NONE] = "nothing happened",
	[VH_RELAY_FRONTEND_CLOSED] = "the front-end is gone",
	[VH_RELAY_FRONTEND_ERROR] = "the front-end broke the protocol",
	[VH_RELAY_DRIVER_CLOSED] = "the driver is gone",
	[VH_RELAY_DRIVER_ERROR] = "the driver broke the protocol",
	[VH_RELAY_TOO_LARGE] = "a message does not fit into the driver's buffers",
	[VH_RELAY_BAD_QUEUE] = "a queue of the driver's is broken",
	[VH_RELAY_WINDOW_TOO_SMALL] = "the memory does not fit into the window",
	[VH_RELAY_CANNOT_MAP] = "the memory cannot be shown to the driver",
	[VH_RELAY_HOST_ERROR] = "the host refused",
};

static_assert(sizeof(reasons) / sizeof(reasons[0]) == VH_RELAY_HOST_ERROR + 1,
	      "a reason has no text");

/* Read on, or leave what comes in the socket. */
static void update_hold(struct vh_relay *r)
{
	if (r->is_there)
		vh_connector_hold(r->front, !r->up || r->no_room || r->placing ||
						    r->n_asked == VH_RELAY_MAX_ASKED);
}

/* ---- The life of a session ---- */

static void begin(struct vh_relay *r)
{
	r->up = true;
	r->granted = r->driver;
	if (!r->area || !r->ops->area)
		r->granted &= ~(VH_BIT(VH_VVU_F_LOG) | VH_BIT(VH_VVU_F_INFLIGHT));
	vh_filter_init(&r->filter, r->granted, r->max_msg);
	r->protocol = 0;
	r->stray = 0;
	r->stats.sessions++;
	if (r->ops->area) {
		r->ops->area(r->arg, VH_VVU_SHM_LOG, 0, 0);
		r->ops->area(r->arg, VH_VVU_SHM_INFLIGHT, 0, 0);
	}
	vh_log(r, VH_LOG_INFO, "a front-end and a driver are connected");
	r->ops->session(r->arg, true, VH_RELAY_NONE);
	update_hold(r);
}

static void forget(struct vh_relay *r)
{
	vh_relay_drop_log(r);
	vh_relay_unwire_all(r);
	r->no_room = false;
	r->n_held = 0;
	r->placing = false;
	r->n_acks = r->n_requests = 0;
	r->n_asked = 0;
}

/* Memory stays, since a driver that polls may not know yet. */
static void end(struct vh_relay *r, enum vh_relay_end why)
{
	r->up = false;
	r->ready = false;
	r->stats.last_end = why;
	if (why != VH_RELAY_FRONTEND_CLOSED && why != VH_RELAY_DRIVER_CLOSED)
		r->stats.faults++;
	if (r->is_there)
		vh_connector_disconnect(r->front);
	r->is_there = false;
	forget(r);
	vh_relay_update_front(r);
	vh_log(r, VH_LOG_INFO, "%s; the session is over", reasons[why]);
}

void vh_relay_end(struct vh_relay *r, enum vh_relay_end why)
{
	if (!r->up)
		return;
	end(r, why);
	r->ops->session(r->arg, false, why);
}

/* The driver said that it does not touch the window any more. */
static void drop_memory(struct vh_relay *r)
{
	if (r->in_use)
		r->window->ops->drop(r->window);
	r->in_use = false;
}

void vh_relay_set_ready(struct vh_relay *r, bool ready)
{
	if (ready == r->ready)
		return;
	drop_memory(r);
	if (!ready && r->up)
		end(r, VH_RELAY_DRIVER_CLOSED);
	r->ready = ready;
	vh_relay_update_front(r);
	if (ready && r->is_there)
		begin(r);
}

void vh_relay_reset(struct vh_relay *r)
{
	vh_relay_set_ready(r, false);
	drop_memory(r);
}

void vh_relay_set_driver(struct vh_relay *r, uint64_t features, size_t max_msg)
{
	r->driver = features;
	r->max_msg = max_msg;
	vh_relay_watch_kicks(r);
}

/* ---- To the driver ---- */

static void hold_message(struct vh_relay *r, const void *bytes, size_t len)
{
	memcpy(r->held, bytes, len);
	r->n_held = len;
	r->no_room = true;
}

/* True when the driver has it. */
static bool deliver(struct vh_relay *r, const void *bytes, size_t len)
{
	const int err = r->ops->deliver(r->arg, bytes, len);

	if (!err) {
		r->stats.to_driver++;
		return true;
	}
	if (err == -EAGAIN) {
		r->no_room = true;
		return false;
	}
	if (err == -EMSGSIZE)
		vh_log(r, VH_LOG_WARN,
		       "a message of %zu bytes is longer than the driver's buffer", len);
	vh_relay_end(r, err == -EMSGSIZE ? VH_RELAY_TOO_LARGE : VH_RELAY_HOST_ERROR);
	return false;
}

static void pass_on(struct vh_relay *r, const void *bytes, size_t len)
{
	if (r->no_room || (!deliver(r, bytes, len) && r->up))
		hold_message(r, bytes, len);
}

void vh_relay_put_ack(struct vh_relay *r, uint32_t id, uint64_t value)
{
	const unsigned at = (r->first_ack + r->n_acks++) % VH_RELAY_MAX_ACKS;

	r->acks[at] = (struct vh_relay_ack){.id = id, .value = value};
}

void vh_relay_put_request(struct vh_relay *r, uint32_t id)
{
	r->requests[(r->first_request + r->n_requests++) % VH_RELAY_MAX_ACKS] = id;
}

static bool deliver_ack(struct vh_relay *r, const struct vh_relay_ack *ack)
{
	struct {
		struct vh_wire_header header;
		uint8_t value[sizeof(uint64_t)];
	} bytes = {.header = {.request = ack->id,
			      .flags = VH_FLAG_VERSION | VH_FLAG_REPLY,
			      .size = sizeof(uint64_t)}};

	memcpy(bytes.value, &ack->value, sizeof(bytes.value));
	return deliver(r, &bytes, sizeof(bytes));
}

void vh_relay_go_on(struct vh_relay *r)
{
	while (r->n_acks && !r->no_room && deliver_ack(r, &r->acks[r->first_ack])) {
		r->first_ack = (r->first_ack + 1) % VH_RELAY_MAX_ACKS;
		r->n_acks--;
	}
	update_hold(r);
}

void vh_relay_room(struct vh_relay *r)
{
	if (!r->no_room)
		return;
	r->no_room = false;
	if (r->n_held && deliver(r, r->held, r->n_held))
		r->n_held = 0;
	vh_relay_go_on(r);
}

/* ---- From the front-end ---- */

void vh_relay_log(const struct vh_relay *r, const char *who, const struct vh_msg *m)
{
	char text[256];

	if (!vh_log_is_on(VH_LOG_DEBUG))
		return;
	vh_msg_print(m, text, sizeof(text));
	vh_log(r, VH_LOG_DEBUG, "%s: %s", who, text);
}

/* The front-end has answered what the driver asked. */
static void take_ack(struct vh_relay *r, const struct vh_msg *m)
{
	if (!m->is_reply || m->payload != VH_PAYLOAD_ACK || !r->n_requests ||
	    m->id != r->requests[r->first_request]) {
		vh_log(r, VH_LOG_WARN, "an answer that nobody waits for: %s",
		       vh_msg_name(m->channel, m->id));
		vh_relay_end(r, VH_RELAY_FRONTEND_ERROR);
		return;
	}
	r->n_requests--;
	r->first_request = (r->first_request + 1) % VH_RELAY_MAX_ACKS;
	vh_relay_put_ack(r, m->id, m->u64);
	vh_relay_go_on(r);
}

static void pass_message(struct vh_relay *r, const struct vh_msg *m, bool changed)
{
	uint8_t bytes[sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD];
	const void *from = bytes;
	size_t len = 0;

	if (changed)
		len = (size_t)vh_msg_encode(m, bytes, sizeof(bytes));
	else
		from = vh_connector_bytes(r->front, VH_CHANNEL_MAIN, &len);
	vh_relay_expect(r, m);
	pass_on(r, from, len);
	update_hold(r);
}

void vh_relay_conclude(struct vh_relay *r, struct vh_msg *m, enum vh_verdict verdict,
		       enum vh_relay_end why)
{
	switch (verdict) {
	case VH_PASS:
	case VH_PASS_CHANGED:
		pass_message(r, m, verdict == VH_PASS_CHANGED);
		break;
	case VH_SWALLOW:
		vh_relay_answer(r, m, 0);
		break;
	case VH_REFUSE:
		if (m->need_reply)
			vh_relay_answer(r, m, 1);
		else
			vh_relay_end(r, why);
		break;
	case VH_BREACH:
		vh_relay_end(r, why);
		break;
	case VH_WAIT:
		update_hold(r);
		break;
	}
}

static void take_message(struct vh_relay *r, struct vh_msg *m)
{
	enum vh_relay_end why;
	enum vh_verdict verdict;

	vh_relay_log(r, "front-end", m);
	if (m->channel == VH_CHANNEL_BACKEND) {
		take_ack(r, m);
	} else {
		verdict = vh_relay_intercept(r, m, &why);
		vh_relay_conclude(r, m, verdict, why);
	}
	vh_msg_close(m);
}

static void peer_up(struct vh_relay *r)
{
	r->is_there = true;
	if (r->ready) {
		begin(r);
		return;
	}
	vh_log(r, VH_LOG_INFO, "a front-end waits for the driver");
	update_hold(r);
}

static void peer_down(struct vh_relay *r)
{
	r->is_there = false;
	if (r->front->is_over)
		vh_log(r, VH_LOG_INFO,
		       "its socket is used up: no other front-end can come");
	vh_relay_end(r, r->front->at_fault ? VH_RELAY_FRONTEND_ERROR
					   : VH_RELAY_FRONTEND_CLOSED);
	vh_relay_update_front(r);
}

static void endpoint_lost(struct vh_relay *r, int err)
{
	vh_log(r, VH_LOG_ERROR, "the endpoint is lost: %s", vh_strerror(err));
	r->broken = true;
	r->is_there = false;
	vh_relay_end(r, VH_RELAY_HOST_ERROR);
	vh_relay_update_front(r);
}

/* False when there is nothing more, or that is left for later. */
static bool take_news(struct vh_relay *r)
{
	struct vh_msg m;
	enum vh_news news;
	const int err = vh_connector_recv(r->front, &m, &news);

	if (err < 0) {
		endpoint_lost(r, err);
		return false;
	}
	switch (news) {
	case VH_NEWS_UP:
		peer_up(r);
		break;
	case VH_NEWS_DOWN:
		peer_down(r);
		break;
	case VH_NEWS_MESSAGE:
		take_message(r, &m);
		break;
	case VH_NEWS_NOTHING:
		return false;
	}
	return r->watched;
}

static void on_readable(struct vh_event *ev, uint32_t events)
{
	struct vh_relay *r = vh_container_of(ev, struct vh_relay, readable);

	(void)events;
	for (unsigned i = 0; i < MESSAGES_PER_TURN && take_news(r); i++)
		;
}

/* ---- Life ---- */

int vh_relay_create(struct vh_reactor *reactor, const struct vh_relay_params *p,
		    struct vh_relay **relay)
{
	struct vh_relay *r = calloc(1, sizeof(*r));
	int err;

	*relay = NULL;
	if (!r)
		return -ENOMEM;
	snprintf(r->tag, sizeof(r->tag), "%s", p->tag);
	r->reactor = reactor;
	r->ops = p->ops;
	r->arg = p->arg;
	r->window = p->window;
	r->area = p->area;
	r->accept_early = p->accept_early;
	r->max_vrings = p->max_vrings < VH_VVU_MAX_VRINGS ? p->max_vrings
							  : VH_VVU_MAX_VRINGS;
	r->group = p->pairs;
	r->layout = p->layout;
	vh_relay_init_vrings(r);
	err = vh_relay_init_log(r);
	if (!err)
		err = vh_relay_open_front(r, p->front, on_readable);
	if (err < 0) {
		vh_relay_destroy(r);
		return err;
	}
	*relay = r;
	return 0;
}

void vh_relay_destroy(struct vh_relay *r)
{
	if (!r)
		return;
	vh_relay_reset(r);
	vh_relay_close_front(r);
	vh_relay_fini_log(r);
	free(r);
}

bool vh_relay_is_up(const struct vh_relay *r)
{
	return r->up;
}

void vh_relay_read_stats(const struct vh_relay *r, struct vh_relay_stats *s)
{
	*s = r->stats;
}
