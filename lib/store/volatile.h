/* SPDX-License-Identifier: BSD-3-Clause */
/* volatile=: the cache of a disk, and the jobs that write it back.  Inside store/ only.
 */
#ifndef VH_STORE_VOLATILE_H
#define VH_STORE_VOLATILE_H

#include <pthread.h>
#include <stdbool.h>

#include "store/blocks.h"
#include "store/kind.h"

struct vh_cache {
	struct vh_store store;
	uint32_t block_size;
	bool reorder;
	pthread_mutex_t lock; /* of what follows */
	struct vh_blocks dirty;
	struct vh_block **moving; /* in order */
	size_t n_moving;
	struct vh_list jobs; /* their requests; the first is at work */
	uint64_t random;
};

static inline struct vh_cache *vh_cache_of(const struct vh_store_io *io)
{
	return vh_container_of(io->channel->store, struct vh_cache, store);
}

/* ---- writeback.c ---- */

enum vh_job_kind {
	VH_JOB_RANGE, /* write what is dirty of it */
	VH_JOB_DROP,  /* hand the request down, then forget what is dirty of it */
};

/* One for a request (its @own), until that is done. */
struct vh_job {
	struct vh_store_io *io;
	enum vh_job_kind kind;
	bool flush;
	uint64_t from, to; /* blocks */
	/* writeback.c's own, zeroed: */
	unsigned n_parts; /* under way, and one while they are being made */
	int err;
	struct vh_store_io below; /* the flush, or what is handed down */
};

/* Do it when its turn comes, and then call j->io->done.  @j is copied. */
void vh_job_add(const struct vh_job *j);
/* Cancel those of the channel whose turn has not come; the one at work is cancelled
 * below. */
void vh_job_cancel(struct vh_cache *c, struct vh_store_channel *ch);

#endif
