/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-pci adapter with a driver that does by hand what it likes, and a front-end of
 * bytes.  The device is on a thread of its own; a register that was read says that all
 * that was written before is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../conn/rig.h"
#include "../vfu/client.h"
#include "reactor/drive.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "conn/msgq.h"
#include "spec/vvu.h"
#include "vvu/adapter.h"
#include "vvu/adapter_regs.h"

#define PATIENCE_MS 20000
#define FEATURES    (VH_BIT(VH_ADAPTER_F_VERSION_1) | VH_BIT(VH_ADAPTER_F_BACKEND_REQ))
#define FEATURES_OK VH_ADAPTER_CONTROL_FEATURES_OK
#define READY	    (FEATURES_OK | VH_ADAPTER_CONTROL_READY)

#define CONFIG	(VH_ADAPTER_STATUS_FEATURES_OK)
#define IDLE	(CONFIG | VH_ADAPTER_STATUS_LIVE)
#define SESSION (IDLE | VH_ADAPTER_STATUS_CONNECTED)
#define QUIESCE (IDLE | VH_ADAPTER_STATUS_QUIESCE)
#define FAILED	VH_ADAPTER_STATUS_FAILED

struct hand {
	struct rig *rig;
	char vmm[80], front[80];
	struct vh_reactor *reactor;
	pthread_t thread;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_adapter *adapter;
	struct vh_pci_host *host;
	struct vh_msgq q;
	int vector[2]; /* of the status, and of M2S */
	int fd;	       /* the front-end's; -1: none */
};

/* ---- The driver ---- */

static uint64_t get(struct hand *h, uint64_t at, unsigned width)
{
	uint64_t v = 0;

	assert_int_equal(h->host->bus->read(h->host, VH_ADAPTER_BAR, at, width, &v), 0);
	return v;
}

static void put(struct hand *h, uint64_t at, uint64_t v, unsigned width)
{
	assert_int_equal(h->host->bus->write(h->host, VH_ADAPTER_BAR, at, width, v), 0);
}

static void wait_status(struct hand *h, uint32_t status)
{
	for (unsigned i = 0; get(h, VH_ADAPTER_STATUS, 4) != status; i++) {
		assert_in_range(i, 0, PATIENCE_MS);
		poll(NULL, 0, 1);
	}
}

static void set_master(struct hand *h, bool on)
{
	const uint16_t command = PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0);

	assert_int_equal(h->host->bus->config_write(h->host, PCI_COMMAND, &command, 2),
			 0);
}

static void connect_vmm(struct hand *h)
{
	char address[96];

	snprintf(address, sizeof(address), "test:%s", h->vmm);
	assert_int_equal(vh_pci_open(address, "hand", &h->host), 0);
	set_master(h, true);
	assert_int_equal(h->host->bus->set_vectors(h->host, h->vector, 2), 0);
}

static void enable(struct hand *h, unsigned i)
{
	const uint64_t bank = VH_ADAPTER_BANK(i);
	struct vh_msgq_ring r;

	vh_msgq_ring(&h->q, (enum vh_msgq_side)i, &r);
	put(h, bank + VH_ADAPTER_Q_SIZE, r.size, 4);
	put(h, bank + VH_ADAPTER_Q_DESC, r.desc, 8);
	put(h, bank + VH_ADAPTER_Q_AVAIL, r.avail, 8);
	put(h, bank + VH_ADAPTER_Q_USED, r.used, 8);
	put(h, bank + VH_ADAPTER_Q_VEC, 1, 2);
	put(h, bank + VH_ADAPTER_Q_ENABLE, 1, 4);
}

static void negotiate(struct hand *h)
{
	put(h, VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET, 4);
	put(h, VH_ADAPTER_DRV_FEATURES, FEATURES, 8);
	put(h, VH_ADAPTER_CONTROL, FEATURES_OK, 4);
	put(h, VH_ADAPTER_VEC_STATUS, 0, 2);
	assert_int_equal(get(h, VH_ADAPTER_STATUS, 4), CONFIG);
}

/* From reset to IDLE, with full queues. */
static void start(struct hand *h)
{
	negotiate(h);
	if (h->q.host)
		vh_msgq_close(&h->q);
	assert_int_equal(vh_msgq_open(&h->q, h->host, "hand", 16, 16, 0), 0);
	vh_msgq_fill(&h->q);
	enable(h, VH_ADAPTER_M2S);
	enable(h, VH_ADAPTER_S2M);
	put(h, VH_ADAPTER_CONTROL, READY, 4);
}

/* The next message has this number. */
static void expect_message(struct hand *h, uint32_t id)
{
	struct vh_msg m;
	bool notify;
	int got;

	for (unsigned i = 0; !(got = vh_msgq_recv(&h->q, &m, false, &notify)); i++) {
		assert_in_range(i, 0, PATIENCE_MS);
		poll(NULL, 0, 1);
	}
	assert_int_equal(got, 1);
	assert_int_equal(m.id, id);
	if (notify)
		put(h, VH_ADAPTER_NOTIFY(VH_ADAPTER_M2S), 0, 4);
}

/* ---- The front-end ---- */

static void hang_up(struct hand *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

static void say(struct hand *h, uint32_t id)
{
	peer_send(h->fd, id, VH_FLAG_VERSION, NULL, 0, NULL, 0);
}

static void expect_hung_up(struct hand *h)
{
	assert_true(fd_is_readable(h->fd, PATIENCE_MS));
	assert_true(peer_is_closed(h->fd));
}

static void begin_session(struct hand *h)
{
	hang_up(h);
	h->fd = peer_connect(h->front);
	wait_status(h, SESSION);
}

/* ---- Life ---- */

static void *run(void *arg)
{
	vh_reactor_run(arg);
	return NULL;
}

static void open_adapter(struct hand *h)
{
	const struct vh_reactor_params reactor = {
		.size = sizeof(reactor), .name = "adapter", .cpu = -1};
	struct vh_adapter_params p = {
		.pci = h->vmm, .tag = "adapter", .accept_early = true};
	char front[96];

	snprintf(front, sizeof(front), "unix:%s", h->front);
	assert_int_equal(vh_reactor_create(&reactor, &h->reactor), 0);
	assert_int_equal(vh_window_trap(1 << 20, "window", &h->window), 0);
	assert_int_equal(vh_area_create("area", &h->area), 0);
	p.front = front;
	p.window = h->window;
	p.area = h->area;
	assert_int_equal(vh_adapter_open(h->reactor, &p, &h->adapter), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, run, h->reactor), 0);
}

static int setup(void **state)
{
	static bool added;
	struct hand *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	if (!added)
		vfu_test_bus_add();
	added = true;
	rig_setup((void **)&h->rig);
	snprintf(h->vmm, sizeof(h->vmm), "%s/vmm", h->rig->dir);
	snprintf(h->front, sizeof(h->front), "%s/front", h->rig->dir);
	h->fd = -1;
	for (unsigned i = 0; i < 2; i++)
		h->vector[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	open_adapter(h);
	connect_vmm(h);
	*state = h;
	return 0;
}

static int setup_session(void **state)
{
	if (setup(state))
		return -1;
	start(*state);
	begin_session(*state);
	return 0;
}

static int teardown(void **state)
{
	struct hand *h = *state;
	int result;

	hang_up(h);
	if (h->q.host)
		vh_msgq_close(&h->q);
	vh_pci_close(h->host);
	vh_reactor_stop(h->reactor);
	pthread_join(h->thread, NULL);
	vh_adapter_close(h->adapter);
	vh_area_destroy(h->area);
	vh_window_destroy(h->window);
	vh_reactor_destroy(h->reactor);
	close(h->vector[0]);
	close(h->vector[1]);
	result = rig_teardown((void **)&h->rig);
	free(h);
	return result;
}

/* All is well: a whole life, from reset to a message. */
static void expect_usable(struct hand *h)
{
	start(h);
	wait_status(h, IDLE);
	begin_session(h);
	say(h, VH_MSG_GET_FEATURES);
	expect_message(h, VH_MSG_GET_FEATURES);
}

static void expect_failed(struct hand *h)
{
	wait_status(h, FAILED);
	assert_int_equal(get(h, VH_ADAPTER_ERROR, 4), VH_RELAY_BAD_QUEUE);
	if (h->fd >= 0)
		expect_hung_up(h);
	expect_usable(h);
}

/* ---- Sessions ---- */

static void the_status_has_its_interrupt(void **state)
{
	struct hand *h = *state;

	assert_true(fd_is_readable(h->vector[0], PATIENCE_MS));
	assert_int_equal(get(h, VH_ADAPTER_INT_STATUS, 4) & VH_ADAPTER_INT_CHANGED, 1);
}

static void the_next_front_end_waits_for_the_drivers_word(void **state)
{
	struct hand *h = *state;

	say(h, VH_MSG_GET_FEATURES);
	expect_message(h, VH_MSG_GET_FEATURES);
	hang_up(h);
	wait_status(h, QUIESCE);
	h->fd = peer_connect(h->front);
	say(h, VH_MSG_SET_OWNER);
	put(h, VH_ADAPTER_SESSION_ACK, 0, 4);
	put(h, VH_ADAPTER_SESSION_ACK, 2, 4);
	assert_int_equal(get(h, VH_ADAPTER_STATUS, 4), QUIESCE);
	assert_int_equal(get(h, VH_ADAPTER_ERROR, 4), VH_RELAY_FRONTEND_CLOSED);
	put(h, VH_ADAPTER_SESSION_ACK, 1, 4);
	wait_status(h, SESSION);
	assert_int_equal(get(h, VH_ADAPTER_SESSION, 4), 2);
	expect_message(h, VH_MSG_SET_OWNER);
}

static void a_driver_that_leaves_hangs_up(void **state)
{
	struct hand *h = *state;

	put(h, VH_ADAPTER_CONTROL, FEATURES_OK, 4);
	assert_int_equal(get(h, VH_ADAPTER_STATUS, 4), CONFIG);
	expect_hung_up(h);
	put(h, VH_ADAPTER_CONTROL, READY, 4);
	begin_session(h);
	say(h, VH_MSG_SET_OWNER);
	expect_message(h, VH_MSG_SET_OWNER);
}

static void a_reset_hangs_up(void **state)
{
	struct hand *h = *state;

	put(h, VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET, 4);
	expect_hung_up(h);
	expect_usable(h);
}

static void a_reset_of_the_function_hangs_up(void **state)
{
	struct hand *h = *state;

	assert_int_equal(h->host->bus->reset(h->host), 0);
	expect_hung_up(h);
	set_master(h, true);
	expect_usable(h);
}

static void a_vmm_that_goes_hangs_up_and_another_comes(void **state)
{
	struct hand *h = *state;

	vh_msgq_close(&h->q);
	vh_pci_close(h->host);
	expect_hung_up(h);
	connect_vmm(h);
	expect_usable(h);
}

/* ---- Messages that are none ---- */

static void send_nonsense(struct hand *h)
{
	struct vh_msg m;
	bool notify;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	m.is_reply = true;
	m.payload = VH_PAYLOAD_U64;
	assert_int_equal(vh_msgq_send(&h->q, &m, &notify), 0);
	put(h, VH_ADAPTER_NOTIFY(VH_ADAPTER_S2M), 0, 4);
}

static void an_answer_to_nothing_ends_the_session_alone(void **state)
{
	struct hand *h = *state;

	send_nonsense(h);
	wait_status(h, QUIESCE);
	assert_int_equal(get(h, VH_ADAPTER_ERROR, 4), VH_RELAY_DRIVER_ERROR);
	expect_hung_up(h);
	put(h, VH_ADAPTER_SESSION_ACK, 1, 4);
	begin_session(h);
}

static void messages_between_sessions_are_dropped(void **state)
{
	struct hand *h = *state;

	hang_up(h);
	wait_status(h, QUIESCE);
	for (unsigned i = 0; i < 64; i++)
		send_nonsense(h);
	put(h, VH_ADAPTER_SESSION_ACK, 1, 4);
	begin_session(h);
	say(h, VH_MSG_SET_OWNER);
	expect_message(h, VH_MSG_SET_OWNER);
}

static void a_message_that_is_too_long_ends_the_session(void **state)
{
	static const uint8_t payload[VH_ADAPTER_MAX_MSG];
	struct hand *h = *state;

	peer_send(h->fd, 1000, VH_FLAG_VERSION, payload, sizeof(payload), NULL, 0);
	wait_status(h, QUIESCE);
	assert_int_equal(get(h, VH_ADAPTER_ERROR, 4), VH_RELAY_TOO_LARGE);
	expect_hung_up(h);
}

/* ---- Queues that are none ---- */

static void queues_outside_of_memory_fail(void **state)
{
	struct hand *h = *state;

	negotiate(h);
	for (unsigned i = 0; i < 2; i++) {
		put(h, VH_ADAPTER_BANK(i) + VH_ADAPTER_Q_DESC, 0x7fff0000000, 8);
		put(h, VH_ADAPTER_BANK(i) + VH_ADAPTER_Q_ENABLE, 1, 4);
	}
	put(h, VH_ADAPTER_CONTROL, READY, 4);
	expect_failed(h);
}

static void without_bus_mastering_nobody_is_ready(void **state)
{
	struct hand *h = *state;

	set_master(h, false);
	start(h);
	wait_status(h, FAILED);
	set_master(h, true);
	expect_failed(h);
}

static void a_broken_ring_fails(void **state)
{
	struct hand *h = *state;
	uint8_t *avail = h->q.dma.va + h->q.side[VH_MSGQ_TX].ring_at + 16 * 16;
	const uint16_t far = 0x8000;

	memcpy(avail + 2, &far, sizeof(far));
	put(h, VH_ADAPTER_NOTIFY(VH_ADAPTER_S2M), 0, 4);
	expect_failed(h);
}

static void a_buffer_outside_of_memory_fails(void **state)
{
	struct hand *h = *state;
	uint8_t *desc = h->q.dma.va + h->q.side[VH_MSGQ_RX].ring_at;
	const uint64_t nowhere = 0x7fff0000000;

	for (unsigned i = 0; i < 16; i++)
		memcpy(desc + (size_t)16 * i, &nowhere, sizeof(nowhere));
	say(h, VH_MSG_GET_FEATURES);
	expect_failed(h);
}

static void memory_that_goes_fails(void **state)
{
	struct hand *h = *state;

	assert_int_equal(vfu_dma_unmap_all(vfu_test_bus_client(h->host)), 0);
	say(h, VH_MSG_GET_FEATURES);
	wait_status(h, FAILED);
	expect_hung_up(h);
}

/* ---- Registers ---- */

static uint32_t dice(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void anything_written_anywhere_does_no_harm(void **state)
{
	struct hand *h = *state;
	uint32_t seed = 1;

	for (unsigned i = 0; i < 5000; i++) {
		const unsigned width = 1u << dice(&seed) % 4;
		const uint64_t part = dice(&seed) % 4 * 0x1000;
		const uint64_t at = part + dice(&seed) % (part ? 0x1000 : 0x180);
		const uint64_t v = dice(&seed) % 3 ? dice(&seed) % 8 : ~0ull;

		if (i % 8)
			put(h, at & ~(width - 1ull), v, width);
		else
			get(h, at & ~(width - 1ull), width);
		if (i % 500 == 0)
			start(h);
	}
	expect_usable(h);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define S(name) cmocka_unit_test_setup_teardown(name, setup_session, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		S(the_status_has_its_interrupt),
		S(the_next_front_end_waits_for_the_drivers_word),
		S(a_driver_that_leaves_hangs_up),
		S(a_reset_hangs_up),
		S(a_reset_of_the_function_hangs_up),
		S(a_vmm_that_goes_hangs_up_and_another_comes),
		S(an_answer_to_nothing_ends_the_session_alone),
		S(messages_between_sessions_are_dropped),
		S(a_message_that_is_too_long_ends_the_session),
		T(queues_outside_of_memory_fail),
		T(without_bus_mastering_nobody_is_ready),
		S(a_broken_ring_fails),
		S(a_buffer_outside_of_memory_fails),
		S(memory_that_goes_fails),
		T(anything_written_anywhere_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
