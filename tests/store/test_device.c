/* SPDX-License-Identifier: BSD-3-Clause */
/* file=/dev/...: a loop device, where this process may make one. */
#include "store/image.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

#define CAPACITY (4 << 20)
#define LEN	 65536
#define SKIPPED	 77

static char buf[LEN] __attribute__((aligned(4096)));

struct device {
	struct image image;
	char word[64];
	int fd; /* keeps it there: it goes with its last user */
};

static bool attach(struct device *d, unsigned block_size)
{
	struct loop_config config = {
		.block_size = block_size,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	bool done;

	snprintf(d->word, sizeof(d->word), "file=/dev/loop%d", n);
	d->fd = n < 0 ? -1 : open(strchr(d->word, '/'), O_RDWR | O_CLOEXEC);
	config.fd = (unsigned)open(d->image.path, O_RDWR | O_CLOEXEC);
	done = d->fd >= 0 && !ioctl(d->fd, LOOP_CONFIGURE, &config);
	close((int)config.fd);
	if (control >= 0)
		close(control);
	return done;
}

static bool device_new(struct device *d, unsigned block_size)
{
	image_new(&d->image, IN_MEMORY, CAPACITY);
	/* Somebody may take the free one first. */
	for (unsigned i = 0; i < 5; i++) {
		if (attach(d, block_size))
			return true;
		if (d->fd >= 0)
			close(d->fd);
	}
	image_delete(&d->image);
	return false;
}

static void device_delete(struct device *d)
{
	close(d->fd);
	image_delete(&d->image);
}

static void expect_works(const char *word, const char *aio)
{
	struct rig rig;

	rig_open(&rig, word, aio);
	assert_int_equal(vh_store_info(rig.s)->capacity, CAPACITY);
	memset(buf, 'd', LEN);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 4096, buf, LEN), 0);
	assert_int_equal(do_op(&rig, VH_STORE_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(do_op(&rig, VH_STORE_WRITE_ZEROES, 8192, NULL, 4096), 0);
	assert_int_equal(
		do_flags(&rig, VH_STORE_WRITE_ZEROES, VH_STORE_UNMAP, 16384, NULL, 4096),
		0);
	assert_int_equal(do_op(&rig, VH_STORE_DISCARD, 4096 + LEN - 4096, NULL, 4096), 0);
	assert_int_equal(do_op(&rig, VH_STORE_READ, 4096, buf, LEN), 0);
	assert_true(is_all(buf, 'd', 4096));
	assert_true(is_all(buf + 4096, 0, 4096));
	assert_true(is_all(buf + 8192, 'd', 4096));
	assert_true(is_all(buf + 12288, 0, 4096));
	assert_true(is_all(buf + 16384, 'd', LEN - 16384 - 4096));
	assert_int_equal(vh_store_refresh(rig.s), 0);
	rig_close(&rig);
}

static void a_device_is_read_and_written_and_zeroed(void **state)
{
	struct device *d = *state;

	expect_works(d->word, "aio=uring");
	expect_works(d->word, "aio=threads");
}

static void its_blocks_are_the_disks_blocks(void **state)
{
	struct device large;
	struct vh_store *s;

	if (!device_new(&large, 4096))
		skip();
	assert_int_equal(STORE_OPEN(&s, large.word), 0);
	assert_int_equal(vh_store_info(s)->block_size, 4096);
	assert_true(vh_store_info(s)->physical_block >= 4096);
	vh_store_close(s);
	assert_int_equal(STORE_OPEN(&s, large.word, "block-size=512"), -EINVAL);
	device_delete(&large);
}

int main(void)
{
	struct device d;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(a_device_is_read_and_written_and_zeroed, &d),
		cmocka_unit_test(its_blocks_are_the_disks_blocks),
	};
	int rc;

	if (!device_new(&d, 512)) {
		fprintf(stderr, "skipped: no loop device can be made here\n");
		return SKIPPED;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	device_delete(&d);
	return rc;
}
