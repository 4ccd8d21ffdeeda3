/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients come, go, break off, and one is there at a time. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ull
#define RW   (VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE)

static void fault(struct rig *rig)
{
	vh_vfu_fault(rig->v, "a test wants it");
	vh_vfu_fault(rig->v, "twice");
}

/* Memory, an eventfd for each vector, and the pin. */
static void give_all(struct rig *rig)
{
	int memory = rig_memory(64 * PAGE), fd[RIG_VECTORS];

	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(
			vfu_dma_map(&rig->c, 2 * i * PAGE, PAGE, memory, i * PAGE, RW),
			0);
	for (unsigned i = 0; i < RIG_VECTORS; i++) {
		fd[i] = rig_eventfd();
		assert_int_equal(vfu_set_vector(&rig->c, i, fd[i]), 0);
	}
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_INTX,
				      VH_VFU_SET_EVENTFD | VH_VFU_SET_TRIGGER, 0, 1, fd,
				      1),
			 0);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_INTX,
				      VH_VFU_SET_EVENTFD | VH_VFU_SET_UNMASK, 0, 1,
				      fd + 1, 1),
			 0);
	close(memory);
	for (unsigned i = 0; i < RIG_VECTORS; i++)
		close(fd[i]);
}

static void go(struct rig *rig, unsigned n)
{
	vfu_disconnect(&rig->c);
	rig_wait(rig, &rig->n_went, n);
}

/* ---- Going ---- */

static void a_client_that_goes_leaves_nothing_behind(void **state)
{
	struct rig *rig = *state;
	int n;

	rig_open(rig);
	n = rig_count_fds();
	for (unsigned i = 1; i <= 20; i++) {
		rig_connect(rig);
		give_all(rig);
		go(rig, i);
		assert_int_equal(rig_count_fds(), n);
		assert_int_equal(rig_get(rig, &rig->n_removed), 32 * i);
		assert_int_equal(rig_get(rig, &rig->n_resets), i);
	}
}

static void a_client_killed_in_the_middle_of_any_message_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_dma_map m = {.argsz = 32, .flags = RW, .size = PAGE};
	uint8_t bytes[48];
	const int fd = rig_memory(PAGE);
	int n;

	memcpy(bytes, &(struct vh_vfu_header){.command = VH_VFU_DMA_MAP, .size = 48}, 16);
	memcpy(bytes + 16, &m, sizeof(m));
	rig_open(rig);
	n = rig_count_fds();
	for (unsigned len = 1; len < sizeof(bytes); len++) {
		rig_connect(rig);
		give_all(rig);
		assert_int_equal(vfu_send_bytes(&rig->c, bytes, len, &fd, 1), 0);
		go(rig, len);
		assert_int_equal(rig_count_fds(), n);
	}
	rig_connect(rig);
	close(fd);
}

static void a_function_is_as_after_power_on_for_the_next_client(void **state)
{
	struct rig *rig = *state;
	uint32_t value = 5;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_write(&rig->c, 0, 0, &value, 4), 0);
	go(rig, 1);
	rig_connect(rig);
	assert_int_equal(vfu_read(&rig->c, 0, 0, &value, 4), 0);
	assert_int_equal(value, 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 2);
}

static void the_next_client_is_served_when_the_reset_is_done(void **state)
{
	struct rig *rig = *state;

	rig->slow_reset = true;
	rig_open(rig);
	rig_connect(rig);
	give_all(rig);
	vfu_disconnect(&rig->c);
	rig_wait(rig, &rig->n_pending, 1);
	assert_int_equal(rig_get(rig, &rig->n_removed), 0);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_VERSION, 0, "\0\0\0\0", 4, NULL, 0), 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 1);
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 2);
	assert_int_equal(rig_get(rig, &rig->n_removed), 32);
}

static void each_piece_of_memory_may_go_in_its_time(void **state)
{
	struct rig *rig = *state;

	rig->slow_removal = true;
	rig_open(rig);
	rig_connect(rig);
	give_all(rig);
	vfu_disconnect(&rig->c);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(rig_get(rig, &rig->n_went), 0);
		rig_wait(rig, &rig->n_pending, 1);
		rig_resume(rig);
	}
	rig_wait(rig, &rig->n_went, 1);
}

static void two_hundred_clients_follow_each_other_and_none_is_refused(void **state)
{
	struct rig *rig = *state;
	int n;

	rig_open(rig);
	n = rig_count_fds();
	for (unsigned i = 0; i < 200; i++) {
		rig_connect(rig); /* right after the one before hung up */
		vfu_disconnect(&rig->c);
	}
	rig_wait(rig, &rig->n_went, 200);
	assert_int_equal(rig_count_fds(), n);
	assert_int_equal(rig_logged("refused"), 0);
}

static void who_connects_and_says_nothing_resets_nothing(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	vfu_disconnect(&rig->c);
	rig_connect(rig);
	assert_int_equal(rig_get(rig, &rig->n_resets), 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 1);
}

/* ---- Being refused ---- */

static void a_second_client_is_refused_and_the_first_one_goes_on(void **state)
{
	struct rig *rig = *state;
	struct vfu_client second;
	struct vh_vfu_device_info info;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(vfu_connect_only(&second, rig->path), 0);
		assert_int_equal(vfu_recv(&second), -EPIPE);
		vfu_disconnect(&second);
	}
	assert_int_equal(rig_logged("a second client is refused"), 1);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
}

static void a_client_can_be_cut_off(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	rig_do(rig, fault);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	rig_wait(rig, &rig->n_went, 1);
	assert_int_equal(rig_get(rig, &rig->n_resets), 1);
	assert_int_equal(rig_stats(rig).faults, 1);
	rig_do(rig, fault);
	assert_int_equal(rig_stats(rig).faults, 1);
}

static void a_client_that_is_cut_off_in_a_slow_write_goes_when_that_is_done(void **state)
{
	struct rig *rig = *state;
	const uint32_t value = 1;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_post(&rig->c, 0, RIG_SLOW, &value, sizeof(value)), 0);
	rig_wait(rig, &rig->n_pending, 1);
	rig_do(rig, fault);
	assert_int_equal(rig_get(rig, &rig->n_resets), 0);
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	rig_wait(rig, &rig->n_went, 1);
}

static void a_client_that_goes_in_a_slow_write_is_noticed_when_that_is_done(void **state)
{
	struct rig *rig = *state;
	const uint32_t value = 1;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_post(&rig->c, 0, RIG_SLOW, &value, sizeof(value)), 0);
	rig_wait(rig, &rig->n_pending, 1);
	vfu_disconnect(&rig->c);
	assert_int_equal(rig_get(rig, &rig->n_resets), 0);
	rig_resume(rig);
	rig_wait(rig, &rig->n_went, 1);
	rig_connect(rig);
}

static void who_comes_while_one_that_hung_up_is_still_busy_is_not_refused(void **state)
{
	struct rig *rig = *state;
	const uint32_t value = 1;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_post(&rig->c, 0, RIG_SLOW, &value, sizeof(value)), 0);
	rig_wait(rig, &rig->n_pending, 1);
	vfu_disconnect(&rig->c);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_VERSION, 0, "\0\0\0\0", 4, NULL, 0), 0);
	assert_int_equal(rig_get(rig, &rig->n_came), 1);
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig_logged("refused"), 0);
}

static void a_server_that_ends_hangs_up(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	give_all(rig);
	rig_close(rig);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	assert_int_equal(rig->n_resets, 0);
	assert_int_equal(rig->n_went, 0);
}

/* ---- Bytes that make no sense ---- */

static void a_message_of_no_possible_size_is_answered_and_is_the_last(void **state)
{
	static const uint32_t sizes[] = {0, 15, VH_VFU_MAX_MSG + 1, UINT32_MAX};
	struct rig *rig = *state;

	rig_open(rig);
	for (unsigned i = 0; i < 4; i++) {
		const struct vh_vfu_header h = {
			.id = 7, .command = VH_VFU_GET_INFO, .size = sizes[i]};

		rig_connect(rig);
		assert_int_equal(vfu_send_bytes(&rig->c, &h, sizeof(h), NULL, 0), 0);
		assert_int_equal(vfu_recv(&rig->c), 0);
		assert_int_equal(rig->c.reply.id, 7);
		assert_int_equal(rig->c.reply.error, EINVAL);
		assert_int_equal(vfu_recv(&rig->c), -EPIPE);
		go(rig, i + 1);
	}
}

static void bytes_may_come_one_by_one(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_device_info info = {.argsz = 16};
	uint8_t bytes[32];

	memcpy(bytes, &(struct vh_vfu_header){.command = VH_VFU_GET_INFO, .size = 32},
	       16);
	memcpy(bytes + 16, &info, 16);
	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(vfu_send_bytes(&rig->c, bytes + i, 1, NULL, 0), 0);
		rig_stats(rig); /* the server has had a look */
	}
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.len, 16);
}

static void descriptors_in_the_middle_of_a_message_end_the_connection(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_header h = {.command = VH_VFU_DMA_MAP, .size = 48};
	const uint8_t rest[32] = {0};
	const int fd = rig_memory(PAGE);
	int n;

	rig_open(rig);
	rig_connect(rig);
	n = rig_count_fds();
	assert_int_equal(vfu_send_bytes(&rig->c, &h, sizeof(h), NULL, 0), 0);
	assert_int_equal(vfu_send_bytes(&rig->c, rest, sizeof(rest), &fd, 1), 0);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	rig_wait(rig, &rig->n_went, 1);
	assert_int_equal(rig_count_fds(), n - 1);
	close(fd);
}

static void descriptors_that_no_command_wants_are_closed(void **state)
{
	static const uint8_t zeros[64];
	struct rig *rig = *state;
	int fd[253], n;

	for (unsigned i = 0; i < 253; i++)
		fd[i] = i ? fd[0] : rig_eventfd();
	rig_open(rig);
	rig_connect(rig);
	n = rig_count_fds();
	for (uint16_t command = 0; command < 20; command++)
		assert_int_equal(vfu_ask(&rig->c, command, zeros, sizeof(zeros), fd, 253),
				 -EINVAL);
	assert_int_equal(rig_count_fds(), n);
	close(fd[0]);
}

/* No fd more for this process, until give_back(). */
static int spare[4096];
static unsigned n_spare;
static struct rlimit limit;

static void take_all_fds(void)
{
	const int highest = dup(0);
	struct rlimit now;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	now = limit;
	now.rlim_cur = (rlim_t)highest;
	close(highest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	for (n_spare = 0; n_spare < 4096; n_spare++) {
		spare[n_spare] = dup(0);
		if (spare[n_spare] < 0)
			break;
	}
}

static void give_back(void)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (n_spare > 0)
		close(spare[--n_spare]);
}

static void descriptors_that_get_lost_end_the_connection(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_dma_map m = {.argsz = 32, .flags = RW, .size = PAGE};
	const int fd = rig_memory(PAGE);

	rig_open(rig);
	rig_connect(rig);
	take_all_fds();
	assert_int_equal(vfu_send(&rig->c, VH_VFU_DMA_MAP, 0, &m, sizeof(m), &fd, 1), 0);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	give_back();
	assert_int_equal(rig_logged("descriptors were lost"), 1);
	close(fd);
}

static void
a_client_that_comes_when_there_are_no_descriptors_is_served_later(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig->c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	take_all_fds();
	assert_int_equal(vfu_connect_with(&rig->c, rig->path), 0);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_VERSION, 0, "\0\0\0\0", 4, NULL, 0), 0);
	for (unsigned i = 0; i < 1000000 && !rig_logged("cannot accept"); i++)
		rig_stats(rig);
	give_back();
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig_logged("cannot accept"), 1);
}

/* ---- Slow clients ---- */

static bool can_write(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) > 0;
}

static void a_client_that_never_reads_stops_being_read(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_region_access ask = {.region = 0, .count = RIG_BAR0};
	uint64_t before;
	unsigned n = 0;

	rig_open(rig);
	rig_connect(rig);
	do {
		before = rig_stats(rig).messages;
		while (can_write(rig->c.fd) && n < 100000) {
			assert_int_equal(vfu_send(&rig->c, VH_VFU_REGION_READ, 0, &ask,
						  sizeof(ask), NULL, 0),
					 0);
			n++;
		}
	} while (rig_stats(rig).messages != before);
	assert_true(n < 100000);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(vfu_recv(&rig->c), 0);
		assert_int_equal(rig->c.len, 16 + RIG_BAR0);
		assert_int_equal(rig->c.reply.id, (uint16_t)(rig->c.next_id - n + i));
	}
}

static void descriptors_of_answers_that_wait_come_with_them(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_region_info ask = {.argsz = 4096, .index = 2};
	unsigned n = 0;
	uint64_t before;

	rig_open(rig);
	rig_connect(rig);
	do {
		before = rig_stats(rig).messages;
		for (; can_write(rig->c.fd) && n < 800; n++)
			assert_int_equal(vfu_send(&rig->c, VH_VFU_GET_REGION_INFO, 0,
						  &ask, sizeof(ask), NULL, 0),
					 0);
	} while (rig_stats(rig).messages != before);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(vfu_recv(&rig->c), 0);
		assert_int_equal(rig->c.n_fds, 1);
	}
}

static void a_client_that_never_reads_can_go(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_region_access ask = {.region = 0, .count = RIG_BAR0};

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < 200 && can_write(rig->c.fd); i++)
		assert_int_equal(vfu_send(&rig->c, VH_VFU_REGION_READ, 0, &ask,
					  sizeof(ask), NULL, 0),
				 0);
	go(rig, 1);
	rig_connect(rig);
}

/* ---- RESET ---- */

static void a_reset_keeps_memory_and_forgets_registers(void **state)
{
	struct rig *rig = *state;
	uint32_t value = 5;

	rig_open(rig);
	rig_connect(rig);
	give_all(rig);
	assert_int_equal(vfu_write(&rig->c, 0, 0, &value, 4), 0);
	assert_int_equal(vfu_reset(&rig->c), 0);
	assert_int_equal(vfu_read(&rig->c, 0, 0, &value, 4), 0);
	assert_int_equal(value, 0);
	assert_int_equal(rig_get(rig, &rig->n_removed), 0);
	assert_int_equal(rig_get(rig, &rig->n_resets), 1);
}

static void a_reset_that_takes_its_time_is_answered_then(void **state)
{
	struct rig *rig = *state;

	rig->slow_reset = true;
	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_RESET, 0, NULL, 0, NULL, 0), 0);
	rig_wait(rig, &rig->n_pending, 1);
	assert_int_equal(recv(rig->c.fd, &(char){0}, 1, MSG_DONTWAIT), -1);
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.flags, VH_VFU_REPLY);
	assert_int_equal(rig->c.len, 0);
	/* And the one at its end. */
	vfu_disconnect(&rig->c);
	rig_wait(rig, &rig->n_pending, 1);
	rig_resume(rig);
}

/* ---- The path ---- */

static void the_socket_has_the_mode_that_was_asked_for(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	strcat(rig->address, ",mode=0620");
	rig_open(rig);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
}

static struct vh_reactor *new_reactor(void)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params), .name = "r", .cpu = -1};
	struct vh_reactor *r;

	assert_int_equal(vh_reactor_create(&params, &r), 0);
	return r;
}

static void an_address_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  ",mode=0600",
					  "/tmp/x,mode=9",
					  "/tmp/x,new=1",
					  "/tmp/x,any-memory=maybe",
					  "/tmp/x,group=no such group"};
	static const struct vh_vfu_shape shape;
	static const struct vh_vfu_ops ops;
	struct vh_reactor *r = new_reactor();
	struct vh_vfu *v;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(vh_vfu_open(r, bad[i], "vfu", &shape, &ops, NULL, &v),
				 -EINVAL);
		assert_null(v);
	}
	vh_reactor_destroy(r);
}

static void areas_that_cannot_be_mapped_are_not_offered(void **state)
{
	static const struct vh_vfu_area bad[] = {{1, 4096},
						 {0, 100},
						 {0, 4 * PAGE},
						 {UINT64_MAX - 4095, 4096},
						 {2 * PAGE, PAGE}};
	static const struct vh_vfu_ops ops;
	const struct rig *rig = *state;
	const int fd = rig_memory(2 * PAGE);
	struct vh_vfu_shape shape = {
		.region[0] = {.size = 3 * PAGE, .fd = fd, .n_areas = 1}};
	struct vh_reactor *r = new_reactor();
	struct vh_vfu *v;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		shape.region[0].area[0] = bad[i];
		assert_int_equal(vh_vfu_open(r, rig->path, "vfu", &shape, &ops, NULL, &v),
				 -EINVAL);
	}
	vh_reactor_destroy(r);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_client_that_goes_leaves_nothing_behind),
		RIG_TEST(a_client_killed_in_the_middle_of_any_message_leaves_nothing),
		RIG_TEST(a_function_is_as_after_power_on_for_the_next_client),
		RIG_TEST(the_next_client_is_served_when_the_reset_is_done),
		RIG_TEST(each_piece_of_memory_may_go_in_its_time),
		RIG_TEST(two_hundred_clients_follow_each_other_and_none_is_refused),
		RIG_TEST(who_connects_and_says_nothing_resets_nothing),
		RIG_TEST(a_second_client_is_refused_and_the_first_one_goes_on),
		RIG_TEST(a_client_can_be_cut_off),
		RIG_TEST(a_client_that_is_cut_off_in_a_slow_write_goes_when_that_is_done),
		RIG_TEST(a_client_that_goes_in_a_slow_write_is_noticed_when_that_is_done),
		RIG_TEST(who_comes_while_one_that_hung_up_is_still_busy_is_not_refused),
		RIG_TEST(a_server_that_ends_hangs_up),
		RIG_TEST(a_message_of_no_possible_size_is_answered_and_is_the_last),
		RIG_TEST(bytes_may_come_one_by_one),
		RIG_TEST(descriptors_in_the_middle_of_a_message_end_the_connection),
		RIG_TEST(descriptors_that_no_command_wants_are_closed),
		RIG_TEST(descriptors_that_get_lost_end_the_connection),
		RIG_TEST(
			a_client_that_comes_when_there_are_no_descriptors_is_served_later),
		RIG_TEST(a_client_that_never_reads_stops_being_read),
		RIG_TEST(descriptors_of_answers_that_wait_come_with_them),
		RIG_TEST(a_client_that_never_reads_can_go),
		RIG_TEST(a_reset_keeps_memory_and_forgets_registers),
		RIG_TEST(a_reset_that_takes_its_time_is_answered_then),
		RIG_TEST(the_socket_has_the_mode_that_was_asked_for),
		RIG_TEST(areas_that_cannot_be_mapped_are_not_offered),
		RIG_TEST(an_address_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests_name("vfu/life", tests, NULL, NULL);
}
