/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers of the vhost-pci adapter, with drivers good and bad and no host behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "spec/vhost_user.h"
#include "spec/vvu.h"
#include "vvu/adapter_regs.h"

#define FEATURES                                                     \
	(VH_BIT(VH_ADAPTER_F_VERSION_1) | VH_BIT(VH_ADAPTER_F_LOG) | \
	 VH_BIT(VH_ADAPTER_F_BACKEND_REQ))

static const uint8_t uuid[16] = "0123456789abcdef";

static struct {
	struct vh_pci_function fn;
	struct vh_adapter_regs regs;
	unsigned n_reset, n_features, n_check, n_ready, n_unready, n_notify, n_doorbell;
	unsigned n_interrupt, last; /* queue, doorbell or vector */
	int check_result;
	bool deaf;
} d;

/* ---- The owner ---- */

static void on_reset(void *arg)
{
	d.n_reset++;
}

static void on_features(void *arg)
{
	d.n_features++;
}

static int on_check(void *arg)
{
	d.n_check++;
	return d.check_result;
}

static void on_ready(void *arg, bool ready)
{
	if (ready)
		d.n_ready++;
	else
		d.n_unready++;
}

static void on_notify(void *arg, unsigned q)
{
	d.n_notify++;
	d.last = q;
}

static void on_doorbell(void *arg, unsigned n)
{
	d.n_doorbell++;
	d.last = n;
}

static uint16_t on_wires(void *arg, unsigned vring)
{
	return vring == 3 ? VH_ADAPTER_VR_KICK | VH_ADAPTER_VR_CALL_POLLED : 0;
}

static bool on_interrupt(void *arg, uint16_t vector)
{
	assert_in_range(vector, 0, VH_ADAPTER_VECTORS - 1);
	d.n_interrupt += !d.deaf;
	d.last = vector;
	return !d.deaf;
}

static const struct vh_adapter_regs_ops ops = {
	.reset = on_reset,
	.features = on_features,
	.check = on_check,
	.ready = on_ready,
	.notify = on_notify,
	.doorbell = on_doorbell,
	.wires = on_wires,
	.interrupt = on_interrupt,
};

/* ---- The driver ---- */

static uint64_t get(uint64_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, at, &v, len), 0);
	return v;
}

static void put(uint64_t at, uint64_t v, size_t len)
{
	assert_int_equal(vh_pci_bar_write(&d.fn, VH_ADAPTER_BAR, at, &v, len), 0);
}

static uint32_t status(void)
{
	return (uint32_t)get(VH_ADAPTER_STATUS, 4);
}

static void accept_features(uint64_t features)
{
	put(VH_ADAPTER_DRV_FEATURES, features, 8);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
}

static void enable_banks(void)
{
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++) {
		const uint64_t bank = VH_ADAPTER_BANK(q), at = 0x100000000 + 0x10000 * q;

		put(bank + VH_ADAPTER_Q_SIZE, 64, 4);
		put(bank + VH_ADAPTER_Q_DESC, at, 8);
		put(bank + VH_ADAPTER_Q_AVAIL, at + 0x1000, 8);
		put(bank + VH_ADAPTER_Q_USED, (uint32_t)at + 0x2000, 4);
		put(bank + VH_ADAPTER_Q_USED + 4, at >> 32, 4);
		put(bank + VH_ADAPTER_Q_VEC, 1 + q, 2);
		put(bank + VH_ADAPTER_Q_ENABLE, 1, 4);
	}
}

static void say_ready(void)
{
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK | VH_ADAPTER_CONTROL_READY,
	    4);
}

static int setup(void **state)
{
	const struct vh_adapter_regs_params p = {.features = FEATURES,
						 .proto_mask = 0x123456789a,
						 .window_size = 1ull << 34,
						 .device_id = 2,
						 .uuid = uuid,
						 .ops = &ops};

	memset(&d, 0, sizeof(d));
	return vh_adapter_regs_init(&d.regs, &d.fn, &p);
}

static int setup_idle(void **state)
{
	if (setup(state))
		return -1;
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET, 4);
	accept_features(FEATURES);
	put(VH_ADAPTER_VEC_STATUS, 0, 2);
	enable_banks();
	say_ready();
	return 0;
}

static int setup_session(void **state)
{
	if (setup_idle(state))
		return -1;
	vh_adapter_session_begins(&d.regs);
	return 0;
}

#define IDLE	(VH_ADAPTER_STATUS_FEATURES_OK | VH_ADAPTER_STATUS_LIVE)
#define SESSION (IDLE | VH_ADAPTER_STATUS_CONNECTED)
#define QUIESCE (IDLE | VH_ADAPTER_STATUS_QUIESCE)

/* ---- What is constant ---- */

static void it_says_what_it_is(void **state)
{
	uint8_t bytes[16];

	assert_int_equal(get(VH_ADAPTER_MAGIC, 4), 0x49435056);
	assert_int_equal(VH_ADAPTER_MAJOR(get(VH_ADAPTER_VERSION, 4)), 1);
	assert_int_equal(get(VH_ADAPTER_DEV_FEATURES, 8), FEATURES);
	assert_int_equal(get(VH_ADAPTER_DEV_FEATURES + 4, 4), FEATURES >> 32);
	assert_int_equal(get(VH_ADAPTER_N_VRINGS, 4), 256);
	assert_int_equal(get(VH_ADAPTER_MSG_SIZE, 4), 4096);
	assert_int_equal(get(VH_ADAPTER_DB_STRIDE, 4), 4);
	assert_int_equal(get(VH_ADAPTER_WINDOW_SIZE, 8), 1ull << 34);
	assert_int_equal(get(VH_ADAPTER_EXT_PTR, 4), 0);
	assert_int_equal(get(VH_ADAPTER_DEVICE_ID, 4), 2);
	assert_int_equal(get(VH_ADAPTER_PROTO_MASK, 8), 0x123456789a);
	vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, VH_ADAPTER_UUID, bytes, 16);
	assert_memory_equal(bytes, uuid, 16);
}

static void the_function_has_the_ids_of_an_experiment(void **state)
{
	assert_memory_equal(d.fn.config, "\xf4\x1a\xf0\x10", 4);
	assert_memory_equal(d.fn.config + 8, "\x01\x00\x00\xff", 4);
	assert_memory_equal(d.fn.config + 0x2c, "\xf4\x1a\x50\x56", 4);
	assert_int_equal(d.fn.config[0x3d], 0);
	assert_int_equal(d.fn.n_vectors, 259);
}

static void one_read_equals_reads_of_bytes_everywhere(void **state)
{
	static uint8_t all[VH_ADAPTER_BAR_SIZE];

	vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, 0, all, sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++)
		assert_int_equal(all[i], get(i, 1));
}

/* Everything but what a driver may write; in one go, and by dwords with ones. */
static void what_is_read_only_or_not_there_stays(void **state)
{
	static const unsigned skip[] = {VH_ADAPTER_DRV_FEATURES,
					VH_ADAPTER_DRV_FEATURES + 4, VH_ADAPTER_CONTROL,
					VH_ADAPTER_SESSION_ACK};
	static uint8_t ones[VH_ADAPTER_BAR_SIZE], was[sizeof(d.regs)];

	memset(ones, 0xff, sizeof(ones));
	memcpy(was, &d.regs, sizeof(was));
	vh_pci_bar_write(&d.fn, VH_ADAPTER_BAR, 0, ones, sizeof(ones));
	assert_memory_equal(was, &d.regs, sizeof(was));
	for (unsigned at = 0; at < 0x100; at += 4) {
		bool skipped = false;

		for (unsigned i = 0; i < sizeof(skip) / sizeof(skip[0]); i++)
			skipped |= at == skip[i];
		if (!skipped)
			put(at, 0xffffffff, 4);
	}
	assert_memory_equal(was, &d.regs, sizeof(was));
}

/* ---- Features ---- */

static void features_are_locked_once(void **state)
{
	put(VH_ADAPTER_DRV_FEATURES, VH_BIT(VH_ADAPTER_F_LOG), 4);
	put(VH_ADAPTER_DRV_FEATURES + 4, 1, 4);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
	assert_int_equal(status(), VH_ADAPTER_STATUS_FEATURES_OK);
	assert_int_equal(get(VH_ADAPTER_CONTROL, 4), VH_ADAPTER_CONTROL_FEATURES_OK);
	put(VH_ADAPTER_DRV_FEATURES, 0, 8);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
	assert_int_equal(d.n_features, 1);
	assert_int_equal(get(VH_ADAPTER_DRV_FEATURES, 8), 1ull << 32 | 2);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	accept_features(FEATURES | VH_BIT(VH_ADAPTER_F_MEM_SLOTS));
	assert_int_equal(status() | get(VH_ADAPTER_CONTROL, 4), 0);
	accept_features(FEATURES & ~VH_BIT(VH_ADAPTER_F_VERSION_1));
	assert_int_equal(status(), 0);
	accept_features(FEATURES);
	assert_int_equal(status(), VH_ADAPTER_STATUS_FEATURES_OK);
}

/* ---- Queues ---- */

static void a_bank_has_its_registers_back(void **state)
{
	const uint64_t bank = VH_ADAPTER_BANK(1);

	enable_banks();
	assert_int_equal(get(bank + VH_ADAPTER_Q_MAX, 4), 256);
	assert_int_equal(get(bank + VH_ADAPTER_Q_SIZE, 4), 64);
	assert_int_equal(get(bank + VH_ADAPTER_Q_DESC, 8), 0x100010000);
	assert_int_equal(get(bank + VH_ADAPTER_Q_USED, 8), 0x100012000);
	assert_int_equal(get(bank + VH_ADAPTER_Q_VEC, 2), 2);
	assert_int_equal(get(bank + VH_ADAPTER_Q_ENABLE, 4), 1);
	assert_int_equal(get(bank + VH_ADAPTER_Q_NOTIFY, 4), 0x3004);
}

static void an_enabled_bank_stays_as_it_is_but_for_its_vector(void **state)
{
	const uint64_t bank = VH_ADAPTER_BANK(0);
	struct vh_adapter_bank was;

	enable_banks();
	was = d.regs.bank[0];
	put(bank + VH_ADAPTER_Q_SIZE, 2, 4);
	put(bank + VH_ADAPTER_Q_ENABLE, 0, 4);
	for (unsigned at = VH_ADAPTER_Q_DESC; at < VH_ADAPTER_Q_VEC; at += 8)
		put(bank + at, 0, 8);
	assert_int_equal(d.regs.bank[0].size, was.size);
	assert_int_equal(d.regs.bank[0].desc, was.desc);
	assert_int_equal(d.regs.bank[0].avail, was.avail);
	assert_int_equal(d.regs.bank[0].used, was.used);
	assert_true(d.regs.bank[0].enabled);
	put(bank + VH_ADAPTER_Q_VEC, 258, 4);
	assert_int_equal(get(bank + VH_ADAPTER_Q_VEC, 4), 258);
}

static void sizes_that_no_queue_has_are_lost(void **state)
{
	static const unsigned bad[] = {0, 1, 3, 257, 512, 0x80000000};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_SIZE, bad[i], 4);
		assert_int_equal(get(VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_SIZE, 4), 256);
	}
}

static void vectors_that_are_not_there_read_back_as_none(void **state)
{
	const uint64_t place[] = {VH_ADAPTER_VEC_STATUS,
				  VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_VEC,
				  VH_ADAPTER_VRINGS + 255 * VH_ADAPTER_VRING_SIZE};

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(get(place[i], 2), 0xffff);
		put(place[i], 258, 2);
		assert_int_equal(get(place[i], 2), 258);
		put(place[i], 259, 2);
		assert_int_equal(get(place[i], 2), 0xffff);
	}
}

/* ---- Ready ---- */

static void a_driver_that_is_ready_makes_it_live(void **state)
{
	assert_int_equal(status(), IDLE);
	assert_int_equal(d.n_ready, 1);
	say_ready();
	assert_int_equal(d.n_ready + d.n_check, 2);
}

static void nobody_is_ready_before_features_are_accepted(void **state)
{
	enable_banks();
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_READY, 4);
	assert_int_equal(status() | get(VH_ADAPTER_CONTROL, 4), 0);
	assert_int_equal(d.n_check + d.n_ready, 0);
}

static void expect_failed(void)
{
	assert_int_equal(status(), VH_ADAPTER_STATUS_FAILED);
	assert_int_equal(get(VH_ADAPTER_ERROR, 4), VH_RELAY_BAD_QUEUE);
	assert_int_equal(d.n_ready, 0);
	say_ready();
	assert_int_equal(status(), VH_ADAPTER_STATUS_FAILED);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET, 4);
	assert_int_equal(status() | get(VH_ADAPTER_ERROR, 4), 0);
}

static void without_both_queues_it_fails_until_a_reset(void **state)
{
	accept_features(FEATURES);
	put(VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_ENABLE, 1, 4);
	say_ready();
	expect_failed();
}

static void with_queues_that_are_not_aligned_it_fails(void **state)
{
	static const unsigned reg[] = {VH_ADAPTER_Q_DESC, VH_ADAPTER_Q_AVAIL,
				       VH_ADAPTER_Q_USED};
	static const unsigned align[] = {16, 2, 4};

	for (unsigned i = 0; i < 3; i++) {
		accept_features(FEATURES);
		put(VH_ADAPTER_BANK(1) + reg[i], 0x1000 + align[i] / 2, 8);
		put(VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_ENABLE, 1, 4);
		put(VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_ENABLE, 1, 4);
		say_ready();
		expect_failed();
	}
}

static void with_queues_that_the_owner_cannot_use_it_fails(void **state)
{
	d.check_result = -EFAULT;
	accept_features(FEATURES);
	enable_banks();
	say_ready();
	assert_int_equal(d.n_check, 1);
	expect_failed();
}

static void a_driver_that_is_not_ready_any_more_ends_everything(void **state)
{
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
	assert_int_equal(status(), VH_ADAPTER_STATUS_FEATURES_OK);
	assert_int_equal(d.n_unready, 1);
	say_ready();
	assert_int_equal(status(), IDLE);
	assert_int_equal(d.n_ready, 2);
}

/* ---- Sessions ---- */

static void a_session_is_counted_and_told(void **state)
{
	assert_int_equal(status(), SESSION);
	assert_int_equal(get(VH_ADAPTER_SESSION, 4), 1);
	assert_int_equal(get(VH_ADAPTER_INT_STATUS, 4), VH_ADAPTER_INT_CHANGED);
	assert_int_equal(d.n_interrupt, 1);
	put(VH_ADAPTER_INT_STATUS, VH_ADAPTER_INT_CHANGED, 4);
	assert_int_equal(get(VH_ADAPTER_INT_STATUS, 4), 0);
}

static void the_next_session_waits_for_the_drivers_word(void **state)
{
	vh_adapter_session_ends(&d.regs, VH_RELAY_FRONTEND_CLOSED);
	assert_int_equal(status(), QUIESCE);
	assert_int_equal(get(VH_ADAPTER_ERROR, 4), 1);
	assert_int_equal(d.n_interrupt, 2);
	put(VH_ADAPTER_SESSION_ACK, 0, 4);
	put(VH_ADAPTER_SESSION_ACK, 2, 4);
	put(VH_ADAPTER_SESSION_ACK, 1, 2);
	assert_int_equal(status(), QUIESCE);
	assert_int_equal(d.n_ready, 1);
	put(VH_ADAPTER_SESSION_ACK, 1, 4);
	assert_int_equal(get(VH_ADAPTER_SESSION_ACK, 4), 1);
	assert_int_equal(status(), IDLE);
	assert_int_equal(d.n_ready, 2);
}

static void a_word_that_comes_too_early_or_twice_is_none(void **state)
{
	put(VH_ADAPTER_SESSION_ACK, 1, 4);
	assert_int_equal(status(), SESSION);
	vh_adapter_session_ends(&d.regs, VH_RELAY_FRONTEND_CLOSED);
	assert_int_equal(status(), QUIESCE);
	put(VH_ADAPTER_SESSION_ACK, 1, 4);
	put(VH_ADAPTER_SESSION_ACK, 1, 4);
	assert_int_equal(d.n_ready, 2);
}

static void a_driver_may_leave_instead_of_its_word(void **state)
{
	vh_adapter_session_ends(&d.regs, VH_RELAY_FRONTEND_ERROR);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
	assert_int_equal(status(), VH_ADAPTER_STATUS_FEATURES_OK);
	assert_int_equal(d.n_unready, 1);
}

static void memory_is_told_with_a_generation(void **state)
{
	const struct vh_window_table table = {
		.n = 2, .region = {{0, 0x1000, 0x7000, 0}, {1, 2, 3, 0x10000000000}}};
	const uint64_t was = get(VH_ADAPTER_MEM_GEN, 4);
	struct vh_adapter_region r;

	vh_adapter_set_memory(&d.regs, &table);
	assert_int_not_equal(get(VH_ADAPTER_MEM_GEN, 4), was);
	assert_int_equal(get(VH_ADAPTER_MEM_GEN, 4) & 1, 0);
	assert_int_equal(get(VH_ADAPTER_MEM_COUNT, 4), 2);
	vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, VH_ADAPTER_MEMORY + 32, &r, sizeof(r));
	assert_int_equal(r.uva, 3);
	assert_int_equal(r.bar_offset, 0x10000000000);
	assert_int_equal(get(VH_ADAPTER_MEMORY + 8, 8), 0x1000);
	assert_int_equal(get(VH_ADAPTER_MEMORY + 64, 8), 0);
	vh_adapter_session_ends(&d.regs, VH_RELAY_FRONTEND_CLOSED);
	assert_int_equal(get(VH_ADAPTER_MEM_COUNT, 4), 2);
}

static void areas_have_their_places(void **state)
{
	vh_adapter_set_area(&d.regs, VH_VVU_SHM_LOG, 0x800000, 0x1000);
	vh_adapter_set_area(&d.regs, VH_VVU_SHM_INFLIGHT, 0x40, 0x2000);
	assert_int_equal(get(VH_ADAPTER_LOG_OFF, 8), 0x800000);
	assert_int_equal(get(VH_ADAPTER_LOG_LEN, 4), 0x1000);
	assert_int_equal(get(VH_ADAPTER_INFLIGHT_OFF, 8), 0x40);
	assert_int_equal(get(VH_ADAPTER_INFLIGHT_LEN, 8), 0x2000);
}

/* ---- Kicks, doorbells, notifications ---- */

static void a_kick_has_its_vector(void **state)
{
	put(VH_ADAPTER_VRINGS + 3 * VH_ADAPTER_VRING_SIZE, 77, 2);
	vh_adapter_kicked(&d.regs, 3);
	assert_int_equal(d.last, 77);
	assert_int_equal(get(VH_ADAPTER_VRINGS + 3 * 16 + 4, 4), 0);
	assert_int_equal(get(VH_ADAPTER_VRINGS + 3 * 16 + 2, 2),
			 VH_ADAPTER_VR_KICK | VH_ADAPTER_VR_CALL_POLLED);
}

static void a_kick_that_nobody_can_hear_is_pending(void **state)
{
	const uint64_t pending = VH_ADAPTER_VRINGS + 5 * VH_ADAPTER_VRING_SIZE + 4;

	d.deaf = true;
	put(VH_ADAPTER_VRINGS + 5 * VH_ADAPTER_VRING_SIZE, 77, 4);
	vh_adapter_kicked(&d.regs, 5);
	vh_adapter_kicked(&d.regs, 6);
	vh_adapter_kicked(&d.regs, 256);
	assert_int_equal(get(pending, 4), 1);
	assert_int_equal(get(pending + 16, 4), 1);
	assert_true(get(VH_ADAPTER_INT_STATUS, 4) & VH_ADAPTER_INT_KICK);
	put(pending, 0, 4);
	assert_int_equal(get(pending, 4), 1);
	put(pending, 1, 4);
	assert_int_equal(get(pending, 4), 0);
}

static void vectors_survive_a_session_and_pending_kicks_do_not(void **state)
{
	put(VH_ADAPTER_VRINGS + 16, 9, 2);
	vh_adapter_kicked(&d.regs, 2);
	vh_adapter_session_ends(&d.regs, VH_RELAY_FRONTEND_CLOSED);
	vh_adapter_kicked(&d.regs, 0);
	put(VH_ADAPTER_SESSION_ACK, 1, 4);
	vh_adapter_session_begins(&d.regs);
	assert_int_equal(get(VH_ADAPTER_VRINGS + 16, 2), 9);
	assert_int_equal(get(VH_ADAPTER_VRINGS + 4, 4), 0);
	assert_int_equal(get(VH_ADAPTER_VRINGS + 36, 4), 0);
}

static void a_doorbell_rings_for_any_width(void **state)
{
	put(VH_ADAPTER_DOORBELLS, 0, 1);
	assert_int_equal(d.last, 0);
	put(VH_ADAPTER_DOORBELLS + 4 * 300, 7, 2);
	assert_int_equal(d.last, 300);
	put(VH_ADAPTER_DOORBELLS + 4 * 512, 0xffffffff, 4);
	assert_int_equal(d.last, 512);
	put(VH_ADAPTER_DOORBELLS + 4 * 513, 1, 4);
	put(VH_ADAPTER_DOORBELLS + 2, 1, 2);
	put(VH_ADAPTER_DOORBELLS, 1, 8);
	assert_int_equal(d.n_doorbell, 3);
	assert_int_equal(get(VH_ADAPTER_DOORBELLS, 4), 0);
}

static void a_notification_is_of_a_queue(void **state)
{
	put(VH_ADAPTER_NOTIFY(1), 0, 4);
	assert_int_equal(d.last, 1);
	put(VH_ADAPTER_NOTIFY(0), 5, 1);
	put(VH_ADAPTER_NOTIFY(2), 0, 4);
	assert_int_equal(d.n_notify, 2);
}

static void nothing_rings_before_it_is_live(void **state)
{
	accept_features(FEATURES);
	enable_banks();
	put(VH_ADAPTER_NOTIFY(0), 0, 4);
	put(VH_ADAPTER_DOORBELLS, 0, 4);
	assert_int_equal(d.n_notify + d.n_doorbell, 0);
}

static void used_buffers_have_the_vector_of_their_queue(void **state)
{
	vh_adapter_used(&d.regs, VH_ADAPTER_M2S);
	assert_int_equal(d.last, 1);
	vh_adapter_used(&d.regs, VH_ADAPTER_S2M);
	assert_int_equal(d.last, 2);
	assert_int_equal(get(VH_ADAPTER_INT_STATUS, 4) & 6, 6);
}

/* ---- Reset ---- */

static void a_reset_brings_everything_back(void **state)
{
	static uint8_t fresh[VH_ADAPTER_BAR_SIZE], now[VH_ADAPTER_BAR_SIZE];
	const struct vh_window_table table = {.n = 1, .region = {{0, 1, 2, 3}}};

	put(VH_ADAPTER_VRINGS, 5, 2);
	vh_adapter_set_memory(&d.regs, &table);
	vh_adapter_set_area(&d.regs, VH_VVU_SHM_LOG, 1, 2);
	vh_adapter_session_ends(&d.regs, VH_RELAY_TOO_LARGE);
	put(VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET | VH_ADAPTER_CONTROL_READY, 4);
	vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, 0, now, sizeof(now));
	setup(NULL);
	vh_pci_bar_read(&d.fn, VH_ADAPTER_BAR, 0, fresh, sizeof(fresh));
	memset(now + VH_ADAPTER_MEM_GEN, 0, 4);
	memset(fresh + VH_ADAPTER_MEM_GEN, 0, 4);
	assert_memory_equal(now, fresh, sizeof(now));
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define I(name) cmocka_unit_test_setup(name, setup_idle)
#define S(name) cmocka_unit_test_setup(name, setup_session)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(it_says_what_it_is),
		T(the_function_has_the_ids_of_an_experiment),
		S(one_read_equals_reads_of_bytes_everywhere),
		T(what_is_read_only_or_not_there_stays),
		T(features_are_locked_once),
		T(features_that_were_not_offered_are_refused),
		T(a_bank_has_its_registers_back),
		T(an_enabled_bank_stays_as_it_is_but_for_its_vector),
		T(sizes_that_no_queue_has_are_lost),
		T(vectors_that_are_not_there_read_back_as_none),
		I(a_driver_that_is_ready_makes_it_live),
		T(nobody_is_ready_before_features_are_accepted),
		T(without_both_queues_it_fails_until_a_reset),
		T(with_queues_that_are_not_aligned_it_fails),
		T(with_queues_that_the_owner_cannot_use_it_fails),
		I(a_driver_that_is_not_ready_any_more_ends_everything),
		S(a_session_is_counted_and_told),
		S(the_next_session_waits_for_the_drivers_word),
		S(a_word_that_comes_too_early_or_twice_is_none),
		S(a_driver_may_leave_instead_of_its_word),
		S(memory_is_told_with_a_generation),
		S(areas_have_their_places),
		S(a_kick_has_its_vector),
		S(a_kick_that_nobody_can_hear_is_pending),
		S(vectors_survive_a_session_and_pending_kicks_do_not),
		I(a_doorbell_rings_for_any_width),
		I(a_notification_is_of_a_queue),
		T(nothing_rings_before_it_is_live),
		I(used_buffers_have_the_vector_of_their_queue),
		S(a_reset_brings_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
