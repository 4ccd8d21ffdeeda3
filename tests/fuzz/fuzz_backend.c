/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any messages and any events of the shell, in any order, given to the machine
 * of the back-end.  Input: a byte for the offer, then a byte an event, each
 * followed by what it needs.  Values are mostly ones that mean something; any of
 * them may be a raw number instead.  With OFFER_RUNNING two rings run already.
 *
 * Messages are as decode lets them through; the rest is arbitrary.  Events of
 * the shell may be wrong: late, of other queues, not asked for.
 */
#include <stdbool.h>

#include "fuzz.h"
#include "proto/backend.h"

enum {
	OFFER_STRICT = 1,
	OFFER_NO_BIT_30 = 2,
	OFFER_MANY_RINGS = 4,
	OFFER_EVERYTHING = 8,
	OFFER_RUNNING = 16
};

/* The byte of an event: a message number, or one of these. */
enum {
	OP_DONE = 64,
	OP_SETTLED,
	OP_SETTLED_RAW,
	OP_BROKEN,
	OP_CONFIG_CHANGED,
	OP_GONE,
	OP_COUNT,
	OP_NO_REPLY = 128, /* with a message: do not ask for an ack */
};

#define RAW 0xff /* a selector that is followed by a number */

static uint64_t pick(struct fuzz_input *in, const uint64_t *values, unsigned n)
{
	const uint8_t at = fuzz_u8(in);

	return at == RAW ? fuzz_u64(in) : values[at % n];
}

#define PICK(in, ...)                               \
	pick((in), (const uint64_t[]){__VA_ARGS__}, \
	     sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static struct vh_offer any_offer(uint8_t how)
{
	struct vh_offer offer = {
		.features = VH_BIT(32) | VH_BIT(VH_F_LOG_ALL),
		.protocol_features = VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_LOG_SHMFD) |
				     VH_BIT(VH_PF_RARP) | VH_BIT(VH_PF_REPLY_ACK) |
				     VH_BIT(VH_PF_NET_MTU) | VH_BIT(VH_PF_BACKEND_REQ) |
				     VH_BIT(VH_PF_CONFIG) | VH_BIT(VH_PF_RESET_DEVICE) |
				     VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) |
				     VH_BIT(VH_PF_STATUS) | VH_BIT(VH_PF_INFLIGHT_SHMFD),
		.n_vrings = how & OFFER_MANY_RINGS ? VH_MAX_VRINGS : 2,
		.queue_num = 1,
		.strict = how & OFFER_STRICT,
	};

	if (!(how & OFFER_NO_BIT_30))
		offer.features |= VH_BIT(VH_F_PROTOCOL_FEATURES);
	if (how & OFFER_EVERYTHING)
		offer.protocol_features = VH_BIT(VH_PF_COUNT) - 1;
	return offer;
}

/* ---- Messages ---- */

static uint64_t any_u64(struct fuzz_input *in, const struct vh_backend *b)
{
	return PICK(in, 0, b->offer.features, b->offer.protocol_features,
		    b->offer.features & ~VH_BIT(VH_F_PROTOCOL_FEATURES),
		    b->offer.features & ~VH_BIT(VH_F_LOG_ALL), 1, 15, 1500);
}

static uint32_t any_index(struct fuzz_input *in)
{
	return PICK(in, 0, 1, 2, 255);
}

static struct vh_wire_region any_region(struct fuzz_input *in)
{
	return (struct vh_wire_region){
		.gpa = PICK(in, 0, 0x100000, 0x200000, 0x80000),
		.size = PICK(in, 0x100000, 0x200000, 0x1000),
		.uva = PICK(in, 0x10000000, 0x10100000, 0x20000000),
		.offset = PICK(in, 0, 0x100000),
	};
}

static struct vh_wire_addr any_addr(struct fuzz_input *in)
{
	return (struct vh_wire_addr){
		.index = any_index(in),
		.flags = PICK(in, 0, VH_VRING_F_LOG),
		.desc = PICK(in, 0x10000000, 0x10100000, 0x20000000),
		.avail = PICK(in, 0x10010000, 0x10110000),
		.used = PICK(in, 0x10020000, 0x10120000),
		.log = PICK(in, 0, 0x1000),
	};
}

static void fill_config(struct fuzz_input *in, struct vh_wire_config *c)
{
	c->offset = PICK(in, 0, 8, 4096);
	c->size = PICK(in, 8, 0, 4096) % (VH_MAX_CONFIG + 1);
	c->flags = PICK(in, 0, 1);
}

static void fill_inflight(struct fuzz_input *in, struct vh_wire_inflight *a)
{
	a->size = PICK(in, 0x200000, 4160, 1, 0);
	a->offset = PICK(in, 0, 8, 1, UINT64_MAX - 7);
	a->n_queues = (uint16_t)PICK(in, 1, 2, 0, UINT16_MAX);
	a->queue_size = (uint16_t)PICK(in, 256, 128, 32768, 3, 0);
}

static void fill(struct fuzz_input *in, const struct vh_backend *b, struct vh_msg *m)
{
	switch (m->payload) {
	case VH_PAYLOAD_VRING_FD:
		m->u64 = any_index(in) & (VH_VRING_INDEX_MASK | VH_VRING_NO_FD);
		break;
	case VH_PAYLOAD_STATE:
		m->state.index = any_index(in);
		m->state.num = PICK(in, 256, 1, 0, 2, 32768);
		break;
	case VH_PAYLOAD_ADDR:
		m->addr = any_addr(in);
		break;
	case VH_PAYLOAD_MEM:
		m->mem.n = fuzz_u8(in) % (VH_MAX_TABLE_REGIONS + 1);
		for (unsigned i = 0; i < m->mem.n; i++)
			m->mem.region[i] = any_region(in);
		break;
	case VH_PAYLOAD_MEM_REG:
		m->mem_reg.region = any_region(in);
		break;
	case VH_PAYLOAD_LOG:
		m->log.size = PICK(in, 0x1000, 0);
		m->log.offset = PICK(in, 0, 0x1000);
		break;
	case VH_PAYLOAD_CONFIG:
		fill_config(in, &m->config);
		break;
	case VH_PAYLOAD_INFLIGHT:
		fill_inflight(in, &m->inflight);
		break;
	default:
		m->u64 = any_u64(in, b);
	}
}

/* The numbers that nobody defined: a reply, another number space, an old kind of log. */
static void disturb(struct fuzz_input *in, struct vh_msg *m)
{
	switch (fuzz_u8(in)) {
	case 1:
		m->is_reply = true;
		break;
	case 2:
		m->channel = VH_CHANNEL_BACKEND;
		break;
	case 3:
		m->id = fuzz_u32(in);
		m->payload = VH_PAYLOAD_OPAQUE;
		break;
	case 4:
		m->id = VH_MSG_SET_LOG_BASE;
		m->payload = VH_PAYLOAD_U64;
		break;
	}
}

static void any_message(struct fuzz_input *in, uint8_t op, const struct vh_backend *b,
			struct vh_msg *m)
{
	const uint8_t id = op % 64;
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);

	/* The rest of a large message is never looked at. */
	memset(m, 0, offsetof(struct vh_msg, u64));
	m->channel = VH_CHANNEL_MAIN;
	m->id = id;
	m->need_reply = !(op & OP_NO_REPLY);
	m->payload = rule ? rule->payload : VH_PAYLOAD_OPAQUE;
	if (!rule)
		disturb(in, m);
	fill(in, b, m);
}

/* ---- Events ---- */

static void any_settled(struct fuzz_input *in, uint8_t op, const struct vh_backend *b,
			struct vh_backend_event *ev)
{
	ev->type = VH_EV_SETTLED;
	ev->vring = op == OP_SETTLED ? vh_queue_set_next(&b->waiting, 0) : any_index(in);
	ev->ticket = op == OP_SETTLED ? b->ticket : fuzz_u8(in);
	ev->base = fuzz_u16(in);
}

static void any_event(struct fuzz_input *in, const struct vh_backend *b, struct vh_msg *m,
		      struct vh_backend_event *ev)
{
	const uint8_t byte = fuzz_u8(in);
	const uint8_t op = (byte & ~OP_NO_REPLY) % OP_COUNT;

	*ev = (struct vh_backend_event){.msg = m};
	switch (op) {
	case OP_DONE:
		ev->type = VH_EV_DONE;
		ev->result = (int)PICK(in, 0, 1, -12ull);
		break;
	case OP_SETTLED:
	case OP_SETTLED_RAW:
		any_settled(in, op, b, ev);
		break;
	case OP_BROKEN:
		ev->type = VH_EV_BROKEN;
		ev->vring = any_index(in);
		break;
	case OP_CONFIG_CHANGED:
		ev->type = VH_EV_CONFIG_CHANGED;
		break;
	case OP_GONE:
		ev->type = VH_EV_GONE;
		break;
	default:
		ev->type = VH_EV_MESSAGE;
		any_message(in, op | (byte & OP_NO_REPLY), b, m);
	}
}

/* ---- What must hold ---- */

static bool is_within(const struct vh_queue_set *set, unsigned n)
{
	return vh_queue_set_next(set, n) == VH_MAX_VRINGS;
}

static void check_effects(const struct vh_backend *b, const struct vh_effects *fx,
			  uint8_t was, bool is_message)
{
	const bool ends = was != VH_PHASE_IDLE || is_message;
	const bool settled = vh_queue_set_is_empty(&b->waiting);

	FUZZ_CHECK(is_within(&fx->views, b->offer.n_vrings));
	FUZZ_CHECK(is_within(&fx->call, b->offer.n_vrings));
	FUZZ_CHECK(is_within(&fx->err, b->offer.n_vrings));
	FUZZ_CHECK(fx->next == (b->phase == VH_PHASE_IDLE && ends));
	FUZZ_CHECK(fx->close == (b->phase == VH_PHASE_CLOSING && was != b->phase));
	FUZZ_CHECK(fx->gone == (b->phase == VH_PHASE_GONE && was != b->phase));
	FUZZ_CHECK((fx->action != 0) == (b->phase == VH_PHASE_ACTION && was != b->phase));
	FUZZ_CHECK(!fx->reply || (ends && !fx->close && !b->request));
	FUZZ_CHECK(!fx->close || fx->warn);
	FUZZ_CHECK(!fx->release || settled);
	FUZZ_CHECK(!fx->reset_device || settled);
	FUZZ_CHECK(!fx->notify_config || (b->phase == VH_PHASE_IDLE && b->has_channel));
	FUZZ_CHECK(vh_queue_set_is_empty(&fx->views) || (!settled && fx->settle));
}

static void one_event(struct vh_backend *b, const struct vh_backend_event *ev,
		      struct vh_effects *fx)
{
	const uint8_t was = b->phase;
	const char *fault;

	vh_backend_step(b, ev, fx);
	fault = vh_backend_check(b);
	if (fault)
		fuzz_fail(fault, __FILE__, __LINE__);
	check_effects(b, fx, was, ev->type == VH_EV_MESSAGE);
}

/* Wherever it was left, the end is reached. */
static void check_end(struct vh_backend *b)
{
	struct vh_backend_event ev = {.type = VH_EV_GONE};
	struct vh_effects fx;

	one_event(b, &ev, &fx);
	while (b->phase != VH_PHASE_GONE) {
		FUZZ_CHECK(b->phase == VH_PHASE_VIEWS);
		ev.type = VH_EV_SETTLED;
		ev.vring = vh_queue_set_next(&b->waiting, 0);
		ev.ticket = b->ticket;
		one_event(b, &ev, &fx);
	}
}

/* ---- A running device ---- */

static void go_on(struct vh_backend *b)
{
	struct vh_backend_event ev = {.type = VH_EV_DONE};
	struct vh_effects fx;

	while (b->phase != VH_PHASE_IDLE) {
		ev.type = b->phase == VH_PHASE_ACTION ? VH_EV_DONE : VH_EV_SETTLED;
		ev.vring = vh_queue_set_next(&b->waiting, 0);
		ev.ticket = b->ticket;
		one_event(b, &ev, &fx);
	}
}

static void say(struct vh_backend *b, uint32_t id, struct vh_msg m)
{
	const struct vh_backend_event ev = {.type = VH_EV_MESSAGE, .msg = &m};
	struct vh_effects fx;

	m.id = id;
	m.payload = vh_rule_of(VH_CHANNEL_MAIN, id)->payload;
	one_event(b, &ev, &fx);
	go_on(b);
}

static void start_ring(struct vh_backend *b, uint32_t q)
{
	const uint64_t at = 0x10000000 + q * 0x40000;
	const struct vh_wire_addr addr = {
		.index = q, .desc = at, .avail = at + 0x10000, .used = at + 0x20000};

	say(b, VH_MSG_SET_VRING_NUM, (struct vh_msg){.state = {q, 256}});
	say(b, VH_MSG_SET_VRING_ADDR, (struct vh_msg){.addr = addr});
	say(b, VH_MSG_SET_VRING_KICK, (struct vh_msg){.u64 = q});
	FUZZ_CHECK(vh_backend_runs(b, q));
}

static void start(struct vh_backend *b)
{
	const struct vh_wire_mem mem = {.n = 1, .region = {{0, 0x100000, 0x10000000, 0}}};

	if (b->offer.features & VH_BIT(VH_F_PROTOCOL_FEATURES))
		say(b, VH_MSG_SET_PROTOCOL_FEATURES,
		    (struct vh_msg){.u64 = b->offer.protocol_features});
	say(b, VH_MSG_SET_FEATURES,
	    (struct vh_msg){.u64 = b->offer.features & ~VH_BIT(VH_F_LOG_ALL)});
	say(b, VH_MSG_SET_MEM_TABLE, (struct vh_msg){.mem = mem});
	start_ring(b, 0);
	start_ring(b, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vh_backend b;
	static struct vh_msg m;
	struct fuzz_input in = {data, size};
	const uint8_t how = fuzz_u8(&in);
	const struct vh_offer offer = any_offer(how);
	struct vh_backend_event ev;
	struct vh_effects fx;

	vh_backend_init(&b, &offer);
	if (how & OFFER_RUNNING)
		start(&b);
	while (in.left) {
		any_event(&in, &b, &m, &ev);
		one_event(&b, &ev, &fx);
	}
	check_end(&b);
	return 0;
}
