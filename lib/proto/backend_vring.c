/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages about one vring.  Its index was checked before they come here,
 * and is b->vring_index.
 */
#include "base/checked.h"
#include "proto/backend_handler.h"

static struct vh_vring *vring_named(struct vh_backend *b)
{
	return &b->vring[b->vring_index];
}

static void view_if_started(struct vh_backend *b, struct vh_effects *fx)
{
	if (vring_named(b)->started)
		vh_backend_view(fx, b->vring_index, VH_SETTLE_PAUSED);
}

const char *vh_backend_set_vring_num(struct vh_backend *b, const struct vh_msg *m,
				     struct vh_effects *fx)
{
	if (m->state.num > VH_MAX_RING_SIZE || !vh_is_power_of_two(m->state.num))
		return "a ring size that is no power of two up to 32768";
	if (vh_backend_tracks(b, b->vring_index) && m->state.num > b->inflight_size)
		return "a ring that is larger than the inflight area's";
	vring_named(b)->num = m->state.num;
	vh_backend_update_ring(b, b->vring_index, fx);
	return NULL;
}

static const char *addr_fault(const struct vh_wire_addr *a)
{
	if (a->flags & ~VH_VRING_F_LOG)
		return "unknown flags";
	if (a->desc % 16 || a->avail % 2 || a->used % 4)
		return "ring addresses that are not aligned";
	return NULL;
}

static bool ring_moves(const struct vh_wire_addr *was, const struct vh_wire_addr *now)
{
	return was->desc != now->desc || was->avail != now->avail ||
	       was->used != now->used;
}

const char *vh_backend_set_vring_addr(struct vh_backend *b, const struct vh_msg *m,
				      struct vh_effects *fx)
{
	struct vh_vring *v = vring_named(b);
	const struct vh_wire_addr was = v->addr;
	const char *fault = addr_fault(&m->addr);

	if (fault)
		return fault;
	if (v->started && ring_moves(&was, &m->addr))
		return "the addresses of a ring that runs";
	v->addr = m->addr;
	v->has_addr = true;
	vh_backend_update_ring(b, b->vring_index, fx);
	if (was.flags != m->addr.flags || was.log != m->addr.log)
		view_if_started(b, fx);
	return NULL;
}

const char *vh_backend_set_vring_base(struct vh_backend *b, const struct vh_msg *m,
				      struct vh_effects *fx)
{
	if (m->state.num > UINT16_MAX)
		return "a base that no split ring has";
	vring_named(b)->base = m->state.num;
	vring_named(b)->fresh = false;
	return NULL;
}

/* Stopping is also what mends a broken ring. */
const char *vh_backend_get_vring_base(struct vh_backend *b, const struct vh_msg *m,
				      struct vh_effects *fx)
{
	vh_backend_stop_ring(b, b->vring_index, fx);
	vring_named(b)->broken = false;
	return NULL;
}

void vh_backend_get_vring_base_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_state.index = b->vring_index;
	fx->reply_state.num = vring_named(b)->base;
}

void vh_backend_set_vring_kick_done(struct vh_backend *b, int result,
				    struct vh_effects *fx)
{
	vring_named(b)->kicked = true;
	vh_backend_update_ring(b, b->vring_index, fx);
	view_if_started(b, fx);
}

void vh_backend_set_vring_call_done(struct vh_backend *b, int result,
				    struct vh_effects *fx)
{
	view_if_started(b, fx);
}

/* A call that went to the old fd when nobody listened there any more is lost. */
void vh_backend_set_vring_call_reply(struct vh_backend *b, struct vh_effects *fx)
{
	if (vring_named(b)->started)
		vh_queue_set_add(&fx->call, b->vring_index);
}

void vh_backend_set_vring_err_done(struct vh_backend *b, int result,
				   struct vh_effects *fx)
{
	view_if_started(b, fx);
}

const char *vh_backend_set_vring_enable(struct vh_backend *b, const struct vh_msg *m,
					struct vh_effects *fx)
{
	struct vh_vring *v = vring_named(b);

	if (m->state.num > 1)
		return "neither enables nor disables";
	if (v->enabled == m->state.num)
		return NULL;
	v->enabled = m->state.num;
	view_if_started(b, fx);
	return NULL;
}
