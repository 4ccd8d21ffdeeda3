/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's socket: whole messages in, whole replies out.  There is one of each at
 * a time, so nothing is read while a reply is not out, and nothing grows.  Never blocks.
 * Control thread.
 */
#ifndef VH_VFU_LINK_H
#define VH_VFU_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfu/wire.h"

/* The most bytes of memory that a command of ours is about. */
#define VH_VFU_MAX_PIECE 65536u

#define VH_VFU_MAX_COMMAND (VH_VFU_HEADER + 16u + VH_VFU_MAX_PIECE)

struct vh_vfu_link {
	const char *tag;
	int fd;	      /* -1: there is no client       */
	uint8_t *in;  /* VH_VFU_MAX_MSG, the message  */
	uint8_t *out; /* the same, the reply          */
	size_t have;  /* of the message               */
	struct vh_vfu_header header;
	unsigned n_fds; /* that came with it, and nobody took */
	int fds[VH_VFU_MAX_FDS];
	size_t out_len, out_done;
	uint8_t *command; /* VH_VFU_MAX_COMMAND, a command of ours */
	size_t command_len, command_done;
	unsigned n_out_fds; /* ours, not sent yet */
	int out_fds[VH_VFU_MAX_IO_FDS];
};

/* 0 or -ENOMEM; vh_vfu_link_fini() in any case. */
int vh_vfu_link_init(struct vh_vfu_link *l, const char *tag);
void vh_vfu_link_fini(struct vh_vfu_link *l);

void vh_vfu_link_open(struct vh_vfu_link *l, int fd); /* takes @fd */
void vh_vfu_link_close(struct vh_vfu_link *l);

static inline bool vh_vfu_link_is_open(const struct vh_vfu_link *l)
{
	return l->fd >= 0;
}

/*
 * 1: a message is there until vh_vfu_link_next(); 0: not yet; -EPIPE: the client went;
 * -EBADMSG: its size makes no sense (there is a header to answer); -EPROTO: it broke
 * other rules (logged).
 */
int vh_vfu_link_read(struct vh_vfu_link *l);
/* The message is done with, but for its header: fds that nobody took are closed. */
void vh_vfu_link_next(struct vh_vfu_link *l);

static inline const uint8_t *vh_vfu_link_payload(const struct vh_vfu_link *l)
{
	return l->in + VH_VFU_HEADER;
}

/* The fd that came as number @i, which is the caller's now; -1: there is none. */
int vh_vfu_link_take_fd(struct vh_vfu_link *l, unsigned i);

/* Where the payload of the reply goes. */
static inline uint8_t *vh_vfu_link_reply_payload(struct vh_vfu_link *l)
{
	return l->out + VH_VFU_HEADER;
}

/*
 * Answer the message: @err, or @len bytes of payload and @n_fds of @fds, borrowed.  What
 * the socket does not take now is has_output.
 */
void vh_vfu_link_reply(struct vh_vfu_link *l, int err, size_t len, const int *fds,
		       unsigned n_fds);

static inline bool vh_vfu_link_has_output(const struct vh_vfu_link *l)
{
	return l->out_done < l->out_len;
}

/*
 * Send a command: @head, then @data.  The one before is out, since its answer came.  What
 * the socket does not take now is has_command.
 */
void vh_vfu_link_command(struct vh_vfu_link *l, uint16_t id, uint16_t command,
			 const void *head, size_t head_len, const void *data, size_t len);

static inline bool vh_vfu_link_has_command(const struct vh_vfu_link *l)
{
	return l->command_done < l->command_len;
}

void vh_vfu_link_flush(struct vh_vfu_link *l);

/* Has the client hung up, whatever it sent before? */
bool vh_vfu_link_is_hung_up(const struct vh_vfu_link *l);

#endif
