/* SPDX-License-Identifier: BSD-3-Clause */
/* The first message, and that it is the first. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A client that has said nothing yet. */
static struct vfu_client *stranger(struct rig *rig)
{
	if (!rig->v)
		rig_open(rig);
	vfu_disconnect(&rig->c);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	return &rig->c;
}

static unsigned minor_of(const struct vfu_client *c)
{
	struct vh_vfu_version v;

	memcpy(&v, c->payload, sizeof(v));
	assert_int_equal(v.major, 0);
	return v.minor;
}

static void expect_end(struct vfu_client *c)
{
	assert_int_equal(vfu_recv(c), -EPIPE);
}

/* The server forgets one who left only when it looks. */
static void be_forgotten(struct rig *rig, unsigned n)
{
	vfu_disconnect(&rig->c);
	rig_wait(rig, &rig->n_went, n);
}

static void the_minor_version_is_the_smaller_one(void **state)
{
	static const unsigned proposed[] = {0, 1, 2, 7, 0xffff},
			      agreed[] = {0, 1, 2, 2, 2};
	struct rig *rig = *state;

	for (unsigned i = 0; i < 5; i++) {
		struct vfu_client *c = stranger(rig);

		assert_int_equal(vfu_version(c, 0, (uint16_t)proposed[i], "{}"), 0);
		assert_int_equal(minor_of(c), agreed[i]);
		be_forgotten(rig, i + 1);
	}
}

static void another_major_version_is_refused_and_the_connection_ends(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = stranger(rig);

	assert_int_equal(vfu_version(c, 1, 0, "{}"), -EINVAL);
	expect_end(c);
	assert_int_equal(rig_logged("speaks version 1"), 1);
}

static void a_reply_is_not_longer_than_qemus_request(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	assert_true(rig->c.len < 120);
	assert_int_equal(minor_of(&rig->c), 0);
	assert_non_null(strstr((char *)rig->c.payload + 4, "\"capabilities\":{"));
}

static void no_json_at_all_is_fine(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(vfu_version(stranger(rig), 0, 1, NULL), 0);
}

static void json_that_is_fine_is_taken(void **state)
{
	static const char *const good[] = {
		"{}",
		"{\"capabilities\":{}}",
		"{\"capabilities\":{\"max_msg_fds\":0}}",
		"{\"capabilities\":{\"max_msg_fds\":1024,\"new\":[1,{\"a\":null}]}}",
		"{\"capabilities\":{\"max_msg_fds\":9999,\"max_msg_fds\":9}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
		"{\"other\":3, \"capabilities\":{\"migration\":{\"pgsize\":65536}}}",
		"{\"capabilities\":{\"max_data_xfer_size\":4096,\"pgsizes\":4096}}",
	};
	struct rig *rig = *state;
	const unsigned n = sizeof(good) / sizeof(good[0]);

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(vfu_version(stranger(rig), 0, 2, good[i]), 0);
		be_forgotten(rig, i + 1);
	}
}

static void json_that_makes_no_sense_is_refused_and_the_connection_ends(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"{} {}",
		"{}x",
		"{\"capabilities\":3}",
		"{\"capabilities\":null}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_msg_fds\":1025}}",
		"{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
		"{\"capabilities\":{\"max_msg_fds\":1.5}}",
		"{\"capabilities\":{\"max_data_xfer_size\":-1}}",
		"{\"capabilities\":{\"write_multiple\":1}}",
		"{\"capabilities\":{\"migration\":{\"pgsize\":4095}}}",
		"{\"capabilities\":{\"migration\":7}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":1}}}",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
	};
	struct rig *rig = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vfu_client *c = stranger(rig);

		assert_int_equal(vfu_version(c, 0, 2, bad[i]), -EINVAL);
		expect_end(c);
	}
}

static void json_without_an_end_is_refused(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = stranger(rig);
	static const uint8_t bytes[] = {0, 0, 2, 0, '{', '}'};

	assert_int_equal(vfu_ask(c, VH_VFU_VERSION, bytes, sizeof(bytes), NULL, 0),
			 -EINVAL);
	expect_end(c);
}

static void json_of_more_than_4_kib_is_refused(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = stranger(rig);
	char json[6000];

	memset(json, ' ', sizeof(json));
	json[0] = '{';
	strcpy(json + 5000, "}");
	assert_int_equal(vfu_version(c, 0, 2, json), -EINVAL);
	expect_end(c);
}

static void a_text_of_the_client_does_not_reach_the_log(void **state)
{
	struct rig *rig = *state;
	static const char json[] = "{\"capabilities\":{\"pgsizes\":\"\n\x1b[31mred\"}}";

	assert_int_equal(vfu_version(stranger(rig), 0, 2, json), -EINVAL);
	assert_int_equal(rig_logged("red"), 0);
}

static void a_first_message_that_is_too_short_ends_the_connection(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = stranger(rig);

	assert_int_equal(vfu_ask(c, VH_VFU_VERSION, "\0\0", 2, NULL, 0), -EINVAL);
	expect_end(c);
}

static void nothing_comes_before_version(void **state)
{
	struct rig *rig = *state;

	for (uint16_t command = 2; command < 20; command++) {
		struct vfu_client *c = stranger(rig);
		static const uint8_t zeros[64];

		assert_int_equal(vfu_ask(c, command, zeros, sizeof(zeros), NULL, 0),
				 -EINVAL);
		expect_end(c);
	}
	assert_int_equal(rig_get(rig, &rig->n_resets), 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 0);
}

static void a_second_version_is_refused_and_the_connection_goes_on(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info info;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_version(&rig->c, 0, 0, "{}"), -EINVAL);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_minor_version_is_the_smaller_one),
		RIG_TEST(another_major_version_is_refused_and_the_connection_ends),
		RIG_TEST(a_reply_is_not_longer_than_qemus_request),
		RIG_TEST(no_json_at_all_is_fine),
		RIG_TEST(json_that_is_fine_is_taken),
		RIG_TEST(json_that_makes_no_sense_is_refused_and_the_connection_ends),
		RIG_TEST(json_without_an_end_is_refused),
		RIG_TEST(json_of_more_than_4_kib_is_refused),
		RIG_TEST(a_text_of_the_client_does_not_reach_the_log),
		RIG_TEST(a_first_message_that_is_too_short_ends_the_connection),
		RIG_TEST(nothing_comes_before_version),
		RIG_TEST(a_second_version_is_refused_and_the_connection_goes_on),
	};

	return cmocka_run_group_tests_name("vfu/version", tests, NULL, NULL);
}
