/* SPDX-License-Identifier: BSD-3-Clause */
/* vhostpci: against a device of the test's own, good and bad. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "spec/vvu.h"
#include "vhostpci_fake.h"

static struct fake_adapter f;
static struct vh_connector *c;
static struct vh_mapping *mapping[2];

static const struct vh_wire_region region = {
	.gpa = 0x1000000, .size = 0x2000, .uva = 0x7f0000000000};

static int setup(void **state)
{
	const int err = rig_setup(state);

	c = NULL;
	memset(mapping, 0, sizeof(mapping));
	fake_make(&f);
	return err;
}

static int setup_open(void **state)
{
	const int err = setup(state);

	return err ? err
		   : vh_connector_open("vhostpci:adapter:", VH_ROLE_BACKEND, "test", &c);
}

static int setup_session(void **state)
{
	if (setup_open(state))
		return -1;
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
	return 0;
}

static int teardown(void **state)
{
	vh_mapping_put(mapping[0]);
	vh_mapping_put(mapping[1]);
	vh_connector_close(c);
	fake_free(&f);
	return rig_teardown(state);
}

/* ---- Sessions ---- */

/* As often as the connector may want to, with no news. */
static void look(void)
{
	enum vh_news news;
	struct vh_msg m;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vh_connector_recv(c, &m, &news), 0);
		assert_int_equal(news, VH_NEWS_NOTHING);
	}
}

static void messages_go_both_ways(void **state)
{
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);

	for (unsigned i = 0; i < 100; i++) {
		fake_say(&f, VH_MSG_GET_FEATURES);
		rig_expect_message(c, VH_MSG_GET_FEATURES);
		m.is_reply = true;
		m.payload = VH_PAYLOAD_U64;
		assert_int_equal(vh_connector_send(c, &m), 0);
		assert_int_equal(fake_hear(&f), VH_MSG_GET_FEATURES);
	}
	assert_int_equal(fake_hear(&f), 0);
}

static void what_was_said_last_comes_before_the_end(void **state)
{
	fake_say(&f, VH_MSG_SET_OWNER);
	fake_say(&f, VH_MSG_RESET_OWNER);
	fake_go(&f);
	rig_expect_message(c, VH_MSG_SET_OWNER);
	rig_expect_message(c, VH_MSG_RESET_OWNER);
	rig_expect(c, VH_NEWS_DOWN);
}

static int map(struct vh_mapping **into)
{
	bool changed;

	return vh_connector_map(c, &region, 1, NULL, NULL, into, &changed);
}

static void place(uint64_t at)
{
	const struct vh_window_table table = {
		.n = 1, .region = {{region.gpa, region.size, region.uva, at}}};

	vh_adapter_set_memory(&f.regs, &table);
}

static void an_end_is_acknowledged_when_nothing_is_mapped(void **state)
{
	place(0x1000);
	assert_int_equal(map(mapping), 0);
	fake_go(&f);
	rig_expect(c, VH_NEWS_DOWN);
	look();
	assert_int_equal(f.regs.session_ack, 0);
	assert_true(f.regs.status & VH_ADAPTER_STATUS_QUIESCE);
	vh_mapping_put(mapping[0]);
	mapping[0] = NULL;
	look();
	assert_int_equal(f.regs.session_ack, 1);
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
}

static void we_leave_when_nothing_is_mapped(void **state)
{
	place(0x1000);
	assert_int_equal(map(mapping), 0);
	vh_connector_disconnect(c);
	look();
	assert_int_equal(f.n_unready, 0);
	vh_mapping_put(mapping[0]);
	mapping[0] = NULL;
	look();
	assert_int_equal(f.n_unready, 1);
	assert_int_equal(f.n_ready, 2);
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
}

static void one_that_came_and_went_is_not_waited_for(void **state)
{
	fake_come(&f);
	fake_go(&f);
	look();
	assert_int_equal(f.regs.session_ack, 1);
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
}

static void a_device_that_failed_is_started_anew(void **state)
{
	vh_adapter_fail(&f.regs, VH_RELAY_BAD_QUEUE);
	rig_expect(c, VH_NEWS_DOWN);
	look();
	assert_true(vh_adapter_is_live(&f.regs));
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
	fake_say(&f, VH_MSG_SET_OWNER);
	rig_expect_message(c, VH_MSG_SET_OWNER);
}

static void a_device_that_is_gone_is_the_end(void **state)
{
	f.is_gone = true;
	eventfd_write(f.vector[0], 1);
	rig_expect(c, VH_NEWS_DOWN);
	assert_true(c->is_over);
}

static void a_status_of_ones_is_no_status(void **state)
{
	fake_lie(&f, VH_ADAPTER_STATUS, 0xffffffff);
	eventfd_write(f.vector[0], 1);
	rig_expect(c, VH_NEWS_DOWN);
	assert_true(c->is_over);
}

/* ---- Memory ---- */

static void memory_is_where_the_table_says(void **state)
{
	place(0x3000);
	assert_int_equal(map(mapping), 0);
	memcpy(mapping[0]->addr, "here", 4);
	assert_int_equal(rig_byte_at(f.window, 0x3000), 'h');
	assert_int_equal(mapping[0]->len, region.size);
}

static void places_outside_of_the_window_are_none(void **state)
{
	static const uint64_t bad[] = {FAKE_WINDOW, FAKE_WINDOW - 0x1000, UINT64_MAX,
				       UINT64_MAX - 0x1000};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		place(bad[i]);
		assert_int_equal(map(mapping), -EINVAL);
	}
}

static void a_region_without_a_place_is_refused(void **state)
{
	assert_int_equal(map(mapping), -EINVAL);
	assert_int_equal(rig_logged("no place"), 1);
}

static void a_table_that_is_none_is_refused(void **state)
{
	place(0);
	fake_lie(&f, VH_ADAPTER_MEM_COUNT, 9);
	assert_true(map(mapping) < 0);
	f.n_lies = 0;
	fake_lie(&f, VH_ADAPTER_MEM_COUNT, 0xffffffff);
	assert_true(map(mapping) < 0);
	f.n_lies = 0;
	fake_lie(&f, VH_ADAPTER_MEM_GEN, 3);
	assert_true(map(mapping) < 0);
	f.n_lies = 0;
	f.moves = true;
	assert_true(map(mapping) < 0);
}

static void the_log_is_where_its_register_says(void **state)
{
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, VH_MSG_SET_LOG_BASE);

	m.payload = VH_PAYLOAD_LOG;
	m.log.size = 0x1000;
	assert_int_equal(vh_connector_map_area(c, &m, mapping), -ENOTSUP);
	vh_adapter_set_area(&f.regs, VH_VVU_SHM_LOG, 0x8000, 0x1000);
	assert_int_equal(vh_connector_map_area(c, &m, mapping), 0);
	mapping[0]->addr[0] = 'x';
	assert_int_equal(rig_byte_at(f.area, 0x8000), 'x');
	m.log.size = 0x2000;
	assert_int_equal(vh_connector_map_area(c, &m, mapping + 1), -ENOTSUP);
	fake_lie(&f, VH_ADAPTER_LOG_LEN, UINT64_MAX);
	m.log.size = FAKE_AREA;
	assert_int_equal(vh_connector_map_area(c, &m, mapping + 1), -EINVAL);
}

/* ---- Signals ---- */

static struct vh_signal *signal_of(uint32_t id, unsigned vring)
{
	struct vh_msg m = rig_message(VH_CHANNEL_MAIN, id);
	struct vh_signal *s = NULL;

	m.payload = VH_PAYLOAD_VRING_FD;
	m.u64 = vring;
	assert_int_equal(vh_connector_signal(c, &m, &s), 0);
	return s;
}

static void a_kick_is_an_interrupt_of_its_own(void **state)
{
	struct vh_signal *s = signal_of(VH_MSG_SET_VRING_KICK, 5);
	eventfd_t n;

	assert_non_null(s);
	vh_adapter_kicked(&f.regs, 5);
	assert_int_equal(eventfd_read(s->fd, &n), 0);
	vh_adapter_kicked(&f.regs, 4);
	assert_int_equal(eventfd_read(s->fd, &n), -1);
	vh_signal_put(s);
}

static void a_call_is_a_doorbell(void **state)
{
	vh_signal_put(signal_of(VH_MSG_SET_VRING_CALL, 5));
	vh_signal_put(signal_of(VH_MSG_SET_VRING_ERR, 255));
	assert_int_equal(f.n_doorbells, 2);
}

/* ---- Devices that are none ---- */

static int try_open(void)
{
	const int err =
		vh_connector_open("vhostpci:adapter:", VH_ROLE_BACKEND, "test", &c);

	f.n_lies = 0;
	return err;
}

static void a_device_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		uint64_t at, value;
	} bad[] = {
		{VH_ADAPTER_MAGIC, 0},
		{VH_ADAPTER_VERSION, 0x00020000},
		{VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_RESET},
		{VH_ADAPTER_DEV_FEATURES, 0},
		{VH_ADAPTER_N_VRINGS, 0},
		{VH_ADAPTER_N_VRINGS, 257},
		{VH_ADAPTER_MSG_SIZE, 0x100000},
		{VH_ADAPTER_DB_STRIDE, 0},
		{VH_ADAPTER_DB_STRIDE, 0x80000000},
		{VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_MAX, 0},
		{VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_MAX, 3},
		{VH_ADAPTER_STATUS, VH_ADAPTER_STATUS_FAILED},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_lie(&f, bad[i].at, bad[i].value);
		assert_true(try_open() < 0);
		assert_false(f.is_open);
	}
	assert_int_equal(try_open(), 0);
}

static void few_vectors_are_shared(void **state)
{
	struct vh_signal *s;
	eventfd_t n;

	f.n_vectors = 3;
	assert_int_equal(try_open(), 0);
	fake_come(&f);
	rig_expect(c, VH_NEWS_UP);
	s = signal_of(VH_MSG_SET_VRING_KICK, 200);
	assert_non_null(s);
	vh_adapter_kicked(&f.regs, 200);
	look();
	assert_int_equal(eventfd_read(s->fd, &n), 0);
	vh_signal_put(s);
}

static void it_is_for_back_ends(void **state)
{
	struct vh_connector *front;

	assert_int_equal(
		vh_connector_open("vhostpci:adapter:", VH_ROLE_FRONTEND, "test", &front),
		-EINVAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define O(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)
#define S(name) cmocka_unit_test_setup_teardown(name, setup_session, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		S(messages_go_both_ways),
		S(what_was_said_last_comes_before_the_end),
		S(an_end_is_acknowledged_when_nothing_is_mapped),
		S(we_leave_when_nothing_is_mapped),
		O(one_that_came_and_went_is_not_waited_for),
		S(a_device_that_failed_is_started_anew),
		S(a_device_that_is_gone_is_the_end),
		S(a_status_of_ones_is_no_status),
		S(memory_is_where_the_table_says),
		S(places_outside_of_the_window_are_none),
		S(a_region_without_a_place_is_refused),
		S(a_table_that_is_none_is_refused),
		S(the_log_is_where_its_register_says),
		S(a_kick_is_an_interrupt_of_its_own),
		S(a_call_is_a_doorbell),
		T(a_device_that_makes_no_sense_is_refused),
		T(few_vectors_are_shared),
		T(it_is_for_back_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
