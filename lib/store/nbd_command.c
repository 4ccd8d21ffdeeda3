/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See nbd_command.h.  A request is cut from front to back; @io->progress is how much of
 * it was cut, and one more than its length once its flush was sent.
 *
 * A command of NBD has one buffer, a request has many pieces.  A command costs two
 * headers, a send, a receive and the server's work for it: about what it costs to copy
 * some 32 KiB.  So larger pieces are commands of their own, and smaller ones are put
 * together in a buffer.  So are those that the server would find misaligned.
 */
#include "store/nbd_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define COPY_BELOW   (32u << 10)
#define COPY_AT_MOST (256u << 10)
/* Servers take 32 bits; qemu-nbd takes no more than 31 of them. */
#define RANGE_AT_MOST (1u << 30)

/* Commands of one request under way: to zero a terabyte by writing takes many. */
#define AT_ONCE 16u

/* Never written to; not const, so that it takes no room in the library's file. */
static char zeroes[256 << 10];

/* ---- Pieces ---- */

struct cursor {
	const struct iovec *v;
	size_t skip;   /* of that piece */
	uint64_t left; /* of the request, from here on */
};

static void cursor_advance(struct cursor *c, uint64_t n)
{
	c->left -= n;
	n += c->skip;
	while (c->left && n >= c->v->iov_len)
		n -= (c->v++)->iov_len;
	c->skip = n;
}

static struct cursor cursor_at(const struct vh_store_io *io, uint64_t pos)
{
	struct cursor c = {.v = io->iov, .left = io->len};

	cursor_advance(&c, pos);
	return c;
}

static char *cursor_pointer(const struct cursor *c)
{
	return (char *)c->v->iov_base + c->skip;
}

/* How many bytes from here on lie behind each other in memory? */
static uint64_t cursor_run(const struct cursor *c)
{
	const struct iovec *v = c->v;
	uint64_t n = v->iov_len - c->skip;

	while (n < c->left && (char *)v[1].iov_base == (char *)v->iov_base + v->iov_len)
		n += (++v)->iov_len;
	return n;
}

static uint64_t at_most(uint64_t n, uint64_t limit)
{
	return n < limit ? n : limit;
}

/* How much is worth a buffer: up to where a piece begins that is not. */
static uint64_t length_of_copy(const struct vh_nbd_caps *caps, struct cursor c)
{
	const uint64_t limit = at_most(at_most(COPY_AT_MOST, caps->max_length), c.left);
	uint64_t n = 0;

	while (n < limit) {
		const uint64_t run = cursor_run(&c);

		if (n && n % caps->min_block == 0 && run >= COPY_BELOW)
			break;
		cursor_advance(&c, at_most(run, limit - n));
		n += at_most(run, limit - n);
	}
	return n;
}

static void copy_pieces(struct cursor c, char *buffer, size_t len, bool to_buffer)
{
	while (len) {
		const size_t n = at_most(cursor_run(&c), len);

		if (to_buffer)
			memcpy(buffer, cursor_pointer(&c), n);
		else
			memcpy(cursor_pointer(&c), buffer, n);
		cursor_advance(&c, n);
		buffer += n;
		len -= n;
	}
}

/* ---- Commands ---- */

static struct vh_nbd_command *command_new(struct vh_nbd_link *l, struct vh_store_io *io,
					  uint64_t len, bool copied)
{
	/* libnbd allocates for each command, so may we. */
	struct vh_nbd_command *c = malloc(sizeof(*c) + (copied ? len : 0));

	if (!c)
		return NULL;
	*c = (struct vh_nbd_command){
		.owner = l,
		.io = io,
		.copied = copied,
		.at = io->progress,
		.len = len,
	};
	return c;
}

/* libnbd's lock is held here, so nothing can be done but take note. */
static int command_answered(void *arg, int *error)
{
	struct vh_nbd_command *c = arg;

	c->err = *error;
	vh_list_remove(&c->link);
	vh_list_append(&c->owner->answered, &c->link);
	return 1;
}

static int command_sent(struct vh_nbd_command *c, int64_t cookie)
{
	struct vh_nbd_link *l = c->owner;
	const int err = cookie < 0 ? nbd_get_errno() : 0;

	if (cookie >= 0)
		return 0;
	c->io->pending--;
	vh_list_remove(&c->link);
	free(c);
	if (vh_nbd_is_gone(l->now.nbd))
		return -ENOTCONN;
	return err && err != ENOTCONN ? -err : -EIO;
}

#define CALL_BACK(c) \
	((nbd_completion_callback){.callback = command_answered, .user_data = (c)})

static unsigned command_flags(const struct vh_nbd_caps *caps,
			      const struct vh_store_io *io)
{
	return io->flags & VH_STORE_FUA && caps->fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

/* Before libnbd gets it, for it may be answered at once. */
static void command_begin(struct vh_nbd_command *c)
{
	vh_list_append(&c->owner->commands, &c->link);
	c->io->progress += c->len;
	c->io->pending++;
}

static int send_data(struct vh_nbd_link *l, struct vh_store_io *io)
{
	const struct vh_nbd_caps *caps = &l->now.caps;
	const struct cursor at = cursor_at(io, io->progress);
	uint64_t len = at_most(at_most(cursor_run(&at), caps->max_length), at.left);
	bool copied;
	struct vh_nbd_command *c;
	char *data;

	len -= len % caps->min_block;
	copied = len < at.left && len < at_most(COPY_BELOW, caps->max_length);
	if (copied)
		len = length_of_copy(caps, at);
	c = command_new(l, io, len, copied);
	if (!c)
		return -ENOMEM;
	data = copied ? c->copy : cursor_pointer(&at);
	command_begin(c);
	if (io->op == VH_STORE_READ)
		return command_sent(c, nbd_aio_pread(l->now.nbd, data, len,
						     io->off + c->at, CALL_BACK(c), 0));
	if (copied)
		copy_pieces(at, data, len, true);
	return command_sent(c, nbd_aio_pwrite(l->now.nbd, data, len, io->off + c->at,
					      CALL_BACK(c), command_flags(caps, io)));
}

static int send_zeroes(struct vh_nbd_link *l, struct vh_store_io *io)
{
	const struct vh_nbd_caps *caps = &l->now.caps;
	const uint64_t limit = caps->zero ? RANGE_AT_MOST
					  : at_most(sizeof(zeroes), caps->max_length);
	const uint64_t len = at_most(io->len - io->progress, limit);
	const unsigned hole = io->flags & VH_STORE_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
	struct vh_nbd_command *c = command_new(l, io, len, false);

	if (!c)
		return -ENOMEM;
	command_begin(c);
	if (caps->zero)
		return command_sent(c, nbd_aio_zero(l->now.nbd, len, io->off + c->at,
						    CALL_BACK(c),
						    command_flags(caps, io) | hole));
	return command_sent(c, nbd_aio_pwrite(l->now.nbd, zeroes, len, io->off + c->at,
					      CALL_BACK(c), command_flags(caps, io)));
}

static int send_trim(struct vh_nbd_link *l, struct vh_store_io *io)
{
	const uint64_t len = at_most(io->len - io->progress, RANGE_AT_MOST);
	struct vh_nbd_command *c = command_new(l, io, len, false);

	if (!c)
		return -ENOMEM;
	command_begin(c);
	return command_sent(c,
			    nbd_aio_trim(l->now.nbd, len, io->off + c->at, CALL_BACK(c),
					 command_flags(&l->now.caps, io)));
}

static int send_flush(struct vh_nbd_link *l, struct vh_store_io *io)
{
	/* Whatever was left out: the request ends with this one. */
	struct vh_nbd_command *c = command_new(l, io, io->len + 1 - io->progress, false);

	if (!c)
		return -ENOMEM;
	command_begin(c);
	return command_sent(c, nbd_aio_flush(l->now.nbd, CALL_BACK(c), 0));
}

/* ---- Requests ---- */

int vh_nbd_request_check(const struct vh_nbd_caps *caps, const struct vh_store_io *io)
{
	if (io->op == VH_STORE_SECURE_ERASE || io->op >= VH_STORE_OPS)
		return -EOPNOTSUPP;
	if (io->op != VH_STORE_READ && io->op != VH_STORE_FLUSH && caps->readonly)
		return -EROFS;
	/* Another server, or another disk, may have come back. */
	if (!vh_range_inside(io->off, io->len, 0, caps->size) ||
	    (io->off | io->len) % caps->min_block)
		return -EIO;
	return 0;
}

static bool has_data_left(const struct vh_nbd_caps *caps, const struct vh_store_io *io)
{
	/* A discard is advice, which only some servers take. */
	return io->progress < io->len && (io->op != VH_STORE_DISCARD || caps->trim);
}

static bool has_flush_left(const struct vh_nbd_caps *caps, const struct vh_store_io *io)
{
	if (!caps->flush || io->progress > io->len || io->op == VH_STORE_READ)
		return false;
	return io->op == VH_STORE_FLUSH || (io->flags & VH_STORE_FUA && !caps->fua);
}

bool vh_nbd_request_is_due(const struct vh_nbd_caps *caps, const struct vh_store_io *io)
{
	if (has_data_left(caps, io))
		return io->pending < AT_ONCE;
	return !io->pending && has_flush_left(caps, io);
}

int vh_nbd_request_send(struct vh_nbd_link *l, struct vh_store_io *io)
{
	if (!has_data_left(&l->now.caps, io))
		return send_flush(l, io);
	switch (io->op) {
	case VH_STORE_WRITE_ZEROES:
		return send_zeroes(l, io);
	case VH_STORE_DISCARD:
		return send_trim(l, io);
	default:
		return send_data(l, io);
	}
}

void vh_nbd_command_deliver(const struct vh_nbd_command *c)
{
	if (c->copied && c->io->op == VH_STORE_READ)
		copy_pieces(cursor_at(c->io, c->at), (char *)c->copy, c->len, false);
}
