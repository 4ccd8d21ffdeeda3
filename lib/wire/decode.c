/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes -> message, or a literal that says what is wrong with them.
 *
 * The payload is copied once and the copy is checked and used: where a message
 * comes through shared memory the sender can still write to the original.
 * Knows nothing of negotiation or state.  Pure; any thread.
 */
#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "wire/shape.h"

/* ---- Header ---- */

int vh_header_decode(const uint8_t bytes[sizeof(struct vh_wire_header)],
		     struct vh_wire_header *h, const char **why)
{
	const uint32_t known = VH_FLAG_VERSION_MASK | VH_FLAG_REPLY | VH_FLAG_NEED_REPLY;

	memcpy(h, bytes, sizeof(*h));
	*why = NULL;
	if ((h->flags & VH_FLAG_VERSION_MASK) != VH_FLAG_VERSION)
		*why = "a protocol version other than 1";
	else if (h->flags & ~known)
		*why = "reserved flags in a header";
	else if (h->size > VH_MAX_PAYLOAD)
		*why = "a payload larger than any message has";
	return *why ? -EPROTO : 0;
}

static const char *check_direction(const struct vh_wire_header *h,
				   const struct vh_expect *expect)
{
	if (!expect)
		return h->flags & VH_FLAG_REPLY ? "a reply where requests are served"
						: NULL;
	if (!(h->flags & VH_FLAG_REPLY))
		return "a request where only replies may come";
	if (expect->id == 0)
		return "a reply that nothing waits for";
	if (h->request != expect->id)
		return "a reply to another request";
	if (h->flags != (VH_FLAG_VERSION | VH_FLAG_REPLY))
		return "flags that a reply must not have";
	return NULL;
}

/* ---- Payload ---- */

/* The payload that a request of @size bytes has, where the table leaves a choice. */
static enum vh_payload request_payload(const struct vh_rule *rule, uint32_t size)
{
	if (rule->payload == VH_PAYLOAD_LOG_FD)
		return size ? VH_PAYLOAD_U64 : VH_PAYLOAD_NONE;
	/* Without LOG_SHMFD the base is an address of the front-end. */
	if (rule->payload == VH_PAYLOAD_LOG && size == 8)
		return VH_PAYLOAD_U64;
	return rule->payload;
}

static enum vh_payload reply_payload(const struct vh_msg *m, const struct vh_rule *rule,
				     const struct vh_expect *expect, uint32_t size)
{
	if (expect->acked)
		return VH_PAYLOAD_ACK;
	switch (rule->reply) {
	case VH_PAYLOAD_ACK:
		if (rule->payload == VH_PAYLOAD_MEM || m->id == VH_MSG_ADD_MEM_REG)
			return rule->payload;
		return VH_PAYLOAD_ACK;
	case VH_PAYLOAD_LOG: /* known back-ends answer in all three ways */
		if (size == 8)
			return VH_PAYLOAD_U64;
		return size ? VH_PAYLOAD_LOG : VH_PAYLOAD_NONE;
	case VH_PAYLOAD_SHARED: /* the fd is the answer */
		return size ? VH_PAYLOAD_SHARED : VH_PAYLOAD_NONE;
	default:
		return rule->reply;
	}
}

/* Reserved bits of a u64 depend on the message. */
static const char *check_u64(const struct vh_msg *m, const struct vh_rule *rule)
{
	uint64_t allowed = UINT64_MAX;

	if (m->payload == VH_PAYLOAD_VRING_FD)
		allowed = VH_VRING_INDEX_MASK | VH_VRING_NO_FD;
	else if (rule->payload == VH_PAYLOAD_LOG_FD)
		allowed = VH_VRING_NO_FD;
	else if (m->is_reply && m->payload == VH_PAYLOAD_U64 &&
		 rule->reply_fds == VH_FDS_SUCCESS)
		allowed = VH_RESULT_ERROR_MASK | VH_VRING_NO_FD;
	return m->u64 & ~allowed ? "reserved bits in a u64" : NULL;
}

static const char *check_mem(struct vh_msg *m, uint32_t size)
{
	const uint32_t n = m->mem.n;

	if (n > VH_MAX_TABLE_REGIONS)
		return "more regions than a memory table may have";
	/* Some send the whole table whatever its count. */
	if (size != offsetof(struct vh_wire_mem, region[n]) && size != sizeof(m->mem))
		return "a memory table whose size is not that of its regions";
	memset(&m->mem.region[n], 0,
	       (VH_MAX_TABLE_REGIONS - n) * sizeof(m->mem.region[0]));
	return NULL;
}

static const char *check_config(const struct vh_msg *m, uint32_t size)
{
	if (m->config.flags & ~VH_CONFIG_FLAGS)
		return "reserved flags of a config message";
	if (m->config.size != size - offsetof(struct vh_wire_config, data))
		return "a config message whose size is not that of its data";
	return NULL;
}

/* What is in the copy; its size is one of those that the payload may have. */
static const char *check_content(struct vh_msg *m, const struct vh_rule *rule,
				 uint32_t size)
{
	switch (m->payload) {
	case VH_PAYLOAD_U64:
	case VH_PAYLOAD_VRING_FD:
		return check_u64(m, rule);
	case VH_PAYLOAD_ADDR:
		return m->addr.flags & ~VH_VRING_F_LOG
			       ? "reserved flags of a vring address"
			       : NULL;
	case VH_PAYLOAD_MEM:
		return check_mem(m, size);
	case VH_PAYLOAD_IOTLB:
		return m->iotlb.perm & ~(VH_IOTLB_READ | VH_IOTLB_WRITE)
			       ? "reserved permissions of an IOTLB entry"
			       : NULL;
	case VH_PAYLOAD_CONFIG:
		return check_config(m, size);
	case VH_PAYLOAD_AREA:
		return m->area.index & ~(uint64_t)(VH_VRING_INDEX_MASK | VH_VRING_NO_FD)
			       ? "reserved bits in the index of a vring area"
			       : NULL;
	case VH_PAYLOAD_INFLIGHT:
		return size == sizeof(m->inflight) ||
				       size == offsetof(struct vh_wire_inflight, pad)
			       ? NULL
			       : "the wrong size for this message";
	case VH_PAYLOAD_MMAP:
		return m->mmap.flags & ~(uint64_t)VH_MMAP_WRITABLE
			       ? "reserved flags of a mapping"
			       : NULL;
	default:
		return NULL;
	}
}

static const char *decode_payload(struct vh_msg *m, const struct vh_rule *rule,
				  const uint8_t *bytes, uint32_t size)
{
	const struct vh_shape *shape = &vh_shapes[m->payload];

	if (m->is_reply && m->payload == VH_PAYLOAD_CONFIG && size == 0) {
		m->empty = true;
		return NULL;
	}
	if (size < shape->min || size > shape->max)
		return "the wrong size for this message";
	if (m->payload == VH_PAYLOAD_OPAQUE || size == 0)
		return NULL;
	memcpy(vh_msg_body(m), bytes, size);
	memset(vh_msg_body(m) + shape->pad_at, 0, shape->pad_len);
	return check_content(m, rule, size);
}

/* ---- fds ---- */

/* Own what comes; what does not fit is closed, for nobody else will. */
static const char *adopt_fds(struct vh_msg *m, const int *fds, unsigned n_fds)
{
	for (unsigned i = 0; i < n_fds; i++) {
		if (i < VH_MAX_FDS)
			m->fds[m->n_fds++] = fds[i];
		else
			close(fds[i]);
	}
	return n_fds > VH_MAX_FDS ? "more fds than any message has" : NULL;
}

/* Does the reply say that what was asked for is in its fd? */
static bool reply_promises_fd(const struct vh_msg *m)
{
	if (m->payload == VH_PAYLOAD_INFLIGHT)
		return m->inflight.size != 0;
	return !(m->u64 & (VH_RESULT_ERROR_MASK | VH_VRING_NO_FD));
}

static const char *check_fds(const struct vh_msg *m, enum vh_fd_rule rule)
{
	unsigned least = 0, most = 0;

	switch (rule) {
	case VH_FDS_0:
		break;
	case VH_FDS_1:
		least = most = 1;
		break;
	case VH_FDS_REGIONS:
		least = most = m->mem.n;
		break;
	case VH_FDS_NOFD_BIT: /* a SET_LOG_FD without payload has the bit clear, too */
		least = most = !(m->u64 & VH_VRING_NO_FD);
		break;
	case VH_FDS_LOG:
		most = m->payload == VH_PAYLOAD_LOG;
		break;
	case VH_FDS_OPTIONAL:
		most = 1;
		break;
	case VH_FDS_SUCCESS:
		least = most = reply_promises_fd(m);
		break;
	}
	if (m->n_fds < least)
		return "fewer fds than this message calls for";
	return m->n_fds > most ? "more fds than this message calls for" : NULL;
}

/* ---- All of it ---- */

static const char *decode(struct vh_msg *m, const struct vh_rule *rule,
			  const struct vh_wire_header *h, const uint8_t *payload,
			  const struct vh_expect *expect, bool carries_fds)
{
	const char *wrong = check_direction(h, expect);

	if (wrong)
		return wrong;
	if (!carries_fds && m->n_fds)
		return "fds on a connector that carries none";
	if (!rule)
		return m->is_reply ? "a reply to a message that nobody defined" : NULL;
	m->payload = m->is_reply ? reply_payload(m, rule, expect, h->size)
				 : request_payload(rule, h->size);
	wrong = decode_payload(m, rule, payload, h->size);
	if (wrong || !carries_fds)
		return wrong;
	return check_fds(m, m->is_reply ? rule->reply_fds : rule->fds);
}

int vh_msg_decode(struct vh_msg *m, enum vh_channel channel,
		  const struct vh_wire_header *h, const uint8_t *payload, const int *fds,
		  unsigned n_fds, const struct vh_expect *expect, bool carries_fds,
		  const char **why)
{
	vh_msg_init(m, channel, h->request);
	m->is_reply = h->flags & VH_FLAG_REPLY;
	m->need_reply = h->flags & VH_FLAG_NEED_REPLY;
	*why = adopt_fds(m, fds, n_fds);
	if (!*why)
		*why = decode(m, vh_rule_of(channel, h->request), h, payload, expect,
			      carries_fds);
	return *why ? -EPROTO : 0;
}
