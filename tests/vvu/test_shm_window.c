/* SPDX-License-Identifier: BSD-3-Clause */
/* A window in which files come and go: what the VMM is asked for, and its answers. */
#include "window_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/memfd.h>

#include "vvu/shm_window.h"

#define SIZE (16 * PAGE)

/* The VMM: what is shown, page by page, and questions that have no answer yet. */
struct vmm {
	struct vh_window *w;
	bool shown[SIZE / PAGE];
	int result; /* of the next question */
	unsigned n_asked, n_maps, n_unmaps;
	struct vh_window_table table;
	int done; /* 1: not yet */
};

static void show(struct vmm *v, uint64_t at, uint64_t len, bool on)
{
	assert_int_equal(at % PAGE, 0);
	assert_int_equal(len % PAGE, 0);
	assert_in_range(at + len, 1, SIZE);
	for (uint64_t i = at / PAGE; i < (at + len) / PAGE; i++) {
		assert_int_equal(v->shown[i], !on);
		v->shown[i] = on;
	}
}

static int vmm_map(void *arg, uint64_t at, int fd, uint64_t offset, uint64_t len)
{
	struct vmm *v = arg;

	assert_true(fd >= 0);
	assert_int_equal(offset % PAGE, 0);
	if (v->result)
		return v->result;
	show(v, at, len, true);
	v->n_asked++;
	v->n_maps++;
	return 0;
}

static int vmm_unmap(void *arg, uint64_t at, uint64_t len)
{
	struct vmm *v = arg;

	if (v->result)
		return v->result;
	show(v, at, len, false);
	v->n_asked++;
	v->n_unmaps++;
	return 0;
}

static const struct vh_shm_window_ops ops = {.map = vmm_map, .unmap = vmm_unmap};

static void on_done(void *arg, int err)
{
	struct vmm *v = arg;

	assert_int_equal(v->done, 1);
	v->done = err;
}

static void vmm_make(struct vmm *v)
{
	memset(v, 0, sizeof(*v));
	assert_int_equal(vh_shm_window_create(SIZE, "test", &ops, v, &v->w), 0);
	rig_forget();
}

static int ram(uint64_t len)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static int begin(struct vmm *v, const struct vh_wire_region *r, unsigned n,
		 const int *fds)
{
	struct vh_msg m = rig_table(r, n, fds);
	int err;

	v->done = 1;
	err = v->w->ops->place(v->w, &m, &v->table, on_done, v);
	vh_msg_close(&m);
	return err;
}

static void answer_all(struct vmm *v, bool ok)
{
	for (; v->n_asked; v->n_asked--)
		vh_shm_window_answered(v->w, ok);
}

static int place(struct vmm *v, const struct vh_wire_region *r, unsigned n,
		 const int *fds)
{
	int err = begin(v, r, n, fds);

	if (err != -EINPROGRESS)
		return err;
	answer_all(v, true);
	return v->done;
}

static unsigned n_shown(const struct vmm *v)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIZE / PAGE; i++)
		n += v->shown[i];
	return n;
}

/* ---- One table ---- */

static void a_table_is_done_when_all_of_it_is_shown(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = 2 * PAGE},
		{.gpa = 0x100000, .size = PAGE + 1, .offset = 2 * PAGE + 100},
	};
	int fd = ram(4 * PAGE), fds[] = {fd, fd};
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(begin(&v, r, 2, fds), -EINPROGRESS);
	assert_int_equal(v.n_maps, 2);
	vh_shm_window_answered(v.w, true);
	assert_int_equal(v.done, 1);
	vh_shm_window_answered(v.w, true);
	assert_int_equal(v.done, 0);
	assert_int_equal(v.table.region[0].at, 0);
	assert_int_equal(v.table.region[1].at, 2 * PAGE + 100);
	assert_int_equal(v.table.region[1].gpa, 0x100000);
	assert_int_equal(n_shown(&v), 4);
	vh_window_destroy(v.w);
	close(fd);
}

static void what_the_vmm_refuses_fails_the_table(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(begin(&v, &r, 1, &fd), -EINPROGRESS);
	vh_shm_window_answered(v.w, false);
	assert_int_equal(v.done, -EIO);
	assert_int_equal(rig_logged("does not show"), 1);
	v.result = -ENOTCONN;
	assert_int_equal(begin(&v, &r, 1, &fd), -ENOTCONN);
	vh_window_destroy(v.w);
	close(fd);
}

static void tables_that_make_no_sense_fail(void **state)
{
	static const struct {
		struct vh_wire_region region;
		int err;
	} cases[] = {
		{{.size = 2 * PAGE}, -EINVAL},
		{{.size = 0}, -EINVAL},
		{{.size = UINT64_MAX, .offset = 1}, -EINVAL},
		{{.size = 1, .offset = UINT64_MAX}, -EINVAL},
	};
	static const struct vh_wire_region twice[] = {{.size = PAGE}, {.size = PAGE}};
	int fd = ram(PAGE), big = ram(SIZE + PAGE), fds[] = {fd, fd};
	struct vh_wire_region large = {.size = SIZE + PAGE};
	struct vmm v;

	(void)state;
	vmm_make(&v);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(begin(&v, &cases[i].region, 1, &fd), cases[i].err);
	assert_int_equal(begin(&v, &large, 1, &big), -ENOSPC);
	assert_int_equal(begin(&v, twice, 2, fds), -EINVAL);
	vh_window_destroy(v.w);
	close(fd);
	close(big);
}

static void memory_that_cannot_be_sealed_is_not_shown(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = rig_file(NULL, PAGE);
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(begin(&v, &r, 1, &fd), -EINVAL);
	assert_int_equal(v.n_maps, 0);
	assert_int_equal(rig_logged("can shrink"), 1);
	vh_window_destroy(v.w);
	close(fd);
}

/* ---- One after the other ---- */

static void what_stays_does_not_move_and_the_rest_goes_afterwards(void **state)
{
	static const struct vh_wire_region one[] = {
		{.gpa = 0, .size = 2 * PAGE},
		{.gpa = 0x100000, .size = PAGE},
	};
	static const struct vh_wire_region two[] = {
		{.gpa = 0x100000, .size = PAGE},
		{.gpa = 0x200000, .size = 3 * PAGE},
	};
	int fds[] = {ram(2 * PAGE), ram(PAGE), ram(3 * PAGE)};
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(place(&v, one, 2, fds), 0);
	assert_int_equal(v.table.region[1].at, 2 * PAGE);
	assert_int_equal(begin(&v, two, 2, fds + 1), -EINPROGRESS);
	assert_int_equal(v.n_maps, 3);
	assert_int_equal(v.n_unmaps, 0); /* not while it may be used */
	vh_shm_window_answered(v.w, true);
	v.n_asked--;
	assert_int_equal(v.done, 0);
	assert_int_equal(v.table.region[0].gpa, 0x100000);
	assert_int_equal(v.table.region[0].at, 2 * PAGE);
	assert_int_equal(v.table.region[1].at, 3 * PAGE);
	assert_int_equal(v.n_unmaps, 1);
	answer_all(&v, true);
	assert_int_equal(n_shown(&v), 4);
	vh_window_destroy(v.w);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void the_same_table_asks_for_nothing(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(place(&v, &r, 1, &fd), 0);
	assert_int_equal(begin(&v, &r, 1, &fd), 0);
	assert_int_equal(v.n_maps, 1);
	assert_int_equal(v.n_unmaps, 0);
	vh_window_destroy(v.w);
	close(fd);
}

static void a_dropped_table_goes_when_the_next_one_is_there(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fds[] = {ram(PAGE), ram(PAGE)};
	struct vmm v;

	(void)state;
	vmm_make(&v);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(place(&v, &r, 1, &fds[i % 2]), 0);
		answer_all(&v, true);
		assert_int_equal(v.n_unmaps, i);
		v.w->ops->drop(v.w);
		assert_int_equal(v.n_asked, 0);
		assert_int_equal(n_shown(&v), 1);
	}
	/* One that still comes, too. */
	assert_int_equal(begin(&v, &r, 1, &fds[0]), -EINPROGRESS);
	v.w->ops->drop(v.w);
	answer_all(&v, true);
	assert_int_equal(n_shown(&v), 2);
	assert_int_equal(place(&v, &r, 1, &fds[1]), 0);
	answer_all(&v, true);
	assert_int_equal(n_shown(&v), 1);
	vh_window_destroy(v.w);
	close(fds[0]);
	close(fds[1]);
}

static void a_vmm_that_went_shows_nothing(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(place(&v, &r, 1, &fd), 0);
	vh_shm_window_lost(v.w);
	memset(v.shown, 0, sizeof(v.shown));
	vh_shm_window_answered(v.w, true); /* of nobody */
	assert_int_equal(place(&v, &r, 1, &fd), 0);
	assert_int_equal(v.n_maps, 2);
	assert_int_equal(v.table.region[0].at, 0);
	vh_window_destroy(v.w);
	close(fd);
}

/* Whether the VMM has taken it away or not, nobody says; and it must not be asked to. */
static void what_a_stopped_driver_had_is_left_alone(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct vmm v;

	(void)state;
	vmm_make(&v);
	assert_int_equal(place(&v, &r, 1, &fd), 0);
	vh_shm_window_stop(v.w);
	v.w->ops->drop(v.w);
	assert_int_equal(v.n_unmaps, 0);
	assert_int_equal(place(&v, &r, 1, &fd), 0);
	assert_int_equal(v.n_unmaps, 0);
	assert_int_equal(v.table.region[0].at, PAGE);
	vh_window_destroy(v.w);
	close(fd);
}

static void places_are_given_round_and_round(void **state)
{
	static const struct vh_wire_region r = {.size = 7 * PAGE};
	static const uint64_t at[] = {0, 7 * PAGE, 0, 7 * PAGE};
	int fds[] = {ram(7 * PAGE), ram(7 * PAGE)};
	struct vmm v;

	(void)state;
	vmm_make(&v);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(place(&v, &r, 1, &fds[i % 2]), 0);
		assert_int_equal(v.table.region[0].at, at[i]);
		answer_all(&v, true);
	}
	vh_window_destroy(v.w);
	close(fds[0]);
	close(fds[1]);
}

static void an_answer_may_come_when_the_driver_has_stopped(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct vmm v;

	(void)state;
	for (unsigned ok = 0; ok < 2; ok++) {
		vmm_make(&v);
		assert_int_equal(begin(&v, &r, 1, &fd), -EINPROGRESS);
		vh_shm_window_stop(v.w);
		assert_int_equal(begin(&v, &r, 1, &fd), -EINPROGRESS);
		vh_shm_window_answered(v.w, ok); /* to the first */
		assert_int_equal(v.done, 1);
		vh_shm_window_answered(v.w, true);
		assert_int_equal(v.done, 0);
		vh_window_destroy(v.w);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_done_when_all_of_it_is_shown),
		cmocka_unit_test(what_the_vmm_refuses_fails_the_table),
		cmocka_unit_test(tables_that_make_no_sense_fail),
		cmocka_unit_test(memory_that_cannot_be_sealed_is_not_shown),
		cmocka_unit_test(what_stays_does_not_move_and_the_rest_goes_afterwards),
		cmocka_unit_test(the_same_table_asks_for_nothing),
		cmocka_unit_test(a_dropped_table_goes_when_the_next_one_is_there),
		cmocka_unit_test(a_vmm_that_went_shows_nothing),
		cmocka_unit_test(what_a_stopped_driver_had_is_left_alone),
		cmocka_unit_test(places_are_given_round_and_round),
		cmocka_unit_test(an_answer_may_come_when_the_driver_has_stopped),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
