/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machines with one fault each: the real one, and a hand that spoils what goes
 * in or comes out.  The explorer has to find every one of them, or its rules
 * are worth nothing.
 */
#include <string.h>

#include "explorer.h"

#define STEP(name)                                                                \
	static void name(struct vh_backend *b, const struct vh_backend_event *ev, \
			 struct vh_effects *fx)

STEP(believes_late_queues)
{
	struct vh_backend_event own = *ev;

	own.ticket = b->ticket;
	vh_backend_step(b, &own, fx);
}

STEP(waits_for_one_queue_only)
{
	struct vh_backend_event own = *ev;

	if (ev->type == VH_EV_SETTLED && ev->ticket == b->ticket &&
	    vh_queue_set_has(&b->waiting, ev->vring)) {
		memset(&b->waiting, 0, sizeof(b->waiting));
		vh_queue_set_add(&b->waiting, ev->vring);
	}
	vh_backend_step(b, &own, fx);
}

STEP(forgets_the_next_request)
{
	vh_backend_step(b, ev, fx);
	if (b->phase == VH_PHASE_IDLE && ev->type == VH_EV_SETTLED)
		fx->next = false;
}

STEP(reads_on_during_an_action)
{
	vh_backend_step(b, ev, fx);
	fx->next |= fx->action == VH_ACTION_MAP_LOG;
}

STEP(releases_at_the_hand_over)
{
	vh_backend_step(b, ev, fx);
	fx->release |= !vh_queue_set_is_empty(&fx->views) && ev->type == VH_EV_DONE;
}

STEP(takes_memory_away_at_once)
{
	vh_backend_step(b, ev, fx);
	if (fx->settle == VH_SETTLE_RETIRED)
		fx->settle = b->settle = VH_SETTLE_PAUSED;
}

STEP(keeps_the_memory_epoch)
{
	const uint32_t epoch = b->memory_epoch;

	vh_backend_step(b, ev, fx);
	b->memory_epoch = epoch;
}

STEP(does_not_park)
{
	vh_backend_step(b, ev, fx);
	b->vring[0].parked = b->vring[1].parked = false;
}

STEP(enables_behind_the_queue)
{
	vh_backend_step(b, ev, fx);
	if (ev->type != VH_EV_MESSAGE || b->request != VH_MSG_SET_VRING_ENABLE)
		return;
	memset(fx, 0, sizeof(*fx));
	b->phase = VH_PHASE_IDLE;
	b->request = b->vring_index = b->settle = 0;
	memset(&b->waiting, 0, sizeof(b->waiting));
	fx->reply = b->need_reply;
	fx->reply_payload = VH_PAYLOAD_ACK;
	b->need_reply = false;
	fx->next = true;
}

STEP(answers_twice)
{
	const uint32_t was = b->request;

	vh_backend_step(b, ev, fx);
	if (was == VH_MSG_SET_VRING_CALL && b->phase == VH_PHASE_VIEWS && b->need_reply) {
		fx->reply = true;
		fx->reply_payload = VH_PAYLOAD_ACK;
	}
}

STEP(answers_nothing)
{
	vh_backend_step(b, ev, fx);
	if (fx->reply_payload == VH_PAYLOAD_STATE && ev->type == VH_EV_SETTLED)
		fx->reply = false;
}

STEP(speaks_while_suspended)
{
	vh_backend_step(b, ev, fx);
	if (b->config_changed && b->phase == VH_PHASE_IDLE && b->has_channel) {
		fx->notify_config = true;
		b->config_changed = false;
	}
}

STEP(loses_a_config_change)
{
	vh_backend_step(b, ev, fx);
	if (b->phase == VH_PHASE_VIEWS)
		b->config_changed = false;
}

STEP(is_gone_before_a_queue_has_stopped)
{
	if (ev->type == VH_EV_GONE && b->phase == VH_PHASE_VIEWS && !b->gone_due)
		for (unsigned q = 0; q < VH_MAX_VRINGS; q++)
			if (!b->vring[q].started)
				vh_queue_set_remove(&b->waiting, q);
	vh_backend_step(b, ev, fx);
}

STEP(keeps_features_that_were_refused)
{
	const uint64_t features = b->features;

	vh_backend_step(b, ev, fx);
	if (ev->type == VH_EV_DONE && ev->result < 0)
		b->features = features;
}

STEP(runs_on_after_a_fault)
{
	vh_backend_step(b, ev, fx);
	b->fault_due = false;
}

STEP(mends_rings_by_itself)
{
	vh_backend_step(b, ev, fx);
	b->vring[0].broken = false;
}

STEP(forgets_where_a_ring_was)
{
	struct vh_backend_event own = *ev;

	own.base = 0;
	vh_backend_step(b, &own, fx);
}

STEP(starts_no_ring_when_memory_comes)
{
	const uint32_t was = b->request;
	const bool kicked = b->vring[0].kicked && !b->vring[0].started;

	if (kicked && was == VH_MSG_SET_MEM_TABLE)
		b->vring[0].kicked = false;
	vh_backend_step(b, ev, fx);
	if (kicked && was == VH_MSG_SET_MEM_TABLE)
		b->vring[0].kicked = true;
}

STEP(resets_before_the_queues_have_stopped)
{
	vh_backend_step(b, ev, fx);
	fx->reset_device |= ev->type == VH_EV_MESSAGE &&
			    b->request == VH_MSG_RESET_DEVICE;
}

#define MUTATION(name)      \
	{                   \
#name, name \
	}

const struct mutation mutations[] = {
	MUTATION(believes_late_queues),
	MUTATION(waits_for_one_queue_only),
	MUTATION(forgets_the_next_request),
	MUTATION(reads_on_during_an_action),
	MUTATION(releases_at_the_hand_over),
	MUTATION(takes_memory_away_at_once),
	MUTATION(keeps_the_memory_epoch),
	MUTATION(does_not_park),
	MUTATION(enables_behind_the_queue),
	MUTATION(answers_twice),
	MUTATION(answers_nothing),
	MUTATION(speaks_while_suspended),
	MUTATION(loses_a_config_change),
	MUTATION(is_gone_before_a_queue_has_stopped),
	MUTATION(keeps_features_that_were_refused),
	MUTATION(runs_on_after_a_fault),
	MUTATION(mends_rings_by_itself),
	MUTATION(forgets_where_a_ring_was),
	MUTATION(starts_no_ring_when_memory_comes),
	MUTATION(resets_before_the_queues_have_stopped),
};

const unsigned n_mutations = sizeof(mutations) / sizeof(mutations[0]);
