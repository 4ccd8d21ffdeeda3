/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes to commands.  Each command is a row: the least payload, whether it is the
 * only one, the most fds, and who reads the rest.  Longer payloads than a command
 * needs are taken where clients send them (SPDK's region info has room for the answer).
 */
#include "vfu/wire.h"

#include <errno.h>
#include <string.h>

#define MAX_WRITE 8u /* bytes of one in WRITE_MULTI */

/* ---- Rows ---- */

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int decode_version(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			  const char **why)
{
	struct vh_vfu_version v;

	memcpy(&v, p, sizeof(v));
	c->version.major = v.major;
	c->version.minor = v.minor;
	c->version.json = len > sizeof(v) ? (const char *)p + sizeof(v) : NULL;
	return len > sizeof(v) && p[len - 1] ? bad(why, "its JSON does not end with NUL")
					     : 0;
}

static int decode_map(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		      const char **why)
{
	const uint32_t known = VH_VFU_DMA_READABLE | VH_VFU_DMA_WRITABLE;

	(void)len;
	memcpy(&c->map, p, sizeof(c->map));
	if (c->map.argsz < sizeof(c->map))
		return bad(why, "argsz is too small");
	return c->map.flags & ~known ? bad(why, "unknown flags") : 0;
}

static int decode_unmap(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			const char **why)
{
	(void)len;
	memcpy(&c->unmap, p, sizeof(c->unmap));
	if (c->unmap.argsz < sizeof(c->unmap))
		return bad(why, "argsz is too small");
	if (c->unmap.flags & ~VH_VFU_UNMAP_ALL)
		return bad(why, "unknown flags, or a log of dirty pages is wanted");
	if (c->unmap.flags && (c->unmap.iova || c->unmap.size))
		return bad(why, "all and a range");
	return 0;
}

static int decode_info(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		       const char **why)
{
	(void)len;
	memcpy(&c->info, p, sizeof(c->info));
	return c->info.argsz < sizeof(c->info) ? bad(why, "argsz is too small") : 0;
}

static int decode_region(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			 const char **why)
{
	(void)len;
	memcpy(&c->region, p, sizeof(c->region));
	if (c->region.argsz < sizeof(c->region))
		return bad(why, "argsz is too small");
	return c->region.index >= VH_VFU_REGIONS ? bad(why, "no such region") : 0;
}

static int decode_io_fds(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			 const char **why)
{
	(void)len;
	memcpy(&c->io_fds, p, sizeof(c->io_fds));
	if (c->io_fds.argsz < sizeof(c->io_fds) || c->io_fds.argsz > VH_VFU_MAX_DATA)
		return bad(why, "argsz is too small or too large");
	if (c->io_fds.flags || c->io_fds.count)
		return bad(why, "flags or a count in the request");
	return c->io_fds.index >= VH_VFU_REGIONS ? bad(why, "no such region") : 0;
}

static int decode_irq(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		      const char **why)
{
	(void)len;
	memcpy(&c->irq, p, sizeof(c->irq));
	if (c->irq.argsz < sizeof(c->irq))
		return bad(why, "argsz is too small");
	return c->irq.index >= VH_VFU_IRQS ? bad(why, "no such kind of interrupt") : 0;
}

static bool is_one_of(uint32_t flags, uint32_t group)
{
	flags &= group;
	return flags && !(flags & (flags - 1));
}

static int decode_set(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		      const char **why)
{
	const uint32_t data = VH_VFU_SET_NONE | VH_VFU_SET_BOOL | VH_VFU_SET_EVENTFD;
	const uint32_t what = VH_VFU_SET_MASK | VH_VFU_SET_UNMASK | VH_VFU_SET_TRIGGER;
	struct vh_vfu_irq_set s;

	memcpy(&s, p, sizeof(s));
	c->set.flags = s.flags;
	c->set.index = s.index;
	c->set.start = s.start;
	c->set.count = s.count;
	if (s.argsz < sizeof(s))
		return bad(why, "argsz is too small");
	if (!is_one_of(s.flags, data) || !is_one_of(s.flags, what) ||
	    s.flags & ~(data | what))
		return bad(why, "flags are not one kind of data and one action");
	if (s.index >= VH_VFU_IRQS)
		return bad(why, "no such kind of interrupt");
	if (s.flags & VH_VFU_SET_BOOL && len - sizeof(s) != s.count)
		return bad(why, "not as many bytes as interrupts");
	c->set.bools = s.flags & VH_VFU_SET_BOOL ? p + sizeof(s) : NULL;
	if (c->n_fds && (!(s.flags & VH_VFU_SET_EVENTFD) || c->n_fds != s.count))
		return bad(why, "not as many descriptors as interrupts");
	if (!s.count &&
	    (s.start || !(s.flags & VH_VFU_SET_NONE) || !(s.flags & VH_VFU_SET_TRIGGER)))
		return bad(why, "a count of 0 is for disabling all");
	return 0;
}

static int decode_access(struct vh_vfu_cmd *c, const uint8_t *p, const char **why)
{
	struct vh_vfu_region_access a;

	memcpy(&a, p, sizeof(a));
	c->access.offset = a.offset;
	c->access.region = a.region;
	c->access.count = a.count;
	c->access.data = p + sizeof(a);
	if (a.count > VH_VFU_MAX_DATA)
		return bad(why, "more bytes than max_data_xfer_size");
	return a.region >= VH_VFU_REGIONS ? bad(why, "no such region") : 0;
}

static int decode_read(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		       const char **why)
{
	(void)len;
	return decode_access(c, p, why);
}

static int decode_write(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			const char **why)
{
	const int err = decode_access(c, p, why);

	if (!err && len - sizeof(struct vh_vfu_region_access) != c->access.count)
		return bad(why, "not as many bytes as it says");
	return err;
}

static int decode_multi(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			const char **why)
{
	const size_t rest = len - sizeof(c->multi.n);

	memcpy(&c->multi.n, p, sizeof(c->multi.n));
	c->multi.writes = p + sizeof(c->multi.n);
	if (rest % sizeof(struct vh_vfu_multi_write) ||
	    rest / sizeof(struct vh_vfu_multi_write) != c->multi.n)
		return bad(why, "not as many writes as it says");
	for (uint64_t i = 0; i < c->multi.n; i++) {
		const struct vh_vfu_multi_write w = vh_vfu_multi_get(c, i);

		if (w.count > MAX_WRITE || w.region >= VH_VFU_REGIONS)
			return bad(why, "a write of too many bytes, or to no region");
	}
	return 0;
}

static int decode_reset(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
			const char **why)
{
	(void)c;
	(void)p;
	return len ? bad(why, "it has no payload") : 0;
}

struct row {
	size_t min_len;
	unsigned max_fds;
	int (*decode)(struct vh_vfu_cmd *c, const uint8_t *p, size_t len,
		      const char **why);
};

/* SPDK sends the file of a piece when it goes, too. */
static const struct row rows[VH_VFU_COMMANDS] = {
	[VH_VFU_VERSION] = {sizeof(struct vh_vfu_version), 0, decode_version},
	[VH_VFU_DMA_MAP] = {sizeof(struct vh_vfu_dma_map), 1, decode_map},
	[VH_VFU_DMA_UNMAP] = {sizeof(struct vh_vfu_dma_unmap), 1, decode_unmap},
	[VH_VFU_GET_INFO] = {sizeof(struct vh_vfu_device_info), 0, decode_info},
	[VH_VFU_GET_REGION_INFO] = {sizeof(struct vh_vfu_region_info), 0, decode_region},
	[VH_VFU_GET_REGION_IO_FDS] = {sizeof(struct vh_vfu_io_fds), 0, decode_io_fds},
	[VH_VFU_GET_IRQ_INFO] = {sizeof(struct vh_vfu_irq_info), 0, decode_irq},
	[VH_VFU_SET_IRQS] = {sizeof(struct vh_vfu_irq_set), VH_VFU_MAX_FDS, decode_set},
	[VH_VFU_REGION_READ] = {sizeof(struct vh_vfu_region_access), 0, decode_read},
	[VH_VFU_REGION_WRITE] = {sizeof(struct vh_vfu_region_access), 0, decode_write},
	[VH_VFU_RESET] = {0, 0, decode_reset},
	[VH_VFU_REGION_WRITE_MULTI] = {sizeof(uint64_t), 0, decode_multi},
};

/* ---- Messages ---- */

int vh_vfu_header_decode(const uint8_t *bytes, struct vh_vfu_header *h)
{
	memcpy(h, bytes, sizeof(*h));
	return h->size < VH_VFU_HEADER || h->size > VH_VFU_MAX_MSG ? -EINVAL : 0;
}

int vh_vfu_cmd_decode(const struct vh_vfu_header *h, const uint8_t *payload,
		      unsigned n_fds, struct vh_vfu_cmd *cmd, const char **why)
{
	const size_t len = vh_vfu_payload_len(h);
	const struct row *row;

	*cmd = (struct vh_vfu_cmd){.header = *h, .n_fds = n_fds};
	if (h->flags & VH_VFU_TYPE)
		return bad(why, "it is no command");
	row = h->command < VH_VFU_COMMANDS ? &rows[h->command] : NULL;
	if (!row || !row->decode)
		return bad(why, "unknown command");
	if (len < row->min_len)
		return bad(why, "it is too short");
	if (n_fds > row->max_fds)
		return bad(why, "too many descriptors");
	return row->decode(cmd, payload, len, why);
}

struct vh_vfu_multi_write vh_vfu_multi_get(const struct vh_vfu_cmd *cmd, uint64_t i)
{
	struct vh_vfu_multi_write w;

	memcpy(&w, cmd->multi.writes + i * sizeof(w), sizeof(w));
	return w;
}

/* ---- Replies ---- */

void vh_vfu_reply_encode(uint8_t *bytes, const struct vh_vfu_header *h, int err,
			 size_t payload_len)
{
	const struct vh_vfu_header reply = {
		.id = h->id,
		.command = h->command,
		.size = (uint32_t)(VH_VFU_HEADER + (err ? 0 : payload_len)),
		.flags = VH_VFU_REPLY | (err ? VH_VFU_ERROR : 0),
		.error = (uint32_t)-err,
	};

	memcpy(bytes, &reply, sizeof(reply));
}

static uint32_t region_flags(uint32_t index, const struct vh_vfu_region *r)
{
	uint32_t flags = VH_VFU_REGION_READABLE;

	if (index != VH_VFU_REGION_ROM)
		flags |= VH_VFU_REGION_WRITABLE;
	if (r->fd >= 0 && r->n_areas)
		flags |= VH_VFU_REGION_MAPPABLE;
	return r->size ? flags : 0;
}

static size_t areas_encode(uint8_t *at, const struct vh_vfu_region *r)
{
	const struct vh_vfu_sparse cap = {
		.id = VH_VFU_CAP_SPARSE, .version = 1, .n_areas = r->n_areas};
	const size_t size = sizeof(struct vh_vfu_sparse_area);

	memcpy(at, &cap, sizeof(cap));
	for (unsigned i = 0; i < r->n_areas; i++) {
		const struct vh_vfu_sparse_area a = {r->area[i].offset, r->area[i].size};

		memcpy(at + sizeof(cap) + i * size, &a, size);
	}
	return sizeof(cap) + r->n_areas * size;
}

/* A short answer says that there is more by its argsz alone, as libvfio-user's does. */
size_t vh_vfu_region_encode(uint8_t *payload, uint32_t index,
			    const struct vh_vfu_region *r, uint32_t argsz, bool *full)
{
	struct vh_vfu_region_info info = {.argsz = sizeof(info),
					  .flags = region_flags(index, r),
					  .index = index,
					  .size = r->size};
	const bool maps = info.flags & VH_VFU_REGION_MAPPABLE;

	if (maps)
		info.argsz += (uint32_t)(sizeof(struct vh_vfu_sparse) +
					 r->n_areas * sizeof(struct vh_vfu_sparse_area));
	*full = maps && argsz >= info.argsz;
	if (*full) {
		info.flags |= VH_VFU_REGION_CAPS;
		info.cap_offset = sizeof(info);
		areas_encode(payload + sizeof(info), r);
	}
	memcpy(payload, &info, sizeof(info));
	return *full ? info.argsz : sizeof(info);
}

/* The place of @one among the @n of @fd, where it is put if it is not there; @max: full.
 */
static unsigned fd_index(int *fd, unsigned *n, unsigned max, int one)
{
	for (unsigned i = 0; i < *n; i++)
		if (fd[i] == one)
			return i;
	if (*n == max)
		return max;
	fd[*n] = one;
	return (*n)++;
}

size_t vh_vfu_io_fds_encode(uint8_t *payload, uint32_t index,
			    const struct vh_vfu_io_fd *io, unsigned n, uint32_t argsz,
			    int *fd, unsigned max_fds, unsigned *n_fds)
{
	const size_t size = sizeof(struct vh_vfu_io_fd_entry);
	struct vh_vfu_io_fds head = {.index = index};

	*n_fds = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct vh_vfu_io_fd_entry e = {
			.offset = io[i].offset,
			.size = io[i].size,
			.fd_index = fd_index(fd, n_fds, max_fds, io[i].fd),
			.type = VH_VFU_IOEVENTFD,
		};

		if (e.fd_index < max_fds)
			memcpy(payload + sizeof(head) + head.count++ * size, &e, size);
	}
	head.argsz = (uint32_t)(sizeof(head) + head.count * size);
	memcpy(payload, &head, sizeof(head));
	if (argsz >= head.argsz)
		return head.argsz;
	*n_fds = 0;
	return sizeof(head);
}
