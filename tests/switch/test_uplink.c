/* SPDX-License-Identifier: BSD-3-Clause */
/* Uplinks as far as that goes without an interface: names, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vhost/log.h>

#include "switch/deliver.h"
#include "switch/fdb.h"
#include "switch/forward.h"
#include "switch/uplink.h"

static char said[512];

static void remember(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	strncpy(said, text, sizeof(said) - 1);
}

/* ---- Names ---- */

static int create(char *address)
{
	struct vh_source source = {0};
	struct vh_port port = {.tag = "up", .address = address, .source = &source};
	struct vh_uplink *u = NULL;
	int err = vh_uplink_create(&port, NULL, &u);

	if (!err)
		vh_uplink_destroy(u);
	return err;
}

static void names_that_no_interface_can_have_are_refused(void **state)
{
	static char bad[][64] = {"tap:",
				 "packet:",
				 "tap:sixteencharacter",
				 "packet:abcdefghijklmnop",
				 "tap:a/b",
				 "tap:a b",
				 "packet:a,b"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		said[0] = 0;
		assert_int_equal(create(bad[i]), -EINVAL);
		assert_non_null(strstr(said, "no interface's name"));
	}
}

/* Without rights it is refused, with them it is not found: one line says it. */
static void an_interface_that_is_not_there_is_said_to_be_missing(void **state)
{
	char address[] = "packet:vh-none";

	said[0] = 0;
	assert_true(create(address) < 0);
	assert_non_null(strstr(said, "packet:vh-none: "));
}

/* ---- Sending ---- */

static struct vh_uplink uplink;
static int other_end;

static int make(void **state)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	other_end = fd[1];
	uplink = (struct vh_uplink){.tag = "up", .fd = fd[0], .up = 1};
	return 0;
}

static int unmake(void **state)
{
	close(uplink.fd);
	close(other_end);
	return 0;
}

/* A frame of @n pieces of @piece bytes behind a head of three. */
static bool send_pieces(unsigned n, uint32_t piece)
{
	static uint8_t bytes[4096];
	struct vh_seg *seg = calloc(n, sizeof(*seg));
	struct vh_frame f = {.seg = seg, .n_seg = n, .len = n * piece};
	static struct vh_out out;
	bool sent;

	assert_non_null(seg);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 3);
	for (unsigned i = 0; i < n; i++)
		seg[i] = (struct vh_seg){.va = bytes + i * piece, .len = piece};
	out = (struct vh_out){.frame = &f,
			      .off = 1,
			      .len = n * piece - 1,
			      .head_len = 3,
			      .head = {0xa, 0xb, 0xc}};
	sent = vh_uplink_send(&uplink, &out);
	free(seg);
	return sent;
}

static void a_frame_is_written_in_one_go_however_it_is_cut(void **state)
{
	for (unsigned n = 1; n < 100; n += 7) {
		uint8_t got[4096];

		assert_true(send_pieces(n, 11));
		assert_int_equal(recv(other_end, got, sizeof(got), 0), 3 + n * 11 - 1);
		assert_memory_equal(got, "\xa\xb\xc", 3);
		for (unsigned i = 1; i < n * 11; i++)
			assert_int_equal(got[2 + i], (uint8_t)(i * 3));
	}
}

static void a_frame_in_too_many_pieces_is_not_sent(void **state)
{
	assert_true(send_pieces(1023, 2));
	assert_false(send_pieces(1024, 2));
}

static void what_is_down_takes_nothing(void **state)
{
	uplink.up = 0;
	assert_false(send_pieces(1, 100));
	assert_int_equal(recv(other_end, said, 1, MSG_DONTWAIT), -1);
}

static void what_cannot_be_written_is_not_sent(void **state)
{
	close(other_end);
	other_end = -1;
	assert_false(send_pieces(1, 100));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_no_interface_can_have_are_refused),
		cmocka_unit_test(an_interface_that_is_not_there_is_said_to_be_missing),
		TEST(a_frame_is_written_in_one_go_however_it_is_cut),
		TEST(a_frame_in_too_many_pieces_is_not_sent),
		TEST(what_is_down_takes_nothing),
		TEST(what_cannot_be_written_is_not_sent),
	};

	signal(SIGPIPE, SIG_IGN);
	vh_log_set(VH_LOG_ERROR, remember, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
