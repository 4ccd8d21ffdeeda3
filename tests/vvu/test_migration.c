/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that migrates while another guest serves it: what that guest has written
 * is in the front-end's dirty log when a vring has stopped, though it cannot reach the
 * log.
 */
#include "together_rig.h"

#include "../session/raw.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_SIZE   0x1000u
#define LOG_OFFSET 0x1000u
#define ANSWERED   (RAW_BUFFERS + 0x5000u) /* where the device writes */

/* A front-end of bytes whose memory is the file that the device knows. */
static void open_front(struct together *t, struct raw *r)
{
	*r = (struct raw){.rig = t->rig, .fd = -1};
	r->mem_fd = open(t->memory, O_RDWR | O_CLOEXEC);
	assert_true(r->mem_fd >= 0);
	r->mem = mmap(NULL, RAW_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, r->mem_fd, 0);
	assert_ptr_not_equal(r->mem, MAP_FAILED);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void close_front(struct raw *r)
{
	raw_hang_up(r);
	munmap(r->mem, RAW_MEMORY);
	close(r->mem_fd);
	close(r->kick);
	close(r->call);
	close(r->err);
}

static void start(struct together *t, struct raw *r)
{
	snprintf(t->front, sizeof(t->front), "%s", t->rig->address);
	together_open(t, false);
	together_serve(t, VH_POLL_ADAPTIVE);
	open_front(t, r);
	raw_run(r, 16, 0);
	raw_desc(r, 0, RAW_BUFFERS, 8, VRING_DESC_F_NEXT, 1);
	raw_desc(r, 1, ANSWERED, 8, VRING_DESC_F_WRITE, 0);
}

static void one_request(struct raw *r)
{
	const uint16_t used = raw_used_index(r);

	raw_offer(r, 0);
	raw_wait_used(r, (uint16_t)(used + 1));
}

static void set_features(struct raw *r, uint64_t more)
{
	uint64_t features;

	assert_int_equal(raw_ask(r, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0, &features), 0);
	assert_int_equal(features & more, more);
	features &= ~VH_BIT(VH_F_LOG_ALL);
	assert_int_equal(raw_tell_u64(r, VH_MSG_SET_FEATURES, features | more), 0);
}

/* As QEMU begins to migrate. */
static void start_log(struct raw *r, int fd)
{
	const struct vh_wire_log log = {.size = LOG_SIZE, .offset = LOG_OFFSET};
	const struct vh_wire_addr addr = {.flags = VH_VRING_F_LOG,
					  .desc = RAW_UVA,
					  .avail = RAW_UVA + RAW_AVAIL,
					  .used = RAW_UVA + RAW_USED,
					  .log = RAW_USED};
	uint64_t answer;

	assert_true(raw_ask(r, VH_MSG_SET_LOG_BASE, &log, sizeof(log), &fd, 1, &answer) >=
		    0);
	set_features(r, VH_BIT(VH_F_LOG_ALL));
	assert_int_equal(raw_tell(r, VH_MSG_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
			 0);
}

static bool is_dirty(int fd, uint64_t gpa)
{
	const uint64_t page = gpa / VH_LOG_PAGE;

	return rig_byte_at(fd, LOG_OFFSET + page / 8) >> page % 8 & 1;
}

static void what_was_written_is_in_the_log_when_a_vring_has_stopped(void **state)
{
	const int fd = rig_memfd(LOG_OFFSET + LOG_SIZE);
	struct raw r;

	start(*state, &r);
	one_request(&r);
	start_log(&r, fd);
	assert_false(is_dirty(fd, ANSWERED));
	one_request(&r);
	assert_int_equal(raw_stop_ring(&r), 2);
	assert_true(is_dirty(fd, ANSWERED));
	assert_true(is_dirty(fd, RAW_USED));
	assert_false(is_dirty(fd, RAW_BUFFERS));
	close_front(&r);
	close(fd);
}

static void pages_are_marked_while_it_runs(void **state)
{
	const int fd = rig_memfd(LOG_OFFSET + LOG_SIZE);
	struct raw r;

	start(*state, &r);
	start_log(&r, fd);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t none[LOG_SIZE] = {0};

		assert_int_equal(pwrite(fd, none, LOG_SIZE, LOG_OFFSET), LOG_SIZE);
		one_request(&r);
		while (!is_dirty(fd, ANSWERED))
			sched_yield();
	}
	set_features(&r, 0);
	one_request(&r);
	assert_int_equal(raw_stop_ring(&r), 4);
	close_front(&r);
	close(fd);
}

static void the_next_front_end_finds_no_log(void **state)
{
	const int fd = rig_memfd(LOG_OFFSET + LOG_SIZE);
	struct raw r;

	start(*state, &r);
	start_log(&r, fd);
	one_request(&r);
	raw_hang_up(&r);
	raw_run(&r, 16, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	raw_desc(&r, 0, RAW_BUFFERS, 8, VRING_DESC_F_NEXT, 1);
	raw_desc(&r, 1, ANSWERED, 8, VRING_DESC_F_WRITE, 0);
	one_request(&r);
	assert_int_equal(raw_stop_ring(&r), 1);
	close_front(&r);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOGETHER_TEST(what_was_written_is_in_the_log_when_a_vring_has_stopped),
		TOGETHER_TEST(pages_are_marked_while_it_runs),
		TOGETHER_TEST(the_next_front_end_finds_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
