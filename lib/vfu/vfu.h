/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server: one PCI function, offered to one client (a VMM) at a time
 * over a UNIX socket.  It speaks the protocol, and keeps what belongs to the
 * client: its memory (DMA_MAP) and its interrupts' eventfds (SET_IRQS).  What
 * is behind the registers is the owner's, who gives it struct vh_vfu_ops.
 * Control thread.
 */
#ifndef VH_VFU_VFU_H
#define VH_VFU_VFU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/map.h"
#include "reactor/reactor.h"
#include "spec/vfio_user.h"

struct vh_vfu;

/* ---- What the function has: constant while it is offered ---- */

struct vh_vfu_area {
	uint64_t offset, size; /* in the region, whole pages */
};

#define VH_VFU_MAX_AREAS 4

struct vh_vfu_region {
	uint64_t size;	  /* 0: there is no such region                    */
	int fd;		  /* the file that the client may map; borrowed; -1: none.  Byte
			     N of the region is byte N of the file                      */
	unsigned n_areas; /* the parts of it that may be mapped */
	struct vh_vfu_area area[VH_VFU_MAX_AREAS];
};

struct vh_vfu_shape {
	struct vh_vfu_region region[VH_VFU_REGIONS]; /* BARs 0-5, ROM, config, VGA   */
	unsigned n_vectors; /* of MSI-X; 0: the function has no MSI-X       */
	bool intx;	    /* it has an interrupt pin                      */
};

/* A piece of the client's memory; @fd is borrowed, -1: nobody can reach it from here. */
struct vh_vfu_dma {
	uint64_t iova, size, offset;
	int fd;
	bool readable, writable;
};

/* ---- What the owner does ---- */

/* A part of a region of which a write may be told through an eventfd instead. */
struct vh_vfu_io_fd {
	uint64_t offset;
	uint32_t size; /* of the write; 0: any               */
	int fd;	       /* eventfd, borrowed                  */
};

struct vh_vfu_ops {
	/*
	 * An access that is inside the region.  @write may return -EINPROGRESS: the
	 * client hears of it, and nothing more of the client is looked at, until
	 * vh_vfu_resume(). Other errors: reads give all ones, writes are lost.
	 */
	int (*read)(void *arg, unsigned region, uint64_t offset, void *buf, size_t len);
	int (*write)(void *arg, unsigned region, uint64_t offset, const void *buf,
		     size_t len);
	/* DEVICE_RESET, and after a client went.  May be -EINPROGRESS like @write. */
	int (*reset)(void *arg);
	/*
	 * The client's memory changed: a mapping came, or is about to go (it is not in
	 * the table any more).  NULL: the owner asks when it needs to know.
	 * -EINPROGRESS: it cannot be used yet, or is still used; vh_vfu_resume() when
	 * that is over.
	 */
	int (*dma_added)(void *arg, const struct vh_vfu_dma *d);
	int (*dma_removed)(void *arg, const struct vh_vfu_dma *d);
	/* Vectors @first to @first + @n - 1 may have another eventfd, or none.  May be
	 * NULL. */
	void (*vectors_changed)(void *arg, unsigned first, unsigned n);
	/* GET_REGION_IO_FDS: up to @max entries into @io; how many there are.  May be
	 * NULL. */
	unsigned (*io_fds)(void *arg, unsigned region, struct vh_vfu_io_fd *io,
			   unsigned max);
	/*
	 * A client came (and agreed on a version), or went (after .reset; memory and
	 * eventfds are gone).  May be NULL.
	 */
	void (*client)(void *arg, bool here);
};

/*
 * Listen at @address, "vfio-user:PATH[,mode=OCTAL][,group=NAME][,any-memory=on|off]"
 * without its scheme, and offer the function.  @shape and @ops are copied; the fds in
 * @shape must stay open, and areas be whole pages inside of the region and the file. @tag
 * is for logs; copied.  0 or -errno (logged).
 */
int vh_vfu_open(struct vh_reactor *r, const char *address, const char *tag,
		const struct vh_vfu_shape *shape, const struct vh_vfu_ops *ops, void *arg,
		struct vh_vfu **v);
/*
 * The client is cut off (no .reset, no .client for it), the socket unlinked.  Maps were
 * let go of before.  Not from inside of struct vh_vfu_ops.  NULL is fine.
 */
void vh_vfu_close(struct vh_vfu *v);

/* What returned -EINPROGRESS is done now; @err: 0 or -errno.  Not from inside of it. */
void vh_vfu_resume(struct vh_vfu *v, int err);

/* Cut the client off because of @why, a literal; as if it had gone by itself. */
void vh_vfu_fault(struct vh_vfu *v, const char *why);

/* ---- Interrupts ---- */

/* Signal MSI-X vector @vector; nothing happens where it has no eventfd. */
void vh_vfu_interrupt(struct vh_vfu *v, unsigned vector);
/* Its eventfd, borrowed, valid until .vectors_changed; -1: none. */
int vh_vfu_vector_fd(const struct vh_vfu *v, unsigned vector);
/* Level of INTx, for functions that have a pin. */
void vh_vfu_set_intx(struct vh_vfu *v, bool level);

/* ---- The client's memory ---- */

/* The pieces that there are, in order of iova. */
void vh_vfu_dma_each(const struct vh_vfu *v,
		     void (*fn)(void *arg, const struct vh_vfu_dma *d), void *arg);

/*
 * All of it that is readable and writable, mapped: a map whose gpa and uva are both the
 * client's iova.  It is made when it is asked for and shared while nothing changes; a
 * reference of the caller's, who lets go of it in .dma_removed at the latest.  0, or
 * -errno (logged).  A file that shrinks under it cuts the client off.
 */
int vh_vfu_map(struct vh_vfu *v, struct vh_map **map);

/*
 * Read or write what the client keeps to itself (fd -1), by messages, which is slow:
 * @len bytes, at most a mebibyte, that are all its memory and may be read or written.
 * @buf is borrowed until @done(@arg): 0, or the client's -errno, -EFAULT: the memory
 * went meanwhile, -EPROTO: it answered with nonsense, -EPIPE: the client is gone
 * (but vh_vfu_close() forgets them).  Requests are done one by one, in order; not while a
 * command waits for vh_vfu_resume().  0; -EFAULT: no such memory; -ENOTCONN; -ENOBUFS:
 * too many are under way; -EINVAL; -ENOMEM.
 */
int vh_vfu_dma_read(struct vh_vfu *v, uint64_t iova, void *buf, size_t len,
		    void (*done)(void *arg, int err), void *arg);
int vh_vfu_dma_write(struct vh_vfu *v, uint64_t iova, const void *buf, size_t len,
		     void (*done)(void *arg, int err), void *arg);

/* ---- For tests and statistics ---- */

struct vh_vfu_stats {
	uint64_t clients, messages, reads, writes, interrupts, faults;
};

void vh_vfu_read_stats(const struct vh_vfu *v, struct vh_vfu_stats *s);

#endif
