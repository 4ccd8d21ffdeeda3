/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device behind a generic vhost-user device: a VMM of bytes on one side, a front-end
 * of bytes on the other.  One thread.
 */
#include "conn/rig.h"
#include "reactor/drive.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/memfd.h>

#include "ring/driver.h"
#include "spec/vvu.h"
#include "vvu/shm.h"

#define PAGE	 4096u
#define MEMORY	 0x40000u
#define UVA	 0x70000000ull
#define RING	 16u
#define SIZE	 (1u << 20)
#define PLAIN	 VH_FLAG_VERSION
#define ACKED	 (VH_FLAG_VERSION | VH_FLAG_NEED_REPLY)
#define IS_REPLY (VH_FLAG_VERSION | VH_FLAG_REPLY)
#define BUFFER	 4096u
#define QUEUES	 3u /* two of messages, and that of vring 0 */
#define FEATURES                                                                 \
	(VH_BIT(32) | VH_BIT(VH_F_PROTOCOL_FEATURES) | VH_BIT(VH_VVU_F_NOTIFY) | \
	 VH_BIT(VH_VVU_F_BACKEND_REQ) | VH_BIT(VH_VVU_F_LONG_MSG))

struct shm_rig {
	struct rig *rig;
	char vmm_path[80], front_path[80];
	struct vh_reactor *reactor;
	struct vh_shm *shm;
	/* The VMM and its guest. */
	int vmm, channel, memory;
	uint8_t *va;
	int kick[QUEUES], call[QUEUES];
	struct vh_driver_ring *ring[2];
	struct vh_vvu_config config;
	/* The front-end. */
	int front;
};

/* ---- The VMM ---- */

static void drive(struct shm_rig *x)
{
	drive_until_idle(x->reactor);
	while (fd_is_readable(vh_reactor_fd(x->reactor), 0))
		drive_until_idle(x->reactor);
}

/* The reply to @id, or (@fd is the channel) the request. */
static int hear(struct shm_rig *x, int fd, uint32_t id, void *payload, size_t size,
		int *fds)
{
	uint32_t got = 0, flags;
	unsigned n_fds = 0;
	int len;

	drive_until(x->reactor, fd_is_readable(fd, 0));
	len = peer_read(fd, &got, &flags, payload, size, fds, &n_fds);
	assert_int_equal(got, id);
	return len;
}

static uint64_t ask_u64(struct shm_rig *x, uint32_t id)
{
	uint64_t value = 0;

	peer_send(x->vmm, id, PLAIN, NULL, 0, NULL, 0);
	assert_int_equal(hear(x, x->vmm, id, &value, sizeof(value), NULL), 8);
	return value;
}

static void tell(struct shm_rig *x, uint32_t id, const void *payload, uint32_t size,
		 int fd)
{
	peer_send(x->vmm, id, PLAIN, payload, size, &fd, fd >= 0);
	drive(x);
}

static void tell_u64(struct shm_rig *x, uint32_t id, uint64_t value)
{
	tell(x, id, &value, sizeof(value), -1);
}

static void tell_state(struct shm_rig *x, uint32_t id, uint32_t index, uint32_t num)
{
	const struct vh_wire_state state = {.index = index, .num = num};

	tell(x, id, &state, sizeof(state), -1);
}

static void tell_fd(struct shm_rig *x, uint32_t id, uint64_t index, int fd)
{
	tell(x, id, &index, sizeof(index), fd);
}

static void share_memory(struct shm_rig *x)
{
	const struct vh_wire_mem mem = {.n = 1, .region = {{.size = MEMORY, .uva = UVA}}};

	tell(x, VH_MSG_SET_MEM_TABLE, &mem, offsetof(struct vh_wire_mem, region[1]),
	     x->memory);
}

static void negotiate(struct shm_rig *x)
{
	const uint64_t protocol = ask_u64(x, VH_MSG_GET_PROTOCOL_FEATURES);
	int pair[2];

	assert_true(protocol & VH_BIT(VH_PF_SHMEM));
	assert_true(protocol & VH_BIT(VH_PF_BACKEND_SEND_FD));
	assert_int_equal(ask_u64(x, VH_MSG_GET_FEATURES) & FEATURES, FEATURES);
	tell_u64(x, VH_MSG_SET_PROTOCOL_FEATURES, protocol);
	peer_pair(pair);
	tell(x, VH_MSG_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
	close(pair[1]);
	x->channel = pair[0];
	tell_u64(x, VH_MSG_SET_FEATURES, FEATURES);
	share_memory(x);
}

/* ---- The guest ---- */

static bool to_device(void *arg, const void *p, size_t len, uint64_t *at)
{
	const struct shm_rig *x = arg;

	*at = (uint64_t)((const uint8_t *)p - x->va);
	return *at < MEMORY && len <= MEMORY - *at;
}

/* Queue @q's ring is in page @q of memory. */
static void start_queue(struct shm_rig *x, unsigned q)
{
	struct vh_driver_ring_places at;
	const uint64_t base = UVA + (uint64_t)q * PAGE;
	struct vh_wire_addr addr = {.index = q};

	vh_driver_ring_places(RING, FEATURES, &at);
	addr.desc = base + at.desc;
	addr.avail = base + at.avail;
	addr.used = base + at.used;
	tell_state(x, VH_MSG_SET_VRING_NUM, q, RING);
	tell_state(x, VH_MSG_SET_VRING_BASE, q, 0);
	tell(x, VH_MSG_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	tell_fd(x, VH_MSG_SET_VRING_CALL, q, x->call[q]);
	tell_fd(x, VH_MSG_SET_VRING_KICK, q, x->kick[q]);
	tell_state(x, VH_MSG_SET_VRING_ENABLE, q, 1);
	while (fd_is_readable(x->call[q], 0)) /* that of a new call fd */
		eventfd_read(x->call[q], &(eventfd_t){0});
}

static uint8_t *buffer(struct shm_rig *x, unsigned i)
{
	return x->va + (8 + i) * PAGE;
}

static void post_buffer(struct shm_rig *x, size_t len)
{
	const struct iovec iov = {.iov_base = buffer(x, 0), .iov_len = len};

	assert_int_equal(vh_driver_ring_add(x->ring[VH_VVU_RXQ], &iov, 0, 1, x), 0);
	vh_driver_ring_publish(x->ring[VH_VVU_RXQ]);
	kick(x->kick[VH_VVU_RXQ]);
	drive(x);
}

/* A message of the front-end has come; its payload's length. */
static uint32_t receive(struct shm_rig *x, uint32_t id)
{
	struct vh_wire_header h;
	uint32_t len;

	drive(x);
	assert_non_null(vh_driver_ring_get(x->ring[VH_VVU_RXQ], &len));
	memcpy(&h, buffer(x, 0), sizeof(h));
	assert_int_equal(h.request, id);
	assert_int_equal(len, sizeof(h) + h.size);
	return h.size;
}

static void send_bytes(struct shm_rig *x, const void *bytes, size_t len)
{
	const struct iovec iov = {.iov_base = buffer(x, 1), .iov_len = len};

	memcpy(buffer(x, 1), bytes, len);
	assert_int_equal(vh_driver_ring_add(x->ring[VH_VVU_TXQ], &iov, 1, 0, x), 0);
	vh_driver_ring_publish(x->ring[VH_VVU_TXQ]);
	kick(x->kick[VH_VVU_TXQ]);
	drive(x);
}

static uint32_t read_status(struct shm_rig *x)
{
	struct vh_wire_config c = {.size = sizeof(x->config)};
	const uint32_t size = offsetof(struct vh_wire_config, data) + sizeof(x->config);

	peer_send(x->vmm, VH_MSG_GET_CONFIG, PLAIN, &c, size, NULL, 0);
	assert_int_equal(hear(x, x->vmm, VH_MSG_GET_CONFIG, &c, sizeof(c), NULL), size);
	memcpy(&x->config, c.data, sizeof(x->config));
	return x->config.status;
}

static void write_status(struct shm_rig *x, uint32_t status)
{
	struct vh_wire_config c = {.size = sizeof(x->config)};

	x->config.status = status;
	memcpy(c.data, &x->config, sizeof(x->config));
	tell(x, VH_MSG_SET_CONFIG, &c,
	     offsetof(struct vh_wire_config, data) + sizeof(x->config), -1);
}

/* The driver is told that its configuration changed. */
static void expect_change(struct shm_rig *x)
{
	assert_int_equal(
		hear(x, x->channel, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, NULL), 0);
}

static void start_driver(struct shm_rig *x)
{
	for (unsigned q = 0; q < QUEUES; q++)
		start_queue(x, q);
	write_status(x, VH_VVU_BACKEND_UP);
}

/* ---- Set-up ---- */

static struct shm_rig the_rig;

static int setup(void **state)
{
	struct shm_rig *x = &the_rig;

	*x = (struct shm_rig){.vmm = -1, .channel = -1, .front = -1};
	assert_int_equal(rig_setup((void **)&x->rig), 0);
	x->reactor = reactor_new(VH_POLL_SLEEP);
	snprintf(x->vmm_path, sizeof(x->vmm_path), "%s/vmm", x->rig->dir);
	snprintf(x->front_path, sizeof(x->front_path), "%s/front", x->rig->dir);
	x->memory = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(x->memory, MEMORY), 0);
	x->va = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, x->memory, 0);
	assert_ptr_not_equal(x->va, MAP_FAILED);
	for (unsigned q = 0; q < QUEUES; q++) {
		x->kick[q] = eventfd_new();
		x->call[q] = eventfd_new();
	}
	for (unsigned q = 0; q < 2; q++)
		assert_int_equal(vh_driver_ring_create(x->va + q * PAGE, RING, FEATURES,
						       to_device, x, &x->ring[q]),
				 0);
	*state = x;
	return 0;
}

static void open_shm(struct shm_rig *x)
{
	char vmm[96], front[96];
	struct vh_shm_params p = {
		.vmm = vmm, .front = front, .accept_early = true, .size = SIZE};

	snprintf(vmm, sizeof(vmm), "unix:%s", x->vmm_path);
	snprintf(front, sizeof(front), "unix:%s", x->front_path);
	memset(p.uuid, 0x5a, sizeof(p.uuid));
	assert_int_equal(vh_shm_open(x->reactor, &p, &x->shm), 0);
	x->vmm = peer_connect(x->vmm_path);
	drive(x);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	struct shm_rig *x = *state;

	close_fd(&x->vmm);
	close_fd(&x->channel);
	close_fd(&x->front);
	vh_shm_close(x->shm);
	vh_reactor_destroy(x->reactor);
	for (unsigned q = 0; q < QUEUES; q++) {
		close(x->kick[q]);
		close(x->call[q]);
	}
	vh_driver_ring_destroy(x->ring[0]);
	vh_driver_ring_destroy(x->ring[1]);
	munmap(x->va, MEMORY);
	close(x->memory);
	return rig_teardown((void **)&x->rig);
}

static void connect_front(struct shm_rig *x)
{
	x->front = peer_connect(x->front_path);
	drive(x);
}

/* A session: a front-end and a driver, who has a buffer. */
static void begin(struct shm_rig *x)
{
	open_shm(x);
	negotiate(x);
	start_driver(x);
	post_buffer(x, BUFFER);
	connect_front(x);
	expect_change(x);
	assert_int_equal(read_status(x), VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
}

/* ---- What the VMM is told ---- */

static void it_has_one_shared_memory(void **state)
{
	struct shm_rig *x = *state;
	struct vh_wire_shmem shmem;

	open_shm(x);
	negotiate(x);
	peer_send(x->vmm, VH_MSG_GET_SHMEM_CONFIG, PLAIN, NULL, 0, NULL, 0);
	assert_int_equal(
		hear(x, x->vmm, VH_MSG_GET_SHMEM_CONFIG, &shmem, sizeof(shmem), NULL),
		sizeof(shmem));
	assert_int_equal(shmem.n, 1);
	for (unsigned i = 0; i < VH_MAX_SHMEM; i++)
		assert_int_equal(shmem.size[i], i == 1 ? SIZE : 0);
}

static void its_configuration_says_who_it_is(void **state)
{
	struct shm_rig *x = *state;

	open_shm(x);
	negotiate(x);
	assert_int_equal(read_status(x), 0);
	assert_int_equal(x->config.max_vhost_queues, VH_VVU_SHM_VRINGS);
	assert_int_equal(x->config.uuid[0], 0x5a);
	assert_int_equal(x->config.uuid[15], 0x5a);
}

/* ---- Sessions ---- */

static void messages_go_both_ways(void **state)
{
	struct shm_rig *x = *state;
	struct {
		struct vh_wire_header h;
		uint8_t value[8];
	} reply = {.h = {.request = VH_MSG_GET_FEATURES, .flags = IS_REPLY, .size = 8},
		   .value = {0, 0, 0, 0x40}};
	uint64_t features;

	begin(x);
	peer_ask(x->front, VH_MSG_GET_FEATURES);
	assert_int_equal(receive(x, VH_MSG_GET_FEATURES), 0);
	send_bytes(x, &reply, sizeof(reply));
	assert_int_equal(
		hear(x, x->front, VH_MSG_GET_FEATURES, &features, sizeof(features), NULL),
		8);
	assert_int_equal(features, VH_BIT(VH_F_PROTOCOL_FEATURES));
}

static void without_a_buffer_a_message_waits(void **state)
{
	struct shm_rig *x = *state;
	uint32_t len;

	begin(x);
	peer_ask(x->front, VH_MSG_SET_OWNER);
	peer_ask(x->front, VH_MSG_GET_FEATURES);
	receive(x, VH_MSG_SET_OWNER);
	assert_null(vh_driver_ring_get(x->ring[VH_VVU_RXQ], &len));
	post_buffer(x, BUFFER);
	receive(x, VH_MSG_GET_FEATURES);
}

static void nothing_is_begun_before_the_driver_runs(void **state)
{
	struct shm_rig *x = *state;

	open_shm(x);
	negotiate(x);
	connect_front(x);
	write_status(x, VH_VVU_BACKEND_UP);
	assert_int_equal(read_status(x), VH_VVU_BACKEND_UP);
	start_driver(x);
	assert_int_equal(read_status(x), VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
}

static void a_front_end_that_goes_is_told(void **state)
{
	struct shm_rig *x = *state;

	begin(x);
	close_fd(&x->front);
	expect_change(x);
	assert_int_equal(read_status(x), 0);
	write_status(x, VH_VVU_BACKEND_UP);
	connect_front(x);
	expect_change(x);
	assert_int_equal(read_status(x), 3);
}

static void a_driver_that_is_not_ready_any_more_hangs_up(void **state)
{
	struct shm_rig *x = *state;

	begin(x);
	write_status(x, VH_VVU_FRONTEND_UP);
	assert_true(peer_is_closed(x->front));
	assert_int_equal(read_status(x), 0);
}

static void a_vmm_that_goes_ends_the_session(void **state)
{
	struct shm_rig *x = *state;

	begin(x);
	close_fd(&x->vmm);
	close_fd(&x->channel);
	drive(x);
	assert_true(peer_is_closed(x->front));
}

static void a_driver_that_sends_no_message_is_stopped(void **state)
{
	struct shm_rig *x = *state;

	begin(x);
	send_bytes(x, "no message", 10);
	assert_true(peer_is_closed(x->front));
	assert_int_equal(rig_logged("what it sends is no message"), 1);
}

/* ---- Memory ---- */

static void ack(struct shm_rig *x, uint32_t id, uint64_t value)
{
	peer_send(x->channel, id, IS_REPLY, &value, sizeof(value), NULL, 0);
	drive(x);
}

static void send_table(struct shm_rig *x, uint32_t flags, int fd)
{
	const struct vh_wire_mem mem = {
		.n = 1, .region = {{.gpa = 0x1000, .size = 2 * PAGE, .offset = PAGE}}};

	peer_send(x->front, VH_MSG_SET_MEM_TABLE, flags, &mem,
		  offsetof(struct vh_wire_mem, region[1]), &fd, 1);
}

static int ram(void)
{
	int fd = memfd_create("front", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	return fd;
}

static void memory_is_shown_before_the_driver_hears_of_it(void **state)
{
	struct shm_rig *x = *state;
	struct vh_wire_mmap map;
	struct vh_wire_mem mem;
	uint32_t len;
	int fd = ram(), fds[VH_MAX_FDS];

	begin(x);
	send_table(x, PLAIN, fd);
	assert_int_equal(
		hear(x, x->channel, VH_MSG_BACKEND_SHMEM_MAP, &map, sizeof(map), fds),
		sizeof(map));
	assert_int_equal(map.shmid, 1);
	assert_int_equal(map.fd_offset, PAGE);
	assert_int_equal(map.shm_offset, 0);
	assert_int_equal(map.len, 2 * PAGE);
	assert_int_equal(map.flags, VH_MMAP_WRITABLE);
	close(fds[0]);
	assert_null(vh_driver_ring_get(x->ring[VH_VVU_RXQ], &len));
	ack(x, VH_MSG_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(receive(x, VH_MSG_SET_MEM_TABLE), 40);
	memcpy(&mem, buffer(x, 0) + 12, 40);
	assert_int_equal(mem.region[0].gpa, 0x1000);
	assert_int_equal(mem.region[0].offset, 0);
	close(fd);
	/* It goes when the next one is there. */
	fd = ram();
	post_buffer(x, BUFFER);
	send_table(x, PLAIN, fd);
	hear(x, x->channel, VH_MSG_BACKEND_SHMEM_MAP, &map, sizeof(map), fds);
	assert_int_equal(map.shm_offset, 2 * PAGE);
	close(fds[0]);
	ack(x, VH_MSG_BACKEND_SHMEM_MAP, 0);
	receive(x, VH_MSG_SET_MEM_TABLE);
	hear(x, x->channel, VH_MSG_BACKEND_SHMEM_UNMAP, &map, sizeof(map), NULL);
	assert_int_equal(map.shm_offset, 0);
	assert_int_equal(map.len, 2 * PAGE);
	close(fd);
}

static void memory_that_the_vmm_does_not_show_ends_the_session(void **state)
{
	struct shm_rig *x = *state;
	struct vh_wire_mmap map;
	int fd = ram(), fds[VH_MAX_FDS];

	begin(x);
	send_table(x, PLAIN, fd);
	hear(x, x->channel, VH_MSG_BACKEND_SHMEM_MAP, &map, sizeof(map), fds);
	close(fds[0]);
	ack(x, VH_MSG_BACKEND_SHMEM_MAP, 1);
	assert_true(peer_is_closed(x->front));
	close(fd);
}

static void a_vmm_without_a_channel_cannot_be_asked(void **state)
{
	struct shm_rig *x = *state;
	int fd = ram();

	begin(x);
	close_fd(&x->channel);
	drive(x);
	send_table(x, PLAIN, fd);
	drive(x);
	assert_true(peer_is_closed(x->front));
	close(fd);
}

/* ---- Doorbells ---- */

static void a_kick_interrupts_and_a_notification_calls(void **state)
{
	struct shm_rig *x = *state;
	int kick_fd = eventfd_new(), call_fd = eventfd_new();
	const uint64_t vring = 0;

	begin(x);
	peer_send(x->front, VH_MSG_SET_VRING_KICK, PLAIN, &vring, 8, &kick_fd, 1);
	receive(x, VH_MSG_SET_VRING_KICK);
	post_buffer(x, BUFFER);
	peer_send(x->front, VH_MSG_SET_VRING_CALL, PLAIN, &vring, 8, &call_fd, 1);
	receive(x, VH_MSG_SET_VRING_CALL);
	assert_false(fd_is_readable(x->call[2], 0));
	kick(kick_fd);
	drive(x);
	assert_true(fd_is_readable(x->call[2], 0));
	assert_false(fd_is_readable(call_fd, 0));
	kick(x->kick[2]);
	drive(x);
	assert_true(fd_is_readable(call_fd, 0));
	close(kick_fd);
	close(call_fd);
}

static void a_chain_in_the_queue_of_a_vring_stops_the_device(void **state)
{
	struct shm_rig *x = *state;
	const struct iovec iov = {.iov_base = buffer(x, 2), .iov_len = 16};
	struct vh_driver_ring *ring;

	begin(x);
	assert_int_equal(vh_driver_ring_create(x->va + 2 * PAGE, RING, FEATURES,
					       to_device, x, &ring),
			 0);
	assert_int_equal(vh_driver_ring_add(ring, &iov, 0, 1, x), 0);
	vh_driver_ring_publish(ring);
	kick(x->kick[2]);
	drive(x);
	assert_int_equal(rig_logged("nothing is to be put into"), 1);
	vh_driver_ring_destroy(ring);
}

#define SHM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHM_TEST(it_has_one_shared_memory),
		SHM_TEST(its_configuration_says_who_it_is),
		SHM_TEST(messages_go_both_ways),
		SHM_TEST(without_a_buffer_a_message_waits),
		SHM_TEST(nothing_is_begun_before_the_driver_runs),
		SHM_TEST(a_front_end_that_goes_is_told),
		SHM_TEST(a_driver_that_is_not_ready_any_more_hangs_up),
		SHM_TEST(a_vmm_that_goes_ends_the_session),
		SHM_TEST(a_driver_that_sends_no_message_is_stopped),
		SHM_TEST(memory_is_shown_before_the_driver_hears_of_it),
		SHM_TEST(memory_that_the_vmm_does_not_show_ends_the_session),
		SHM_TEST(a_vmm_without_a_channel_cannot_be_asked),
		SHM_TEST(a_kick_interrupts_and_a_notification_calls),
		SHM_TEST(a_chain_in_the_queue_of_a_vring_stops_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
