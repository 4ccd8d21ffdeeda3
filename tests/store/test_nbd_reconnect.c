/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd=URI while servers go and come back, and channels of many reactors. */
#include "store/nbd_server.h"

#include <pthread.h>
#include <time.h>

#define DISK (1u << 20)

#define SINGLE "--filter=multi-conn", A_FILE, "multi-conn-mode=disable"
#define MULTI  "--filter=multi-conn", A_FILE, "multi-conn-mode=emulate"
/* Whoever asks this one is still waiting when the server is killed. */
#define SLOW "--filter=delay", A_FILE, "rdelay=1000", "wdelay=1000"

static char data[DISK], back[DISK];
static struct server server;
static struct rig rig;

/* A second channel to the rig's store, on a reactor of its own. */
static struct rig other;

static char lines[16][512];
static unsigned n_said;

/* Also from the threads of workers. */
static void remember(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (n_said < 16)
		snprintf(lines[n_said++], sizeof(lines[0]), "%s", text);
	pthread_mutex_unlock(&lock);
}

static bool was_said(const char *what)
{
	for (unsigned i = 0; i < n_said; i++)
		if (strstr(lines[i], what))
			return true;
	return false;
}

static int setup(void **state)
{
	server_prepare(&server, DISK);
	n_said = 0;
	vh_log_set(VH_LOG_WARN, remember, NULL);
	return 0;
}

static int teardown(void **state)
{
	server_remove(&server);
	return 0;
}

static void other_open(void)
{
	other.r = reactor_new(VH_POLL_SLEEP);
	other.s = rig.s;
	assert_int_equal(vh_store_channel_open(other.s, other.r, &other.ch), 0);
}

static void other_close(void)
{
	vh_store_channel_close(other.ch);
	vh_reactor_destroy(other.r);
}

static void wait_for_both(void)
{
	struct pollfd fds[2] = {
		{.fd = vh_reactor_fd(rig.r), .events = POLLIN},
		{.fd = vh_reactor_fd(other.r), .events = POLLIN},
	};

	assert_true(poll(fds, 2, FOR_EVER_MS) > 0);
}

#define drive_both_until(condition)                                              \
	do {                                                                     \
		while (!(condition)) {                                           \
			const bool one_idle = turn_ends_idle(rig.r);             \
                                                                                 \
			if (turn_ends_idle(other.r) && one_idle && !(condition)) \
				wait_for_both();                                 \
		}                                                                \
	} while (0)

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

static void a_cancel_reaches_only_its_own_channel(void **state)
{
	struct request mine, others;

	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	other_open();
	server_kill(&server);
	request_init(&mine, VH_STORE_READ, 0, back, 4096);
	request_init(&others, VH_STORE_READ, 4096, back + 4096, 4096);
	begin(&rig, &mine);
	begin(&other, &others);
	drive_both_until(was_said("connection lost"));
	drive_until_idle(rig.r);
	vh_store_cancel(other.ch);
	drive_both_until(others.n_done);
	assert_int_equal(others.err, -ECANCELED);
	assert_int_equal(mine.n_done, 0);
	/* What comes after the cancel is none of its business. */
	begin(&other, &others);
	SERVER_START(&server, NBDKIT, SINGLE);
	drive_both_until(mine.n_done && others.n_done == 2);
	assert_int_equal(mine.err, 0);
	assert_int_equal(others.err, 0);
	other_close();
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

/* ---- Many reactors ---- */

static void one_connection_serves_two_reactors(void **state)
{
	struct request w, r;

	memset(data, 's', LEN);
	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	other_open();
	request_init(&w, VH_STORE_WRITE, 0, data, LEN);
	begin(&other, &w);
	drive_both_until(w.n_done);
	assert_int_equal(w.err, 0);
	request_init(&r, VH_STORE_READ, 0, back, LEN);
	begin(&rig, &r);
	drive_both_until(r.n_done);
	assert_true(is_all(back, 's', LEN));
	other_close();
	rig_close(&rig);
}

/* The connection moves, with what is under way on it. */
static void the_reactor_of_the_connection_may_leave(void **state)
{
	struct request w;

	memset(data, 'm', LEN);
	SERVER_START(&server, NBDKIT, "--filter=delay", SINGLE, "wdelay=100ms");
	rig_open(&rig, server.word);
	other_open();
	request_init(&w, VH_STORE_WRITE, 0, data, LEN);
	begin(&other, &w);
	drive_until_idle(rig.r);
	vh_store_channel_close(rig.ch);
	assert_int_equal(w.n_done, 0);
	assert_int_equal(finish(&other, &w), 0);
	assert_int_equal(do_op(&other, VH_STORE_READ, 0, back, LEN), 0);
	assert_true(is_all(back, 'm', LEN));
	vh_store_channel_close(other.ch);
	vh_reactor_destroy(rig.r);
	vh_store_close(rig.s);
	vh_reactor_destroy(other.r);
}

/* Who is asked leaves before it hears of it, and nobody runs its reactor any more. */
static void a_request_follows_when_the_connection_leaves(void **state)
{
	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, LEN), 0);
	other_open();
	request_init(&q[0], VH_STORE_READ, 0, back, LEN);
	begin(&other, &q[0]);
	vh_store_channel_close(rig.ch);
	assert_int_equal(finish(&other, &q[0]), 0);
	vh_store_channel_close(other.ch);
	vh_store_close(rig.s);
	vh_reactor_destroy(rig.r);
	vh_reactor_destroy(other.r);
}

/* A summons that is still on its way belongs to nobody any more. */
static void all_may_leave_before_a_summons_arrives(void **state)
{
	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	other_open();
	vh_store_channel_close(rig.ch);
	vh_store_channel_close(other.ch);
	vh_store_close(rig.s);
	vh_reactor_destroy(other.r);
	vh_reactor_destroy(rig.r);
	assert_int_equal(n_said, 0);
}

enum { THREADS = 3, TURNS = 150 };

struct worker {
	pthread_t thread;
	struct rig rig;
	unsigned number, n_bad;
	struct request q[4];
};

/* Without assertions, which would jump out of the thread. */
static void worker_drive(struct worker *w)
{
	for (unsigned i = 0; i < 4; i++)
		while (!w->q[i].n_done)
			if (vh_reactor_poll(w->rig.r, 0) == 0 && !w->q[i].n_done &&
			    !fd_is_readable(vh_reactor_fd(w->rig.r), FOR_EVER_MS)) {
				w->n_bad++;
				return;
			}
}

static void worker_do(struct worker *w, enum vh_store_op op, char *buf)
{
	const uint64_t at = w->number * 4 * 8192ull;

	for (unsigned i = 0; i < 4; i++) {
		request_init(&w->q[i], op, at + i * 8192, buf + i * 8192, 8192);
		begin(&w->rig, &w->q[i]);
	}
	worker_drive(w);
	for (unsigned i = 0; i < 4; i++)
		w->n_bad += w->q[i].err != 0;
}

static void *worker_run(void *arg)
{
	static char buffers[THREADS][4 * 8192];
	struct worker *w = arg;
	char *buf = buffers[w->number];

	if (vh_store_channel_open(rig.s, w->rig.r, &w->rig.ch) < 0) {
		w->n_bad++;
		return NULL;
	}
	for (unsigned i = 0; i < TURNS && !w->n_bad; i++) {
		memset(buf, (int)(w->number + i), sizeof(buffers[0]));
		worker_do(w, VH_STORE_WRITE, buf);
		memset(buf, 0, sizeof(buffers[0]));
		worker_do(w, VH_STORE_READ, buf);
		w->n_bad += !is_all(buf, (char)(w->number + i), sizeof(buffers[0]));
	}
	vh_store_channel_close(w->rig.ch);
	return NULL;
}

static void expect_threads_served(const char *const *words)
{
	static struct worker workers[THREADS];

	memset(workers, 0, sizeof(workers));
	server_start(&server, words);
	assert_int_equal(STORE_OPEN(&rig.s, server.word), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].number = i;
		workers[i].rig.r = reactor_new(VH_POLL_SLEEP);
		pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		server_kill(&server);
		server_start(&server, words);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].n_bad, 0);
	}
	vh_store_close(rig.s);
	for (unsigned i = 0; i < THREADS; i++)
		vh_reactor_destroy(workers[i].rig.r);
}

static void threads_share_a_server_with_one_connection(void **state)
{
	expect_threads_served((const char *const[]){NBDKIT, SINGLE, NULL});
}

static void threads_share_a_server_with_many_connections(void **state)
{
	expect_threads_served((const char *const[]){NBDKIT, MULTI, NULL});
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
		TEST(what_a_smaller_disk_does_not_have_fails),
		TEST(a_larger_disk_is_seen_by_refresh),
		TEST(a_disk_that_comes_back_read_only_is_read),
		TEST(what_waits_for_a_server_can_be_cancelled),
		TEST(what_a_server_has_ends_as_it_would_have),
		TEST(a_cancel_reaches_only_its_own_channel),
		TEST(a_store_closes_while_a_server_does_not_answer),
		TEST(one_connection_serves_two_reactors),
		TEST(the_reactor_of_the_connection_may_leave),
		TEST(a_request_follows_when_the_connection_leaves),
		TEST(all_may_leave_before_a_summons_arrives),
		TEST(threads_share_a_server_with_one_connection),
		TEST(threads_share_a_server_with_many_connections),
	};

	if (!have_program("nbdkit")) {
		puts("there is no nbdkit");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
