/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that the client keeps to itself, by messages of the server. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define PAGE 4096ull
#define RW   (VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE)

/* ---- The owner, on its thread ---- */

static struct {
	uint64_t iova;
	size_t len;
	int said; /* by the call itself */
	unsigned n_done;
	int err; /* of the last that was done */
	uint8_t buf[1 << 20];
} owner;

static void done(void *arg, int err)
{
	(void)arg;
	owner.err = err;
	owner.n_done++;
}

static void do_read(struct rig *rig)
{
	owner.said = vh_vfu_dma_read(rig->v, owner.iova, owner.buf, owner.len, done, rig);
}

static void do_write(struct rig *rig)
{
	owner.said =
		vh_vfu_dma_write(rig->v, owner.iova, owner.buf, owner.len, done, rig);
}

static int ask_owner(struct rig *rig, void (*what)(struct rig *rig), uint64_t iova,
		     size_t len)
{
	owner.iova = iova;
	owner.len = len;
	rig_do(rig, what);
	return owner.said;
}

static int wait_done(struct rig *rig, unsigned n)
{
	rig_wait(rig, &owner.n_done, n);
	return owner.err;
}

/* ---- The client ---- */

struct message {
	struct vh_vfu_header header;
	struct vh_vfu_dma_access access;
	uint8_t data[8192];
};

/* What the server asks for comes next. */
static void expect_command(struct rig *rig, uint16_t command, uint64_t iova,
			   uint64_t count)
{
	struct vh_vfu_dma_access a;

	assert_int_equal(vfu_recv(&rig->c), 0);
	assert_int_equal(rig->c.reply.command, command);
	assert_int_equal(rig->c.reply.flags, 0);
	assert_int_equal(rig->c.len,
			 sizeof(a) + (command == VH_VFU_DMA_WRITE ? count : 0));
	memcpy(&a, rig->c.payload, sizeof(a));
	assert_int_equal(a.iova, iova);
	assert_int_equal(a.count, count);
}

/* An answer to what came, of @len bytes of payload. */
static struct message answer_to(const struct rig *rig, uint64_t iova, uint64_t count,
				size_t len)
{
	return (struct message){
		.header = {.id = rig->c.reply.id,
			   .command = rig->c.reply.command,
			   .flags = VH_VFU_REPLY,
			   .size = (uint32_t)(sizeof(struct vh_vfu_header) + len)},
		.access = {.iova = iova, .count = count}};
}

static void send_message(struct rig *rig, const struct message *m)
{
	assert_int_equal(vfu_send_bytes(&rig->c, m, m->header.size, NULL, 0), 0);
}

static void start(struct rig *rig)
{
	memset(&owner, 0, sizeof(owner));
	rig_open(rig);
	rig_connect(rig);
	assert_int_equal(vfu_dma_map(&rig->c, PAGE, 2 * PAGE, -1, 0, RW), 0);
}

/* ---- What it is for ---- */

static void memory_without_a_file_is_read_by_message(void **state)
{
	struct rig *rig = *state;
	struct message m;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE + 8, 5), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE + 8, 5);
	m = answer_to(rig, PAGE + 8, 5, sizeof(m.access) + 5);
	memcpy(m.data, "bytes", 5);
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), 0);
	assert_memory_equal(owner.buf, "bytes", 6);
}

static void memory_without_a_file_is_written_by_message(void **state)
{
	struct rig *rig = *state;
	struct message m;

	start(rig);
	memcpy(owner.buf, "bytes", 5);
	assert_int_equal(ask_owner(rig, do_write, PAGE, 5), 0);
	expect_command(rig, VH_VFU_DMA_WRITE, PAGE, 5);
	assert_memory_equal(rig->c.payload + sizeof(m.access), "bytes", 5);
	m = answer_to(rig, PAGE, 5, sizeof(m.access));
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), 0);
}

static void a_client_gets_no_more_at_a_time_than_it_says(void **state)
{
	struct rig *rig = *state;
	struct message m;

	memset(&owner, 0, sizeof(owner));
	rig_open(rig);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
	assert_int_equal(vfu_version(&rig->c, 0, 0,
				     "{\"capabilities\":{\"max_data_xfer_size\":4096}}"),
			 0);
	assert_int_equal(vfu_dma_map(&rig->c, 0, 4 * PAGE, -1, 0, RW), 0);
	assert_int_equal(ask_owner(rig, do_read, 0, 2 * PAGE + 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		const size_t len = i < 2 ? PAGE : 1;

		expect_command(rig, VH_VFU_DMA_READ, i * PAGE, len);
		m = answer_to(rig, i * PAGE, len, sizeof(m.access) + len);
		memset(m.data, 'a' + (int)i, len);
		send_message(rig, &m);
	}
	assert_int_equal(wait_done(rig, 1), 0);
	assert_int_equal(owner.buf[PAGE - 1], 'a');
	assert_int_equal(owner.buf[PAGE], 'b');
	assert_int_equal(owner.buf[2 * PAGE], 'c');
}

static void requests_are_done_one_by_one(void **state)
{
	struct rig *rig = *state;
	struct message m;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	assert_int_equal(ask_owner(rig, do_write, 2 * PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	m = answer_to(rig, PAGE, 8, sizeof(m.access) + 8);
	send_message(rig, &m);
	expect_command(rig, VH_VFU_DMA_WRITE, 2 * PAGE, 8);
	assert_int_equal(rig_get(rig, &owner.n_done), 1);
	m = answer_to(rig, 2 * PAGE, 8, sizeof(m.access));
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 2), 0);
}

static void commands_are_served_while_an_answer_is_awaited(void **state)
{
	struct rig *rig = *state;
	struct vh_vfu_device_info info;
	struct message m;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	m = answer_to(rig, PAGE, 8, sizeof(m.access) + 8);
	assert_int_equal(vfu_get_info(&rig->c, &info), 0);
	assert_int_equal(rig_get(rig, &owner.n_done), 0);
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), 0);
}

/* Replies of 64 KiB that nobody reads fill the socket. */
static void a_command_waits_for_replies_that_are_not_out(void **state)
{
	const struct vh_vfu_region_access read = {.region = 2, .count = RIG_BAR2};
	struct rig *rig = *state;
	const unsigned n = 16;
	struct message m;

	start(rig);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(vfu_send(&rig->c, VH_VFU_REGION_READ, 0, &read,
					  sizeof(read), NULL, 0),
				 0);
	assert_int_equal(ask_owner(rig, do_write, PAGE, 4), 0);
	for (unsigned i = 0; i <= n; i++) {
		assert_int_equal(vfu_recv(&rig->c), 0);
		if (rig->c.reply.command == VH_VFU_DMA_WRITE)
			m = answer_to(rig, PAGE, 4, sizeof(m.access));
		else
			assert_int_equal(rig->c.len, sizeof(read) + RIG_BAR2);
	}
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), 0);
}

/* ---- What is not done ---- */

static void memory_that_the_client_has_not_told_of_is_not_asked_for(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 8 * PAGE, PAGE, -1, 0, VH_VFU_DMA_READABLE),
			 0);
	assert_int_equal(ask_owner(rig, do_read, 0, 8), -EFAULT);
	assert_int_equal(ask_owner(rig, do_read, 3 * PAGE - 4, 8), -EFAULT);
	assert_int_equal(ask_owner(rig, do_read, UINT64_MAX - 3, 8), -EFAULT);
	assert_int_equal(ask_owner(rig, do_write, 8 * PAGE, 8), -EFAULT);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 0), -EINVAL);
	assert_int_equal(ask_owner(rig, do_read, PAGE, (1 << 20) + 1), -EINVAL);
}

static void pieces_that_touch_are_one_to_a_request(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 3 * PAGE, PAGE, -1, 0, RW), 0);
	assert_int_equal(ask_owner(rig, do_read, 3 * PAGE - 4, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, 3 * PAGE - 4, 8);
}

static void a_request_fails_when_its_memory_goes_before_its_turn(void **state)
{
	struct rig *rig = *state;
	struct message m;

	start(rig);
	assert_int_equal(vfu_dma_map(&rig->c, 8 * PAGE, PAGE, -1, 0, RW), 0);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	assert_int_equal(ask_owner(rig, do_read, 8 * PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	m = answer_to(rig, PAGE, 8, sizeof(m.access) + 8);
	assert_int_equal(vfu_dma_unmap(&rig->c, 8 * PAGE, PAGE), 0);
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 2), -EFAULT);
}

static void too_many_requests_are_refused(void **state)
{
	struct rig *rig = *state;
	unsigned n = 0;

	start(rig);
	while (!ask_owner(rig, do_read, PAGE, 8))
		assert_true(++n < 1000);
	assert_int_equal(owner.said, -ENOBUFS);
}

static void without_a_client_there_is_no_memory(void **state)
{
	struct rig *rig = *state;

	memset(&owner, 0, sizeof(owner));
	rig_open(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), -ENOTCONN);
}

/* ---- Clients that answer with nonsense, or not at all ---- */

static void an_error_of_the_client_is_the_requests(void **state)
{
	struct rig *rig = *state;
	struct message m;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	m = answer_to(rig, 0, 0, 0);
	m.header.flags |= VH_VFU_ERROR;
	m.header.error = EPERM;
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), -EPERM);
}

static void an_answer_that_does_not_fit_fails_the_request(void **state)
{
	static const struct {
		uint64_t iova, count;
		size_t len;
	} wrong[] = {
		{PAGE, 8, 16 + 7}, {PAGE, 8, 16 + 9},	  {PAGE, 8, 12 + 8}, {PAGE, 8, 0},
		{0, 8, 16 + 8},	   {PAGE + 1, 8, 16 + 8}, {PAGE, 7, 16 + 8},
	};
	struct rig *rig = *state;

	start(rig);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct message m;

		assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
		expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
		m = answer_to(rig, wrong[i].iova, wrong[i].count, wrong[i].len);
		send_message(rig, &m);
		assert_int_equal(wait_done(rig, i + 1), -EPROTO);
	}
	assert_int_equal(rig_logged("older kind of DMA_READ"), 1);
}

static void an_answer_to_something_else_is_ignored(void **state)
{
	struct rig *rig = *state;
	struct message m, other;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	m = answer_to(rig, PAGE, 8, sizeof(m.access) + 8);
	other = m;
	other.header.id++;
	send_message(rig, &other);
	other = m;
	other.header.command = VH_VFU_DMA_WRITE;
	send_message(rig, &other);
	assert_int_equal(rig_get(rig, &owner.n_done), 0);
	send_message(rig, &m);
	assert_int_equal(wait_done(rig, 1), 0);
	send_message(rig, &m); /* once more, to nothing */
	assert_int_equal(rig_get(rig, &owner.n_done), 1);
}

static void requests_fail_when_the_client_goes(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	assert_int_equal(ask_owner(rig, do_write, PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	vfu_disconnect(&rig->c);
	assert_int_equal(wait_done(rig, 2), -EPIPE);
}

static void requests_are_forgotten_with_the_server(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(ask_owner(rig, do_read, PAGE, 8), 0);
	expect_command(rig, VH_VFU_DMA_READ, PAGE, 8);
	rig_close(rig);
	assert_int_equal(owner.n_done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(memory_without_a_file_is_read_by_message),
		RIG_TEST(memory_without_a_file_is_written_by_message),
		RIG_TEST(a_client_gets_no_more_at_a_time_than_it_says),
		RIG_TEST(requests_are_done_one_by_one),
		RIG_TEST(commands_are_served_while_an_answer_is_awaited),
		RIG_TEST(a_command_waits_for_replies_that_are_not_out),
		RIG_TEST(memory_that_the_client_has_not_told_of_is_not_asked_for),
		RIG_TEST(pieces_that_touch_are_one_to_a_request),
		RIG_TEST(a_request_fails_when_its_memory_goes_before_its_turn),
		RIG_TEST(too_many_requests_are_refused),
		RIG_TEST(without_a_client_there_is_no_memory),
		RIG_TEST(an_error_of_the_client_is_the_requests),
		RIG_TEST(an_answer_that_does_not_fit_fails_the_request),
		RIG_TEST(an_answer_to_something_else_is_ignored),
		RIG_TEST(requests_fail_when_the_client_goes),
		RIG_TEST(requests_are_forgotten_with_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
