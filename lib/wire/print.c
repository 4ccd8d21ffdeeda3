/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message as one line of the debug log.  What a peer chose is printed as
 * numbers only, so that nothing it sends can forge a line.  Pure; any thread.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/msg.h"

/* A line that grows; what does not fit is cut off, at a NUL. */
struct line {
	char *buf;
	size_t size, used;
};

static void __attribute__((format(printf, 2, 3)))
line_add(struct line *l, const char *format, ...)
{
	va_list args;

	if (l->used >= l->size)
		return;
	va_start(args, format);
	const int n = vsnprintf(l->buf + l->used, l->size - l->used, format, args);
	va_end(args);
	if (n > 0)
		l->used += n;
}

static void print_region(struct line *l, const struct vh_wire_region *r)
{
	line_add(l,
		 " [gpa=0x%" PRIx64 " size=0x%" PRIx64 " uva=0x%" PRIx64
		 " offset=0x%" PRIx64 "]",
		 r->gpa, r->size, r->uva, r->offset);
}

static void print_mem(struct line *l, const struct vh_wire_mem *mem)
{
	line_add(l, " n=%" PRIu32, mem->n);
	for (uint32_t i = 0; i < mem->n && i < VH_MAX_TABLE_REGIONS; i++)
		print_region(l, &mem->region[i]);
}

static void print_addr(struct line *l, const struct vh_wire_addr *a)
{
	line_add(l,
		 " index=%" PRIu32 " flags=0x%" PRIx32 " desc=0x%" PRIx64
		 " used=0x%" PRIx64 " avail=0x%" PRIx64 " log=0x%" PRIx64,
		 a->index, a->flags, a->desc, a->used, a->avail, a->log);
}

static void print_iotlb(struct line *l, const struct vh_wire_iotlb *t)
{
	static const char *const types[] = {"", "miss", "update", "invalidate",
					    "access-fail"};

	if (t->type >= VH_IOTLB_MISS && t->type <= VH_IOTLB_ACCESS_FAIL)
		line_add(l, " %s", types[t->type]);
	else
		line_add(l, " type=%u", t->type);
	line_add(l, " iova=0x%" PRIx64 " size=0x%" PRIx64 " uva=0x%" PRIx64 " perm=%s%s",
		 t->iova, t->size, t->uva, t->perm & VH_IOTLB_READ ? "r" : "",
		 t->perm & VH_IOTLB_WRITE ? "w" : "");
}

static void print_shared(struct line *l, const uint8_t uuid[16])
{
	line_add(l, " uuid=");
	for (unsigned i = 0; i < 16; i++)
		line_add(l, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
			 uuid[i]);
}

static void print_vring_fd(struct line *l, uint64_t u64)
{
	line_add(l, " index=%u%s", (unsigned)(u64 & VH_VRING_INDEX_MASK),
		 u64 & VH_VRING_NO_FD ? " nofd" : "");
}

static void print_payload(struct line *l, const struct vh_msg *m)
{
	switch (m->payload) {
	case VH_PAYLOAD_U64:
		line_add(l, " 0x%" PRIx64, m->u64);
		break;
	case VH_PAYLOAD_ACK:
		line_add(l, " ack=%" PRIu64, m->u64);
		break;
	case VH_PAYLOAD_STATE:
		line_add(l, " index=%" PRIu32 " num=%" PRIu32, m->state.index,
			 m->state.num);
		break;
	case VH_PAYLOAD_ADDR:
		print_addr(l, &m->addr);
		break;
	case VH_PAYLOAD_MEM:
		print_mem(l, &m->mem);
		break;
	case VH_PAYLOAD_MEM_REG:
		print_region(l, &m->mem_reg.region);
		break;
	case VH_PAYLOAD_LOG:
		line_add(l, " size=0x%" PRIx64 " offset=0x%" PRIx64, m->log.size,
			 m->log.offset);
		break;
	case VH_PAYLOAD_IOTLB:
		print_iotlb(l, &m->iotlb);
		break;
	case VH_PAYLOAD_CONFIG:
		line_add(l, " offset=%" PRIu32 " size=%" PRIu32 " flags=%" PRIu32,
			 m->config.offset, m->config.size, m->config.flags);
		break;
	case VH_PAYLOAD_AREA:
		print_vring_fd(l, m->area.index);
		line_add(l, " size=0x%" PRIx64 " offset=0x%" PRIx64, m->area.size,
			 m->area.offset);
		break;
	case VH_PAYLOAD_INFLIGHT:
		line_add(l,
			 " size=0x%" PRIx64 " offset=0x%" PRIx64
			 " queues=%u queue-size=%u",
			 m->inflight.size, m->inflight.offset, m->inflight.n_queues,
			 m->inflight.queue_size);
		break;
	case VH_PAYLOAD_VRING_FD:
		print_vring_fd(l, m->u64);
		break;
	case VH_PAYLOAD_SHARED:
		print_shared(l, m->shared);
		break;
	case VH_PAYLOAD_XFER:
		line_add(l, " direction=%" PRIu32 " phase=%" PRIu32, m->xfer.direction,
			 m->xfer.phase);
		break;
	case VH_PAYLOAD_MMAP:
		line_add(l,
			 " shmid=%u fd-offset=0x%" PRIx64 " shm-offset=0x%" PRIx64
			 " len=0x%" PRIx64 " flags=0x%" PRIx64,
			 m->mmap.shmid, m->mmap.fd_offset, m->mmap.shm_offset,
			 m->mmap.len, m->mmap.flags);
		break;
	case VH_PAYLOAD_SHMEM:
		line_add(l, " n=%" PRIu32, m->shmem.n);
		break;
	default: /* NONE; OPAQUE was thrown away */
		break;
	}
}

void vh_msg_print(const struct vh_msg *m, char *buf, size_t size)
{
	struct line l = {.buf = buf, .size = size};

	if (m->is_reply)
		line_add(&l, "reply ");
	if (vh_rule_of(m->channel, m->id))
		line_add(&l, "%s", vh_msg_name(m->channel, m->id));
	else
		line_add(&l, "message %" PRIu32, m->id);
	if (m->empty)
		line_add(&l, " refused");
	else
		print_payload(&l, m);
	if (m->n_fds)
		line_add(&l, " fds=%u", m->n_fds);
	if (m->need_reply)
		line_add(&l, " need_reply");
}
