/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end machine: the orders of messages that front-ends in the field use.
 * None of them may be refused anything.
 */
#include "backend_rig.h"

struct order {
	uint32_t id;
	uint32_t index;
	uint64_t value; /* u64, state.num; of regions and addresses: their base */
};

static void fill(struct vh_msg *m, const struct order *o)
{
	switch (m->payload) {
	case VH_PAYLOAD_U64:
		m->u64 = o->value;
		break;
	case VH_PAYLOAD_VRING_FD:
		m->u64 = o->index;
		break;
	case VH_PAYLOAD_STATE:
		m->state = (struct vh_wire_state){o->index, o->value};
		break;
	case VH_PAYLOAD_ADDR:
		m->addr = ring_addr(o->index, UVA_A);
		m->addr.flags = o->value;
		break;
	case VH_PAYLOAD_MEM:
		m->mem.n = o->value;
		m->mem.region[0] = region_a();
		m->mem.region[1] = region_b();
		break;
	case VH_PAYLOAD_MEM_REG:
		m->mem_reg.region = o->value ? region_b() : region_a();
		break;
	case VH_PAYLOAD_LOG:
		m->log.size = 0x1000;
		break;
	case VH_PAYLOAD_CONFIG:
		m->config.size = 60;
		break;
	default:
		break;
	}
}

static void play(struct rig *r, const struct order *o, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, o[i].id);

		fill(rig_msg(r, o[i].id), &o[i]);
		rig_send(r);
		assert_null(r->fx.warn);
		go_on(r);
		assert_int_equal(r->fx.reply, r->ask || rule->reply != VH_PAYLOAD_ACK);
		if (rule->reply == VH_PAYLOAD_ACK && r->fx.reply)
			assert_int_equal(r->fx.reply_u64, 0);
	}
}

#define PLAY(r, order) play((r), (order), sizeof(order) / sizeof((order)[0]))

/* What QEMU sends to start the two rings of a pair. */
#define QEMU_RING(q)                                                          \
	{VH_MSG_SET_VRING_NUM, q, 256}, {VH_MSG_SET_VRING_BASE, q, 0},        \
		{VH_MSG_SET_VRING_ADDR, q, 0}, {VH_MSG_SET_VRING_KICK, q, 0}, \
	{                                                                     \
		VH_MSG_SET_VRING_CALL, q, 0                                   \
	}

static const struct order qemu_connects[] = {
	{VH_MSG_GET_FEATURES},
	{VH_MSG_GET_PROTOCOL_FEATURES},
	{VH_MSG_SET_PROTOCOL_FEATURES, 0, PROTOCOL_OFFERED},
	{VH_MSG_GET_QUEUE_NUM},
	{VH_MSG_GET_MAX_MEM_SLOTS},
	{VH_MSG_SET_BACKEND_REQ_FD},
	{VH_MSG_SET_OWNER},
	{VH_MSG_GET_FEATURES},
	{VH_MSG_SET_VRING_CALL, 0},
	{VH_MSG_SET_VRING_ERR, 0},
	{VH_MSG_SET_VRING_CALL, 1},
	{VH_MSG_SET_VRING_ERR, 1},
};

static void qemu_connect(struct rig *r)
{
	rig_init(r);
	PLAY(r, qemu_connects);
}

/* Two pairs: what is once per device comes once, features come for each pair. */
static void qemu_starts_two_queue_pairs(void **state)
{
	static const struct order second_pair[] = {
		{VH_MSG_GET_FEATURES},
		{VH_MSG_GET_PROTOCOL_FEATURES},
		{VH_MSG_SET_PROTOCOL_FEATURES, 0, PROTOCOL_OFFERED},
		{VH_MSG_GET_QUEUE_NUM},
		{VH_MSG_SET_VRING_CALL, 2},
		{VH_MSG_SET_VRING_CALL, 3},
	};
	static const struct order start[] = {
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		{VH_MSG_SET_STATUS, 0, 0xb},
		{VH_MSG_SET_MEM_TABLE, 0, 2},
		QEMU_RING(0),
		QEMU_RING(1),
		{VH_MSG_SET_VRING_ENABLE, 0, 1},
		{VH_MSG_SET_VRING_ENABLE, 1, 1},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		QEMU_RING(2),
		QEMU_RING(3),
		{VH_MSG_SET_VRING_ENABLE, 2, 1},
		{VH_MSG_SET_VRING_ENABLE, 3, 1},
		{VH_MSG_SET_STATUS, 0, 0xf},
	};
	struct rig r;

	qemu_connect(&r);
	PLAY(&r, second_pair);
	PLAY(&r, start);
	for (unsigned q = 0; q < 4; q++)
		assert_true(vh_backend_runs(&r.b, q) && r.b.vring[q].enabled);
}

static const struct order qemu_starts_with_slots[] = {
	{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
	{VH_MSG_ADD_MEM_REG, 0, 0},
	{VH_MSG_ADD_MEM_REG, 0, 1},
	QEMU_RING(0),
	QEMU_RING(1),
	{VH_MSG_SET_VRING_ENABLE, 0, 1},
	{VH_MSG_SET_VRING_ENABLE, 1, 1},
};

/* The front-end waits for an ack of everything that has one. */
static void qemu_migrates_and_stops(void **state)
{
	static const struct order migration[] = {
		{VH_MSG_SET_LOG_BASE},
		{VH_MSG_SET_LOG_FD},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1 | LOG_ALL},
		{VH_MSG_SET_VRING_ADDR, 0, VH_VRING_F_LOG},
		{VH_MSG_SET_VRING_ADDR, 1, VH_VRING_F_LOG},
		{VH_MSG_SET_LOG_BASE},
		{VH_MSG_SET_VRING_ENABLE, 0, 0},
		{VH_MSG_SET_VRING_ENABLE, 1, 0},
		{VH_MSG_GET_VRING_BASE, 0},
		{VH_MSG_GET_VRING_BASE, 1},
		{VH_MSG_RESET_DEVICE},
	};
	struct rig r;

	qemu_connect(&r);
	r.ask = true;
	PLAY(&r, qemu_starts_with_slots);
	assert_true(vh_backend_runs(&r.b, 1));
	PLAY(&r, migration);
	assert_true(r.fx.reset_device);
}

static void qemu_starts_again_after_a_reset(void **state)
{
	static const struct order again[] = {
		{VH_MSG_SET_STATUS, 0, 0},
		{VH_MSG_SET_STATUS, 0, 3},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		QEMU_RING(0),
		QEMU_RING(1),
		{VH_MSG_SET_VRING_ENABLE, 0, 1},
	};
	struct rig r;

	qemu_connect(&r);
	PLAY(&r, qemu_starts_with_slots);
	PLAY(&r, again);
	assert_true(vh_backend_runs(&r.b, 0) && vh_backend_runs(&r.b, 1));
	assert_true(r.b.vring[0].enabled);
	assert_false(r.b.vring[1].enabled);
}

/* It removes and re-adds a region that changed, with rings in it. */
static void qemu_hotplugs_memory_under_running_rings(void **state)
{
	static const struct order plug[] = {
		{VH_MSG_REM_MEM_REG, 0, 1},
		{VH_MSG_ADD_MEM_REG, 0, 1},
		{VH_MSG_REM_MEM_REG, 0, 0},
		{VH_MSG_ADD_MEM_REG, 0, 0},
	};
	struct rig r;

	qemu_connect(&r);
	PLAY(&r, qemu_starts_with_slots);
	r.ask = true;
	PLAY(&r, plug);
	assert_true(vh_backend_runs(&r.b, 0) && vh_backend_runs(&r.b, 1));
}

static void a_front_end_without_bit_30_starts_a_ring(void **state)
{
	static const struct order order[] = {
		{VH_MSG_GET_FEATURES},
		{VH_MSG_GET_PROTOCOL_FEATURES},
		{VH_MSG_SET_PROTOCOL_FEATURES, 0, VH_BIT(VH_PF_MQ)},
		{VH_MSG_SET_OWNER},
		{VH_MSG_SET_VRING_CALL, 0},
		{VH_MSG_SET_VRING_ENABLE, 0, 1},
		{VH_MSG_SET_FEATURES, 0, VERSION_1},
		{VH_MSG_SET_MEM_TABLE, 0, 1},
		QEMU_RING(0),
		{VH_MSG_GET_VRING_BASE, 0},
		{VH_MSG_RESET_OWNER},
		QEMU_RING(0),
	};
	struct rig r;

	rig_init(&r);
	PLAY(&r, order);
	assert_true(vh_backend_runs(&r.b, 0) && r.b.vring[0].enabled);
}

static void dpdk_virtio_user_starts_a_pair(void **state)
{
	static const struct order order[] = {
		{VH_MSG_SET_OWNER},
		{VH_MSG_GET_FEATURES},
		{VH_MSG_GET_PROTOCOL_FEATURES},
		{VH_MSG_SET_PROTOCOL_FEATURES, 0,
		 VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_REPLY_ACK) | VH_BIT(VH_PF_STATUS)},
		{VH_MSG_GET_QUEUE_NUM},
		{VH_MSG_SET_VRING_CALL, 0},
		{VH_MSG_SET_VRING_CALL, 1},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		{VH_MSG_SET_MEM_TABLE, 0, 2},
		{VH_MSG_SET_VRING_NUM, 0, 256},
		{VH_MSG_SET_VRING_BASE, 0, 0},
		{VH_MSG_SET_VRING_ADDR, 0, 0},
		{VH_MSG_SET_VRING_KICK, 0},
		{VH_MSG_SET_VRING_NUM, 1, 256},
		{VH_MSG_SET_VRING_BASE, 1, 0},
		{VH_MSG_SET_VRING_ADDR, 1, 0},
		{VH_MSG_SET_VRING_KICK, 1},
		{VH_MSG_SET_VRING_ENABLE, 0, 1},
		{VH_MSG_SET_VRING_ENABLE, 1, 1},
		{VH_MSG_SET_STATUS, 0, 0xf},
		{VH_MSG_SET_VRING_ENABLE, 0, 0},
		{VH_MSG_GET_VRING_BASE, 0},
		{VH_MSG_GET_VRING_BASE, 1},
		{VH_MSG_SET_STATUS, 0, 0},
	};
	struct rig r;

	rig_init(&r);
	PLAY(&r, order);
	assert_false(r.b.vring[0].started);
}

static void crosvm_starts_a_disk(void **state)
{
	static const struct order order[] = {
		{VH_MSG_SET_OWNER},
		{VH_MSG_GET_FEATURES},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		{VH_MSG_GET_PROTOCOL_FEATURES},
		{VH_MSG_SET_PROTOCOL_FEATURES, 0,
		 VH_BIT(VH_PF_CONFIG) | VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_BACKEND_REQ) |
			 VH_BIT(VH_PF_REPLY_ACK)},
		{VH_MSG_SET_BACKEND_REQ_FD},
		{VH_MSG_GET_QUEUE_NUM},
		{VH_MSG_GET_CONFIG},
		{VH_MSG_SET_FEATURES, 0, BIT30 | VERSION_1},
		{VH_MSG_SET_MEM_TABLE, 0, 1},
		{VH_MSG_SET_VRING_NUM, 0, 256},
		{VH_MSG_SET_VRING_ADDR, 0, 0},
		{VH_MSG_SET_VRING_BASE, 0, 0},
		{VH_MSG_SET_VRING_CALL, 0},
		{VH_MSG_SET_VRING_KICK, 0},
		{VH_MSG_SET_VRING_ENABLE, 0, 1},
	};
	struct rig r;

	rig_init(&r);
	PLAY(&r, order);
	assert_true(vh_backend_runs(&r.b, 0) && r.b.vring[0].enabled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qemu_starts_two_queue_pairs),
		cmocka_unit_test(qemu_migrates_and_stops),
		cmocka_unit_test(qemu_starts_again_after_a_reset),
		cmocka_unit_test(qemu_hotplugs_memory_under_running_rings),
		cmocka_unit_test(a_front_end_without_bit_30_starts_a_ring),
		cmocka_unit_test(dpdk_virtio_user_starts_a_pair),
		cmocka_unit_test(crosvm_starts_a_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
