/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end changes what a queue uses while it runs and the device has its
 * chains: what waits for these chains, and what does not.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/barrier.h"
#include "by_hand.h"

struct scene {
	struct pair p;
	struct keeper k;
	struct raw r;
};

static uint32_t n_late; /* lines that tell of a hand-over that waits */

static void on_log(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
	(void)arg;
	(void)level;
	(void)tag;
	if (strstr(text, "the front-end has waited"))
		vh_fetch_add(&n_late, 1);
}

static void begin(struct scene *s, const char *address)
{
	*s = (struct scene){0};
	pair_open(&s->p, 2, VH_POLL_SLEEP);
	pair_add(&s->p, &keeper_ops, &s->k, address);
	pair_start(&s->p);
	raw_open(&s->r, address);
	raw_start(&s->r, 0);
}

static void end(struct scene *s)
{
	raw_close(&s->r);
	pair_end(&s->p);
}

/* The device has a chain, whose buffer is in region @i. */
static void lend(struct scene *s, unsigned i)
{
	keeper_keep(&s->k);
	raw_add(&s->r, i);
	keeper_wait(&s->k, 1);
}

/* The request of @m was sent: it is answered once the device lets its chain go. */
static void expect_an_answer_after_the_chain(struct scene *s)
{
	struct vh_msg reply;

	assert_true(raw_is_kept_waiting(&s->r));
	keeper_let_go(&s->k);
	raw_receive(&s->r, &reply);
	assert_int_equal(reply.u64, 0);
	assert_int_equal(vh_load_acquire(&s->k.n_kept), 0);
}

static void use(struct scene *s, unsigned region)
{
	raw_add(&s->r, region);
	raw_get_done(&s->r);
}

static void a_slot_is_added_while_the_device_has_chains(void **state)
{
	struct scene s;
	struct vh_msg m;

	(void)state;
	begin(&s, "loop:change");
	raw_init_slot(&s.r, &m, VH_MSG_REM_MEM_REG, 1);
	assert_int_equal(raw_ack(&s.r, &m), 0);
	lend(&s, 0);
	raw_init_slot(&s.r, &m, VH_MSG_ADD_MEM_REG, 1);
	assert_int_equal(raw_ack(&s.r, &m), 0);
	assert_int_equal(vh_load_acquire(&s.k.n_kept), 1);
	keeper_let_go(&s.k);
	raw_get_done(&s.r);
	use(&s, 1);
	end(&s);
}

static void a_slot_is_removed_after_the_chains_in_it_are_done(void **state)
{
	struct scene s;
	struct vh_msg m;

	(void)state;
	begin(&s, "loop:change");
	lend(&s, 1);
	raw_init_slot(&s.r, &m, VH_MSG_REM_MEM_REG, 1);
	m.need_reply = true;
	raw_send(&s.r, &m);
	expect_an_answer_after_the_chain(&s);
	raw_get_done(&s.r);
	use(&s, 0);
	end(&s);
}

static void a_table_is_replaced_after_the_chains_in_it_are_done(void **state)
{
	struct scene s;
	struct vh_msg m;

	(void)state;
	begin(&s, "loop:change");
	lend(&s, 1);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 1;
	m.mem.region[0] = raw_region(&s.r, 0);
	m.fds[m.n_fds++] = s.r.memory[0];
	m.need_reply = true;
	raw_send(&s.r, &m);
	expect_an_answer_after_the_chain(&s);
	raw_get_done(&s.r);
	use(&s, 0);
	end(&s);
}

static void a_ring_whose_memory_is_taken_waits_until_it_is_back(void **state)
{
	struct scene s;
	struct vh_msg m;

	(void)state;
	begin(&s, "loop:change");
	use(&s, 0);
	lend(&s, 1);
	raw_init_slot(&s.r, &m, VH_MSG_REM_MEM_REG, 0);
	m.need_reply = true;
	raw_send(&s.r, &m);
	expect_an_answer_after_the_chain(&s);
	raw_get_done(&s.r);
	raw_add(&s.r, 1); /* nobody can look for it now */
	raw_init_slot(&s.r, &m, VH_MSG_ADD_MEM_REG, 0);
	assert_int_equal(raw_ack(&s.r, &m), 0);
	raw_get_done(&s.r);
	use(&s, 0);
	end(&s);
}

static void a_stopped_ring_has_its_chains_back_and_tells_its_base(void **state)
{
	struct scene s;
	uint32_t base;

	(void)state;
	begin(&s, "loop:change");
	use(&s, 0);
	use(&s, 0);
	lend(&s, 0);
	raw_send_stop(&s.r);
	assert_true(raw_is_kept_waiting(&s.r));
	raw_add(&s.r, 0); /* too late for it */
	keeper_let_go(&s.k);
	base = raw_base(&s.r);
	assert_int_equal(base, 3);
	raw_get_done(&s.r);
	raw_start(&s.r, base);
	raw_get_done(&s.r);
	use(&s, 0);
	end(&s);
}

static void a_front_end_that_waits_for_long_is_told_of(void **state)
{
	const uint32_t before = vh_load_relaxed(&n_late);
	struct pollfd nothing = {.fd = -1};
	struct scene s;

	(void)state;
	begin(&s, "loop:change");
	lend(&s, 0);
	raw_send_stop(&s.r);
	for (unsigned i = 0; i < 600 && vh_load_acquire(&n_late) == before; i++)
		poll(&nothing, 1, 100);
	assert_int_equal(vh_load_acquire(&n_late), before + 1);
	keeper_let_go(&s.k);
	assert_int_equal(raw_base(&s.r), 1);
	end(&s);
}

static void a_front_end_may_die_while_the_device_has_its_chains(void **state)
{
	struct scene s;
	struct raw next;

	(void)state;
	begin(&s, "loop:change");
	lend(&s, 1);
	raw_close(&s.r);
	keeper_let_go(&s.k);
	raw_open(&next, "loop:change");
	raw_start(&next, 0);
	s.r = next;
	use(&s, 0);
	end(&s);
}

static void a_front_end_may_die_while_its_answer_waits(void **state)
{
	struct scene s;
	struct vh_msg m;

	(void)state;
	begin(&s, "loop:change");
	lend(&s, 1);
	raw_init_slot(&s.r, &m, VH_MSG_REM_MEM_REG, 1);
	raw_send(&s.r, &m);
	assert_true(raw_is_kept_waiting(&s.r));
	raw_close(&s.r);
	keeper_let_go(&s.k);
	pair_end(&s.p);
}

static void a_status_is_told_as_it_was_set(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, "loop:change");
	assert_int_equal(raw_set(&s.r, VH_MSG_SET_STATUS, 0xf), 0);
	assert_int_equal(raw_get(&s.r, VH_MSG_GET_STATUS), 0xf);
	end(&s);
}

static void a_broken_ring_is_told_and_stops_nobody_else(void **state)
{
	struct keeper other = {0};
	struct scene s;
	struct vh_client *c;
	struct vh_driver_ring_places at;
	const uint64_t one = 1;

	(void)state;
	s = (struct scene){0};
	pair_open(&s.p, 2, VH_POLL_SLEEP);
	pair_add(&s.p, &keeper_ops, &s.k, "loop:change");
	pair_add(&s.p, &keeper_ops, &other, "loop:other");
	pair_start(&s.p);
	c = pair_client("loop:other", 0);
	assert_int_equal(vh_client_start(c, 1, 16), 0);
	raw_open(&s.r, "loop:change");
	raw_start(&s.r, 0);
	/* More available than the ring has places. */
	vh_driver_ring_places(RAW_SIZE, RAW_FEATURES, &at);
	*(volatile uint16_t *)(s.r.va[0] + at.avail + 2) = RAW_SIZE + 1;
	assert_int_equal(write(s.r.kick, &one, sizeof(one)), sizeof(one));
	raw_hear(s.r.err);
	/* The connection and the other device are as they were. */
	assert_int_equal(raw_set(&s.r, VH_MSG_SET_STATUS, 1), 0);
	pair_use(c, 0, 10);
	vh_client_destroy(c);
	end(&s);
}

/* Whoever served it before may have died between the used index and the call. */
static void a_ring_that_starts_is_called_for(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, "loop:change");
	raw_hear(s.r.call);
	raw_send_stop(&s.r);
	raw_start(&s.r, raw_base(&s.r));
	raw_hear(s.r.call);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_added_while_the_device_has_chains),
		cmocka_unit_test(a_slot_is_removed_after_the_chains_in_it_are_done),
		cmocka_unit_test(a_table_is_replaced_after_the_chains_in_it_are_done),
		cmocka_unit_test(a_ring_whose_memory_is_taken_waits_until_it_is_back),
		cmocka_unit_test(a_stopped_ring_has_its_chains_back_and_tells_its_base),
		cmocka_unit_test(a_front_end_that_waits_for_long_is_told_of),
		cmocka_unit_test(a_front_end_may_die_while_the_device_has_its_chains),
		cmocka_unit_test(a_front_end_may_die_while_its_answer_waits),
		cmocka_unit_test(a_status_is_told_as_it_was_set),
		cmocka_unit_test(a_broken_ring_is_told_and_stops_nobody_else),
		cmocka_unit_test(a_ring_that_starts_is_called_for),
	};

	vh_log_set(VH_LOG_WARN, on_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
