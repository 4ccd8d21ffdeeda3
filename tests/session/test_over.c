/* SPDX-License-Identifier: BSD-3-Clause */
/* A server whose sockets were given to it, and are used up. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

struct sockets {
	char served[16], driven[16];
};

static struct sockets a_pair_of_sockets(void)
{
	struct sockets s;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	snprintf(s.served, sizeof(s.served), "fd:%d", fd[0]);
	snprintf(s.driven, sizeof(s.driven), "fd:%d", fd[1]);
	return s;
}

static void a_server_ends_when_no_front_end_can_come_any_more(void **state)
{
	const struct sockets first = a_pair_of_sockets(), second = a_pair_of_sockets();
	struct keeper k[2] = {{0}, {0}};
	struct vh_client *c[2];
	struct pair p;

	(void)state;
	pair_open(&p, 2, VH_POLL_SLEEP);
	pair_add(&p, &keeper_ops, &k[0], first.served);
	pair_add(&p, &keeper_ops, &k[1], second.served);
	pair_start(&p);
	c[0] = pair_client(first.driven, 0);
	c[1] = pair_client(second.driven, 0);
	assert_int_equal(vh_client_start(c[0], 2, 16), 0);
	vh_client_destroy(c[0]);
	vh_client_destroy(c[1]);
	pair_wait(&p);
}

static void a_server_goes_on_for_those_who_can_still_come(void **state)
{
	const struct sockets s = a_pair_of_sockets();
	struct keeper k[2] = {{0}, {0}};
	struct pair p;

	(void)state;
	pair_open(&p, 2, VH_POLL_SLEEP);
	pair_add(&p, &keeper_ops, &k[0], s.served);
	pair_add(&p, &keeper_ops, &k[1], "loop:over");
	pair_start(&p);
	for (unsigned i = 0; i < 2; i++) {
		vh_client_destroy(pair_client("loop:over", 0));
		if (!i)
			vh_client_destroy(pair_client(s.driven, 0));
	}
	pair_end(&p);
}

static void a_socket_whose_peer_never_spoke_is_used_up_too(void **state)
{
	struct keeper k = {0};
	struct pair p;
	char address[16];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	close(fd[1]);
	snprintf(address, sizeof(address), "fd:%d", fd[0]);
	pair_open(&p, 2, VH_POLL_SLEEP);
	pair_add(&p, &keeper_ops, &k, address);
	pair_start(&p);
	pair_wait(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_ends_when_no_front_end_can_come_any_more),
		cmocka_unit_test(a_server_goes_on_for_those_who_can_still_come),
		cmocka_unit_test(a_socket_whose_peer_never_spoke_is_used_up_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
