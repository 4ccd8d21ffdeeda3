/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that does not let go of its requests for as long as a VMM waits: seconds. */
#include "rig.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* Running, with a chain that the device does not give back. */
static void open_stuck(struct vmm *m, struct rig *rig)
{
	struct iovec iov;

	rig_serve(rig, &keeper_ops, NULL);
	vmm_open(m, rig);
	vmm_start(m, 0, 2);
	iov = (struct iovec){.iov_base = vmm_buffer(m, 0), .iov_len = 64};
	keeper_keep(&rig->keeper);
	vmm_add(m, 0, &iov, 0, 1);
	keeper_wait(&rig->keeper, 1);
}

/* It serves again. */
static void close_all(struct vmm *m, struct rig *rig)
{
	vmm_start(m, 0, 2);
	vmm_use(m, 0);
	vmm_use(m, 1);
	vmm_close(m);
	rig_end(rig);
}

static void a_reset_that_takes_long_reads_as_not_done_until_it_is(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_stuck(&m, rig);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(rig_logged("the VMM goes on without waiting"), 1);
	assert_int_not_equal(vh_virtio_drv_status(&m.drv), 0);
	vmm_set_common(&m, VIRTIO_PCI_COMMON_STATUS, 1, 1);
	keeper_let_go(&rig->keeper);
	while (vh_virtio_drv_status(&m.drv) != 0)
		sched_yield();
	close_all(&m, rig);
}

static void so_does_one_of_the_function_which_is_an_error(void **state)
{
	struct rig *rig = *state;
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	struct vmm m;

	open_stuck(&m, rig);
	assert_int_equal(vfu_reset(m.c), -ETIMEDOUT);
	assert_int_equal(m.host->bus->config_write(m.host, PCI_COMMAND, &command, 2), 0);
	keeper_let_go(&rig->keeper);
	close_all(&m, rig);
}

static void memory_that_is_not_let_go_of_is_an_error_and_needs_a_reset(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_stuck(&m, rig);
	assert_int_equal(vfu_dma_unmap(m.c, m.mem.iova, m.mem.len), -EBUSY);
	vmm_wait(m.vector[0]);
	assert_true(vh_virtio_drv_status(&m.drv) & VIRTIO_CONFIG_S_NEEDS_RESET);
	keeper_let_go(&rig->keeper);
	vmm_close(&m);
	vmm_open(&m, rig);
	close_all(&m, rig);
}

static void a_vmm_that_does_not_wait_is_followed_by_another(void **state)
{
	struct rig *rig = *state;
	struct vmm m;

	open_stuck(&m, rig);
	vfu_disconnect(m.c);
	vmm_close(&m);
	assert_true(rig_logged("the VMM goes on") == 0);
	keeper_let_go(&rig->keeper);
	vmm_open(&m, rig);
	close_all(&m, rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_reset_that_takes_long_reads_as_not_done_until_it_is),
		RIG_TEST(so_does_one_of_the_function_which_is_an_error),
		RIG_TEST(memory_that_is_not_let_go_of_is_an_error_and_needs_a_reset),
		RIG_TEST(a_vmm_that_does_not_wait_is_followed_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
