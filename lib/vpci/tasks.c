/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the back-end is still to be told: see "Theory of operation" in private.h.
 * Control thread.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "spec/virtio.h"
#include "vpci/private.h"

/* What only vhost-user has in the feature word; drivers do not see it. */
#define TRANSPORT (VH_BIT(VH_F_LOG_ALL) | VH_BIT(VH_F_PROTOCOL_FEATURES))

bool vh_vpci_is_busy(const struct vh_vpci *v)
{
	return v->awaits || v->link != VPCI_READY;
}

/* ---- Beginning ---- */

static bool pursue(struct vh_vpci *v, enum vh_goal goal)
{
	v->goal = goal;
	vh_frontend_pursue(&v->fe, goal);
	return true;
}

static int ask(struct vh_vpci *v, struct vh_msg *m)
{
	const int err = vh_frontend_ask(&v->fe, m);

	if (err)
		return err;
	v->asked = m->id;
	vh_vpci_send(v, m);
	return 0;
}

static bool say(struct vh_vpci *v, struct vh_msg *m)
{
	const int err = ask(v, m);

	if (err)
		vh_log(v, VH_LOG_WARN, "%s: the back-end has no such request",
		       vh_msg_name(m->channel, m->id));
	return true;
}

/* ---- The tasks, each of which says whether there was something to do ---- */

/* A back-end that cannot be reset is left; the next connection is as good. */
static bool task_reset(struct vh_vpci *v)
{
	struct vh_msg m;

	if (!v->wants_reset)
		return false;
	if (v->fe.has_features) {
		vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_RESET_DEVICE);
		if (ask(v, &m) < 0)
			vh_vpci_hang_up(v, "it cannot be reset otherwise");
		return true;
	}
	v->wants_reset = false;
	vh_virtio_pci_reset_done(&v->vp);
	return true;
}

static bool task_memory(struct vh_vpci *v)
{
	return !vh_frontend_has_memory(&v->fe) && pursue(v, VH_GOAL_MEMORY);
}

static bool task_features(struct vh_vpci *v)
{
	if (!v->wants_offered)
		return false;
	v->wants_offered = false;
	return pursue(v, VH_GOAL_FEATURES);
}

static bool task_queues(struct vh_vpci *v)
{
	bool differ = false;

	for (unsigned q = 0; q < v->vp.n_queues; q++) {
		struct vh_frontend_vring *ring = &v->fe.vring[q];

		if (!ring->started)
			vh_virtio_pci_queue_reset_done(&v->vp, q);
		ring->idle = !vh_vpci_queue_is_wanted(v, q);
		differ |= ring->started == ring->idle;
	}
	v->fe.n_vrings = v->vp.n_queues;
	return differ && pursue(v, VH_GOAL_RUNNING);
}

/* Those that do not run get theirs when they start. */
static bool task_calls(struct vh_vpci *v)
{
	struct vh_msg m;

	vh_queue_set_for_each (q, &v->new_call) {
		vh_queue_set_remove(&v->new_call, q);
		if (!v->fe.vring[q].started)
			continue;
		vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_CALL);
		m.u64 = q;
		return say(v, &m);
	}
	return false;
}

static bool task_write_config(struct vh_vpci *v)
{
	struct vh_msg m;

	if (!v->write_len)
		return false;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_CONFIG);
	m.config.offset = v->write_off;
	m.config.size = v->write_len;
	m.config.flags = VH_CONFIG_WRITABLE;
	memcpy(m.config.data, v->written, v->write_len);
	v->write_len = 0;
	return say(v, &m);
}

static bool task_read_config(struct vh_vpci *v)
{
	struct vh_msg m;

	if (!v->wants_config)
		return false;
	v->wants_config = false;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.size = v->vp.config_size;
	return say(v, &m);
}

/* The first that has something to do does it. */
static bool (*const tasks[])(struct vh_vpci *v) = {
	task_reset,	  /* whatever else there was to do                        */
	task_read_config, /* before the driver sees features                      */
	task_features,	  /* before rings are started                             */
	task_memory,	  /* before rings in it are                               */
	task_queues,	  /* before doorbells are changed that they may not have  */
	task_calls,	  task_write_config,
};

static bool begin_something(struct vh_vpci *v)
{
	if (v->link == VPCI_UP)
		return pursue(v, VH_GOAL_OFFERED);
	if (v->link != VPCI_READY)
		return false;
	for (unsigned i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
		if (tasks[i](v))
			return true;
	return false;
}

/* ---- Going on ---- */

static void offered(struct vh_vpci *v)
{
	if (!vh_frontend_has(&v->fe, VH_PF_REPLY_ACK)) {
		vh_log(v, VH_LOG_ERROR, "the back-end does not say when it is done");
		v->link = VPCI_UNFIT;
		return;
	}
	v->link = VPCI_READY;
	v->vp.features = (v->fe.offered_features & ~TRANSPORT) | VH_VPCI_FEATURES;
	v->wants_config = v->vp.config_size;
}

static bool go_on(struct vh_vpci *v)
{
	const enum vh_goal goal = v->goal;
	struct vh_msg m;

	if (goal == VH_GOAL_NONE)
		return false;
	if (vh_frontend_next(&v->fe, &m)) {
		vh_vpci_send(v, &m);
		return true;
	}
	v->goal = VH_GOAL_NONE;
	if (goal == VH_GOAL_OFFERED)
		offered(v);
	return true;
}

void vh_vpci_pump(struct vh_vpci *v)
{
	if (v->pumping)
		return;
	v->pumping = true;
	while (!v->awaits && (go_on(v) || begin_something(v)))
		;
	v->pumping = false;
	if (!vh_vpci_is_busy(v))
		vh_vpci_settled(v);
}

/* ---- Ends of requests ---- */

/* What the driver has written meanwhile is newer. */
static void take_config(struct vh_vpci *v, const struct vh_msg *m)
{
	memcpy(v->config, m->config.data, v->vp.config_size);
	memcpy(v->config + v->write_off, v->written, v->write_len);
	if (v->has_config)
		vh_vpci_config_changed(v);
	v->has_config = true;
}

void vh_vpci_answered(struct vh_vpci *v, const struct vh_msg *m)
{
	if (v->asked == VH_MSG_GET_CONFIG)
		take_config(v, m);
	v->asked = 0;
}

static void region_refused(struct vh_vpci *v, const char *why)
{
	const struct vh_frontend_region *r = &v->fe.region[v->fe.index];

	if (!r->wanted || r->shared) {
		vh_vpci_hang_up(v, why);
		return;
	}
	vh_log(v, VH_LOG_WARN,
	       "memory at 0x%llx, 0x%llx bytes, is none for the device: the back-end %s",
	       (unsigned long long)r->region.gpa, (unsigned long long)r->region.size,
	       why);
	vh_frontend_drop_region(&v->fe, r->region.gpa);
}

static void goal_refused(struct vh_vpci *v, enum vh_goal goal, const char *why)
{
	const bool again = v->vp.status & VIRTIO_CONFIG_S_NEEDS_RESET;

	if (goal == VH_GOAL_OFFERED) {
		v->link = VPCI_UNFIT;
		vh_log(v, VH_LOG_ERROR, "the back-end is of no use: it %s", why);
	} else if (goal == VH_GOAL_MEMORY) {
		region_refused(v, why);
	} else if (goal == VH_GOAL_FEATURES) {
		vh_log(v, VH_LOG_WARN, "features 0x%llx: the back-end %s",
		       (unsigned long long)v->fe.features, why);
		v->vp.status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	} else if (again) {
		vh_vpci_hang_up(v, why);
	} else {
		vh_vpci_needs_reset(v, why);
	}
}

void vh_vpci_refused(struct vh_vpci *v, const char *why)
{
	const enum vh_goal goal = v->goal;
	const uint32_t asked = v->asked;

	v->goal = VH_GOAL_NONE;
	v->asked = 0;
	if (goal != VH_GOAL_NONE)
		goal_refused(v, goal, why);
	else if (asked == VH_MSG_SET_CONFIG)
		v->wants_config = true; /* what the driver wrote did not become true */
	else if (asked == VH_MSG_SET_VRING_CALL)
		vh_vpci_needs_reset(v, why);
	else if (asked == VH_MSG_RESET_DEVICE)
		vh_vpci_hang_up(v, why);
	else
		vh_log(v, VH_LOG_WARN, "%s: the back-end %s",
		       vh_msg_name(VH_CHANNEL_MAIN, asked), why);
}

void vh_vpci_begin_again(struct vh_vpci *v)
{
	const bool was_used = v->vp.status & VIRTIO_CONFIG_S_FEATURES_OK;

	vh_frontend_init(&v->fe, UINT64_MAX, VH_BIT(VIRTIO_F_VERSION_1));
	v->awaits = v->uses_memory = v->wants_offered = false;
	v->goal = VH_GOAL_NONE;
	v->asked = 0;
	v->write_len = 0;
	memset(&v->new_call, 0, sizeof(v->new_call));
	if (was_used && !v->vp.resetting)
		vh_vpci_needs_reset(v, "its back-end is another one now");
}
