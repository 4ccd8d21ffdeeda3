/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each command does.  What a guest can cause is never answered with an error
 * (cloud-hypervisor reads a reply's full size, also of an error): reads that fail give
 * all ones, writes that fail are lost.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfu/private.h"

/* ---- VERSION ---- */

static int do_version(struct vh_vfu *v)
{
	const struct vh_vfu_cmd *c = &v->call.cmd;
	const uint16_t minor = c->version.minor < VH_VFU_MINOR ? c->version.minor
							       : VH_VFU_MINOR;
	struct vh_vfu_caps caps;
	const char *why;

	if (v->phase != VH_VFU_GREETING)
		return -EINVAL;
	if (c->version.major != VH_VFU_MAJOR) {
		vh_log(v, VH_LOG_WARN, "the client speaks version %u, not %u",
		       c->version.major, VH_VFU_MAJOR);
		return -EINVAL;
	}
	if (vh_vfu_caps_read(c->version.json, &caps, &why) < 0) {
		vh_log(v, VH_LOG_WARN, "VERSION of the client: %s", why);
		return -EINVAL;
	}
	v->max_fds = caps.max_fds;
	v->max_data = caps.max_data < VH_VFU_MAX_PIECE ? caps.max_data : VH_VFU_MAX_PIECE;
	v->call.reply_len =
		vh_vfu_version_encode(vh_vfu_link_reply_payload(&v->link), minor);
	return 0;
}

/* ---- Memory ---- */

static int do_dma_map(struct vh_vfu *v)
{
	return vh_vfu_memory_add(v, &v->call.cmd.map, vh_vfu_link_take_fd(&v->link, 0));
}

/* The piece is there, whatever the owner could make of it. */
static int continue_dma_map(struct vh_vfu *v, int err)
{
	(void)v;
	return err;
}

static void unmap_reply(struct vh_vfu *v)
{
	const struct vh_vfu_dma_unmap *u = &v->call.cmd.unmap;

	memcpy(vh_vfu_link_reply_payload(&v->link), u, sizeof(*u));
	v->call.reply_len = sizeof(*u);
}

static int do_dma_unmap(struct vh_vfu *v)
{
	const struct vh_vfu_dma_unmap *u = &v->call.cmd.unmap;

	unmap_reply(v);
	return u->flags & VH_VFU_UNMAP_ALL ? vh_vfu_memory_remove_all(v)
					   : vh_vfu_memory_remove(v, u->iova, u->size);
}

/* All pieces go, also one that the owner did not let go of: that is an error then. */
static int continue_dma_unmap(struct vh_vfu *v, int err)
{
	if (err && !v->call.err)
		v->call.err = err;
	err = vh_vfu_memory_continue(v);
	return err == -EINPROGRESS ? err : v->call.err;
}

/* ---- What there is ---- */

static int do_get_info(struct vh_vfu *v)
{
	const struct vh_vfu_device_info info = {
		.argsz = sizeof(info),
		.flags = VH_VFU_DEVICE_RESET | VH_VFU_DEVICE_PCI,
		.n_regions = VH_VFU_REGIONS,
		.n_irqs = VH_VFU_IRQS,
	};

	memcpy(vh_vfu_link_reply_payload(&v->link), &info, sizeof(info));
	v->call.reply_len = sizeof(info);
	return 0;
}

static int do_get_region_info(struct vh_vfu *v)
{
	const struct vh_vfu_region_info *asked = &v->call.cmd.region;
	const struct vh_vfu_region *r = &v->shape.region[asked->index];
	bool full;

	v->call.reply_len = vh_vfu_region_encode(vh_vfu_link_reply_payload(&v->link),
						 asked->index, r, asked->argsz, &full);
	if (full)
		v->call.fds[v->call.n_fds++] = r->fd;
	return 0;
}

static int do_get_region_io_fds(struct vh_vfu *v)
{
	const struct vh_vfu_io_fds *asked = &v->call.cmd.io_fds;
	struct vh_vfu_io_fd io[VH_VFU_MAX_IO_FDS];
	unsigned n = 0;

	if (!v->shape.region[asked->index].size)
		return -EINVAL;
	if (v->ops.io_fds)
		n = v->ops.io_fds(v->arg, asked->index, io, VH_VFU_MAX_IO_FDS);
	if (n > VH_VFU_MAX_IO_FDS)
		n = VH_VFU_MAX_IO_FDS;
	v->call.reply_len = vh_vfu_io_fds_encode(
		vh_vfu_link_reply_payload(&v->link), asked->index, io, n, asked->argsz,
		v->call.fds,
		v->max_fds < VH_VFU_MAX_IO_FDS ? v->max_fds : VH_VFU_MAX_IO_FDS,
		&v->call.n_fds);
	return 0;
}

/* ---- Interrupts ---- */

static int do_get_irq_info(struct vh_vfu *v)
{
	struct vh_vfu_irq_info info = v->call.cmd.irq;

	vh_vfu_irqs_info(v, &info);
	memcpy(vh_vfu_link_reply_payload(&v->link), &info, sizeof(info));
	v->call.reply_len = sizeof(info);
	return 0;
}

static int do_set_irqs(struct vh_vfu *v)
{
	return vh_vfu_irqs_set(v, &v->call.cmd);
}

/* ---- Regions ---- */

static bool is_inside(const struct vh_vfu *v, unsigned region, uint64_t offset,
		      uint64_t len)
{
	return vh_range_inside(offset, len, 0, v->shape.region[region].size);
}

/* The head of a reply to an access repeats the request's. */
static uint8_t *access_reply(struct vh_vfu *v, size_t len)
{
	const struct vh_vfu_region_access head = {.offset = v->call.cmd.access.offset,
						  .region = v->call.cmd.access.region,
						  .count = v->call.cmd.access.count};
	uint8_t *at = vh_vfu_link_reply_payload(&v->link);

	memcpy(at, &head, sizeof(head));
	v->call.reply_len = sizeof(head) + len;
	return at + sizeof(head);
}

static int do_read(struct vh_vfu *v)
{
	const struct vh_vfu_cmd *c = &v->call.cmd;
	uint8_t *data;

	if (!is_inside(v, c->access.region, c->access.offset, c->access.count))
		return -EINVAL;
	v->stats.reads++;
	data = access_reply(v, c->access.count);
	if (c->access.count && v->ops.read(v->arg, c->access.region, c->access.offset,
					   data, c->access.count) < 0)
		memset(data, 0xff, c->access.count);
	return 0;
}

static int write_region(struct vh_vfu *v, unsigned region, uint64_t offset,
			const uint8_t *data, size_t len)
{
	v->stats.writes++;
	if (!len)
		return 0;
	return v->ops.write(v->arg, region, offset, data, len) == -EINPROGRESS
		       ? -EINPROGRESS
		       : 0;
}

static int do_write(struct vh_vfu *v)
{
	const struct vh_vfu_cmd *c = &v->call.cmd;

	if (!is_inside(v, c->access.region, c->access.offset, c->access.count))
		return -EINVAL;
	access_reply(v, 0);
	return write_region(v, c->access.region, c->access.offset, c->access.data,
			    c->access.count);
}

static int continue_write(struct vh_vfu *v, int err)
{
	(void)v;
	(void)err;
	return 0;
}

/* Those that are left; the first that is outside is the end, as if it were alone. */
static int write_next(struct vh_vfu *v)
{
	const struct vh_vfu_cmd *c = &v->call.cmd;
	int err = 0;

	while (!err && v->call.done < c->multi.n) {
		const struct vh_vfu_multi_write w = vh_vfu_multi_get(c, v->call.done);

		if (!is_inside(v, w.region, w.offset, w.count))
			return -EINVAL;
		v->call.done++;
		err = write_region(v, w.region, w.offset, w.data, w.count);
	}
	memcpy(vh_vfu_link_reply_payload(&v->link), &v->call.done, sizeof(v->call.done));
	v->call.reply_len = sizeof(v->call.done);
	return err;
}

static int continue_write_multi(struct vh_vfu *v, int err)
{
	(void)err;
	return write_next(v);
}

/* ---- RESET ---- */

static int do_reset(struct vh_vfu *v)
{
	return v->ops.reset(v->arg);
}

static int continue_reset(struct vh_vfu *v, int err)
{
	(void)v;
	return err;
}

/* ---- The table ---- */

struct command {
	int (*start)(struct vh_vfu *v);
	int (*go_on)(struct vh_vfu *v, int err); /* after -EINPROGRESS */
};

static const struct command commands[VH_VFU_COMMANDS] = {
	[VH_VFU_VERSION] = {do_version, NULL},
	[VH_VFU_DMA_MAP] = {do_dma_map, continue_dma_map},
	[VH_VFU_DMA_UNMAP] = {do_dma_unmap, continue_dma_unmap},
	[VH_VFU_GET_INFO] = {do_get_info, NULL},
	[VH_VFU_GET_REGION_INFO] = {do_get_region_info, NULL},
	[VH_VFU_GET_REGION_IO_FDS] = {do_get_region_io_fds, NULL},
	[VH_VFU_GET_IRQ_INFO] = {do_get_irq_info, NULL},
	[VH_VFU_SET_IRQS] = {do_set_irqs, NULL},
	[VH_VFU_REGION_READ] = {do_read, NULL},
	[VH_VFU_REGION_WRITE] = {do_write, continue_write},
	[VH_VFU_RESET] = {do_reset, continue_reset},
	[VH_VFU_REGION_WRITE_MULTI] = {write_next, continue_write_multi},
};

int vh_vfu_call_start(struct vh_vfu *v)
{
	return commands[v->call.cmd.header.command].start(v);
}

int vh_vfu_call_continue(struct vh_vfu *v, int err)
{
	return commands[v->call.cmd.header.command].go_on(v, err);
}
