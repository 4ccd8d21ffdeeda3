/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers, VMMs and front-ends of a virtio-vhost-user device that break the rules, or
 * come and go: what follows is bounded, and the next one is served.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device_rig.h"

static const struct dev_options plain = {0};

/* Whatever happened: after a reset, a driver and a front-end come together. */
static void expect_service(struct dev *d)
{
	front_close(d);
	guest_reset(d);
	dev_session(d, 0);
	front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_SET_OWNER);
}

static void expect_broken(struct dev *d)
{
	assert_true(guest_needs_reset(d));
	assert_int_equal(guest_status(d), 0);
	assert_true(front_is_closed(d));
	expect_service(d);
	assert_false(guest_needs_reset(d));
}

/* ---- The driver's queues ---- */

static void send_nonsense(struct dev *d, const void *bytes, size_t len)
{
	dev_open(d, &plain);
	dev_session(d, 0);
	guest_send(d, bytes, len);
	expect_broken(d);
}

static void a_message_of_no_bytes_breaks_the_device(void **state)
{
	send_nonsense(*state, "", 0);
}

static void a_message_of_11_bytes_breaks_the_device(void **state)
{
	send_nonsense(*state, "\1\0\0\0\5\0\0\0\0\0\0", 11);
}

static void a_message_longer_than_it_says_breaks_the_device(void **state)
{
	send_nonsense(*state, "\1\0\0\0\5\0\0\0\0\0\0\0", 13);
}

static void a_message_larger_than_any_breaks_the_device(void **state)
{
	/* Cut off where the largest one ends it would be one. */
	static const uint8_t big[12 + VH_MAX_PAYLOAD + 1] = {
		1, 0, 0, 0, 5, 0, 0, 0, VH_MAX_PAYLOAD & 0xff, VH_MAX_PAYLOAD >> 8};

	send_nonsense(*state, big, sizeof(big));
}

static void what_is_sent_to_nobody_is_dropped(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_start(d, 0);
	for (unsigned i = 0; i < 3 * DEV_RING; i++)
		guest_reply(d, VH_MSG_GET_FEATURES, 1);
	assert_false(guest_needs_reset(d));
	guest_is_ready(d);
	front_connect(d);
	guest_hear(d, 0);
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_GET_FEATURES);
	guest_reply(d, VH_MSG_GET_FEATURES, 2);
	assert_int_equal(front_hear(d, VH_MSG_GET_FEATURES), 2);
}

static void a_message_that_does_not_fit_breaks_the_device(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.buffer = 16};

	dev_open(d, &o);
	dev_session(d, 0);
	front_say_u64(d, VH_MSG_SET_FEATURES, 0);
	guest_hear(d, 0);
	expect_broken(d);
}

static void break_ring(struct dev *d, unsigned q, uint64_t desc, uint32_t len,
		       uint16_t flags)
{
	uint8_t *mem = d->dma.va + q * 0x2000;
	const struct vring_desc bad = {.addr = desc, .len = len, .flags = flags};
	struct vh_driver_ring_places at;
	uint16_t index;

	vh_driver_ring_places(DEV_RING, 0, &at);
	memcpy(mem + at.desc, &bad, sizeof(bad));
	memcpy(&index, mem + at.avail + 2, 2);
	memset(mem + at.avail + 4 + index % DEV_RING * 2, 0, 2);
	index++;
	memcpy(mem + at.avail + 2, &index, 2);
	vh_virtio_drv_notify(&d->drv, q);
}

static void a_buffer_outside_of_memory_breaks_the_device(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	break_ring(d, VH_VVU_TXQ, 0x7000000000ull, 20, 0);
	expect_broken(d);
}

static void an_rx_buffer_outside_of_memory_breaks_the_device(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.no_buffers = true};

	dev_open(d, &o);
	dev_session(d, 0);
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	break_ring(d, VH_VVU_RXQ, ~0ull, 0x1000, VRING_DESC_F_WRITE);
	guest_hear(d, 0);
	d->o.no_buffers = false;
	expect_broken(d);
}

static void queues_in_no_memory_are_not_used(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_begin(d, 0);
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++)
		vh_virtio_drv_enable(&d->drv, q, DEV_RING, ~0xfffull, 0, 1ull << 63, 1);
	vh_virtio_drv_ready(&d->drv);
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++)
		vh_virtio_drv_notify(&d->drv, q);
	assert_false(guest_needs_reset(d));
	expect_service(d);
}

static void queues_in_no_memory_are_told_once(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_begin(d, 0);
	for (unsigned q = 0; q < VH_VVU_QUEUES; q++)
		vh_virtio_drv_enable(&d->drv, q, DEV_RING, ~0xfffull, 0, 1ull << 63, 1);
	vh_virtio_drv_ready(&d->drv);
	for (unsigned i = 0; i < 10; i++)
		vh_virtio_drv_notify(&d->drv, i % VH_VVU_QUEUES);
	assert_int_equal(rig_logged("cannot be reached in memory"), 1);
}

static void without_bus_mastering_nothing_is_touched(void **state)
{
	struct dev *d = *state;
	uint16_t command = PCI_COMMAND_MEMORY;
	uint8_t msg[DEV_BUFFER];

	dev_open(d, &plain);
	dev_session(d, 0);
	d->host->bus->config_write(d->host, PCI_COMMAND, &command, 2);
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	assert_int_equal(guest_recv(d, msg), -1);
	command |= PCI_COMMAND_MASTER;
	d->host->bus->config_write(d->host, PCI_COMMAND, &command, 2);
	guest_expect(d, VH_MSG_GET_FEATURES);
}

static void memory_that_goes_is_not_used_and_may_come_back(void **state)
{
	struct dev *d = *state;
	uint8_t msg[DEV_BUFFER];

	dev_open(d, &plain);
	dev_session(d, 0);
	for (unsigned i = 0; i < 20; i++) {
		guest_unmap(d);
		front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
		if (!i)
			assert_int_equal(guest_recv(d, msg), -1);
		guest_map(d);
		guest_expect(d, VH_MSG_SET_OWNER);
	}
	assert_false(guest_needs_reset(d));
}

static void memory_that_the_vmm_keeps_to_itself_is_told_with_the_cure(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	rig_log_clear();
	guest_unmap(d);
	assert_int_equal(vfu_dma_map(vfu_test_bus_client(d->host), d->dma.iova,
				     d->dma.len, -1, 0, 3),
			 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(vh_virtio_drv_notify(&d->drv, VH_VVU_RXQ), 0);
	assert_false(guest_needs_reset(d)); /* an answer: it has seen them */
	assert_int_equal(rig_logged("share=on"), 1);
}

static void memory_that_is_not_the_guests_is_told_when_the_driver_is_ready(void **state)
{
	struct dev *d = *state;
	int fd;

	dev_open(d, &plain);
	guest_start(d, 0);
	guest_unmap(d);
	fd = rig_memfd(d->dma.len);
	assert_int_equal(vfu_dma_map(vfu_test_bus_client(d->host), d->dma.iova,
				     d->dma.len, fd, 0, 3),
			 0);
	rig_log_clear();
	for (unsigned i = 0; i < 3; i++) {
		guest_set_status(d, 1);
		guest_set_status(d, 0);
	}
	assert_false(guest_needs_reset(d)); /* an answer: it has seen them */
	assert_int_equal(rig_logged("no buffer of its in memory"), 1);
	close(fd);
}

static void other_memory_may_come_and_go_in_traffic(void **state)
{
	struct dev *d = *state;
	struct vfu_client *c;
	int fd = rig_memfd(0x1000);

	dev_open(d, &plain);
	dev_session(d, 0);
	c = vfu_test_bus_client(d->host);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(vfu_dma_map(c, 0x40000000, 0x1000, fd, 0, 3), 0);
		front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
		guest_expect(d, VH_MSG_SET_OWNER);
		assert_int_equal(vfu_dma_unmap(c, 0x40000000, 0x1000), 0);
	}
	close(fd);
}

/* ---- The driver's registers ---- */

static void a_status_bit_that_is_none_breaks_the_device(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	guest_set_status(d, 7);
	expect_broken(d);
}

static void a_device_that_waits_for_a_reset_is_not_broken_again(void **state)
{
	struct dev *d = *state;
	struct vh_vvu_pci_stats s;

	dev_open(d, &plain);
	dev_session(d, 0);
	for (unsigned i = 0; i < 3; i++)
		guest_set_status(d, 7);
	dev_stats(d, &s);
	assert_int_equal(s.broken, 1);
	expect_broken(d);
}

static void registers_take_anything(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.poll_doorbells = true, .file = 0x10000};
	static const unsigned bar[] = {0, 0, 0, 0, 1, 2, 3, 4};

	dev_open(d, &o);
	dev_session(d, 0);
	srandom(1);
	for (unsigned i = 0; i < 5000; i++) {
		const unsigned b = bar[random() % 8];
		const unsigned width = 1u << random() % 4;
		const uint64_t page = (uint64_t)random() % 8 * 0x1000;
		const uint64_t at = page + (uint64_t)(random() % 64) * 8 % 0x1000;
		const uint64_t size = d->host->bus->bar_size(d->host, b);
		uint64_t value = (uint64_t)random() << random() % 32;

		if (random() % 2)
			value %= 16;
		d->host->bus->write(d->host, b, at % size, width, value);
		d->host->bus->read(d->host, b, at % size, width, &value);
	}
	expect_service(d);
}

static void configuration_space_takes_anything(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	srandom(2);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t value = (uint32_t)random() ^ (uint32_t)random() << 16;

		d->host->bus->config_write(d->host, (unsigned)random() % 64 * 4, &value,
					   4);
	}
	expect_service(d);
}

/* ---- Front-ends ---- */

static void a_front_end_that_breaks_the_protocol_is_cut_off(void **state)
{
	struct dev *d = *state;
	static const struct {
		uint32_t id, flags, size;
		uint64_t value;
		unsigned n_fds;
	} bad[] = {
		{VH_MSG_SET_FEATURES, 1, 4, 0, 0},	 /* size         */
		{VH_MSG_SET_FEATURES, 2, 8, 0, 0},	 /* version      */
		{VH_MSG_SET_FEATURES, 1, 8, 0, 1},	 /* an fd        */
		{VH_MSG_SET_VRING_KICK, 1, 8, 0, 0},	 /* no fd        */
		{VH_MSG_SET_VRING_KICK, 1, 8, 0x200, 1}, /* index 512   */
		{VH_MSG_SET_MEM_TABLE, 1, 8, 9, 1},	 /* 9 regions    */
		{VH_MSG_GPU_SET_SOCKET, 1, 8, 0, 1},	 /* not over VVU */
	};

	dev_open(d, &plain);
	guest_start(d, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = eventfd(0, 0);

		guest_is_ready(d);
		front_connect(d);
		guest_hear(d, 0);
		peer_send(d->fd, bad[i].id, bad[i].flags, &bad[i].value, bad[i].size, &fd,
			  bad[i].n_fds);
		assert_true(front_is_closed(d));
		guest_hear(d, 0);
		assert_int_equal(guest_status(d), 0);
		assert_false(guest_needs_reset(d));
		front_close(d);
		close(fd);
	}
}

static void messages_wait_in_order_for_buffers(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.no_buffers = true};

	dev_open(d, &o);
	dev_session(d, 0);
	for (unsigned i = 0; i < 100; i++) {
		const struct vh_wire_state s = {i, 1};

		front_say(d, VH_MSG_SET_VRING_NUM, &s, sizeof(s), NULL, 0);
	}
	for (uint32_t i = 0; i < 100; i++) {
		uint8_t msg[DEV_BUFFER];
		uint32_t index;

		guest_add_rx(d, 0, DEV_BUFFER);
		assert_int_equal(guest_recv(d, msg), 20);
		memcpy(&index, msg + 12, sizeof(index));
		assert_int_equal(index, i);
	}
}

/* ---- Coming and going ---- */

static void sessions_by_the_thousand_leave_no_fd(void **state)
{
	struct dev *d = *state;
	struct vh_vvu_pci_stats s;
	int n_fds = 0;

	dev_open(d, &plain);
	guest_start(d, VH_BIT(VH_VVU_F_NOTIFY));
	for (unsigned i = 0; i < 1000; i++) {
		guest_is_ready(d);
		front_connect(d);
		guest_hear(d, 0);
		close(front_wire(d, VH_MSG_SET_VRING_KICK, i % 256));
		close(front_wire(d, VH_MSG_SET_VRING_CALL, i % 256));
		if (!n_fds)
			n_fds = rig_count_fds();
		assert_int_equal(rig_count_fds(), n_fds);
		front_close(d);
		guest_hear(d, 0);
	}
	dev_stats(d, &s);
	assert_int_equal(s.relay.sessions, 1000);
	assert_int_equal(s.broken, 0);
}

/* Reset a device that a front-end talks to; and again at once. */
static void resets_in_a_row_in_traffic_do_no_harm(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	for (unsigned i = 0; i < 10; i++) {
		dev_session(d, 0);
		for (unsigned k = 0; k < 30; k++)
			front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
		guest_expect(d, VH_MSG_SET_OWNER);
		guest_reset(d);
		guest_reset(d);
		assert_int_equal(guest_status(d), 0);
		assert_true(front_is_closed(d));
		front_close(d);
	}
	expect_service(d);
}

static void a_reset_of_the_function_is_a_reset(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	assert_int_equal(d->host->bus->reset(d->host), 0);
	assert_int_equal(vh_virtio_drv_status(&d->drv), 0);
	assert_int_equal(guest_status(d), 0);
	assert_true(front_is_closed(d));
	expect_service(d);
}

static void a_vmm_that_goes_ends_the_session_and_another_comes(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	for (unsigned i = 0; i < 5; i++) {
		struct vfu_io_fd io[16];
		unsigned n;

		dev_session(d, 0);
		vfu_get_io_fds(vfu_test_bus_client(d->host), 2, io, 16, &n);
		for (unsigned k = 0; k < n; k++)
			close(io[k].fd);
		guest_disconnect(d);
		assert_true(front_is_closed(d));
		front_close(d);
		guest_connect(d);
	}
	dev_session(d, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEV_TEST(a_message_of_no_bytes_breaks_the_device),
		DEV_TEST(a_message_of_11_bytes_breaks_the_device),
		DEV_TEST(a_message_longer_than_it_says_breaks_the_device),
		DEV_TEST(a_message_larger_than_any_breaks_the_device),
		DEV_TEST(what_is_sent_to_nobody_is_dropped),
		DEV_TEST(a_message_that_does_not_fit_breaks_the_device),
		DEV_TEST(a_buffer_outside_of_memory_breaks_the_device),
		DEV_TEST(an_rx_buffer_outside_of_memory_breaks_the_device),
		DEV_TEST(queues_in_no_memory_are_not_used),
		DEV_TEST(queues_in_no_memory_are_told_once),
		DEV_TEST(without_bus_mastering_nothing_is_touched),
		DEV_TEST(memory_that_goes_is_not_used_and_may_come_back),
		DEV_TEST(memory_that_the_vmm_keeps_to_itself_is_told_with_the_cure),
		DEV_TEST(memory_that_is_not_the_guests_is_told_when_the_driver_is_ready),
		DEV_TEST(other_memory_may_come_and_go_in_traffic),
		DEV_TEST(a_status_bit_that_is_none_breaks_the_device),
		DEV_TEST(a_device_that_waits_for_a_reset_is_not_broken_again),
		DEV_TEST(registers_take_anything),
		DEV_TEST(configuration_space_takes_anything),
		DEV_TEST(a_front_end_that_breaks_the_protocol_is_cut_off),
		DEV_TEST(messages_wait_in_order_for_buffers),
		DEV_TEST(sessions_by_the_thousand_leave_no_fd),
		DEV_TEST(resets_in_a_row_in_traffic_do_no_harm),
		DEV_TEST(a_reset_of_the_function_is_a_reset),
		DEV_TEST(a_vmm_that_goes_ends_the_session_and_another_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
