/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end is served by a device of another guest, through all that is between. */
#include "together_rig.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)

static void requests_are_done_by_the_other_guest(void **state)
{
	static const uint64_t features[] = {0, EVENT_IDX, INDIRECT, EVENT_IDX | INDIRECT};
	struct together *t = *state;
	uint8_t config[4];

	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	for (unsigned i = 0; i < 4; i++) {
		struct vh_client *c = together_client(t, features[i], false);

		together_echo(c, 0, 100);
		together_echo(c, 1, 100);
		assert_int_equal(vh_client_read_config(c, 0, config, 4), 0);
		assert_int_equal(config[3], 0x2a);
		vh_client_destroy(c);
	}
}

static void either_may_be_there_first(void **state)
{
	struct together *t = *state;
	struct vh_vvu_pci_stats s;
	struct vh_client *c;

	together_open(t, false);
	together_serve(t, VH_POLL_ADAPTIVE);
	c = together_client(t, 0, false);
	together_echo(c, 0, 10);
	together_stop(t);
	together_serve(t, VH_POLL_ADAPTIVE);
	assert_int_equal(vh_client_connect(c), 0);
	together_echo(c, 0, 10);
	vh_client_destroy(c);
	together_stats(t, &s);
	assert_true(s.relay.sessions >= 2);
	assert_int_equal(s.broken, 0);
}

/* Neither side sleeps: what is between the guests has nothing to do. */
static void data_pass_without_a_word_to_the_vmm_where_both_poll(void **state)
{
	struct together *t = *state;
	struct vh_vvu_pci_stats before, after;
	struct vh_client *c;
	uint32_t len;
	uint8_t *b;

	together_open(t, false);
	together_serve(t, VH_POLL_BUSY);
	c = together_client(t, 0, false);
	together_echo(c, 0, 10);
	b = vh_client_alloc(c, 16, 16);
	vh_client_want_calls(vh_client_queue(c, 0), false);
	together_stats(t, &before);
	for (unsigned i = 0; i < 10000; i++) {
		const struct iovec iov[2] = {{.iov_base = b, .iov_len = 8},
					     {.iov_base = b + 8, .iov_len = 8}};

		assert_int_equal(vh_client_add(vh_client_queue(c, 0), iov, 1, 1, b), 0);
		vh_client_kick(vh_client_queue(c, 0));
		while (!vh_client_get(vh_client_queue(c, 0), &len))
			;
	}
	together_stats(t, &after);
	assert_int_equal(after.vfu.messages, before.vfu.messages);
	assert_int_equal(after.vfu.interrupts, before.vfu.interrupts);
	assert_int_equal(after.relay.kicks, before.relay.kicks);
	assert_int_equal(after.relay.doorbells, before.relay.doorbells);
	vh_client_destroy(c);
}

static void calls_are_counters_where_the_device_polls(void **state)
{
	struct together *t = *state;
	struct vh_vvu_pci_stats before, after;
	struct vh_client *c;

	together_open(t, true);
	together_serve(t, VH_POLL_SLEEP);
	c = together_client(t, 0, false);
	together_echo(c, 0, 10);
	together_stats(t, &before);
	together_echo(c, 0, 50);
	together_stats(t, &after);
	assert_true(after.relay.doorbells > before.relay.doorbells);
	assert_int_equal(after.vfu.messages, before.vfu.messages);
	/* Eventfds would look the same here. */
	assert_int_equal(rig_logged("doorbells are polled memory"), 1);
	vh_client_destroy(c);
}

static void a_change_of_configuration_is_told(void **state)
{
	struct together *t = *state;
	struct vh_client *c;
	bool changed = false;

	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	c = together_client(t, 0, false);
	together_echo(c, 0, 1);
	vh_device_config_changed(t->served_device);
	while (!changed) {
		struct pollfd p = {.fd = vh_client_fd(c), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 60000), 1);
		assert_int_equal(vh_client_handle(c, &changed), 0);
	}
	vh_client_destroy(c);
}

static void requests_in_flight_are_noted_in_the_devices_memory(void **state)
{
	struct together *t = *state;
	struct vh_client *c;

	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	c = together_client(t, 0, true);
	together_echo(c, 0, 100);
	together_stop(t);
	together_serve(t, VH_POLL_SLEEP);
	assert_int_equal(vh_client_connect(c), 0);
	together_echo(c, 0, 100);
	vh_client_destroy(c);
}

static void memory_in_another_file_is_refused_and_the_next_front_end_served(void **state)
{
	struct together *t = *state;
	char front[96];
	const struct vh_client_params params = {.size = sizeof(params),
						.address = front,
						.features = 1ull << 32,
						.memory = 1 << 20,
						.timeout_ms = 2000};
	struct vh_client *c;

	snprintf(front, sizeof(front), "%s", t->front);
	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	assert_int_equal(vh_client_create(&params, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	vh_client_destroy(c);
	c = together_client(t, 0, false);
	together_echo(c, 0, 10);
	vh_client_destroy(c);
}

static void two_hundred_front_ends_leave_no_descriptor(void **state)
{
	struct together *t = *state;
	struct vh_client *c;
	int n_fds;

	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	c = together_client(t, 0, false);
	together_echo(c, 0, 1);
	vh_client_destroy(c);
	c = together_client(t, 0, false);
	n_fds = rig_count_fds();
	vh_client_destroy(c);
	for (unsigned i = 0; i < 200; i++) {
		c = together_client(t, 0, i & 1);
		together_echo(c, 0, 1);
		vh_client_destroy(c);
	}
	c = together_client(t, 0, false);
	assert_int_equal(rig_count_fds(), n_fds);
	vh_client_destroy(c);
}

static void a_device_that_ends_ends_its_server(void **state)
{
	struct together *t = *state;
	struct vh_client *c;

	together_open(t, false);
	together_serve(t, VH_POLL_SLEEP);
	c = together_client(t, 0, false);
	together_echo(c, 0, 10);
	together_close(t);
	pair_wait(&t->pair); /* by itself */
	t->serves = false;
	vh_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOGETHER_TEST(requests_are_done_by_the_other_guest),
		TOGETHER_TEST(either_may_be_there_first),
		TOGETHER_TEST(data_pass_without_a_word_to_the_vmm_where_both_poll),
		TOGETHER_TEST(calls_are_counters_where_the_device_polls),
		TOGETHER_TEST(a_change_of_configuration_is_told),
		TOGETHER_TEST(requests_in_flight_are_noted_in_the_devices_memory),
		TOGETHER_TEST(
			memory_in_another_file_is_refused_and_the_next_front_end_served),
		TOGETHER_TEST(two_hundred_front_ends_leave_no_descriptor),
		TOGETHER_TEST(a_device_that_ends_ends_its_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
