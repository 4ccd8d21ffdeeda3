/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of messages, and messages as lines. */
#include "wire_rig.h"

static char line[1024];
static struct vh_msg m;

#define expect_line(text)                             \
	do {                                          \
		vh_msg_print(&m, line, sizeof(line)); \
		assert_string_equal(line, text);      \
	} while (0)

static void every_message_has_its_name(void **state)
{
	for (const struct row *r = rows; r < ROWS_END; r++)
		assert_string_equal(vh_msg_name(r->channel, r->id), r->name);
}

static void there_are_no_other_messages(void **state)
{
	unsigned n = 0;

	for (uint32_t id = 0; id < 1000; id++)
		n += !!vh_rule_of(VH_CHANNEL_MAIN, id) +
		     !!vh_rule_of(VH_CHANNEL_BACKEND, id);
	assert_int_equal(n, ARRAY_LEN(rows));
	assert_null(vh_rule_of(VH_CHANNEL_MAIN, UINT32_MAX));
	assert_null(vh_rule_of(VH_CHANNEL_BACKEND, 0x80000001));
}

static void an_unknown_message_has_a_name_too(void **state)
{
	assert_string_equal(vh_msg_name(VH_CHANNEL_MAIN, 99), "unknown message");
	assert_string_equal(vh_msg_name(VH_CHANNEL_MAIN, 0), "unknown message");
	vh_msg_init(&m, VH_CHANNEL_MAIN, 99);
	m.need_reply = true;
	expect_line("message 99 need_reply");
}

static void a_request_shows_its_numbers(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
	m.state.num = 256;
	expect_line("SET_VRING_NUM index=0 num=256");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_FEATURES);
	m.u64 = 0x140000000;
	m.need_reply = true;
	expect_line("SET_FEATURES 0x140000000 need_reply");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_CALL);
	m.u64 = NO_FD | 3;
	expect_line("SET_VRING_CALL index=3 nofd");
	m.u64 = 3;
	m.n_fds = 1;
	expect_line("SET_VRING_CALL index=3 fds=1");
}

static void memory_shows_each_region(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 2;
	m.mem.region[0] = (struct vh_wire_region){0, 0xa0000, 0x7f00, 0};
	m.mem.region[1] = (struct vh_wire_region){0x100000, 0x1000, 0x8f00, 0xc0000};
	expect_line("SET_MEM_TABLE n=2 [gpa=0x0 size=0xa0000 uva=0x7f00 offset=0x0] "
		    "[gpa=0x100000 size=0x1000 uva=0x8f00 offset=0xc0000]");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_ADD_MEM_REG);
	m.mem_reg.region = (struct vh_wire_region){1, 2, 3, 4};
	expect_line("ADD_MEM_REG [gpa=0x1 size=0x2 uva=0x3 offset=0x4]");
}

static void addresses_and_areas_show_every_member(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_ADDR);
	m.addr = (struct vh_wire_addr){1, 1, 2, 3, 4, 5};
	expect_line(
		"SET_VRING_ADDR index=1 flags=0x1 desc=0x2 used=0x3 avail=0x4 log=0x5");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_LOG_BASE);
	m.log = (struct vh_wire_log){0x8000, 16};
	expect_line("SET_LOG_BASE size=0x8000 offset=0x10");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_INFLIGHT_FD);
	m.inflight = (struct vh_wire_inflight){4096, 64, 2, 128, 0};
	expect_line("SET_INFLIGHT_FD size=0x1000 offset=0x40 queues=2 queue-size=128");
	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_VRING_HOST_NOTIFIER_MSG);
	m.area = (struct vh_wire_area){NO_FD | 2, 4096, 8192};
	expect_line(
		"BACKEND_VRING_HOST_NOTIFIER_MSG index=2 nofd size=0x1000 offset=0x2000");
	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_SHMEM_MAP);
	m.mmap = (struct vh_wire_mmap){1, {0}, 2, 3, 4, 1};
	expect_line("BACKEND_SHMEM_MAP shmid=1 fd-offset=0x2 shm-offset=0x3 len=0x4 "
		    "flags=0x1");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_SHMEM_CONFIG);
	m.is_reply = true;
	m.payload = VH_PAYLOAD_SHMEM;
	m.shmem.n = 1;
	expect_line("reply GET_SHMEM_CONFIG n=1");
}

static void other_payloads_are_shown(void **state)
{
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_IOTLB_MSG);
	m.iotlb = (struct vh_wire_iotlb){1, 2, 3, 3, VH_IOTLB_UPDATE, {0}};
	expect_line("IOTLB_MSG update iova=0x1 size=0x2 uva=0x3 perm=rw");
	m.iotlb.type = 99;
	m.iotlb.perm = 0;
	expect_line("IOTLB_MSG type=99 iova=0x1 size=0x2 uva=0x3 perm=");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.offset = 4;
	m.config.size = 60;
	expect_line("GET_CONFIG offset=4 size=60 flags=0");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_DEVICE_STATE_FD);
	m.xfer.direction = 1;
	expect_line("SET_DEVICE_STATE_FD direction=1 phase=0");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_SHARED_OBJECT);
	for (unsigned i = 0; i < 16; i++)
		m.shared[i] = i * 0x11;
	expect_line("GET_SHARED_OBJECT uuid=00112233-4455-6677-8899-aabbccddeeff");
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_FEATURES);
	expect_line("GET_FEATURES");
}

static void a_reply_says_that_it_is_one(void **state)
{
	struct vh_msg request;

	vh_msg_init(&request, VH_CHANNEL_MAIN, VH_MSG_GET_QUEUE_NUM);
	vh_msg_init_reply(&m, &request, VH_PAYLOAD_U64);
	m.u64 = 8;
	expect_line("reply GET_QUEUE_NUM 0x8");
	vh_msg_init_reply(&m, &request, VH_PAYLOAD_ACK);
	m.u64 = 1;
	expect_line("reply GET_QUEUE_NUM ack=1");
	m.empty = true;
	expect_line("reply GET_QUEUE_NUM refused");
}

static void a_line_that_does_not_fit_is_cut_off(void **state)
{
	char whole[64];

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_NUM);
	vh_msg_print(&m, whole, sizeof(whole));
	for (size_t size = 1; size < sizeof(whole); size++) {
		memset(line, 'x', sizeof(line));
		vh_msg_print(&m, line, size);
		assert_int_equal(strlen(line),
				 size - 1 < strlen(whole) ? size - 1 : strlen(whole));
		assert_memory_equal(line, whole, strlen(line));
		for (size_t i = size; i < sizeof(line); i++)
			assert_int_equal(line[i], 'x');
	}
}

static void a_count_that_lies_does_not_print_what_is_not_there(void **state)
{
	char full[1024];

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = 8;
	vh_msg_print(&m, full, sizeof(full));
	m.mem.n = UINT32_MAX;
	vh_msg_print(&m, line, sizeof(line));
	assert_string_equal(strchr(line, '['), strchr(full, '['));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_has_its_name),
		cmocka_unit_test(there_are_no_other_messages),
		cmocka_unit_test(an_unknown_message_has_a_name_too),
		cmocka_unit_test(a_request_shows_its_numbers),
		cmocka_unit_test(memory_shows_each_region),
		cmocka_unit_test(addresses_and_areas_show_every_member),
		cmocka_unit_test(other_payloads_are_shown),
		cmocka_unit_test(a_reply_says_that_it_is_one),
		cmocka_unit_test(a_line_that_does_not_fit_is_cut_off),
		cmocka_unit_test(a_count_that_lies_does_not_print_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
