/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that computes places from the table that it gets sees what the front-end has
 * written, by either rule and in each kind of window.
 */
#include "vvu/relay_rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE 0x100000u
#define BAR_SIZE  0x1000000u
#define PIECE	  0x8000u

enum kind { KIND_STATIC, KIND_TRAP };

/* Regions of one file, neither dense nor in order, none at its start. */
static void make_regions(struct vh_wire_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		r[i] = (struct vh_wire_region){
			.gpa = 0x40000000ull * (n - i),
			.size = PIECE - i * 0x1000,
			.uva = 0x7f0000000000ull + i * 0x1000000ull,
			.offset = 0x3000 + (i * 5 % 8) * 0x10000ull,
		};
}

/* Its own number at both ends of each region. */
static void write_marks(int fd, const struct vh_wire_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint64_t mark = r[i].uva;

		assert_int_equal(pwrite(fd, &mark, 8, (off_t)r[i].offset), 8);
		assert_int_equal(
			pwrite(fd, &mark, 8, (off_t)(r[i].offset + r[i].size - 8)), 8);
	}
}

static uint64_t window_word(struct vh_window *w, uint64_t at)
{
	uint64_t v;

	w->ops->read(w, at, &v, sizeof(v));
	return v;
}

static void expect_marks(struct vh_window *w, const struct vh_wire_mem *mem, bool sum)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < mem->n; i++) {
		const struct vh_wire_region *r = &mem->region[i];
		const uint64_t at = (sum ? end : 0) + r->offset;

		assert_int_equal(window_word(w, at), r->uva);
		assert_int_equal(window_word(w, at + r->size - 8), r->uva);
		end = at + r->size;
	}
}

static struct vh_window *open_window(struct relay_rig *x, enum kind kind, int *fd)
{
	struct vh_window *w;
	char memory[128];

	if (kind == KIND_TRAP) {
		assert_int_equal(vh_window_trap(BAR_SIZE, "test", &w), 0);
		*fd = rig_memfd(FILE_SIZE);
		return w;
	}
	snprintf(memory, sizeof(memory), "file:%s/ram,size=%u", x->rig->dir, FILE_SIZE);
	assert_int_equal(vh_window_static(memory, BAR_SIZE, "test", &w), 0);
	*fd = dup(w->region.fd);
	return w;
}

static void one_table(struct relay_rig *x, struct vh_window *w, int fd, unsigned n)
{
	struct vh_wire_region r[VH_MAX_TABLE_REGIONS];
	struct vh_wire_mem mem;
	int fds[VH_MAX_TABLE_REGIONS];
	const struct delivered *d;

	make_regions(r, n);
	write_marks(fd, r, n);
	for (unsigned i = 0; i < n; i++)
		fds[i] = fd;
	relay_say_table(x, PLAIN, r, n, fds);
	d = relay_next(x, VH_MSG_SET_MEM_TABLE);
	memcpy(&mem, d->payload, sizeof(mem));
	assert_int_equal(mem.n, n);
	assert_int_equal(d->header.size, 8 + n * sizeof(r[0]));
	expect_marks(w, &mem, x->params.layout == VH_LAYOUT_SUM);
}

static void try_window(struct relay_rig *x, enum kind kind, enum vh_relay_layout layout)
{
	static const unsigned counts[] = {1, 2, 8, 2};
	char path[80];
	int fd;
	struct vh_window *w = open_window(x, kind, &fd);

	x->params.window = w;
	x->params.layout = layout;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	for (unsigned i = 0; i < 4; i++)
		one_table(x, w, fd, counts[i]);
	x->params.window = &x->window.w;
	relay_renew(x);
	vh_window_destroy(w);
	close(fd);
	snprintf(path, sizeof(path), "%s/ram", x->rig->dir);
	unlink(path);
}

static void memory_is_found_by_its_sum(void **state)
{
	try_window(*state, KIND_STATIC, VH_LAYOUT_SUM);
	try_window(*state, KIND_TRAP, VH_LAYOUT_SUM);
}

static void memory_is_found_by_its_offset(void **state)
{
	try_window(*state, KIND_STATIC, VH_LAYOUT_OFFSET);
	try_window(*state, KIND_TRAP, VH_LAYOUT_OFFSET);
}

static void the_window_is_readable_after_the_front_end_has_gone(void **state)
{
	struct relay_rig *x = *state;
	int fd;
	struct vh_window *w = open_window(x, KIND_TRAP, &fd);
	struct vh_wire_mem mem;
	struct vh_wire_region r[2];
	const int fds[] = {fd, fd};

	x->params.window = w;
	relay_renew(x);
	vh_relay_set_ready(x->relay, true);
	relay_connect(x);
	make_regions(r, 2);
	write_marks(fd, r, 2);
	relay_say_table(x, PLAIN, r, 2, fds);
	memcpy(&mem, relay_next(x, VH_MSG_SET_MEM_TABLE)->payload, sizeof(mem));
	relay_hang_up(x);
	expect_marks(w, &mem, true);
	vh_relay_set_ready(x->relay, true);
	assert_int_equal(window_word(w, mem.region[0].offset), 0);
	x->params.window = &x->window.w;
	relay_renew(x);
	vh_window_destroy(w);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(memory_is_found_by_its_sum),
		RELAY_TEST(memory_is_found_by_its_offset),
		RELAY_TEST(the_window_is_readable_after_the_front_end_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
