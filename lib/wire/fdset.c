/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fds of a message.  Each has one owner, the message, until it is taken;
 * vh_msg_close() is the only other way out.  No thread of its own.
 */
#include "base/cleanup.h"
#include "wire/msg.h"

int vh_msg_take_fd(struct vh_msg *m, unsigned i)
{
	return i < m->n_fds ? vh_fd_take(&m->fds[i]) : -1;
}

void vh_msg_close(struct vh_msg *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		vh_fd_drop(&m->fds[i]);
	m->n_fds = 0;
}
