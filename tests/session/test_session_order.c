/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages in any order, and rings that change between two runs, at a real socket. */
#include "session/raw.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Rings ---- */

static void the_base_of_a_ring_that_was_never_made_is_told_again_and_again(void **state)
{
	struct raw *r = *state;

	raw_connect(r);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(raw_stop_ring(r), 0);
	raw_expect_service(r);
}

static void a_ring_has_the_size_that_it_was_started_with(void **state)
{
	static const uint32_t sizes[] = {256, 4, 1, 2048, 2};
	struct raw *r = *state;
	uint16_t base = 0;

	raw_run(r, 16, 0);
	for (unsigned i = 0; i < COUNT(sizes); i++) {
		raw_use_a_chain(r);
		base = raw_stop_ring(r);
		memset(r->mem + RAW_USED + 4, 0xee, RAW_BUFFERS - RAW_USED - 4);
		raw_start_ring(r, sizes[i], base);
		raw_use_a_chain(r);
		/* Behind the used ring and its event index nothing was written. */
		for (uint32_t at = RAW_USED + 6 + 8 * sizes[i]; at < RAW_BUFFERS; at++)
			assert_int_equal(r->mem[at], 0xee);
	}
}

static void an_index_is_not_cut_down_to_one_that_exists(void **state)
{
	static const uint32_t index[] = {1,	  0x100,      0xffff,
					 0x10000, 0x80000000, UINT32_MAX};
	static const uint32_t ids[] = {VH_MSG_SET_VRING_NUM, VH_MSG_SET_VRING_BASE,
				       VH_MSG_GET_VRING_BASE, VH_MSG_SET_VRING_ENABLE};
	struct raw *r = *state;

	for (unsigned i = 0; i < COUNT(index) * COUNT(ids); i++) {
		raw_run(r, 16, 0);
		assert_int_not_equal(
			raw_tell_state(r, ids[i % COUNT(ids)], index[i / COUNT(ids)], 1),
			0);
		raw_hang_up(r);
	}
	raw_expect_service(r);
}

/* The device stops because its ring is broken, and that takes a while. */
static void a_request_while_a_broken_device_stops_is_answered_afterwards(void **state)
{
	const struct vh_wire_state s = {0, 0};
	struct raw *r = *state;
	uint32_t id, flags;
	uint64_t answer, n;

	r->stubborn = true;
	raw_run(r, 16, 0);
	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	raw_wait_held(r, 1);
	raw_offer(r, 99);
	while (read(r->err, &n, sizeof(n)) < 0)
		sched_yield();
	assert_true(raw_say(r, VH_MSG_GET_VRING_BASE, VH_FLAG_VERSION, &s, sizeof(s),
			    NULL, 0));
	assert_false(raw_is_answered(r));
	raw_release(r);
	assert_int_equal(
		peer_read(r->fd, &id, &flags, &answer, sizeof(answer), NULL, NULL),
		sizeof(answer));
	assert_int_equal(id, VH_MSG_GET_VRING_BASE);
	assert_int_equal(answer >> 32, 1);
}

/* ---- Anything ---- */

static uint32_t dice(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* A payload of which most numbers mean something. */
static void any_payload(uint32_t *seed, uint64_t *words, unsigned n)
{
	static const uint64_t some[] = {
		0,	     1,		  16,	      RAW_UVA,	  RAW_UVA + RAW_AVAIL,
		RAW_BUFFERS, 1 << 8,	  UINT64_MAX, RAW_MEMORY, 4096,
		1ull << 32,  16ull << 32, RAW_USED,   2,
	};

	for (unsigned i = 0; i < n; i++)
		words[i] = some[dice(seed, COUNT(some))];
}

static void say_anything(struct raw *r, uint32_t *seed)
{
	const int fds[] = {r->call, r->mem_fd, r->kick, r->mem_fd};
	const uint32_t id = dice(seed, 50);
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);
	unsigned n_fds = rule && rule->fds ? 1 : 0;
	uint64_t words[32];

	any_payload(seed, words, COUNT(words));
	if (id == VH_MSG_SET_MEM_TABLE)
		words[0] = n_fds = 2;
	if (!dice(seed, 16))
		n_fds = dice(seed, COUNT(fds));
	raw_say(r, id, VH_FLAG_VERSION | (dice(seed, 2) ? VH_FLAG_NEED_REPLY : 0), words,
		dice(seed, 16) ? raw_size_of(id) : dice(seed, sizeof(words)),
		&fds[rule && rule->payload != VH_PAYLOAD_VRING_FD], n_fds % 4);
}

static void messages_of_any_kind_in_any_state_leave_nothing_behind(void **state)
{
	struct raw *r = *state;
	const unsigned n_maps = rig_count_memfd_maps();
	uint32_t seed = 1;
	int n_fds = 0;

	for (unsigned i = 0; i < 1000; i++) {
		if (i % 4)
			raw_run(r, 16, 0);
		else
			raw_connect(r);
		for (unsigned n = dice(&seed, 12); n--;)
			say_anything(r, &seed);
		raw_connect(r);
		if (!i)
			n_fds = rig_count_fds();
		assert_int_equal(rig_count_fds(), n_fds);
		assert_int_equal(rig_count_memfd_maps(), n_maps);
	}
	raw_expect_service(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW_TEST(the_base_of_a_ring_that_was_never_made_is_told_again_and_again),
		RAW_TEST(a_ring_has_the_size_that_it_was_started_with),
		RAW_TEST(an_index_is_not_cut_down_to_one_that_exists),
		RAW_TEST(a_request_while_a_broken_device_stops_is_answered_afterwards),
		RAW_TEST(messages_of_any_kind_in_any_state_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
