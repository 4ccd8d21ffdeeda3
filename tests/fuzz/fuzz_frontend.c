/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's machine and a back-end that answers whatever it likes.  Input:
 * a connection is a byte of switches and a byte of features that are required; then a
 * byte an operation of the shell, and for each request that waits the answer: mostly
 * the one that it expects, with a number that means something.
 *
 * Every request that goes out is one that a strict back-end's decoder takes, and
 * nothing is in force that was not offered and wanted.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdbool.h>

#include "fuzz.h"
#include "proto/frontend.h"

enum { SWITCH_MANY_VRINGS = 1, SWITCH_PACKED = 2, SWITCH_ALL_FEATURES = 4 };

enum op {
	OP_CONNECT,
	OP_MEMORY,
	OP_RUN,
	OP_STOP,
	OP_SETTLE,
	OP_WANT_REGION,
	OP_DROP_REGION,
	OP_ASK,	   /* a request beside the goals */
	OP_ANSWER, /* one that nobody waits for  */
	OP_REDUCE, /* fewer features              */
	OP_IDLE,   /* a vring is used, or no longer */
	OP_COUNT
};

/* How an answer differs from what is expected. */
enum lie {
	LIE_NONE,
	LIE_ID,
	LIE_REQUEST,
	LIE_CHANNEL,
	LIE_PAYLOAD,
	LIE_EMPTY,
	LIE_COUNT
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

/* ---- What must hold ---- */

static void check_machine(const struct vh_frontend *fe)
{
	unsigned n_regions = 0;

	FUZZ_CHECK(!(fe->features & ~(fe->offered_features & fe->wanted)));
	FUZZ_CHECK(!(fe->features & VH_BIT(VH_F_LOG_ALL)));
	FUZZ_CHECK(!(fe->protocol_features &
		     ~(fe->offered_protocol_features & VH_FRONTEND_FEATURES)));
	FUZZ_CHECK(fe->memory_slots >= 1 && fe->memory_slots <= VH_MAX_SLOTS);
	FUZZ_CHECK(fe->queue_num <= UINT16_MAX);
	for (unsigned i = 0; i < VH_MAX_SLOTS; i++)
		n_regions += fe->region[i].wanted;
	FUZZ_CHECK(n_regions <= fe->memory_slots);
	for (unsigned i = 0; i < fe->n_vrings; i++)
		FUZZ_CHECK(fe->features & VH_BIT(VIRTIO_F_RING_PACKED) ||
			   fe->vring[i].base <= UINT16_MAX);
}

/* The other end reads what we send. */
static void check_request(const struct vh_msg *m)
{
	static uint8_t bytes[sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD];
	const int len = vh_msg_encode(m, bytes, sizeof(bytes));
	struct vh_wire_header h;
	static struct vh_msg read;
	const char *why;

	FUZZ_CHECK(len >= (int)sizeof(h));
	FUZZ_CHECK(vh_header_decode(bytes, &h, &why) == 0);
	FUZZ_CHECK(vh_msg_decode(&read, VH_CHANNEL_MAIN, &h, bytes + sizeof(h), NULL, 0,
				 NULL, false, &why) == 0);
	FUZZ_CHECK(read.id == m->id && read.payload == m->payload);
	vh_msg_close(&read);
}

/* ---- The back-end ---- */

static void fill_answer(const struct vh_frontend *fe, struct fuzz_input *in,
			const struct vh_msg *request, struct vh_msg *m)
{
	switch (m->payload) {
	case VH_PAYLOAD_STATE:
		m->state.index = (uint32_t)PICK(in, request->state.index, 0, 1);
		m->state.num = (uint32_t)PICK(in, 0, 7, UINT16_MAX, 1 << 15, 0x10000);
		break;
	case VH_PAYLOAD_CONFIG:
		m->config.offset = (uint32_t)PICK(in, fe->off, 0, 1);
		m->config.size = PICK(in, fe->len, 0, 1) % (VH_MAX_CONFIG + 1);
		break;
	default:
		m->u64 = PICK(in, 0, 1, UINT64_MAX, VH_BIT(VH_F_PROTOCOL_FEATURES),
			      fe->wanted, VH_FRONTEND_FEATURES,
			      VH_FRONTEND_FEATURES & ~VH_BIT(VH_PF_REPLY_ACK),
			      VH_FRONTEND_FEATURES & ~VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS),
			      15);
	}
}

static void tell_a_lie(struct fuzz_input *in, enum lie lie, struct vh_msg *m)
{
	switch (lie) {
	case LIE_ID:
		m->id = fuzz_u8(in);
		break;
	case LIE_REQUEST:
		m->is_reply = false;
		break;
	case LIE_CHANNEL:
		m->channel = VH_CHANNEL_BACKEND;
		break;
	case LIE_PAYLOAD:
		m->payload = (enum vh_payload)(fuzz_u8(in) % VH_PAYLOAD_COUNT);
		break;
	case LIE_EMPTY:
		m->empty = true;
		break;
	default:
		break;
	}
}

static int answer(struct vh_frontend *fe, struct fuzz_input *in,
		  const struct vh_msg *request)
{
	static struct vh_msg m;
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, request->id);
	const uint8_t lie = fuzz_u8(in);
	const char *why = NULL;
	int err;

	vh_msg_init_reply(&m, request, rule->reply);
	fill_answer(fe, in, request, &m);
	tell_a_lie(in, lie % LIE_COUNT, &m);
	err = vh_frontend_reply(fe, &m, &why);
	FUZZ_CHECK(err == 0 || err == -EREMOTEIO || err == -EPROTO);
	FUZZ_CHECK((err != 0) == (why != NULL));
	FUZZ_CHECK(!err || fe->goal == VH_GOAL_NONE);
	FUZZ_CHECK(!fe->request);
	return err;
}

/* ---- The shell ---- */

static int exchange(struct vh_frontend *fe, struct fuzz_input *in, struct vh_msg *m)
{
	struct vh_expect expect;

	check_request(m);
	if (!vh_frontend_waits(fe, &expect)) {
		FUZZ_CHECK(!m->need_reply);
		return 0;
	}
	FUZZ_CHECK(expect.id == m->id && expect.acked == m->need_reply);
	return answer(fe, in, m);
}

/* A goal is reached, or given up, in so many steps. */
static int pursue(struct vh_frontend *fe, struct fuzz_input *in, enum vh_goal goal)
{
	static struct vh_msg m;
	unsigned n = 16 + 9 * VH_MAX_VRINGS + 2 * VH_MAX_SLOTS;
	int err = 0;

	vh_frontend_pursue(fe, goal);
	while (!err && vh_frontend_next(fe, &m)) {
		FUZZ_CHECK(n--);
		err = exchange(fe, in, &m);
		check_machine(fe);
	}
	FUZZ_CHECK(fe->goal == VH_GOAL_NONE);
	return err;
}

static void ask(struct vh_frontend *fe, struct fuzz_input *in)
{
	static const uint8_t ids[] = {VH_MSG_GET_CONFIG,   VH_MSG_SET_CONFIG,
				      VH_MSG_RESET_DEVICE, VH_MSG_SEND_RARP,
				      VH_MSG_SET_STATUS,   VH_MSG_NET_SET_MTU,
				      VH_MSG_GET_QUEUE_NUM};
	static struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, ids[fuzz_u8(in) % sizeof(ids)]);
	if (m.payload == VH_PAYLOAD_CONFIG) {
		m.config.offset = fuzz_u8(in);
		m.config.size = fuzz_u8(in);
	}
	if (vh_frontend_ask(fe, &m) == 0)
		exchange(fe, in, &m);
}

static void want(struct vh_frontend *fe, struct fuzz_input *in)
{
	const struct vh_wire_region r = {.gpa = fuzz_u8(in) * 0x1000ull, .size = 0x1000};
	const int err = vh_frontend_want_region(fe, &r);

	FUZZ_CHECK(err == 0 || err == -ENOSPC);
}

static void reduce(struct vh_frontend *fe, struct fuzz_input *in)
{
	fe->features &= ~PICK(in, 0, VH_BIT(VIRTIO_F_VERSION_1), UINT64_MAX);
	pursue(fe, in, VH_GOAL_FEATURES);
}

static void unasked(struct vh_frontend *fe, struct fuzz_input *in)
{
	static struct vh_msg request;

	vh_msg_init(&request, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	FUZZ_CHECK(answer(fe, in, &request) == -EPROTO);
}

static void one_op(struct vh_frontend *fe, struct fuzz_input *in, uint8_t op)
{
	static const uint8_t goals[] = {[OP_MEMORY] = VH_GOAL_MEMORY,
					[OP_RUN] = VH_GOAL_RUNNING,
					[OP_STOP] = VH_GOAL_STOPPED,
					[OP_SETTLE] = VH_GOAL_SETTLED};

	switch (op) {
	case OP_WANT_REGION:
		return want(fe, in);
	case OP_DROP_REGION:
		return vh_frontend_drop_region(fe, fuzz_u8(in) * 0x1000ull);
	case OP_ASK:
		return ask(fe, in);
	case OP_ANSWER:
		return unasked(fe, in);
	case OP_REDUCE:
		return reduce(fe, in);
	case OP_IDLE:
		fe->vring[fuzz_u8(in) % VH_MAX_VRINGS].idle ^= true;
		return;
	default:
		pursue(fe, in, (enum vh_goal)goals[op]);
	}
}

/* Each connection begins from the start; without one nothing else is done. */
static bool is_connected(struct vh_frontend *fe, struct fuzz_input *in)
{
	const uint8_t how = fuzz_u8(in);
	uint64_t wanted = VH_BIT(VIRTIO_F_VERSION_1);

	if (how & SWITCH_PACKED)
		wanted |= VH_BIT(VIRTIO_F_RING_PACKED);
	if (how & SWITCH_ALL_FEATURES)
		wanted = UINT64_MAX;
	vh_frontend_init(fe, wanted, (uint64_t)fuzz_u8(in) << VIRTIO_F_VERSION_1);
	fe->n_vrings = how & SWITCH_MANY_VRINGS ? VH_MAX_VRINGS : 2;
	for (unsigned i = 0; i < fe->n_vrings; i++)
		fe->vring[i].num = 256;
	return pursue(fe, in, VH_GOAL_CONNECTED) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vh_frontend fe;
	struct fuzz_input in = {data, size};

	while (in.left && is_connected(&fe, &in)) {
		uint8_t op;

		while (in.left && (op = fuzz_u8(&in) % OP_COUNT) != OP_CONNECT) {
			one_op(&fe, &in, op);
			check_machine(&fe);
		}
	}
	return 0;
}
