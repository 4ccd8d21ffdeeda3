/* SPDX-License-Identifier: BSD-3-Clause */
/* See shmem.h.  Answers come in the order of what they are to.  Control thread. */
#include "session/shmem.h"

#include <errno.h>

#include "session/device.h"

#define SHMID 1

void vh_device_set_shmem(struct vh_device *d, uint64_t size,
			 void (*answered)(struct vh_device *d, bool ok))
{
	d->shmem = size;
	d->shmem_answered = answered;
}

static int ask(struct vh_device *d, struct vh_msg *m)
{
	const struct vh_backend *b = &d->session.machine;

	if (d->session.state != VH_SESSION_UP || !b->has_channel ||
	    !(b->protocol_features & VH_BIT(VH_PF_SHMEM)) ||
	    !(b->protocol_features & VH_BIT(VH_PF_REPLY_ACK)))
		return -ENOTCONN;
	m->need_reply = true;
	return vh_connector_send(d->session.conn, m);
}

int vh_device_shmem_map(struct vh_device *d, uint64_t at, int fd, uint64_t offset,
			uint64_t len)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_SHMEM_MAP);
	m.mmap = (struct vh_wire_mmap){.shmid = SHMID,
				       .fd_offset = offset,
				       .shm_offset = at,
				       .len = len,
				       .flags = VH_MMAP_WRITABLE};
	m.fds[m.n_fds++] = fd;
	return ask(d, &m);
}

int vh_device_shmem_unmap(struct vh_device *d, uint64_t at, uint64_t len)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_BACKEND, VH_MSG_BACKEND_SHMEM_UNMAP);
	m.mmap = (struct vh_wire_mmap){.shmid = SHMID, .shm_offset = at, .len = len};
	return ask(d, &m);
}

/* Others are acks of what was sent without asking for one. */
void vh_shmem_take_answer(struct vh_device *d, const struct vh_msg *m)
{
	if (m->channel == VH_CHANNEL_BACKEND && m->is_reply && d->shmem_answered &&
	    (m->id == VH_MSG_BACKEND_SHMEM_MAP || m->id == VH_MSG_BACKEND_SHMEM_UNMAP))
		d->shmem_answered(d, m->payload == VH_PAYLOAD_ACK && !m->u64);
}
