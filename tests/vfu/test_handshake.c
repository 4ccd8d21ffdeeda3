/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What VMMs send when they start, word by word and in their order, and what they must
 * get: every reply in one piece, of exactly this size, with these words.
 */
#include "rig.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANY	0xa5a5a5a5u /* in an expected reply: whatever it is */
#define PAGE	4096u
#define MAX	96
#define CONTROL (VH_VFU_SET_EVENTFD | VH_VFU_SET_TRIGGER)

struct step {
	uint16_t command;
	uint32_t n_ask, n_reply; /* words of payload                */
	uint32_t ask[12], reply[24];
	int n_fds, n_reply_fds;
};

struct talk {
	struct rig *rig;
	int fd[16]; /* what steps with fds send */
	uint16_t id;
	/* The reply that came last. */
	uint32_t words[MAX + 4];
	int got;
};

static void take_reply(struct talk *t, const struct step *s)
{
	char space[CMSG_SPACE(16 * sizeof(int))];
	struct iovec iov = {.iov_base = t->words, .iov_len = 16 + 4 * s->n_reply};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = sizeof(space)};
	struct cmsghdr *c;

	assert_true(s->n_reply <= MAX);
	assert_int_equal(recvmsg(t->rig->c.fd, &h, MSG_CMSG_CLOEXEC), iov.iov_len);
	c = CMSG_FIRSTHDR(&h);
	assert_int_equal(s->n_reply_fds, c ? 1 : 0);
	if (c) {
		assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&t->got, CMSG_DATA(c), sizeof(int));
	}
	assert_int_equal(recv(t->rig->c.fd, space, 1, MSG_DONTWAIT), -1);
}

static void check_reply(const struct talk *t, const struct step *s)
{
	assert_int_equal(t->words[0], t->id | (uint32_t)s->command << 16);
	assert_int_equal(t->words[1], 16 + 4 * s->n_reply);
	assert_int_equal(t->words[2], 1);
	assert_int_equal(t->words[3], 0);
	for (unsigned i = 0; i < (s->n_reply > 24 ? 5 : s->n_reply); i++)
		if (s->reply[i] != ANY)
			assert_int_equal(t->words[4 + i], s->reply[i]);
}

static void say(struct talk *t, const struct step *s)
{
	uint32_t bytes[4 + 12] = {++t->id | (uint32_t)s->command << 16,
				  16 + 4 * s->n_ask};

	memcpy(bytes + 4, s->ask, 4 * s->n_ask);
	assert_int_equal(vfu_send_bytes(&t->rig->c, bytes, 16 + 4 * s->n_ask, t->fd,
					(unsigned)s->n_fds),
			 0);
	take_reply(t, s);
	check_reply(t, s);
}

static void say_all(struct talk *t, const struct step *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		say(t, &s[i]);
}

#define SAY(t, steps) say_all(t, steps, sizeof(steps) / sizeof((steps)[0]))

static void say_version(struct talk *t, uint32_t version, const char *json,
			const char *reply)
{
	const size_t len = strlen(json) + 1, want = 20 + strlen(reply) + 1;
	uint8_t bytes[512], got[512];
	const uint32_t head[5] = {1 << 16, (uint32_t)(20 + len), 0, 0, version};

	memcpy(bytes, head, 20);
	memcpy(bytes + 20, json, len);
	assert_int_equal(vfu_send_bytes(&t->rig->c, bytes, 20 + len, NULL, 0), 0);
	assert_int_equal(recv(t->rig->c.fd, got, sizeof(got), 0), want);
	assert_memory_equal(got, ((uint32_t[]){1 << 16, (uint32_t)want, 1, 0, version}),
			    20);
	assert_memory_equal(got + 20, reply, strlen(reply) + 1);
	assert_true(want <= 20 + len || !strstr(json, "write_multiple"));
}

static void talk_begin(struct talk *t, struct rig *rig)
{
	*t = (struct talk){.rig = rig, .got = -1};
	for (unsigned i = 1; i < 16; i++)
		t->fd[i] = rig_eventfd();
	t->fd[0] = rig_memory(64 * PAGE);
	rig_open(rig);
	assert_int_equal(vfu_connect_only(&rig->c, rig->path), 0);
}

static void talk_end(struct talk *t)
{
	for (unsigned i = 0; i < 16; i++)
		close(t->fd[i]);
	close(t->got);
}

static const char our_json[] =
	"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576}}";

static const char qemu_json[] =
	"{\"capabilities\": {\"migration\": {\"max_bitmap_size\": 268435456, "
	"\"pgsize\": 4096}, \"max_msg_fds\": 16, \"max_data_xfer_size\": 1048576, "
	"\"max_dma_maps\": 65535, \"pgsizes\": 4096, \"write_multiple\": true}}";

static const char ch_json[] =
	"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576,"
	"\"migration\":{\"pgsize\":4096}}}";

/* clang-format off */

/* ---- QEMU: realize ---- */

static const struct step qemu_maps[] = {
	{VH_VFU_DMA_MAP, 8, 0, {32, 3, 0, 0, 0, 0, 0xa0000, 0}},
	{VH_VFU_DMA_MAP, 8, 0, {32, 1, 0, 0, 0xc0000, 0, 0x20000, 0}},
	{VH_VFU_DMA_MAP, 8, 0, {32, 3, 0, 0, 0x100000, 0, 64 * PAGE, 0}, .n_fds = 1},
};

static const struct step qemu_realize[] = {
	{VH_VFU_GET_INFO, 4, 4, {16}, {16, 3, 9, 5}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 0}, {32, 3, 0, 0, 4096}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 1}, {32, 0, 1}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 2}, {80, 7, 2, 0, 0x10000}},
	{VH_VFU_GET_REGION_INFO, 8, 20, {80, 0, 2},
	 {80, 15, 2, 32, 0x10000, 0, 0, 0, 1 | 1 << 16, 0, 2, 0, 0x1000, 0, 0x1000, 0,
	  0x4000, 0, 0xb000, 0}, .n_reply_fds = 1},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 3}, {32, 0, 3}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 4}, {32, 3, 4, 0, 0x2000}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 5}, {32, 0, 5}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 7}, {32, 3, 7, 0, 256}},
	{VH_VFU_GET_IRQ_INFO, 4, 4, {16, 0, 3}, {16, 1, 3, 1}},
	{VH_VFU_REGION_READ, 4, 68, {0, 0, 7, 256}, {0, 0, 7, 256, 0x10171af4}},
	/* The ROM's BAR. */
	{VH_VFU_REGION_READ, 4, 5, {0x30, 0, 7, 4}, {0x30, 0, 7, 4, 0}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x30, 0, 7, 4, 0xfffff800}, {0x30, 0, 7, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x30, 0, 7, 4}, {0x30, 0, 7, 4, 0}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x30, 0, 7, 4, 0}, {0x30, 0, 7, 4}},
	/* The types of BARs. */
	{VH_VFU_REGION_READ, 4, 5, {0x10, 0, 7, 4}, {0x10, 0, 7, 4, 0}},
	{VH_VFU_REGION_READ, 4, 5, {0x18, 0, 7, 4}, {0x18, 0, 7, 4, 12}},
	{VH_VFU_REGION_READ, 4, 5, {0x20, 0, 7, 4}, {0x20, 0, 7, 4, 0}},
	/* MSI-X: where table and PBA are. */
	{VH_VFU_REGION_READ, 4, 5, {0x44, 0, 7, 4}, {0x44, 0, 7, 4, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x48, 0, 7, 4}, {0x48, 0, 7, 4, 0x1004}},
	{VH_VFU_GET_IRQ_INFO, 4, 4, {16, 0, 2}, {16, 1, 2, 20}},
	{VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 0, 0, 1}, .n_fds = 0},
	{VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 3, 0, 1}, .n_fds = 0},
};

/* ---- QEMU: the machine is reset, and a driver enables MSI-X ---- */

static const struct step qemu_reset[] = {
	{VH_VFU_SET_IRQS, 5, 0, {20, 33, 0, 0, 0}},
	{VH_VFU_REGION_READ, 4, 5, {4, 0, 7, 4}, {4, 0, 7, 4, ANY}},
	{VH_VFU_REGION_WRITE, 5, 4, {4, 0, 7, 4, 0}, {4, 0, 7, 4}},
	{VH_VFU_RESET, 0, 0},
	{VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 0, 0, 1}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x10, 0, 7, 4, 0}, {0x10, 0, 7, 4}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x14, 0, 7, 4, 0}, {0x14, 0, 7, 4}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x18, 0, 7, 4, 0}, {0x18, 0, 7, 4}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x1c, 0, 7, 4, 0}, {0x1c, 0, 7, 4}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x20, 0, 7, 4, 0}, {0x20, 0, 7, 4}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x24, 0, 7, 4, 0}, {0x24, 0, 7, 4}},
	{VH_VFU_DMA_UNMAP, 6, 6, {24, 0, 0xc0000, 0, 0x20000, 0},
	 {24, 0, 0xc0000, 0, 0x20000, 0}},
	/* MSI-X on, no vector unmasked yet; then all used ones; then off again. */
	{VH_VFU_REGION_WRITE, 5, 4, {0x40, 0, 7, 4, 0x80130011}, {0x40, 0, 7, 4}},
	{VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 2, 0, 1}},
	{VH_VFU_SET_IRQS, 5, 0, {20, 33, 2, 0, 0}},
	{VH_VFU_SET_IRQS, 5, 0, {20, 33, 0, 0, 0}},
};

/* ---- cloud-hypervisor ---- */

static const struct step ch_start[] = {
	{VH_VFU_GET_INFO, 4, 4, {32}, {16, 3, 9, 5}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 0}, {32, 3, 0, 0, 4096}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 1}, {32, 0, 1}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 2}, {80, 7, 2, 0, 0x10000}},
	{VH_VFU_GET_REGION_INFO, 8, 20, {80, 0, 2},
	 {80, 15, 2, 32, 0x10000, 0, 0, 0, 1 | 1 << 16, 0, 2, 0, 0x1000, 0, 0x1000, 0,
	  0x4000, 0, 0xb000, 0}, .n_reply_fds = 1},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 3}, {32, 0, 3}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 4}, {32, 3, 4, 0, 0x2000}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 5}, {32, 0, 5}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 6}, {32, 0, 6}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 7}, {32, 3, 7, 0, 256}},
	{VH_VFU_GET_REGION_INFO, 8, 8, {32, 0, 8}, {32, 0, 8}},
	{VH_VFU_RESET, 0, 0},
	{VH_VFU_REGION_READ, 4, 5, {0, 0, 7, 4}, {0, 0, 7, 4, 0x10171af4}},
	{VH_VFU_REGION_READ, 4, 5, {0x40, 0, 7, 4}, {0x40, 0, 7, 4, 0x130011}},
	{VH_VFU_GET_IRQ_INFO, 4, 4, {16, 0, 1}, {16, 1, 1, 0}},
	{VH_VFU_GET_IRQ_INFO, 4, 4, {16, 0, 2}, {16, 1, 2, 20}},
	{VH_VFU_GET_IRQ_INFO, 4, 4, {16, 0, 0}, {16, 7, 0, 1}},
	{VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 0, 0, 1}},
	{VH_VFU_DMA_MAP, 8, 0, {32, 3, 0, 0, 0x100000, 0, 64 * PAGE, 0}, .n_fds = 1},
	{VH_VFU_REGION_WRITE, 5, 4, {0x10, 0, 7, 4, 0xffffffff}, {0x10, 0, 7, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x10, 0, 7, 4}, {0x10, 0, 7, 4, 0xfffff000}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x18, 0, 7, 4, 0xffffffff}, {0x18, 0, 7, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x18, 0, 7, 4}, {0x18, 0, 7, 4, 0xffff000c}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x1c, 0, 7, 4, 0xffffffff}, {0x1c, 0, 7, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x1c, 0, 7, 4}, {0x1c, 0, 7, 4, 0xffffffff}},
	{VH_VFU_REGION_WRITE, 5, 4, {0x30, 0, 7, 4, 0xfffff800}, {0x30, 0, 7, 4}},
	{VH_VFU_REGION_READ, 4, 5, {0x30, 0, 7, 4}, {0x30, 0, 7, 4, 0}},
};

static const struct step ch_stop[] = {
	{VH_VFU_SET_IRQS, 5, 0, {20, 33, 2, 0, 0}},
	{VH_VFU_DMA_UNMAP, 6, 6, {24, 0, 0x100000, 0, 64 * PAGE, 0},
	 {24, 0, 0x100000, 0, 64 * PAGE, 0}},
};

/* clang-format on */

static void qemu_gets_what_it_waits_for(void **state)
{
	struct talk t;

	talk_begin(&t, *state);
	say_version(&t, 0, qemu_json, our_json);
	SAY(&t, qemu_maps);
	SAY(&t, qemu_realize);
	SAY(&t, qemu_reset);
	assert_int_equal(rig_logged("refused"), 0);
	talk_end(&t);
}

static void cloud_hypervisor_gets_what_it_waits_for(void **state)
{
	const struct step vectors = {
		VH_VFU_SET_IRQS, 5, 0, {20, CONTROL, 2, 0, 15}, .n_fds = 15};
	struct talk t;

	talk_begin(&t, *state);
	say_version(&t, 1 << 16, ch_json, our_json);
	SAY(&t, ch_start);
	/* All vectors at once, whatever we said that we take. */
	close(t.fd[0]);
	t.fd[0] = rig_eventfd();
	say(&t, &vectors);
	SAY(&t, ch_stop);
	assert_int_equal(rig_logged("refused"), 0);
	talk_end(&t);
}

static void spdk_gets_what_it_waits_for(void **state)
{
	const struct vh_vfu_header version = {.command = VH_VFU_VERSION, .size = 20};
	uint8_t ask[4096] = {0};
	struct rig *rig = *state;
	struct talk t;

	talk_begin(&t, rig);
	memcpy(ask, &version, sizeof(version));
	ask[18] = 1; /* 0.1, no JSON */
	assert_int_equal(vfu_send_bytes(&rig->c, ask, 20, NULL, 0), 0);
	assert_int_equal(vfu_recv(&rig->c), 0);
	/* Room for the whole answer comes with the question. */
	memset(ask, 0, sizeof(ask));
	memcpy(ask, &(struct vh_vfu_region_info){.argsz = sizeof(ask), .index = 2}, 32);
	assert_int_equal(
		vfu_ask(&rig->c, VH_VFU_GET_REGION_INFO, ask, sizeof(ask), NULL, 0), 0);
	assert_int_equal(rig->c.len, 80);
	assert_int_equal(rig->c.n_fds, 1);
	talk_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(qemu_gets_what_it_waits_for),
		RIG_TEST(cloud_hypervisor_gets_what_it_waits_for),
		RIG_TEST(spdk_gets_what_it_waits_for),
	};

	return cmocka_run_group_tests_name("vfu/handshake", tests, NULL, NULL);
}
