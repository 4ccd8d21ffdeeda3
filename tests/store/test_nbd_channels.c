/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd=URI with channels of many reactors: who has which connection. */
#include "store/nbd_server.h"
#include "store/remember.h"

#define DISK (1u << 20)
#define LEN  40960

#define SINGLE "--filter=multi-conn", A_FILE, "multi-conn-mode=disable"
#define MULTI  "--filter=multi-conn", A_FILE, "multi-conn-mode=emulate"

static char data[DISK], back[DISK];
static struct server server;
static struct rig rig;

/* A second channel to the rig's store, on a reactor of its own. */
static struct rig other;

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

static void other_open(void)
{
	other.r = reactor_new(VH_POLL_SLEEP);
	other.s = rig.s;
	assert_int_equal(vh_store_channel_open(other.s, other.r, &other.ch), 0);
}

/* The store first: until it is closed, it may speak to a reactor. */
static void close_both(void)
{
	vh_store_channel_close(other.ch);
	rig_close(&rig);
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

/* ---- Two reactors ---- */

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
	close_both();
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
	close_both();
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
	struct request r;

	SERVER_START(&server, NBDKIT, SINGLE);
	rig_open(&rig, server.word);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 0, back, LEN), 0);
	other_open();
	request_init(&r, VH_STORE_READ, 0, back, LEN);
	begin(&other, &r);
	vh_store_channel_close(rig.ch);
	assert_int_equal(finish(&other, &r), 0);
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

/* ---- Fewer connections than channels ---- */

/* Two channels of one reactor and one of another: more than the server takes. */
static void expect_three_channels_served(void)
{
	struct vh_store_channel *third;
	struct request w[2], r;

	rig_open(&rig, server.word);
	other_open();
	assert_int_equal(vh_store_channel_open(rig.s, other.r, &third), 0);
	request_init(&w[0], VH_STORE_WRITE, 0, memset(data, 'l', LEN), LEN);
	request_init(&w[1], VH_STORE_WRITE, LEN, memset(data + LEN, 'm', LEN), LEN);
	begin(&other, &w[0]);
	vh_store_submit(third, &w[1].io);
	vh_store_start(third);
	drive_both_until(w[0].n_done && w[1].n_done);
	assert_int_equal(w[0].err, 0);
	assert_int_equal(w[1].err, 0);
	request_init(&r, VH_STORE_READ, 0, back, 2 * LEN);
	begin(&rig, &r);
	drive_both_until(r.n_done);
	assert_memory_equal(back, data, 2 * LEN);
	vh_store_channel_close(third);
	close_both();
}

static void who_gets_no_connection_shares_one_and_says_so_once(void **state)
{
	SERVER_START(&server, NBDKIT, "--filter=limit", MULTI, "limit=1");
	expect_three_channels_served();
	assert_int_equal(n_said, 1);
	assert_true(was_said("no connection for each data thread"));
	assert_true(was_said("--shared=0"));
}

/* This one does not refuse but lets wait: for as long as a connection may take. */
static void who_waits_in_vain_for_a_connection_shares_one(void **state)
{
	if (!have_program("qemu-nbd"))
		skip();
	SERVER_START(&server, "qemu-nbd", "-f", "raw", "-t", "FILE", "--shared=2");
	expect_three_channels_served();
	assert_true(was_said("the server does not answer"));
	assert_true(was_said("no connection for each data thread"));
}

static void a_server_of_one_client_serves_all_channels(void **state)
{
	if (!have_program("qemu-nbd"))
		skip();
	SERVER_START(&server, "qemu-nbd", "-f", "raw", "-t", "FILE", "--shared=1");
	expect_three_channels_served();
	assert_int_equal(n_said, 0);
}

/* A server that is away has no connection for anybody: that is no reason to share. */
static void who_opens_a_channel_while_the_server_is_away_has_its_own_later(void **state)
{
	struct request r;

	SERVER_START(&server, NBDKIT, MULTI);
	rig_open(&rig, server.word);
	server_kill(&server);
	other_open();
	request_init(&r, VH_STORE_READ, 0, back, LEN);
	begin(&other, &r);
	drive_until(other.r, was_said("refused"));
	SERVER_START(&server, NBDKIT, MULTI);
	/* The first channel's reactor does nothing for it. */
	assert_int_equal(finish(&other, &r), 0);
	assert_false(was_said("no connection for each data thread"));
	close_both();
}

/* ---- Threads ---- */

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
		TEST(a_cancel_reaches_only_its_own_channel),
		TEST(one_connection_serves_two_reactors),
		TEST(the_reactor_of_the_connection_may_leave),
		TEST(a_request_follows_when_the_connection_leaves),
		TEST(all_may_leave_before_a_summons_arrives),
		TEST(who_gets_no_connection_shares_one_and_says_so_once),
		TEST(who_waits_in_vain_for_a_connection_shares_one),
		TEST(a_server_of_one_client_serves_all_channels),
		TEST(who_opens_a_channel_while_the_server_is_away_has_its_own_later),
		TEST(threads_share_a_server_with_one_connection),
		TEST(threads_share_a_server_with_many_connections),
	};

	if (!have_program("nbdkit")) {
		puts("there is no nbdkit");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
