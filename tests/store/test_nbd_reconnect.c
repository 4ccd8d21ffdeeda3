/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd=URI while servers go and come back.  Many channels: test_nbd_channels.c. */
#include "store/nbd_link.h"
#include "store/nbd_server.h"
#include "store/remember.h"

#include <time.h>

#define DISK (1u << 20)

#define SINGLE "--filter=multi-conn", A_FILE, "multi-conn-mode=disable"
#define MULTI  "--filter=multi-conn", A_FILE, "multi-conn-mode=emulate"
/* Whoever asks this one is still waiting when the server is killed. */
#define SLOW "--filter=delay", A_FILE, "rdelay=1000", "wdelay=1000"

static char data[DISK], back[DISK];
static struct server server;
static struct rig rig;

static int setup(void **state)
{
	server_prepare(&server, DISK);
	remember_lines();
	return 0;
}

static int teardown(void **state)
{
	server_remove(&server);
	return 0;
}

/* ---- A server that is killed ---- */

enum { N = 24, LEN = DISK / N / 4096 * 4096 };

static struct request q[N];

static void begin_writes(unsigned seed)
{
	for (unsigned i = 0; i < N; i++) {
		memset(data + i * LEN, (int)(seed + i), LEN);
		request_init(&q[i], VH_STORE_WRITE, i * LEN, data + i * LEN, LEN);
		q[i].io.flags = i % 2 ? VH_STORE_FUA : 0;
		begin(&rig, &q[i]);
	}
}

static void expect_written(void)
{
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(finish(&rig, &q[i]), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, N * LEN), 0);
	assert_memory_equal(back, data, N * LEN);
}

static void writes_under_way_are_done_by_the_next_server(void **state)
{
	SERVER_START(&server, NBDKIT, SLOW);
	rig_open(&rig, server.word);
	begin_writes(1);
	drive_until_idle(rig.r);
	server_kill(&server);
	SERVER_START(&server, NBDKIT, MULTI);
	expect_written();
	rig_close(&rig);
}

static void a_server_may_be_killed_at_any_time(void **state)
{
	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	for (unsigned round = 0; round < 6; round++) {
		begin_writes(round);
		drive_until(rig.r, q[round * 4].n_done);
		server_kill(&server);
		SERVER_START(&server, NBDKIT, SINGLE);
		expect_written();
	}
	rig_close(&rig);
}

static void reads_and_flushes_wait_too(void **state)
{
	struct request flush, read;

	memset(data, 'r', LEN);
	SERVER_START(&server, NBDKIT, "--filter=fua", A_FILE);
	rig_open(&rig, server.word);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, LEN), 0);
	server_kill(&server);
	request_init(&read, VH_STORE_READ, 0, back, LEN);
	request_init(&flush, VH_STORE_FLUSH, 0, NULL, 0);
	begin(&rig, &read);
	begin(&rig, &flush);
	drive_until(rig.r, was_said("connection lost"));
	assert_int_equal(read.n_done + flush.n_done, 0);
	SERVER_START(&server, NBDKIT, A_FILE);
	assert_int_equal(finish(&rig, &read), 0);
	assert_int_equal(finish(&rig, &flush), 0);
	assert_true(is_all(back, 'r', LEN));
	rig_close(&rig);
}

/* A server with nothing but reads, writes, and a flush that takes longer than it lives.
 */
static void start_without_flushing(void)
{
	char get[160], put[160], flush[160];

	snprintf(get, sizeof(get),
		 "pread=dd if=%s skip=$4 count=$3 iflag=skip_bytes,count_bytes",
		 server.file);
	snprintf(put, sizeof(put),
		 "pwrite=dd of=%s seek=$4 conv=notrunc oflag=seek_bytes", server.file);
	snprintf(flush, sizeof(flush), "flush=touch %s; exec sleep 3", server.log);
	SERVER_START(&server, NBDKIT, "--filter=fua", "eval", "get_size=echo 1M", get,
		     put, flush);
}

/* The write was answered, its flush was not: both are done again. */
static void a_write_whose_flush_was_lost_is_written_again(void **state)
{
	struct request w;

	memset(data, 'w', 4096);
	start_without_flushing();
	rig_open(&rig, server.word);
	request_init(&w, VH_STORE_WRITE, 0, data, 4096);
	w.io.flags = VH_STORE_FUA;
	begin(&rig, &w);
	while (access(server.log, F_OK) < 0) {
		drive_until_idle(rig.r);
		(void)fd_is_readable(vh_reactor_fd(rig.r), 20);
	}
	server_kill(&server);
	/* As if the data had been in a cache that went with it. */
	assert_int_equal(truncate(server.file, 0), 0);
	assert_int_equal(truncate(server.file, DISK), 0);
	SERVER_START(&server, NBDKIT, "--filter=fua", A_FILE);
	assert_int_equal(finish(&rig, &w), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 4096), 0);
	assert_true(is_all(back, 'w', 4096));
	rig_close(&rig);
}

static void loss_and_return_are_told_once_each(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	server_kill(&server);
	drive_until(rig.r, n_said == 1);
	assert_true(was_said(server.uri));
	assert_true(was_said("connection lost"));
	/* Nobody listens: another cause is told, and once. */
	drive_until(rig.r, n_said == 2);
	assert_true(was_said("refused"));
	SERVER_START(&server, NBDKIT, A_FILE);
	drive_until(rig.r, n_said == 3);
	assert_true(was_said("connected again after "));
	rig_close(&rig);
}

/* One that each request kills would else be called, and complained of, all the time. */
static void a_server_that_dies_without_an_answer_is_called_less_and_less(void **state)
{
	struct vh_reactor *r = reactor_new(VH_POLL_SLEEP);
	struct vh_nbd_connection c;
	struct vh_nbd_dialer d;
	struct vh_nbd_link l;
	uint64_t delay;

	SERVER_START(&server, NBDKIT, A_FILE);
	assert_int_equal(vh_nbd_dialer_init(&d, server.uri), 0);
	assert_int_equal(vh_nbd_connect(server.uri, -1, VH_NBD_TIMEOUT_MS, &c), 0);
	vh_nbd_link_init(&l, "disk", &d, &c);
	vh_nbd_link_attach(&l, r);
	for (unsigned i = 0; i < 3; i++) {
		delay = l.delay;
		server_kill(&server);
		SERVER_START(&server, NBDKIT, A_FILE);
		drive_until(r, !l.now.nbd);
		assert_true(l.delay > delay);
		drive_until(r, l.now.nbd);
	}
	vh_nbd_link_detach(&l);
	vh_nbd_link_fini(&l);
	vh_nbd_dialer_fini(&d);
	vh_reactor_destroy(r);
}

/* ---- Another disk comes back ---- */

static void what_a_smaller_disk_does_not_have_fails(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	server_kill(&server);
	assert_int_equal(truncate(server.file, DISK / 2), 0);
	SERVER_START(&server, NBDKIT, A_FILE);
	drive_until(rig.r, was_said("instead of"));
	assert_int_equal(do_op(&rig, VH_STORE_READ, DISK / 2 - 4096, back, 4096), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, DISK / 2, back, 4096), -EIO);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, DISK / 2 - 512, data, 1024), -EIO);
	assert_int_equal(vh_store_refresh(rig.s), 1);
	assert_int_equal(vh_store_info(rig.s)->capacity, DISK / 2);
	rig_close(&rig);
}

static void a_larger_disk_is_seen_by_refresh(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	assert_int_equal(vh_store_refresh(rig.s), 0);
	server_kill(&server);
	assert_int_equal(truncate(server.file, 2 * DISK), 0);
	SERVER_START(&server, NBDKIT, A_FILE);
	drive_until(rig.r, was_said("instead of"));
	assert_int_equal(vh_store_refresh(rig.s), 1);
	assert_int_equal(vh_store_info(rig.s)->capacity, 2 * DISK);
	assert_int_equal(do_op(&rig, VH_STORE_READ, DISK, back, 4096), 0);
	rig_close(&rig);
}

static void a_disk_that_comes_back_read_only_is_read(void **state)
{
	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	server_kill(&server);
	SERVER_START(&server, NBDKIT, "-r", A_FILE);
	drive_until(rig.r, was_said("came back read-only"));
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 4096), 0);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, 4096), -EROFS);
	rig_close(&rig);
}

/* ---- Giving up ---- */

static void what_waits_for_a_server_can_be_cancelled(void **state)
{
	struct request w;

	SERVER_START(&server, NBDKIT, MULTI);
	rig_open(&rig, server.word);
	server_kill(&server);
	request_init(&w, VH_STORE_WRITE, 0, data, 4096);
	begin(&rig, &w);
	drive_until(rig.r, was_said("connection lost"));
	vh_store_cancel(rig.ch);
	assert_int_equal(finish(&rig, &w), -ECANCELED);
	rig_close(&rig);
}

static void what_a_server_has_ends_as_it_would_have(void **state)
{
	struct request w;

	memset(data, 'c', 4096);
	SERVER_START(&server, NBDKIT, "--filter=delay", A_FILE, "wdelay=100ms");
	rig_open(&rig, server.word);
	request_init(&w, VH_STORE_WRITE, 0, data, 4096);
	begin(&rig, &w);
	vh_store_cancel(rig.ch);
	assert_int_equal(w.n_done, 0);
	assert_int_equal(finish(&rig, &w), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, 4096), 0);
	assert_true(is_all(back, 'c', 4096));
	rig_close(&rig);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void a_store_closes_while_a_server_does_not_answer(void **state)
{
	uint64_t start;
	int fd, peer;

	SERVER_START(&server, NBDKIT, A_FILE);
	rig_open(&rig, server.word);
	server_kill(&server);
	fd = server_listen(&server);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	/* Until the store has called the server that will not answer. */
	do {
		turn_ends_idle(rig.r);
		peer = accept(fd, NULL, NULL);
		if (peer < 0)
			(void)fd_is_readable(fd, 20);
	} while (peer < 0);
	start = now_ms();
	rig_close(&rig);
	/* Much less than a connection may take. */
	assert_true(now_ms() - start < 4000);
	close(peer);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_under_way_are_done_by_the_next_server),
		TEST(a_server_may_be_killed_at_any_time),
		TEST(reads_and_flushes_wait_too),
		TEST(a_write_whose_flush_was_lost_is_written_again),
		TEST(loss_and_return_are_told_once_each),
		TEST(a_server_that_dies_without_an_answer_is_called_less_and_less),
		TEST(what_a_smaller_disk_does_not_have_fails),
		TEST(a_larger_disk_is_seen_by_refresh),
		TEST(a_disk_that_comes_back_read_only_is_read),
		TEST(what_waits_for_a_server_can_be_cancelled),
		TEST(what_a_server_has_ends_as_it_would_have),
		TEST(a_store_closes_while_a_server_does_not_answer),
	};

	if (!have_program("nbdkit")) {
		puts("there is no nbdkit");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
