/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a hostile client says to a vfio-user server.  Input: a byte that says which,
 * then for
 *
 *	0  a message: header and payload, to the decoder
 *	1  the text of VERSION's JSON
 *	2  a talk with a server that has memory, vectors and slow writes: records of
 *	   command, flags, what fds come along, length, payload
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "vfu/vfu.h"
#include "vfu/wire.h"

static void be_quiet(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	(void)arg;
	(void)level;
	(void)tag;
	FUZZ_CHECK(!strchr(text, '\n'));
}

/* ---- The decoder ---- */

static void read_all(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		(void)*(const volatile uint8_t *)&p[i];
}

static void look(const struct vh_vfu_cmd *c)
{
	switch (c->header.command) {
	case VH_VFU_VERSION:
		if (c->version.json)
			read_all((const uint8_t *)c->version.json,
				 strlen(c->version.json));
		break;
	case VH_VFU_SET_IRQS:
		FUZZ_CHECK(!c->n_fds || c->n_fds == c->set.count);
		FUZZ_CHECK(c->set.index < VH_VFU_IRQS);
		if (c->set.bools)
			read_all(c->set.bools, c->set.count);
		break;
	case VH_VFU_REGION_READ:
		FUZZ_CHECK(c->access.count <= VH_VFU_MAX_DATA);
		break;
	case VH_VFU_REGION_WRITE:
		FUZZ_CHECK(c->access.region < VH_VFU_REGIONS);
		read_all(c->access.data, c->access.count);
		break;
	case VH_VFU_REGION_WRITE_MULTI:
		for (uint64_t i = 0; i < c->multi.n; i++)
			FUZZ_CHECK(vh_vfu_multi_get(c, i).count <= 8);
		break;
	default:
		break;
	}
}

static void decode(struct fuzz_input *in)
{
	struct vh_vfu_header h;
	struct vh_vfu_cmd c;
	const char *why = NULL;
	uint8_t bytes[VH_VFU_HEADER], *payload;
	const unsigned n_fds = fuzz_u8(in);
	int err;

	fuzz_bytes(in, bytes, sizeof(bytes));
	if (vh_vfu_header_decode(bytes, &h) < 0)
		return;
	if (vh_vfu_payload_len(&h) > in->left)
		h.size = (uint32_t)(VH_VFU_HEADER + in->left);
	/* Of this size exactly, so that a byte too far is seen. */
	payload = malloc(vh_vfu_payload_len(&h) + !vh_vfu_payload_len(&h));
	FUZZ_CHECK(payload);
	fuzz_bytes(in, payload, vh_vfu_payload_len(&h));
	err = vh_vfu_cmd_decode(&h, payload, n_fds, &c, &why);
	FUZZ_CHECK(err == 0 || (err == -EINVAL && why));
	if (!err)
		look(&c);
	free(payload);
}

static void json(struct fuzz_input *in)
{
	char *text = malloc(in->left + 1);
	const size_t len = in->left;
	struct vh_vfu_caps caps;
	const char *why = NULL;
	int err;

	FUZZ_CHECK(text);
	fuzz_bytes(in, text, len);
	text[len] = '\0';
	err = vh_vfu_caps_read(text, &caps, &why);
	FUZZ_CHECK(err == 0 || (err == -EINVAL && why));
	FUZZ_CHECK(err || caps.max_fds <= 1024);
	free(text);
}

/* ---- A server ---- */

#define BAR_SIZE 8192u
#define SLOW	 64u /* a write here ends later */

struct server {
	struct vh_reactor *reactor;
	struct vh_vfu *v;
	char path[64];
	uint8_t bar[BAR_SIZE];
	int bar_fd, bell, memory;
	bool pending;
	struct vh_map *map;
	unsigned n_added, n_removed;
	unsigned n_asked, n_done; /* of memory by message */
	uint8_t remote[256];
};

static int own_read(void *arg, unsigned region, uint64_t offset, void *buf, size_t len)
{
	struct server *s = arg;

	FUZZ_CHECK(region < VH_VFU_REGIONS && offset + len <= BAR_SIZE);
	memcpy(buf, s->bar + offset, len);
	return offset == 8 ? -EIO : 0;
}

static int later(struct server *s)
{
	FUZZ_CHECK(!s->pending);
	s->pending = true;
	return -EINPROGRESS;
}

static void remote_done(void *arg, int err)
{
	struct server *s = arg;

	FUZZ_CHECK(err <= 0);
	s->n_done++;
}

/* As register 12 or 16 says: the page, in it the place, and how much. */
static void use_remote(struct server *s, const uint8_t *at, bool writes)
{
	const uint64_t iova = at[1] * 4096ull + at[2];

	if (writes ? vh_vfu_dma_write(s->v, iova, s->remote, at[3], remote_done, s)
		   : vh_vfu_dma_read(s->v, iova, s->remote, at[3], remote_done, s))
		return;
	s->n_asked++;
}

static int own_write(void *arg, unsigned region, uint64_t offset, const void *buf,
		     size_t len)
{
	struct server *s = arg;

	FUZZ_CHECK(region < VH_VFU_REGIONS && offset + len <= BAR_SIZE);
	memcpy(s->bar + offset, buf, len);
	if (offset == 9)
		vh_vfu_fault(s->v, "a register");
	if (offset == 10)
		vh_vfu_set_intx(s->v, s->bar[10] & 1);
	if (offset == 11)
		vh_vfu_interrupt(s->v, s->bar[11]);
	if (offset == 12 || offset == 16)
		use_remote(s, s->bar + offset, offset == 16);
	return offset == SLOW ? later(s) : 0;
}

static void use_map(struct server *s)
{
	vh_map_put(s->map);
	s->map = NULL;
	if (vh_vfu_map(s->v, &s->map) < 0)
		return;
	for (unsigned i = 0; i < s->map->n; i++)
		*(volatile uint8_t *)s->map->region[i].va = 1;
}

static int own_reset(void *arg)
{
	struct server *s = arg;

	use_map(s);
	return s->bar[0] & 1 ? later(s) : 0;
}

static int own_added(void *arg, const struct vh_vfu_dma *d)
{
	struct server *s = arg;

	FUZZ_CHECK(d->size && d->iova + d->size > d->iova);
	s->n_added++;
	use_map(s);
	return d->iova & 0x1000 ? -ENOMEM : 0;
}

static int own_removed(void *arg, const struct vh_vfu_dma *d)
{
	struct server *s = arg;

	s->n_removed++;
	vh_map_put(s->map);
	s->map = NULL;
	return d->iova & 0x2000 ? later(s) : 0;
}

static unsigned own_io_fds(void *arg, unsigned region, struct vh_vfu_io_fd *io,
			   unsigned max)
{
	struct server *s = arg;
	unsigned n = 0;

	for (; n < max && n <= region * 20; n++)
		io[n] = (struct vh_vfu_io_fd){.offset = n * 8, .fd = s->bell};
	return n;
}

static const struct vh_vfu_ops ops = {
	.read = own_read,
	.write = own_write,
	.reset = own_reset,
	.dma_added = own_added,
	.dma_removed = own_removed,
	.io_fds = own_io_fds,
};

static void drive(struct server *s)
{
	int n;

	do {
		n = vh_reactor_poll(s->reactor, 0);
		if (s->pending) {
			s->pending = false;
			vh_vfu_resume(s->v, 0);
			n = 1;
		}
	} while (n > 0);
}

static struct server *start(void)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params), .name = "fuzz", .cpu = -1, .poll = VH_POLL_SLEEP};
	struct vh_vfu_shape shape = {.n_vectors = 40, .intx = true};
	struct server *s = calloc(1, sizeof(*s));

	FUZZ_CHECK(s);
	s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->memory = memfd_create("memory", MFD_CLOEXEC);
	s->bar_fd = memfd_create("bar", MFD_CLOEXEC);
	FUZZ_CHECK(ftruncate(s->memory, 1 << 20) == 0);
	FUZZ_CHECK(ftruncate(s->bar_fd, BAR_SIZE) == 0);
	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape.region[i] =
			(struct vh_vfu_region){.size = i == 5 ? 0 : BAR_SIZE, .fd = -1};
	shape.region[2].fd = s->bar_fd;
	shape.region[2].n_areas = 1;
	shape.region[2].area[0].size = BAR_SIZE;
	snprintf(s->path, sizeof(s->path), "/tmp/fuzz-vfu-%d", (int)getpid());
	FUZZ_CHECK(vh_reactor_create(&params, &s->reactor) == 0);
	FUZZ_CHECK(vh_vfu_open(s->reactor, s->path, "fuzz", &shape, &ops, s, &s->v) == 0);
	return s;
}

static void stop(struct server *s)
{
	vh_map_put(s->map);
	vh_vfu_close(s->v);
	vh_reactor_destroy(s->reactor);
	close(s->bell);
	close(s->memory);
	close(s->bar_fd);
	free(s);
}

/* ---- Its client ---- */

static int connect_to(const struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, s->path);
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* May fail: a socket that is full, or closed by the server. */
static void send_with(int fd, const void *bytes, size_t len, const int *fds,
		      unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(32 * sizeof(int))];
	} space = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		h.msg_control = &space;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		space.align.cmsg_level = SOL_SOCKET;
		space.align.cmsg_type = SCM_RIGHTS;
		space.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&space.align), fds, n_fds * sizeof(int));
	}
	if (sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

/* One record; bit 7 of @how: as the bytes are, without a header that fits them. */
static void say(struct server *s, int fd, struct fuzz_input *in)
{
	const uint8_t command = fuzz_u8(in), flags = fuzz_u8(in), how = fuzz_u8(in),
		      len = fuzz_u8(in);
	const struct vh_vfu_header h = {.id = flags >> 6, /* as those of the server's */
					.command = command,
					.size = (uint32_t)sizeof(h) + len,
					.flags = flags & 0x3f};
	uint8_t bytes[sizeof(h) + 256];
	int fds[32];

	for (unsigned i = 0; i < 32; i++)
		fds[i] = how & 0x40 ? s->memory : s->bell;
	memcpy(bytes, &h, sizeof(h));
	fuzz_bytes(in, bytes + (how & 0x80 ? 0 : sizeof(h)), len);
	send_with(fd, bytes, how & 0x80 ? len : h.size, fds, how & 31);
}

/* No more than what it does not want to read. */
static void drain(int fd)
{
	static uint8_t bytes[1 << 16];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static int lowest_fd(void)
{
	const int fd = dup(0);

	close(fd);
	return fd;
}

static void talk(struct fuzz_input *in)
{
	static const uint8_t version[20] = {0, 0, 1, 0, 20};
	struct server *s = start();
	const int before = lowest_fd(), fd = connect_to(s);

	send_with(fd, version, sizeof(version), NULL, 0);
	while (in->left) {
		say(s, fd, in);
		drive(s);
		drain(fd);
	}
	close(fd);
	drive(s);
	FUZZ_CHECK(lowest_fd() == before);
	FUZZ_CHECK(s->n_added >= s->n_removed);
	FUZZ_CHECK(s->n_asked == s->n_done);
	stop(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	vh_log_set(VH_LOG_DEBUG, be_quiet, NULL);
	switch (fuzz_u8(&in) % 3) {
	case 0:
		decode(&in);
		break;
	case 1:
		json(&in);
		break;
	default:
		talk(&in);
	}
	return 0;
}
