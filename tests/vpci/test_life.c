/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues and devices that start, stop, break and start again; interrupts. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/barrier.h"
#include "session/device.h"

static void open_running(struct vmm *m, struct rig *rig)
{
	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(m, rig);
	vmm_start(m, 0, 2);
}

static void close_all(struct vmm *m, struct rig *rig)
{
	vmm_close(m);
	rig_end(rig);
}

/* One chain that the device does not give back. */
static void keep_one(struct vmm *m, struct rig *rig)
{
	const struct iovec iov = {.iov_base = vmm_buffer(m, 0), .iov_len = 64};

	keeper_keep(&rig->keeper);
	vmm_add(m, 0, &iov, 0, 1);
	keeper_wait(&rig->keeper, 1);
}

/* ---- Reset ---- */

static void send_status(struct vmm *m, uint8_t status)
{
	const struct vh_vfu_region_access head = {.offset = m->drv.common.offset +
							    VIRTIO_PCI_COMMON_STATUS,
						  .region = m->drv.common.bar,
						  .count = 1};
	uint8_t w[sizeof(head) + 1];

	memcpy(w, &head, sizeof(head));
	w[sizeof(head)] = status;
	assert_int_equal(vfu_send(m->c, VH_VFU_REGION_WRITE, 0, w, sizeof(w), NULL, 0),
			 0);
}

static void a_reset_in_traffic_is_done_when_the_device_has_let_go(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (uint32_t i = 1; i <= 10; i++) {
		keep_one(&m, rig);
		send_status(&m, 0);
		assert_true(vmm_hears_nothing(&m));
		keeper_let_go(&rig->keeper);
		assert_int_equal(vfu_recv(m.c), 0);
		assert_int_equal(vh_virtio_drv_status(&m.drv), 0);
		vmm_start(&m, 0, 2);
		vmm_use(&m, 0);
		vmm_use(&m, 1);
	}
	close_all(&m, rig);
}

static void so_is_one_of_the_whole_function(void **state)
{
	struct rig *rig = *state;
	uint16_t command = 0xffff;
	struct vmm m;

	open_running(&m, rig);
	keep_one(&m, rig);
	assert_int_equal(vfu_send(m.c, VH_VFU_RESET, 0, NULL, 0, NULL, 0), 0);
	assert_true(vmm_hears_nothing(&m));
	keeper_let_go(&rig->keeper);
	assert_int_equal(vfu_recv(m.c), 0);
	assert_int_equal(m.c->reply.flags, VH_VFU_REPLY);
	assert_int_equal(vh_virtio_drv_status(&m.drv), 0);
	assert_int_equal(m.host->bus->config_read(m.host, PCI_COMMAND, &command, 2), 0);
	assert_int_equal(command, 0);
	close_all(&m, rig);
}

/* Firmware does it again and again. */
static void a_reset_of_what_was_never_used_tells_nobody(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(vh_virtio_drv_reset(&m.drv), 0);
	assert_int_equal(vh_load_relaxed(&rig->keeper.n_resets), 0);
	close_all(&m, rig);
}

static void a_thousand_resets_leave_nothing_behind(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 1000; i++) {
		if (i % 2)
			vmm_begin(&m, 0);
		else
			vmm_start(&m, 0, 1 + i / 2 % 2);
	}
	vmm_start(&m, 0, 2);
	vmm_use(&m, 1);
	close_all(&m, rig);
}

/* ---- One queue ---- */

static void select_queue(struct vmm *m, unsigned q)
{
	vmm_set_common(m, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
}

static void a_queue_is_reset_while_others_run(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	vmm_start(&m, 1ull << VIRTIO_F_RING_RESET, 2);
	for (unsigned i = 0; i < 10; i++) {
		vmm_use(&m, 0);
		select_queue(&m, 0);
		vmm_set_common(&m, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		assert_int_equal(vmm_common(&m, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
		assert_int_equal(vmm_common(&m, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		vmm_use(&m, 1);
		vmm_enable(&m, 0);
		vmm_use(&m, 0);
	}
	close_all(&m, rig);
}

static void a_queue_that_is_enabled_late_runs(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	vmm_begin(&m, 0);
	assert_int_equal(m.host->bus->set_vectors(m.host, m.vector, 3), 0);
	assert_int_equal(vh_virtio_drv_ready(&m.drv), 0);
	vmm_enable(&m, 1);
	vmm_use(&m, 1);
	vmm_enable(&m, 0);
	vmm_use(&m, 0);
	close_all(&m, rig);
}

static bool is_started(const struct rig *rig, unsigned q)
{
	struct vh_queue_stats s;

	vh_queue_read_stats(vh_device_queue(rig->device, q), &s);
	return s.started;
}

static void without_bus_master_nothing_runs(void **state)
{
	struct rig *rig = *state;
	uint16_t command = PCI_COMMAND_MEMORY;
	struct iovec iov = {.iov_len = 64};
	struct vmm m;
	uint32_t len;

	open_running(&m, rig);
	vmm_use(&m, 0);
	assert_int_equal(m.host->bus->config_write(m.host, PCI_COMMAND, &command, 2), 0);
	assert_false(is_started(rig, 0));
	iov.iov_base = vmm_buffer(&m, 0);
	vmm_add(&m, 0, &iov, 0, 1);
	assert_null(vh_driver_ring_get(m.ring[0], &len));
	command |= PCI_COMMAND_MASTER;
	assert_int_equal(m.host->bus->config_write(m.host, PCI_COMMAND, &command, 2), 0);
	vmm_get(&m, 0);
	close_all(&m, rig);
}

/* ---- Interrupts and doorbells ---- */

static void each_queue_signals_its_own_vector(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	vmm_use(&m, 0);
	vmm_use(&m, 1);
	for (unsigned q = 0; q < 2; q++) {
		(void)vmm_is_quiet(m.vector[1 + !q]);
		for (unsigned i = 0; i < 10; i++)
			vmm_use(&m, q);
		assert_true(vmm_is_quiet(m.vector[1 + !q]));
	}
	assert_true(vmm_is_quiet(m.vector[0]));
	close_all(&m, rig);
}

static void another_eventfd_is_signalled_from_then_on(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 20; i++) {
		const int old = m.vector[1];

		m.vector[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(vfu_set_vector(m.c, 1, m.vector[1]), 0);
		vmm_use(&m, 0);
		close(old);
	}
	close_all(&m, rig);
}

static void without_a_vector_a_queue_is_polled(void **state)
{
	struct rig *rig = *state;
	struct iovec iov = {.iov_len = 64};
	struct vmm m;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(&m, rig);
	vmm_start(&m, 0, 1);
	iov.iov_base = vmm_buffer(&m, 0);
	vmm_use(&m, 0);
	select_queue(&m, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff);
	vmm_add(&m, 0, &iov, 0, 1);
	vmm_poll(&m, 0);
	assert_int_equal(vfu_set_vector(m.c, 1, -1), 0);
	(void)vmm_is_quiet(m.vector[1]);
	vmm_add(&m, 0, &iov, 0, 1);
	vmm_poll(&m, 0);
	assert_true(vmm_is_quiet(m.vector[1]));
	assert_int_equal(vfu_set_vector(m.c, 1, m.vector[1]), 0);
	select_queue(&m, 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	vmm_use(&m, 0);
	close_all(&m, rig);
}

static void doorbells_are_there_for_who_asks(void **state)
{
	struct rig *rig = *state;
	struct vh_signal *kick[2];
	struct iovec iov;
	struct vmm m;

	open_running(&m, rig);
	iov = (struct iovec){.iov_base = vmm_buffer(&m, 0), .iov_len = 64};
	for (unsigned q = 0; q < 2; q++) {
		assert_int_equal(m.host->bus->signal(m.host, m.drv.notify.bar,
						     m.drv.notify.offset + 4 * q, 2, q,
						     &kick[q]),
				 0);
		vmm_use(&m, q);
	}
	for (unsigned i = 0; i < 50; i++) {
		const uint64_t messages = m.c->n_messages;

		assert_int_equal(vh_driver_ring_add(m.ring[i & 1], &iov, 0, 1, &iov), 0);
		vh_driver_ring_publish(m.ring[i & 1]);
		vh_signal_fire(kick[i & 1]);
		vmm_get(&m, i & 1);
		assert_int_equal(m.c->n_messages, messages);
	}
	vh_signal_put(kick[0]);
	vh_signal_put(kick[1]);
	close_all(&m, rig);
}

/* ---- VMMs that go ---- */

static void a_vmm_that_dies_with_chains_out_is_followed_by_another(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 10; i++) {
		struct vmm next;

		keep_one(&m, rig);
		vfu_disconnect(m.c);
		keeper_let_go(&rig->keeper);
		vmm_open(&next, rig);
		assert_int_equal(vh_virtio_drv_status(&next.drv), 0);
		vmm_start(&next, 0, 2);
		vmm_use(&next, 0);
		vmm_close(&m);
		m = next;
		/* Their translation has moved. */
		vmm_start(&m, 0, 2);
	}
	close_all(&m, rig);
}

static void who_is_there_is_told(void **state)
{
	struct rig *rig = *state;
	struct vh_device_stats s;
	struct vmm m;

	open_running(&m, rig);
	s = rig_stats(rig);
	assert_true(s.connected);
	assert_int_equal(s.connections, 1);
	assert_string_equal(s.address, rig->address);
	close_all(&m, rig);
}

static void the_server_may_end_with_a_vmm_and_chains_there(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	keep_one(&m, rig);
	vh_server_stop(rig->pair.server);
	assert_int_equal(vfu_recv(m.c), -EPIPE);
	keeper_let_go(&rig->keeper);
	pair_wait(&rig->pair);
	vmm_close(&m);
}

/* ---- A back-end that has enough ---- */

static void fault(struct rig *rig)
{
	vh_session_fault(&rig->device->session, "it had enough");
}

static void a_back_end_that_hangs_up_needs_a_reset_and_no_more(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_running(&m, rig);
	for (unsigned i = 0; i < 10; i++) {
		vmm_use(&m, 0);
		rig_do(rig, fault);
		vmm_expect_broken(&m);
		vmm_start(&m, 0, 2);
		vmm_use(&m, 1);
	}
	close_all(&m, rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_reset_in_traffic_is_done_when_the_device_has_let_go),
		RIG_TEST(so_is_one_of_the_whole_function),
		RIG_TEST(a_reset_of_what_was_never_used_tells_nobody),
		RIG_TEST(a_thousand_resets_leave_nothing_behind),
		RIG_TEST(a_queue_is_reset_while_others_run),
		RIG_TEST(a_queue_that_is_enabled_late_runs),
		RIG_TEST(without_bus_master_nothing_runs),
		RIG_TEST(each_queue_signals_its_own_vector),
		RIG_TEST(another_eventfd_is_signalled_from_then_on),
		RIG_TEST(without_a_vector_a_queue_is_polled),
		RIG_TEST(doorbells_are_there_for_who_asks),
		RIG_TEST(a_vmm_that_dies_with_chains_out_is_followed_by_another),
		RIG_TEST(who_is_there_is_told),
		RIG_TEST(the_server_may_end_with_a_vmm_and_chains_there),
		RIG_TEST(a_back_end_that_hangs_up_needs_a_reset_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
