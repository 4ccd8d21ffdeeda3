/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory=SIZE: the disk is a piece of our own memory, zeroes at first, gone at the end.
 * Everything is done in submit, on the channel's reactor; requests of several reactors
 * for the same blocks race as they would on a disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "store/iov.h"
#include "store/kind.h"
#include "store/size.h"

struct memory {
	struct vh_store store;
	char *at;
	uint64_t len; /* what is mapped: the capacity may be less */
	uint64_t page;
};

static struct memory *memory_of(struct vh_store *s)
{
	return vh_container_of(s, struct memory, store);
}

static int map(struct memory *m, const char *tag, const char *rest)
{
	const struct {
		const char *tag;
	} who = {tag};
	int err = vh_store_parse_capacity(tag, "memory", rest, &m->len);

	if (err)
		return err;
	/* Only what is written takes memory. */
	m->at = mmap(NULL, m->len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->at != MAP_FAILED)
		return 0;
	err = -errno;
	vh_log(&who, VH_LOG_ERROR,
	       "memory=%s: %s; choose a smaller size, or file=PATH on a tmpfs", rest,
	       vh_strerror(err));
	return err;
}

static int memory_open(const struct vh_store_params *p, const char *rest, const char *tag,
		       struct vh_store *below, struct vh_store **out)
{
	struct memory *m = calloc(1, sizeof(*m));
	int err = m ? map(m, tag, rest) : -ENOMEM;

	(void)p;
	(void)below;
	if (err) {
		free(m);
		return err;
	}
	m->page = (uint64_t)sysconf(_SC_PAGESIZE);
	m->store.info = (struct vh_store_info){
		.capacity = m->len,
		.block_size = 512,
		.physical_block = 512,
		.discard_unit = (uint32_t)m->page,
		.discard = true,
		.write_zeroes = true,
		.secure_erase = true,
	};
	*out = &m->store;
	return 0;
}

static void memory_close(struct vh_store *s)
{
	struct memory *m = memory_of(s);

	munmap(m->at, m->len);
	free(m);
}

/* The whole pages in a range go back to the kernel and read as zeroes: *@from to *@to. */
static void drop_pages(struct memory *m, uint64_t off, uint64_t len, uint64_t *from,
		       uint64_t *to)
{
	*from = (off + m->page - 1) / m->page * m->page;
	*to = (off + len) / m->page * m->page;
	if (*from >= *to || madvise(m->at + *from, *to - *from, MADV_DONTNEED))
		*from = *to = off;
}

static void write_zeroes(struct memory *m, const struct vh_store_io *io)
{
	uint64_t from = io->off, to = io->off;

	if (io->flags & VH_STORE_UNMAP)
		drop_pages(m, io->off, io->len, &from, &to);
	memset(m->at + io->off, 0, from - io->off);
	memset(m->at + to, 0, io->off + io->len - to);
}

static int do_it(struct memory *m, const struct vh_store_io *io)
{
	uint64_t from, to;

	switch (io->op) {
	case VH_STORE_READ:
		vh_iov_from_buf(io->iov, io->n_iov, 0, m->at + io->off, io->len);
		return 0;
	case VH_STORE_WRITE:
		vh_iov_to_buf(io->iov, io->n_iov, 0, m->at + io->off, io->len);
		return 0;
	case VH_STORE_FLUSH:
		return 0;
	case VH_STORE_DISCARD:
		drop_pages(m, io->off, io->len, &from, &to);
		return 0;
	case VH_STORE_WRITE_ZEROES:
		write_zeroes(m, io);
		return 0;
	case VH_STORE_SECURE_ERASE:
		/* Written over, not dropped: a page given back may live on elsewhere. */
		memset(m->at + io->off, 0, io->len);
		return 0;
	case VH_STORE_OPS:
		break;
	}
	return -EOPNOTSUPP;
}

static int memory_channel_open(struct vh_store *s, struct vh_reactor *r,
			       struct vh_store_channel *below,
			       struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void memory_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

static void memory_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	io->done(io, do_it(memory_of(ch->store), io));
}

const struct vh_store_kind vh_store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.channel_open = memory_channel_open,
	.channel_close = memory_channel_close,
	.submit = memory_submit,
};
