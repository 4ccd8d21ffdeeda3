/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A scripted back-end for the front-end machine: it answers as its members say,
 * keeps what it was told, and spoils one answer when asked to.
 */
#ifndef TESTS_PROTO_FRONTEND_RIG_H
#define TESTS_PROTO_FRONTEND_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_config.h>

#include "proto/frontend.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define BIT30	  VH_BIT(VH_F_PROTOCOL_FEATURES)
#define VERSION_1 VH_BIT(VIRTIO_F_VERSION_1)
#define PACKED	  VH_BIT(VIRTIO_F_RING_PACKED)
#define ALL_PF	  (VH_BIT(VH_PF_COUNT) - 1)

/* What libvhost-user and DPDK's library offer, a disk and a network device. */
#define LIBVHOST_USER_PF                                                        \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_REPLY_ACK) | \
	 VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_CONFIG) |                     \
	 VH_BIT(VH_PF_BACKEND_SEND_FD) | VH_BIT(VH_PF_HOST_NOTIFIER) |          \
	 VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS))
#define DPDK_PF                                                                        \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_LOG_SHMFD) | VH_BIT(VH_PF_RARP) |             \
	 VH_BIT(VH_PF_REPLY_ACK) | VH_BIT(VH_PF_NET_MTU) | VH_BIT(VH_PF_BACKEND_REQ) | \
	 VH_BIT(VH_PF_CRYPTO_SESSION) | VH_BIT(VH_PF_BACKEND_SEND_FD) |                \
	 VH_BIT(VH_PF_HOST_NOTIFIER) | VH_BIT(VH_PF_STATUS))

#define TRACE 128

/* A back-end: what it offers, and how it spoils one of its answers. */
struct peer {
	uint64_t features, protocol_features, queue_num, slots;
	uint64_t status;
	uint32_t spoilt; /* the request whose answer is changed ... */
	void (*spoil)(struct vh_msg *reply);

	/* What it saw. */
	unsigned n;
	struct vh_msg seen[TRACE];
};

static const struct peer ours = {BIT30 | VERSION_1, ALL_PF, 4, VH_MAX_SLOTS};

static inline void answer_u64(struct peer *p, struct vh_msg *reply)
{
	switch (reply->id) {
	case VH_MSG_GET_FEATURES:
		reply->u64 = p->features;
		break;
	case VH_MSG_GET_PROTOCOL_FEATURES:
		reply->u64 = p->protocol_features;
		break;
	case VH_MSG_GET_QUEUE_NUM:
		reply->u64 = p->queue_num;
		break;
	case VH_MSG_GET_MAX_MEM_SLOTS:
		reply->u64 = p->slots;
		break;
	case VH_MSG_GET_STATUS:
		reply->u64 = p->status;
		break;
	}
}

static inline void answer(struct peer *p, const struct vh_msg *m, struct vh_msg *reply)
{
	vh_msg_init_reply(reply, m, vh_rule_of(VH_CHANNEL_MAIN, m->id)->reply);
	answer_u64(p, reply);
	if (m->id == VH_MSG_GET_VRING_BASE)
		reply->state = (struct vh_wire_state){m->state.index, 7};
	if (m->id == VH_MSG_GET_CONFIG)
		reply->config = m->config;
	if (m->id == p->spoilt)
		p->spoil(reply);
}

/* The peer gets @m; the result of its answer, 0 when it gives none. */
static inline int tell(struct vh_frontend *fe, struct peer *p, const struct vh_msg *m,
		       const char **why)
{
	struct vh_expect expect;
	struct vh_msg reply;

	assert_true(p->n < TRACE);
	p->seen[p->n++] = *m;
	if (m->id == VH_MSG_SET_STATUS)
		p->status = m->u64;
	if (!vh_frontend_waits(fe, &expect)) {
		assert_false(m->need_reply);
		return 0;
	}
	assert_int_equal(expect.id, m->id);
	assert_int_equal(expect.acked, m->need_reply);
	answer(p, m, &reply);
	return vh_frontend_reply(fe, &reply, why);
}

static inline int pursue(struct vh_frontend *fe, struct peer *p, enum vh_goal goal)
{
	const char *why = NULL;
	struct vh_msg m;
	int err = 0;

	p->n = 0;
	vh_frontend_pursue(fe, goal);
	while (!err && vh_frontend_next(fe, &m))
		err = tell(fe, p, &m, &why);
	assert_true(!err == !why);
	assert_int_equal(fe->goal, VH_GOAL_NONE);
	return err;
}

static inline void expect_seen(const struct peer *p, const uint32_t *ids, unsigned n)
{
	for (unsigned i = 0; i < n && i < p->n; i++)
		assert_int_equal(p->seen[i].id, ids[i]);
	assert_int_equal(p->n, n);
}

#define EXPECT_SEEN(p, ...)                               \
	expect_seen((p), (const uint32_t[]){__VA_ARGS__}, \
		    COUNT(((const uint32_t[]){__VA_ARGS__})))

static inline const struct vh_msg *seen(const struct peer *p, uint32_t id)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->seen[i].id == id)
			return &p->seen[i];
	}
	return NULL;
}

static inline void connect_to(struct vh_frontend *fe, struct peer *p)
{
	vh_frontend_init(fe, VERSION_1, 0);
	assert_int_equal(pursue(fe, p, VH_GOAL_CONNECTED), 0);
}

static const struct vh_wire_region ram = {0x100000, 0x10000, 0x7000000, 0};
static const struct vh_wire_region rings = {0x200000, 0x4000, 0x8000000, 0};

/* Connected, with both regions and two rings running. */
static inline void run_with(struct vh_frontend *fe, struct peer *p)
{
	connect_to(fe, p);
	assert_int_equal(vh_frontend_want_region(fe, &ram), 0);
	assert_int_equal(vh_frontend_want_region(fe, &rings), 0);
	assert_int_equal(pursue(fe, p, VH_GOAL_MEMORY), 0);
	fe->n_vrings = 2;
	for (unsigned i = 0; i < 2; i++) {
		fe->vring[i].num = 64;
		fe->vring[i].base = 3 + i;
		fe->vring[i].addr.desc = 0x8000000 + 0x1000 * i;
	}
	assert_int_equal(pursue(fe, p, VH_GOAL_RUNNING), 0);
}

#endif
