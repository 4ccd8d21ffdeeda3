/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes <-> typed, valid message.  Pure: no socket, no state of a connection.
 *
 * What decode lets through has a known number, the size its payload calls for,
 * no reserved bit, and (where the connector carries fds) as many fds as it
 * calls for.  What depends on negotiation or state is for the machines (proto).
 */
#ifndef VH_WIRE_MSG_H
#define VH_WIRE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spec/vhost_user.h"

/* Which number space, that is, which channel. */
enum vh_channel {
	VH_CHANNEL_MAIN,    /* requests of the front-end */
	VH_CHANNEL_BACKEND, /* requests of the back-end  */
};

/* Message numbers: VH_MSG_GET_FEATURES = 1, VH_MSG_BACKEND_CONFIG_CHANGE_MSG = 2, ... */
enum vh_msg_id {
#define MSG(id, name, ...)	   VH_MSG_##name = id,
#define BACKEND_MSG(id, name, ...) VH_MSG_##name = id,
#include "spec/messages.def"
};

enum vh_payload {
	VH_PAYLOAD_NONE,
	VH_PAYLOAD_U64,
	VH_PAYLOAD_STATE,
	VH_PAYLOAD_ADDR,
	VH_PAYLOAD_MEM,
	VH_PAYLOAD_MEM_REG,
	VH_PAYLOAD_LOG,
	VH_PAYLOAD_IOTLB,
	VH_PAYLOAD_CONFIG,
	VH_PAYLOAD_AREA,
	VH_PAYLOAD_INFLIGHT,
	VH_PAYLOAD_VRING_FD,
	VH_PAYLOAD_SHARED,
	VH_PAYLOAD_XFER,
	VH_PAYLOAD_MMAP,
	VH_PAYLOAD_SHMEM,
	VH_PAYLOAD_OPAQUE,
	VH_PAYLOAD_ACK,	   /* of replies: a u64, only when it was asked for           */
	VH_PAYLOAD_LOG_FD, /* of rules only: a message has NONE, or U64 (the no-fd bit) */
	VH_PAYLOAD_COUNT
};

enum vh_fd_rule {
	VH_FDS_0,
	VH_FDS_1,
	VH_FDS_REGIONS,
	VH_FDS_NOFD_BIT,
	VH_FDS_LOG,
	VH_FDS_OPTIONAL,
	VH_FDS_SUCCESS, /* of replies: one, unless the reply says that it failed */
};
enum vh_earliest {
	VH_EARLIEST_CONNECTED,
	VH_EARLIEST_NEGOTIATED,
	VH_EARLIEST_CONFIGURED
};
enum vh_running { VH_RUNNING_YES, VH_RUNNING_NO, VH_RUNNING_RING, VH_RUNNING_LOG };

/* What queues must have done before the answer. */
enum vh_settle {
	VH_SETTLE_NONE,
	VH_SETTLE_PAUSED,  /* every running queue has the new view                   */
	VH_SETTLE_RETIRED, /* that, and chains fetched under an older map are done   */
	VH_SETTLE_DRAINED, /* nothing is fetched or out, prefetched ones are back    */
};

/* One row of messages.def. */
struct vh_rule {
	const char *name;
	uint8_t payload;   /* enum vh_payload of the request                     */
	uint8_t fds;	   /* enum vh_fd_rule                                    */
	uint8_t gate;	   /* enum vh_protocol_feature, VH_PF_ALWAYS, VH_PF_ANY  */
	uint8_t reply;	   /* enum vh_payload, VH_PAYLOAD_ACK                    */
	uint8_t reply_fds; /* enum vh_fd_rule of the reply                     */
	uint8_t earliest, running, settle;
};

/* NULL for a number that nobody defined. */
const struct vh_rule *vh_rule_of(enum vh_channel channel, uint32_t id);
/* "SET_MEM_TABLE"; "unknown message" for a number that nobody defined; never NULL. */
const char *vh_msg_name(enum vh_channel channel, uint32_t id);

struct vh_msg {
	enum vh_channel channel;
	uint32_t id; /* enum vh_msg_id, or a number that nobody defined: then payload
			is VH_PAYLOAD_OPAQUE and its content was thrown away      */
	bool is_reply;
	bool need_reply;
	uint8_t payload; /* enum vh_payload: which member of the union is valid.  As the
			    table says, but SET_LOG_BASE also comes as U64, its reply
			    also as NONE and U64, and GET_SHARED_OBJECT's as NONE     */
	bool empty;	 /* a GET_CONFIG reply of no bytes: the peer refused           */
	unsigned n_fds;
	int fds[VH_MAX_FDS]; /* owned; vh_msg_take_fd() moves one out, -1 is none       */
	union {
		uint64_t u64; /* U64, ACK, VRING_FD */
		struct vh_wire_state state;
		struct vh_wire_addr addr;
		struct vh_wire_mem mem;
		struct vh_wire_mem_reg mem_reg;
		struct vh_wire_log log;
		struct vh_wire_iotlb iotlb;
		struct vh_wire_config config;
		struct vh_wire_area area;
		struct vh_wire_inflight inflight;
		struct vh_wire_xfer xfer;
		struct vh_wire_mmap mmap;
		struct vh_wire_shmem shmem;
		uint8_t shared[16];
	};
};

/* How a reply is to be read: what the reader asked for. */
struct vh_expect {
	uint32_t id; /* the request that waits for a reply; 0: none  */
	/*
	 * It is an ack (u64), not the table's reply payload.  False for a message
	 * that the table acks: SET_MEM_TABLE and ADD_MEM_REG come back as sent,
	 * with the back-end's addresses (postcopy); others are acks all the same.
	 */
	bool acked;
};

/*
 * The 12 bytes of a header.  0, or -EPROTO with *@why naming what is wrong (a
 * literal): version, reserved flags, size above VH_MAX_PAYLOAD.
 */
int vh_header_decode(const uint8_t bytes[sizeof(struct vh_wire_header)],
		     struct vh_wire_header *h, const char **why);

/*
 * @payload holds h->size bytes, which may change under us; @fds @n_fds
 * descriptors, which become @m's (on an error too: vh_msg_close() is the only way
 * to get rid of them).  @expect is NULL for a reader that serves the channel: then
 * only requests are taken.  Else the reader sends the requests, and only the reply
 * to @expect->id is taken; its flags are the version and REPLY, nothing else.
 * @carries_fds is false for connectors without fds, whose messages are taken to
 * hold implicit handles.  0, or -EPROTO and *@why.  Unknown numbers of requests
 * are not an error here.  Padding reads as zero, whatever the peer put there.
 *
 * Reserved bits are refused; numbers out of a range (a vring index, an IOTLB
 * type, SET_VRING_ENABLE 2) are kept in full, for the machines to refuse.
 */
int vh_msg_decode(struct vh_msg *m, enum vh_channel channel,
		  const struct vh_wire_header *h, const uint8_t *payload, const int *fds,
		  unsigned n_fds, const struct vh_expect *expect, bool carries_fds,
		  const char **why);

/*
 * Header and payload into @buf; the number of bytes.  -EMSGSIZE when @buf or the
 * payload's own count is out of bounds, -EINVAL for VH_PAYLOAD_OPAQUE.  Padding is
 * zero.  An @m->empty message has no payload.  fds stay with @m.
 */
int vh_msg_encode(const struct vh_msg *m, uint8_t *buf, size_t size);

/* A message of zeros: no fds, payload as the table says for a request of this number. */
void vh_msg_init(struct vh_msg *m, enum vh_channel channel, uint32_t id);

/* The reply to @request; @payload says which member of the union it carries. */
void vh_msg_init_reply(struct vh_msg *m, const struct vh_msg *request,
		       enum vh_payload payload);

/* The @i-th fd, which is the caller's from now on; -1 if there is none. */
int vh_msg_take_fd(struct vh_msg *m, unsigned i);

/* Close the fds that nobody took. */
void vh_msg_close(struct vh_msg *m);

/*
 * One line for the debug log, cut off where @buf ends: "SET_VRING_NUM index=0 num=256",
 * "reply GET_QUEUE_NUM 0x8", "message 99", each with " fds=1" and " need_reply" if so.
 */
void vh_msg_print(const struct vh_msg *m, char *buf, size_t size);

#endif
