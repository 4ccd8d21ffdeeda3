/* SPDX-License-Identifier: BSD-3-Clause */
#include "conn/rights.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5 */
#endif

union space {
	struct cmsghdr align;
	char buf[CMSG_SPACE(VH_RIGHTS_MAX * sizeof(int))];
};

static void keep(struct vh_rights *r, const struct cmsghdr *c)
{
	const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (r->n < r->max)
			r->fds[r->n++] = fd;
		else
			close(fd);
	}
	r->came = true;
}

/* Who holds our socket, too, can have the kernel add a pidfd to each message. */
static bool carries_fds(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET &&
	       (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD);
}

ssize_t vh_rights_recv(int socket, void *buf, size_t len, struct vh_rights *r)
{
	union space space;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &space,
			   .msg_controllen = CMSG_SPACE(r->max * sizeof(int))};
	const ssize_t n = recvmsg(socket, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	r->came = r->lost = false;
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
		if (carries_fds(c))
			keep(r, c);
	r->lost = h.msg_flags & MSG_CTRUNC;
	return n;
}

ssize_t vh_rights_send(int socket, const void *bytes, size_t len, const int *fds,
		       unsigned n_fds)
{
	union space space = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds) {
		h.msg_control = &space;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		space.align.cmsg_level = SOL_SOCKET;
		space.align.cmsg_type = SCM_RIGHTS;
		space.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&space.align), fds, n_fds * sizeof(int));
	}
	n = sendmsg(socket, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}
