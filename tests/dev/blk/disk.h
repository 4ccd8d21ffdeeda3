/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that is served in this process, and a driver for it: requests are made of any
 * pieces and waited for.  Include the headers of cmocka first.
 */
#ifndef TESTS_DEV_BLK_DISK_H
#define TESTS_DEV_BLK_DISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vhost/vhost.h>

#include "base/barrier.h"
#include "spec/virtio_blk.h"

#define SECTOR	   512u
#define MAX_PIECES 1100
#define NO_STATUS  0xee /* what stands where a status should be */

#define BIT(n) (1ull << (n))
#define ALL_RING_FEATURES                                             \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT(VIRTIO_RING_F_EVENT_IDX))
#define ALL_BLK_FEATURES 0xffffffull

/*
 * Control, and the queues' ones.  TSan does not see the order that a ring gives to what
 * two reactors write to the same buffer, one request after the other: there is one, then.
 */
#ifdef VH_TSAN
#define DISK_REACTORS 2
#else
#define DISK_REACTORS 3
#endif

struct disk {
	struct vh_reactor *reactor[DISK_REACTORS];
	struct vh_server *server;
	struct vh_device *device;
	pthread_t thread;
	struct vh_client *client;
	uint8_t *header, *data, *status; /* shared; data is DATA_ROOM bytes */
};

#define DATA_ROOM (4u << 20)

/* @params: "key=value", NULL at the end.  Two reactors; @features of the driver. */
void disk_open(struct disk *d, const char *address, const char *const *params,
	       uint64_t features, unsigned n_queues);
void disk_close(struct disk *d);

/*
 * The two halves of disk_open(), where its driver finds it at another address; its memory
 * is in @file, which is large enough, if that is not NULL.  disk_close() is for both.
 */
void disk_serve(struct disk *d, const char *address, const char *const *params);
void disk_drive(struct disk *d, const char *address, const char *file, uint64_t features,
		unsigned n_queues);

/* How a request is cut: a piece ends after so many bytes; 0: no cuts. */
struct cuts {
	unsigned header, data;
	bool status_with_data; /* one descriptor for the end of the data and the status */
};

/* One request on queue @q, waited for; its status.  @len bytes of d->data. */
uint8_t disk_do(struct disk *d, unsigned q, uint32_t type, uint64_t sector, size_t len,
		bool writes, const struct cuts *cuts, uint32_t *used);

uint8_t disk_read(struct disk *d, uint64_t sector, size_t len);
uint8_t disk_write(struct disk *d, uint64_t sector, size_t len);

/* DISCARD and its kin, of one range. */
uint8_t disk_range(struct disk *d, uint32_t type, uint64_t sector, uint32_t n,
		   uint32_t flags);

/* Fill d->data with bytes that follow from @seed; are they there? */
void disk_fill(struct disk *d, unsigned seed, size_t len);
bool disk_has(const struct disk *d, unsigned seed, size_t len);
bool disk_is_zero(const struct disk *d, size_t len);

#endif
