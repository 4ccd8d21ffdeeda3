/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between a front-end and a driver that both say anything, at a socket pair and
 * through the relay's calls.  The input is a row of events: a byte that says which, and
 * what that reads.  A payload is made of bytes of the input, with the sizes and counts
 * set right, unless the input says otherwise, so that most messages get past the decoder.
 *
 * What must hold: the guest side gets whole messages, of a session that it knows of; the
 * front-end gets whole answers; nothing is wired between sessions; no fd is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "vvu/relay.h"

#define HEADER	 sizeof(struct vh_wire_header)
#define N_VRINGS 4u

/* The first byte. */
enum { HOW_FEATURES = 31, HOW_READY = 32, HOW_OFFSETS = 64, HOW_LATE = 128 };

enum {
	EV_SAY,	  /* a message of the front-end */
	EV_WRITE, /* bytes of it                */
	EV_ANSWER,
	EV_REQUEST,
	EV_SEND, /* bytes of the driver        */
	EV_CHANNEL,
	EV_READY,
	EV_RESET,
	EV_ROOM,
	EV_RING,
	EV_KICK,
	EV_PLACED,
	EV_DRIVER,
	EV_READ,
	EV_CLOSE,
	EV_COUNT
};

struct world {
	struct fuzz_input in;
	struct vh_reactor *reactor;
	struct vh_relay *relay;
	struct vh_area *area;
	struct vh_window window;
	int peer, channel; /* the front-end's ends; -1: none */
	bool up;
	unsigned buffers;
	/* of the last requests that were delivered, for answers that fit */
	uint32_t asked;
	/* a table that is being placed */
	bool late;
	struct vh_window_table *table;
	void (*done)(void *arg, int err);
	void *arg;
};

/* Of the process: what the front-end sends. */
static int eventfds[2], memory;

/* ---- The guest side ---- */

static int deliver(void *arg, const void *msg, size_t len)
{
	struct world *w = arg;
	struct vh_wire_header h;

	FUZZ_CHECK(w->up && len >= HEADER);
	memcpy(&h, msg, HEADER);
	FUZZ_CHECK(len == HEADER + h.size);
	FUZZ_CHECK((h.flags & VH_FLAG_VERSION_MASK) == VH_FLAG_VERSION);
	if (!w->buffers)
		return -EAGAIN;
	w->buffers--;
	if (len > 4096)
		return -EMSGSIZE;
	w->asked = h.request;
	return 0;
}

static void nothing_is_wired(const struct world *w)
{
	struct vh_relay_wires wires;

	for (unsigned i = 0; i < N_VRINGS; i++) {
		vh_relay_wires(w->relay, i, &wires);
		FUZZ_CHECK(!wires.kick && !wires.call && !wires.err);
	}
}

static void session(void *arg, bool up, enum vh_relay_end why)
{
	struct world *w = arg;

	FUZZ_CHECK(up != w->up);
	FUZZ_CHECK(up == (why == VH_RELAY_NONE));
	w->up = up;
	if (!up)
		nothing_is_wired(w);
}

static void kicked(void *arg, unsigned vring)
{
	FUZZ_CHECK(((struct world *)arg)->up && vring < N_VRINGS);
}

static void new_memory(void *arg, const struct vh_window_table *table)
{
	FUZZ_CHECK(((struct world *)arg)->up && table->n <= VH_MAX_TABLE_REGIONS);
}

static void new_area(void *arg, uint8_t shmid, uint64_t offset, uint64_t size)
{
	FUZZ_CHECK(shmid == VH_VVU_SHM_LOG || shmid == VH_VVU_SHM_INFLIGHT);
	FUZZ_CHECK(size <= VH_AREA_SIZE && offset <= VH_AREA_SIZE - size);
}

static const struct vh_relay_ops guest = {
	.deliver = deliver,
	.session = session,
	.kick = kicked,
	.memory = new_memory,
	.area = new_area,
};

/* ---- The window ---- */

static int place(struct vh_window *window, struct vh_msg *m,
		 struct vh_window_table *table, void (*done)(void *arg, int err),
		 void *arg)
{
	struct world *w = vh_container_of(window, struct world, window);
	uint64_t at = 0;

	FUZZ_CHECK(m->n_fds == m->mem.n);
	*table = (struct vh_window_table){.n = m->mem.n};
	for (unsigned i = 0; i < m->mem.n; i++) {
		const struct vh_wire_region *r = &m->mem.region[i];

		at += fuzz_u8(&w->in) * 4096ull;
		table->region[i] = (struct vh_window_region){r->gpa, r->size, r->uva, at};
		at += r->size;
	}
	w->done = NULL;
	if (!w->late)
		return fuzz_u8(&w->in) == 1 ? -ENOSPC : 0;
	w->table = table;
	w->done = done;
	w->arg = arg;
	return -EINPROGRESS;
}

static void drop(struct vh_window *window)
{
	vh_container_of(window, struct world, window)->done = NULL;
}

static const struct vh_window_ops window_ops = {.place = place, .drop = drop};

static void placed(struct world *w)
{
	void (*done)(void *arg, int err) = w->done;

	w->done = NULL;
	if (done)
		done(w->arg, fuzz_u8(&w->in) == 1 ? -EIO : 0);
}

/* ---- Messages ---- */

/* Bytes for @payload; how many. */
static uint32_t fill(struct fuzz_input *in, uint8_t payload, uint8_t *bytes)
{
	static const uint8_t sizes[VH_PAYLOAD_COUNT] = {
		[VH_PAYLOAD_U64] = 8,	   [VH_PAYLOAD_STATE] = 8,
		[VH_PAYLOAD_ADDR] = 40,	   [VH_PAYLOAD_MEM_REG] = 40,
		[VH_PAYLOAD_LOG] = 16,	   [VH_PAYLOAD_IOTLB] = 32,
		[VH_PAYLOAD_AREA] = 24,	   [VH_PAYLOAD_INFLIGHT] = 24,
		[VH_PAYLOAD_VRING_FD] = 8, [VH_PAYLOAD_SHARED] = 16,
		[VH_PAYLOAD_XFER] = 8,	   [VH_PAYLOAD_MMAP] = 40,
		[VH_PAYLOAD_ACK] = 8,	   [VH_PAYLOAD_OPAQUE] = 16,
	};
	uint32_t n = payload < VH_PAYLOAD_COUNT ? sizes[payload] : 0;

	if (payload == VH_PAYLOAD_MEM) {
		const uint32_t regions = fuzz_u8(in) % (VH_MAX_TABLE_REGIONS + 2);

		memset(bytes, 0, 8);
		memcpy(bytes, &regions, sizeof(regions));
		fuzz_bytes(in, bytes + 8, regions * 32);
		return 8 + regions * 32;
	}
	if (payload == VH_PAYLOAD_CONFIG) {
		const uint32_t size = fuzz_u16(in) % (VH_MAX_CONFIG + 1);

		memset(bytes, 0, 12 + size);
		memcpy(bytes + 4, &size, sizeof(size));
		return 12 + size;
	}
	fuzz_bytes(in, bytes, n);
	return n;
}

/* A whole message in @bytes (HEADER + VH_MAX_PAYLOAD); its length. */
static size_t make_message(struct fuzz_input *in, uint8_t *bytes, uint32_t id,
			   uint8_t payload, uint32_t flags)
{
	struct vh_wire_header h = {.request = id, .flags = flags};
	uint8_t twist = fuzz_u8(in);

	h.size = fill(in, payload, bytes + HEADER);
	if (twist == 1)
		h.flags = fuzz_u8(in);
	if (twist == 2)
		h.size = fuzz_u16(in) % VH_MAX_PAYLOAD;
	if (twist == 3)
		h.request = fuzz_u32(in);
	memcpy(bytes, &h, HEADER);
	return HEADER + h.size;
}

static void write_all(int fd, const uint8_t *bytes, size_t len, const int *fds,
		      unsigned n_fds)
{
	char space[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		h.msg_control = space;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, n_fds * sizeof(int));
	}
	/* It may be full, or closed on the other side. */
	if (fd >= 0 && len)
		(void)!sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What @payload calls for, unless the input has a number of its own. */
static unsigned pick_fds(struct world *w, const struct vh_rule *rule,
			 const uint8_t *payload, int fds[8])
{
	const uint8_t how = fuzz_u8(&w->in);
	unsigned n = 0;

	if (rule && rule->fds == VH_FDS_REGIONS)
		n = payload[0];
	else if (rule && rule->fds == VH_FDS_NOFD_BIT)
		n = !(payload[1] & 1);
	else if (rule && rule->fds != VH_FDS_0)
		n = 1;
	if (how & 0x80)
		n = how % 9;
	if (n > 8)
		n = 8;
	for (unsigned i = 0; i < n; i++)
		fds[i] = how & 1 ? memory : eventfds[i % 2];
	if (rule && (rule->payload == VH_PAYLOAD_MEM || rule->payload == VH_PAYLOAD_LOG))
		for (unsigned i = 0; i < n; i++)
			fds[i] = memory;
	if (rule && rule->payload == VH_PAYLOAD_INFLIGHT && n && !(how & 2))
		fds[0] = vh_area_fd(w->area);
	return n;
}

/* SET_BACKEND_REQ_FD with a real socket; the other end is kept. */
static int new_channel(struct world *w)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	if (w->channel >= 0)
		close(w->channel);
	w->channel = pair[0];
	return pair[1];
}

static void say(struct world *w)
{
	const uint32_t id = fuzz_u8(&w->in) & 63;
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);
	const uint8_t need = fuzz_u8(&w->in) & VH_FLAG_NEED_REPLY;
	uint8_t bytes[HEADER + VH_MAX_PAYLOAD] = {0};
	int fds[8], socket = -1;
	size_t len = make_message(&w->in, bytes, id,
				  rule ? rule->payload : VH_PAYLOAD_OPAQUE,
				  VH_FLAG_VERSION | need);
	unsigned n = pick_fds(w, rule, bytes + HEADER, fds);

	if (id == VH_MSG_SET_BACKEND_REQ_FD && n)
		fds[0] = socket = new_channel(w);
	if (id == VH_MSG_SET_BACKEND_REQ_FD && socket < 0)
		n = 0;
	write_all(w->peer, bytes, len, fds, n);
	if (socket >= 0)
		close(socket);
}

/* From memory that is as long as the message, so that a sanitizer sees its end. */
static void send_exactly(struct world *w, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	const bool up = w->up;
	const int err = vh_relay_send(w->relay, copy, len);

	FUZZ_CHECK(err == 0 || (err == -EPROTO && up && !w->up));
	free(copy);
}

static void answer(struct world *w)
{
	const uint8_t pick = fuzz_u8(&w->in);
	const uint32_t id = pick ? pick & 63 : w->asked;
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);
	uint8_t bytes[HEADER + VH_MAX_PAYLOAD] = {0};
	const size_t len = make_message(&w->in, bytes, id,
					rule ? rule->reply : VH_PAYLOAD_OPAQUE,
					VH_FLAG_VERSION | VH_FLAG_REPLY);

	send_exactly(w, bytes, len);
}

static void request(struct world *w)
{
	const uint32_t id = fuzz_u8(&w->in) & 15;
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_BACKEND, id);
	const uint8_t need = fuzz_u8(&w->in) & VH_FLAG_NEED_REPLY;
	uint8_t bytes[HEADER + VH_MAX_PAYLOAD] = {0};
	const size_t len = make_message(&w->in, bytes, id,
					rule ? rule->payload : VH_PAYLOAD_OPAQUE,
					VH_FLAG_VERSION | need);

	send_exactly(w, bytes, len);
}

static void answer_on_channel(struct world *w)
{
	uint8_t bytes[HEADER + VH_MAX_PAYLOAD] = {0};
	const size_t len = make_message(&w->in, bytes, fuzz_u8(&w->in) & 15,
					VH_PAYLOAD_ACK, VH_FLAG_VERSION | VH_FLAG_REPLY);

	write_all(w->channel, bytes, len, NULL, 0);
}

static void raw(struct world *w, bool front)
{
	uint8_t bytes[256];
	const size_t len = fuzz_bytes(&w->in, bytes, fuzz_u8(&w->in));

	if (front)
		write_all(w->peer, bytes, len, NULL, 0);
	else
		send_exactly(w, bytes, len);
}

/* ---- What the front-end gets ---- */

/* Close what came with a message. */
static void close_received(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
}

/* True when there was a whole message. */
static bool read_message(int fd, uint32_t flags)
{
	char space[CMSG_SPACE(8 * sizeof(int))];
	uint8_t payload[VH_MAX_PAYLOAD];
	struct vh_wire_header h;
	struct iovec iov = {.iov_base = &h, .iov_len = HEADER};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = sizeof(space)};
	const ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	close_received(&m);
	if (n < (ssize_t)HEADER) /* the end of what it takes */
		return false;
	FUZZ_CHECK((h.flags & ~VH_FLAG_NEED_REPLY) == flags);
	FUZZ_CHECK(h.size <= VH_MAX_PAYLOAD);
	return !h.size || recv(fd, payload, h.size, MSG_DONTWAIT) == (ssize_t)h.size;
}

static void read_answers(struct world *w)
{
	while (w->peer >= 0 && read_message(w->peer, VH_FLAG_VERSION | VH_FLAG_REPLY))
		;
	while (w->channel >= 0 && read_message(w->channel, VH_FLAG_VERSION))
		;
}

static void hang_up(struct world *w)
{
	if (w->peer >= 0)
		close(w->peer);
	w->peer = -1;
}

/* ---- Events ---- */

static void set_ready(struct world *w, bool ready)
{
	vh_relay_set_ready(w->relay, ready);
	if (!ready)
		w->up = false;
}

static void one_event(struct world *w)
{
	switch (fuzz_u8(&w->in) % EV_COUNT) {
	case EV_SAY:
		say(w);
		break;
	case EV_WRITE:
		raw(w, true);
		break;
	case EV_ANSWER:
		answer(w);
		break;
	case EV_REQUEST:
		request(w);
		break;
	case EV_SEND:
		raw(w, false);
		break;
	case EV_CHANNEL:
		answer_on_channel(w);
		break;
	case EV_READY:
		set_ready(w, fuzz_u8(&w->in) & 1);
		break;
	case EV_RESET:
		vh_relay_reset(w->relay);
		w->up = false;
		break;
	case EV_ROOM:
		w->buffers += fuzz_u8(&w->in) & 7;
		vh_relay_room(w->relay);
		break;
	case EV_RING:
		vh_relay_ring(w->relay, fuzz_u8(&w->in));
		break;
	case EV_KICK:
		eventfd_write(eventfds[fuzz_u8(&w->in) & 1], 1);
		break;
	case EV_PLACED:
		placed(w);
		break;
	case EV_DRIVER:
		vh_relay_set_driver(w->relay, fuzz_u8(&w->in), 4096);
		break;
	case EV_READ:
		read_answers(w);
		break;
	case EV_CLOSE:
		hang_up(w);
		break;
	}
}

static void drive(struct world *w)
{
	while (vh_reactor_poll(w->reactor, 0) > 0)
		;
	FUZZ_CHECK(vh_relay_is_up(w->relay) == w->up);
	if (!w->up)
		nothing_is_wired(w);
}

/* ---- Life ---- */

static void be_quiet(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
}

static void once(void)
{
	eventfds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	memory = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(eventfds[0] >= 0 && eventfds[1] >= 0 && memory >= 0);
	FUZZ_CHECK(ftruncate(memory, 1 << 20) == 0);
	vh_log_set(VH_LOG_DEBUG, be_quiet, NULL);
}

/* The number of the next fd: it is higher when one was left open. */
static int lowest_fd(void)
{
	const int fd = dup(memory);

	close(fd);
	return fd;
}

static void open_world(struct world *w, uint8_t how)
{
	const struct vh_reactor_params rp = {
		.size = sizeof(rp), .name = "fuzz", .cpu = -1, .poll = VH_POLL_SLEEP};
	struct vh_relay_params p = {
		.tag = "fuzz",
		.accept_early = true,
		.max_vrings = N_VRINGS,
		.pairs = 2,
		.layout = how & HOW_OFFSETS ? VH_LAYOUT_OFFSET : VH_LAYOUT_SUM,
		.window = &w->window,
		.ops = &guest,
		.arg = w,
	};
	char address[16];
	int pair[2];

	w->window.ops = &window_ops;
	w->late = how & HOW_LATE;
	w->channel = -1;
	w->buffers = 16;
	FUZZ_CHECK(vh_area_create("fuzz", &w->area) == 0);
	FUZZ_CHECK(vh_reactor_create(&rp, &w->reactor) == 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	w->peer = pair[0];
	snprintf(address, sizeof(address), "fd:%d", pair[1]);
	p.front = address;
	p.area = w->area;
	FUZZ_CHECK(vh_relay_create(w->reactor, &p, &w->relay) == 0);
	vh_relay_set_driver(w->relay, how & HOW_FEATURES, 4096);
	vh_relay_set_ready(w->relay, how & HOW_READY);
}

static void close_world(struct world *w)
{
	vh_relay_destroy(w->relay);
	vh_reactor_destroy(w->reactor);
	vh_area_destroy(w->area);
	hang_up(w);
	if (w->channel >= 0)
		close(w->channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.in = {data, size}};
	eventfd_t n;
	int lowest;

	if (!memory)
		once();
	for (unsigned i = 0; i < 2; i++)
		(void)!eventfd_read(eventfds[i], &n);
	lowest = lowest_fd();
	open_world(&w, fuzz_u8(&w.in));
	drive(&w);
	while (w.in.left) {
		one_event(&w);
		drive(&w);
	}
	close_world(&w);
	FUZZ_CHECK(lowest_fd() == lowest);
	return 0;
}
