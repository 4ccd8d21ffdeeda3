/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMM in a test: a client of vfio-user.  It blocks, one command at a time, and
 * says how each ended: 0, or -errno (the server's of an error reply, -ETIMEDOUT when
 * none came, -EPIPE when the server hung up, -EBADMSG when a reply makes no sense).
 *
 * vfu_send() and vfu_recv() are for tests that say something else than a VMM would.
 */
#ifndef TESTS_VFU_CLIENT_H
#define TESTS_VFU_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/host.h"
#include "spec/vfio_user.h"

#define VFU_MAX_FDS 64u

struct vfu_client {
	int fd; /* the socket */
	uint16_t next_id;
	/* Of the reply that came last. */
	struct vh_vfu_header reply;
	size_t len; /* of its payload              */
	uint8_t *payload;
	unsigned n_fds;
	int fds[VFU_MAX_FDS]; /* closed with the next one, unless taken (made -1) */
	uint64_t n_messages;  /* sent; for tests that count them */
};

/* ---- A connection ---- */

/* Connects and agrees on a version as QEMU does.  0 or -errno. */
int vfu_connect(struct vfu_client *c, const char *path);
/* The same without a word. */
int vfu_connect_only(struct vfu_client *c, const char *path);
/* The same with c->fd, a socket that is there already. */
int vfu_connect_with(struct vfu_client *c, const char *path);
void vfu_disconnect(struct vfu_client *c);

/* ---- Messages ---- */

/* @flags as on the wire; fds stay the caller's.  The ID is c->next_id++. */
int vfu_send(struct vfu_client *c, uint16_t command, uint32_t flags, const void *payload,
	     size_t len, const int *fds, unsigned n_fds);
int vfu_send_bytes(struct vfu_client *c, const void *bytes, size_t len, const int *fds,
		   unsigned n_fds);
/* The next message, in one read.  0, -ETIMEDOUT, -EPIPE or -EBADMSG. */
int vfu_recv(struct vfu_client *c);
/* Both, and what the reply says: 0 or its -errno. */
int vfu_ask(struct vfu_client *c, uint16_t command, const void *payload, size_t len,
	    const int *fds, unsigned n_fds);

/* ---- Commands ---- */

/* @json: its text, or NULL for none at all. */
int vfu_version(struct vfu_client *c, uint16_t major, uint16_t minor, const char *json);

/* @fd: borrowed; -1: none. */
int vfu_dma_map(struct vfu_client *c, uint64_t iova, uint64_t size, int fd,
		uint64_t offset, uint32_t flags);
int vfu_dma_unmap(struct vfu_client *c, uint64_t iova, uint64_t size);
int vfu_dma_unmap_all(struct vfu_client *c);

int vfu_get_info(struct vfu_client *c, struct vh_vfu_device_info *info);
int vfu_get_irq_info(struct vfu_client *c, uint32_t index, struct vh_vfu_irq_info *info);

#define VFU_MAX_AREAS 8u

struct vfu_region {
	uint32_t flags;
	uint64_t size, offset;
	int fd; /* of what can be mapped, the caller's; -1: nothing */
	unsigned n_areas;
	struct vh_vfu_sparse_area area[VFU_MAX_AREAS];
};

/* In two steps. */
int vfu_get_region(struct vfu_client *c, uint32_t index, struct vfu_region *r);

struct vfu_io_fd {
	uint64_t offset, size;
	int fd; /* the caller's; entries may share one */
};

/* At most @max into @io, how many there are into @n.  Each fd once is to be closed. */
int vfu_get_io_fds(struct vfu_client *c, uint32_t region, struct vfu_io_fd *io,
		   unsigned max, unsigned *n);

int vfu_set_irqs(struct vfu_client *c, uint32_t index, uint32_t flags, uint32_t start,
		 uint32_t count, const int *fds, unsigned n_fds);
/* Vector @vector signals @fd from now on; -1: none. */
int vfu_set_vector(struct vfu_client *c, unsigned vector, int fd);

int vfu_read(struct vfu_client *c, uint32_t region, uint64_t offset, void *buf,
	     uint32_t len);
int vfu_write(struct vfu_client *c, uint32_t region, uint64_t offset, const void *buf,
	      uint32_t len);
/* Nobody answers it. */
int vfu_post(struct vfu_client *c, uint32_t region, uint64_t offset, const void *buf,
	     uint32_t len);
int vfu_reset(struct vfu_client *c);

/* ---- The same as a bus of lib/pci: vh_pci_open("test:PATH", ...) ---- */

extern const struct vh_pci_bus vfu_test_bus;

/* vh_pci_add_bus(), once. */
void vfu_test_bus_add(void);
/* Of a function that was opened on it. */
struct vfu_client *vfu_test_bus_client(struct vh_pci_host *h);

#endif
