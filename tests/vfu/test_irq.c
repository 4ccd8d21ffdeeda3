/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts: who is signalled, and when. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRIGGER	 (VH_VFU_SET_EVENTFD | VH_VFU_SET_TRIGGER)
#define LOOPBACK (VH_VFU_SET_NONE | VH_VFU_SET_TRIGGER)
#define BOOLS	 (VH_VFU_SET_BOOL | VH_VFU_SET_TRIGGER)

static void close_all(const int *fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
}

static void raise_all(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_VECTORS + 3; i++)
		vh_vfu_interrupt(rig->v, i);
}

static void raise_intx(struct rig *rig)
{
	vh_vfu_set_intx(rig->v, true);
}

static void lower_intx(struct rig *rig)
{
	vh_vfu_set_intx(rig->v, false);
}

/* ---- What there is ---- */

static void each_kind_of_interrupt_says_what_it_can(void **state)
{
	static const struct {
		unsigned count, flags;
	} want[] = {
		[VH_VFU_IRQ_INTX] = {1, 7},  [VH_VFU_IRQ_MSI] = {0, 1},
		[VH_VFU_IRQ_MSIX] = {20, 1}, [VH_VFU_IRQ_ERR] = {1, 1},
		[VH_VFU_IRQ_REQ] = {0, 1},
	};
	struct rig *rig = *state;
	struct vh_vfu_irq_info info;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < VH_VFU_IRQS; i++) {
		assert_int_equal(vfu_get_irq_info(&rig->c, i, &info), 0);
		assert_int_equal(info.index, i);
		assert_int_equal(info.count, want[i].count);
		assert_int_equal(info.flags, want[i].flags);
	}
	assert_int_equal(vfu_get_irq_info(&rig->c, VH_VFU_IRQS, &info), -EINVAL);
}

/* ---- Vectors ---- */

static void a_vector_signals_its_eventfd(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 3, fd), 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd), 1);
	assert_int_equal(rig_stats(rig).interrupts, 1);
	close(fd);
}

static void sixteen_vectors_come_in_one_message(void **state)
{
	struct rig *rig = *state;
	int fd[16];

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < 16; i++)
		fd[i] = rig_eventfd();
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, TRIGGER, 2, 16, fd, 16),
			 0);
	assert_int_equal(rig_get(rig, &rig->n_vectors), 16);
	rig_do(rig, raise_all);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(rig_signalled(fd[i]), 1);
	close_all(fd, 16);
}

static void a_vector_that_had_none_can_lose_its_eventfd(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 0, -1), 0);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_ERR, TRIGGER, 0, 1, NULL, 0),
			 0);
}

static void a_vector_without_its_eventfd_is_silent(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 3, fd), 0);
	assert_int_equal(vfu_set_vector(&rig->c, 3, -1), 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd), 0);
	close(fd);
}

static void a_vector_has_one_eventfd_at_a_time(void **state)
{
	struct rig *rig = *state;
	const int fd[2] = {rig_eventfd(), rig_eventfd()};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 3, fd[0]), 0);
	assert_int_equal(vfu_set_vector(&rig->c, 3, fd[1]), 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd[0]), 0);
	assert_int_equal(rig_signalled(fd[1]), 1);
	close_all(fd, 2);
}

static void all_vectors_are_disabled_at_once(void **state)
{
	struct rig *rig = *state;
	const int fd[2] = {rig_eventfd(), rig_eventfd()};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 0, fd[0]), 0);
	assert_int_equal(vfu_set_vector(&rig->c, 19, fd[1]), 0);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, LOOPBACK, 0, 0, NULL, 0),
			 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd[0]) + rig_signalled(fd[1]), 0);
	close_all(fd, 2);
}

static void a_client_can_have_vectors_signalled(void **state)
{
	struct rig *rig = *state;
	const int fd[2] = {rig_eventfd(), rig_eventfd()};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, TRIGGER, 5, 2, fd, 2), 0);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, LOOPBACK, 4, 2, NULL, 0),
			 0);
	assert_int_equal(rig_signalled(fd[0]), 1);
	assert_int_equal(rig_signalled(fd[1]), 0);
	close_all(fd, 2);
}

static int set_bools(struct rig *rig, uint32_t count, const char *bytes, size_t n)
{
	uint8_t ask[64];
	const struct vh_vfu_irq_set head = {.argsz = 20,
					    .flags = BOOLS,
					    .index = VH_VFU_IRQ_MSIX,
					    .start = 5,
					    .count = count};

	memcpy(ask, &head, sizeof(head));
	memcpy(ask + sizeof(head), bytes, n);
	return vfu_ask(&rig->c, VH_VFU_SET_IRQS, ask, sizeof(head) + n, NULL, 0);
}

static void a_client_chooses_which_vectors_are_signalled(void **state)
{
	struct rig *rig = *state;
	const int fd[3] = {rig_eventfd(), rig_eventfd(), rig_eventfd()};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, TRIGGER, 5, 3, fd, 3), 0);
	assert_int_equal(set_bools(rig, 3, "\1\0\2", 3), 0);
	assert_int_equal(rig_signalled(fd[0]), 1);
	assert_int_equal(rig_signalled(fd[1]), 0);
	assert_int_equal(rig_signalled(fd[2]), 1);
	assert_int_equal(set_bools(rig, 3, "\1\1", 2), -EINVAL);
	assert_int_equal(set_bools(rig, 3, "\1\1\1\1", 4), -EINVAL);
	assert_int_equal(rig_signalled(fd[0]), 0);
	close_all(fd, 3);
}

/* ---- What is refused, and leaves nothing behind ---- */

static void what_makes_no_sense_is_refused_and_its_descriptors_are_closed(void **state)
{
	static const struct {
		uint32_t index, flags, start, count;
		unsigned n_fds;
	} bad[] = {
		{2, TRIGGER, 0, 2, 1},		/* fds and count differ          */
		{2, TRIGGER, 0, 1, 2},		/*                               */
		{2, TRIGGER, 20, 1, 1},		/* no such vector                */
		{2, TRIGGER, 19, 2, 2},		/*                               */
		{2, TRIGGER, 1, UINT32_MAX, 0}, /* start + count wraps           */
		{2, TRIGGER, UINT32_MAX, 2, 2}, /*                               */
		{2, TRIGGER, 0, 0, 0},		/* 0 is for NONE, to disable all */
		{2, LOOPBACK, 1, 0, 0},		/*                               */
		{2, LOOPBACK, 0, 1, 1},		/* fds with NONE                 */
		{2, LOOPBACK, 0, 21, 0},	/*                               */
		{1, TRIGGER, 0, 1, 1},		/* there is no MSI               */
		{4, TRIGGER, 0, 1, 1},		/* and no REQ                    */
		{3, TRIGGER, 0, 2, 2},		/* one ERR                       */
		{3, VH_VFU_SET_NONE | VH_VFU_SET_MASK, 0, 1, 0},
		{5, TRIGGER, 0, 1, 1},
		{2, VH_VFU_SET_EVENTFD, 0, 1, 1}, /* no action                     */
		{2, VH_VFU_SET_TRIGGER, 0, 1, 0}, /* no kind of data               */
		{2, TRIGGER | VH_VFU_SET_MASK, 0, 1, 1},
		{2, TRIGGER | VH_VFU_SET_NONE, 0, 1, 1},
		{2, TRIGGER | 64, 0, 1, 1},
		{0, VH_VFU_SET_EVENTFD | VH_VFU_SET_MASK, 0, 1, 1},
	};
	struct rig *rig = *state;
	const int fd[2] = {rig_eventfd(), rig_eventfd()};
	int n;

	rig_open(rig);
	rig_connect(rig);
	n = rig_count_fds();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vfu_set_irqs(&rig->c, bad[i].index, bad[i].flags,
					      bad[i].start, bad[i].count, fd,
					      bad[i].n_fds),
				 -EINVAL);
	assert_int_equal(rig_count_fds(), n);
	assert_int_equal(rig_get(rig, &rig->n_vectors), 0);
	close_all(fd, 2);
}

static void anything_but_eventfds_is_refused_and_changes_nothing(void **state)
{
	struct rig *rig = *state;
	int fd[3] = {rig_eventfd(), rig_eventfd(), rig_memory(4096)}, n;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 0, fd[0]), 0);
	n = rig_count_fds();
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX, TRIGGER, 0, 2, fd + 1, 2),
			 -EINVAL);
	assert_int_equal(rig_count_fds(), n);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd[0]), 1);
	assert_int_equal(rig_signalled(fd[1]), 0);
	close_all(fd, 3);
}

static void an_eventfd_that_is_full_blocks_nobody(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(write(fd, &(uint64_t){UINT64_MAX - 1}, 8), 8);
	assert_int_equal(vfu_set_vector(&rig->c, 0, fd), 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd), UINT64_MAX - 1);
	close(fd);
}

static void a_thousand_eventfds_for_one_vector_are_kept_once(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();
	int n;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 0, fd), 0);
	n = rig_count_fds();
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(vfu_set_vector(&rig->c, 0, fd), 0);
	assert_int_equal(rig_count_fds(), n);
	close(fd);
}

/* ---- The pin ---- */

static int set_intx(struct rig *rig, int fd)
{
	return vfu_set_irqs(&rig->c, VH_VFU_IRQ_INTX, TRIGGER, 0, 1, &fd, 1);
}

static int set_unmask(struct rig *rig, int fd)
{
	return vfu_set_irqs(&rig->c, VH_VFU_IRQ_INTX,
			    VH_VFU_SET_EVENTFD | VH_VFU_SET_UNMASK, 0, 1, &fd, 1);
}

static int mask_intx(struct rig *rig, uint32_t action)
{
	return vfu_set_irqs(&rig->c, VH_VFU_IRQ_INTX, VH_VFU_SET_NONE | action, 0, 1,
			    NULL, 0);
}

static int mask_byte(struct rig *rig, uint32_t action, uint8_t byte)
{
	const struct vh_vfu_irq_set head = {.argsz = 21,
					    .flags = VH_VFU_SET_BOOL | action,
					    .index = VH_VFU_IRQ_INTX,
					    .count = 1};
	uint8_t ask[21];

	memcpy(ask, &head, sizeof(head));
	ask[20] = byte;
	return vfu_ask(&rig->c, VH_VFU_SET_IRQS, ask, sizeof(ask), NULL, 0);
}

static void the_pin_is_signalled_once_until_it_is_unmasked(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	rig_do(rig, raise_intx);
	rig_do(rig, lower_intx);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 1);
	assert_int_equal(mask_intx(rig, VH_VFU_SET_UNMASK), 0);
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
}

static void a_pin_that_was_lowered_is_not_signalled_when_it_is_unmasked(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 1);
	rig_do(rig, lower_intx);
	assert_int_equal(mask_intx(rig, VH_VFU_SET_UNMASK), 0);
	assert_int_equal(rig_signalled(fd), 0);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
}

static void a_pin_that_is_masked_waits(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(mask_intx(rig, VH_VFU_SET_MASK), 0);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 0);
	assert_int_equal(mask_intx(rig, VH_VFU_SET_UNMASK), 0);
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
}

static void a_mask_may_come_as_bytes(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(mask_byte(rig, VH_VFU_SET_MASK, 0), 0);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 1);
	assert_int_equal(mask_byte(rig, VH_VFU_SET_UNMASK, 1), 0);
	assert_int_equal(rig_signalled(fd), 1);
	assert_int_equal(mask_byte(rig, VH_VFU_SET_UNMASK, 0), 0);
	assert_int_equal(rig_signalled(fd), 0);
	close(fd);
}

static void a_vector_that_is_masked_is_signalled_for_the_client_knows_better(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_set_vector(&rig->c, 0, fd), 0);
	assert_int_equal(vfu_set_irqs(&rig->c, VH_VFU_IRQ_MSIX,
				      VH_VFU_SET_NONE | VH_VFU_SET_MASK, 0, 1, NULL, 0),
			 0);
	rig_do(rig, raise_all);
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
}

static void a_pin_that_is_raised_is_signalled_when_somebody_listens(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	rig_do(rig, raise_intx);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
}

static void an_eventfd_of_the_client_unmasks_the_pin(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd(), unmask = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(set_unmask(rig, unmask), 0);
	rig_do(rig, raise_intx);
	assert_int_equal(rig_signalled(fd), 1);
	assert_int_equal(write(unmask, &(uint64_t){1}, 8), 8);
	/* A turn or two of the server's loop. */
	for (unsigned i = 0; i < 1000000 && rig_stats(rig).interrupts != 2; i++)
		;
	assert_int_equal(rig_signalled(fd), 1);
	close(fd);
	close(unmask);
}

/* A read of it could block: who has it, too, may empty it and make it blocking. */
static void an_eventfd_that_unmasks_is_never_read(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd(), unmask = rig_eventfd();

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(set_unmask(rig, unmask), 0);
	rig_do(rig, raise_intx);
	for (unsigned n = 1; n < 4; n++) {
		assert_int_equal(rig_stats(rig).interrupts, n);
		assert_int_equal(write(unmask, &(uint64_t){1}, 8), 8);
		while (rig_stats(rig).interrupts == n)
			;
	}
	assert_int_equal(rig_signalled(unmask), 3);
	close(fd);
	close(unmask);
}

static void idle(struct rig *rig)
{
	(void)rig;
}

static void a_pin_that_unmasks_itself_ends_up_silent(void **state)
{
	struct rig *rig = *state;
	const int fd = rig_eventfd();
	uint64_t before;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(set_intx(rig, fd), 0);
	assert_int_equal(set_unmask(rig, fd), 0);
	rig_do(rig, raise_intx);
	do {
		before = rig_stats(rig).interrupts;
		rig_do(rig, idle);
	} while (rig_stats(rig).interrupts != before);
	assert_int_equal(rig_logged("again and again"), 1);
	assert_true(before < 20000);
	rig_do(rig, raise_intx);
	assert_true(rig_stats(rig).interrupts > before);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(each_kind_of_interrupt_says_what_it_can),
		RIG_TEST(a_vector_signals_its_eventfd),
		RIG_TEST(sixteen_vectors_come_in_one_message),
		RIG_TEST(a_vector_that_had_none_can_lose_its_eventfd),
		RIG_TEST(a_vector_without_its_eventfd_is_silent),
		RIG_TEST(a_vector_has_one_eventfd_at_a_time),
		RIG_TEST(all_vectors_are_disabled_at_once),
		RIG_TEST(a_client_can_have_vectors_signalled),
		RIG_TEST(a_client_chooses_which_vectors_are_signalled),
		RIG_TEST(what_makes_no_sense_is_refused_and_its_descriptors_are_closed),
		RIG_TEST(anything_but_eventfds_is_refused_and_changes_nothing),
		RIG_TEST(an_eventfd_that_is_full_blocks_nobody),
		RIG_TEST(a_thousand_eventfds_for_one_vector_are_kept_once),
		RIG_TEST(the_pin_is_signalled_once_until_it_is_unmasked),
		RIG_TEST(a_pin_that_was_lowered_is_not_signalled_when_it_is_unmasked),
		RIG_TEST(a_pin_that_is_masked_waits),
		RIG_TEST(a_mask_may_come_as_bytes),
		RIG_TEST(
			a_vector_that_is_masked_is_signalled_for_the_client_knows_better),
		RIG_TEST(a_pin_that_is_raised_is_signalled_when_somebody_listens),
		RIG_TEST(an_eventfd_of_the_client_unmasks_the_pin),
		RIG_TEST(an_eventfd_that_unmasks_is_never_read),
		RIG_TEST(a_pin_that_unmasks_itself_ends_up_silent),
	};

	return cmocka_run_group_tests_name("vfu/irq", tests, NULL, NULL);
}
