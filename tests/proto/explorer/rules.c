/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold after every step, seen from the outside: the requests of the
 * front-end, the shell's queues, the effects.
 */
#include <string.h>

#include "explorer.h"

static bool any_started(const struct vh_backend *b)
{
	return b->vring[0].started || b->vring[1].started;
}

/* Both are of VH_MAX_VRINGS bits. */
static uint64_t bits(const struct vh_queue_set *set)
{
	return set->word[0];
}

static uint64_t started_bits(const struct vh_backend *b)
{
	return b->vring[0].started | b->vring[1].started << 1;
}

/* ---- States ---- */

static struct seen view_of(const struct vh_backend *b, unsigned q)
{
	const struct vh_vring *v = &b->vring[q];
	struct seen s;

	memset(&s, 0, sizeof(s));
	if (!v->started)
		return s;
	s.started = true;
	s.parked = v->parked;
	s.enabled = v->enabled;
	s.logged = v->addr.flags;
	s.log_address = v->addr.log;
	s.has_log = b->has_log;
	s.features = b->features;
	for (unsigned i = 0; i < b->n_regions; i++)
		s.regions ^= b->region[i].gpa + 1;
	return s;
}

void state_init(struct state *s)
{
	const struct vh_offer offer = {
		.features = VH_BIT(VH_F_LOG_ALL) | VH_BIT(VH_F_PROTOCOL_FEATURES),
		.protocol_features = VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_REPLY_ACK) |
				     VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_CONFIG) |
				     VH_BIT(VH_PF_RESET_DEVICE) |
				     VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) |
				     VH_BIT(VH_PF_STATUS) | VH_BIT(VH_PF_INFLIGHT_SHMFD),
		.n_vrings = 2,
		.queue_num = 2,
	};

	memset(s, 0, sizeof(*s));
	vh_backend_init(&s->b, &offer);
}

void state_follow(struct state *s, const struct vh_backend_event *ev,
		  const struct vh_effects *fx)
{
	const struct vh_backend *b = &s->b;

	vh_queue_set_for_each (q, &fx->views)
		s->seen[q] = view_of(b, q);
	if (b->phase != VH_PHASE_ACTION)
		s->features = b->features;
	if (ev->type == VH_EV_BROKEN && b->phase != VH_PHASE_CLOSING)
		s->broken |= b->vring[ev->vring].started ||
			     vh_queue_set_has(&b->waiting, ev->vring);
	s->broken &= any_started(b);
}

void state_normalise(struct state *s)
{
	s->b.ticket = 0;
	s->b.memory_epoch = 0;
	s->b.warned = 0;
}

/* ---- Answers ---- */

static bool begins_request(const struct step *s)
{
	return s->ev->type == VH_EV_MESSAGE && s->before->b.phase == VH_PHASE_IDLE;
}

/* The request that this step is about; 0: none. */
static uint32_t request_of(const struct step *s)
{
	return begins_request(s) ? s->ev->msg->id : s->before->b.request;
}

static bool ends_request(const struct step *s)
{
	return request_of(s) && !s->after->b.request && !s->after->b.gone_due &&
	       !s->fx->gone;
}

static bool wants_ack(const struct step *s)
{
	const struct vh_backend *b = begins_request(s) ? &s->after->b : &s->before->b;

	return begins_request(s) ? b->protocol_features & VH_BIT(VH_PF_REPLY_ACK)
				 : b->need_reply;
}

static const char *check_answer(const struct step *s)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, request_of(s));
	bool due = ends_request(s) && !s->fx->close &&
		   (rule->reply != VH_PAYLOAD_ACK || wants_ack(s));

	if (due && !s->fx->reply)
		return "a request is over and was not answered";
	if (!due && s->fx->reply)
		return "an answer to nothing, or a second one";
	if (s->fx->reply && !s->fx->reply_empty &&
	    s->fx->reply_payload !=
		    (rule->reply == VH_PAYLOAD_LOG ? VH_PAYLOAD_NONE : rule->reply))
		return "an answer with the wrong payload";
	return NULL;
}

/* Did the last queue that was waited for settle just now, or was there none? */
static bool has_settled(const struct step *s)
{
	const uint64_t left = bits(&s->before->b.waiting);

	if (!left)
		return true;
	return s->ev->type == VH_EV_SETTLED && s->ev->ticket == s->before->b.ticket &&
	       left == 1ull << s->ev->vring;
}

static const char *check_waiting(const struct step *s)
{
	const struct vh_effects *fx = s->fx;

	if ((fx->reply || fx->release || fx->next || fx->gone || fx->reset_device) &&
	    !has_settled(s))
		return "goes on before every queue has settled";
	if ((fx->release || fx->next || fx->gone || fx->reset_device) &&
	    bits(&s->after->b.waiting))
		return "releases, or goes on, while a queue is waited for";
	if (fx->notify_config && (s->after->b.phase != VH_PHASE_IDLE || !has_settled(s)))
		return "speaks while a request is under way";
	return NULL;
}

static const char *check_next(const struct step *s)
{
	const bool due = s->after->b.phase == VH_PHASE_IDLE &&
			 (begins_request(s) || s->before->b.phase != VH_PHASE_IDLE);

	if (s->fx->next != due)
		return due ? "is idle and reads no further request"
			   : "reads a request while another one is under way";
	return NULL;
}

/* ---- Queues ---- */

static const char *check_sets(const struct step *s)
{
	const struct vh_effects *fx = s->fx;

	if ((bits(&fx->views) | bits(&fx->call) | bits(&fx->err)) >>
	    s->after->b.offer.n_vrings)
		return "an effect on a queue that does not exist";
	if (bits(&fx->call) & ~started_bits(&s->before->b))
		return "signals the driver of a ring that does not run";
	if (fx->err.word[0] &&
	    (fx->err.word[0] != fx->views.word[0] || fx->settle != VH_SETTLE_DRAINED))
		return "signals errors of rings that it does not stop";
	return NULL;
}

static const char *check_views(const struct step *s)
{
	const struct vh_backend *before = &s->before->b, *after = &s->after->b;
	const uint64_t views = bits(&s->fx->views);
	const uint64_t had = started_bits(before) | bits(&before->waiting);
	const bool drained = s->fx->settle == VH_SETTLE_DRAINED;

	if (views && drained && views & (~had | started_bits(after)))
		return "stops a queue that has no ring, or goes on with it";
	if (views && !drained && views & ~started_bits(after))
		return "a view for a queue that was not started";
	if (views && (bits(&after->waiting) != views || after->ticket == before->ticket ||
		      after->settle != s->fx->settle || after->settle == VH_SETTLE_NONE))
		return "a hand-over that is not waited for";
	if (!views && bits(&after->waiting) & ~bits(&before->waiting))
		return "waits for a queue that got no view";
	return NULL;
}

/* No queue may go on with a view that is not what the front-end has asked for. */
static const char *check_seen(const struct step *s)
{
	if (s->after->b.phase == VH_PHASE_ACTION)
		return NULL;
	for (unsigned q = 0; q < VH_MAX_VRINGS; q++) {
		const struct seen now = view_of(&s->after->b, q);

		if (memcmp(&now, &s->after->seen[q], sizeof(now)) != 0)
			return "a queue has an old view";
	}
	return NULL;
}

static bool has_region(const struct vh_backend *b, const struct vh_wire_region *r)
{
	for (unsigned i = 0; i < b->n_regions; i++)
		if (memcmp(&b->region[i], r, sizeof(*r)) == 0)
			return true;
	return false;
}

static bool region_goes(const struct step *s)
{
	const struct vh_backend *before = &s->before->b;
	const bool memory = before->request == VH_MSG_SET_MEM_TABLE ||
			    before->request == VH_MSG_ADD_MEM_REG ||
			    before->request == VH_MSG_REM_MEM_REG;

	for (unsigned i = 0; i < before->n_regions; i++)
		if (!has_region(&s->after->b, &before->region[i]))
			return true;
	return memory && before->phase == VH_PHASE_ACTION && s->ev->type == VH_EV_DONE &&
	       s->ev->result > 0;
}

static const char *check_memory(const struct step *s)
{
	const uint32_t grown = s->after->b.memory_epoch - s->before->b.memory_epoch;

	if (grown != region_goes(s))
		return "the memory epoch does not tell when a region goes";
	if (region_goes(s) && bits(&s->fx->views) && s->fx->settle < VH_SETTLE_RETIRED)
		return "a region goes before its chains are done";
	return NULL;
}

/* ---- The rest ---- */

static const char *check_fault(const struct step *s)
{
	const uint64_t err = bits(&s->fx->err);

	for (unsigned q = 0; q < VH_MAX_VRINGS; q++)
		if (err >> q & 1 && !s->after->b.vring[q].broken)
			return "a ring that broke may start again";
	if (s->after->broken && s->after->b.phase == VH_PHASE_IDLE)
		return "a device runs on after a fault";
	return NULL;
}

static bool may_tell(const struct vh_backend *b)
{
	return b->phase == VH_PHASE_IDLE && b->has_channel && any_started(b) &&
	       b->protocol_features & VH_BIT(VH_PF_CONFIG);
}

static const char *check_config(const struct step *s)
{
	const struct vh_backend *after = &s->after->b;
	const bool over = after->phase == VH_PHASE_GONE;
	const bool due = s->before->b.config_changed ||
			 s->ev->type == VH_EV_CONFIG_CHANGED;

	if (s->fx->notify_config && (!due || !may_tell(after)))
		return "tells of a config change that there was not, or may not";
	if (due && !over && s->fx->notify_config == after->config_changed)
		return "a config change is lost, or told twice";
	if (after->config_changed && may_tell(after))
		return "a config change is not told";
	return NULL;
}

static const char *check_ends(const struct step *s)
{
	const struct vh_effects *fx = s->fx;
	const uint8_t was = s->before->b.phase, is = s->after->b.phase;

	if (fx->close != (is == VH_PHASE_CLOSING && was != is) ||
	    (fx->close && !fx->warn))
		return "closes without need, or without a word";
	if (fx->gone != (is == VH_PHASE_GONE && was != is))
		return "is gone without saying so";
	if ((fx->action != VH_ACTION_NONE) != (is == VH_PHASE_ACTION && was != is))
		return "an action without its phase";
	if (fx->reset_device &&
	    (any_started(&s->after->b) || s->after->b.vring[0].kicked))
		return "resets a device that runs";
	if (was == VH_PHASE_ACTION && s->ev->type == VH_EV_DONE && s->ev->result < 0 &&
	    (s->after->b.features != s->before->features ||
	     memcmp(s->after->b.region, s->before->b.region,
		    sizeof(s->after->b.region)) ||
	     s->after->b.has_log != s->before->b.has_log))
		return "something changed though it failed";
	return NULL;
}

static bool is_senseless(const struct step *s)
{
	const struct vh_backend *b = &s->before->b;

	switch (s->ev->type) {
	case VH_EV_MESSAGE:
		return b->phase != VH_PHASE_IDLE;
	case VH_EV_DONE:
		return b->phase != VH_PHASE_ACTION;
	case VH_EV_SETTLED:
		return s->ev->ticket != b->ticket ||
		       !vh_queue_set_has(&b->waiting, s->ev->vring);
	case VH_EV_GONE:
		return b->gone_due || b->phase == VH_PHASE_GONE;
	default:
		return b->phase == VH_PHASE_GONE;
	}
}

static const char *check_senseless(const struct step *s)
{
	static const struct vh_effects none;

	if (is_senseless(s) && (memcmp(s->fx, &none, sizeof(none)) != 0 ||
				memcmp(s->before, s->after, sizeof(*s->after)) != 0))
		return "an event that is late, or makes no sense, has effects";
	return NULL;
}

static const char *check_base(const struct step *s)
{
	const struct vh_backend *before = &s->before->b;

	if (s->ev->type == VH_EV_SETTLED && !is_senseless(s) &&
	    before->settle == VH_SETTLE_DRAINED &&
	    s->after->b.vring[s->ev->vring].base != s->ev->base)
		return "the base of a ring that stopped is lost";
	if (s->fx->reply && s->fx->reply_payload == VH_PAYLOAD_STATE &&
	    s->fx->reply_state.num != s->after->b.vring[s->fx->reply_state.index].base)
		return "another base than the ring's";
	return NULL;
}

const char *step_check(const struct step *s)
{
	static const char *(*const rules[])(const struct step *) = {
		check_senseless, check_answer, check_waiting, check_next,
		check_sets,	 check_views,  check_seen,    check_memory,
		check_fault,	 check_config, check_ends,    check_base,
	};
	const char *fault = vh_backend_check(&s->after->b);

	for (unsigned i = 0; !fault && i < sizeof(rules) / sizeof(rules[0]); i++)
		fault = rules[i](s);
	return fault;
}
