/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake_backend.h.  One thread, which serves one connection after the other. */
#include "fake_backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/cleanup.h"

struct request {
	struct vh_wire_header h;
	union {
		uint64_t u64;
		struct vh_wire_state state;
		struct vh_wire_addr addr;
		struct vh_wire_mem mem;
		struct vh_wire_config config;
		uint8_t bytes[VH_MAX_PAYLOAD];
	};
	unsigned n_fds;
	int fds[VH_MAX_FDS];
};

/* ---- Bytes ---- */

/* False at the end. */
static bool read_all(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (uint8_t *)buf + done, len - done);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool read_header(int fd, struct request *r)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(VH_MAX_FDS * sizeof(int))];
	} space;
	struct iovec iov = {.iov_base = &r->h, .iov_len = sizeof(r->h)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &space,
			   .msg_controllen = sizeof(space)};

	r->n_fds = 0;
	if (recvmsg(fd, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(r->h))
		return false;
	if (CMSG_FIRSTHDR(&m)) {
		const size_t len = CMSG_FIRSTHDR(&m)->cmsg_len - CMSG_LEN(0);

		memcpy(r->fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), len);
		r->n_fds = len / sizeof(int);
	}
	return true;
}

static bool read_request(int fd, struct request *r)
{
	memset(r, 0, sizeof(*r));
	return read_header(fd, r) && r->h.size <= sizeof(r->bytes) &&
	       read_all(fd, r->bytes, r->h.size);
}

static bool send_bytes(int fd, uint32_t id, uint32_t flags, const void *payload,
		       uint32_t size, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(VH_MAX_FDS * sizeof(int))];
	} space = {0};
	const struct vh_wire_header h = {id, flags, size};
	struct iovec iov[] = {{(void *)&h, sizeof(h)}, {(void *)payload, size}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (n_fds) {
		m.msg_control = &space;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		space.align.cmsg_level = SOL_SOCKET;
		space.align.cmsg_type = SCM_RIGHTS;
		space.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(&space.align) + i * sizeof(int), &fd,
			       sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) >= 0;
}

/* ---- What requests do ---- */

static void take_fd(int *place, struct request *r)
{
	vh_fd_drop(place);
	*place = r->n_fds ? r->fds[--r->n_fds] : -1;
}

static void handle_vring(struct fake *f, struct request *r)
{
	struct fake_ring *ring = &f->ring[r->state.index % FAKE_QUEUES];

	switch (r->h.request) {
	case VH_MSG_SET_VRING_NUM:
		ring->num = r->state.num;
		break;
	case VH_MSG_SET_VRING_BASE:
		ring->base = r->state.num;
		break;
	case VH_MSG_SET_VRING_ADDR:
		ring->desc = r->addr.desc;
		ring->avail = r->addr.avail;
		ring->used = r->addr.used;
		break;
	case VH_MSG_SET_VRING_ENABLE:
		ring->enabled = r->state.num;
		break;
	case VH_MSG_SET_VRING_KICK:
		take_fd(&ring->kick, r);
		break;
	case VH_MSG_SET_VRING_CALL:
		take_fd(&ring->call, r);
		break;
	case VH_MSG_SET_VRING_ERR:
		take_fd(&ring->err, r);
		break;
	}
}

static void handle(struct fake *f, struct request *r)
{
	if (f->n_seen < FAKE_SEEN)
		f->seen[f->n_seen++] = r->h.request;
	f->last_u64[r->h.request % 64] = r->u64;
	handle_vring(f, r);
	if (r->h.request == VH_MSG_SET_BACKEND_REQ_FD)
		take_fd(&f->channel, r);
	if (r->h.request == VH_MSG_ADD_MEM_REG || r->h.request == VH_MSG_SET_MEM_TABLE) {
		f->n_regions += r->n_fds;
		f->seals = fcntl(r->fds[0], F_GET_SEALS);
	}
	while (r->n_fds)
		close(r->fds[--r->n_fds]);
}

/* ---- Answers ---- */

/* The payload that the table calls for, in place of the request's. */
static uint32_t make_answer(struct fake *f, struct request *r)
{
	const struct fake_ring *ring = &f->ring[r->state.index % FAKE_QUEUES];

	switch (r->h.request) {
	case VH_MSG_GET_FEATURES:
		r->u64 = f->features;
		break;
	case VH_MSG_GET_PROTOCOL_FEATURES:
		r->u64 = f->protocol_features;
		break;
	case VH_MSG_GET_QUEUE_NUM:
		r->u64 = f->queue_num;
		break;
	case VH_MSG_GET_MAX_MEM_SLOTS:
		r->u64 = f->slots;
		break;
	case VH_MSG_GET_STATUS:
		r->u64 = f->last_u64[VH_MSG_SET_STATUS];
		break;
	case VH_MSG_GET_VRING_BASE:
		r->state.num = f->base_lie;
		if (ring->used)
			r->state.num += *(const volatile uint16_t *)(ring->used + 2);
		break;
	case VH_MSG_GET_CONFIG:
		for (uint32_t i = 0; i < r->config.size; i++)
			r->config.data[i] = (uint8_t)(r->config.offset + i);
		return r->h.size;
	default:
		r->u64 = 0;
	}
	return sizeof(r->u64);
}

/* Requests on the back-end channel; an ack is read when it was asked for. */
static bool send_on_channel(struct fake *f, uint32_t id, bool ask)
{
	const uint8_t uuid[16] = {1};
	const uint32_t size = id == VH_MSG_BACKEND_CONFIG_CHANGE_MSG ? 0 : sizeof(uuid);
	struct request ack;

	if (!send_bytes(f->channel, id, VH_FLAG_VERSION | (ask ? VH_FLAG_NEED_REPLY : 0),
			uuid, size, 0))
		return false;
	if (!ask)
		return true;
	if (!read_request(f->channel, &ack))
		return false;
	f->question_ack = (uint32_t)ack.u64;
	return ack.h.request == id && ack.h.flags == (VH_FLAG_VERSION | VH_FLAG_REPLY);
}

static bool drain(int fd)
{
	char c;

	while (read(fd, &c, 1) > 0)
		;
	return false;
}

static bool flood(struct fake *f, int fd)
{
	while (send_on_channel(f, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, false))
		;
	return drain(fd);
}

/* The deed at a request that is answered with the @size bytes at @r; false: hang up. */
static bool misbehave(struct fake *f, enum fake_deed deed, int fd, struct request *r,
		      uint32_t size)
{
	const uint32_t flags = VH_FLAG_VERSION | VH_FLAG_REPLY, id = r->h.request;

	switch (deed) {
	case FAKE_HANG_UP:
		return false;
	case FAKE_SILENCE:
		return drain(fd);
	case FAKE_WRONG_ID:
		return send_bytes(fd, id + 1, flags, r->bytes, size, 0);
	case FAKE_WRONG_SIZE:
		return send_bytes(fd, id, flags, r->bytes, size - 1, 0);
	case FAKE_WRONG_FLAGS:
		return send_bytes(fd, id, flags | VH_FLAG_NEED_REPLY, r->bytes, size, 0);
	case FAKE_TWICE:
		send_bytes(fd, id, flags, r->bytes, size, 0);
		break;
	case FAKE_REFUSE:
		r->u64 = 1;
		size = id == VH_MSG_GET_CONFIG ? 0 : size;
		break;
	case FAKE_FDS:
		return send_bytes(fd, id, flags, r->bytes, size, 3);
	case FAKE_FLOOD:
		return flood(f, fd);
	case FAKE_NEWS:
		send_on_channel(f, VH_MSG_BACKEND_CONFIG_CHANGE_MSG, false);
		break;
	case FAKE_QUESTION:
		send_on_channel(f, VH_MSG_BACKEND_SHARED_OBJECT_ADD, true);
		break;
	case FAKE_NONE:
		break;
	}
	return send_bytes(fd, id, flags, r->bytes, size, 0);
}

static bool is_time(struct fake *f, uint32_t id, enum fake_deed *deed)
{
	bool is;

	pthread_mutex_lock(&f->lock);
	is = id == f->at && f->times;
	f->times -= is;
	*deed = f->deed;
	pthread_mutex_unlock(&f->lock);
	return is;
}

static bool is_answered(const struct request *r)
{
	return r->h.flags & VH_FLAG_NEED_REPLY ||
	       vh_rule_of(VH_CHANNEL_MAIN, r->h.request)->reply != VH_PAYLOAD_ACK;
}

static bool answer(struct fake *f, int fd, struct request *r)
{
	const uint32_t size = make_answer(f, r);
	enum fake_deed deed;

	if (is_time(f, r->h.request, &deed))
		return misbehave(f, deed, fd, r, size);
	if (!is_answered(r))
		return true;
	return send_bytes(fd, r->h.request, VH_FLAG_VERSION | VH_FLAG_REPLY, r->bytes,
			  size, 0);
}

/* ---- Life ---- */

/*
 * Only when the next client is there, or none comes any more: while this one is
 * on its way out, a test may still be looking at its rings.
 */
static void forget_rings(struct fake *f)
{
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		vh_fd_drop(&f->ring[i].kick);
		vh_fd_drop(&f->ring[i].call);
		vh_fd_drop(&f->ring[i].err);
	}
}

static void set_peer(struct fake *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	f->peer = fd;
	pthread_mutex_unlock(&f->lock);
}

static void *live(void *arg)
{
	struct fake *f = arg;
	struct request r;
	int fd;

	while ((fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		forget_rings(f);
		set_peer(f, fd);
		f->n_lives++;
		f->n_seen = 0;
		f->n_regions = 0;
		while (read_request(fd, &r)) {
			handle(f, &r);
			if (!answer(f, fd, &r))
				break;
		}
		vh_fd_drop(&f->channel);
		set_peer(f, -1);
		close(fd);
	}
	return NULL;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void start_listening(struct fake *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(f->listener, 4), 0);
}

int fake_setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	*f = (struct fake){.dir = "/tmp/vhost-test-XXXXXX",
			   .n_fds = count_fds(),
			   .features = VH_BIT(VIRTIO_F_VERSION_1) |
				       VH_BIT(VH_F_PROTOCOL_FEATURES),
			   .protocol_features = VH_BIT(VH_PF_COUNT) - 1,
			   .queue_num = 2,
			   .slots = 32,
			   .channel = -1,
			   .lock = PTHREAD_MUTEX_INITIALIZER,
			   .peer = -1};
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		f->ring[i].kick = f->ring[i].call = f->ring[i].err = -1;
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	snprintf(f->address, sizeof(f->address), "unix:%s", f->path);
	start_listening(f);
	assert_int_equal(pthread_create(&f->thread, NULL, live, f), 0);
	*state = f;
	return 0;
}

int fake_teardown(void **state)
{
	struct fake *f = *state;

	shutdown(f->listener, SHUT_RDWR);
	fake_hang_up(f); /* on a client that a failed test has left behind */
	pthread_join(f->thread, NULL);
	forget_rings(f);
	close(f->listener);
	unlink(f->path);
	rmdir(f->dir);
	assert_int_equal(count_fds(), f->n_fds);
	free(f);
	return 0;
}

struct vh_client *fake_client(const struct fake *f, unsigned timeout_ms)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = f->address,
					   .features = VH_BIT(VIRTIO_F_VERSION_1) |
						       VH_BIT(VIRTIO_RING_F_EVENT_IDX),
					   .memory = 65536,
					   .timeout_ms = timeout_ms};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	return c;
}

struct vh_client *fake_connected(const struct fake *f)
{
	struct vh_client *c = fake_client(f, 10000);

	assert_int_equal(vh_client_connect(c), 0);
	return c;
}

void fake_plan(struct fake *f, uint32_t at, enum fake_deed deed, unsigned times)
{
	pthread_mutex_lock(&f->lock);
	f->at = at;
	f->deed = deed;
	f->times = times;
	pthread_mutex_unlock(&f->lock);
}

void fake_hang_up(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	if (f->peer >= 0)
		shutdown(f->peer, SHUT_RDWR);
	pthread_mutex_unlock(&f->lock);
}

bool fake_saw(const struct fake *f, uint32_t id)
{
	for (unsigned i = 0; i < f->n_seen; i++) {
		if (f->seen[i] == id)
			return true;
	}
	return false;
}

/* ---- Rings ---- */

uint16_t fake_avail(const struct fake_ring *r, uint16_t i)
{
	return *(const volatile uint16_t *)(r->avail + 4 + 2 * (i % r->num));
}

uint16_t fake_avail_index(const struct fake_ring *r)
{
	return __atomic_load_n((const uint16_t *)(r->avail + 2), __ATOMIC_ACQUIRE);
}

void fake_set_used_index(const struct fake_ring *r, uint16_t index)
{
	__atomic_store_n((uint16_t *)(r->used + 2), index, __ATOMIC_RELEASE);
}

void fake_use(const struct fake_ring *r, uint16_t i, uint32_t head, uint32_t len)
{
	volatile uint32_t *elem = (volatile uint32_t *)(r->used + 4 + 8 * (i % r->num));

	elem[0] = head;
	elem[1] = len;
	fake_set_used_index(r, i + 1);
}

void fake_call(const struct fake_ring *r)
{
	const uint64_t one = 1;

	assert_int_equal(write(r->call, &one, sizeof(one)), sizeof(one));
}
