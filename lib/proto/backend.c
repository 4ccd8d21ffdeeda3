/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a request, as backend.h tells it: checked against its row of
 * messages.def, begun, committed, settled, answered.  What a message means is in
 * its handler.  Pure; control thread.
 *
 * Every hand-over has a ticket, so that what a queue says about one that was
 * abandoned is told from what is waited for.  Two hand-overs belong to no
 * request: after a fault (the device stops, the link stays) and when the link
 * goes.  They have request 0, and the second one has gone_due.
 */
#include "proto/backend.h"

#include <stddef.h>
#include <string.h>

#include "proto/backend_handler.h"

void vh_backend_init(struct vh_backend *b, const struct vh_offer *offer)
{
	memset(b, 0, sizeof(*b));
	b->offer.features = offer->features;
	b->offer.protocol_features = offer->protocol_features;
	b->offer.n_vrings = offer->n_vrings;
	if (b->offer.n_vrings > VH_MAX_VRINGS)
		b->offer.n_vrings = VH_MAX_VRINGS;
	b->offer.queue_num = offer->queue_num;
	b->offer.shmem = offer->shmem;
	b->offer.strict = offer->strict;
}

/* ---- The end of a request ---- */

/* Memory of one request, so that states differ only in what matters. */
static void request_forget(struct vh_backend *b)
{
	b->request = 0;
	b->vring_index = 0;
	b->need_reply = false;
	b->settle = VH_SETTLE_NONE;
}

static void views_await(struct vh_backend *b, const struct vh_effects *fx)
{
	b->phase = VH_PHASE_VIEWS;
	b->ticket++;
	b->settle = fx->settle;
	b->waiting = fx->views;
}

/* Suspended, a back-end must not speak: "Suspended device state". */
static void config_tell(struct vh_backend *b, struct vh_effects *fx)
{
	if (!b->config_changed || !b->has_channel || !vh_backend_has(b, VH_PF_CONFIG) ||
	    !vh_backend_any_started(b))
		return;
	b->config_changed = false;
	fx->notify_config = true;
}

/*
 * Stop the device: no ring of it may run on beside one whose driver, or whose
 * memory, cannot be trusted.  False if there is nothing to stop.
 */
static bool fault_begin(struct vh_backend *b, struct vh_effects *fx)
{
	b->fault_due = false;
	vh_backend_stop_rings(b, fx);
	vh_queue_set_for_each (q, &fx->views)
		b->vring[q].broken = true;
	fx->err = fx->views;
	if (vh_queue_set_is_empty(&fx->views))
		return false;
	views_await(b, fx);
	return true;
}

/* Whatever was under way is over: a fault that waited, or the next request. */
static void request_end(struct vh_backend *b, struct vh_effects *fx)
{
	request_forget(b);
	/* What was to be released is released after the fault's hand-over. */
	if (b->fault_due && fault_begin(b, fx)) {
		fx->release = false;
		return;
	}
	b->phase = VH_PHASE_IDLE;
	config_tell(b, fx);
	fx->next = true;
}

static void request_close(struct vh_backend *b, struct vh_effects *fx)
{
	request_forget(b);
	b->fault_due = false;
	b->phase = VH_PHASE_CLOSING;
	fx->close = true;
}

static void reply_ack(struct vh_effects *fx, uint64_t result)
{
	fx->reply = true;
	fx->reply_payload = VH_PAYLOAD_ACK;
	fx->reply_u64 = result;
}

static void request_finish(struct vh_backend *b, struct vh_effects *fx)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, b->request);
	const struct vh_backend_handler *h = vh_backend_handler_of(b->request);

	if (rule->reply != VH_PAYLOAD_ACK) {
		fx->reply = true;
		fx->reply_payload = rule->reply;
	} else if (b->need_reply) {
		reply_ack(fx, 0);
	}
	if (h->finish)
		h->finish(b, fx);
	fx->release = b->phase != VH_PHASE_IDLE;
	request_end(b, fx);
}

/*
 * An answer that says no.  Only an ack and a reply to GET_CONFIG can say that;
 * false if this request has neither.
 */
static bool reply_no(const struct vh_backend *b, const struct vh_rule *rule,
		     struct vh_effects *fx)
{
	if (rule && rule->reply == VH_PAYLOAD_CONFIG) {
		fx->reply = true;
		fx->reply_empty = true;
		fx->reply_payload = VH_PAYLOAD_CONFIG;
		return true;
	}
	if (!b->need_reply || (rule && rule->reply != VH_PAYLOAD_ACK))
		return false;
	reply_ack(fx, 1);
	return true;
}

static bool may_ignore(const struct vh_backend *b, const struct vh_rule *rule)
{
	return rule && rule->reply == VH_PAYLOAD_ACK &&
	       vh_backend_handler_of(b->request)->refusal == VH_REFUSAL_ACK_OR_IGNORE;
}

/* One line for each kind of request; unknown ones share bit 0. */
static void warn_once(struct vh_backend *b, const char *why, struct vh_effects *fx)
{
	const uint64_t bit = b->request < 64 ? VH_BIT(b->request) : 1;

	if (!(b->warned & bit))
		fx->warn = why;
	b->warned |= bit;
}

/* The front-end broke a rule. */
static void request_refuse(struct vh_backend *b, const struct vh_rule *rule,
			   const char *why, struct vh_effects *fx)
{
	const uint8_t refusal = vh_backend_handler_of(b->request)->refusal;
	const bool must_close = b->offer.strict || refusal == VH_REFUSAL_CLOSE;

	if (!must_close && (reply_no(b, rule, fx) || may_ignore(b, rule))) {
		warn_once(b, why, fx);
		request_end(b, fx);
	} else {
		fx->warn = why;
		request_close(b, fx);
	}
}

/* We could not do it, and the shell has said why; nothing has changed. */
static void request_fail(struct vh_backend *b, struct vh_effects *fx)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, b->request);
	const struct vh_backend_handler *h = vh_backend_handler_of(b->request);

	if (h->revert)
		h->revert(b);
	if (reply_no(b, rule, fx) || may_ignore(b, rule)) {
		request_end(b, fx);
	} else {
		fx->warn = "failed, and there is no answer that could say so";
		request_close(b, fx);
	}
}

/* ---- Its beginning ---- */

static const char *const needs[] = {
#define MSG(id, name, payload, fds, gate, ...) \
	[id] = "needs " #gate ", which was not negotiated",
#include "spec/messages.def"
};

static const char *gate_fault(const struct vh_backend *b, const struct vh_rule *rule)
{
	if (rule->gate == VH_PF_ALWAYS)
		return NULL;
	if (rule->gate != VH_PF_ANY)
		return vh_backend_has(b, rule->gate) ? NULL : needs[b->request];
	if (b->offer.features & VH_BIT(VH_F_PROTOCOL_FEATURES))
		return NULL;
	return "needs feature bit 30, which is not offered";
}

static const char *order_fault(const struct vh_backend *b, const struct vh_rule *rule)
{
	if (rule->earliest == VH_EARLIEST_NEGOTIATED && !b->has_protocol_features)
		return "comes before SET_PROTOCOL_FEATURES";
	if (rule->earliest == VH_EARLIEST_CONFIGURED && !b->has_features)
		return "comes before SET_FEATURES";
	if (rule->running == VH_RUNNING_NO && vh_backend_any_started(b))
		return "comes while a ring runs";
	if (rule->running == VH_RUNNING_RING && b->vring[b->vring_index].started)
		return "comes while its ring runs";
	return NULL;
}

/* Everything that holds for a message without looking at what it means. */
static const char *message_fault(struct vh_backend *b, const struct vh_rule *rule,
				 const struct vh_msg *m)
{
	const char *fault = gate_fault(b, rule);
	uint32_t index;

	if (fault)
		return fault;
	if (vh_backend_names_vring(rule, m, &index)) {
		if (index >= b->offer.n_vrings)
			return "names a vring that does not exist";
		b->vring_index = index;
	}
	fault = order_fault(b, rule);
	if (!fault && !vh_backend_handler_of(b->request)->begin)
		fault = "is not supported";
	return fault;
}

/* Committed: on to the views, or to the end if no queue is concerned. */
static void request_go_on(struct vh_backend *b, struct vh_effects *fx)
{
	if (vh_queue_set_is_empty(&fx->views))
		request_finish(b, fx);
	else
		views_await(b, fx);
}

static void request_begin(struct vh_backend *b, const struct vh_msg *m,
			  struct vh_effects *fx)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, m->id);
	const char *fault = rule ? message_fault(b, rule, m) : "is an unknown message";

	if (!fault)
		fault = vh_backend_handler_of(m->id)->begin(b, m, fx);
	if (fault) {
		request_refuse(b, rule, fault, fx);
		return;
	}
	if (rule->gate != VH_PF_ALWAYS && rule->gate != VH_PF_ANY)
		b->has_gated = true;
	if (fx->action != VH_ACTION_NONE)
		b->phase = VH_PHASE_ACTION;
	else
		request_go_on(b, fx);
}

/* ---- Events ---- */

static void on_message(struct vh_backend *b, const struct vh_backend_event *ev,
		       struct vh_effects *fx)
{
	const struct vh_msg *m = ev->msg;

	if (b->phase != VH_PHASE_IDLE)
		return;
	if (m->is_reply || m->channel != VH_CHANNEL_MAIN) {
		fx->warn = "is a reply that nothing waits for";
		request_close(b, fx);
		return;
	}
	b->request = m->id;
	b->need_reply = m->need_reply && vh_backend_has(b, VH_PF_REPLY_ACK);
	request_begin(b, m, fx);
}

static void on_done(struct vh_backend *b, const struct vh_backend_event *ev,
		    struct vh_effects *fx)
{
	const struct vh_backend_handler *h = vh_backend_handler_of(b->request);

	if (b->phase != VH_PHASE_ACTION)
		return;
	if (ev->result < 0) {
		request_fail(b, fx);
		return;
	}
	if (h->commit)
		h->commit(b, ev->result, fx);
	request_go_on(b, fx);
}

static void gone_end(struct vh_backend *b, struct vh_effects *fx)
{
	request_forget(b);
	b->phase = VH_PHASE_GONE;
	b->gone_due = false;
	fx->release = true;
	fx->gone = true;
}

static void on_settled(struct vh_backend *b, const struct vh_backend_event *ev,
		       struct vh_effects *fx)
{
	if (b->phase != VH_PHASE_VIEWS || ev->ticket != b->ticket ||
	    ev->vring >= b->offer.n_vrings || !vh_queue_set_has(&b->waiting, ev->vring))
		return;
	vh_queue_set_remove(&b->waiting, ev->vring);
	/* A queue that only gets another view runs on, so what it says is old. */
	if (b->settle == VH_SETTLE_DRAINED)
		b->vring[ev->vring].base = ev->base;
	if (!vh_queue_set_is_empty(&b->waiting))
		return;
	if (b->gone_due) {
		gone_end(b, fx);
	} else if (b->request) {
		request_finish(b, fx);
	} else {
		fx->release = true;
		request_end(b, fx);
	}
}

/* News of a queue that has stopped meanwhile is late. */
static void on_broken(struct vh_backend *b, const struct vh_backend_event *ev,
		      struct vh_effects *fx)
{
	if (ev->vring >= b->offer.n_vrings)
		return;
	if (b->phase == VH_PHASE_IDLE && b->vring[ev->vring].started)
		fault_begin(b, fx);
	else if (b->request && (b->vring[ev->vring].started ||
				vh_queue_set_has(&b->waiting, ev->vring)))
		b->fault_due = true;
}

static void on_config_changed(struct vh_backend *b, const struct vh_backend_event *ev,
			      struct vh_effects *fx)
{
	if (b->phase == VH_PHASE_GONE)
		return;
	b->config_changed = true;
	if (b->phase == VH_PHASE_IDLE)
		config_tell(b, fx);
}

/*
 * A request under way is abandoned.  Queues that were still to settle for it are
 * asked again: with the new ticket, what they say about the old one is late.
 */
static void on_gone(struct vh_backend *b, const struct vh_backend_event *ev,
		    struct vh_effects *fx)
{
	const struct vh_backend_handler *h = vh_backend_handler_of(b->request);

	if (b->phase == VH_PHASE_GONE || b->gone_due)
		return;
	if (b->phase == VH_PHASE_ACTION && h->revert)
		h->revert(b);
	vh_queue_set_for_each (q, &b->waiting)
		vh_backend_view(fx, q, VH_SETTLE_DRAINED);
	vh_backend_stop_rings(b, fx);
	request_forget(b);
	b->fault_due = false;
	if (vh_queue_set_is_empty(&fx->views)) {
		gone_end(b, fx);
		return;
	}
	b->gone_due = true;
	views_await(b, fx);
}

void vh_backend_step(struct vh_backend *b, const struct vh_backend_event *ev,
		     struct vh_effects *fx)
{
	static void (*const handle[])(struct vh_backend *,
				      const struct vh_backend_event *,
				      struct vh_effects *) = {
		[VH_EV_MESSAGE] = on_message,
		[VH_EV_DONE] = on_done,
		[VH_EV_SETTLED] = on_settled,
		[VH_EV_BROKEN] = on_broken,
		[VH_EV_CONFIG_CHANGED] = on_config_changed,
		[VH_EV_GONE] = on_gone,
	};

	memset(fx, 0, sizeof(*fx));
	handle[ev->type](b, ev, fx);
}
