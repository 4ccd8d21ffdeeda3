/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of the codec: what messages.def says, and the sizes of payloads.
 * Constant; any thread.
 */
#include <assert.h>

#include "wire/msg.h"
#include "wire/shape.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* messages.def writes payloads in lower case, since they are not features. */
enum {
	PAYLOAD_none = VH_PAYLOAD_NONE,
	PAYLOAD_u64 = VH_PAYLOAD_U64,
	PAYLOAD_state = VH_PAYLOAD_STATE,
	PAYLOAD_addr = VH_PAYLOAD_ADDR,
	PAYLOAD_mem = VH_PAYLOAD_MEM,
	PAYLOAD_mem_reg = VH_PAYLOAD_MEM_REG,
	PAYLOAD_log = VH_PAYLOAD_LOG,
	PAYLOAD_iotlb = VH_PAYLOAD_IOTLB,
	PAYLOAD_config = VH_PAYLOAD_CONFIG,
	PAYLOAD_area = VH_PAYLOAD_AREA,
	PAYLOAD_inflight = VH_PAYLOAD_INFLIGHT,
	PAYLOAD_vring_fd = VH_PAYLOAD_VRING_FD,
	PAYLOAD_shared = VH_PAYLOAD_SHARED,
	PAYLOAD_xfer = VH_PAYLOAD_XFER,
	PAYLOAD_mmap = VH_PAYLOAD_MMAP,
	PAYLOAD_shmem = VH_PAYLOAD_SHMEM,
	PAYLOAD_opaque = VH_PAYLOAD_OPAQUE,
	PAYLOAD_ack = VH_PAYLOAD_ACK,
	PAYLOAD_log_fd = VH_PAYLOAD_LOG_FD,
};

static const struct vh_rule main_rules[] = {
#define MSG(id, name_, payload_, fds_, gate_, reply_, reply_fds_, earliest_, running_, \
	    settle_)                                                                   \
	[id] = {.name = #name_,                                                        \
		.payload = PAYLOAD_##payload_,                                         \
		.fds = VH_FDS_##fds_,                                                  \
		.gate = VH_PF_##gate_,                                                 \
		.reply = PAYLOAD_##reply_,                                             \
		.reply_fds = VH_FDS_##reply_fds_,                                      \
		.earliest = VH_EARLIEST_##earliest_,                                   \
		.running = VH_RUNNING_##running_,                                      \
		.settle = VH_SETTLE_##settle_},
#include "spec/messages.def"
};

static const struct vh_rule backend_rules[] = {
#define MSG(...)
#define BACKEND_MSG(id, name_, payload_, fds_, gate_, reply_fds_) \
	[id] = {.name = #name_,                                   \
		.payload = PAYLOAD_##payload_,                    \
		.fds = VH_FDS_##fds_,                             \
		.gate = VH_PF_##gate_,                            \
		.reply = VH_PAYLOAD_ACK,                          \
		.reply_fds = VH_FDS_##reply_fds_,                 \
		.earliest = VH_EARLIEST_NEGOTIATED,               \
		.running = VH_RUNNING_YES,                        \
		.settle = VH_SETTLE_NONE},
#include "spec/messages.def"
};

/* The numbers that the specification has handed out; 0 is nobody's. */
static_assert(ARRAY_LEN(main_rules) == 1 + 45, "a row of messages.def is missing");
static_assert(ARRAY_LEN(backend_rules) == 1 + 10, "a row of messages.def is missing");

const struct vh_rule *vh_rule_of(enum vh_channel channel, uint32_t id)
{
	const struct vh_rule *rules = channel == VH_CHANNEL_MAIN ? main_rules
								 : backend_rules;
	const size_t n = channel == VH_CHANNEL_MAIN ? ARRAY_LEN(main_rules)
						    : ARRAY_LEN(backend_rules);

	return id < n && rules[id].name ? &rules[id] : NULL;
}

const char *vh_msg_name(enum vh_channel channel, uint32_t id)
{
	const struct vh_rule *rule = vh_rule_of(channel, id);

	return rule ? rule->name : "unknown message";
}

#define EXACTLY(n)                     \
	{                              \
		.min = (n), .max = (n) \
	}

const struct vh_shape vh_shapes[] = {
	[VH_PAYLOAD_NONE] = EXACTLY(0),
	[VH_PAYLOAD_U64] = EXACTLY(8),
	[VH_PAYLOAD_STATE] = EXACTLY(sizeof(struct vh_wire_state)),
	[VH_PAYLOAD_ADDR] = EXACTLY(sizeof(struct vh_wire_addr)),
	[VH_PAYLOAD_MEM] = {.min = offsetof(struct vh_wire_mem, region),
			    .max = sizeof(struct vh_wire_mem),
			    .pad_at = offsetof(struct vh_wire_mem, pad),
			    .pad_len = 4},
	[VH_PAYLOAD_MEM_REG] = {.min = sizeof(struct vh_wire_mem_reg),
				.max = sizeof(struct vh_wire_mem_reg),
				.pad_at = offsetof(struct vh_wire_mem_reg, pad),
				.pad_len = 8},
	[VH_PAYLOAD_LOG] = EXACTLY(sizeof(struct vh_wire_log)),
	[VH_PAYLOAD_IOTLB] = {.min = sizeof(struct vh_wire_iotlb),
			      .max = sizeof(struct vh_wire_iotlb),
			      .pad_at = offsetof(struct vh_wire_iotlb, pad),
			      .pad_len = 6},
	[VH_PAYLOAD_CONFIG] = {.min = offsetof(struct vh_wire_config, data),
			       .max = sizeof(struct vh_wire_config)},
	[VH_PAYLOAD_AREA] = EXACTLY(sizeof(struct vh_wire_area)),
	/* The padding at the end is not in the text; some leave it out. */
	[VH_PAYLOAD_INFLIGHT] = {.min = offsetof(struct vh_wire_inflight, pad),
				 .max = sizeof(struct vh_wire_inflight),
				 .pad_at = offsetof(struct vh_wire_inflight, pad),
				 .pad_len = 4},
	[VH_PAYLOAD_VRING_FD] = EXACTLY(8),
	[VH_PAYLOAD_SHARED] = EXACTLY(16),
	[VH_PAYLOAD_XFER] = EXACTLY(sizeof(struct vh_wire_xfer)),
	[VH_PAYLOAD_MMAP] = {.min = sizeof(struct vh_wire_mmap),
			     .max = sizeof(struct vh_wire_mmap),
			     .pad_at = offsetof(struct vh_wire_mmap, pad),
			     .pad_len = 7},
	[VH_PAYLOAD_SHMEM] = {.min = sizeof(struct vh_wire_shmem),
			      .max = sizeof(struct vh_wire_shmem),
			      .pad_at = offsetof(struct vh_wire_shmem, pad),
			      .pad_len = 4},
	[VH_PAYLOAD_OPAQUE] = {.min = 0, .max = VH_MAX_PAYLOAD},
	[VH_PAYLOAD_ACK] = EXACTLY(8),
	[VH_PAYLOAD_LOG_FD] = {.min = 0, .max = 8},
};

static_assert(ARRAY_LEN(vh_shapes) == VH_PAYLOAD_COUNT, "a payload has no shape");

/* What the specification says in bytes. */
static_assert(sizeof(struct vh_wire_header) == 12, "header");
static_assert(sizeof(struct vh_wire_state) == 8, "vring state");
static_assert(sizeof(struct vh_wire_addr) == 40, "vring address");
static_assert(sizeof(struct vh_wire_region) == 32, "memory region");
static_assert(sizeof(struct vh_wire_mem) == 8 + 8 * 32, "memory table");
static_assert(sizeof(struct vh_wire_mem_reg) == 40, "single memory region");
static_assert(sizeof(struct vh_wire_log) == 16, "log");
static_assert(sizeof(struct vh_wire_iotlb) == 32, "IOTLB");
static_assert(sizeof(struct vh_wire_config) == 12 + VH_MAX_CONFIG, "config space");
static_assert(sizeof(struct vh_wire_area) == 24, "vring area");
static_assert(sizeof(struct vh_wire_inflight) == 24, "inflight");
static_assert(sizeof(struct vh_wire_mmap) == 40, "mmap");
static_assert(sizeof(struct vh_wire_shmem) == 8 + 256 * 8, "sizes of shared memory");
static_assert(sizeof(struct vh_wire_xfer) == 8, "device state transfer");
static_assert(sizeof(struct vh_wire_config) <= VH_MAX_PAYLOAD, "the largest payload");
