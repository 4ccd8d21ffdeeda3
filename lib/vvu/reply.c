/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver sends.  It is checked as the answer of any peer would be, so that a
 * front-end gets answers to what it asked and in that order, each of the form that it
 * has, whatever a guest makes up; what they say is the driver's.
 *
 * What is to be answered is remembered in a row.  An answer may skip some of it (there
 * are back-ends that do not answer everything), and is then their fault; an answer to
 * nothing is none.  Answers that the relay itself has to give stand in the same row.
 *
 * Control thread.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vvu/relay_state.h"

#define HEADER sizeof(struct vh_wire_header)

/* ---- The row ---- */

static void push(struct vh_relay *r, const struct vh_relay_asked *asked)
{
	/* With a full row nothing is read (relay.c), so that cannot be. */
	if (r->n_asked < VH_RELAY_MAX_ASKED)
		r->asked[r->n_asked++] = *asked;
}

static void shift(struct vh_relay *r, unsigned n)
{
	r->n_asked -= n;
	memmove(r->asked, r->asked + n, r->n_asked * sizeof(r->asked[0]));
}

void vh_relay_expect(struct vh_relay *r, const struct vh_msg *m)
{
	const struct vh_rule *rule = vh_rule_of(m->channel, m->id);
	const bool always = rule && rule->reply != VH_PAYLOAD_ACK;

	if (always || (rule && m->need_reply && r->protocol & VH_BIT(VH_PF_REPLY_ACK)))
		push(r, &(struct vh_relay_asked){
				.id = m->id,
				.need_reply = m->need_reply,
				.vring = m->payload == VH_PAYLOAD_STATE
						 ? (uint8_t)m->state.index
						 : 0,
			});
	else if (!rule || m->need_reply)
		r->stray = m->id;
}

/* ---- To the front-end ---- */

/* Nobody there: that will be told.  Nobody who reads: that ends it. */
static void sent(struct vh_relay *r, int err)
{
	if (!err) {
		r->stats.to_frontend++;
	} else if (err != -EPIPE && err != -ENOTCONN) {
		vh_log(r, VH_LOG_WARN, "cannot send to the front-end: %s",
		       err == -ENOBUFS ? "it does not read" : vh_strerror(err));
		vh_relay_end(r, VH_RELAY_FRONTEND_ERROR);
	}
}

static void send_ours(struct vh_relay *r, const struct vh_relay_asked *asked)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, asked->id);
	m.is_reply = true;
	m.payload = VH_PAYLOAD_ACK;
	m.u64 = asked->answer;
	sent(r, vh_connector_send(r->front, &m));
}

/* Answers of ours whose turn it is. */
static void flush_ours(struct vh_relay *r)
{
	while (r->n_asked && r->asked[0].ours) {
		const struct vh_relay_asked first = r->asked[0];

		shift(r, 1);
		send_ours(r, &first);
	}
}

void vh_relay_answer(struct vh_relay *r, const struct vh_msg *m, uint64_t value)
{
	if (!m->need_reply)
		return;
	push(r, &(struct vh_relay_asked){.id = m->id, .ours = true, .answer = value});
	flush_ours(r);
	vh_relay_go_on(r);
}

/* ---- Answers ---- */

static int driver_error(struct vh_relay *r, uint32_t id, enum vh_channel channel,
			const char *what)
{
	vh_log(r, VH_LOG_WARN, "the driver sent %s: %s", vh_msg_name(channel, id), what);
	vh_relay_end(r, VH_RELAY_DRIVER_ERROR);
	return -EPROTO;
}

/* Its index in the row, or -1. */
static int find(const struct vh_relay *r, uint32_t id)
{
	for (unsigned i = 0; i < r->n_asked; i++)
		if (!r->asked[i].ours && r->asked[i].id == id)
			return (int)i;
	return -1;
}

/* What stands before the @n-th is not answered any more, but by us. */
static void skip(struct vh_relay *r, unsigned n)
{
	while (n-- && r->up) {
		const struct vh_relay_asked first = r->asked[0];

		shift(r, 1);
		if (first.ours)
			send_ours(r, &first);
		else
			vh_log(r, VH_LOG_DEBUG, "the driver did not answer %s",
			       vh_msg_name(VH_CHANNEL_MAIN, first.id));
	}
}

/* The area that the driver has filled: its fd is ours to give. */
static int attach_area(struct vh_relay *r, struct vh_msg *m)
{
	int fd;

	if (!m->inflight.size)
		return 0;
	if (!vh_range_inside(m->inflight.offset, m->inflight.size, 0, VH_AREA_HALF))
		return driver_error(r, m->id, m->channel, "what is outside of the area");
	fd = vh_area_dup(r->area);
	if (fd < 0) {
		vh_relay_end(r, VH_RELAY_HOST_ERROR);
		return 0;
	}
	m->fds[m->n_fds++] = fd;
	return 0;
}

/* Do what the answer is about, and correct it. */
static int apply(struct vh_relay *r, const struct vh_relay_asked *asked, struct vh_msg *m)
{
	switch (m->id) {
	case VH_MSG_GET_FEATURES:
		m->u64 = vh_filter_features(&r->filter, m->u64);
		break;
	case VH_MSG_GET_PROTOCOL_FEATURES:
		m->u64 = vh_filter_protocol(&r->filter, m->u64);
		break;
	case VH_MSG_GET_QUEUE_NUM:
		m->u64 = vh_filter_queues(m->u64, r->max_vrings, r->group);
		break;
	case VH_MSG_GET_VRING_BASE:
	case VH_MSG_GET_VRING_BASE_SKIP_DRAIN:
		vh_relay_merge_log(r);
		vh_relay_unwire_kick(r, asked->vring);
		break;
	case VH_MSG_GET_INFLIGHT_FD:
		return attach_area(r, m);
	default:
		break;
	}
	return 0;
}

/* As the table has it; or the ack by which some say no to whatever asked for one. */
static int decode(struct vh_msg *m, const struct vh_wire_header *h,
		  const uint8_t *payload, bool need_reply, const char **why)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, h->request);
	struct vh_expect expect = {.id = h->request,
				   .acked = rule->reply == VH_PAYLOAD_ACK};
	int err = vh_msg_decode(m, VH_CHANNEL_MAIN, h, payload, NULL, 0, &expect, false,
				why);

	if (!err || expect.acked || !need_reply)
		return err;
	expect.acked = true;
	return vh_msg_decode(m, VH_CHANNEL_MAIN, h, payload, NULL, 0, &expect, false,
			     why);
}

static int send_known(struct vh_relay *r, const struct vh_wire_header *h,
		      const uint8_t *bytes, const struct vh_relay_asked *asked)
{
	struct vh_msg m;
	const char *why;
	int err;

	if (decode(&m, h, bytes + HEADER, asked->need_reply, &why) < 0)
		return driver_error(r, h->request, VH_CHANNEL_MAIN, why);
	vh_relay_log(r, "driver", &m);
	if (m.payload == VH_PAYLOAD_OPAQUE) {
		sent(r, vh_connector_send_bytes(r->front, VH_CHANNEL_MAIN, bytes,
						HEADER + h->size));
		return 0;
	}
	err = m.payload == VH_PAYLOAD_ACK ? 0 : apply(r, asked, &m);
	if (!err && r->up)
		sent(r, vh_connector_send(r->front, &m));
	vh_msg_close(&m);
	return err;
}

static int send_answer(struct vh_relay *r, const struct vh_wire_header *h,
		       const uint8_t *bytes)
{
	const int at = find(r, h->request);
	struct vh_relay_asked asked = {.id = h->request, .need_reply = true};
	int err = 0;

	if (h->flags != (VH_FLAG_VERSION | VH_FLAG_REPLY))
		return driver_error(r, h->request, VH_CHANNEL_MAIN,
				    "flags that an answer must not have");
	if (at < 0 && (!r->stray || h->request != r->stray))
		return driver_error(r, h->request, VH_CHANNEL_MAIN,
				    "an answer to what nobody asked");
	if (at >= 0) {
		skip(r, (unsigned)at);
		if (!r->up)
			return 0;
		asked = r->asked[0];
		shift(r, 1);
	} else {
		r->stray = 0;
	}
	if (vh_rule_of(VH_CHANNEL_MAIN, h->request))
		err = send_known(r, h, bytes, &asked);
	else
		sent(r, vh_connector_send_bytes(r->front, VH_CHANNEL_MAIN, bytes,
						HEADER + h->size));
	if (r->up) {
		flush_ours(r);
		vh_relay_go_on(r);
	}
	return err;
}

/* ---- Requests of the driver's ---- */

/* Those that carry no fd, and are of use without one. */
static bool may_pass(uint32_t id)
{
	return id == VH_MSG_BACKEND_IOTLB_MSG || id == VH_MSG_BACKEND_CONFIG_CHANGE_MSG ||
	       id == VH_MSG_BACKEND_VRING_CALL || id == VH_MSG_BACKEND_VRING_ERR;
}

static int send_request(struct vh_relay *r, const struct vh_wire_header *h,
			const uint8_t *bytes)
{
	const enum vh_channel channel = VH_CHANNEL_BACKEND;
	const char *why;
	struct vh_msg m;
	int err = -ENOTCONN;

	if (!vh_relay_granted(r, VH_VVU_F_BACKEND_REQ))
		return driver_error(r, h->request, channel,
				    "a request, without the feature for that");
	if (vh_msg_decode(&m, channel, h, bytes + HEADER, NULL, 0, NULL, false, &why) < 0)
		return driver_error(r, h->request, channel, why);
	vh_relay_log(r, "driver", &m);
	if (m.need_reply && r->n_requests + r->n_acks >= VH_RELAY_MAX_ACKS)
		return driver_error(r, h->request, channel,
				    "more than can be answered at a time");
	if (may_pass(h->request))
		err = vh_connector_send(r->front, &m);
	if (err != -ENOTCONN)
		sent(r, err);
	if (!m.need_reply || !r->up)
		return 0;
	if (!err && r->protocol & VH_BIT(VH_PF_REPLY_ACK))
		vh_relay_put_request(r, h->request);
	else if (err)
		vh_relay_put_ack(r, h->request, 1);
	vh_relay_go_on(r);
	return 0;
}

/* ---- All of it ---- */

int vh_relay_send(struct vh_relay *r, const void *msg, size_t len)
{
	const uint8_t *bytes = msg;
	struct vh_wire_header h;
	const char *why;

	if (!r->up)
		return 0;
	if (len < HEADER)
		return driver_error(r, 0, VH_CHANNEL_MAIN, "less than a header");
	if (vh_header_decode(bytes, &h, &why) < 0)
		return driver_error(r, h.request, VH_CHANNEL_MAIN, why);
	if (len != HEADER + h.size)
		return driver_error(r, h.request, VH_CHANNEL_MAIN,
				    "a message of another size than it says");
	return h.flags & VH_FLAG_REPLY ? send_answer(r, &h, bytes)
				       : send_request(r, &h, bytes);
}
