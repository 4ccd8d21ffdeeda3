/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's protocol machine: a list of steps for each goal, how each
 * step's message is filled.  What the answers may be is in frontend_reply.c; fds
 * and waiting are the shell's (session/client_link.c).  One thread at a time.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/virtio_config.h>

#include "proto/frontend.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- The way to each goal ---- */

enum step_each {
	ONCE,
	EACH_VRING,   /* but idle ones */
	EACH_STOPPED, /* of those, and not started */
	EACH_STARTED,
	EACH_SURPLUS, /* started, and idle */
	EACH_REGION
};

enum step_when {
	BY_GATE,      /* when the message's gate is open: the rule for all others too */
	WITHOUT_ACKS, /* a query in place of the acks that there are not              */
	WITHOUT_SLOTS,
	WITHOUT_AREA,
	WITH_AREA,
	UNSETTLED, /* the features are not in force (any more)                        */
};

struct step {
	uint8_t id;    /* enum vh_msg_id                                          */
	uint8_t each;  /* enum step_each                                          */
	uint8_t block; /* not 0: so many steps end here, done in turn for each item */
	uint8_t when;  /* enum step_when                                          */
};

/*
 * SET_OWNER comes first because some back-ends answer nothing before it, and
 * none minds it early.  FEATURES_OK is read back: a device may refuse a subset.
 */
static const struct step to_connected[] = {
	{VH_MSG_SET_OWNER},
	{VH_MSG_GET_FEATURES},
	{VH_MSG_GET_PROTOCOL_FEATURES},
	{VH_MSG_SET_PROTOCOL_FEATURES},
	{VH_MSG_GET_QUEUE_NUM},
	{VH_MSG_GET_MAX_MEM_SLOTS},
	{VH_MSG_SET_BACKEND_REQ_FD},
	/* so many ask: N_TO_OFFERED */
	{VH_MSG_SET_FEATURES},
	{VH_MSG_SET_STATUS},
	{VH_MSG_GET_STATUS},
	{VH_MSG_GET_FEATURES, .when = WITHOUT_ACKS},
};

#define N_TO_OFFERED 7u

static const struct step to_memory[] = {
	{VH_MSG_REM_MEM_REG, EACH_REGION, 1},
	{VH_MSG_ADD_MEM_REG, EACH_REGION, 1},
	{VH_MSG_SET_MEM_TABLE, .when = WITHOUT_SLOTS},
	{VH_MSG_GET_FEATURES, .when = WITHOUT_ACKS},
};

static const struct step to_running[] = {
	{VH_MSG_SET_FEATURES, .when = UNSETTLED},
	{VH_MSG_GET_INFLIGHT_FD, .when = WITHOUT_AREA},
	{VH_MSG_SET_INFLIGHT_FD, .when = WITH_AREA},
	{VH_MSG_GET_VRING_BASE, EACH_SURPLUS, 1},
	{VH_MSG_SET_VRING_NUM, EACH_STOPPED},
	{VH_MSG_SET_VRING_BASE, EACH_STOPPED},
	{VH_MSG_SET_VRING_ADDR, EACH_STOPPED},
	{VH_MSG_SET_VRING_CALL, EACH_STOPPED},
	{VH_MSG_SET_VRING_ERR, EACH_STOPPED},
	{VH_MSG_SET_VRING_KICK, EACH_STOPPED, 6},
	{VH_MSG_SET_VRING_ENABLE, EACH_VRING, 1},
	{VH_MSG_SET_STATUS},
	{VH_MSG_GET_FEATURES, .when = WITHOUT_ACKS},
};

/*
 * A ring is stopped before it is disabled: a network device throws away what is
 * in a ring that is started and disabled.
 */
static const struct step to_stopped[] = {
	{VH_MSG_GET_VRING_BASE, EACH_STARTED, 1},
	{VH_MSG_SET_VRING_ENABLE, EACH_VRING, 1},
	{VH_MSG_GET_FEATURES, .when = WITHOUT_ACKS},
};

static const struct step to_settled[] = {
	{VH_MSG_GET_FEATURES, .when = WITHOUT_ACKS},
};

static const struct way {
	const struct step *steps;
	unsigned n;
} ways[] = {
	[VH_GOAL_NONE] = {NULL, 0},
	[VH_GOAL_CONNECTED] = {to_connected, COUNT(to_connected)},
	[VH_GOAL_OFFERED] = {to_connected, N_TO_OFFERED},
	[VH_GOAL_FEATURES] = {to_connected + N_TO_OFFERED,
			      COUNT(to_connected) - N_TO_OFFERED},
	[VH_GOAL_MEMORY] = {to_memory, COUNT(to_memory)},
	[VH_GOAL_RUNNING] = {to_running, COUNT(to_running)},
	[VH_GOAL_STOPPED] = {to_stopped, COUNT(to_stopped)},
	[VH_GOAL_SETTLED] = {to_settled, COUNT(to_settled)},
};

void vh_frontend_init(struct vh_frontend *fe, uint64_t wanted, uint64_t required)
{
	/* The log is for a migration that nobody here makes. */
	const uint64_t never = VH_BIT(VH_F_LOG_ALL);

	memset(fe, 0, sizeof(*fe));
	fe->wanted = (wanted | VH_BIT(VH_F_PROTOCOL_FEATURES)) & ~never;
	fe->required = required & ~never;
	fe->memory_slots = VH_MAX_TABLE_REGIONS;
}

bool vh_frontend_has(const struct vh_frontend *fe, enum vh_protocol_feature bit)
{
	return fe->protocol_features & VH_BIT(bit);
}

uint64_t vh_frontend_protocol_features(const struct vh_frontend *fe)
{
	const uint64_t tracking = fe->tracks ? VH_BIT(VH_PF_INFLIGHT_SHMFD) : 0;

	return fe->offered_protocol_features & (VH_FRONTEND_FEATURES | tracking);
}

static bool gate_is_open(const struct vh_frontend *fe, const struct vh_rule *rule)
{
	if (rule->gate == VH_PF_ALWAYS)
		return true;
	if (rule->gate == VH_PF_ANY)
		return fe->offered_features & VH_BIT(VH_F_PROTOCOL_FEATURES);
	return vh_frontend_has(fe, rule->gate);
}

/* ---- Regions ---- */

static bool region_is_free(const struct vh_frontend_region *r)
{
	return !r->wanted && !r->shared;
}

int vh_frontend_want_region(struct vh_frontend *fe, const struct vh_wire_region *r)
{
	struct vh_frontend_region *place = NULL;
	unsigned n_wanted = 0;

	for (unsigned i = 0; i < COUNT(fe->region); i++) {
		n_wanted += fe->region[i].wanted;
		if (!place && region_is_free(&fe->region[i]))
			place = &fe->region[i];
	}
	if (!place || n_wanted >= fe->memory_slots)
		return -ENOSPC;
	place->region = *r;
	place->wanted = true;
	return 0;
}

void vh_frontend_drop_region(struct vh_frontend *fe, uint64_t gpa)
{
	for (unsigned i = 0; i < COUNT(fe->region); i++) {
		if (fe->region[i].region.gpa == gpa)
			fe->region[i].wanted = false;
	}
}

bool vh_frontend_has_memory(const struct vh_frontend *fe)
{
	for (unsigned i = 0; i < COUNT(fe->region); i++) {
		if (fe->region[i].wanted != fe->region[i].shared)
			return false;
	}
	return true;
}

static void fill_table(const struct vh_frontend *fe, struct vh_wire_mem *mem)
{
	for (unsigned i = 0; i < COUNT(fe->region); i++) {
		if (fe->region[i].wanted && mem->n < VH_MAX_TABLE_REGIONS)
			mem->region[mem->n++] = fe->region[i].region;
	}
}

/* ---- Steps ---- */

static bool step_applies_to_item(const struct vh_frontend *fe, const struct step *s)
{
	const struct vh_frontend_region *r = &fe->region[fe->item % COUNT(fe->region)];
	const struct vh_frontend_vring *v = &fe->vring[fe->item % COUNT(fe->vring)];

	switch (s->each) {
	case EACH_STARTED:
		return v->started;
	case EACH_SURPLUS:
		return v->started && v->idle;
	case EACH_STOPPED:
		return fe->item < fe->n_vrings && !v->idle && !v->started;
	case EACH_VRING:
		return fe->item < fe->n_vrings && !v->idle;
	case EACH_REGION:
		return s->id == VH_MSG_ADD_MEM_REG ? r->wanted && !r->shared
						   : r->shared && !r->wanted;
	default:
		return true;
	}
}

static bool step_applies(const struct vh_frontend *fe, const struct step *s)
{
	if (!gate_is_open(fe, vh_rule_of(VH_CHANNEL_MAIN, s->id)))
		return false;
	switch (s->when) {
	case WITHOUT_ACKS:
		return !vh_frontend_has(fe, VH_PF_REPLY_ACK);
	case WITHOUT_SLOTS:
		return !vh_frontend_has(fe, VH_PF_CONFIGURE_MEM_SLOTS) &&
		       !vh_frontend_has_memory(fe);
	case WITHOUT_AREA:
		return !fe->inflight.size;
	case WITH_AREA:
		return fe->inflight.size;
	case UNSETTLED:
		return !fe->has_features;
	default:
		return step_applies_to_item(fe, s);
	}
}

static unsigned count_items(const struct vh_frontend *fe, const struct step *s)
{
	switch (s->each) {
	case EACH_STARTED:
	case EACH_SURPLUS:
		return COUNT(fe->vring);
	case EACH_VRING:
	case EACH_STOPPED:
		return fe->n_vrings;
	case EACH_REGION:
		return COUNT(fe->region);
	default:
		return 1;
	}
}

/* Behind the last step of a block: the same for the next item, if there is one. */
static void advance(struct vh_frontend *fe, const struct step *s)
{
	fe->step++;
	if (s->block == 0)
		return;
	if (++fe->item < count_items(fe, s))
		fe->step -= s->block;
	else
		fe->item = 0;
}

static uint64_t status_for(const struct vh_frontend *fe)
{
	uint64_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			  VIRTIO_CONFIG_S_FEATURES_OK;

	return fe->goal == VH_GOAL_RUNNING ? status | VIRTIO_CONFIG_S_DRIVER_OK : status;
}

static void fill_vring(const struct vh_frontend *fe, struct vh_msg *m)
{
	const struct vh_frontend_vring *v = &fe->vring[fe->item];

	switch (m->payload) {
	case VH_PAYLOAD_ADDR:
		m->addr = v->addr;
		m->addr.index = fe->item;
		break;
	case VH_PAYLOAD_VRING_FD:
		m->u64 = fe->item;
		break;
	default:
		m->state.index = fe->item;
		if (m->id == VH_MSG_SET_VRING_NUM)
			m->state.num = v->num;
		else if (m->id == VH_MSG_SET_VRING_BASE)
			m->state.num = v->base;
		else if (m->id == VH_MSG_SET_VRING_ENABLE)
			m->state.num = fe->goal == VH_GOAL_RUNNING;
	}
}

static void fill(const struct vh_frontend *fe, const struct step *s, struct vh_msg *m)
{
	vh_msg_init(m, VH_CHANNEL_MAIN, s->id);
	if (s->each != ONCE && s->each != EACH_REGION)
		return fill_vring(fe, m);
	switch (s->id) {
	case VH_MSG_SET_FEATURES:
		m->u64 = fe->features;
		break;
	case VH_MSG_SET_PROTOCOL_FEATURES:
		m->u64 = vh_frontend_protocol_features(fe);
		break;
	case VH_MSG_SET_STATUS:
		m->u64 = status_for(fe);
		break;
	case VH_MSG_SET_MEM_TABLE:
		fill_table(fe, &m->mem);
		break;
	case VH_MSG_GET_INFLIGHT_FD:
		m->inflight.n_queues = (uint16_t)fe->n_vrings;
		m->inflight.queue_size = (uint16_t)fe->vring[0].num;
		break;
	case VH_MSG_SET_INFLIGHT_FD:
		m->inflight = fe->inflight;
		break;
	case VH_MSG_ADD_MEM_REG:
	case VH_MSG_REM_MEM_REG:
		m->mem_reg.region = fe->region[fe->item].region;
		break;
	default:
		break;
	}
}

/* ---- Requests ---- */

/*
 * An ack may be asked for once REPLY_ACK is in force, which is after the message
 * that negotiates it.
 */
static void request_goes_out(struct vh_frontend *fe, struct vh_msg *m)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, m->id);

	assert(!fe->request && rule);
	fe->request = m->id;
	fe->acked = rule->reply == VH_PAYLOAD_ACK;
	m->need_reply = fe->acked && vh_frontend_has(fe, VH_PF_REPLY_ACK);
	fe->waits = m->need_reply || !fe->acked;
	if (fe->waits)
		return;
	vh_frontend_commit(fe);
	fe->request = 0;
}

void vh_frontend_pursue(struct vh_frontend *fe, enum vh_goal goal)
{
	assert(!fe->request);
	fe->goal = goal;
	fe->step = 0;
	fe->item = 0;
}

bool vh_frontend_next(struct vh_frontend *fe, struct vh_msg *m)
{
	while (fe->step < ways[fe->goal].n) {
		const struct step *s = &ways[fe->goal].steps[fe->step];
		const bool applies = step_applies(fe, s);

		fe->index = fe->item;
		if (applies)
			fill(fe, s, m);
		advance(fe, s);
		if (!applies)
			continue;
		request_goes_out(fe, m);
		return true;
	}
	fe->goal = VH_GOAL_NONE;
	fe->step = 0;
	return false;
}

int vh_frontend_ask(struct vh_frontend *fe, struct vh_msg *m)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, m->id);

	if (!rule || !gate_is_open(fe, rule))
		return -ENOTSUP;
	if (m->payload == VH_PAYLOAD_CONFIG) {
		fe->off = m->config.offset;
		fe->len = m->config.size;
	}
	request_goes_out(fe, m);
	return 0;
}

bool vh_frontend_waits(const struct vh_frontend *fe, struct vh_expect *e)
{
	*e = (struct vh_expect){.id = fe->request, .acked = fe->acked};
	return fe->request;
}
