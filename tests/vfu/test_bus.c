/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus of functions in this process, as drivers have it. */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "mem/translate.h"

static struct vh_pci_host *host_open(struct rig *rig)
{
	char address[96];
	struct vh_pci_host *h;

	vfu_test_bus_add();
	rig_open(rig);
	snprintf(address, sizeof(address), "test:%s", rig->path);
	assert_int_equal(vh_pci_open(address, "driver", &h), 0);
	return h;
}

static void a_function_that_is_not_there_is_not_opened(void **state)
{
	struct vh_pci_host *h;

	(void)state;
	vfu_test_bus_add();
	assert_int_equal(vh_pci_open("test:/nowhere", "driver", &h), -ENOENT);
	assert_null(h);
}

static void registers_are_read_and_written_in_all_widths(void **state)
{
	struct vh_pci_host *h = host_open(*state);
	uint64_t value;
	uint32_t ids;

	assert_int_equal(h->bus->bar_size(h, 0), RIG_BAR0);
	assert_int_equal(h->bus->bar_size(h, 1), 0);
	assert_int_equal(h->bus->config_read(h, 0, &ids, sizeof(ids)), 0);
	assert_int_equal(ids, 0x10171af4);
	for (unsigned width = 1; width <= 8; width *= 2) {
		assert_int_equal(h->bus->write(h, 0, 0x40, width, width), 0);
		assert_int_equal(h->bus->read(h, 0, 0x40, width, &value), 0);
		assert_int_equal(value, width);
	}
	vh_pci_close(h);
}

static void what_can_be_mapped_is_and_what_cannot_is_said(void **state)
{
	struct vh_pci_host *h = host_open(*state);
	uint64_t value;
	void *va;

	assert_int_equal(h->bus->map(h, 0, 0, RIG_PAGE, &va), -ENOTSUP);
	assert_int_equal(h->bus->map(h, 2, 0, 2 * RIG_PAGE, &va), -ENOTSUP);
	assert_int_equal(h->bus->map(h, 2, RIG_PAGE, RIG_PAGE, &va), 0);
	*(volatile uint8_t *)va = 42;
	assert_int_equal(h->bus->read(h, 2, RIG_PAGE, 1, &value), 0);
	assert_int_equal(value, 42);
	h->bus->unmap(h, va, RIG_PAGE);
	vh_pci_close(h);
}

static void a_signal_is_an_eventfd_where_there_is_one(void **state)
{
	struct rig *rig = *state;
	struct vh_pci_host *h = host_open(rig);
	struct vh_signal *s;

	assert_int_equal(h->bus->signal(h, 0, 0x80, 4, 1, &s), -ENOTSUP);
	assert_int_equal(h->bus->signal(h, 0, RIG_REGISTER, 4, 1, &s), 0);
	vh_signal_fire(s);
	assert_int_equal(rig_signalled(rig->doorbell), 1);
	vh_signal_put(s);
	vh_pci_close(h);
}

static uint8_t seen;

static void look(struct rig *rig)
{
	struct vh_map *m;
	uint64_t len = 1;
	unsigned hint = 0;

	assert_int_equal(vh_vfu_map(rig->v, &m), 0);
	assert_int_equal(m->n, 1);
	seen = *vh_map_gpa(m, m->region[0].gpa + 5, &len, &hint);
	vh_map_put(m);
}

static void memory_of_the_driver_is_the_functions_until_it_is_freed(void **state)
{
	struct rig *rig = *state;
	struct vh_pci_host *h = host_open(rig);
	struct vh_pci_dma dma;

	assert_int_equal(h->bus->dma_alloc(h, 100, &dma), 0);
	dma.va[5] = 7;
	rig_do(rig, look);
	assert_int_equal(seen, 7);
	h->bus->dma_free(h, &dma);
	assert_int_equal(rig_get(rig, &rig->n_removed), 1);
	vh_pci_close(h);
}

static void raise_both(struct rig *rig)
{
	vh_vfu_interrupt(rig->v, 0);
	vh_vfu_interrupt(rig->v, 1);
}

static void vectors_are_the_drivers_eventfds(void **state)
{
	struct rig *rig = *state;
	struct vh_pci_host *h = host_open(rig);
	const int fd[2] = {-1, rig_eventfd()};

	assert_int_equal(h->bus->set_vectors(h, fd, 2), 0);
	rig_do(rig, raise_both);
	assert_int_equal(rig_signalled(fd[1]), 1);
	assert_int_equal(h->bus->set_vectors(h, fd, 0), 0);
	rig_do(rig, raise_both);
	assert_int_equal(rig_signalled(fd[1]), 0);
	vh_pci_close(h);
	close(fd[1]);
}

static void a_function_whose_server_ends_is_gone(void **state)
{
	struct rig *rig = *state;
	struct vh_pci_host *h = host_open(rig);
	struct pollfd p = {.fd = h->bus->gone_fd(h), .events = POLLIN};
	uint64_t value;

	assert_int_equal(poll(&p, 1, 0), 0);
	rig_close(rig);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(h->bus->read(h, 0, 0, 4, &value), -ENODEV);
	vh_pci_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_function_that_is_not_there_is_not_opened),
		RIG_TEST(registers_are_read_and_written_in_all_widths),
		RIG_TEST(what_can_be_mapped_is_and_what_cannot_is_said),
		RIG_TEST(a_signal_is_an_eventfd_where_there_is_one),
		RIG_TEST(memory_of_the_driver_is_the_functions_until_it_is_freed),
		RIG_TEST(vectors_are_the_drivers_eventfds),
		RIG_TEST(a_function_whose_server_ends_is_gone),
	};

	return cmocka_run_group_tests_name("vfu/bus", tests, NULL, NULL);
}
