/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end machine on the bench: messages made by hand, the effects of the
 * last event, and the invariants looked at after every event.
 */
#ifndef TESTS_PROTO_BACKEND_RIG_H
#define TESTS_PROTO_BACKEND_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/backend.h"

#define BIT30	  VH_BIT(VH_F_PROTOCOL_FEATURES)
#define LOG_ALL	  VH_BIT(VH_F_LOG_ALL)
#define VERSION_1 VH_BIT(32)
#define OFFERED	  (BIT30 | LOG_ALL | VERSION_1 | VH_BIT(5))

#define PROTOCOL_OFFERED                                                               \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_RARP) |             \
	 VH_BIT(VH_PF_REPLY_ACK) | VH_BIT(VH_PF_NET_MTU) | VH_BIT(VH_PF_BACKEND_REQ) | \
	 VH_BIT(VH_PF_CONFIG) | VH_BIT(VH_PF_RESET_DEVICE) |                           \
	 VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) | VH_BIT(VH_PF_STATUS))

#define N_VRINGS 4
/* Each ring has this much room in guest memory; four of them fit into region A. */
#define RING_ROOM 0x10000ull
#define UVA_A	  0x7f0000000000ull
#define UVA_B	  0x7f8000000000ull

struct rig {
	struct vh_backend b;
	struct vh_effects fx; /* of the last event */
	struct vh_msg m;
	bool ask; /* set NEED_REPLY    */
};

static inline struct vh_wire_region region_a(void)
{
	return (struct vh_wire_region){0, 0x40000000, UVA_A, 0};
}

static inline struct vh_wire_region region_b(void)
{
	return (struct vh_wire_region){0x100000000, 0x40000000, UVA_B, 0x40000000};
}

static inline void rig_event(struct rig *r, struct vh_backend_event ev)
{
	const char *fault;

	vh_backend_step(&r->b, &ev, &r->fx);
	fault = vh_backend_check(&r->b);
	if (fault)
		fail_msg("%s", fault);
}

static inline void rig_init_offer(struct rig *r, struct vh_offer offer)
{
	memset(r, 0, sizeof(*r));
	vh_backend_init(&r->b, &offer);
}

static inline struct vh_offer rig_offer(void)
{
	return (struct vh_offer){.features = OFFERED,
				 .protocol_features = PROTOCOL_OFFERED,
				 .n_vrings = N_VRINGS,
				 .queue_num = N_VRINGS / 2};
}

static inline void rig_init(struct rig *r)
{
	rig_init_offer(r, rig_offer());
}

/* ---- Messages ---- */

static inline struct vh_msg *rig_msg(struct rig *r, uint32_t id)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);

	memset(&r->m, 0, sizeof(r->m));
	r->m.id = id;
	r->m.need_reply = r->ask;
	r->m.payload = rule ? rule->payload : VH_PAYLOAD_OPAQUE;
	return &r->m;
}

static inline void rig_send(struct rig *r)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_MESSAGE, .msg = &r->m});
}

static inline void send_none(struct rig *r, uint32_t id)
{
	rig_msg(r, id);
	rig_send(r);
}

static inline void send_u64(struct rig *r, uint32_t id, uint64_t v)
{
	rig_msg(r, id)->u64 = v;
	rig_send(r);
}

static inline void send_state(struct rig *r, uint32_t id, uint32_t index, uint32_t num)
{
	rig_msg(r, id)->state = (struct vh_wire_state){index, num};
	rig_send(r);
}

static inline struct vh_wire_addr ring_addr(unsigned q, uint64_t uva)
{
	const uint64_t at = uva + q * RING_ROOM;

	return (struct vh_wire_addr){
		.index = q, .desc = at, .avail = at + 0x4000, .used = at + 0x8000};
}

static inline void send_addr(struct rig *r, struct vh_wire_addr addr)
{
	rig_msg(r, VH_MSG_SET_VRING_ADDR)->addr = addr;
	rig_send(r);
}

static inline void send_table(struct rig *r, unsigned n,
			      const struct vh_wire_region *region)
{
	struct vh_msg *m = rig_msg(r, VH_MSG_SET_MEM_TABLE);

	m->mem.n = n;
	for (unsigned i = 0; i < n && i < VH_MAX_TABLE_REGIONS; i++)
		m->mem.region[i] = region[i];
	rig_send(r);
}

static inline void send_region(struct rig *r, uint32_t id, struct vh_wire_region region)
{
	rig_msg(r, id)->mem_reg.region = region;
	rig_send(r);
}

static inline void send_log(struct rig *r, uint64_t size, uint64_t offset)
{
	rig_msg(r, VH_MSG_SET_LOG_BASE)->log = (struct vh_wire_log){size, offset};
	rig_send(r);
}

static inline void send_config(struct rig *r, uint32_t id, uint32_t offset, uint32_t size)
{
	struct vh_msg *m = rig_msg(r, id);

	m->config.offset = offset;
	m->config.size = size;
	rig_send(r);
}

/* ---- The shell ---- */

static inline void done(struct rig *r, int result)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_DONE, .result = result});
}

static inline void settle_at(struct rig *r, unsigned q, uint32_t base)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_SETTLED,
					       .vring = q,
					       .ticket = r->b.ticket,
					       .base = base});
}

static inline void settle(struct rig *r, unsigned q)
{
	settle_at(r, q, 0);
}

static inline void broken(struct rig *r, unsigned q)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_BROKEN, .vring = q});
}

static inline void config_changed(struct rig *r)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_CONFIG_CHANGED});
}

static inline void gone(struct rig *r)
{
	rig_event(r, (struct vh_backend_event){.type = VH_EV_GONE});
}

/* Everything goes well until the machine is idle again. */
static inline void go_on(struct rig *r)
{
	for (unsigned i = 0; i <= VH_MAX_VRINGS; i++) {
		if (r->b.phase == VH_PHASE_ACTION)
			done(r, 0);
		else if (r->b.phase == VH_PHASE_VIEWS)
			settle(r, vh_queue_set_next(&r->b.waiting, 0));
		else
			break;
	}
	assert_int_equal(r->b.phase, VH_PHASE_IDLE);
	assert_true(r->fx.next);
}

/* ---- What tests begin with ---- */

static inline void negotiate_with(struct rig *r, uint64_t protocol_features)
{
	send_u64(r, VH_MSG_SET_PROTOCOL_FEATURES, protocol_features);
	send_u64(r, VH_MSG_SET_FEATURES, BIT30 | VERSION_1);
	go_on(r);
}

static inline void negotiate(struct rig *r)
{
	negotiate_with(r, PROTOCOL_OFFERED);
}

static inline void set_table(struct rig *r, unsigned n,
			     const struct vh_wire_region *region)
{
	send_table(r, n, region);
	go_on(r);
}

static inline void give_memory(struct rig *r)
{
	const struct vh_wire_region a = region_a();

	set_table(r, 1, &a);
}

static inline void place_ring(struct rig *r, unsigned q, uint64_t uva)
{
	send_state(r, VH_MSG_SET_VRING_NUM, q, 256);
	send_addr(r, ring_addr(q, uva));
}

static inline void kick_ring(struct rig *r, unsigned q)
{
	send_u64(r, VH_MSG_SET_VRING_KICK, q);
	go_on(r);
}

static inline void start_ring(struct rig *r, unsigned q)
{
	place_ring(r, q, UVA_A);
	kick_ring(r, q);
	assert_true(vh_backend_runs(&r->b, q));
}

/* Negotiated, with memory, rings 0 and 1 running. */
static inline void rig_init_running(struct rig *r)
{
	rig_init(r);
	negotiate(r);
	give_memory(r);
	start_ring(r, 0);
	start_ring(r, 1);
}

/* ---- What tests end with ---- */

static inline void expect_queues(const struct vh_queue_set *set, unsigned mask)
{
	for (unsigned q = 0; q < VH_MAX_VRINGS; q++)
		assert_int_equal(vh_queue_set_has(set, q), q < 32 && mask >> q & 1);
}

static inline void expect_views(const struct rig *r, unsigned mask, enum vh_settle level)
{
	assert_int_equal(r->b.phase, VH_PHASE_VIEWS);
	expect_queues(&r->fx.views, mask);
	assert_int_equal(r->fx.settle, level);
	assert_false(r->fx.reply);
	assert_false(r->fx.next);
	assert_false(r->fx.release);
}

static inline void expect_action(const struct rig *r, enum vh_action action)
{
	assert_int_equal(r->b.phase, VH_PHASE_ACTION);
	assert_int_equal(r->fx.action, action);
	assert_false(r->fx.reply);
	assert_false(r->fx.next);
}

static inline void expect_silence(const struct rig *r)
{
	static const struct vh_effects none;

	assert_memory_equal(&r->fx, &none, sizeof(none));
}

static inline void expect_u64(const struct rig *r, uint64_t v)
{
	assert_true(r->fx.reply);
	assert_true(r->fx.next);
	assert_false(r->fx.reply_empty);
	assert_int_equal(r->fx.reply_payload, VH_PAYLOAD_U64);
	assert_int_equal(r->fx.reply_u64, v);
}

static inline void expect_ack(const struct rig *r, uint64_t result)
{
	assert_true(r->fx.reply);
	assert_true(r->fx.next);
	assert_false(r->fx.close);
	assert_int_equal(r->fx.reply_payload, VH_PAYLOAD_ACK);
	assert_int_equal(r->fx.reply_u64, result);
}

/* Over, without a word to the front-end. */
static inline void expect_over(const struct rig *r)
{
	assert_int_equal(r->b.phase, VH_PHASE_IDLE);
	assert_true(r->fx.next);
	assert_false(r->fx.reply);
	assert_false(r->fx.close);
	assert_null(r->fx.warn);
}

static inline void expect_ignored(const struct rig *r)
{
	assert_int_equal(r->b.phase, VH_PHASE_IDLE);
	assert_non_null(r->fx.warn);
	assert_true(r->fx.next);
	assert_false(r->fx.reply);
	assert_false(r->fx.close);
}

static inline void expect_closed(const struct rig *r)
{
	assert_int_equal(r->b.phase, VH_PHASE_CLOSING);
	assert_non_null(r->fx.warn);
	assert_true(r->fx.close);
	assert_false(r->fx.next);
	assert_false(r->fx.reply);
	assert_int_equal(r->fx.action, VH_ACTION_NONE);
}

#endif
