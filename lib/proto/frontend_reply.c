/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's protocol machine: what a hostile back-end may answer, and what
 * is in force afterwards.  Which requests are made is in frontend.c.  One thread
 * at a time.
 */
#include <errno.h>
#include <stddef.h>

#include <linux/virtio_config.h>

#include "base/checked.h"
#include "proto/frontend.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- What is in force once the back-end has handled a request ---- */

static void table_was_sent(struct vh_frontend *fe)
{
	for (unsigned i = 0; i < COUNT(fe->region); i++)
		fe->region[i].shared = fe->region[i].wanted;
}

static void commit_reset(struct vh_frontend *fe)
{
	for (unsigned i = 0; i < COUNT(fe->vring); i++)
		fe->vring[i].started = false;
	fe->has_features = false;
}

void vh_frontend_commit(struct vh_frontend *fe)
{
	switch (fe->request) {
	case VH_MSG_SET_PROTOCOL_FEATURES:
		fe->protocol_features = vh_frontend_protocol_features(fe);
		break;
	case VH_MSG_SET_FEATURES:
		fe->has_features = true;
		break;
	case VH_MSG_SET_MEM_TABLE:
		table_was_sent(fe);
		break;
	case VH_MSG_ADD_MEM_REG:
	case VH_MSG_REM_MEM_REG:
		fe->region[fe->index].shared = fe->request == VH_MSG_ADD_MEM_REG;
		break;
	case VH_MSG_SET_VRING_KICK:
		fe->vring[fe->index].started = true;
		break;
	case VH_MSG_RESET_DEVICE:
		commit_reset(fe);
		break;
	default:
		break;
	}
}

/* ---- Answers ---- */

static const char *take_features(struct vh_frontend *fe, uint64_t offered)
{
	if (fe->has_offer)
		return NULL; /* asked again only to know that the rest was handled */
	if (fe->required & ~offered)
		return "offers fewer features than those in use";
	fe->offered_features = offered;
	fe->features = offered & fe->wanted;
	fe->has_offer = true;
	return NULL;
}

static const char *take_queue_num(struct vh_frontend *fe, uint64_t n)
{
	if (n == 0 || n > UINT16_MAX)
		return "GET_QUEUE_NUM: not a number of queues";
	fe->queue_num = n;
	return NULL;
}

/* Many slots may well mean "no limit"; none at all is nonsense. */
static const char *take_memory_slots(struct vh_frontend *fe, uint64_t n)
{
	if (n == 0)
		return "GET_MAX_MEM_SLOTS: no slots at all";
	fe->memory_slots = n < VH_MAX_SLOTS ? n : VH_MAX_SLOTS;
	return NULL;
}

/* Split: an index in 16 bits.  Packed: two of 15 bits below the size, each with a wrap
 * bit. */
static bool base_is_possible(const struct vh_frontend *fe, uint32_t base, uint32_t num)
{
	if (!(fe->features & VH_BIT(VIRTIO_F_RING_PACKED)))
		return base <= UINT16_MAX;
	return (base & 0x7fff) < num && (base >> 16 & 0x7fff) < num;
}

static const char *take_base(struct vh_frontend *fe, const struct vh_wire_state *state)
{
	struct vh_frontend_vring *v = &fe->vring[fe->index];

	if (state->index != fe->index)
		return "GET_VRING_BASE: the answer is about another vring";
	if (!base_is_possible(fe, state->num, v->num))
		return "GET_VRING_BASE: not an index of this ring";
	v->base = state->num;
	v->started = false;
	return NULL;
}

static const char *take_config(const struct vh_frontend *fe,
			       const struct vh_wire_config *c)
{
	if (c->offset != fe->off || c->size != fe->len)
		return "GET_CONFIG: the answer is about another range";
	return NULL;
}

/*
 * Some back-ends leave the counts of the answer empty, so what was asked for stands.  A
 * size of 0 means that it cannot, and then nothing is tracked.  How far regions are apart
 * is its affair, but less than each one's header and entries is not an area that its
 * successor could take.
 */
static const char *take_inflight(struct vh_frontend *fe, const struct vh_wire_inflight *a)
{
	const uint64_t least = fe->n_vrings * (16 + 16 * (uint64_t)fe->vring[0].num);
	uint64_t end;

	if (a->size && a->size < least)
		return "GET_INFLIGHT_FD: an area that is too small for its rings";
	if (!vh_add_u64(a->offset, a->size, &end))
		return "GET_INFLIGHT_FD: an area that wraps around";
	fe->inflight = *a;
	fe->inflight.n_queues = (uint16_t)fe->n_vrings;
	fe->inflight.queue_size = (uint16_t)fe->vring[0].num;
	return NULL;
}

static const char *take_answer(struct vh_frontend *fe, const struct vh_msg *reply)
{
	switch (fe->request) {
	case VH_MSG_GET_FEATURES:
		return take_features(fe, reply->u64);
	case VH_MSG_GET_PROTOCOL_FEATURES:
		fe->offered_protocol_features = reply->u64;
		return NULL;
	case VH_MSG_GET_QUEUE_NUM:
		return take_queue_num(fe, reply->u64);
	case VH_MSG_GET_MAX_MEM_SLOTS:
		return take_memory_slots(fe, reply->u64);
	case VH_MSG_GET_VRING_BASE:
		return take_base(fe, &reply->state);
	case VH_MSG_GET_CONFIG:
		return take_config(fe, &reply->config);
	case VH_MSG_GET_INFLIGHT_FD:
		return take_inflight(fe, &reply->inflight);
	default:
		vh_frontend_commit(fe);
		return NULL;
	}
}

static const char *what_is_refused(const struct vh_frontend *fe,
				   const struct vh_msg *reply)
{
	if (fe->acked && reply->u64)
		return "refuses a request";
	if (fe->request == VH_MSG_GET_CONFIG && reply->empty)
		return "refuses to show this part of its config space";
	if (fe->request == VH_MSG_GET_STATUS && fe->goal != VH_GOAL_NONE &&
	    !(reply->u64 & VIRTIO_CONFIG_S_FEATURES_OK))
		return "refuses this set of features";
	return NULL;
}

static const char *what_is_not_an_answer(const struct vh_frontend *fe,
					 const struct vh_msg *reply)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, fe->request);

	if (!fe->request)
		return "answers what was not asked";
	if (reply->channel != VH_CHANNEL_MAIN || !reply->is_reply)
		return "sends a request in place of an answer";
	if (reply->id != fe->request)
		return "answers another request";
	if (reply->payload != rule->reply)
		return "answers with another payload";
	return NULL;
}

static int reply_result(struct vh_frontend *fe, const struct vh_msg *reply,
			const char **why)
{
	*why = what_is_not_an_answer(fe, reply);
	if (*why)
		return -EPROTO;
	*why = what_is_refused(fe, reply);
	if (*why)
		return -EREMOTEIO;
	*why = take_answer(fe, reply);
	return *why ? -EPROTO : 0;
}

int vh_frontend_reply(struct vh_frontend *fe, const struct vh_msg *reply,
		      const char **why)
{
	const int err = reply_result(fe, reply, why);

	fe->request = 0;
	fe->waits = false;
	if (err) {
		fe->goal = VH_GOAL_NONE;
		fe->step = 0;
	}
	return err;
}
