/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's memory: DMA_MAP, DMA_UNMAP, and how the owner sees it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem/guard.h"
#include "mem/translate.h"

#define PAGE 4096ull
#define RW   (VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE)

/* ---- What the owner sees, on its thread ---- */

static void take_map(struct rig *rig)
{
	vh_map_put(rig->map);
	assert_int_equal(vh_vfu_map(rig->v, &rig->map), 0);
}

static void drop_map(struct rig *rig)
{
	vh_map_put(rig->map);
	rig->map = NULL;
}

/* The map as it is now; it stays while the test asks for nothing that changes it. */
static const struct vh_map *map_of(struct rig *rig)
{
	rig_do(rig, take_map);
	return rig->map;
}

static uint8_t *byte_at(const struct vh_map *m, uint64_t iova)
{
	uint64_t len = 1;
	unsigned hint = 0;

	return vh_map_gpa(m, iova, &len, &hint);
}

static unsigned n_pieces;

static void count_piece(void *arg, const struct vh_vfu_dma *d)
{
	(void)d;
	++*(unsigned *)arg;
}

static void count_pieces(struct rig *rig)
{
	n_pieces = 0;
	vh_vfu_dma_each(rig->v, count_piece, &n_pieces);
}

static unsigned pieces(struct rig *rig)
{
	rig_do(rig, count_pieces);
	return n_pieces;
}

/* ---- Mapping ---- */

static void memory_is_mapped_at_its_address_and_offset(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(4 * PAGE);
	const struct vh_map *m;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(pwrite(fd, "x", 1, 2 * PAGE + 5), 1);
	assert_int_equal(vfu_dma_map(&rig->c, 1ull << 40, 2 * PAGE, fd, 2 * PAGE, RW), 0);
	m = map_of(rig);
	assert_int_equal(*byte_at(m, (1ull << 40) + 5), 'x');
	assert_null(byte_at(m, (1ull << 40) + 2 * PAGE));
	assert_null(byte_at(m, (1ull << 40) - 1));
	assert_int_equal(rig_get(rig, &rig->n_added), 1);
	close(fd);
}

static void only_what_is_readable_and_writable_and_a_file_is_in_the_map(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(4 * PAGE);
	const struct vh_map *m;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, VH_VFU_DMA_READABLE), 0);
	assert_int_equal(vfu_dma_map(&rig->c, PAGE, PAGE, fd, 0, VH_VFU_DMA_WRITABLE), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 2 * PAGE, PAGE, -1, 0, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 3 * PAGE, PAGE, fd, PAGE, RW), 0);
	m = map_of(rig);
	assert_int_equal(m->n, 1);
	assert_int_equal(m->region[0].gpa, 3 * PAGE);
	assert_int_equal(pieces(rig), 4);
	close(fd);
}

static void what_is_no_file_is_memory_out_of_reach(void **state)
{
	struct rig *rig = *state;
	int pair[2];

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, pair[0], 0, RW), 0);
	assert_int_equal(map_of(rig)->n, 0);
	assert_int_equal(pieces(rig), 1);
	close(pair[0]);
	close(pair[1]);
}

static int file_elsewhere(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		assert_int_equal(ftruncate(fd, PAGE), 0);
	return fd;
}

static void a_file_of_another_file_system_needs_an_option(void **state)
{
	struct rig *rig = *state;
	const int fd = file_elsewhere();

	if (fd < 0)
		skip();
	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	assert_int_equal(map_of(rig)->n, 0);
	assert_int_equal(map_of(rig)->n, 0);
	assert_int_equal(rig_logged("any-memory=on"), 1);
	close(fd);
}

static void with_that_option_any_file_is_memory(void **state)
{
	struct rig *rig = *state;
	const int fd = file_elsewhere();

	if (fd < 0)
		skip();
	strcat(rig->address, ",any-memory=on");
	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	assert_int_equal(map_of(rig)->n, 1);
	close(fd);
}

static void a_map_is_shared_while_nothing_changes(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(2 * PAGE);
	const struct vh_map *m;
	const uint8_t *va;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	m = map_of(rig);
	va = m->region[0].va;
	assert_ptr_equal(map_of(rig), m);
	assert_int_equal(vfu_dma_map(&rig->c, PAGE, PAGE, fd, PAGE, RW), 0);
	m = map_of(rig);
	assert_int_equal(m->n, 2);
	assert_ptr_equal(m->region[0].va, va); /* what was mapped stays where it was */
	close(fd);
}

static void mappings_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		uint64_t iova, size, offset;
		uint32_t flags;
		int err;
	} bad[] = {
		{0, 0, 0, RW, -EINVAL},
		{UINT64_MAX - 4095, PAGE, 0, RW, -EINVAL}, /* its end is 2^64   */
		{UINT64_MAX - 4095, 2 * PAGE, 0, RW, -EINVAL},
		{0, 3 * PAGE, 0, RW, -EINVAL}, /* the file has two pages        */
		{0, PAGE, 2 * PAGE, RW, -EINVAL},
		{0, PAGE, UINT64_MAX - 4095, RW, -EINVAL},
		{0, PAGE, 5, RW, -EINVAL},
		{0, PAGE, 0, RW | 4, -EINVAL},
		{0, (8ull << 40) + PAGE, 0, RW, -ENOSPC},
	};
	struct rig *rig = *state;
	const int fd = rig_memory(2 * PAGE);
	int n;

	rig_open(rig);
	rig_connect(rig);
	n = rig_count_fds();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vfu_dma_map(&rig->c, bad[i].iova, bad[i].size, fd,
					     bad[i].offset, bad[i].flags),
				 bad[i].err);
	assert_int_equal(rig_count_fds(), n);
	assert_int_equal(pieces(rig), 0);
	close(fd);
}

static void mappings_that_overlap_are_refused(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(8 * PAGE);

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 2 * PAGE, 2 * PAGE, fd, 0, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, PAGE, 2 * PAGE, fd, 0, RW), -EEXIST);
	assert_int_equal(vfu_dma_map(&rig->c, 3 * PAGE, PAGE, fd, 0, RW), -EEXIST);
	assert_int_equal(vfu_dma_map(&rig->c, 0, 8 * PAGE, fd, 0, RW), -EEXIST);
	assert_int_equal(vfu_dma_map(&rig->c, 2 * PAGE, 2 * PAGE, fd, PAGE, RW), -EEXIST);
	assert_int_equal(vfu_dma_map(&rig->c, PAGE, PAGE, fd, 0, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 4 * PAGE, PAGE, fd, 0, RW), 0);
	assert_int_equal(pieces(rig), 3);
	close(fd);
}

static void memory_that_the_owner_does_not_want_is_refused(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(PAGE);
	int n;

	rig_open(rig);
	rig_connect(rig);
	n = rig_count_fds();
	assert_int_equal(vfu_dma_map(&rig->c, RIG_UNWANTED, PAGE, fd, 0, RW), -EACCES);
	assert_int_equal(pieces(rig), 0);
	assert_int_equal(rig_count_fds(), n);
	close(fd);
}

static void the_same_mapping_again_is_no_other(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(PAGE);

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	assert_int_equal(pieces(rig), 1);
	assert_int_equal(rig_get(rig, &rig->n_added), 1);
	close(fd);
}

static void a_file_that_comes_a_thousand_times_is_kept_once(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(1000 * PAGE);
	int n;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 0, PAGE, fd, 0, RW), 0);
	n = rig_count_fds();
	for (unsigned i = 1; i < 1000; i++)
		assert_int_equal(
			vfu_dma_map(&rig->c, 2 * i * PAGE, PAGE, fd, i * PAGE, RW), 0);
	assert_int_equal(rig_count_fds(), n);
	assert_int_equal(vfu_dma_unmap_all(&rig->c), 0);
	assert_int_equal(rig_count_fds(), n - 1);
	close(fd);
}

static void take_no_map(struct rig *rig)
{
	struct vh_map *m;

	assert_int_equal(vh_vfu_map(rig->v, &m), -E2BIG);
	assert_null(m);
}

static void memory_in_too_many_pieces_is_not_mapped_and_said_so(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_memory(VH_MAX_SLOTS * 2 * PAGE);

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i <= VH_MAX_SLOTS; i++)
		assert_int_equal(
			vfu_dma_map(&rig->c, 2 * i * PAGE, PAGE, fd, i * PAGE, RW), 0);
	for (unsigned i = 0; i < 3; i++)
		rig_do(rig, take_no_map);
	assert_int_equal(rig_logged("pieces, we map at most"), 1);
	close(fd);
}

/* ---- Many at once ---- */

static void two_hundred_mappings_are_answered_in_order(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = &rig->c;
	const int fd = rig_memory(200 * PAGE);
	uint16_t first;

	rig_open(rig);
	rig_connect(rig);
	first = c->next_id;
	for (unsigned i = 0; i < 200; i++) {
		const struct vh_vfu_dma_map m = {.argsz = sizeof(m),
						 .flags = RW,
						 .offset = i * PAGE,
						 .iova = 2 * i * PAGE,
						 .size = PAGE};

		assert_int_equal(
			vfu_send(c, VH_VFU_DMA_MAP, 0, &m, sizeof(m), &fd, i % 3 != 0),
			0);
	}
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(vfu_recv(c), 0);
		assert_int_equal(c->reply.id, (uint16_t)(first + i));
		assert_int_equal(c->reply.flags, VH_VFU_REPLY);
		assert_int_equal(c->reply.size, 16);
	}
	assert_int_equal(pieces(rig), 200);
	close(fd);
}

/* ---- Unmapping ---- */

/* Pieces at pages 1, 2-3, 5. */
static int three_pieces(struct rig *rig)
{
	const int fd = rig_memory(8 * PAGE);

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 1 * PAGE, PAGE, fd, 0, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 2 * PAGE, 2 * PAGE, fd, PAGE, RW), 0);
	assert_int_equal(vfu_dma_map(&rig->c, 5 * PAGE, PAGE, fd, 5 * PAGE, RW), 0);
	return fd;
}

static void a_range_that_covers_pieces_removes_them(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);

	assert_int_equal(vfu_dma_unmap(&rig->c, 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(pieces(rig), 2);
	assert_int_equal(vfu_dma_unmap(&rig->c, 0, 100 * PAGE), 0);
	assert_int_equal(pieces(rig), 0);
	assert_int_equal(rig_get(rig, &rig->n_removed), 3);
	close(fd);
}

static void a_range_may_have_nothing_in_it(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);

	assert_int_equal(vfu_dma_unmap(&rig->c, 4 * PAGE, PAGE), 0);
	assert_int_equal(vfu_dma_unmap(&rig->c, 0, PAGE), 0);
	assert_int_equal(vfu_dma_unmap(&rig->c, 6 * PAGE, 100 * PAGE), 0);
	assert_int_equal(pieces(rig), 3);
	close(fd);
}

static void a_range_that_cuts_a_piece_is_refused(void **state)
{
	static const struct {
		uint64_t iova, size;
	} bad[] = {
		{PAGE, 2 * PAGE},
		{3 * PAGE, 3 * PAGE},
		{2 * PAGE, PAGE},
		{5 * PAGE, PAGE - 1},
		{0, 0},
		{PAGE, UINT64_MAX},
		{2 * PAGE + 1, 1},
	};
	struct rig *rig = *state;
	const int fd = three_pieces(rig);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vfu_dma_unmap(&rig->c, bad[i].iova, bad[i].size),
				 -EINVAL);
	assert_int_equal(pieces(rig), 3);
	close(fd);
}

static void all_is_removed_at_once_even_when_there_is_nothing(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);

	assert_int_equal(vfu_dma_unmap_all(&rig->c), 0);
	assert_int_equal(pieces(rig), 0);
	assert_int_equal(vfu_dma_unmap_all(&rig->c), 0);
	close(fd);
}

static void an_unmapping_that_wants_a_log_is_refused(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);
	struct vh_vfu_dma_unmap u = {.argsz = 40, .flags = 1, .iova = PAGE, .size = PAGE};

	assert_int_equal(vfu_ask(&rig->c, VH_VFU_DMA_UNMAP, &u, sizeof(u), NULL, 0),
			 -EINVAL);
	u.flags = VH_VFU_UNMAP_ALL;
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_DMA_UNMAP, &u, sizeof(u), NULL, 0),
			 -EINVAL);
	assert_int_equal(pieces(rig), 3);
	close(fd);
}

static void the_file_that_comes_with_an_unmapping_is_closed(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig), n = rig_count_fds();
	const struct vh_vfu_dma_unmap u = {.argsz = 24, .iova = PAGE, .size = PAGE};

	assert_int_equal(vfu_ask(&rig->c, VH_VFU_DMA_UNMAP, &u, sizeof(u), &fd, 1), 0);
	assert_int_equal(rig_count_fds(), n);
	close(fd);
}

static bool is_mapped(const uint8_t *va)
{
	unsigned char in_core;

	return mincore((void *)((uintptr_t)va & ~(PAGE - 1)), 1, &in_core) == 0;
}

static void what_is_unmapped_is_unmapped_when_the_answer_comes(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);
	const uint8_t *va = byte_at(map_of(rig), PAGE);

	assert_true(is_mapped(va));
	assert_int_equal(vfu_dma_unmap(&rig->c, PAGE, PAGE), 0);
	assert_false(is_mapped(va));
	close(fd);
}

static void the_answer_waits_for_each_piece_that_is_still_used(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_dma_unmap u = {.argsz = 24, .iova = PAGE, .size = 3 * PAGE};
	const uint8_t *va;
	int fd;

	rig->slow_removal = true;
	fd = three_pieces(rig);
	va = byte_at(map_of(rig), PAGE);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0),
			 0);
	rig_wait(rig, &rig->n_pending, 1);
	assert_true(is_mapped(va));
	rig_resume(rig);
	rig_wait(rig, &rig->n_pending, 1);
	assert_int_equal(rig_get(rig, &rig->n_removed), 2);
	assert_int_equal(recv(rig->c.fd, &(char){0}, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	rig->slow_removal = false;
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.flags, VH_VFU_REPLY);
	assert_false(is_mapped(va));
	close(fd);
}

static void a_removal_that_failed_is_told_and_the_piece_is_gone(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_dma_unmap u = {.argsz = 24, .iova = PAGE, .size = PAGE};
	const int fd = three_pieces(rig);

	rig->slow_removal = true;
	rig->result = -EBUSY;
	assert_int_equal(vfu_send(&rig->c, VH_VFU_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0),
			 0);
	rig_wait(rig, &rig->n_pending, 1);
	rig->slow_removal = false;
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.error, EBUSY);
	assert_int_equal(vfu_dma_unmap(&rig->c, PAGE, PAGE), 0);
	close(fd);
}

static void a_piece_that_the_owner_takes_its_time_for_is_answered_then(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_dma_map map = {.argsz = 32, .iova = 8 * PAGE, .size = PAGE};
	const int fd = three_pieces(rig);

	rig->slow_adding = true;
	assert_int_equal(vfu_send(&rig->c, VH_VFU_DMA_MAP, 0, &map, sizeof(map), NULL, 0),
			 0);
	rig_wait(rig, &rig->n_pending, 1);
	assert_int_equal(recv(rig->c.fd, &(char){0}, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	rig_resume(rig);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.flags, VH_VFU_REPLY);
	assert_int_equal(vfu_dma_unmap(&rig->c, 8 * PAGE, PAGE), 0);
	close(fd);
}

/* ---- A file that shrinks ---- */

static struct sigaction guard;

/* cmocka takes SIGBUS for itself at the start of each test; the guard does it once. */
static void install_guard(void)
{
	static uint8_t byte;
	unsigned slot;

	if (vh_guard_add(&byte, 1, -1, &slot) == 0)
		vh_guard_remove(slot);
	sigaction(SIGBUS, NULL, &guard);
}

static uint8_t seen;

static void touch(struct rig *rig)
{
	seen = *(volatile uint8_t *)byte_at(rig->map, PAGE);
}

static void a_file_that_shrinks_cuts_its_client_off(void **state)
{
	struct rig *rig = *state;
	const int fd = three_pieces(rig);

	sigaction(SIGBUS, &guard, NULL);
	map_of(rig);
	assert_int_equal(ftruncate(fd, 0), 0);
	rig_do(rig, touch);
	assert_int_equal(seen, 0);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
	assert_int_equal(rig_logged("a file of its memory shrank"), 1);
	rig_wait(rig, &rig->n_went, 1);
	rig_do(rig, drop_map);
	vfu_disconnect(&rig->c);
	rig_connect(rig);
	assert_int_equal(pieces(rig), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(memory_is_mapped_at_its_address_and_offset),
		RIG_TEST(only_what_is_readable_and_writable_and_a_file_is_in_the_map),
		RIG_TEST(what_is_no_file_is_memory_out_of_reach),
		RIG_TEST(a_file_of_another_file_system_needs_an_option),
		RIG_TEST(with_that_option_any_file_is_memory),
		RIG_TEST(a_map_is_shared_while_nothing_changes),
		RIG_TEST(mappings_that_make_no_sense_are_refused),
		RIG_TEST(mappings_that_overlap_are_refused),
		RIG_TEST(memory_that_the_owner_does_not_want_is_refused),
		RIG_TEST(the_same_mapping_again_is_no_other),
		RIG_TEST(a_file_that_comes_a_thousand_times_is_kept_once),
		RIG_TEST(memory_in_too_many_pieces_is_not_mapped_and_said_so),
		RIG_TEST(two_hundred_mappings_are_answered_in_order),
		RIG_TEST(a_range_that_covers_pieces_removes_them),
		RIG_TEST(a_range_may_have_nothing_in_it),
		RIG_TEST(a_range_that_cuts_a_piece_is_refused),
		RIG_TEST(all_is_removed_at_once_even_when_there_is_nothing),
		RIG_TEST(an_unmapping_that_wants_a_log_is_refused),
		RIG_TEST(the_file_that_comes_with_an_unmapping_is_closed),
		RIG_TEST(what_is_unmapped_is_unmapped_when_the_answer_comes),
		RIG_TEST(the_answer_waits_for_each_piece_that_is_still_used),
		RIG_TEST(a_removal_that_failed_is_told_and_the_piece_is_gone),
		RIG_TEST(a_piece_that_the_owner_takes_its_time_for_is_answered_then),
		RIG_TEST(a_file_that_shrinks_cuts_its_client_off),
	};

	install_guard();
	return cmocka_run_group_tests_name("vfu/memory", tests, NULL, NULL);
}
