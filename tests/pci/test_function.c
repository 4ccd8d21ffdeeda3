/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration space and BARs of a PCI function, as VMMs and drivers touch them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "pci/function.h"

static const struct vh_pci_ids ids = {
	.vendor = 0x1af4,
	.device = 0x106b,
	.subsystem_vendor = 0x1af4,
	.subsystem = 43,
	.class = 0x00ff00,
	.revision = 1,
};

static struct vh_pci_function f;

static int setup(void **state)
{
	vh_pci_init(&f, &ids);
	return 0;
}

static uint32_t config_get(unsigned at, size_t len)
{
	uint32_t v = 0;

	assert_int_equal(vh_pci_config_read(&f, at, &v, len), 0);
	return v;
}

static void config_put(unsigned at, uint32_t v, size_t len)
{
	assert_int_equal(vh_pci_config_write(&f, at, &v, len), 0);
}

/* ---- Header ---- */

static void the_header_has_the_ids(void **state)
{
	assert_int_equal(config_get(PCI_VENDOR_ID, 4), 0x106b1af4);
	assert_int_equal(config_get(PCI_SUBSYSTEM_VENDOR_ID, 4), 43u << 16 | 0x1af4);
	assert_int_equal(config_get(PCI_CLASS_REVISION, 4), 0x00ff0001);
	assert_int_equal(config_get(PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(config_get(PCI_INTERRUPT_PIN, 1), 0);
}

static void no_byte_of_the_ids_can_be_changed(void **state)
{
	uint8_t before[VH_PCI_CONFIG_SIZE], after[VH_PCI_CONFIG_SIZE];
	uint8_t ones[VH_PCI_CONFIG_SIZE];

	memset(ones, 0xff, sizeof(ones));
	vh_pci_config_read(&f, 0, before, sizeof(before));
	assert_int_equal(vh_pci_config_write(&f, 0, ones, sizeof(ones)), 0);
	vh_pci_config_read(&f, 0, after, sizeof(after));
	assert_memory_equal(before, after, PCI_COMMAND);
	assert_memory_equal(before + PCI_STATUS, after + PCI_STATUS, 6);
	assert_memory_equal(before + PCI_HEADER_TYPE, after + PCI_HEADER_TYPE,
			    PCI_INTERRUPT_LINE - PCI_HEADER_TYPE);
	assert_memory_equal(before + PCI_INTERRUPT_PIN, after + PCI_INTERRUPT_PIN,
			    VH_PCI_CONFIG_SIZE - PCI_INTERRUPT_PIN);
}

static void command_holds_the_bits_that_a_function_has(void **state)
{
	config_put(PCI_COMMAND, 0xffff, 2);
	assert_int_equal(config_get(PCI_COMMAND, 2), 0x0547);
	assert_true(vh_pci_is_master(&f));
	config_put(PCI_COMMAND, 0, 2);
	assert_int_equal(config_get(PCI_COMMAND, 2), 0);
	assert_false(vh_pci_is_master(&f));
}

static void one_read_of_everything_equals_reads_of_bytes(void **state)
{
	uint8_t all[VH_PCI_CONFIG_SIZE];

	assert_int_equal(vh_pci_add_bar(&f, 0, 0x8000, 0), 0);
	assert_int_equal(vh_pci_add_bar(&f, 1, 0x2000, 0), 0);
	assert_int_equal(vh_pci_add_msix(&f, 3, 1, 0, 0x1000), 0);
	vh_pci_config_read(&f, 0, all, sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++)
		assert_int_equal(config_get(i, 1), all[i]);
}

static void an_access_that_is_not_inside_is_refused(void **state)
{
	uint8_t buf[VH_PCI_CONFIG_SIZE + 1] = {0};

	assert_int_equal(vh_pci_config_read(&f, 0, buf, sizeof(buf)), -EINVAL);
	assert_int_equal(vh_pci_config_read(&f, 255, buf, 2), -EINVAL);
	assert_int_equal(vh_pci_config_read(&f, UINT64_MAX, buf, 2), -EINVAL);
	assert_int_equal(vh_pci_config_write(&f, 255, buf, 2), -EINVAL);
	assert_int_equal(vh_pci_config_write(&f, UINT64_MAX, buf, 1), -EINVAL);
}

/* ---- Sizing ---- */

static void sizing_tells_a_bar_of_32_bits(void **state)
{
	assert_int_equal(vh_pci_add_bar(&f, 0, 0x8000, 0), 0);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_0, 4), 0);
	config_put(PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_0, 4), 0xffff8000);
	config_put(PCI_BASE_ADDRESS_0, 0xfebf1234, 4);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_0, 4), 0xfebf0000);
}

static void sizing_tells_a_bar_above_4_gib(void **state)
{
	const uint64_t size = 1ULL << 34;

	assert_int_equal(
		vh_pci_add_bar(&f, 4, size, VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH), 0);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_4, 4), 0xc);
	config_put(PCI_BASE_ADDRESS_4, 0xffffffff, 4);
	config_put(PCI_BASE_ADDRESS_5, 0xffffffff, 4);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_4, 4), 0xc);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_5, 4), 0xfffffffc);
}

static void sizing_tells_a_small_bar_of_64_bits(void **state)
{
	assert_int_equal(vh_pci_add_bar(&f, 2, 0x1000, VH_PCI_BAR_64BIT), 0);
	config_put(PCI_BASE_ADDRESS_2, 0xffffffff, 4);
	config_put(PCI_BASE_ADDRESS_3, 0xffffffff, 4);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_2, 4), 0xfffff004);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_3, 4), 0xffffffff);
}

static void sizing_finds_neither_rom_nor_absent_bars(void **state)
{
	for (unsigned at = PCI_BASE_ADDRESS_0; at <= PCI_BASE_ADDRESS_5; at += 4) {
		config_put(at, 0xffffffff, 4);
		assert_int_equal(config_get(at, 4), 0);
	}
	config_put(PCI_ROM_ADDRESS, 0xfffff800, 4);
	assert_int_equal(config_get(PCI_ROM_ADDRESS, 4), 0);
}

static void bars_that_cannot_be_are_refused(void **state)
{
	static const struct {
		unsigned bar;
		uint64_t size;
		unsigned flags;
	} bad[] = {
		{0, 0, 0},	    {0, 8, 0},	    {0, 0x3000, 0},
		{0, 1ULL << 32, 0}, {6, 0x1000, 0}, {5, 0x1000, VH_PCI_BAR_64BIT},
		{2, 0x1000, 0},	    {3, 0x1000, 0}, {1, 0x1000, VH_PCI_BAR_64BIT},
	};

	assert_int_equal(vh_pci_add_bar(&f, 2, 0x1000, VH_PCI_BAR_64BIT), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			vh_pci_add_bar(&f, bad[i].bar, bad[i].size, bad[i].flags),
			-EINVAL);
}

/* ---- Capabilities ---- */

static void capabilities_are_a_list_in_order(void **state)
{
	static const uint8_t body[5] = {1, 2, 3, 4, 5};
	const int a = vh_pci_add_cap(&f, PCI_CAP_ID_VNDR, body, sizeof(body));
	const int b = vh_pci_add_cap(&f, PCI_CAP_ID_VPD, body, 1);

	assert_int_equal(a, 0x40);
	assert_int_equal(b, 0x48);
	assert_true(config_get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	assert_int_equal(config_get(PCI_CAPABILITY_LIST, 1), a);
	assert_int_equal(config_get(a, 4), 0x02014809u);
	assert_int_equal(config_get(b, 2), PCI_CAP_ID_VPD);
}

static void without_capabilities_there_is_no_list(void **state)
{
	assert_int_equal(config_get(PCI_STATUS, 2), 0);
	assert_int_equal(config_get(PCI_CAPABILITY_LIST, 1), 0);
}

static void capabilities_fill_configuration_space_and_no_more(void **state)
{
	static const uint8_t body[VH_PCI_CONFIG_SIZE];

	assert_int_equal(vh_pci_add_cap(&f, 9, body, 191), -ENOSPC);
	assert_int_equal(vh_pci_add_cap(&f, 9, body, SIZE_MAX), -ENOSPC);
	assert_int_equal(vh_pci_add_cap(&f, 9, body, 190), 0x40);
	assert_int_equal(vh_pci_add_cap(&f, 9, body, 0), -ENOSPC);
}

static void msix_has_two_bits_to_write(void **state)
{
	int at;

	assert_int_equal(vh_pci_add_bar(&f, 1, 0x4000, 0), 0);
	assert_int_equal(vh_pci_add_msix(&f, 259, 1, 0, 0x2000), 0);
	at = f.msix_cap;
	assert_int_equal(config_get(at + PCI_MSIX_TABLE, 4), 1);
	assert_int_equal(config_get(at + PCI_MSIX_PBA, 4), 0x2001);
	assert_int_equal(config_get(at + PCI_MSIX_FLAGS, 2), 258);
	config_put(at + PCI_MSIX_FLAGS, 0xffff, 2);
	assert_int_equal(config_get(at + PCI_MSIX_FLAGS, 2), 0xc000 | 258);
	vh_pci_reset(&f);
	assert_int_equal(config_get(at + PCI_MSIX_FLAGS, 2), 258);
}

static void msix_that_has_no_place_is_refused(void **state)
{
	assert_int_equal(vh_pci_add_msix(&f, 1, 1, 0, 0x1000), -EINVAL);
	assert_int_equal(vh_pci_add_bar(&f, 1, 0x2000, 0), 0);
	assert_int_equal(vh_pci_add_msix(&f, 0, 1, 0, 0x1000), -EINVAL);
	assert_int_equal(vh_pci_add_msix(&f, 2049, 1, 0, 0x1000), -EINVAL);
	assert_int_equal(vh_pci_add_msix(&f, 1, 1, 4, 0x1000), -EINVAL);
	assert_int_equal(vh_pci_add_msix(&f, 1, 6, 0, 0x1000), -EINVAL);
	assert_int_equal(vh_pci_add_msix(&f, 2, 1, 0, 0x2000), -EINVAL);
}

static void the_table_and_the_pending_bits_read_as_zeroes(void **state)
{
	uint8_t buf[0x2000];

	assert_int_equal(vh_pci_add_bar(&f, 1, sizeof(buf), 0), 0);
	assert_int_equal(vh_pci_add_msix(&f, 2, 1, 0, 0x1000), 0);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(vh_pci_bar_write(&f, 1, 0, buf, sizeof(buf)), 0);
	assert_int_equal(vh_pci_bar_read(&f, 1, 0, buf, sizeof(buf)), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
}

/* ---- Blocks ---- */

struct memory {
	uint8_t bytes[16];
	unsigned n_writes;
	int result;
};

static void memory_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct memory *m = arg;

	assert_true(offset + len <= sizeof(m->bytes));
	memcpy(buf, m->bytes + offset, len);
}

static int memory_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct memory *m = arg;

	assert_true(offset + len <= sizeof(m->bytes));
	memcpy(m->bytes + offset, buf, len);
	m->n_writes++;
	return m->result;
}

static int add_memory(struct memory *m, uint64_t offset)
{
	const struct vh_pci_block b = {.bar = 0,
				       .offset = offset,
				       .size = sizeof(m->bytes),
				       .read = memory_read,
				       .write = memory_write,
				       .arg = m};

	return vh_pci_add_block(&f, &b);
}

static void an_access_across_blocks_is_cut(void **state)
{
	struct memory low = {0}, high = {0};
	uint8_t ones[64], back[64];

	memset(ones, 0x11, sizeof(ones));
	assert_int_equal(vh_pci_add_bar(&f, 0, 64, 0), 0);
	assert_int_equal(add_memory(&high, 40), 0);
	assert_int_equal(add_memory(&low, 8), 0);
	assert_int_equal(vh_pci_bar_write(&f, 0, 0, ones, sizeof(ones)), 0);
	assert_int_equal(low.n_writes + high.n_writes, 2);
	assert_int_equal(vh_pci_bar_read(&f, 0, 0, back, sizeof(back)), 0);
	for (unsigned i = 0; i < sizeof(back); i++) {
		const bool inside = (i >= 8 && i < 24) || (i >= 40 && i < 56);

		assert_int_equal(back[i], inside ? 0x11 : 0);
	}
	assert_int_equal(vh_pci_bar_write(&f, 0, 22, "abcd", 4), 0);
	assert_memory_equal(low.bytes + 14, "ab", 2);
	assert_int_equal(vh_pci_bar_read(&f, 0, 6, back, 4), 0);
	assert_memory_equal(back, "\0\0\x11\x11", 4);
}

static void a_write_that_ends_later_says_so(void **state)
{
	struct memory m = {.result = -EINPROGRESS};

	assert_int_equal(vh_pci_add_bar(&f, 0, 64, 0), 0);
	assert_int_equal(add_memory(&m, 0), 0);
	assert_int_equal(vh_pci_bar_write(&f, 0, 0, "a", 1), -EINPROGRESS);
	assert_int_equal(vh_pci_bar_write(&f, 0, 32, "a", 1), 0);
}

static void an_access_outside_of_a_bar_is_refused(void **state)
{
	uint8_t buf[65] = {0};

	assert_int_equal(vh_pci_bar_read(&f, 0, 0, buf, 1), -EINVAL);
	assert_int_equal(vh_pci_add_bar(&f, 0, 64, VH_PCI_BAR_64BIT), 0);
	assert_int_equal(vh_pci_bar_read(&f, 0, 0, buf, 65), -EINVAL);
	assert_int_equal(vh_pci_bar_read(&f, 0, 64, buf, 1), -EINVAL);
	assert_int_equal(vh_pci_bar_read(&f, 1, 0, buf, 1), -EINVAL);
	assert_int_equal(vh_pci_bar_read(&f, 6, 0, buf, 1), -EINVAL);
	assert_int_equal(vh_pci_bar_write(&f, 0, UINT64_MAX, buf, 2), -EINVAL);
	assert_int_equal(vh_pci_bar_write(&f, UINT32_MAX, 0, buf, 1), -EINVAL);
}

static void blocks_do_not_overlap_and_are_in_their_bar(void **state)
{
	struct memory m = {0};

	assert_int_equal(add_memory(&m, 0), -EINVAL);
	assert_int_equal(vh_pci_add_bar(&f, 0, 1024, 0), 0);
	assert_int_equal(add_memory(&m, 1009), -EINVAL);
	assert_int_equal(add_memory(&m, UINT64_MAX - 3), -EINVAL);
	assert_int_equal(add_memory(&m, 1008), 0);
	assert_int_equal(add_memory(&m, 993), -EINVAL);
	for (unsigned i = 1; i < VH_PCI_MAX_BLOCKS; i++)
		assert_int_equal(add_memory(&m, 16 * i), 0);
	assert_int_equal(add_memory(&m, 16 * VH_PCI_MAX_BLOCKS), -ENOSPC);
}

/* ---- Reset ---- */

static void a_reset_clears_what_the_driver_wrote_and_nothing_else(void **state)
{
	uint8_t fresh[VH_PCI_CONFIG_SIZE], ones[VH_PCI_CONFIG_SIZE];

	assert_int_equal(
		vh_pci_add_bar(&f, 0, 0x8000, VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH), 0);
	assert_int_equal(vh_pci_add_bar(&f, 2, 0x2000, 0), 0);
	assert_int_equal(vh_pci_add_msix(&f, 3, 2, 0, 0x1000), 0);
	memcpy(fresh, f.config, sizeof(fresh));
	memset(ones, 0xff, sizeof(ones));
	vh_pci_config_write(&f, 0, ones, sizeof(ones));
	assert_memory_not_equal(f.config, fresh, sizeof(fresh));
	vh_pci_reset(&f);
	assert_memory_equal(f.config, fresh, sizeof(fresh));
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(the_header_has_the_ids),
		T(no_byte_of_the_ids_can_be_changed),
		T(command_holds_the_bits_that_a_function_has),
		T(one_read_of_everything_equals_reads_of_bytes),
		T(an_access_that_is_not_inside_is_refused),
		T(sizing_tells_a_bar_of_32_bits),
		T(sizing_tells_a_bar_above_4_gib),
		T(sizing_tells_a_small_bar_of_64_bits),
		T(sizing_finds_neither_rom_nor_absent_bars),
		T(bars_that_cannot_be_are_refused),
		T(capabilities_are_a_list_in_order),
		T(without_capabilities_there_is_no_list),
		T(capabilities_fill_configuration_space_and_no_more),
		T(msix_has_two_bits_to_write),
		T(msix_that_has_no_place_is_refused),
		T(the_table_and_the_pending_bits_read_as_zeroes),
		T(an_access_across_blocks_is_cut),
		T(a_write_that_ends_later_says_so),
		T(an_access_outside_of_a_bar_is_refused),
		T(blocks_do_not_overlap_and_are_in_their_bar),
		T(a_reset_clears_what_the_driver_wrote_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
