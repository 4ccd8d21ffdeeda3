/* SPDX-License-Identifier: BSD-3-Clause */
/* See by_hand.h. */
#include "by_hand.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t gpa[2] = {0x100000, 0x200000};

/* ---- Messages ---- */

void raw_send(struct raw *r, struct vh_msg *m)
{
	const struct vh_expect e = {.id = m->id, .acked = m->need_reply};

	assert_int_equal(vh_connector_send(r->c, m), 0);
	vh_connector_expect(r->c, &e);
}

static enum vh_news next_news(struct raw *r, struct vh_msg *m, int ms)
{
	struct pollfd p = {.fd = vh_connector_poll_fd(r->c), .events = POLLIN};
	enum vh_news news;

	do {
		assert_int_equal(vh_connector_recv(r->c, m, &news), 0);
	} while (news == VH_NEWS_NOTHING && poll(&p, 1, ms) > 0);
	return news;
}

void raw_receive(struct raw *r, struct vh_msg *reply)
{
	assert_int_equal(next_news(r, reply, 60000), VH_NEWS_MESSAGE);
	assert_true(reply->is_reply);
}

bool raw_is_kept_waiting(struct raw *r)
{
	struct vh_msg m;

	return next_news(r, &m, 30) == VH_NEWS_NOTHING;
}

uint64_t raw_ack(struct raw *r, struct vh_msg *m)
{
	struct vh_msg reply;

	m->need_reply = true;
	raw_send(r, m);
	raw_receive(r, &reply);
	return reply.u64;
}

uint64_t raw_get(struct raw *r, uint32_t id)
{
	struct vh_msg m, reply;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	raw_send(r, &m);
	raw_receive(r, &reply);
	return reply.u64;
}

uint64_t raw_set(struct raw *r, uint32_t id, uint64_t value)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	m.u64 = value;
	return raw_ack(r, &m);
}

uint64_t raw_set_vring(struct raw *r, uint32_t id, uint32_t value)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	m.state = (struct vh_wire_state){.index = 0, .num = value};
	return raw_ack(r, &m);
}

static void set_fd(struct raw *r, uint32_t id, int fd)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, id);
	m.fds[m.n_fds++] = fd;
	assert_int_equal(raw_ack(r, &m), 0);
}

/* ---- Memory ---- */

struct vh_wire_region raw_region(const struct raw *r, unsigned i)
{
	return (struct vh_wire_region){
		.gpa = gpa[i], .size = RAW_REGION, .uva = (uintptr_t)r->va[i]};
}

void raw_init_slot(struct raw *r, struct vh_msg *m, uint32_t id, unsigned i)
{
	vh_msg_init(m, VH_CHANNEL_MAIN, id);
	m->mem_reg.region = raw_region(r, i);
	if (id == VH_MSG_ADD_MEM_REG)
		m->fds[m->n_fds++] = r->memory[i];
}

static void make_memory(struct raw *r)
{
	for (unsigned i = 0; i < 2; i++) {
		r->memory[i] = memfd_create("raw", MFD_CLOEXEC);
		assert_int_equal(ftruncate(r->memory[i], RAW_REGION), 0);
		r->va[i] = mmap(NULL, RAW_REGION, PROT_READ | PROT_WRITE, MAP_SHARED,
				r->memory[i], 0);
		assert_true(r->va[i] != MAP_FAILED);
	}
}

static bool to_device(void *arg, const void *p, size_t len, uint64_t *at)
{
	const struct raw *r = arg;
	const uint8_t *b = p;

	for (unsigned i = 0; i < 2; i++) {
		if (b < r->va[i] || b + len > r->va[i] + RAW_REGION)
			continue;
		*at = gpa[i] + (uint64_t)(b - r->va[i]);
		return true;
	}
	return false;
}

/* ---- The ring ---- */

void raw_start(struct raw *r, uint32_t base)
{
	struct vh_driver_ring_places at;
	const uint64_t uva = (uintptr_t)r->va[0];
	struct vh_msg m;

	vh_driver_ring_places(RAW_SIZE, RAW_FEATURES, &at);
	assert_int_equal(raw_set_vring(r, VH_MSG_SET_VRING_NUM, RAW_SIZE), 0);
	assert_int_equal(raw_set_vring(r, VH_MSG_SET_VRING_BASE, base), 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_ADDR);
	m.addr = (struct vh_wire_addr){
		.desc = uva + at.desc, .used = uva + at.used, .avail = uva + at.avail};
	assert_int_equal(raw_ack(r, &m), 0);
	set_fd(r, VH_MSG_SET_VRING_CALL, r->call);
	set_fd(r, VH_MSG_SET_VRING_ERR, r->err);
	set_fd(r, VH_MSG_SET_VRING_KICK, r->kick);
	assert_int_equal(raw_set_vring(r, VH_MSG_SET_VRING_ENABLE, 1), 0);
}

void raw_send_stop(struct raw *r)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_VRING_BASE);
	raw_send(r, &m);
}

uint32_t raw_base(struct raw *r)
{
	struct vh_msg reply;

	raw_receive(r, &reply);
	return reply.state.num;
}

void raw_add(struct raw *r, unsigned i)
{
	const struct iovec iov = {.iov_base = r->va[i] + RAW_REGION - 64, .iov_len = 1};
	const uint64_t one = 1;

	assert_int_equal(vh_driver_ring_add(r->ring, &iov, 0, 1, r), 0);
	vh_driver_ring_publish(r->ring);
	assert_int_equal(write(r->kick, &one, sizeof(one)), sizeof(one));
}

void raw_hear(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
}

void raw_get_done(struct raw *r)
{
	uint32_t len;

	while (!vh_driver_ring_get(r->ring, &len)) {
		if (!vh_driver_ring_arm(r->ring))
			raw_hear(r->call);
	}
}

/* ---- Life ---- */

static void negotiate(struct raw *r)
{
	const uint64_t features = raw_get(r, VH_MSG_GET_FEATURES) & RAW_FEATURES;
	const uint64_t all = raw_get(r, VH_MSG_GET_PROTOCOL_FEATURES);
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_PROTOCOL_FEATURES);
	m.u64 = all;
	assert_int_equal(vh_connector_send(r->c, &m), 0);
	assert_int_equal(raw_set(r, VH_MSG_SET_FEATURES, features), 0);
}

void raw_open(struct raw *r, const char *address)
{
	struct vh_msg m;

	make_memory(r);
	assert_int_equal(vh_driver_ring_create(r->va[0], RAW_SIZE, RAW_FEATURES,
					       to_device, r, &r->ring),
			 0);
	r->kick = eventfd(0, EFD_CLOEXEC);
	r->call = eventfd(0, EFD_CLOEXEC);
	r->err = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(vh_connector_open(address, VH_ROLE_FRONTEND, "raw", &r->c), 0);
	assert_int_equal(next_news(r, &m, 60000), VH_NEWS_UP);
	negotiate(r);
	for (unsigned i = 0; i < 2; i++) {
		raw_init_slot(r, &m, VH_MSG_ADD_MEM_REG, i);
		assert_int_equal(raw_ack(r, &m), 0);
	}
}

void raw_close(struct raw *r)
{
	vh_connector_close(r->c);
	vh_driver_ring_destroy(r->ring);
	for (unsigned i = 0; i < 2; i++) {
		munmap(r->va[i], RAW_REGION);
		close(r->memory[i]);
	}
	close(r->kick);
	close(r->call);
	close(r->err);
}
