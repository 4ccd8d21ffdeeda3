/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Write a virtio device model.
 *
 * A device model is one constant table of callbacks.  It never sees a socket,
 * an eventfd, a guest address or a ring layout, so the same table serves a
 * VMM over vhost-user, another guest over virtio-vhost-user, and a test over
 * the in-process loopback.  lib/dev/rng/rng.c is a whole one in 60 lines.
 *
 * Threads: .config, .n_queues, .open, .close, .set_features, .reset, .lasting, .refresh,
 * .link and the config space callbacks run on the control thread.  The queue callbacks
 * run on the reactor that owns the queue, and never two at a time for one queue.  No
 * callback may block, save .open and .close.
 */
#ifndef VHOST_DEVICE_H
#define VHOST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct iovec;
struct vh_device;  /* one instance of a device model                    */
struct vh_queue;   /* one of its virtqueues                             */
struct vh_chain;   /* one buffer chain that the driver made available   */
struct vh_memory;  /* the regions of guest memory, with our addresses   */
struct vh_reactor; /* one thread and its event loop; see <vhost/reactor.h> */

enum vh_device_flags {
	/* Chains complete in the order in which they were taken: offer IN_ORDER. */
	VH_DEVICE_IN_ORDER = 1 << 0,
	/*
	 * Run .process on a started queue that the front-end has disabled, and
	 * look at vh_queue_is_enabled() there (a network device drops what it
	 * gets).  Without it a disabled queue keeps its chains in the ring, as
	 * a disk must.
	 */
	VH_DEVICE_RUNS_DISABLED = 1 << 1,
	/*
	 * Offer INFLIGHT_SHMFD: when this process dies, its successor is given the
	 * chains again that were taken and not completed.  For devices with requests
	 * that may be done twice.
	 */
	VH_DEVICE_INFLIGHT = 1 << 2,
};

#define VH_LASTING 64

struct vh_device_ops {
	size_t size;	      /* sizeof(struct vh_device_ops), for growth of the ABI */
	const char *name;     /* "rng", as typed on the command line                */
	uint32_t virtio_id;   /* VIRTIO_ID_... of <linux/virtio_ids.h>              */
	unsigned flags;	      /* enum vh_device_flags                               */
	uint64_t features;    /* device feature bits it can offer; ring and transport
				 bits (24 to 40) are the library's own              */
	uint16_t queues;      /* most virtqueues it can use, 1 to 256               */
	uint16_t queue_group; /* virtqueues per unit of GET_QUEUE_NUM: 2 for net's
				 pairs; 0 means 1                                   */

	/*
	 * Bytes of zeroes that vh_device_priv() points to from .config until after
	 * .close, freed by the library.  0: there are none, and .open may set a pointer.
	 */
	size_t priv_size;

	/* Required: look at every chain that vh_queue_next() yields. */
	void (*process)(struct vh_queue *q);

	/*
	 * Optional: a NULL pointer means what the comment says.
	 *
	 * .config is called once per KEY=VALUE, before .open.  0, or -errno
	 * after it logged which value was wrong and what would be right.  The
	 * strings stay until .open has returned.  Without .open having succeeded
	 * .close is not called.
	 */
	int (*config)(struct vh_device *d, const char *key,
		      const char *value); /* no keys */
	/* How many virtqueues this one has, up to .queues: asked once, after .config. */
	uint16_t (*n_queues)(struct vh_device *d);
	int (*open)(struct vh_device *d);	/* nothing to set up     */
	void (*close)(struct vh_device *d);	/* nothing to free       */
	uint64_t (*offer)(struct vh_device *d); /* .features, always     */
	/* any subset is fine */
	int (*set_features)(struct vh_device *d, uint64_t features);
	/*
	 * Config space, virtio 1.2 section 2.5.  .read_config fills exactly
	 * @len bytes from @off or returns -EINVAL when they are outside.
	 */
	int (*read_config)(struct vh_device *d, size_t off, void *buf, size_t len);
	int (*write_config)(struct vh_device *d, size_t off, const void *buf, size_t len);
	int (*queue_start)(struct vh_queue *q);		    /* nothing to do         */
	void (*queue_enabled)(struct vh_queue *q, bool on); /* nothing to do         */
	void (*queue_drain)(struct vh_queue *q); /* chains finish by themselves: hurry up
						    what is under way            */
	void (*queue_stop)(struct vh_queue *q);	 /* nothing to do         */
	void (*reset)(struct vh_device *d);	 /* no state to forget    */
	/*
	 * With VH_DEVICE_INFLIGHT: VH_LASTING bytes that outlive this process, as the
	 * notes of chains do, for what a driver has set and its next device must know;
	 * zeroes at first and after .reset.  The front-end can write to them.  NULL:
	 * there are none, or no longer.
	 */
	void (*lasting)(struct vh_device *d, uint8_t *bytes); /* nothing lasts   */
	/*
	 * What stands behind the device may have changed (a disk's file grew): look
	 * again.  0 or -errno (logged).
	 */
	int (*refresh)(struct vh_device *d); /* nothing can change    */
	/*
	 * The link to the front-end came (@up) or went.  All queues have
	 * stopped before it goes.
	 */
	void (*link)(struct vh_device *d, bool up); /* of no interest        */
	/*
	 * The chains of @q will be in @memory and nowhere else: after .queue_start, and
	 * whenever that changes.  For a device that registers buffers, e.g. with
	 * io_uring.  Chains taken before still lead where they led.  On the
	 * queue's reactor; @memory is valid during the call only.
	 */
	void (*queue_memory)(struct vh_queue *q, const struct vh_memory *memory);

	/* Network devices only (vhost-user SEND_RARP and NET_SET_MTU). */
	/* RARP is not offered */
	int (*send_rarp)(struct vh_device *d, const uint8_t mac[6]);
	int (*set_mtu)(struct vh_device *d, uint16_t mtu); /* NET_MTU is not offered */
};

/* ---- The instance: control thread, where nothing else is said ---- */

void *vh_device_priv(const struct vh_device *d); /* any thread */
void vh_device_set_priv(struct vh_device *d, void *priv);

/* The @ctx given to vh_server_add(): how an application reaches its own model. */
void *vh_device_ctx(const struct vh_device *d); /* any thread */

/* Its name for logs, "rng0"; lives as long as the device. */
const char *vh_device_tag(const struct vh_device *d); /* any thread */

/* The acknowledged virtio features, 0 before SET_FEATURES. */
uint64_t vh_device_features(const struct vh_device *d);

/* Tell the driver that config space changed.  Any thread. */
void vh_device_config_changed(struct vh_device *d);

/* The queue with this index, or NULL if the device has not so many. */
struct vh_queue *vh_device_queue(const struct vh_device *d, unsigned index);

/* ---- The queue: its own reactor, where nothing else is said ---- */

struct vh_device *vh_queue_device(const struct vh_queue *q);   /* any thread */
unsigned vh_queue_index(const struct vh_queue *q);	       /* any thread */
struct vh_reactor *vh_queue_reactor(const struct vh_queue *q); /* any thread */
void *vh_queue_priv(const struct vh_queue *q);
void vh_queue_set_priv(struct vh_queue *q, void *priv);

/* SET_VRING_ENABLE's flag; see VH_DEVICE_RUNS_DISABLED. */
bool vh_queue_is_enabled(const struct vh_queue *q);

/* The features that this queue runs with: constant from .queue_start to .queue_stop. */
uint64_t vh_queue_features(const struct vh_queue *q);

/*
 * The next chain of @q, or NULL when there is none, the queue is stopping or
 * the reactor wants its turn back.  The chain is yours until you complete it;
 * you may keep it past .process and complete it later on the same reactor.
 * Legal at any time on the owning reactor, not only inside .process.
 */
struct vh_chain *vh_queue_next(struct vh_queue *q);

/* Have .process called again soon although nothing was kicked. */
void vh_queue_wake(struct vh_queue *q);

/* ---- The chain: the reactor of its queue ---- */

/*
 * The driver can change its memory under you at any time, so headers are
 * copied out once with vh_chain_read() and only then looked at.
 */
struct vh_queue *vh_chain_queue(const struct vh_chain *c);
/* Bytes of the driver that were not read yet; room that was not written yet. */
size_t vh_chain_readable(const struct vh_chain *c);
size_t vh_chain_writable(const struct vh_chain *c);

/*
 * Copy the next @len bytes out of, or into, the chain and advance.
 * 0, or -ENODATA (read) or -ENOSPC (write) when fewer are left; nothing is
 * copied then.
 */
int vh_chain_read(struct vh_chain *c, void *buf, size_t len);
int vh_chain_write(struct vh_chain *c, const void *buf, size_t len);

/*
 * Set the last @len writable bytes aside, for a status behind data of any length: they
 * no longer count as writable, and vh_chain_write_tail() writes all of them, whatever
 * else was written.  0, or -ENOSPC when fewer are left.
 */
int vh_chain_set_tail(struct vh_chain *c, size_t len);
void vh_chain_write_tail(struct vh_chain *c, const void *buf);

/*
 * What is left of the chain as an iovec: the part to write (in) or to read
 * (out).  Returns the number of entries, 0 when nothing is left; *@iov stays
 * valid until the chain is completed or the next such call for @c.
 */
unsigned vh_chain_iov_in(struct vh_chain *c, const struct iovec **iov);
unsigned vh_chain_iov_out(struct vh_chain *c, const struct iovec **iov);

/*
 * Hand @c back to the driver, saying that its first @written writable bytes
 * were written (capped at what the chain has).  @c is no longer yours.
 */
void vh_chain_complete(struct vh_chain *c, size_t written);

/*
 * The chain breaks the device's own rules: stop the queue, mark the device as
 * needing a reset, tell the front-end.  @c is no longer yours; after it
 * vh_queue_next() returns NULL for this queue.  @why, a literal, goes to the log.
 */
void vh_chain_reject(struct vh_chain *c, const char *why);

/* ---- Guest memory, for .queue_memory ---- */

struct vh_memory_region {
	void *addr;   /* our mapping of its first byte */
	uint64_t len; /* bytes                         */
	uint64_t gpa; /* guest physical address        */
};

unsigned vh_memory_count(const struct vh_memory *m);
struct vh_memory_region vh_memory_at(const struct vh_memory *m, unsigned i);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
