/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Negotiation: the feature word, the protocol features, the number of queues.
 * A bit that was not offered is refused and never masked: a front-end that goes
 * on believing in it would have its guest use what nobody implements.
 */
#include "proto/backend_handler.h"

/* What vhost-user keeps for itself in the feature word; devices do not see it. */
#define TRANSPORT_BITS (VH_BIT(VH_F_LOG_ALL) | VH_BIT(VH_F_PROTOCOL_FEATURES))

void vh_backend_get_features_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_u64 = b->offer.features;
}

void vh_backend_get_protocol_features_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_u64 = b->offer.protocol_features;
}

void vh_backend_get_queue_num_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_u64 = b->offer.queue_num;
}

/*
 * Without bit 30 all rings become enabled: "Ring states".  Some front-ends that
 * do not acknowledge it disable rings all the same; a repetition, or the log
 * going on, must not bring those back to life.
 */
static void enable_rings(struct vh_backend *b)
{
	const bool only_log = (b->features ^ b->features_before) == VH_BIT(VH_F_LOG_ALL);

	if (b->features & VH_BIT(VH_F_PROTOCOL_FEATURES) || (b->has_features && only_log))
		return;
	for (unsigned q = 0; q < b->offer.n_vrings; q++)
		b->vring[q].enabled = true;
}

void vh_backend_set_features_done(struct vh_backend *b, int result, struct vh_effects *fx)
{
	enable_rings(b);
	b->has_features = true;
	b->features_before = 0;
	vh_backend_view_started(b, fx, VH_SETTLE_PAUSED);
}

void vh_backend_set_features_undone(struct vh_backend *b)
{
	b->features = b->features_before;
	b->features_before = 0;
}

/* With several queue pairs the same word comes once for each, also while rings run. */
const char *vh_backend_set_features(struct vh_backend *b, const struct vh_msg *m,
				    struct vh_effects *fx)
{
	const uint64_t changed = m->u64 ^ b->features;

	if (m->u64 & ~b->offer.features)
		return "has a feature bit that was not offered";
	if (changed & ~VH_BIT(VH_F_LOG_ALL) && vh_backend_any_started(b))
		return "only the dirty-log bit may change while a ring runs";
	if (b->has_features && !changed)
		return NULL;
	b->features_before = b->features;
	b->features = m->u64;
	if (!b->has_features || changed & ~TRANSPORT_BITS)
		fx->action = VH_ACTION_SET_FEATURES;
	else
		vh_backend_set_features_done(b, 0, fx);
	return NULL;
}

const char *vh_backend_set_protocol_features(struct vh_backend *b, const struct vh_msg *m,
					     struct vh_effects *fx)
{
	const uint64_t inband = VH_BIT(VH_PF_INBAND_NOTIFICATIONS);
	const uint64_t inband_needs = VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_REPLY_ACK);

	if (m->u64 & ~b->offer.protocol_features)
		return "has a protocol feature that was not offered";
	if (m->u64 & inband && (m->u64 & inband_needs) != inband_needs)
		return "INBAND_NOTIFICATIONS needs BACKEND_REQ and REPLY_ACK";
	if (b->has_gated && m->u64 != b->protocol_features)
		return "protocol features changed after one of them was used";
	b->protocol_features = m->u64;
	b->has_protocol_features = true;
	/* The new set decides already whether this very message is acknowledged. */
	b->need_reply = m->need_reply && vh_backend_has(b, VH_PF_REPLY_ACK);
	return NULL;
}
