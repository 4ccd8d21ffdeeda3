/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk served over the vhost-pci adapter: the device on a thread of its own, its driver
 * in an ordinary session, an ordinary client as front-end.  Nothing between them is ours
 * but what is tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../conn/rig.h"
#include "../dev/blk/disk.h"
#include "../vfu/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "spec/vhost_user.h"
#include "vvu/adapter.h"

#define MEMORY	   (8ull << 20)
#define BAR_SIZE   (64ull << 20)
#define FEATURES   (ALL_RING_FEATURES | ALL_BLK_FEATURES)
#define RECONNECTS 50

static const char *const memory_disk[] = {"memory=16M", NULL};

struct stage {
	struct rig *rig;
	char vmm[80], front[96], memory[80], driver[112];
	struct vh_reactor *reactor;
	pthread_t thread;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_adapter *adapter;
	struct disk disk;
	struct vh_adapter_stats stats;
	int done;
};

/* ---- The device ---- */

static void *run(void *arg)
{
	vh_reactor_run(arg);
	return NULL;
}

static void open_adapter(struct stage *s)
{
	const struct vh_reactor_params reactor = {.size = sizeof(reactor),
						  .name = "adapter",
						  .cpu = -1,
						  .poll = VH_POLL_ADAPTIVE};
	struct vh_adapter_params p = {
		.pci = s->vmm, .front = s->front, .tag = "adapter", .accept_early = true};
	char memory[128];

	snprintf(memory, sizeof(memory), "file:%s,size=8M", s->memory);
	assert_int_equal(vh_reactor_create(&reactor, &s->reactor), 0);
	assert_int_equal(vh_window_static(memory, BAR_SIZE, "window", &s->window), 0);
	assert_int_equal(vh_area_create("area", &s->area), 0);
	p.window = s->window;
	p.area = s->area;
	assert_int_equal(vh_adapter_open(s->reactor, &p, &s->adapter), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, run, s->reactor), 0);
}

static void close_adapter(struct stage *s)
{
	vh_reactor_stop(s->reactor);
	pthread_join(s->thread, NULL);
	vh_adapter_close(s->adapter);
	vh_area_destroy(s->area);
	vh_window_destroy(s->window);
	vh_reactor_destroy(s->reactor);
}

static void read_stats(void *arg)
{
	struct stage *s = arg;

	vh_adapter_read_stats(s->adapter, &s->stats);
	eventfd_write(s->done, 1);
}

static const struct vh_adapter_stats *stats(struct stage *s)
{
	eventfd_t n;

	assert_int_equal(vh_reactor_post(s->reactor, read_stats, s), 0);
	assert_int_equal(eventfd_read(s->done, &n), 0);
	return &s->stats;
}

/* ---- Life ---- */

static int setup(void **state)
{
	static bool added;
	struct stage *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	if (!added)
		vfu_test_bus_add();
	added = true;
	rig_setup((void **)&s->rig);
	snprintf(s->vmm, sizeof(s->vmm), "%s/vmm", s->rig->dir);
	snprintf(s->front, sizeof(s->front), "unix:%s/front", s->rig->dir);
	snprintf(s->memory, sizeof(s->memory), "%s/memory", s->rig->dir);
	snprintf(s->driver, sizeof(s->driver), "vhostpci:test:%s", s->vmm);
	s->done = eventfd(0, EFD_CLOEXEC);
	open_adapter(s);
	disk_serve(&s->disk, s->driver, memory_disk);
	disk_drive(&s->disk, s->front, s->memory, FEATURES, 1);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;
	int result;

	disk_close(&s->disk);
	close_adapter(s);
	close(s->done);
	unlink(s->memory);
	result = rig_teardown((void **)&s->rig);
	free(s);
	return result;
}

/* ---- What it is for ---- */

static void write_and_read(struct stage *s, unsigned seed)
{
	const size_t len = 256u << 10;

	disk_fill(&s->disk, seed, len);
	assert_int_equal(disk_write(&s->disk, seed, len), VIRTIO_BLK_S_OK);
	disk_fill(&s->disk, seed + 1, len);
	assert_int_equal(disk_read(&s->disk, seed, len), VIRTIO_BLK_S_OK);
	assert_true(disk_has(&s->disk, seed, len));
}

static void what_is_written_is_read(void **state)
{
	struct stage *s = *state;

	for (unsigned i = 0; i < 16; i++)
		write_and_read(s, 8 * i);
	assert_int_equal(stats(s)->session, 1);
	assert_int_equal(stats(s)->failed, 0);
	assert_int_equal(stats(s)->relay.faults, 0);
}

static void no_message_of_the_vmm_is_needed_for_data(void **state)
{
	struct stage *s = *state;
	uint64_t before;

	write_and_read(s, 0);
	before = stats(s)->vfu.messages;
	vh_client_want_calls(vh_client_queue(s->disk.client, 0), true);
	for (unsigned i = 0; i < 16; i++)
		write_and_read(s, 8 * i);
	assert_int_equal(stats(s)->vfu.messages, before);
}

static void configuration_is_read_over_it(void **state)
{
	struct stage *s = *state;
	uint64_t capacity = 0;

	assert_int_equal(vh_client_read_config(s->disk.client, 0, &capacity, 8), 0);
	assert_int_equal(capacity, (16u << 20) / 512);
}

/* ---- Sessions ---- */

static void drive_again(struct stage *s)
{
	vh_client_destroy(s->disk.client);
	disk_drive(&s->disk, s->front, s->memory, FEATURES, 1);
}

static void a_front_end_comes_again(void **state)
{
	struct stage *s = *state;

	write_and_read(s, 1);
	drive_again(s);
	assert_int_equal(disk_read(&s->disk, 1, 256u << 10), VIRTIO_BLK_S_OK);
	assert_true(disk_has(&s->disk, 1, 256u << 10));
	assert_int_equal(stats(s)->session, 2);
	assert_int_equal(stats(s)->error, VH_RELAY_FRONTEND_CLOSED);
}

static void many_sessions_leave_no_fd_behind(void **state)
{
	struct stage *s = *state;
	int n_fds;

	drive_again(s);
	write_and_read(s, 0);
	n_fds = rig_count_fds();
	for (unsigned i = 0; i < RECONNECTS; i++) {
		drive_again(s);
		write_and_read(s, i);
	}
	assert_int_equal(stats(s)->session, 2 + RECONNECTS);
	assert_int_equal(rig_count_fds(), n_fds);
}

static void a_driver_comes_again(void **state)
{
	struct stage *s = *state;
	struct vh_client *client = s->disk.client;

	vh_client_destroy(client);
	s->disk.client = NULL;
	disk_close(&s->disk);
	disk_serve(&s->disk, s->driver, memory_disk);
	disk_drive(&s->disk, s->front, s->memory, FEATURES, 1);
	write_and_read(s, 3);
	assert_int_equal(stats(s)->session, 1);
}

static void memory_of_another_file_is_refused(void **state)
{
	struct stage *s = *state;
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = s->front,
					   .features = FEATURES,
					   .memory = 1 << 20};
	struct vh_client *c;

	vh_client_destroy(s->disk.client);
	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	assert_true(vh_client_start(c, 1, 16) < 0);
	vh_client_destroy(c);
	disk_drive(&s->disk, s->front, s->memory, FEATURES, 1);
	write_and_read(s, 3);
}

/* ---- Requests in flight ---- */

static void drive_tracked(struct stage *s)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = s->front,
					   .features = FEATURES,
					   .memory = 1 << 20,
					   .file = s->memory,
					   .track = true};
	struct disk *d = &s->disk;

	vh_client_destroy(d->client);
	assert_int_equal(vh_client_create(&p, &d->client), 0);
	assert_int_equal(vh_client_connect(d->client), 0);
	assert_int_equal(vh_client_start(d->client, 1, 256), 0);
	d->header = vh_client_alloc(d->client, 4096, 4096);
	d->status = d->header + 2048;
	d->data = vh_client_alloc(d->client, (256u << 10) + 1, 4096);
	assert_non_null(d->data);
}

/* The driver's process ends, and another one begins; the front-end stays. */
static void restart_driver(struct stage *s)
{
	const struct disk was = s->disk;

	s->disk.client = NULL;
	disk_close(&s->disk);
	disk_serve(&s->disk, s->driver, memory_disk);
	s->disk.client = was.client;
	s->disk.header = was.header;
	s->disk.status = was.status;
	s->disk.data = was.data;
}

static void what_is_in_flight_is_noted_in_the_area(void **state)
{
	struct stage *s = *state;
	struct vh_client_info info;

	drive_tracked(s);
	vh_client_info(s->disk.client, &info);
	assert_true(info.protocol_features & VH_BIT(VH_PF_INFLIGHT_SHMFD));
	write_and_read(s, 5);
	restart_driver(s);
	assert_int_equal(vh_client_connect(s->disk.client), 0);
	write_and_read(s, 6);
	assert_int_equal(stats(s)->relay.faults, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(no_message_of_the_vmm_is_needed_for_data),
		T(configuration_is_read_over_it),
		T(a_front_end_comes_again),
		T(many_sessions_leave_no_fd_behind),
		T(a_driver_comes_again),
		T(memory_of_another_file_is_refused),
		T(what_is_in_flight_is_noted_in_the_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
