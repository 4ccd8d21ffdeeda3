/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-vhost-user device and the front-end's memory: a driver sees each byte where
 * its rule says that it is.  And the whole beginning of a front-end of today.
 */
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device_rig.h"

#define REGION 0x4000u

/* ---- Tables ---- */

/* A front-end's memory: region @i is of @fd[i], and full of bytes that tell. */
struct memory {
	unsigned n;
	struct vh_wire_region region[VH_MAX_TABLE_REGIONS];
	int fd[VH_MAX_TABLE_REGIONS];
};

static uint8_t byte_of(unsigned i, uint64_t at)
{
	return (uint8_t)(i * 37 + at * 11 + (at >> 8) + 1);
}

static void fill(const struct memory *m, unsigned i)
{
	uint8_t page[REGION];

	for (uint64_t at = 0; at < REGION; at++)
		page[at] = byte_of(i, at);
	assert_int_equal(pwrite(m->fd[i], page, REGION, (off_t)m->region[i].offset),
			 REGION);
}

/* @n regions, each in a file of its own, @gap bytes into it. */
static void make_memory(struct memory *m, unsigned n, uint64_t gap)
{
	m->n = n;
	for (unsigned i = 0; i < n; i++) {
		m->fd[i] = rig_memfd(gap + REGION);
		m->region[i] = (struct vh_wire_region){
			.gpa = 0x100000ull * (i + 1),
			.size = REGION,
			.uva = 0x7f0000000000ull + 0x200000ull * i,
			.offset = gap,
		};
		fill(m, i);
	}
}

static void drop_memory(struct memory *m)
{
	for (unsigned i = 0; i < m->n; i++)
		close(m->fd[i]);
}

static void tell_table(struct dev *d, const struct memory *m)
{
	struct vh_wire_mem mem = {.n = m->n};

	memcpy(mem.region, m->region, sizeof(mem.region));
	front_say(d, VH_MSG_SET_MEM_TABLE, &mem,
		  8 + m->n * (uint32_t)sizeof(mem.region[0]), m->fd, m->n);
}

/* What the driver got of the table, which must name the same regions. */
static void receive_table(struct dev *d, struct vh_wire_mem *mem)
{
	uint8_t msg[DEV_BUFFER];
	int len = -1;

	while (len < 0)
		len = guest_recv(d, msg);
	assert_int_equal(msg[0], VH_MSG_SET_MEM_TABLE);
	memset(mem, 0, sizeof(*mem));
	memcpy(mem, msg + sizeof(struct vh_wire_header),
	       (size_t)len - sizeof(struct vh_wire_header));
}

/* Which region of @m that is. */
static unsigned number_of(const struct memory *m, const struct vh_wire_region *r)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->region[i].gpa == r->gpa && m->region[i].size == r->size &&
		    m->region[i].uva == r->uva)
			return i;
	fail_msg("a region that nobody told of");
	return 0;
}

static void check_bytes(struct dev *d, unsigned i, uint64_t at)
{
	const uint64_t probe[] = {0, 1, 0xfff, 0x1000, REGION - 1};
	uint8_t byte;

	for (size_t k = 0; k < sizeof(probe) / sizeof(probe[0]); k++) {
		guest_peek(d, at + probe[k], &byte, 1);
		assert_int_equal(byte, byte_of(i, probe[k]));
	}
}

/* As drivers do: each adds up all before it, or takes the offset itself. */
static void check_table(struct dev *d, const struct memory *m)
{
	const bool sum = d->o.profile != VH_VVU_CROSVM;
	struct vh_wire_mem mem;
	uint64_t before = 0;

	receive_table(d, &mem);
	assert_int_equal(mem.n, m->n);
	for (unsigned i = 0; i < mem.n; i++) {
		const struct vh_wire_region *r = &mem.region[i];

		check_bytes(d, number_of(m, r), (sum ? before : 0) + r->offset);
		before += r->offset + r->size;
	}
}

static void see_tables(struct dev *d, const struct dev_options *o)
{
	static const unsigned n[] = {1, 2, 8};

	dev_open(d, o);
	dev_session(d, 0);
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		struct memory m;

		make_memory(&m, n[i], 0x3000 * i);
		tell_table(d, &m);
		check_table(d, &m);
		drop_memory(&m);
	}
}

static void bytes_are_where_a_driver_that_adds_up_looks(void **state)
{
	const struct dev_options o = {0};

	see_tables(*state, &o);
}

static void bytes_are_where_a_driver_of_offsets_looks(void **state)
{
	const struct dev_options o = {.profile = VH_VVU_CROSVM};

	see_tables(*state, &o);
}

static void bytes_are_behind_the_doorbells_in_one_bar(void **state)
{
	const struct dev_options o = {.profile = VH_VVU_BAR2};

	see_tables(*state, &o);
}

/* Two regions around a hole, of the file that was known from the start. */
static void known_memory(struct dev *d, struct memory *m)
{
	FILE *f = fopen(d->memory, "r+");

	assert_non_null(f);
	m->n = 2;
	for (unsigned i = 0; i < 2; i++) {
		m->fd[i] = dup(fileno(f));
		m->region[i] = (struct vh_wire_region){
			.gpa = i * 0x100000000ull,
			.size = REGION,
			.uva = 0x7f0000000000ull + i * 0x10000000ull,
			.offset = i * 0x10000ull,
		};
		fill(m, i);
	}
	fclose(f);
}

static void see_known_memory(struct dev *d, enum vh_vvu_profile_id profile)
{
	const struct dev_options o = {.profile = profile, .file = 0x20000};
	struct memory m;

	dev_open(d, &o);
	dev_session(d, 0);
	known_memory(d, &m);
	tell_table(d, &m);
	check_table(d, &m);
	drop_memory(&m);
}

static void known_memory_is_seen_by_a_driver_that_adds_up(void **state)
{
	see_known_memory(*state, VH_VVU_MODERN);
}

static void known_memory_is_seen_by_a_driver_of_offsets(void **state)
{
	see_known_memory(*state, VH_VVU_CROSVM);
}

static void known_memory_is_mapped_and_not_asked_for(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.file = 0x20000};
	struct vh_vvu_pci_stats before, after;
	struct memory m;
	void *va;

	dev_open(d, &o);
	dev_session(d, 0);
	known_memory(d, &m);
	tell_table(d, &m);
	guest_expect(d, VH_MSG_SET_MEM_TABLE);
	assert_int_equal(d->host->bus->map(d->host, 4, 0, 0x20000, &va), 0);
	dev_stats(d, &before);
	for (uint64_t at = 0; at < REGION; at++)
		assert_int_equal(((uint8_t *)va)[0x10000 + at], byte_of(1, at));
	dev_stats(d, &after);
	assert_int_equal(after.vfu.messages, before.vfu.messages);
	d->host->bus->unmap(d->host, va, 0x20000);
	drop_memory(&m);
}

static void the_window_is_readable_after_the_front_end_went(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {0};
	struct vh_wire_mem mem;
	struct memory m;

	dev_open(d, &o);
	dev_session(d, 0);
	make_memory(&m, 1, 0);
	tell_table(d, &m);
	receive_table(d, &mem);
	drop_memory(&m);
	front_close(d);
	guest_hear(d, 0);
	check_bytes(d, 0, mem.region[0].offset);
}

static void the_log_and_requests_in_flight_have_memory_that_is_mapped(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {0};
	const struct vh_virtio_place *log, *inflight;
	uint8_t *va;

	dev_open(d, &o);
	log = guest_place(d, VH_VVU_CAP_MEMORY, VH_VVU_SHM_LOG);
	inflight = guest_place(d, VH_VVU_CAP_MEMORY, VH_VVU_SHM_INFLIGHT);
	assert_int_equal(log->bar, 3);
	assert_int_equal(inflight->bar, 3);
	assert_int_equal(d->host->bus->map(d->host, 3, log->offset, 4096, (void **)&va),
			 0);
	va[5] = 0x77;
	assert_int_equal(guest_read(d, 3, log->offset + 5, 1), 0x77);
	guest_write(d, 3, log->offset + 6, 1, 0x78);
	assert_int_equal(va[6], 0x78);
	assert_int_equal(guest_read(d, 3, inflight->offset + 5, 1), 0);
	d->host->bus->unmap(d->host, va, 4096);
}

/* ---- A front-end of today ---- */

static void ask(struct dev *d, uint32_t id, uint64_t answer, uint64_t expected)
{
	front_say(d, id, NULL, 0, NULL, 0);
	guest_expect(d, id);
	guest_reply(d, id, answer);
	assert_int_equal(front_hear(d, id), expected);
}

static void tell(struct dev *d, uint32_t id, uint64_t value)
{
	front_say_u64(d, id, value);
	guest_expect(d, id);
}

static void tell_state(struct dev *d, uint32_t id, uint32_t index, uint32_t num)
{
	const struct vh_wire_state s = {index, num};

	front_say(d, id, &s, sizeof(s), NULL, 0);
	guest_expect(d, id);
}

static void wire(struct dev *d, uint32_t id, unsigned vring)
{
	close(front_wire(d, id, vring));
}

static void start_vring(struct dev *d, unsigned i)
{
	const struct vh_wire_addr addr = {.index = i, .desc = 0x7f0000000000ull};

	tell_state(d, VH_MSG_SET_VRING_NUM, i, 128);
	tell_state(d, VH_MSG_SET_VRING_BASE, i, 0);
	front_say(d, VH_MSG_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	guest_expect(d, VH_MSG_SET_VRING_ADDR);
	wire(d, VH_MSG_SET_VRING_KICK, i);
	wire(d, VH_MSG_SET_VRING_CALL, i);
	tell_state(d, VH_MSG_SET_VRING_ENABLE, i, 1);
}

static void a_front_end_of_today_starts(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {0};
	const uint64_t offered = VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_REPLY_ACK) |
				 VH_BIT(VH_PF_CONFIG) | VH_BIT(VH_PF_PAGEFAULT);
	const uint64_t passed = offered & ~VH_BIT(VH_PF_PAGEFAULT);
	const uint64_t features = VH_BIT(VIRTIO_F_VERSION_1) |
				  VH_BIT(VH_F_PROTOCOL_FEATURES);
	struct memory m;

	dev_open(d, &o);
	dev_session(d, VH_BIT(VH_VVU_F_NOTIFY));
	ask(d, VH_MSG_GET_FEATURES, features, features);
	ask(d, VH_MSG_GET_PROTOCOL_FEATURES, offered, passed);
	tell(d, VH_MSG_SET_PROTOCOL_FEATURES, passed);
	ask(d, VH_MSG_GET_QUEUE_NUM, 1000, 256);
	front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_SET_OWNER);
	for (unsigned i = 0; i < 2; i++) {
		wire(d, VH_MSG_SET_VRING_CALL, i);
		wire(d, VH_MSG_SET_VRING_ERR, i);
	}
	tell(d, VH_MSG_SET_FEATURES, features);
	make_memory(&m, 2, 0);
	tell_table(d, &m);
	check_table(d, &m);
	drop_memory(&m);
	for (unsigned i = 0; i < 2; i++)
		start_vring(d, i);
	assert_int_equal(guest_status(d), 3);
}

static void the_log_has_a_doorbell_for_drivers_that_took_it(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {0};
	const uint64_t log = VH_BIT(VH_PF_LOG_SHMFD);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	dev_open(d, &o);
	dev_session(d, VH_BIT(VH_VVU_F_LOG));
	ask(d, VH_MSG_GET_FEATURES, ~0ull, ~VH_BIT(VIRTIO_F_ACCESS_PLATFORM));
	ask(d, VH_MSG_GET_PROTOCOL_FEATURES, log, log);
	tell(d, VH_MSG_SET_PROTOCOL_FEATURES, log);
	front_say(d, VH_MSG_SET_LOG_FD, NULL, 0, &fd, 1);
	guest_expect(d, VH_MSG_SET_LOG_FD);
	assert_false(signal_came(fd));
	guest_ring(d, VH_VVU_DOORBELL_LOG(VH_VVU_MAX_VRINGS), 2);
	signal_wait(fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEV_TEST(bytes_are_where_a_driver_that_adds_up_looks),
		DEV_TEST(bytes_are_where_a_driver_of_offsets_looks),
		DEV_TEST(bytes_are_behind_the_doorbells_in_one_bar),
		DEV_TEST(known_memory_is_seen_by_a_driver_that_adds_up),
		DEV_TEST(known_memory_is_seen_by_a_driver_of_offsets),
		DEV_TEST(known_memory_is_mapped_and_not_asked_for),
		DEV_TEST(the_window_is_readable_after_the_front_end_went),
		DEV_TEST(the_log_and_requests_in_flight_have_memory_that_is_mapped),
		DEV_TEST(a_front_end_of_today_starts),
		DEV_TEST(the_log_has_a_doorbell_for_drivers_that_took_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
