/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of one vring, in memory of our own that the device can
 * write too: nothing read back from it is believed.  Pure.  One thread at a
 * time.
 */
#ifndef VH_RING_DRIVER_H
#define VH_RING_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct vh_driver_ring;

/*
 * Buffers in an indirect table.  Longer chains take descriptors of the ring; no
 * chain may have more buffers than the ring has entries.
 */
#define VH_DRIVER_TABLE_SEGS 64

/* Shared memory that a ring of @num entries needs, aligned to 64; 0: a bad size. */
size_t vh_driver_ring_bytes(uint32_t num, uint64_t features);

/* Where the three areas stand in those bytes. */
struct vh_driver_ring_places {
	size_t desc, avail, used; /* offsets */
};

void vh_driver_ring_places(uint32_t num, uint64_t features,
			   struct vh_driver_ring_places *p);

/*
 * @mem is shared, zeroed and aligned to 64; @to_device translates our address of @len
 * bytes to the device's (gpa), or returns false when they are not shared.
 *
 * With VIRTIO_RING_F_INDIRECT_DESC in @features chains of more than one segment use
 * indirect tables, which are taken from @mem too (vh_driver_ring_bytes() counts them in;
 * @to_device is asked for them here, so @mem is shared by now).
 *
 * 0, -EINVAL for a size that the format has not, -EFAULT, -ENOMEM.
 */
int vh_driver_ring_create(void *mem, uint32_t num, uint64_t features,
			  bool (*to_device)(void *arg, const void *p, size_t len,
					    uint64_t *gpa),
			  void *arg, struct vh_driver_ring **r);
void vh_driver_ring_destroy(struct vh_driver_ring *r);

/*
 * Stage a chain of @n_out readable, then @n_in writable buffers.  0; -ENOSPC: full;
 * -EFAULT: not shared memory; -EINVAL: a buffer or the chain is empty, or too long;
 * -EPROTO: the ring is broken.
 */
int vh_driver_ring_add(struct vh_driver_ring *r, const struct iovec *iov, unsigned n_out,
		       unsigned n_in, void *cookie);

/* Publish what is staged.  True: the device wants a kick. */
bool vh_driver_ring_publish(struct vh_driver_ring *r);

/* The next chain that is done, or NULL; *@len is clipped to its writable bytes. */
void *vh_driver_ring_get(struct vh_driver_ring *r, uint32_t *len);

/* Ask for calls.  True: something is done already. */
bool vh_driver_ring_arm(struct vh_driver_ring *r);
void vh_driver_ring_disarm(struct vh_driver_ring *r);

unsigned vh_driver_ring_outstanding(const struct vh_driver_ring *r);

/*
 * The base to tell a device that takes the ring over from one that died: the used
 * index, as far as vh_driver_ring_get() came.
 */
uint32_t vh_driver_ring_base(const struct vh_driver_ring *r);

/*
 * A new device takes over at vh_driver_ring_base(), with nothing known of the old
 * one's work: make every chain that is with the device available again, in order.
 * Take what is done with vh_driver_ring_get() before, or it is done once more.  A
 * broken ring is whole again.
 */
void vh_driver_ring_resubmit(struct vh_driver_ring *r);

/* NULL, or what the device did to break the ring; then add and get do nothing. */
const char *vh_driver_ring_why(const struct vh_driver_ring *r);

#endif
