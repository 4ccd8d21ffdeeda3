/* SPDX-License-Identifier: BSD-3-Clause */
/* See raw.h. */
#include "session/raw.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem/guard.h"

#define NEED_REPLY (VH_FLAG_VERSION | VH_FLAG_NEED_REPLY)

/* ---- The device ---- */

static void let_go(struct raw *r)
{
	const uint32_t n = r->n_held;

	__atomic_store_n(&r->n_held, 0, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < n; i++)
		vh_chain_complete(r->held[i], vh_chain_writable(r->held[i]));
}

static void keep_all(struct vh_queue *q)
{
	struct raw *r = vh_device_ctx(vh_queue_device(q));

	while (r->n_held < 256 && (r->held[r->n_held] = vh_queue_next(q)))
		__atomic_store_n(&r->n_held, r->n_held + 1, __ATOMIC_RELEASE);
}

static void drain(struct vh_queue *q)
{
	struct raw *r = vh_device_ctx(vh_queue_device(q));

	if (!r->stubborn)
		let_go(r);
}

static int read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	if (off > 16 || len > 16 - off)
		return -EINVAL;
	memset(buf, 7, len);
	return 0;
}

const struct vh_device_ops raw_hoard = {
	.size = sizeof(raw_hoard),
	.name = "hoard",
	.virtio_id = VIRTIO_ID_RNG,
	.queues = 1, /* two chains of two queues may have one place in held[] */
	.process = keep_all,
	.queue_drain = drain,
	.read_config = read_config,
};

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

static void serve(struct raw *r, const struct vh_device_ops *ops,
		  const struct vh_param *params, size_t n)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct vh_reactor_params p = {.size = sizeof(p),
						    .name = "test",
						    .cpu = -1,
						    .poll = VH_POLL_SLEEP};

		assert_int_equal(vh_reactor_create(&p, &r->reactor[i]), 0);
	}
	assert_int_equal(vh_server_create(r->reactor, 2, &r->server), 0);
	assert_int_equal(
		vh_server_add(r->server, ops, r, r->rig->address, params, n, &r->device),
		0);
	assert_int_equal(pthread_create(&r->thread, NULL, run, r->server), 0);
}

int raw_open(void **state, const struct vh_device_ops *ops, const struct vh_param *params,
	     size_t n)
{
	struct raw *r = calloc(1, sizeof(*r));
	void *rig;

	assert_non_null(r);
	if (rig_setup(&rig) < 0)
		return -1;
	r->rig = rig;
	r->fd = -1;
	r->mem_fd = rig_memfd(RAW_MEMORY);
	r->mem = mmap(NULL, RAW_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, r->mem_fd, 0);
	assert_ptr_not_equal(r->mem, MAP_FAILED);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	serve(r, ops, params, n);
	*state = r;
	return 0;
}

int raw_setup(void **state)
{
	return raw_open(state, &raw_hoard, NULL, 0);
}

int raw_teardown(void **state)
{
	struct raw *r = *state;
	void *rig = r->rig, *result;

	raw_hang_up(r);
	vh_server_stop(r->server);
	pthread_join(r->thread, &result);
	vh_server_destroy(r->server);
	vh_reactor_destroy(r->reactor[1]);
	vh_reactor_destroy(r->reactor[0]);
	munmap(r->mem, RAW_MEMORY);
	close(r->mem_fd);
	close(r->kick);
	close(r->call);
	close(r->err);
	free(r);
	if (result || rig_count_memfd_maps()) {
		print_error("%u mappings are left\n", rig_count_memfd_maps());
		rig_teardown(&rig);
		return -1;
	}
	return rig_teardown(&rig);
}

/* ---- The guard ---- */

static struct sigaction guard;

void raw_install_guard(void)
{
	static uint8_t byte;
	unsigned slot;

	if (vh_guard_add(&byte, 1, -1, &slot) == 0)
		vh_guard_remove(slot);
	sigaction(SIGBUS, NULL, &guard);
}

void raw_use_guard(void)
{
	sigaction(SIGBUS, &guard, NULL);
}

/* ---- Messages ---- */

bool raw_say(struct raw *r, uint32_t id, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(VH_MAX_FDS * sizeof(int))];
	} space = {0};
	struct vh_wire_header h = {id, flags, size};
	struct iovec iov[] = {{&h, sizeof(h)}, {(void *)payload, size}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (n_fds) {
		m.msg_control = &space;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		space.align.cmsg_level = SOL_SOCKET;
		space.align.cmsg_type = SCM_RIGHTS;
		space.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&space.align), fds, n_fds * sizeof(int));
	}
	return sendmsg(r->fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof(h) + size);
}

static int read_answer(struct raw *r, uint32_t id, uint64_t *answer)
{
	uint32_t got, flags;
	uint8_t bytes[VH_MAX_PAYLOAD];
	int fds[8];
	unsigned n_fds;
	const int len = peer_read(r->fd, &got, &flags, bytes, sizeof(bytes), fds, &n_fds);

	if (len < 0)
		return -1;
	assert_int_equal(got, id);
	assert_int_equal(n_fds, 0);
	if (len < 8)
		return 1;
	memcpy(answer, bytes, sizeof(*answer));
	return 0;
}

int raw_ask(struct raw *r, uint32_t id, const void *payload, uint32_t size,
	    const int *fds, unsigned n_fds, uint64_t *answer)
{
	if (!raw_say(r, id, VH_FLAG_VERSION, payload, size, fds, n_fds))
		return -1;
	return read_answer(r, id, answer);
}

int raw_tell(struct raw *r, uint32_t id, const void *payload, uint32_t size,
	     const int *fds, unsigned n_fds)
{
	uint64_t ack = 0;
	int err = raw_say(r, id, NEED_REPLY, payload, size, fds, n_fds)
			  ? read_answer(r, id, &ack)
			  : -1;

	return err ? err : ack != 0;
}

int raw_tell_u64(struct raw *r, uint32_t id, uint64_t v)
{
	return raw_tell(r, id, &v, sizeof(v), NULL, 0);
}

int raw_tell_state(struct raw *r, uint32_t id, uint32_t index, uint32_t num)
{
	const struct vh_wire_state s = {index, num};

	return raw_tell(r, id, &s, sizeof(s), NULL, 0);
}

/* ---- Life ---- */

void raw_hang_up(struct raw *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Who comes too early is turned away, and tries again. */
void raw_connect(struct raw *r)
{
	uint64_t features;

	for (;;) {
		raw_hang_up(r);
		r->fd = peer_connect(r->rig->path);
		if (!raw_ask(r, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0, &features))
			return;
		sched_yield();
	}
}

void raw_negotiate(struct raw *r)
{
	uint64_t features, protocol;

	assert_int_equal(raw_ask(r, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0, &features), 0);
	assert_int_equal(
		raw_ask(r, VH_MSG_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0, &protocol), 0);
	assert_true(raw_say(r, VH_MSG_SET_PROTOCOL_FEATURES, VH_FLAG_VERSION, &protocol,
			    sizeof(protocol), NULL, 0));
	features &= ~VH_BIT(VH_F_LOG_ALL);
	assert_int_equal(raw_tell_u64(r, VH_MSG_SET_FEATURES, features), 0);
}

int raw_table(struct raw *r, unsigned n)
{
	const struct vh_wire_mem mem = {
		.n = n,
		.region = {{0, RAW_BUFFERS, RAW_UVA, 0},
			   {RAW_BUFFERS, RAW_MEMORY - RAW_BUFFERS, RAW_UVA + RAW_BUFFERS,
			    RAW_BUFFERS}},
	};
	const int fds[] = {r->mem_fd, r->mem_fd};

	return raw_tell(r, VH_MSG_SET_MEM_TABLE, &mem, 8 + n * sizeof(mem.region[0]), fds,
			n);
}

void raw_start_ring(struct raw *r, uint32_t num, uint16_t base)
{
	const struct vh_wire_addr addr = {.desc = RAW_UVA,
					  .avail = RAW_UVA + RAW_AVAIL,
					  .used = RAW_UVA + RAW_USED};
	const uint64_t index = 0;

	r->num = num;
	r->avail = base;
	memcpy(r->mem + RAW_AVAIL + 2, &base, 2);
	assert_int_equal(raw_tell_state(r, VH_MSG_SET_VRING_NUM, 0, num), 0);
	assert_int_equal(raw_tell_state(r, VH_MSG_SET_VRING_BASE, 0, base), 0);
	assert_int_equal(raw_tell(r, VH_MSG_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
			 0);
	assert_int_equal(raw_tell(r, VH_MSG_SET_VRING_CALL, &index, 8, &r->call, 1), 0);
	assert_int_equal(raw_tell(r, VH_MSG_SET_VRING_ERR, &index, 8, &r->err, 1), 0);
	assert_int_equal(raw_tell(r, VH_MSG_SET_VRING_KICK, &index, 8, &r->kick, 1), 0);
	assert_int_equal(raw_tell_state(r, VH_MSG_SET_VRING_ENABLE, 0, 1), 0);
}

void raw_run(struct raw *r, uint32_t num, uint16_t base)
{
	raw_connect(r); /* before that, the last ring may still be written */
	memset(r->mem, 0, RAW_MEMORY);
	memcpy(r->mem + RAW_USED + 2, &base, 2);
	raw_negotiate(r);
	assert_int_equal(raw_table(r, 2), 0);
	raw_start_ring(r, num, base);
}

uint16_t raw_stop_ring(struct raw *r)
{
	const struct vh_wire_state s = {0, 0};
	uint64_t answer = 0;

	assert_int_equal(
		raw_ask(r, VH_MSG_GET_VRING_BASE, &s, sizeof(s), NULL, 0, &answer), 0);
	return (uint16_t)(answer >> 32);
}

/* ---- The driver ---- */

void raw_desc(struct raw *r, unsigned i, uint64_t gpa, uint32_t len, unsigned flags,
	      unsigned next)
{
	const struct vring_desc d = {.addr = gpa,
				     .len = len,
				     .flags = (uint16_t)flags,
				     .next = (uint16_t)next};

	memcpy(r->mem + i * sizeof(d), &d, sizeof(d));
}

void raw_offer(struct raw *r, unsigned head)
{
	const uint16_t entry = (uint16_t)head;
	const uint64_t one = 1;

	memcpy(r->mem + RAW_AVAIL + 4 + 2 * (r->avail & (r->num - 1)), &entry, 2);
	r->avail++;
	__atomic_store_n((uint16_t *)(void *)(r->mem + RAW_AVAIL + 2), r->avail,
			 __ATOMIC_RELEASE);
	assert_int_equal(write(r->kick, &one, sizeof(one)), sizeof(one));
}

uint16_t raw_used_index(const struct raw *r)
{
	return __atomic_load_n((const uint16_t *)(const void *)(r->mem + RAW_USED + 2),
			       __ATOMIC_ACQUIRE);
}

void raw_wait_held(const struct raw *r, uint32_t n)
{
	while (__atomic_load_n(&r->n_held, __ATOMIC_ACQUIRE) != n)
		sched_yield();
}

void raw_wait_used(const struct raw *r, uint16_t index)
{
	while (raw_used_index(r) != index)
		sched_yield();
}

static void release_on_reactor(void *arg)
{
	let_go(arg);
}

void raw_release(struct raw *r)
{
	assert_int_equal(vh_reactor_post(r->reactor[1], release_on_reactor, r), 0);
}

/* ---- What tests begin and end with ---- */

bool raw_is_answered(struct raw *r)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};

	return poll(&p, 1, 20) == 1;
}

uint32_t raw_size_of(uint32_t id)
{
	switch (id) {
	case VH_MSG_SET_MEM_TABLE:
		return 8 + 2 * sizeof(struct vh_wire_region);
	case VH_MSG_SET_LOG_BASE:
		return sizeof(struct vh_wire_log);
	case VH_MSG_SET_VRING_ADDR:
		return sizeof(struct vh_wire_addr);
	case VH_MSG_IOTLB_MSG:
		return sizeof(struct vh_wire_iotlb);
	case VH_MSG_ADD_MEM_REG:
	case VH_MSG_REM_MEM_REG:
		return sizeof(struct vh_wire_mem_reg);
	case VH_MSG_GET_INFLIGHT_FD:
	case VH_MSG_SET_INFLIGHT_FD:
		return sizeof(struct vh_wire_inflight);
	}
	return vh_rule_of(VH_CHANNEL_MAIN, id) &&
			       vh_rule_of(VH_CHANNEL_MAIN, id)->payload == VH_PAYLOAD_NONE
		       ? 0
		       : 8;
}

void raw_use_a_chain(struct raw *r)
{
	const uint16_t used = raw_used_index(r);

	raw_desc(r, 0, RAW_BUFFERS, 64, VRING_DESC_F_WRITE, 0);
	raw_offer(r, 0);
	raw_wait_held(r, 1);
	raw_release(r);
	raw_wait_used(r, (uint16_t)(used + 1));
}

void raw_wait_for_release(struct raw *r)
{
	uint64_t features;

	assert_int_equal(raw_ask(r, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0, &features), 0);
}

void raw_expect_service(struct raw *r)
{
	raw_run(r, 16, 0);
	raw_use_a_chain(r);
	assert_int_equal(raw_stop_ring(r), 1);
	raw_hang_up(r);
}
