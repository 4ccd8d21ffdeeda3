/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bus an address is on, and functions that are looked for on all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pci/host.h"

static struct vh_pci_host opened;
static unsigned n_closed;

static bool ours(const char *address)
{
	return !strncmp(address, "ours:", 5);
}

static int find(uint16_t vendor, uint16_t device, unsigned n,
		char address[VH_PCI_ADDRESS_SIZE])
{
	if (vendor != 0x1af4 || device != 0xffff || n >= 2)
		return -ENOENT;
	snprintf(address, VH_PCI_ADDRESS_SIZE, "ours:%u", n);
	return 0;
}

static int open_it(const char *address, const char *tag, struct vh_pci_host **h)
{
	*h = &opened;
	return 0;
}

static void close_it(struct vh_pci_host *h)
{
	assert_ptr_equal(h, &opened);
	n_closed++;
}

static const struct vh_pci_bus bus = {
	.has = ours,
	.find = find,
	.open = open_it,
	.close = close_it,
};

static void an_address_is_opened_on_its_bus(void **state)
{
	struct vh_pci_host *h;

	opened.bus = &bus;
	vh_pci_add_bus(&bus);
	vh_pci_add_bus(&bus); /* is there already */
	assert_int_equal(vh_pci_open("ours:1", "test", &h), 0);
	assert_ptr_equal(h, &opened);
	vh_pci_close(h);
	vh_pci_close(NULL);
	assert_int_equal(n_closed, 1);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "0000:00:04",
					  "0000:00:04.0.1",
					  "/dev/vfio/1",
					  "0000:00:04.",
					  "0000-00:04.0",
					  "00000:00:04.0",
					  "000g:00:04.0"};
	struct vh_pci_host *h;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(vh_pci_open(bad[i], "test", &h), -EINVAL);
		assert_null(h);
	}
}

/* No machine has so many buses. */
static void a_function_that_is_not_there_is_told_apart(void **state)
{
	struct vh_pci_host *h;

	assert_int_equal(vh_pci_open("fffe:ff:1f.7", "test", &h), -ENODEV);
	assert_null(h);
}

/* The first function of this machine that is behind no IOMMU. */
static bool find_without_iommu(char address[VH_PCI_ADDRESS_SIZE])
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	const struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		char path[300];

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
			 e->d_name);
		found = e->d_name[0] != '.' && access(path, F_OK) < 0;
		snprintf(address, VH_PCI_ADDRESS_SIZE, "%.15s", e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Whoever was told to bind it, first, would find that it cannot be bound. */
static void a_function_without_an_iommu_is_told_apart(void **state)
{
	char address[VH_PCI_ADDRESS_SIZE];
	struct vh_pci_host *h;

	if (!find_without_iommu(address) || access("/sys/module/vfio", F_OK) == 0)
		skip(); /* with vfio here it might be had without one */
	assert_int_equal(vh_pci_open(address, "test", &h), -ENODEV);
	assert_null(h);
}

static void functions_are_found_by_their_ids_in_order(void **state)
{
	char address[VH_PCI_ADDRESS_SIZE];

	vh_pci_add_bus(&bus);
	assert_int_equal(vh_pci_find(0x1af4, 0xffff, 0, address), 0);
	assert_string_equal(address, "ours:0");
	assert_int_equal(vh_pci_find(0x1af4, 0xffff, 1, address), 0);
	assert_string_equal(address, "ours:1");
	assert_int_equal(vh_pci_find(0x1af4, 0xffff, 2, address), -ENOENT);
	assert_int_equal(vh_pci_find(0x1af4, 0xfffe, 0, address), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_opened_on_its_bus),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_function_that_is_not_there_is_told_apart),
		cmocka_unit_test(a_function_without_an_iommu_is_told_apart),
		cmocka_unit_test(functions_are_found_by_their_ids_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
