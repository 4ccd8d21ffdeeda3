/* SPDX-License-Identifier: BSD-3-Clause */
/* A client of vfio-user, from its own idea of the bytes. */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 20 /* what does not come by then never does */

/* Calls with a timeout are not begun again after a signal, as io_uring has them. */

/* As QEMU 11.1 sends it. */
static const char qemu_json[] =
	"{\"capabilities\": {\"max_msg_fds\": 16, \"max_data_xfer_size\": 1048576, "
	"\"pgsizes\": 4096, \"max_dma_maps\": 65535, \"write_multiple\": true, "
	"\"migration\": {\"pgsize\": 4096, \"max_bitmap_size\": 268435456}}}";

/* ---- A connection ---- */

static int connect_with(struct vfu_client *c, const char *path)
{
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	c->payload = malloc(VH_VFU_MAX_MSG);
	if (!c->payload)
		return -ENOMEM;
	if (TEMP_FAILURE_RETRY(connect(c->fd, (struct sockaddr *)&a, sizeof(a))) < 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	return 0;
}

int vfu_connect_with(struct vfu_client *c, const char *path)
{
	const int err = connect_with(c, path);

	if (err)
		vfu_disconnect(c);
	return err;
}

int vfu_connect_only(struct vfu_client *c, const char *path)
{
	*c = (struct vfu_client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	return c->fd < 0 ? -errno : vfu_connect_with(c, path);
}

int vfu_connect(struct vfu_client *c, const char *path)
{
	int err = vfu_connect_only(c, path);

	if (err)
		return err;
	err = vfu_version(c, 0, 0, qemu_json);
	if (err)
		vfu_disconnect(c);
	return err;
}

static void drop_fds(struct vfu_client *c)
{
	for (unsigned i = 0; i < c->n_fds; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	c->n_fds = 0;
}

void vfu_disconnect(struct vfu_client *c)
{
	drop_fds(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->payload);
	c->payload = NULL;
}

/* ---- Messages ---- */

union fd_space {
	struct cmsghdr align;
	char buf[CMSG_SPACE(VH_VFU_MAX_FDS * sizeof(int))];
};

int vfu_send_bytes(struct vfu_client *c, const void *bytes, size_t len, const int *fds,
		   unsigned n_fds)
{
	union fd_space space = {0};
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
	while (iov.iov_len) {
		const ssize_t n = TEMP_FAILURE_RETRY(sendmsg(c->fd, &h, MSG_NOSIGNAL));

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		h.msg_control = NULL;
		h.msg_controllen = 0;
	}
	return 0;
}

int vfu_send(struct vfu_client *c, uint16_t command, uint32_t flags, const void *payload,
	     size_t len, const int *fds, unsigned n_fds)
{
	const struct vh_vfu_header h = {.id = c->next_id++,
					.command = command,
					.size = (uint32_t)(sizeof(h) + len),
					.flags = flags};
	uint8_t *bytes = malloc(sizeof(h) + len);
	int err;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, &h, sizeof(h));
	if (len)
		memcpy(bytes + sizeof(h), payload, len);
	c->n_messages++;
	err = vfu_send_bytes(c, bytes, sizeof(h) + len, fds, n_fds);
	free(bytes);
	return err;
}

static void keep_fds(struct vfu_client *c, struct msghdr *h)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
		const size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n && c->n_fds < VFU_MAX_FDS; i++)
			memcpy(&c->fds[c->n_fds++], CMSG_DATA(m) + i * sizeof(int),
			       sizeof(int));
	}
}

static int read_failed(ssize_t n)
{
	if (!n || errno == ECONNRESET)
		return -EPIPE;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* The header first, so that not a byte of the next message is taken. */
int vfu_recv(struct vfu_client *c)
{
	union fd_space space;
	struct iovec iov = {.iov_base = &c->reply, .iov_len = sizeof(c->reply)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &space,
			   .msg_controllen = sizeof(space)};
	ssize_t n;

	drop_fds(c);
	n = TEMP_FAILURE_RETRY(recvmsg(c->fd, &h, MSG_CMSG_CLOEXEC));
	if (n <= 0)
		return read_failed(n);
	keep_fds(c, &h);
	if (n != sizeof(c->reply) || c->reply.size < sizeof(c->reply) ||
	    c->reply.size > VH_VFU_MAX_MSG)
		return -EBADMSG;
	c->len = c->reply.size - sizeof(c->reply);
	if (!c->len)
		return 0;
	n = TEMP_FAILURE_RETRY(
		recv(c->fd, c->payload, c->len, c->len > 32768 ? MSG_WAITALL : 0));
	if (n <= 0)
		return read_failed(n);
	return (size_t)n == c->len ? 0 : -EBADMSG;
}

static int check_reply(const struct vfu_client *c, uint16_t command)
{
	const struct vh_vfu_header *r = &c->reply;

	if (r->id != (uint16_t)(c->next_id - 1) || r->command != command)
		return -EBADMSG;
	if (r->flags == VH_VFU_REPLY)
		return r->error ? -EBADMSG : 0;
	if (r->flags != (VH_VFU_REPLY | VH_VFU_ERROR) || c->len || !r->error)
		return -EBADMSG;
	return -(int)r->error;
}

int vfu_ask(struct vfu_client *c, uint16_t command, const void *payload, size_t len,
	    const int *fds, unsigned n_fds)
{
	int err = vfu_send(c, command, 0, payload, len, fds, n_fds);

	if (!err)
		err = vfu_recv(c);
	return err ? err : check_reply(c, command);
}

/* One whose reply has @want bytes, which go to @reply. */
static int ask_for(struct vfu_client *c, uint16_t command, const void *payload,
		   size_t len, void *reply, size_t want)
{
	const int err = vfu_ask(c, command, payload, len, NULL, 0);

	if (err)
		return err;
	if (c->len != want)
		return -EBADMSG;
	memcpy(reply, c->payload, want);
	return 0;
}

/* ---- Commands ---- */

int vfu_version(struct vfu_client *c, uint16_t major, uint16_t minor, const char *json)
{
	uint8_t bytes[8192];
	const struct vh_vfu_version v = {.major = major, .minor = minor};
	size_t len = sizeof(v);
	int err;

	memcpy(bytes, &v, sizeof(v));
	if (json) {
		strcpy((char *)bytes + len, json);
		len += strlen(json) + 1;
	}
	err = vfu_ask(c, VH_VFU_VERSION, bytes, len, NULL, 0);
	if (err)
		return err;
	return c->len > sizeof(v) && !c->payload[c->len - 1] ? 0 : -EBADMSG;
}

int vfu_dma_map(struct vfu_client *c, uint64_t iova, uint64_t size, int fd,
		uint64_t offset, uint32_t flags)
{
	const struct vh_vfu_dma_map m = {.argsz = sizeof(m),
					 .flags = flags,
					 .offset = offset,
					 .iova = iova,
					 .size = size};

	return vfu_ask(c, VH_VFU_DMA_MAP, &m, sizeof(m), &fd, fd >= 0);
}

static int unmap(struct vfu_client *c, const struct vh_vfu_dma_unmap *u)
{
	struct vh_vfu_dma_unmap reply;
	const int err =
		ask_for(c, VH_VFU_DMA_UNMAP, u, sizeof(*u), &reply, sizeof(reply));

	return err || !memcmp(u, &reply, sizeof(*u)) ? err : -EBADMSG;
}

int vfu_dma_unmap(struct vfu_client *c, uint64_t iova, uint64_t size)
{
	const struct vh_vfu_dma_unmap u = {
		.argsz = sizeof(u), .iova = iova, .size = size};

	return unmap(c, &u);
}

int vfu_dma_unmap_all(struct vfu_client *c)
{
	const struct vh_vfu_dma_unmap u = {.argsz = sizeof(u), .flags = VH_VFU_UNMAP_ALL};

	return unmap(c, &u);
}

int vfu_get_info(struct vfu_client *c, struct vh_vfu_device_info *info)
{
	*info = (struct vh_vfu_device_info){.argsz = sizeof(*info)};
	return ask_for(c, VH_VFU_GET_INFO, info, sizeof(*info), info, sizeof(*info));
}

int vfu_get_irq_info(struct vfu_client *c, uint32_t index, struct vh_vfu_irq_info *info)
{
	*info = (struct vh_vfu_irq_info){.argsz = sizeof(*info), .index = index};
	return ask_for(c, VH_VFU_GET_IRQ_INFO, info, sizeof(*info), info, sizeof(*info));
}

/* The capability of a full reply. */
static int read_areas(struct vfu_client *c, uint32_t at, struct vfu_region *r)
{
	struct vh_vfu_sparse cap;

	if (at < sizeof(struct vh_vfu_region_info) || at + sizeof(cap) > c->len)
		return -EBADMSG;
	memcpy(&cap, c->payload + at, sizeof(cap));
	if (cap.id != VH_VFU_CAP_SPARSE || cap.n_areas > VFU_MAX_AREAS ||
	    at + sizeof(cap) + cap.n_areas * sizeof(r->area[0]) != c->len)
		return -EBADMSG;
	r->n_areas = cap.n_areas;
	memcpy(r->area, c->payload + at + sizeof(cap), cap.n_areas * sizeof(r->area[0]));
	return 0;
}

int vfu_get_region(struct vfu_client *c, uint32_t index, struct vfu_region *r)
{
	struct vh_vfu_region_info info = {.argsz = sizeof(info), .index = index};
	int err = ask_for(c, VH_VFU_GET_REGION_INFO, &info, sizeof(info), &info,
			  sizeof(info));

	*r = (struct vfu_region){.flags = info.flags, .size = info.size, .fd = -1};
	if (err || info.argsz == sizeof(info))
		return err;
	err = vfu_ask(c, VH_VFU_GET_REGION_INFO,
		      &(struct vh_vfu_region_info){.argsz = info.argsz, .index = index},
		      sizeof(info), NULL, 0);
	if (err)
		return err;
	memcpy(&info, c->payload, sizeof(info));
	r->flags = info.flags;
	r->offset = info.offset;
	err = c->len == info.argsz ? read_areas(c, info.cap_offset, r) : -EBADMSG;
	if (!err && c->n_fds == 1) {
		r->fd = c->fds[0];
		c->n_fds = 0;
	}
	return err;
}

int vfu_get_io_fds(struct vfu_client *c, uint32_t region, struct vfu_io_fd *io,
		   unsigned max, unsigned *n)
{
	const struct vh_vfu_io_fds ask = {.argsz = 4096, .index = region};
	struct vh_vfu_io_fds head;
	int err = vfu_ask(c, VH_VFU_GET_REGION_IO_FDS, &ask, sizeof(ask), NULL, 0);

	*n = 0;
	if (err)
		return err;
	memcpy(&head, c->payload, sizeof(head));
	if (c->len != head.argsz ||
	    c->len != sizeof(head) + head.count * sizeof(struct vh_vfu_io_fd_entry))
		return -EBADMSG;
	for (unsigned i = 0; i < head.count && i < max; i++) {
		struct vh_vfu_io_fd_entry e;

		memcpy(&e, c->payload + sizeof(head) + i * sizeof(e), sizeof(e));
		if (e.fd_index >= c->n_fds)
			return -EBADMSG;
		io[(*n)++] = (struct vfu_io_fd){
			.offset = e.offset, .size = e.size, .fd = c->fds[e.fd_index]};
	}
	c->n_fds = 0;
	return 0;
}

int vfu_set_irqs(struct vfu_client *c, uint32_t index, uint32_t flags, uint32_t start,
		 uint32_t count, const int *fds, unsigned n_fds)
{
	const struct vh_vfu_irq_set s = {.argsz = sizeof(s),
					 .flags = flags,
					 .index = index,
					 .start = start,
					 .count = count};

	return vfu_ask(c, VH_VFU_SET_IRQS, &s, sizeof(s), fds, n_fds);
}

int vfu_set_vector(struct vfu_client *c, unsigned vector, int fd)
{
	return vfu_set_irqs(c, VH_VFU_IRQ_MSIX, VH_VFU_SET_EVENTFD | VH_VFU_SET_TRIGGER,
			    vector, 1, &fd, fd >= 0);
}

int vfu_read(struct vfu_client *c, uint32_t region, uint64_t offset, void *buf,
	     uint32_t len)
{
	const struct vh_vfu_region_access a = {
		.offset = offset, .region = region, .count = len};
	const int err = vfu_ask(c, VH_VFU_REGION_READ, &a, sizeof(a), NULL, 0);

	if (err)
		return err;
	if (c->len != sizeof(a) + len || memcmp(c->payload, &a, sizeof(a)) != 0)
		return -EBADMSG;
	memcpy(buf, c->payload + sizeof(a), len);
	return 0;
}

/* The payload of a write, to be freed. */
static uint8_t *write_payload(uint32_t region, uint64_t offset, const void *buf,
			      uint32_t len)
{
	const struct vh_vfu_region_access a = {
		.offset = offset, .region = region, .count = len};
	uint8_t *p = malloc(sizeof(a) + len);

	if (!p)
		abort();
	memcpy(p, &a, sizeof(a));
	memcpy(p + sizeof(a), buf, len);
	return p;
}

int vfu_write(struct vfu_client *c, uint32_t region, uint64_t offset, const void *buf,
	      uint32_t len)
{
	const size_t head = sizeof(struct vh_vfu_region_access);
	uint8_t *p = write_payload(region, offset, buf, len);
	int err = vfu_ask(c, VH_VFU_REGION_WRITE, p, head + len, NULL, 0);

	if (!err && (c->len != head || memcmp(c->payload, p, head) != 0))
		err = -EBADMSG;
	free(p);
	return err;
}

int vfu_post(struct vfu_client *c, uint32_t region, uint64_t offset, const void *buf,
	     uint32_t len)
{
	uint8_t *p = write_payload(region, offset, buf, len);
	const int err = vfu_send(c, VH_VFU_REGION_WRITE, VH_VFU_NO_REPLY, p,
				 sizeof(struct vh_vfu_region_access) + len, NULL, 0);

	free(p);
	return err;
}

int vfu_reset(struct vfu_client *c)
{
	return vfu_ask(c, VH_VFU_RESET, NULL, 0, NULL, 0);
}
