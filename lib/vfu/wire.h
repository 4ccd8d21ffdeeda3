/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's message as a checked command, and the longer replies.  What depends
 * on the function or on what came before is not checked here.  Pure.
 */
#ifndef VH_VFU_WIRE_H
#define VH_VFU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spec/vfio_user.h"
#include "vfu/vfu.h"

/* One member is valid, by header.command; pointers are into the payload. */
struct vh_vfu_cmd {
	struct vh_vfu_header header;
	unsigned n_fds;
	union {
		struct {
			uint16_t major, minor;
			const char *json; /* ends with NUL; NULL: there is none */
		} version;
		struct vh_vfu_dma_map map;
		struct vh_vfu_dma_unmap unmap;
		struct vh_vfu_device_info info;
		struct vh_vfu_region_info region;
		struct vh_vfu_io_fds io_fds;
		struct vh_vfu_irq_info irq;
		struct {
			uint32_t flags, index, start, count;
			const uint8_t *bools; /* @count of them with SET_BOOL */
		} set;
		struct {
			uint64_t offset;
			uint32_t region, count;
			const uint8_t *data; /* of a write */
		} access;
		struct {
			uint64_t n;
			const uint8_t *writes; /* struct vh_vfu_multi_write, unaligned */
		} multi;
	};
};

/* -EINVAL: the size makes no sense, so nobody knows where the next message begins. */
int vh_vfu_header_decode(const uint8_t *bytes, struct vh_vfu_header *h);

static inline size_t vh_vfu_payload_len(const struct vh_vfu_header *h)
{
	return h->size - VH_VFU_HEADER;
}

/*
 * A message of the client, of which @payload is all that its header says.  0; -EINVAL
 * and *@why: to be answered with that.
 */
int vh_vfu_cmd_decode(const struct vh_vfu_header *h, const uint8_t *payload,
		      unsigned n_fds, struct vh_vfu_cmd *cmd, const char **why);

/* Write @i of a multiple one. */
struct vh_vfu_multi_write vh_vfu_multi_get(const struct vh_vfu_cmd *cmd, uint64_t i);

/* The answer to @h; @err: 0 or -errno, then there is no payload. */
void vh_vfu_reply_encode(uint8_t *bytes, const struct vh_vfu_header *h, int err,
			 size_t payload_len);

/*
 * The payload for a client that has room for @argsz bytes; how long it is.  *@full: all
 * of it fit, and the region's fd goes with it if there is one to map.
 */
size_t vh_vfu_region_encode(uint8_t *payload, uint32_t index,
			    const struct vh_vfu_region *r, uint32_t argsz, bool *full);

#define VH_VFU_MAX_IO_FDS 64u

/*
 * The same for io_fds; @n of them in @io.  fds are told once, into @fd, where there are
 * *@n_fds in the end, at most @max_fds: entries with one too many are left out.
 */
size_t vh_vfu_io_fds_encode(uint8_t *payload, uint32_t index,
			    const struct vh_vfu_io_fd *io, unsigned n, uint32_t argsz,
			    int *fd, unsigned max_fds, unsigned *n_fds);

/* ---- VERSION ---- */

/* What a client says that it can take. */
struct vh_vfu_caps {
	uint32_t max_fds;  /* in a message to it                           */
	uint32_t max_data; /* bytes of memory in a message to or from it   */
};

/* @json may be NULL.  0, or -EINVAL and *@why. */
int vh_vfu_caps_read(const char *json, struct vh_vfu_caps *caps, const char **why);
/* Our answer, without header: its length. */
size_t vh_vfu_version_encode(uint8_t *payload, uint16_t minor);

#endif
