/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight area: memory in which the device notes the requests that it has, kept by
 * the front-end over the death of a back-end.  Made here when the front-end has none yet
 * (GET), given at every connection (SET), always before rings run.
 *
 * A ring is tracked in a region as long as the area's queue size calls for, so no
 * ring may be larger; whichever of the two sizes comes second is held against the first.
 */
#include "base/checked.h"
#include "proto/backend_handler.h"

static const char *shape_fault(const struct vh_backend *b,
			       const struct vh_wire_inflight *a)
{
	if (!a->n_queues || a->n_queues > b->offer.n_vrings)
		return "an inflight area of no queues, or of more than there are";
	if (a->queue_size > VH_MAX_RING_SIZE || !vh_is_power_of_two(a->queue_size))
		return "an inflight area for a queue size that is no power of two up to "
		       "32768";
	return NULL;
}

const char *vh_backend_get_inflight_fd(struct vh_backend *b, const struct vh_msg *m,
				       struct vh_effects *fx)
{
	const char *fault = shape_fault(b, &m->inflight);

	if (!fault)
		fx->action = VH_ACTION_MAKE_INFLIGHT;
	return fault;
}

const char *vh_backend_set_inflight_fd(struct vh_backend *b, const struct vh_msg *m,
				       struct vh_effects *fx)
{
	const struct vh_wire_inflight *a = &m->inflight;
	const char *fault = shape_fault(b, a);
	uint64_t end;

	if (fault)
		return fault;
	if (a->size / a->n_queues < vh_inflight_stride(a->queue_size) ||
	    !vh_add_u64(a->offset, a->size, &end))
		return "an inflight area that is too small for its queues, or wraps "
		       "around";
	if (a->offset % VH_INFLIGHT_ALIGN)
		return "an inflight area whose words would not be aligned";
	for (unsigned q = 0; q < a->n_queues; q++)
		if (b->vring[q].num > a->queue_size)
			return "an inflight area for smaller rings than these";
	/* For the time being: nothing runs, so nobody looks at it before it is mapped. */
	b->inflight_queues_next = a->n_queues;
	b->inflight_size_next = a->queue_size;
	fx->action = VH_ACTION_MAP_INFLIGHT;
	return NULL;
}

void vh_backend_set_inflight_fd_done(struct vh_backend *b, int result,
				     struct vh_effects *fx)
{
	b->inflight_queues = b->inflight_queues_next;
	b->inflight_size = b->inflight_size_next;
	vh_backend_set_inflight_fd_undone(b);
}

void vh_backend_set_inflight_fd_undone(struct vh_backend *b)
{
	b->inflight_queues_next = b->inflight_size_next = 0;
}

bool vh_backend_tracks(const struct vh_backend *b, unsigned q)
{
	return q < b->inflight_queues;
}
