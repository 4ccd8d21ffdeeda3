/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends that come to a device of this guest and go, and what they say. */
#include "rig.h"
#include "vvu_fake.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>

#define DEVICE	"vvu:fake:device"
#define VERSION VH_FLAG_VERSION

static void a_front_end_that_comes_is_up_and_one_that_goes_is_down(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	for (unsigned i = 0; i < 3; i++) {
		rig_expect_quiet(c);
		assert_int_equal(fake_status(f), VH_VVU_BACKEND_UP);
		fake_arrive(f);
		rig_expect(c, VH_NEWS_UP);
		rig_expect_quiet(c);
		fake_depart(f);
		rig_expect(c, VH_NEWS_DOWN);
		assert_false(c->at_fault);
		assert_int_equal(fake_status(f), 0);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_front_end_that_waits_already_is_up_at_once(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	enum vh_news news;
	struct vh_msg m;

	assert_int_equal(vh_connector_recv(c, &m, &news), 0);
	fake_set_status_quietly(f, VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect(c, VH_NEWS_UP);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	fake_free(f);
}

static void messages_come_in_order_before_their_senders_end(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_SET_OWNER, VERSION, NULL, 0);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	fake_depart(f);
	rig_expect_message(c, VH_MSG_SET_OWNER);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
	fake_free(f);
}

static void more_messages_than_there_are_buffers_get_through(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	uint64_t features = 0;
	struct vh_msg m;

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	for (unsigned i = 0; i < 1000; i++) {
		features = i;
		fake_send(f, VH_MSG_SET_FEATURES, VERSION, &features, sizeof(features));
		assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
		assert_int_equal(m.id, VH_MSG_SET_FEATURES);
		assert_int_equal(m.u64, i);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_reply_is_sent_as_it_is_and_buffers_come_back(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	struct vh_msg request, reply;
	uint32_t id, flags;
	uint64_t value;

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	vh_msg_init(&request, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	vh_msg_init_reply(&reply, &request, VH_PAYLOAD_U64);
	for (unsigned i = 0; i < 100; i++) {
		reply.u64 = 1000 + i;
		assert_int_equal(vh_connector_send(c, &reply), 0);
		assert_int_equal(fake_take(f, &id, &flags, &value, sizeof(value)), 8);
		assert_int_equal(id, VH_MSG_GET_FEATURES);
		assert_int_equal(flags, VERSION | VH_FLAG_REPLY);
		assert_int_equal(value, 1000 + i);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_that_takes_nothing_is_not_waited_for(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	struct vh_msg request, reply;
	unsigned n = 0;
	int err = 0;

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	vh_msg_init(&request, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	vh_msg_init_reply(&reply, &request, VH_PAYLOAD_U64);
	for (; n < 1000 && !err; n++)
		err = vh_connector_send(c, &reply);
	assert_int_equal(err, -ENOBUFS);
	assert_in_range(n, 8, 100);
	vh_connector_close(c);
	fake_free(f);
}

static void nobody_is_sent_anything_who_is_not_there(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	struct vh_msg m;

	rig_expect_quiet(c);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_OWNER);
	m.is_reply = true;
	assert_int_equal(vh_connector_send(c, &m), -EPIPE);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(vh_connector_send(c, &m), -ENOTCONN);
	vh_connector_close(c);
	fake_free(f);
}

static void back_end_requests_go_out_without_the_reply_bit(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	uint32_t id, flags;
	struct vh_msg m;

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_SET_BACKEND_REQ_FD, VERSION, NULL, 0);
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(vh_connector_set_channel(c, vh_msg_take_fd(&m, 0)), 0);
	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(vh_connector_send(c, &m), 0);
	assert_int_equal(fake_take(f, &id, &flags, NULL, 0), 0);
	assert_int_equal(id, VH_MSG_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(flags, VERSION);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_without_back_end_requests_has_no_channel(void **state)
{
	const struct fake_shape shape = {.no_features = VH_BIT(VH_VVU_F_BACKEND_REQ)};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	assert_int_equal(vh_connector_set_channel(c, -1), -ENOTSUP);
	vh_connector_close(c);
	fake_free(f);
}

static void a_held_front_end_is_not_read_but_its_end_is_seen(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_SET_OWNER, VERSION, NULL, 0);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect_message(c, VH_MSG_SET_OWNER);
	vh_connector_hold(c, true);
	rig_expect_quiet(c);
	vh_connector_hold(c, false);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_hold(c, true);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	fake_depart(f);
	rig_expect(c, VH_NEWS_DOWN);
	vh_connector_close(c);
	fake_free(f);
}

static void a_session_that_we_end_leaves_nothing_to_the_next_one(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_SET_OWNER, VERSION, NULL, 0);
	vh_connector_disconnect(c);
	assert_int_equal(fake_status(f), 0);
	for (unsigned i = 0; i < 3; i++) {
		enum vh_news news;
		struct vh_msg m;

		assert_int_equal(vh_connector_recv(c, &m, &news), 0);
		assert_int_equal(news, VH_NEWS_NOTHING);
	}
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_that_needs_a_reset_gets_one(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	const unsigned resets = f->n_resets;

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_set_status_quietly(f, 0);
	fake_interrupt(f, vh_virtio_pci_needs_reset(&f->vp));
	rig_expect(c, VH_NEWS_DOWN);
	rig_expect_quiet(c);
	assert_int_equal(f->n_resets, resets + 1);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	fake_send(f, VH_MSG_GET_FEATURES, VERSION, NULL, 0);
	rig_expect_message(c, VH_MSG_GET_FEATURES);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_that_goes_is_the_end_also_without_an_interrupt(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);
	enum vh_news news;
	struct vh_msg m;

	rig_expect_quiet(c);
	f->is_gone = true;
	while (!c->is_over)
		assert_int_equal(vh_connector_recv(c, &m, &news), 0);
	assert_int_equal(news, VH_NEWS_NOTHING);
	assert_int_equal(rig_logged("the device is gone"), 1);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_that_goes_takes_its_front_end_with_it(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	f->is_gone = true;
	fake_interrupt(f, f->vp.config_vector);
	rig_expect(c, VH_NEWS_DOWN);
	assert_true(c->is_over);
	assert_int_equal(rig_logged("the device is gone"), 1);
	rig_expect_quiet(c);
	vh_connector_close(c);
	fake_free(f);
}

static void a_device_that_is_wanted_back_is_the_end(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	assert_false(c->is_over);
	assert_int_equal(eventfd_write(f->gone, 1), 0);
	rig_expect_quiet(c);
	assert_true(c->is_over);
	vh_connector_close(c);
	fake_free(f);
}

static void only_a_back_end_has_such_a_device(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c;

	assert_int_equal(vh_connector_open(DEVICE, VH_ROLE_FRONTEND, "test", &c),
			 -EINVAL);
	assert_int_equal(rig_logged("it is for serve and switch"), 1);
	assert_int_equal(
		vh_connector_open(DEVICE ",mode=600", VH_ROLE_BACKEND, "test", &c),
		-EINVAL);
	assert_int_equal(vh_connector_open("vvu:/dev/null", VH_ROLE_BACKEND, "test", &c),
			 -EINVAL);
	assert_int_equal(rig_logged("no PCI address"), 1);
	fake_free(f);
}

static void a_device_without_version_1_is_refused(void **state)
{
	const struct fake_shape shape = {.no_features = VH_BIT(VIRTIO_F_VERSION_1)};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c;

	assert_int_equal(vh_connector_open(DEVICE, VH_ROLE_BACKEND, "test", &c),
			 -ENOTSUP);
	assert_int_equal(rig_logged("the device lacks features"), 1);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_front_end_that_comes_is_up_and_one_that_goes_is_down),
		RIG_TEST(a_front_end_that_waits_already_is_up_at_once),
		RIG_TEST(messages_come_in_order_before_their_senders_end),
		RIG_TEST(more_messages_than_there_are_buffers_get_through),
		RIG_TEST(a_reply_is_sent_as_it_is_and_buffers_come_back),
		RIG_TEST(a_device_that_takes_nothing_is_not_waited_for),
		RIG_TEST(nobody_is_sent_anything_who_is_not_there),
		RIG_TEST(back_end_requests_go_out_without_the_reply_bit),
		RIG_TEST(a_device_without_back_end_requests_has_no_channel),
		RIG_TEST(a_held_front_end_is_not_read_but_its_end_is_seen),
		RIG_TEST(a_session_that_we_end_leaves_nothing_to_the_next_one),
		RIG_TEST(a_device_that_needs_a_reset_gets_one),
		RIG_TEST(a_device_that_goes_is_the_end_also_without_an_interrupt),
		RIG_TEST(a_device_that_goes_takes_its_front_end_with_it),
		RIG_TEST(a_device_that_is_wanted_back_is_the_end),
		RIG_TEST(only_a_back_end_has_such_a_device),
		RIG_TEST(a_device_without_version_1_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
