/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd=URI against real servers that stay.  Those that go: test_nbd_reconnect.c. */
#include "store/nbd_server.h"

#include "store/nbd_connect.h"

#define DISK (8u << 20)

static char model[DISK], data[DISK], back[DISK];
static struct server server;
static struct rig rig;

static int setup(void **state)
{
	server_prepare(&server, DISK);
	vh_log_set(VH_LOG_ERROR, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	server_remove(&server);
	return 0;
}

/* ---- Every operation ---- */

static uint64_t random_state;

/* The same numbers in each run. */
static unsigned below(unsigned n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(random_state >> 33) % n;
}

/* Cut @len bytes of @at into pieces of any length, some of them far from each other. */
static unsigned cut(struct iovec *iov, unsigned max, char *at, size_t len)
{
	static const size_t lengths[] = {1, 511, 512, 4096, 4097, 32768, 40000, 300000};
	unsigned n = 0;

	while (len) {
		size_t piece = lengths[below(8)];

		if (piece > len || n == max - 1)
			piece = len;
		iov[n++] = (struct iovec){.iov_base = at, .iov_len = piece};
		at += piece;
		len -= piece;
	}
	return n;
}

/* Spread the pieces out, so that none touches the next. */
static void scatter(struct iovec *iov, unsigned n, char *room)
{
	for (unsigned i = 0; i < n; i++) {
		if (below(4))
			room += 64;
		memcpy(room, iov[i].iov_base, iov[i].iov_len);
		iov[i].iov_base = room;
		room += iov[i].iov_len;
	}
}

static int do_pieces(enum vh_store_op op, unsigned flags, uint64_t off, char *buf,
		     size_t len)
{
	static char room[DISK + 64 * 64];
	struct iovec iov[64];
	struct request q;
	int err;

	request_init(&q, op, off, buf, len);
	q.io.flags = flags;
	q.io.n_iov = cut(iov, 64, buf, len);
	q.io.iov = iov;
	scatter(iov, q.io.n_iov, room);
	begin(&rig, &q);
	err = finish(&rig, &q);
	for (unsigned i = 0; op == VH_STORE_READ && i < q.io.n_iov; i++) {
		memcpy(buf, iov[i].iov_base, iov[i].iov_len);
		buf += iov[i].iov_len;
	}
	return err;
}

static void write_somewhere(unsigned block)
{
	const unsigned len = (1 + below(below(8) ? 64 : DISK / block)) * block;
	const unsigned off = below((DISK - len) / block + 1) * block;

	memset(data, 'a' + (int)below(26), len);
	for (unsigned i = 0; i < len; i += 97)
		data[i] = (char)below(256);
	memcpy(model + off, data, len);
	assert_int_equal(
		do_pieces(VH_STORE_WRITE, below(2) ? VH_STORE_FUA : 0, off, data, len),
		0);
}

static void zero_somewhere(unsigned block)
{
	const unsigned len = (1 + below(DISK / block / 2)) * block;
	const unsigned off = below((DISK - len) / block + 1) * block;

	memset(model + off, 0, len);
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE_ZEROES, below(4), off, NULL, len),
			 0);
}

static void read_somewhere(unsigned block)
{
	const unsigned len = (1 + below(below(8) ? 64 : DISK / block)) * block;
	const unsigned off = below((DISK - len) / block + 1) * block;

	assert_int_equal(do_pieces(VH_STORE_READ, 0, off, back, len), 0);
	assert_memory_equal(back, model + off, len);
}

/* The disk, whose server runs, does what a piece of memory does. */
static void expect_a_disk(void)
{
	unsigned block;

	random_state = 1;
	rig_open(&rig, server.word);
	block = vh_store_info(rig.s)->block_size;
	assert_int_equal(vh_store_info(rig.s)->capacity, DISK);
	memset(model, 0, DISK);
	for (unsigned i = 0; i < 60; i++) {
		write_somewhere(block);
		if (i % 8 == 0)
			zero_somewhere(block);
		if (i % 8 == 1)
			assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
		read_somewhere(block);
	}
	assert_int_equal(do_op(&rig, VH_STORE_DISCARD, 0, NULL, DISK / 2), 0);
	assert_int_equal(do_pieces(VH_STORE_READ, 0, DISK / 2, back, DISK / 2), 0);
	assert_memory_equal(back, model + DISK / 2, DISK / 2);
	rig_close(&rig);
}

static void a_disk_has_a_connection_for_each_channel(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=multi-conn", A_FILE,
		     "multi-conn-mode=emulate");
	expect_a_disk();
}

static void a_disk_can_do_with_one_connection(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=multi-conn", A_FILE,
		     "multi-conn-mode=disable");
	expect_a_disk();
}

static void a_request_is_split_as_the_server_wants_it(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=blocksize-policy", A_FILE,
		     "blocksize-minimum=4096", "blocksize-preferred=8192",
		     "blocksize-maximum=16384", "blocksize-error-policy=error");
	expect_a_disk();
}

static void a_block_may_be_larger_than_a_copy_is_worth(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=blocksize-policy", A_FILE,
		     "blocksize-minimum=65536", "blocksize-preferred=65536",
		     "blocksize-maximum=131072", "blocksize-error-policy=error");
	expect_a_disk();
}

static void a_server_may_do_nothing_but_read_and_write(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=nozero", "--filter=fua", A_FILE,
		     "zeromode=none");
	expect_a_disk();
}

static void answers_may_come_late_and_in_any_order(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=readahead", "--filter=delay", A_FILE,
		     "rdelay=1ms", "wdelay=2ms");
	expect_a_disk();
}

static void qemu_nbd_is_such_a_server(void **state)
{
	char command[256];

	if (!have_program("qemu-nbd"))
		skip();
	snprintf(command, sizeof(command), "qemu-img create -q -f qcow2 %s %u",
		 server.file, DISK);
	assert_int_equal(system(command), 0);
	SERVER_START(&server, "qemu-nbd", "-f", "qcow2", "-t", "FILE", "--shared=4",
		     "--discard=unmap");
	expect_a_disk();
}

static void many_requests_are_under_way_at_once(void **state)
{
	enum { N = 200, LEN = 8192 };
	static struct request q[N];

	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	for (unsigned i = 0; i < N; i++) {
		memset(data + i * LEN, (int)i, LEN);
		request_init(&q[i], VH_STORE_WRITE, i * LEN, data + i * LEN, LEN);
		begin(&rig, &q[i]);
	}
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(finish(&rig, &q[i]), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, N * LEN), 0);
	assert_memory_equal(back, data, N * LEN);
	rig_close(&rig);
}

/* ---- Durability ---- */

static void without_fua_a_flush_follows_the_write(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=fua", "--filter=log", A_FILE, "LOG");
	rig_open(&rig, server.word);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, 4096), 0);
	assert_int_equal(server_logged(&server, " Flush "), 0);
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE, VH_STORE_FUA, 0, data, 4096), 0);
	rig_close(&rig);
	server_kill(&server);
	assert_true(server_logged(&server, " Flush ") > 0);
}

static void fua_is_the_servers_where_it_has_it(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=log", A_FILE, "LOG");
	rig_open(&rig, server.word);
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE, VH_STORE_FUA, 0, data, 4096), 0);
	rig_close(&rig);
	assert_int_equal(server_logged(&server, " Flush "), 0);
	assert_true(server_logged(&server, "fua=1") > 0);
}

static void a_server_without_flush_is_named_once_and_served(void **state)
{
	log_to_test();
	SERVER_START(&server, NBDKIT, "eval", "get_size=echo 1M",
		     "pread=dd if=/dev/zero count=$3 iflag=count_bytes",
		     "pwrite=cat >/dev/null");
	rig_open(&rig, server.word);
	assert_int_equal(n_lines, 1);
	assert_non_null(strstr(last_line, "no flush"));
	assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(do_flags(&rig, VH_STORE_WRITE, VH_STORE_FUA, 0, data, 4096), 0);
	assert_int_equal(n_lines, 1);
	rig_close(&rig);
}

static void discard_is_offered_only_where_the_server_can(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	assert_true(vh_store_info(rig.s)->discard);
	rig_close(&rig);
	server_kill(&server);
	SERVER_START(&server, NBDKIT, "eval", "get_size=echo 1M", "pread=exit 1",
		     "pwrite=exit 1", "flush=exit 0");
	rig_open(&rig, server.word);
	assert_false(vh_store_info(rig.s)->discard);
	assert_true(vh_store_info(rig.s)->write_zeroes);
	rig_close(&rig);
}

/* ---- What a server refuses ---- */

static void a_servers_error_is_the_requests(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=error", A_FILE, "error-pwrite=ENOSPC",
		     "error-pwrite-rate=100%");
	rig_open(&rig, server.word);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, 4096), -ENOSPC);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 4096), 0);
	rig_close(&rig);
}

/* One of many commands fails: the others' ends are waited for. */
static void an_error_in_the_middle_is_the_whole_requests(void **state)
{
	unsigned n_failed = 0;

	SERVER_START(&server, NBDKIT, "--filter=blocksize-policy", "--filter=error",
		     A_FILE, "blocksize-maximum=65536", "blocksize-minimum=1",
		     "blocksize-preferred=4096", "error-pread=EIO",
		     "error-pread-rate=10%");
	rig_open(&rig, server.word);
	for (unsigned i = 0; i < 8; i++) {
		const int err = do_pieces(VH_STORE_READ, 0, 0, back, DISK);

		assert_true(err == 0 || err == -EIO);
		n_failed += err != 0;
	}
	assert_true(n_failed > 0);
	rig_close(&rig);
}

static void a_server_may_be_read_only(void **state)
{
	SERVER_START(&server, NBDKIT, "-r", A_FILE);
	rig_open(&rig, server.word);
	assert_true(vh_store_info(rig.s)->readonly);
	assert_false(vh_store_info(rig.s)->discard);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 4096), 0);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, 4096), -EROFS);
	rig_close(&rig);
}

static void secure_erase_is_nothing_a_server_has(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	assert_false(vh_store_info(rig.s)->secure_erase);
	assert_int_equal(do_op(&rig, VH_STORE_SECURE_ERASE, 0, NULL, 4096), -EOPNOTSUPP);
	rig_close(&rig);
}

/* ---- No server ---- */

static void who_is_not_there_is_named(void **state)
{
	struct vh_store *s;

	log_to_test();
	assert_true(STORE_OPEN(&s, server.word) < 0);
	assert_int_equal(n_lines, 1);
	assert_non_null(strstr(last_line, server.uri));
	assert_non_null(strstr(last_line, "No such file"));
}

static void who_refuses_is_named(void **state)
{
	struct vh_store *s;

	log_to_test();
	close(server_listen(&server));
	assert_true(STORE_OPEN(&s, server.word) < 0);
	assert_non_null(strstr(last_line, server.uri));
	assert_non_null(strstr(last_line, "refused"));
}

static void what_is_no_uri_is_refused(void **state)
{
	static const char *const rows[] = {
		"nbd=",
		"nbd=disk.raw",
		"nbd=http://localhost/",
		"nbd=nbd+unix:///x",
	};
	struct vh_store *s;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_to_test();
		assert_true(STORE_OPEN(&s, rows[i]) < 0);
		assert_int_equal(n_lines, 1);
		assert_non_null(strstr(last_line, "want the URI"));
	}
}

static void a_server_that_never_answers_is_not_waited_for(void **state)
{
	struct vh_nbd_connection c;
	const int fd = server_listen(&server);

	assert_int_equal(vh_nbd_connect(server.uri, -1, 50, &c), -ETIMEDOUT);
	assert_null(c.nbd);
	assert_non_null(strstr(c.cause, "does not answer"));
	close(fd);
}

static void a_server_that_is_none_is_refused(void **state)
{
	struct vh_nbd_connection c;
	int fds[2];
	const int fd = server_listen(&server);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fds[0] = accept(fd, NULL, NULL);
		(void)!write(fds[0], "220 smtp.example.org ready\r\n", 28);
		_exit(0);
	}
	assert_true(vh_nbd_connect(server.uri, -1, FOR_EVER_MS, &c) < 0);
	assert_true(strlen(c.cause) > 0);
	waitpid(pid, NULL, 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_has_a_connection_for_each_channel),
		TEST(a_disk_can_do_with_one_connection),
		TEST(a_request_is_split_as_the_server_wants_it),
		TEST(a_block_may_be_larger_than_a_copy_is_worth),
		TEST(a_server_may_do_nothing_but_read_and_write),
		TEST(answers_may_come_late_and_in_any_order),
		TEST(qemu_nbd_is_such_a_server),
		TEST(many_requests_are_under_way_at_once),
		TEST(without_fua_a_flush_follows_the_write),
		TEST(fua_is_the_servers_where_it_has_it),
		TEST(a_server_without_flush_is_named_once_and_served),
		TEST(discard_is_offered_only_where_the_server_can),
		TEST(a_servers_error_is_the_requests),
		TEST(an_error_in_the_middle_is_the_whole_requests),
		TEST(a_server_may_be_read_only),
		TEST(secure_erase_is_nothing_a_server_has),
		TEST(who_is_not_there_is_named),
		TEST(who_refuses_is_named),
		TEST(what_is_no_uri_is_refused),
		TEST(a_server_that_never_answers_is_not_waited_for),
		TEST(a_server_that_is_none_is_refused),
	};

	if (!have_program("nbdkit")) {
		puts("there is no nbdkit");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
