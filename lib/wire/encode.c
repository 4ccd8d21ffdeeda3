/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Message -> bytes.  Every byte that goes out was written here or by the
 * caller's own fields: messages start as zeros, and padding is cleared last.
 * Pure; any thread.
 */
#include <errno.h>
#include <string.h>

#include "wire/shape.h"

void vh_msg_init(struct vh_msg *m, enum vh_channel channel, uint32_t id)
{
	const struct vh_rule *rule = vh_rule_of(channel, id);

	memset(m, 0, sizeof(*m));
	m->channel = channel;
	m->id = id;
	m->payload = rule ? rule->payload : VH_PAYLOAD_OPAQUE;
	if (m->payload == VH_PAYLOAD_LOG_FD)
		m->payload = VH_PAYLOAD_NONE;
	for (unsigned i = 0; i < VH_MAX_FDS; i++)
		m->fds[i] = -1;
}

void vh_msg_init_reply(struct vh_msg *m, const struct vh_msg *request,
		       enum vh_payload payload)
{
	vh_msg_init(m, request->channel, request->id);
	m->is_reply = true;
	m->payload = payload;
}

/* Bytes of @m's payload, or -errno. */
static int payload_len(const struct vh_msg *m)
{
	if (m->empty)
		return 0;
	switch (m->payload) {
	case VH_PAYLOAD_MEM:
		if (m->mem.n > VH_MAX_TABLE_REGIONS)
			return -EMSGSIZE;
		return offsetof(struct vh_wire_mem, region[m->mem.n]);
	case VH_PAYLOAD_CONFIG:
		if (m->config.size > VH_MAX_CONFIG)
			return -EMSGSIZE;
		return offsetof(struct vh_wire_config, data) + m->config.size;
	case VH_PAYLOAD_OPAQUE: /* its content was thrown away */
	case VH_PAYLOAD_LOG_FD: /* no message has it           */
		return -EINVAL;
	default:
		return m->payload < VH_PAYLOAD_COUNT ? vh_shapes[m->payload].max
						     : -EINVAL;
	}
}

static uint32_t header_flags(const struct vh_msg *m)
{
	if (m->is_reply)
		return VH_FLAG_VERSION | VH_FLAG_REPLY;
	return VH_FLAG_VERSION | (m->need_reply ? VH_FLAG_NEED_REPLY : 0);
}

int vh_msg_encode(const struct vh_msg *m, uint8_t *buf, size_t size)
{
	const int len = payload_len(m);

	if (len < 0)
		return len;
	const struct vh_wire_header h = {
		.request = m->id, .flags = header_flags(m), .size = len};

	if (size < sizeof(h) + len)
		return -EMSGSIZE;
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), (const uint8_t *)m + offsetof(struct vh_msg, u64), len);
	if (len > 0)
		memset(buf + sizeof(h) + vh_shapes[m->payload].pad_at, 0,
		       vh_shapes[m->payload].pad_len);
	return sizeof(h) + len;
}
