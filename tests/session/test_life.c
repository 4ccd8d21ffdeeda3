/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers and clients over time: many front-ends, many reactors, and nothing to do. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "base/barrier.h"
#include "pair.h"
#include "wire/msg.h"

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Sanitizers keep what was freed for a while, ASan up to 256 MiB. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
#define GROWTH_KIB (300 * 1024)
#else
#define GROWTH_KIB (4 * 1024)
#endif

struct place {
	char dir[32], path[48], address[64];
};

static void make_place(struct place *at)
{
	snprintf(at->dir, sizeof(at->dir), "/tmp/vhost-test-XXXXXX");
	assert_non_null(mkdtemp(at->dir));
	snprintf(at->path, sizeof(at->path), "%s/s", at->dir);
	snprintf(at->address, sizeof(at->address), "unix:%s", at->path);
}

static int connect_to(const struct place *at)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", at->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void serve_keeper(struct pair *p, struct keeper *k, const char *address)
{
	*k = (struct keeper){0};
	pair_open(p, 2, VH_POLL_SLEEP);
	pair_add(p, &keeper_ops, k, address);
	pair_start(p);
}

/* The server is done with everybody before, and has all that one front-end takes. */
static struct vh_client *settled_client(const char *address)
{
	struct vh_client *c = pair_client(address, 0);

	assert_int_equal(vh_client_start(c, 2, 16), 0);
	pair_use(c, 0, 1);
	return c;
}

static void thousand_front_ends_leave_nothing_behind(void **state)
{
	struct vh_client *c;
	struct keeper k;
	struct pair p;
	struct place at;
	unsigned n_fds = 0;
	long resident = 0;

	(void)state;
	make_place(&at);
	serve_keeper(&p, &k, at.address);
	for (unsigned i = 0; i < 1000; i++) {
		c = settled_client(at.address);
		if (i == 100) {
			n_fds = count_fds();
			resident = resident_kib();
		}
		if (i == 999) {
			assert_int_equal(count_fds(), n_fds);
			assert_in_range(resident_kib(), 0, resident + GROWTH_KIB);
		}
		vh_client_destroy(c);
	}
	pair_end(&p);
	rmdir(at.dir);
}

/* Headers and payloads of which the rest never comes. */
static void a_front_end_may_go_in_the_middle_of_a_message(void **state)
{
	static const struct {
		struct vh_wire_header h;
		unsigned sent;
	} parts[] = {
		{{VH_MSG_GET_FEATURES, 1, 0}, 0},    {{VH_MSG_GET_FEATURES, 1, 0}, 1},
		{{VH_MSG_GET_FEATURES, 1, 0}, 11},   {{VH_MSG_SET_FEATURES, 1, 8}, 12},
		{{VH_MSG_SET_MEM_TABLE, 1, 40}, 12},
	};
	struct keeper k;
	struct pair p;
	struct place at;

	(void)state;
	make_place(&at);
	serve_keeper(&p, &k, at.address);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int fd = connect_to(&at);

		assert_int_equal(write(fd, &parts[i].h, parts[i].sent), parts[i].sent);
		close(fd);
		vh_client_destroy(settled_client(at.address));
	}
	pair_end(&p);
	rmdir(at.dir);
}

static void wait_for_change(struct vh_client *c)
{
	struct pollfd told = {.fd = vh_client_fd(c), .events = POLLIN};
	bool changed = false;

	/* Perhaps it came while a call waited for an answer. */
	while (!vh_client_handle(c, &changed) && !changed)
		assert_int_equal(poll(&told, 1, 60000), 1);
	assert_true(changed);
}

static void a_change_of_config_space_is_told_when_queues_run(void **state)
{
	struct vh_device *d;
	struct keeper k = {0};
	struct vh_client *c;
	bool changed = true;
	struct pair p;
	uint8_t b = 0;

	(void)state;
	pair_open(&p, 2, VH_POLL_SLEEP);
	d = pair_add(&p, &keeper_ops, &k, "loop:life");
	pair_start(&p);
	c = pair_client("loop:life", 0);
	/* A device that does not run must keep quiet; the answer comes behind the change.
	 */
	vh_device_config_changed(d);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	assert_int_equal(vh_client_handle(c, &changed), 0);
	assert_false(changed);
	assert_int_equal(vh_client_start(c, 2, 16), 0);
	wait_for_change(c);
	vh_device_config_changed(d);
	wait_for_change(c);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	assert_int_equal(b, 42);
	assert_int_equal(vh_client_read_config(c, 1, &b, 1), -EINVAL);
	vh_client_destroy(c);
	pair_end(&p);
}

static void a_reset_stops_the_queues_and_is_told_to_the_device(void **state)
{
	struct vh_client *c;
	struct keeper k;
	struct pair p;

	(void)state;
	serve_keeper(&p, &k, "loop:life");
	c = pair_client("loop:life", 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(vh_client_start(c, 2, 16), 0);
		pair_use(c, 0, 3);
		pair_use(c, 1, 3);
		assert_int_equal(vh_client_stop(c), 0);
		assert_int_equal(vh_client_reset(c), 0);
		assert_int_equal(vh_load_acquire(&k.n_resets), i);
	}
	vh_client_destroy(c);
	pair_end(&p);
}

/* ---- Several data reactors ---- */

struct driver {
	pthread_t thread;
	struct vh_client_queue *queue;
	uint8_t *buffer;
	unsigned n;
};

#define CHAINS 20000
#define WINDOW 32

/* Keeps up to WINDOW chains with the device until CHAINS went through. */
static void *drive(void *arg)
{
	struct driver *d = arg;
	const struct iovec iov = {.iov_base = d->buffer, .iov_len = 1};
	unsigned added = 0;
	uint32_t len;

	while (d->n < CHAINS) {
		while (added < CHAINS && added - d->n < WINDOW) {
			assert_int_equal(vh_client_add(d->queue, &iov, 0, 1, d), 0);
			added++;
		}
		vh_client_kick(d->queue);
		if (!vh_client_get(d->queue, &len))
			assert_int_equal(vh_client_wait(d->queue, 60000), 1);
		else
			d->n++;
	}
	return NULL;
}

static void load_both_queues(struct vh_client *c)
{
	struct driver d[2];

	for (unsigned i = 0; i < 2; i++)
		d[i] = (struct driver){.queue = vh_client_queue(c, i),
				       .buffer = vh_client_alloc(c, 1, 64)};
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&d[i].thread, NULL, drive, &d[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(d[i].thread, NULL);
		assert_int_equal(d[i].n, CHAINS);
	}
}

static void queues_of_a_device_run_on_different_reactors(void **state)
{
	const enum vh_poll_mode modes[] = {VH_POLL_SLEEP, VH_POLL_ADAPTIVE};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vh_device *d;
		struct keeper k = {0};
		struct vh_client *c;
		struct pair p;

		pair_open(&p, 3, modes[i]);
		d = pair_add(&p, &keeper_ops, &k, "loop:life");
		assert_ptr_not_equal(vh_queue_reactor(vh_device_queue(d, 0)),
				     vh_queue_reactor(vh_device_queue(d, 1)));
		pair_start(&p);
		c = pair_client("loop:life", 1ull << VIRTIO_RING_F_EVENT_IDX);
		assert_int_equal(vh_client_start(c, 2, 64), 0);
		load_both_queues(c);
		assert_int_equal(vh_client_stop(c), 0);
		vh_client_destroy(c);
		pair_end(&p);
	}
}

/* ---- Nothing to do ---- */

/* Microseconds of all threads of this process. */
static uint64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec;
}

/* The promise is 1%; a sanitizer's own thread may take some, a poller takes it all. */
static void reactors_that_adapt_cost_next_to_nothing_when_idle(void **state)
{
	struct keeper k = {0};
	struct pollfd nothing = {.fd = -1};
	struct vh_client *c;
	struct pair p;
	uint64_t before;

	(void)state;
	pair_open(&p, 3, VH_POLL_ADAPTIVE);
	pair_add(&p, &keeper_ops, &k, "loop:life");
	pair_start(&p);
	c = pair_client("loop:life", 0);
	assert_int_equal(vh_client_start(c, 2, 16), 0);
	pair_use(c, 0, 100);
	pair_use(c, 1, 100);
	poll(&nothing, 1, 100); /* they see that it is over */
	before = cpu_us();
	poll(&nothing, 1, 1000);
	assert_in_range(cpu_us() - before, 0, 50000);
	vh_client_destroy(c);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousand_front_ends_leave_nothing_behind),
		cmocka_unit_test(a_front_end_may_go_in_the_middle_of_a_message),
		cmocka_unit_test(a_change_of_config_space_is_told_when_queues_run),
		cmocka_unit_test(a_reset_stops_the_queues_and_is_told_to_the_device),
		cmocka_unit_test(queues_of_a_device_run_on_different_reactors),
		cmocka_unit_test(reactors_that_adapt_cost_next_to_nothing_when_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
