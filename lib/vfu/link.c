/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  A message is read in two parts, header and payload, and
 * never a byte of the next one, so that the kernel gives its fds with its own
 * first byte: fds in the middle of a message are a client that put them elsewhere.
 *
 * A reply goes out in one sendmsg(), since clients (QEMU, cloud-hypervisor, SPDK) read
 * a header, or all of it, in one call.  If the socket takes only a part of it,
 * the rest waits here and with it everything else; the client, which does not
 * read, has only itself to wait for.
 */
#include "vfu/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/rights.h"

/* ---- Life ---- */

int vh_vfu_link_init(struct vh_vfu_link *l, const char *tag)
{
	*l = (struct vh_vfu_link){.tag = tag, .fd = -1};
	/* Not touched before a client sends that much. */
	l->in = malloc(VH_VFU_MAX_MSG);
	l->out = malloc(VH_VFU_MAX_MSG);
	l->command = malloc(VH_VFU_MAX_COMMAND);
	return l->in && l->out && l->command ? 0 : -ENOMEM;
}

void vh_vfu_link_fini(struct vh_vfu_link *l)
{
	vh_vfu_link_close(l);
	free(l->in);
	free(l->out);
	free(l->command);
}

void vh_vfu_link_open(struct vh_vfu_link *l, int fd)
{
	const int off = 0, on = 1;

	l->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

static void drop_output(struct vh_vfu_link *l)
{
	for (unsigned i = 0; i < l->n_out_fds; i++)
		close(l->out_fds[i]);
	l->n_out_fds = 0;
	l->out_len = l->out_done = 0;
	l->command_len = l->command_done = 0;
}

void vh_vfu_link_next(struct vh_vfu_link *l)
{
	for (unsigned i = 0; i < l->n_fds; i++)
		vh_fd_drop(&l->fds[i]);
	l->n_fds = 0;
	l->have = 0;
}

void vh_vfu_link_close(struct vh_vfu_link *l)
{
	vh_fd_drop(&l->fd);
	vh_vfu_link_next(l);
	drop_output(l);
}

/* ---- In ---- */

static int broken(const struct vh_vfu_link *l, const char *why)
{
	vh_log(l, VH_LOG_WARN, "a message of the client: %s", why);
	return -EPROTO;
}

static int read_failed(const struct vh_vfu_link *l, int err)
{
	if (err == EAGAIN || err == EINTR)
		return 0;
	if (err != ECONNRESET)
		vh_log(l, VH_LOG_WARN, "cannot read: %s", vh_strerror(-err));
	return -EPIPE;
}

static int read_some(struct vh_vfu_link *l, size_t want)
{
	struct vh_rights r = {.fds = l->fds, .n = l->n_fds, .max = VH_VFU_MAX_FDS};
	const ssize_t n = vh_rights_recv(l->fd, l->in + l->have, want, &r);

	l->n_fds = r.n;
	if (n < 0)
		return read_failed(l, (int)-n);
	if (r.lost)
		return broken(l, "descriptors were lost: this process may not open more "
				 "files (ulimit -n)");
	if (r.came && l->have)
		return broken(l, "descriptors did not come with its first byte");
	if (!n) {
		if (l->have)
			vh_log(l, VH_LOG_WARN,
			       "the client went in the middle of a message");
		return -EPIPE;
	}
	l->have += (size_t)n;
	return 1;
}

static int read_until(struct vh_vfu_link *l, size_t total)
{
	int got = 1;

	while (got > 0 && l->have < total)
		got = read_some(l, total - l->have);
	return got;
}

int vh_vfu_link_read(struct vh_vfu_link *l)
{
	int got;

	if (l->have < VH_VFU_HEADER) {
		got = read_until(l, VH_VFU_HEADER);
		if (got <= 0)
			return got;
		if (vh_vfu_header_decode(l->in, &l->header) < 0)
			return -EBADMSG;
	}
	return read_until(l, l->header.size);
}

int vh_vfu_link_take_fd(struct vh_vfu_link *l, unsigned i)
{
	return i < l->n_fds ? vh_fd_take(&l->fds[i]) : -1;
}

bool vh_vfu_link_is_hung_up(const struct vh_vfu_link *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* ---- Out ---- */

/* The reader gets what the client sent before, and then the end: told once, in order. */
static void cannot_send(struct vh_vfu_link *l, int err)
{
	if (err != EPIPE && err != ECONNRESET)
		vh_log(l, VH_LOG_WARN, "cannot send: %s", vh_strerror(-err));
	drop_output(l);
	shutdown(l->fd, SHUT_RDWR);
}

/* What is left of @bytes, with @fds; how many went out, and with the first all fds. */
static size_t send_some(struct vh_vfu_link *l, const uint8_t *bytes, size_t len,
			const int *fds, unsigned n_fds)
{
	const ssize_t n = vh_rights_send(l->fd, bytes, len, fds, n_fds);

	if (n < 0 && n != -EAGAIN && n != -EINTR)
		cannot_send(l, (int)-n);
	return n > 0 ? (size_t)n : 0;
}

/* True when some of the reply, and so the fds, went out. */
static bool send_reply(struct vh_vfu_link *l, const int *fds, unsigned n_fds)
{
	const size_t n =
		send_some(l, l->out + l->out_done, l->out_len - l->out_done, fds, n_fds);

	/* Otherwise it may have been dropped. */
	if (n)
		l->out_done += n;
	return n;
}

static void send_command(struct vh_vfu_link *l)
{
	const size_t n = send_some(l, l->command + l->command_done,
				   l->command_len - l->command_done, NULL, 0);

	if (n)
		l->command_done += n;
}

/* A message that is partly out has to be finished before another one. */
static bool command_is_cut(struct vh_vfu_link *l)
{
	if (l->command_done && vh_vfu_link_has_command(l))
		send_command(l);
	return l->command_done && vh_vfu_link_has_command(l);
}

/* Their owner may close them before there is room. */
static void keep_out_fds(struct vh_vfu_link *l, const int *fds, unsigned n_fds)
{
	for (unsigned i = 0; i < n_fds; i++) {
		const int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			cannot_send(l, errno);
			return;
		}
		l->out_fds[l->n_out_fds++] = fd;
	}
}

void vh_vfu_link_reply(struct vh_vfu_link *l, int err, size_t len, const int *fds,
		       unsigned n_fds)
{
	vh_vfu_reply_encode(l->out, &l->header, err, len);
	l->out_len = VH_VFU_HEADER + (err ? 0 : len);
	l->out_done = 0;
	if ((command_is_cut(l) || !send_reply(l, fds, n_fds)) &&
	    vh_vfu_link_has_output(l))
		keep_out_fds(l, fds, n_fds);
}

void vh_vfu_link_command(struct vh_vfu_link *l, uint16_t id, uint16_t command,
			 const void *head, size_t head_len, const void *data, size_t len)
{
	const struct vh_vfu_header h = {
		.id = id,
		.command = command,
		.size = (uint32_t)(VH_VFU_HEADER + head_len + len),
	};

	memcpy(l->command, &h, sizeof(h));
	memcpy(l->command + sizeof(h), head, head_len);
	if (len)
		memcpy(l->command + sizeof(h) + head_len, data, len);
	l->command_len = h.size;
	l->command_done = 0;
	if (!vh_vfu_link_has_output(l))
		send_command(l);
}

static void flush_reply(struct vh_vfu_link *l)
{
	if (!vh_vfu_link_has_output(l) || !send_reply(l, l->out_fds, l->n_out_fds))
		return;
	for (unsigned i = 0; i < l->n_out_fds; i++)
		close(l->out_fds[i]);
	l->n_out_fds = 0;
}

void vh_vfu_link_flush(struct vh_vfu_link *l)
{
	if (command_is_cut(l))
		return;
	flush_reply(l);
	if (!vh_vfu_link_has_output(l) && vh_vfu_link_has_command(l))
		send_command(l);
}
