/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that comes to a guest with functions that are plugged into it. */
#include "window_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/memfd.h>

#include "base/barrier.h"
#include "qmp_rig.h"
#include "spec/vvu.h"
#include "vfu/client.h"

static const uint8_t uuid[16] = "the device's own";

struct rig {
	struct vh_reactor *r;
	struct fake_qmp qmp;
	struct vh_window *w;
	struct vh_window_table table;
	int done; /* 1: not yet */
};

static void rig_make(struct rig *rig, unsigned n_ports, const char *options)
{
	char *path = rig_path("qmp"), *address = NULL;

	memset(rig, 0, sizeof(*rig));
	rig->r = fake_reactor();
	fake_start(&rig->qmp, rig->r, path, n_ports);
	assert_true(asprintf(&address, "%s%s", path, options) > 0);
	assert_int_equal(
		vh_window_hotplug(rig->r, address, uuid, 1 << 20, "test", &rig->w), 0);
	rig_forget();
	free(address);
	free(path);
}

static void rig_free(struct rig *rig)
{
	vh_window_destroy(rig->w);
	fake_stop(&rig->qmp);
	vh_reactor_destroy(rig->r);
}

/* A memfd, as a front-end's: it can be sealed. */
static int ram(uint64_t len)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static void on_done(void *arg, int err)
{
	struct rig *rig = arg;

	assert_int_equal(rig->done, 1);
	rig->done = err;
}

static bool is_done(const void *arg)
{
	return ((const struct rig *)arg)->done != 1;
}

/* -EINPROGRESS at first, or the result. */
static int begin(struct rig *rig, const struct vh_wire_region *r, unsigned n,
		 const int *fds)
{
	struct vh_msg m = rig_table(r, n, fds);
	int err;

	rig->done = 1;
	err = rig->w->ops->place(rig->w, &m, &rig->table, on_done, rig);
	vh_msg_close(&m);
	return err;
}

static int place(struct rig *rig, const struct vh_wire_region *r, unsigned n,
		 const int *fds)
{
	int err = begin(rig, r, n, fds);

	if (err != -EINPROGRESS)
		return err;
	assert_int_equal(rig->done, 1); /* never from inside */
	fake_until(rig->r, is_done, rig);
	return rig->done;
}

static unsigned number_of(const struct rig *rig, unsigned region)
{
	return VH_VVU_PLACE_NUMBER(rig->table.region[region].at);
}

/* ---- The guest: another thread, since its VMM waits for answers ---- */

struct guest {
	pthread_t thread;
	const char *path;
	uint32_t seen;
	/* What it found. */
	uint8_t config[256];
	struct vfu_region bar;
	uint32_t mapped, asked; /* the word at the front-end's place, both ways */
};

static void *guest_run(void *arg)
{
	struct guest *g = arg;
	struct vfu_client c;
	uint8_t *va = NULL;

	if (!vfu_connect(&c, g->path) &&
	    !vfu_read(&c, VH_VFU_REGION_CONFIG, 0, g->config, sizeof(g->config)) &&
	    !vfu_get_region(&c, VH_VVU_WINDOW_BAR, &g->bar) && g->bar.n_areas == 1)
		va = mmap(NULL, g->bar.area[0].size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  g->bar.fd, (off_t)g->bar.offset);
	if (va && va != MAP_FAILED) {
		memcpy(&g->mapped, va + 12, sizeof(g->mapped));
		vfu_read(&c, VH_VVU_WINDOW_BAR, 12, &g->asked, sizeof(g->asked));
		va[16] = 0x77;
		munmap(va, g->bar.area[0].size);
		close(g->bar.fd);
	}
	vfu_disconnect(&c);
	vh_store_release(&g->seen, 1);
	return NULL;
}

static bool has_seen(const void *arg)
{
	return vh_load_acquire(&((const struct guest *)arg)->seen);
}

static void guest_looks(struct rig *rig, struct guest *g)
{
	*g = (struct guest){.path = rig->qmp.socket};
	assert_int_equal(pthread_create(&g->thread, NULL, guest_run, g), 0);
	fake_until(rig->r, has_seen, g);
	pthread_join(g->thread, NULL);
	fake_settle(rig->r);
}

/* Its vendor capability. */
static const struct vh_vvu_window_cap *window_cap(const struct guest *g)
{
	unsigned at = g->config[0x34];

	while (at && g->config[at] != VH_VVU_WINDOW_CAP)
		at = g->config[at + 1];
	assert_int_not_equal(at, 0);
	return (const struct vh_vvu_window_cap *)(g->config + at);
}

/* ---- One file ---- */

static void the_guest_finds_the_file_by_the_uuid_and_the_number(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0x100000, .size = PAGE, .offset = 4 * PAGE},
		{.gpa = 0, .size = 3 * PAGE, .offset = 0},
	};
	int fd = ram(5 * PAGE), fds[] = {fd, fd};
	uint8_t *front = rig_map(fd, 5 * PAGE);
	const struct vh_vvu_window_cap *cap;
	struct rig rig;
	struct guest g;

	(void)state;
	rig_make(&rig, 1, "");
	memcpy(front + 12, "word", 4);
	assert_int_equal(place(&rig, r, 2, fds), 0);
	assert_int_equal(number_of(&rig, 0), number_of(&rig, 1));
	assert_int_equal(VH_VVU_PLACE_OFFSET(rig.table.region[0].at), 0);
	assert_int_equal(VH_VVU_PLACE_OFFSET(rig.table.region[1].at), 4 * PAGE);
	assert_int_equal(rig.table.region[1].gpa, 0x100000);
	guest_looks(&rig, &g);
	assert_memory_equal(g.config, "\xf4\x1a\xf1\x10", 4);
	cap = window_cap(&g);
	assert_int_equal(cap->len, sizeof(*cap));
	assert_memory_equal(cap->uuid, uuid, sizeof(uuid));
	assert_int_equal(cap->number, number_of(&rig, 0));
	assert_int_equal(g.bar.size, 8 * PAGE);
	assert_int_equal(g.bar.area[0].size, 5 * PAGE);
	assert_memory_equal(&g.mapped, "word", 4);
	assert_memory_equal(&g.asked, "word", 4);
	assert_int_equal(front[16], 0x77);
	munmap(front, 5 * PAGE);
	close(fd);
	rig_free(&rig);
}

static void the_same_file_keeps_its_function(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = PAGE, .offset = 0},
		{.gpa = 0x100000, .size = PAGE, .offset = PAGE},
	};
	int fd = ram(2 * PAGE), fds[] = {fd, fd};
	unsigned number;
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	assert_int_equal(place(&rig, r, 1, fds), 0);
	number = number_of(&rig, 0);
	assert_int_equal(begin(&rig, r, 2, fds), 0); /* at once */
	assert_int_equal(number_of(&rig, 0), number);
	assert_int_equal(number_of(&rig, 1), number);
	fake_settle(rig.r);
	assert_int_equal(rig.qmp.n_adds, 1);
	assert_int_equal(rig.qmp.n_asks, 0);
	close(fd);
	rig_free(&rig);
}

static void memory_that_could_shrink_is_sealed(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	assert_int_not_equal(number_of(&rig, 0), 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
	rig_free(&rig);
}

static void memory_that_cannot_be_sealed_is_trapped_unless_trusted(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = rig_file(NULL, PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	assert_int_equal(number_of(&rig, 0), 0);
	assert_int_equal(rig_logged("option unsealed=on"), 1);
	assert_int_equal(rig.qmp.n_connections, 0);
	rig_free(&rig);
	rig_make(&rig, 1, ",unsealed=on");
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	assert_int_not_equal(number_of(&rig, 0), 0);
	rig_free(&rig);
	close(fd);
}

/* ---- Several ---- */

static void each_file_has_a_function_and_what_has_no_port_is_trapped(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = PAGE},
		{.gpa = 0x100000, .size = PAGE},
		{.gpa = 0x200000, .size = PAGE},
	};
	int fds[] = {ram(PAGE), ram(PAGE), ram(PAGE)};
	struct rig rig;

	(void)state;
	rig_make(&rig, 2, "");
	assert_int_equal(place(&rig, r, 3, fds), 0);
	/* in order of places: what is trapped comes first */
	assert_int_equal(number_of(&rig, 0), 0);
	assert_int_equal(rig.table.region[0].gpa, 0x200000);
	assert_int_equal(number_of(&rig, 1), 1);
	assert_int_equal(number_of(&rig, 2), 2);
	assert_int_equal(rig_logged("cannot plug memory into the guest: PCI: slot 0"), 1);
	rig_write(rig.w, rig.table.region[0].at, 5, 4);
	assert_int_equal(rig_read(rig.w, rig.table.region[0].at, 4), 5);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	rig_free(&rig);
}

static void regions_that_share_bytes_do_not_share_a_function(void **state)
{
	static const struct vh_wire_region r[] = {
		{.gpa = 0, .size = 2 * PAGE, .offset = 0},
		{.gpa = 0x100000, .size = 2 * PAGE, .offset = PAGE},
	};
	int fd = ram(4 * PAGE), fds[] = {fd, fd};
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	assert_int_equal(place(&rig, r, 2, fds), 0);
	assert_int_equal(number_of(&rig, 0), 0);
	assert_int_equal(rig.table.region[0].gpa, 0x100000);
	assert_int_equal(number_of(&rig, 1), 1);
	close(fd);
	rig_free(&rig);
}

/* ---- Changes ---- */

static void a_new_file_is_plugged_before_the_old_one_goes(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int one = ram(PAGE), two = ram(PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 2, "");
	assert_int_equal(place(&rig, &r, 1, &one), 0);
	rig.qmp.keeps = true;
	assert_int_equal(place(&rig, &r, 1, &two), 0);
	assert_int_equal(number_of(&rig, 0), 2);
	assert_int_equal(rig.qmp.n_asks, 0);
	fake_settle(rig.r);
	assert_int_equal(rig.qmp.n_asks, 1);
	assert_int_equal(rig_logged("cannot"), 0);
	fake_give_back(&rig.qmp, 0);
	fake_settle(rig.r);
	close(one);
	close(two);
	rig_free(&rig);
}

static void with_one_port_the_old_one_goes_first(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fds[] = {ram(PAGE), ram(PAGE), ram(PAGE)};
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(place(&rig, &r, 1, &fds[i]), 0);
		assert_int_equal(number_of(&rig, 0), i + 1);
	}
	assert_int_equal(rig_logged("cannot"), 0);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	rig_free(&rig);
}

static void a_dropped_table_gives_its_ports_back(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	unsigned fds;
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	fds = rig_count_fds();
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(place(&rig, &r, 1, &fd), 0);
		assert_int_equal(number_of(&rig, 0), i + 1);
		rig.w->ops->drop(rig.w);
		fake_settle(rig.r);
		assert_string_equal(rig.qmp.used_by[0], "");
	}
	/* The monitor's connection, both ends. */
	assert_int_equal(rig_count_fds(), fds + 2);
	close(fd);
	rig_free(&rig);
}

static void a_table_that_is_overtaken_is_never_done(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int one = ram(PAGE), two = ram(PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 2, "");
	assert_int_equal(begin(&rig, &r, 1, &one), -EINPROGRESS);
	assert_int_equal(place(&rig, &r, 1, &two), 0);
	assert_int_equal(number_of(&rig, 0), 2);
	fake_settle(rig.r);
	assert_string_equal(rig.qmp.used_by[0], ""); /* the first went again */
	assert_int_equal(begin(&rig, &r, 1, &one), -EINPROGRESS);
	rig.w->ops->drop(rig.w);
	fake_settle(rig.r);
	assert_int_equal(rig.done, 1);
	assert_string_equal(rig.qmp.used_by[0], "");
	assert_string_equal(rig.qmp.used_by[1], "");
	close(one);
	close(two);
	rig_free(&rig);
}

static void a_vmm_that_starts_again_gets_a_new_function(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct rig rig;
	struct guest g;

	(void)state;
	rig_make(&rig, 1, "");
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	guest_looks(&rig, &g); /* it is plugged, and its VMM ends */
	fake_hang_up(&rig.qmp);
	rig.qmp.used_by[0][0] = '\0';
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	assert_int_equal(number_of(&rig, 0), 2);
	fake_settle(rig.r);
	close(fd);
	rig_free(&rig);
}

/* ---- When nothing can be plugged ---- */

static void without_a_monitor_all_is_trapped(void **state)
{
	static const struct vh_wire_region r = {.size = PAGE};
	int fd = ram(PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	rig.qmp.refuses = "out of slots";
	assert_int_equal(place(&rig, &r, 1, &fd), 0);
	assert_int_equal(rig.table.region[0].at, 0);
	assert_int_equal(rig_logged("cannot plug memory into the guest: out of slots"),
			 1);
	assert_int_equal(rig_logged("is a message"), 1);
	rig_write(rig.w, 8, 77, 4);
	assert_int_equal(rig_read(rig.w, 8, 4), 77);
	close(fd);
	rig_free(&rig);
}

static void a_table_that_fits_nowhere_fails(void **state)
{
	static const struct {
		struct vh_wire_region region;
		int err;
	} cases[] = {
		{{.size = 2 * PAGE, .offset = 0}, -EINVAL},
		{{.size = PAGE, .offset = UINT64_MAX}, -EINVAL},
		{{.size = UINT64_MAX, .offset = 0}, -ENOSPC},
		{{.size = 0, .offset = 0}, -EINVAL},
	};
	int fd = ram(PAGE);
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, "");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(place(&rig, &cases[i].region, 1, &fd), cases[i].err);
	close(fd);
	rig_free(&rig);
}

static void an_address_that_is_wrong_is_refused(void **state)
{
	static const char *const addresses[] = {"", ",port=rp1", "/x,color=red",
						"/x,unsealed=perhaps"};
	struct vh_reactor *r = fake_reactor();
	struct vh_window *w;

	(void)state;
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		rig_forget();
		assert_int_equal(vh_window_hotplug(r, addresses[i], uuid, 0, "test", &w),
				 -EINVAL);
		assert_int_equal(rig_logged("test: "), 1);
	}
	vh_reactor_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_finds_the_file_by_the_uuid_and_the_number),
		cmocka_unit_test(the_same_file_keeps_its_function),
		cmocka_unit_test(memory_that_could_shrink_is_sealed),
		cmocka_unit_test(memory_that_cannot_be_sealed_is_trapped_unless_trusted),
		cmocka_unit_test(
			each_file_has_a_function_and_what_has_no_port_is_trapped),
		cmocka_unit_test(regions_that_share_bytes_do_not_share_a_function),
		cmocka_unit_test(a_new_file_is_plugged_before_the_old_one_goes),
		cmocka_unit_test(with_one_port_the_old_one_goes_first),
		cmocka_unit_test(a_dropped_table_gives_its_ports_back),
		cmocka_unit_test(a_table_that_is_overtaken_is_never_done),
		cmocka_unit_test(a_vmm_that_starts_again_gets_a_new_function),
		cmocka_unit_test(without_a_monitor_all_is_trapped),
		cmocka_unit_test(a_table_that_fits_nowhere_fails),
		cmocka_unit_test(an_address_that_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
