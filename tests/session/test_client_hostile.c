/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client and a back-end that means ill: whatever it does at whichever request,
 * the call ends, in time, with an error, and leaves no fd behind.
 */
#include <errno.h>
#include <poll.h>

#include "fake_backend.h"

/* Also on a busy machine a good answer comes in so many milliseconds. */
#define PATIENCE  10000
#define IMPATIENT 500

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Requests of vh_client_connect(), start and stop that are all answered by the fake. */
static const uint32_t in_connect[] = {
	VH_MSG_GET_FEATURES,	   VH_MSG_GET_PROTOCOL_FEATURES,
	VH_MSG_GET_QUEUE_NUM,	   VH_MSG_GET_MAX_MEM_SLOTS,
	VH_MSG_SET_BACKEND_REQ_FD, VH_MSG_SET_FEATURES,
	VH_MSG_SET_STATUS,	   VH_MSG_GET_STATUS,
};
static const uint32_t in_start[] = {
	VH_MSG_ADD_MEM_REG,    VH_MSG_SET_VRING_NUM,	VH_MSG_SET_VRING_BASE,
	VH_MSG_SET_VRING_ADDR, VH_MSG_SET_VRING_CALL,	VH_MSG_SET_VRING_ERR,
	VH_MSG_SET_VRING_KICK, VH_MSG_SET_VRING_ENABLE, VH_MSG_SET_STATUS,
};
static const uint32_t in_stop[] = {VH_MSG_GET_VRING_BASE, VH_MSG_SET_VRING_ENABLE};

/* Acks among them can be refused. */
static bool is_ack(uint32_t id)
{
	return vh_rule_of(VH_CHANNEL_MAIN, id)->reply == VH_PAYLOAD_ACK;
}

static void plan(struct fake *f, uint32_t at, enum fake_deed deed)
{
	fake_plan(f, at, deed, 1000);
}

static void no_plan(struct fake *f)
{
	fake_plan(f, 0, FAKE_NONE, 0);
}

/* Some deeds have to be waited out; one that hangs up at once is tried again so long. */
static unsigned patience(uint32_t at, enum fake_deed deed)
{
	if (deed == FAKE_SILENCE || deed == FAKE_FLOOD)
		return IMPATIENT;
	return deed == FAKE_HANG_UP && at == VH_MSG_GET_FEATURES ? IMPATIENT : PATIENCE;
}

/* Do the deed at @at, which comes in connect, start or stop: the error that follows. */
static int connect_error(struct fake *f, uint32_t at, enum fake_deed deed)
{
	struct vh_client *c = fake_client(f, patience(at, deed));
	int err;

	plan(f, at, deed);
	err = vh_client_connect(c);
	no_plan(f);
	assert_int_equal(vh_client_handle(c, NULL), -EPIPE);
	vh_client_destroy(c);
	return err;
}

static int start_error(struct fake *f, uint32_t at, enum fake_deed deed)
{
	struct vh_client *c = fake_client(f, patience(at, deed));
	int err;

	assert_int_equal(vh_client_connect(c), 0);
	plan(f, at, deed);
	err = vh_client_start(c, 2, 8);
	no_plan(f);
	assert_int_equal(vh_client_handle(c, NULL), -EPIPE);
	vh_client_destroy(c);
	return err;
}

static int stop_error(struct fake *f, uint32_t at, enum fake_deed deed)
{
	struct vh_client *c = fake_client(f, patience(at, deed));
	int err;

	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(vh_client_start(c, 2, 8), 0);
	plan(f, at, deed);
	err = vh_client_stop(c);
	no_plan(f);
	assert_int_equal(vh_client_queue_error(vh_client_queue(c, 0)), -EPIPE);
	vh_client_destroy(c);
	return err;
}

static void expect_everywhere(struct fake *f, enum fake_deed deed, int err)
{
	for (unsigned i = 0; i < COUNT(in_connect); i++)
		assert_int_equal(connect_error(f, in_connect[i], deed), err);
	for (unsigned i = 0; i < COUNT(in_start); i++)
		assert_int_equal(start_error(f, in_start[i], deed), err);
	for (unsigned i = 0; i < COUNT(in_stop); i++)
		assert_int_equal(stop_error(f, in_stop[i], deed), err);
}

/* Once in each of them: every time costs as much as we are ready to wait. */
static void expect_once_each(struct fake *f, enum fake_deed deed, int err)
{
	assert_int_equal(connect_error(f, VH_MSG_GET_QUEUE_NUM, deed), err);
	assert_int_equal(start_error(f, VH_MSG_SET_VRING_KICK, deed), err);
	assert_int_equal(stop_error(f, VH_MSG_GET_VRING_BASE, deed), err);
}

static void hanging_up_ends_whatever_was_asked(void **state)
{
	expect_everywhere(*state, FAKE_HANG_UP, -EPIPE);
}

static void silence_ends_in_time(void **state)
{
	expect_once_each(*state, FAKE_SILENCE, -ETIMEDOUT);
}

static void an_answer_to_something_else_ends_the_connection(void **state)
{
	expect_everywhere(*state, FAKE_WRONG_ID, -EPROTO);
}

static void an_answer_of_the_wrong_size_ends_the_connection(void **state)
{
	expect_everywhere(*state, FAKE_WRONG_SIZE, -EPROTO);
}

static void an_answer_with_wrong_flags_ends_the_connection(void **state)
{
	expect_everywhere(*state, FAKE_WRONG_FLAGS, -EPROTO);
}

static void surplus_fds_end_the_connection_and_are_closed(void **state)
{
	expect_everywhere(*state, FAKE_FDS, -EPROTO);
}

static void a_flood_of_requests_does_not_keep_us_for_ever(void **state)
{
	expect_once_each(*state, FAKE_FLOOD, -ETIMEDOUT);
}

static void a_refusal_ends_what_was_begun(void **state)
{
	struct fake *f = *state;

	for (unsigned i = 0; i < COUNT(in_connect); i++) {
		if (is_ack(in_connect[i]))
			assert_int_equal(connect_error(f, in_connect[i], FAKE_REFUSE),
					 -EREMOTEIO);
	}
	for (unsigned i = 0; i < COUNT(in_start); i++)
		assert_int_equal(start_error(f, in_start[i], FAKE_REFUSE), -EREMOTEIO);
}

static void a_second_answer_ends_the_connection(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	struct pollfd readable = {.fd = vh_client_fd(c), .events = POLLIN};
	uint8_t b;

	plan(f, VH_MSG_GET_CONFIG, FAKE_TWICE);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	while (!vh_client_handle(c, NULL))
		assert_int_equal(poll(&readable, 1, 10000), 1);
	no_plan(f);
	vh_client_destroy(c);
}

static void a_client_that_was_left_can_connect_again(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_client(f, PATIENCE);

	for (unsigned i = 0; i < COUNT(in_start); i++) {
		assert_int_equal(vh_client_connect(c), 0);
		plan(f, in_start[i], i % 2 ? FAKE_HANG_UP : FAKE_WRONG_ID);
		assert_true(vh_client_start(c, 2, 8) < 0);
		assert_true(vh_client_stop(c) == 0);
		no_plan(f);
	}
	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(vh_client_start(c, 2, 8), 0);
	vh_client_destroy(c);
}

static void a_number_that_cannot_be_is_a_breach(void **state)
{
	struct fake *f = *state;
	struct vh_client *c;

	f->queue_num = 0;
	c = fake_client(f, PATIENCE);
	assert_int_equal(vh_client_connect(c), -EPROTO);
	f->queue_num = 2;
	f->slots = 0;
	assert_int_equal(vh_client_connect(c), -EPROTO);
	f->slots = 2;
	assert_int_equal(vh_client_connect(c), 0);
	vh_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(hanging_up_ends_whatever_was_asked),
		FAKE_TEST(silence_ends_in_time),
		FAKE_TEST(an_answer_to_something_else_ends_the_connection),
		FAKE_TEST(an_answer_of_the_wrong_size_ends_the_connection),
		FAKE_TEST(an_answer_with_wrong_flags_ends_the_connection),
		FAKE_TEST(surplus_fds_end_the_connection_and_are_closed),
		FAKE_TEST(a_flood_of_requests_does_not_keep_us_for_ever),
		FAKE_TEST(a_refusal_ends_what_was_begun),
		FAKE_TEST(a_second_answer_ends_the_connection),
		FAKE_TEST(a_client_that_was_left_can_connect_again),
		FAKE_TEST(a_number_that_cannot_be_is_a_breach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
