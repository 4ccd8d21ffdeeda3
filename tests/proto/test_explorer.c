/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All states of the back-end machine, visited; explorer/explorer.h has the how
 * and why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "explorer/explorer.h"

static void print(const char *what, const struct exploration *e)
{
	print_message("%s: %zu states, %zu steps, depth %u\n", what, e->n_states,
		      e->n_steps, e->depth);
	if (e->violation)
		print_message("%s, after\n%s", e->violation, e->trace);
}

static void explore_all_of(const char *what, unsigned world, size_t limit)
{
	static struct exploration e;

	e = (struct exploration){.step = vh_backend_step, .world = world, .limit = limit};
	assert_int_equal(explore(&e), 0);
	print(what, &e);
	assert_null(e.violation);
}

static void nothing_breaks_a_rule_in_any_state_of_rings_and_memory(void **state)
{
	explore_all_of("rings and memory", WORLD_RINGS, 0);
}

static void nothing_breaks_a_rule_in_any_state_of_device_and_session(void **state)
{
	explore_all_of("device and session", WORLD_DEVICE, 0);
}

/* The two worlds together are too large for a test; this is where they begin to mix. */
static void nothing_breaks_a_rule_in_the_first_states_of_everything(void **state)
{
	explore_all_of("everything, first states", WORLD_ALL, 100000);
}

/* So many events at most: a trace is to be read by people. */
#define LONGEST_TRACE 20

static void every_fault_that_is_put_in_is_found(void **state)
{
	static struct exploration e;

	for (unsigned i = 0; i < n_mutations; i++) {
		e.world = WORLD_DEVICE;
		e.step = mutations[i].step;
		assert_int_equal(explore(&e), 0);
		if (!e.violation) {
			e.world = WORLD_RINGS;
			assert_int_equal(explore(&e), 0);
		}
		print(mutations[i].name, &e);
		assert_non_null(e.violation);
		assert_in_range(e.trace_len, 1, LONGEST_TRACE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_breaks_a_rule_in_any_state_of_rings_and_memory),
		cmocka_unit_test(
			nothing_breaks_a_rule_in_any_state_of_device_and_session),
		cmocka_unit_test(nothing_breaks_a_rule_in_the_first_states_of_everything),
		cmocka_unit_test(every_fault_that_is_put_in_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
