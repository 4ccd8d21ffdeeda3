/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks by interrupt and doorbells of a device of this guest. */
#include "rig.h"
#include "vvu_fake.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#define DEVICE	"vvu:fake:device"
#define VERSION VH_FLAG_VERSION

static struct vh_connector *open_up(struct fake *f)
{
	struct vh_connector *c = rig_open(DEVICE, VH_ROLE_BACKEND);

	rig_expect_quiet(c);
	fake_arrive(f);
	rig_expect(c, VH_NEWS_UP);
	return c;
}

static int ask_signal(struct vh_connector *c, uint32_t id, uint64_t value,
		      struct vh_signal **s)
{
	struct vh_msg m;

	fake_send(fake_now, id, VERSION, &value, sizeof(value));
	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.id, id);
	return vh_connector_signal(c, &m, s);
}

static struct vh_signal *get_signal(struct vh_connector *c, uint32_t id, uint64_t value)
{
	struct vh_signal *s;

	assert_int_equal(ask_signal(c, id, value, &s), 0);
	assert_non_null(s);
	return s;
}

/* How many kicks there were since the last look. */
static uint64_t kicks(const struct vh_signal *s)
{
	eventfd_t n = 0;

	if (eventfd_read(s->fd, &n) < 0)
		assert_int_equal(errno, EAGAIN);
	return n;
}

static void each_vring_has_a_kick_of_its_own(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	struct vh_signal *a = get_signal(c, VH_MSG_SET_VRING_KICK, 0),
			 *b = get_signal(c, VH_MSG_SET_VRING_KICK, 255);

	assert_int_equal(f->vector[0], 3);
	assert_int_equal(f->vector[255], 258);
	fake_kick(f, 0);
	assert_int_equal(kicks(a), 1);
	assert_int_equal(kicks(b), 0);
	fake_kick(f, 255);
	assert_int_equal(kicks(a), 0);
	assert_int_equal(kicks(b), 1);
	rig_expect_quiet(c);
	vh_signal_put(a);
	vh_signal_put(b);
	/* It is the same interrupt in the next session. */
	a = get_signal(c, VH_MSG_SET_VRING_KICK, 0);
	fake_kick(f, 0);
	assert_int_equal(kicks(a), 1);
	vh_signal_put(a);
	vh_connector_close(c);
	fake_free(f);
}

static void check_sharing(const struct fake_shape *shape)
{
	struct fake *f = fake_make(shape);
	struct vh_connector *c = open_up(f);
	struct vh_signal *s[5];

	for (unsigned i = 0; i < 5; i++)
		s[i] = get_signal(c, VH_MSG_SET_VRING_KICK, i);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t n;

		fake_kick(f, i);
		rig_expect_quiet(c);
		n = kicks(s[i]);
		assert_true(n >= 1);
		for (unsigned j = 0; j < 5; j++)
			kicks(s[j]);
	}
	for (unsigned i = 0; i < 5; i++)
		vh_signal_put(s[i]);
	vh_connector_close(c);
	fake_free(f);
}

static void vrings_without_a_vector_share_one(void **state)
{
	for (unsigned n = 1; n <= 9; n++)
		check_sharing(&(struct fake_shape){.n_vectors = n});
}

static void vrings_share_when_the_machine_has_no_interrupt_left(void **state)
{
	check_sharing(&(struct fake_shape){.n_vectors = 8, .no_vectors = 3});
	check_sharing(&(struct fake_shape){.n_vectors = 8, .no_vectors = 5});
	check_sharing(&(struct fake_shape){.n_vectors = 8, .no_vectors = 7});
}

static void check_polled(const struct fake_shape *shape)
{
	struct fake *f = fake_make(shape);
	struct vh_connector *c = open_up(f);
	struct vh_signal *s;

	assert_int_equal(ask_signal(c, VH_MSG_SET_VRING_KICK, 3, &s), 0);
	assert_null(s);
	assert_int_equal(rig_logged("they are polled"), 1);
	vh_connector_close(c);
	fake_free(f);
}

static void vrings_are_polled_when_the_device_has_no_interrupts_for_them(void **state)
{
	check_polled(&(struct fake_shape){.no_notification = true});
	rig_log_clear();
	check_polled(&(struct fake_shape){.refuses_vectors = true});
}

static void a_message_without_a_descriptor_has_no_signal(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);
	static const uint32_t id[] = {VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_CALL,
				      VH_MSG_SET_VRING_ERR};

	for (unsigned i = 0; i < 3; i++) {
		struct vh_signal *s;

		assert_int_equal(ask_signal(c, id[i], VH_VRING_NO_FD | 1, &s), 0);
		assert_null(s);
	}
	vh_connector_close(c);
	fake_free(f);
}

static void ring(struct vh_connector *c, uint32_t id, uint64_t value)
{
	struct vh_signal *s = get_signal(c, id, value);

	vh_signal_fire(s);
	vh_signal_put(s);
}

static void call_err_and_log_are_doorbells_by_number(void **state)
{
	struct fake *f = fake_make(NULL);
	struct vh_connector *c = open_up(f);

	ring(c, VH_MSG_SET_VRING_CALL, 0);
	ring(c, VH_MSG_SET_VRING_CALL, 255);
	ring(c, VH_MSG_SET_VRING_CALL, 255);
	ring(c, VH_MSG_SET_VRING_ERR, 3);
	ring(c, VH_MSG_SET_LOG_FD, 0);
	assert_int_equal(f->bells[0], 1);
	assert_int_equal(f->bells[255], 2);
	assert_int_equal(f->bells[256 + 3], 1);
	assert_int_equal(f->bells[512], 1);
	vh_connector_close(c);
	fake_free(f);
}

static void doorbells_are_counted_where_the_device_polls(void **state)
{
	const struct fake_shape shape = {.polls = true};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	const uint32_t *bells =
		(const uint32_t *)(f->polled + VH_VVU_DOORBELL_COUNTER(0));

	ring(c, VH_MSG_SET_VRING_CALL, 2);
	ring(c, VH_MSG_SET_VRING_CALL, 2);
	ring(c, VH_MSG_SET_VRING_ERR, 2);
	assert_int_equal(bells[2], 2);
	assert_int_equal(bells[256 + 2], 1);
	assert_int_equal(bells[1], 0);
	vh_connector_close(c);
	fake_free(f);
}

static void a_vring_that_the_device_has_not_is_refused(void **state)
{
	const struct fake_shape shape = {.n_vrings = 4};
	struct fake *f = fake_make(&shape);
	struct vh_connector *c = open_up(f);
	struct vh_signal *s;

	assert_int_equal(ask_signal(c, VH_MSG_SET_VRING_KICK, 4, &s), -EINVAL);
	assert_int_equal(ask_signal(c, VH_MSG_SET_VRING_CALL, 255, &s), -EINVAL);
	ring(c, VH_MSG_SET_VRING_ERR, 3);
	assert_int_equal(f->bells[4 + 3], 1);
	vh_connector_close(c);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(each_vring_has_a_kick_of_its_own),
		RIG_TEST(vrings_without_a_vector_share_one),
		RIG_TEST(vrings_share_when_the_machine_has_no_interrupt_left),
		RIG_TEST(vrings_are_polled_when_the_device_has_no_interrupts_for_them),
		RIG_TEST(a_message_without_a_descriptor_has_no_signal),
		RIG_TEST(call_err_and_log_are_doorbells_by_number),
		RIG_TEST(doorbells_are_counted_where_the_device_polls),
		RIG_TEST(a_vring_that_the_device_has_not_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
