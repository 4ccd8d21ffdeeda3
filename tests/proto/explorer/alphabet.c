/* SPDX-License-Identifier: BSD-3-Clause */
/* What can happen to the machine, in few enough variants. */
#include "explorer.h"

#include <string.h>

#define BOTH   (WORLD_RINGS | WORLD_DEVICE | WORLD_ALL)
#define RINGS  (WORLD_RINGS | WORLD_ALL)
#define DEVICE (WORLD_DEVICE | WORLD_ALL)

#define BIT30	VH_BIT(VH_F_PROTOCOL_FEATURES)
#define LOG_ALL VH_BIT(VH_F_LOG_ALL)

#define MESSAGE(w, text, msg, i, v)                                                   \
	{                                                                             \
		.name = text, .worlds = w, .type = VH_EV_MESSAGE, .id = VH_MSG_##msg, \
		.index = i, .value = v                                                \
	}
#define OTHER(w, text, ev, ...)                                            \
	{                                                                  \
		.name = text, .worlds = w, .type = VH_EV_##ev, __VA_ARGS__ \
	}

const struct letter letters[] = {
	/* Negotiation. */
	MESSAGE(BOTH, "protocol features", SET_PROTOCOL_FEATURES, 0, UINT64_MAX),
	MESSAGE(DEVICE, "no protocol features", SET_PROTOCOL_FEATURES, 0, 0),
	MESSAGE(DEVICE, "features without bit 30", SET_FEATURES, 0, 0),
	MESSAGE(BOTH, "features with bit 30", SET_FEATURES, 0, BIT30),
	MESSAGE(BOTH, "features with the log", SET_FEATURES, 0, BIT30 | LOG_ALL),
	MESSAGE(DEVICE, "features not offered", SET_FEATURES, 0, VH_BIT(63)),
	MESSAGE(BOTH, "get features", GET_FEATURES, 0, 0),
	MESSAGE(DEVICE, "set owner", SET_OWNER, 0, 0),
	MESSAGE(DEVICE, "get inflight fd", GET_INFLIGHT_FD, 0, 256),
	MESSAGE(DEVICE, "inflight fd", SET_INFLIGHT_FD, 0, 256),
	MESSAGE(DEVICE, "inflight fd for smaller rings", SET_INFLIGHT_FD, 0, 128),
	/* Memory. */
	MESSAGE(BOTH, "memory A", SET_MEM_TABLE, 0, 1),
	MESSAGE(RINGS, "memory A and B", SET_MEM_TABLE, 0, 3),
	MESSAGE(BOTH, "no memory", SET_MEM_TABLE, 0, 0),
	MESSAGE(RINGS, "add A", ADD_MEM_REG, 0, 1),
	MESSAGE(RINGS, "add B", ADD_MEM_REG, 0, 2),
	MESSAGE(RINGS, "remove A", REM_MEM_REG, 0, 1),
	MESSAGE(DEVICE, "log base", SET_LOG_BASE, 0, 0),
	/* Ring 0 lies in A. */
	MESSAGE(BOTH, "num 0", SET_VRING_NUM, 0, 256),
	MESSAGE(RINGS, "bad num 0", SET_VRING_NUM, 0, 3),
	MESSAGE(BOTH, "addr 0", SET_VRING_ADDR, 0, 0),
	MESSAGE(RINGS, "addr 0 with the log", SET_VRING_ADDR, 0, VH_VRING_F_LOG),
	MESSAGE(RINGS, "base 0", SET_VRING_BASE, 0, 7),
	MESSAGE(BOTH, "kick 0", SET_VRING_KICK, 0, 0),
	MESSAGE(BOTH, "call 0", SET_VRING_CALL, 0, 0),
	MESSAGE(BOTH, "enable 0", SET_VRING_ENABLE, 0, 1),
	MESSAGE(RINGS, "disable 0", SET_VRING_ENABLE, 0, 0),
	MESSAGE(BOTH, "get base 0", GET_VRING_BASE, 0, 0),
	/* Ring 1 lies in B, or in A where there is no B. */
	MESSAGE(RINGS, "num 1", SET_VRING_NUM, 1, 256),
	MESSAGE(RINGS, "addr 1", SET_VRING_ADDR, 1, 0),
	MESSAGE(RINGS, "kick 1", SET_VRING_KICK, 1, 0),
	MESSAGE(RINGS, "get base 1", GET_VRING_BASE, 1, 0),
	MESSAGE(RINGS, "get base 2", GET_VRING_BASE, 2, 0),
	/* The device. */
	MESSAGE(BOTH, "reset", RESET_DEVICE, 0, 0),
	MESSAGE(DEVICE, "status 0", SET_STATUS, 0, 0),
	MESSAGE(DEVICE, "status 15", SET_STATUS, 0, 15),
	MESSAGE(DEVICE, "channel", SET_BACKEND_REQ_FD, 0, 0),
	MESSAGE(DEVICE, "get config", GET_CONFIG, 0, 0),
	/* The shell. */
	OTHER(BOTH, "done", DONE, .result = 0),
	OTHER(BOTH, "done, another file", DONE, .result = 1),
	OTHER(BOTH, "failed", DONE, .result = -12),
	OTHER(BOTH, "settled 0", SETTLED, .index = 0, .value = 7),
	OTHER(BOTH, "settled 1", SETTLED, .index = 1),
	OTHER(BOTH, "settled 0, stale", SETTLED, .index = 0, .stale = true),
	OTHER(BOTH, "settled 1, stale", SETTLED, .index = 1, .stale = true),
	OTHER(BOTH, "broken 0", BROKEN, .index = 0),
	OTHER(RINGS, "broken 1", BROKEN, .index = 1),
	OTHER(DEVICE, "config changed", CONFIG_CHANGED),
	OTHER(BOTH, "gone", GONE),
};

const unsigned n_letters = sizeof(letters) / sizeof(letters[0]);

static const struct vh_wire_region region[] = {
	{0, 0x100000, 0x10000000, 0},
	{0x100000, 0x100000, 0x20000000, 0x100000},
};

static void build_table(struct vh_wire_mem *mem, uint64_t which)
{
	for (unsigned i = 0; i < 2; i++)
		if (which >> i & 1)
			mem->region[mem->n++] = region[i];
}

static void build_addr(struct vh_wire_addr *a, const struct letter *l)
{
	const uint64_t at = region[l->index].uva;

	*a = (struct vh_wire_addr){.index = l->index,
				   .flags = l->value,
				   .desc = at,
				   .avail = at + 0x10000,
				   .used = at + 0x20000,
				   .log = l->value ? 0x1000 : 0};
}

static void build_u64(struct vh_msg *m, const struct letter *l,
		      const struct vh_backend *b)
{
	m->u64 = l->value;
	if (m->id == VH_MSG_SET_PROTOCOL_FEATURES)
		m->u64 &= b->offer.protocol_features;
}

static void build(const struct letter *l, const struct vh_backend *b, struct vh_msg *m)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, l->id);

	m->channel = VH_CHANNEL_MAIN;
	m->id = l->id;
	m->is_reply = false;
	m->need_reply = true; /* matters only where REPLY_ACK was negotiated */
	m->payload = rule->payload;
	switch (rule->payload) {
	case VH_PAYLOAD_VRING_FD:
		m->u64 = l->index;
		break;
	case VH_PAYLOAD_STATE:
		m->state = (struct vh_wire_state){l->index, l->value};
		break;
	case VH_PAYLOAD_ADDR:
		build_addr(&m->addr, l);
		break;
	case VH_PAYLOAD_MEM:
		m->mem.n = 0;
		build_table(&m->mem, l->value);
		break;
	case VH_PAYLOAD_MEM_REG:
		m->mem_reg.region = region[l->value - 1];
		break;
	case VH_PAYLOAD_LOG:
		m->log = (struct vh_wire_log){.size = 0x1000};
		break;
	case VH_PAYLOAD_CONFIG:
		m->config.offset = m->config.flags = 0;
		m->config.size = 8;
		break;
	case VH_PAYLOAD_INFLIGHT:
		m->inflight = (struct vh_wire_inflight){
			.size = vh_inflight_stride((uint32_t)l->value),
			.n_queues = 1,
			.queue_size = (uint16_t)l->value};
		break;
	default:
		build_u64(m, l, b);
	}
}

void letter_event(const struct letter *l, const struct vh_backend *b, struct vh_msg *m,
		  struct vh_backend_event *ev)
{
	*ev = (struct vh_backend_event){.type = l->type,
					.msg = m,
					.result = l->result,
					.vring = l->index,
					.ticket = b->ticket - l->stale,
					.base = l->value};
	if (l->type == VH_EV_MESSAGE)
		build(l, b, m);
}
