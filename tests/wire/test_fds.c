/* SPDX-License-Identifier: BSD-3-Clause */
/* How many fds a message may bring, and that none is ever lost. */
#include "wire_rig.h"

static uint8_t bytes[VH_MAX_PAYLOAD];
static struct vh_msg m;

static int decode(uint32_t id, uint32_t size, unsigned n_fds)
{
	const struct row r = {.channel = MAIN, .id = id};

	return decode_with_fds(&m, &r, size, bytes, n_fds);
}

/* CVE-2019-14818 and CVE-2022-0669: fds that a message does not call for leak. */
static void surplus_fds_of_any_message_are_refused_and_closed(void **state)
{
	const unsigned before = count_fds();

	for (const struct row *r = rows; r < ROWS_END; r++) {
		for (unsigned n = 0; n <= 12; n++) {
			make_payload(r, row_size(r), bytes);
			const int rc = decode_with_fds(&m, r, row_size(r), bytes, n);

			if (rc != (row_takes_fds(r, n) ? 0 : -EPROTO))
				fail_msg("%s with %u fds: %d", r->name, n, rc);
			vh_msg_close(&m);
			if (count_fds() != before)
				fail_msg("%s with %u fds: some leak", r->name, n);
		}
	}
}

static void the_fds_of_a_message_of_the_wrong_size_are_closed(void **state)
{
	const unsigned before = count_fds();

	for (const struct row *r = rows; r < ROWS_END; r++) {
		if (r->size == ANY)
			continue;
		for (unsigned n = 0; n <= 8; n++) {
			assert_int_equal(decode_with_fds(&m, r, 5000, bytes, n), -EPROTO);
			vh_msg_close(&m);
			assert_int_equal(count_fds(), before);
		}
	}
}

static void the_fds_of_an_unknown_message_are_closed(void **state)
{
	const unsigned before = count_fds();

	for (unsigned n = 0; n <= 12; n++) {
		assert_int_equal(decode(77, 0, n), n <= 8 ? 0 : -EPROTO);
		vh_msg_close(&m);
		assert_int_equal(count_fds(), before);
	}
}

static void a_memory_table_has_one_fd_for_each_region(void **state)
{
	for (unsigned regions = 0; regions <= 8; regions++) {
		for (unsigned n = 0; n <= 9; n++) {
			memset(bytes, 0, 264);
			put32(bytes, regions);
			assert_int_equal(decode(5, 8 + regions * 32, n),
					 n == regions ? 0 : -EPROTO);
			vh_msg_close(&m);
		}
	}
}

static void a_vring_fd_message_has_an_fd_or_the_no_fd_bit(void **state)
{
	for (uint32_t id = 12; id <= 14; id++) {
		for (unsigned n = 0; n <= 8; n++) {
			put64(bytes, 3);
			assert_int_equal(decode(id, 8, n), n == 1 ? 0 : -EPROTO);
			vh_msg_close(&m);
			put64(bytes, 3 | NO_FD);
			assert_int_equal(decode(id, 8, n), n == 0 ? 0 : -EPROTO);
			vh_msg_close(&m);
		}
	}
}

static void a_host_notifier_has_an_fd_or_the_no_fd_bit(void **state)
{
	const struct row r = {.channel = BACK, .id = 3};

	for (unsigned n = 0; n <= 2; n++) {
		memset(bytes, 0, 24);
		assert_int_equal(decode_with_fds(&m, &r, 24, bytes, n),
				 n == 1 ? 0 : -EPROTO);
		vh_msg_close(&m);
		put64(bytes, NO_FD);
		assert_int_equal(decode_with_fds(&m, &r, 24, bytes, n),
				 n == 0 ? 0 : -EPROTO);
		vh_msg_close(&m);
	}
}

static void a_log_fd_message_has_an_fd_unless_it_says_no(void **state)
{
	for (unsigned n = 0; n <= 2; n++) {
		assert_int_equal(decode(7, 0, n), n == 1 ? 0 : -EPROTO);
		vh_msg_close(&m);
		put64(bytes, 0);
		assert_int_equal(decode(7, 8, n), n == 1 ? 0 : -EPROTO);
		vh_msg_close(&m);
		put64(bytes, NO_FD);
		assert_int_equal(decode(7, 8, n), n == 0 ? 0 : -EPROTO);
		vh_msg_close(&m);
	}
}

static void a_log_that_is_an_address_brings_no_fd(void **state)
{
	put64(bytes, 0x1000);
	assert_int_equal(decode(6, 8, 0), 0);
	vh_msg_close(&m);
	assert_int_equal(decode(6, 8, 1), -EPROTO);
	vh_msg_close(&m);
}

static void a_connector_without_fds_needs_none(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++) {
		make_payload(r, row_size(r), bytes);
		assert_int_equal(decode_bare(&m, r, row_size(r), bytes), 0);
		assert_int_equal(m.n_fds, 0);
	}
}

static void a_connector_without_fds_must_not_bring_any(void **state)
{
	const struct vh_wire_header h = header(21, VERSION, 0);
	const unsigned before = count_fds();
	const char *why;
	int fd;

	open_fds(&fd, 1);
	assert_int_equal(vh_msg_decode(&m, MAIN, &h, NULL, &fd, 1, NULL, false, &why),
			 -EPROTO);
	vh_msg_close(&m);
	assert_int_equal(count_fds(), before);
}

static void a_taken_fd_belongs_to_the_taker(void **state)
{
	const unsigned before = count_fds();

	assert_int_equal(decode(21, 0, 1), 0);
	const int fd = vh_msg_take_fd(&m, 0);

	assert_true(fd >= 0);
	assert_int_equal(vh_msg_take_fd(&m, 0), -1);
	vh_msg_close(&m);
	assert_int_equal(fcntl(fd, F_GETFD) >= 0, 1);
	close(fd);
	assert_int_equal(count_fds(), before);
}

static void fds_are_taken_in_the_order_of_the_regions(void **state)
{
	const struct vh_wire_header h = header(5, VERSION, 8 + 3 * 32);
	const char *why;
	int fds[3];

	memset(bytes, 0, h.size);
	put32(bytes, 3);
	open_fds(fds, 3);
	assert_int_equal(vh_msg_decode(&m, MAIN, &h, bytes, fds, 3, NULL, true, &why), 0);
	assert_int_equal(vh_msg_take_fd(&m, 1), fds[1]);
	assert_int_equal(vh_msg_take_fd(&m, 3), -1);
	vh_msg_close(&m);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[2], F_GETFD), -1);
	close(fds[1]);
}

static void closing_twice_closes_once(void **state)
{
	int fd;

	assert_int_equal(decode(21, 0, 1), 0);
	vh_msg_close(&m);
	assert_int_equal(m.n_fds, 0);

	open_fds(&fd, 1); /* most likely the same number */
	vh_msg_close(&m);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

static void an_initialised_message_has_no_fds(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_KICK);
	assert_int_equal(m.n_fds, 0);
	for (unsigned i = 0; i < VH_MAX_FDS + 1; i++)
		assert_int_equal(vh_msg_take_fd(&m, i), -1);
	for (unsigned i = 0; i < VH_MAX_FDS; i++)
		assert_int_equal(m.fds[i], -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(surplus_fds_of_any_message_are_refused_and_closed),
		cmocka_unit_test(the_fds_of_a_message_of_the_wrong_size_are_closed),
		cmocka_unit_test(the_fds_of_an_unknown_message_are_closed),
		cmocka_unit_test(a_memory_table_has_one_fd_for_each_region),
		cmocka_unit_test(a_vring_fd_message_has_an_fd_or_the_no_fd_bit),
		cmocka_unit_test(a_host_notifier_has_an_fd_or_the_no_fd_bit),
		cmocka_unit_test(a_log_fd_message_has_an_fd_unless_it_says_no),
		cmocka_unit_test(a_log_that_is_an_address_brings_no_fd),
		cmocka_unit_test(a_connector_without_fds_needs_none),
		cmocka_unit_test(a_connector_without_fds_must_not_bring_any),
		cmocka_unit_test(a_taken_fd_belongs_to_the_taker),
		cmocka_unit_test(fds_are_taken_in_the_order_of_the_regions),
		cmocka_unit_test(closing_twice_closes_once),
		cmocka_unit_test(an_initialised_message_has_no_fds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
