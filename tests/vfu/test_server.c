/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client is told, and accesses to regions. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_function_has_nine_regions_and_five_kinds_of_interrupts(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info info;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
	assert_int_equal(info.argsz, 16);
	assert_int_equal(info.flags, VH_VFU_DEVICE_RESET | VH_VFU_DEVICE_PCI);
	assert_int_equal(info.n_regions, 9);
	assert_int_equal(info.n_irqs, 5);
}

static void info_needs_room_for_itself_and_never_gets_more(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info ask = {.argsz = 32};

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_GET_INFO, &ask, sizeof(ask), NULL, 0),
			 0);
	assert_int_equal(rig->c.len, 16);
	ask.argsz = 8;
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_GET_INFO, &ask, sizeof(ask), NULL, 0),
			 -EINVAL);
}

static void registers_are_read_and_written(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (uint32_t len = 1; len <= 8; len *= 2) {
		uint64_t in = 0x1122334455667788 >> (64 - 8 * len), out = 0;

		assert_int_equal(vfu_write(&rig->c, 0, 0x100 + len, &in, len), 0);
		assert_int_equal(vfu_read(&rig->c, 0, 0x100 + len, &out, len), 0);
		assert_int_equal(in, out);
	}
}

/* ---- Regions ---- */

static void a_region_is_told_in_two_steps(void **state)
{
	struct rig *rig = *state;
	const struct vh_vfu_region_info ask = {.argsz = 32, .index = 2};
	struct vh_vfu_region_info info;
	struct vfu_region r;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_GET_REGION_INFO, &ask, sizeof(ask), NULL, 0), 0);
	assert_int_equal(rig->c.len, sizeof(info));
	assert_int_equal(rig->c.n_fds, 0);
	memcpy(&info, rig->c.payload, sizeof(info));
	assert_int_equal(info.argsz, 48 + 16 * 2);
	assert_int_equal(info.flags, 7); /* read, write, map, but no capability yet */
	assert_int_equal(info.cap_offset, 0);
	assert_int_equal(info.size, RIG_BAR2);
	assert_int_equal(vfu_get_region(&rig->c, 2, &r), 0);
	assert_int_equal(r.flags, 15);
	assert_int_equal(r.n_areas, 2);
	assert_true(r.fd >= 0);
	close(r.fd);
}

static void a_client_with_much_room_is_told_in_one_step(void **state)
{
	struct rig *rig = *state;
	uint8_t ask[4096] = {0};

	memcpy(ask, &(struct vh_vfu_region_info){.argsz = sizeof(ask), .index = 2}, 32);
	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_GET_REGION_INFO, ask, sizeof(ask), NULL, 0), 0);
	assert_int_equal(rig->c.len, 48 + 16 * 2);
	assert_int_equal(rig->c.n_fds, 1);
}

static void what_is_mapped_is_what_messages_reach(void **state)
{
	struct rig *rig = *state;
	struct vfu_region r;
	uint32_t in = 0xabcd1234, out = 0;
	uint8_t *va;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_get_region(&rig->c, 2, &r), 0);
	va = mmap(NULL, r.area[1].size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd,
		  (off_t)(r.offset + r.area[1].offset));
	assert_true(va != MAP_FAILED);
	memcpy(va + 8, &in, sizeof(in));
	assert_int_equal(vfu_read(&rig->c, 2, r.area[1].offset + 8, &out, sizeof(out)),
			 0);
	assert_int_equal(in, out);
	munmap(va, r.area[1].size);
	close(r.fd);
}

static void a_region_that_is_not_there_has_no_size(void **state)
{
	static const uint32_t absent[] = {1, 3, 5, VH_VFU_REGION_ROM, 8};
	struct rig *rig = *state;
	struct vfu_region r;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(vfu_get_region(&rig->c, absent[i], &r), 0);
		assert_int_equal(r.size, 0);
		assert_int_equal(r.flags, 0);
	}
	assert_int_equal(vfu_get_region(&rig->c, 9, &r), -EINVAL);
}

static void an_access_outside_of_its_region_is_refused(void **state)
{
	static const struct {
		uint32_t region;
		uint64_t offset;
		uint32_t len;
	} bad[] = {
		{0, RIG_BAR0 - 2, 4},
		{0, RIG_BAR0 + 4, 4},
		{0, UINT64_MAX - 1, 4},
		{1, 0, 1},
		{9, 0, 4},
		{UINT32_MAX, 0, 4},
		{7, 256, 1},
	};
	struct rig *rig = *state;
	uint32_t value = 0;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(vfu_read(&rig->c, bad[i].region, bad[i].offset, &value,
					  bad[i].len),
				 -EINVAL);
		assert_int_equal(vfu_write(&rig->c, bad[i].region, bad[i].offset, &value,
					   bad[i].len),
				 -EINVAL);
	}
	assert_int_equal(rig_stats(rig).reads, 0);
	assert_int_equal(rig_stats(rig).writes, 0);
}

static void a_read_that_fails_gives_ones_and_a_write_is_lost(void **state)
{
	struct rig *rig = *state;
	uint32_t value = 0;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_write(&rig->c, 0, RIG_BROKEN, &value, 4), 0);
	assert_int_equal(vfu_read(&rig->c, 0, RIG_BROKEN, &value, 4), 0);
	assert_int_equal(value, UINT32_MAX);
}

static void an_access_of_no_bytes_is_answered_with_its_head(void **state)
{
	struct rig *rig = *state;
	uint8_t none;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_read(&rig->c, 0, RIG_BAR0, &none, 0), 0);
	assert_int_equal(vfu_write(&rig->c, 0, 4, &none, 0), 0);
}

static void a_write_has_as_many_bytes_as_it_says(void **state)
{
	struct rig *rig = *state;
	uint8_t ask[24] = {0};

	rig_open(rig);
	rig_connect(rig);
	for (uint32_t count = 0; count < 20; count++) {
		memcpy(ask, &(struct vh_vfu_region_access){.count = count}, 16);
		assert_int_equal(
			vfu_ask(&rig->c, VH_VFU_REGION_WRITE, ask, sizeof(ask), NULL, 0),
			count == 8 ? 0 : -EINVAL);
	}
}

static void the_largest_message_is_read_and_the_next_size_is_not(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_region_access ask = {.region = 0, .count = VH_VFU_MAX_DATA};
	const struct vh_vfu_header too_long = {.command = VH_VFU_REGION_WRITE,
					       .size = VH_VFU_MAX_MSG + 1};

	rig_open(rig);
	rig_connect(rig);
	/* As long as can be, and outside of its region. */
	uint8_t *bytes = calloc(1, VH_VFU_MAX_DATA + 16);

	memcpy(bytes, &ask, sizeof(ask));
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_REGION_WRITE, bytes,
				 VH_VFU_MAX_DATA + 16, NULL, 0),
			 -EINVAL);
	free(bytes);
	ask.count++;
	assert_int_equal(vfu_ask(&rig->c, VH_VFU_REGION_READ, &ask, sizeof(ask), NULL, 0),
			 -EINVAL);
	assert_int_equal(vfu_send_bytes(&rig->c, &too_long, sizeof(too_long), NULL, 0),
			 0);
	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.flags, 0x21);
	assert_int_equal(vfu_recv(&rig->c), -EPIPE);
}

/* ---- Configuration space, as VMMs look at it ---- */

static uint32_t config_u32(struct rig *rig, uint32_t at)
{
	uint32_t v;

	assert_int_equal(vfu_read(&rig->c, VH_VFU_REGION_CONFIG, at, &v, sizeof(v)), 0);
	return v;
}

static uint32_t size_bar(struct rig *rig, uint32_t at)
{
	const uint32_t ones = UINT32_MAX, before = config_u32(rig, at);
	uint32_t mask;

	assert_int_equal(
		vfu_write(&rig->c, VH_VFU_REGION_CONFIG, at, &ones, sizeof(ones)), 0);
	mask = config_u32(rig, at);
	assert_int_equal(
		vfu_write(&rig->c, VH_VFU_REGION_CONFIG, at, &before, sizeof(before)), 0);
	assert_int_equal(config_u32(rig, at), before);
	return mask;
}

static void bars_are_sized_by_writing_ones(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(size_bar(rig, 0x10), 0xfffff000); /* BAR 0, 4 KiB          */
	assert_int_equal(size_bar(rig, 0x14), 0);	   /* none                  */
	assert_int_equal(size_bar(rig, 0x18), 0xffff000c); /* BAR 2, 64 KiB, 64-bit */
	assert_int_equal(size_bar(rig, 0x1c), 0xffffffff); /* and its upper half    */
	assert_int_equal(size_bar(rig, 0x20), 0xffffe000); /* BAR 4, 8 KiB          */
	assert_int_equal(size_bar(rig, 0x24), 0);	   /* none                  */
	assert_int_equal(size_bar(rig, 0x30), 0);	   /* no ROM                */
}

static void configuration_space_reads_the_same_whole_and_bytewise(void **state)
{
	struct rig *rig = *state;
	uint8_t whole[VH_PCI_CONFIG_SIZE], byte;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_read(&rig->c, VH_VFU_REGION_CONFIG, 0, whole, sizeof(whole)),
			 0);
	for (uint32_t i = 0; i < sizeof(whole); i++) {
		assert_int_equal(vfu_read(&rig->c, VH_VFU_REGION_CONFIG, i, &byte, 1), 0);
		assert_int_equal(byte, whole[i]);
	}
}

static void what_is_read_only_survives_a_write_of_ones(void **state)
{
	static const uint32_t fixed[] = {0x00, 0x08, 0x2c, 0x34, 0x40};
	struct rig *rig = *state;
	uint32_t before[5];
	uint8_t ones[VH_PCI_CONFIG_SIZE];

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < 5; i++)
		before[i] = config_u32(rig, fixed[i]);
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(vfu_write(&rig->c, VH_VFU_REGION_CONFIG, 0, ones, sizeof(ones)),
			 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(config_u32(rig, fixed[i]), before[i]);
	/* But for the two bits of MSI-X control. */
	assert_int_equal(config_u32(rig, fixed[4]) & ~0xc0000000, before[4]);
}

/* ---- Doorbells ---- */

static void a_doorbell_that_has_an_eventfd_is_told_of_once(void **state)
{
	struct rig *rig = *state;
	struct vfu_io_fd io[4];
	unsigned n;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_get_io_fds(&rig->c, 0, io, 4, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(io[0].offset, RIG_REGISTER);
	assert_int_equal(io[0].size, 4);
	assert_int_equal(io[1].offset, RIG_REGISTER + 4);
	assert_int_equal(io[0].fd, io[1].fd);
	assert_int_equal(write(io[0].fd, &(uint64_t){1}, 8), 8);
	assert_int_equal(rig_signalled(rig->doorbell), 1);
	close(io[0].fd);
}

static void doorbells_that_do_not_fit_are_counted_in_argsz(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_io_fds ask = {.argsz = 16}, head;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_GET_REGION_IO_FDS, &ask, sizeof(ask), NULL, 0),
		0);
	memcpy(&head, rig->c.payload, sizeof(head));
	assert_int_equal(rig->c.len, sizeof(head));
	assert_int_equal(head.argsz, 16 + 2 * 40);
	assert_int_equal(head.count, 2);
	assert_int_equal(rig->c.n_fds, 0);
}

static void doorbells_are_asked_for_properly(void **state)
{
	static const struct vh_vfu_io_fds bad[] = {
		{.argsz = 15},
		{.argsz = VH_VFU_MAX_DATA + 1},
		{.argsz = 16, .flags = 1},
		{.argsz = 16, .count = 1},
		{.argsz = 16, .index = 9},
		{.argsz = 16, .index = 1},
	};
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vfu_ask(&rig->c, VH_VFU_GET_REGION_IO_FDS, &bad[i],
					 sizeof(bad[i]), NULL, 0),
				 -EINVAL);
}

static void a_client_gets_no_more_descriptors_than_it_takes(void **state)
{
	struct rig *rig = *state;
	struct vfu_io_fd io[4];
	unsigned n;

	rig_open(rig);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	assert_int_equal(
		vfu_version(&rig->c, 0, 2, "{\"capabilities\":{\"max_msg_fds\":0}}"), 0);
	assert_int_equal(vfu_get_io_fds(&rig->c, 0, io, 4, &n), 0);
	assert_int_equal(n, 0);
}

/* ---- Order ---- */

static void a_posted_write_is_not_answered_and_is_seen_by_the_next_read(void **state)
{
	struct rig *rig = *state;
	uint32_t in = 77, out = 0;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_post(&rig->c, 0, 0x40, &in, sizeof(in)), 0);
	assert_int_equal(vfu_read(&rig->c, 0, 0x40, &out, sizeof(out)), 0);
	assert_int_equal(out, in);
}

static void a_posted_write_that_fails_is_not_answered(void **state)
{
	struct rig *rig = *state;
	uint32_t value = 77;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_post(&rig->c, 0, RIG_BAR0, &value, sizeof(value)), 0);
	assert_int_equal(vfu_post(&rig->c, 99, 0, &value, sizeof(value)), 0);
	assert_int_equal(vfu_send(&rig->c, 14, VH_VFU_NO_REPLY, NULL, 0, NULL, 0), 0);
	assert_int_equal(vfu_read(&rig->c, 0, 0x40, &value, sizeof(value)), 0);
}

static void many_writes_in_one_message_are_done_in_order(void **state)
{
	const struct {
		uint64_t n;
		struct vh_vfu_multi_write w[3];
	} m = {.n = 3,
	       .w = {{0x40, 0, 4, {1, 2, 3, 4}}, {0x42, 0, 1, {9}}, {0x50, 0, 8, {5}}}};
	struct rig *rig = *state;
	uint8_t out[4];
	uint64_t done;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(rig->c.len, 8);
	memcpy(&done, rig->c.payload, sizeof(done));
	assert_int_equal(done, 3);
	assert_int_equal(vfu_read(&rig->c, 0, 0x40, out, 4), 0);
	assert_memory_equal(out, ((uint8_t[]){1, 2, 9, 4}), 4);
}

static void many_writes_are_as_many_as_they_say(void **state)
{
	struct {
		uint64_t n;
		struct vh_vfu_multi_write w[2];
	} m = {.n = 3};
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0),
		-EINVAL);
	m.n = UINT64_MAX / 24 + 3; /* times 24 it is 48 */
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0),
		-EINVAL);
	m.n = 2;
	m.w[1].offset = RIG_BAR0; /* outside, which is found when it is its turn */
	m.w[1].count = 1;
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0),
		-EINVAL);
	m.w[1].count = 9;
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0),
		-EINVAL);
}

static void nothing_is_looked_at_while_a_write_is_not_done(void **state)
{
	struct rig *rig = *state;
	struct vfu_client *c = &rig->c;
	const struct vh_vfu_region_access read = {.offset = RIG_SLOW, .count = 4};
	uint8_t slow[20] = {RIG_SLOW};

	rig_open(rig);
	rig_connect(rig);
	slow[12] = 4;
	assert_int_equal(vfu_send(c, VH_VFU_REGION_WRITE, 0, slow, 20, NULL, 0), 0);
	assert_int_equal(vfu_send(c, VH_VFU_REGION_READ, 0, &read, 16, NULL, 0), 0);
	rig_wait(rig, &rig->n_pending, 1);
	assert_int_equal(rig_stats(rig).reads, 0);
	rig_resume(rig);
	assert_int_equal(vfu_recv(c), 0);
	assert_int_equal(c->reply.command, VH_VFU_REGION_WRITE);
	assert_int_equal(vfu_recv(c), 0);
	assert_int_equal(c->reply.command, VH_VFU_REGION_READ);
}

static void each_of_many_writes_may_take_its_time(void **state)
{
	const struct {
		uint64_t n;
		struct vh_vfu_multi_write w[3];
	} m = {.n = 3, .w = {{RIG_SLOW, 0, 4}, {0x40, 0, 1, {9}}, {RIG_SLOW, 0, 4}}};
	struct rig *rig = *state;
	uint8_t byte;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_send(&rig->c, VH_VFU_REGION_WRITE_MULTI, VH_VFU_NO_REPLY, &m,
				  sizeof(m), NULL, 0),
			 0);
	rig_wait(rig, &rig->n_pending, 1);
	rig_resume(rig);
	rig_wait(rig, &rig->n_pending, 1);
	rig_resume(rig);
	assert_int_equal(vfu_read(&rig->c, 0, 0x40, &byte, 1), 0);
	assert_int_equal(byte, 9);
}

/* ---- What there is not ---- */

static void commands_that_there_are_not_are_refused(void **state)
{
	static const uint16_t absent[] = {0, 11, 12, 14, 16, 17, 18, 19, 0xffff};
	static const uint8_t zeros[64];
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_int_equal(
			vfu_ask(&rig->c, absent[i], zeros, sizeof(zeros), NULL, 0),
			-EINVAL);
}

static void a_message_of_no_known_type_is_refused(void **state)
{
	const struct vh_vfu_device_info ask = {.argsz = 16};
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (uint32_t type = 2; type < 16; type++) {
		assert_int_equal(vfu_send(&rig->c, VH_VFU_GET_INFO, type, &ask,
					  sizeof(ask), NULL, 0),
				 0);
		assert_int_equal(vfu_recv(&rig->c), 0);
		assert_int_equal(rig->c.reply.flags, 0x21);
		assert_int_equal(rig->c.reply.error, EINVAL);
	}
}

static void a_reply_to_nothing_is_ignored(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info info;

	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(
		vfu_send(&rig->c, VH_VFU_DMA_READ, VH_VFU_REPLY, "abc", 3, NULL, 0), 0);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
}

static void messages_that_are_too_short_are_refused(void **state)
{
	static const uint8_t zeros[64];
	struct rig *rig = *state;

	rig_open(rig);
	rig_connect(rig);
	for (uint16_t command = 1; command < 17; command++)
		assert_int_equal(vfu_ask(&rig->c, command, zeros,
					 command == VH_VFU_RESET ? 1 : command % 4, NULL,
					 0),
				 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_function_has_nine_regions_and_five_kinds_of_interrupts),
		RIG_TEST(info_needs_room_for_itself_and_never_gets_more),
		RIG_TEST(registers_are_read_and_written),
		RIG_TEST(a_region_is_told_in_two_steps),
		RIG_TEST(a_client_with_much_room_is_told_in_one_step),
		RIG_TEST(what_is_mapped_is_what_messages_reach),
		RIG_TEST(a_region_that_is_not_there_has_no_size),
		RIG_TEST(an_access_outside_of_its_region_is_refused),
		RIG_TEST(a_read_that_fails_gives_ones_and_a_write_is_lost),
		RIG_TEST(an_access_of_no_bytes_is_answered_with_its_head),
		RIG_TEST(a_write_has_as_many_bytes_as_it_says),
		RIG_TEST(the_largest_message_is_read_and_the_next_size_is_not),
		RIG_TEST(bars_are_sized_by_writing_ones),
		RIG_TEST(configuration_space_reads_the_same_whole_and_bytewise),
		RIG_TEST(what_is_read_only_survives_a_write_of_ones),
		RIG_TEST(a_doorbell_that_has_an_eventfd_is_told_of_once),
		RIG_TEST(doorbells_that_do_not_fit_are_counted_in_argsz),
		RIG_TEST(doorbells_are_asked_for_properly),
		RIG_TEST(a_client_gets_no_more_descriptors_than_it_takes),
		RIG_TEST(a_posted_write_is_not_answered_and_is_seen_by_the_next_read),
		RIG_TEST(a_posted_write_that_fails_is_not_answered),
		RIG_TEST(many_writes_in_one_message_are_done_in_order),
		RIG_TEST(many_writes_are_as_many_as_they_say),
		RIG_TEST(nothing_is_looked_at_while_a_write_is_not_done),
		RIG_TEST(each_of_many_writes_may_take_its_time),
		RIG_TEST(commands_that_there_are_not_are_refused),
		RIG_TEST(a_message_of_no_known_type_is_refused),
		RIG_TEST(a_reply_to_nothing_is_ignored),
		RIG_TEST(messages_that_are_too_short_are_refused),
	};

	return cmocka_run_group_tests_name("vfu/server", tests, NULL, NULL);
}
