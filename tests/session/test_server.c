/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices come and go at a server whose reactors the test turns by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include <vhost/vhost.h>

#define REACTORS 3

static struct vh_reactor *reactor[REACTORS];
static struct vh_server *server;
static struct vh_device *device;
static bool closed, removed;

static void process(struct vh_queue *q)
{
}

static void remember_close(struct vh_device *d)
{
	closed = true;
}

static void remember_removal(void *arg)
{
	removed = true;
}

static const struct vh_device_ops ops = {
	.size = sizeof(ops),
	.name = "test",
	.virtio_id = 4,
	.queues = 2,
	.process = process,
	.close = remember_close,
};

static int begin(void **state)
{
	const struct vh_reactor_params p = {
		.size = sizeof(p), .name = "test", .cpu = -1, .poll = VH_POLL_SLEEP};

	closed = removed = false;
	for (unsigned i = 0; i < REACTORS; i++)
		assert_int_equal(vh_reactor_create(&p, &reactor[i]), 0);
	assert_int_equal(vh_server_create(reactor, REACTORS, &server), 0);
	assert_int_equal(
		vh_server_add(server, &ops, NULL, "loop:test-server", NULL, 0, &device),
		0);
	return 0;
}

static int end(void **state)
{
	vh_server_destroy(server);
	for (unsigned i = 0; i < REACTORS; i++)
		vh_reactor_destroy(reactor[i]);
	return 0;
}

/* All but @except, until long after they have nothing more to do. */
static void turn_all_but(unsigned except)
{
	for (unsigned i = 0; i < 100; i++)
		for (unsigned k = 0; k < REACTORS; k++)
			if (k != except)
				assert_true(vh_reactor_poll(reactor[k], 0) >= 0);
}

/* A switch's worker may hold a pointer to any queue until its turn is over. */
static void a_device_lives_until_every_reactor_has_ended_its_turn(void **state)
{
	for (unsigned late = 1; late < REACTORS; late++) {
		vh_server_remove(server, device, remember_removal, NULL);
		turn_all_but(late);
		assert_false(closed);
		turn_all_but(REACTORS);
		assert_true(closed);
		assert_true(removed);
		end(state);
		begin(state);
	}
}

static void a_change_of_config_while_it_leaves_does_no_harm(void **state)
{
	vh_server_remove(server, device, remember_removal, NULL);
	turn_all_but(2);
	vh_device_config_changed(device);
	turn_all_but(2);
	assert_false(closed);
	vh_device_config_changed(device);
	turn_all_but(REACTORS);
	assert_true(removed);
}

static void what_is_left_goes_with_the_server(void **state)
{
	vh_server_destroy(server);
	assert_true(closed);
	assert_int_equal(vh_server_create(reactor, REACTORS, &server), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_lives_until_every_reactor_has_ended_its_turn),
		TEST(a_change_of_config_while_it_leaves_does_no_harm),
		TEST(what_is_left_goes_with_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
