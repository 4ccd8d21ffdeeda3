/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each message of a front-end means here.  It comes decoded and with as many fds as
 * it calls for.  What it is about is done before the driver hears of it, and what cannot
 * be done is never heard of.
 *
 * Resources that a message names are bounded by its vring, so nothing grows; fds that
 * nobody took are closed with the message.  Control thread.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "vvu/layout.h"
#include "vvu/relay_state.h"

typedef enum vh_verdict action(struct vh_relay *r, struct vh_msg *m,
			       enum vh_relay_end *why);

static enum vh_verdict breach(const struct vh_relay *r, const struct vh_msg *m,
			      const char *what)
{
	vh_log(r, VH_LOG_WARN, "%s: %s", vh_msg_name(m->channel, m->id), what);
	return VH_BREACH;
}

/* ---- Features ---- */

static enum vh_verdict set_features(struct vh_relay *r, struct vh_msg *m,
				    enum vh_relay_end *why)
{
	(void)why;
	if (m->u64 & ~r->filter.features)
		return breach(r, m, "a feature that was not offered");
	vh_relay_run_log(r, m->u64 & VH_BIT(VH_F_LOG_ALL));
	return VH_PASS;
}

static enum vh_verdict set_protocol_features(struct vh_relay *r, struct vh_msg *m,
					     enum vh_relay_end *why)
{
	(void)why;
	if (m->u64 & ~r->filter.protocol)
		return breach(r, m, "a feature that was not offered");
	r->protocol = m->u64;
	return VH_PASS;
}

/* ---- Memory ---- */

/* The window has it: tell where. */
static enum vh_verdict finish_table(struct vh_relay *r, struct vh_msg *m,
				    enum vh_relay_end *why)
{
	if (vh_layout_write(r->layout, &r->sent, &r->table, &m->mem) < 0) {
		*why = VH_RELAY_CANNOT_MAP;
		return breach(r, m,
			      "a driver that computes the places of these regions would "
			      "not find them in this window: try another layout=");
	}
	if (r->ops->memory)
		r->ops->memory(r->arg, &r->table);
	return VH_PASS_CHANGED;
}

static enum vh_verdict refuse_table(int err, enum vh_relay_end *why)
{
	*why = err == -ENOSPC ? VH_RELAY_WINDOW_TOO_SMALL : VH_RELAY_CANNOT_MAP;
	return VH_REFUSE;
}

static void on_placed(void *arg, int err)
{
	struct vh_relay *r = arg;
	enum vh_relay_end why = VH_RELAY_FRONTEND_ERROR;
	enum vh_verdict verdict;
	struct vh_msg m;

	if (!r->placing)
		return;
	r->placing = false;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.need_reply = r->sent_need_reply;
	verdict = err < 0 ? refuse_table(err, &why) : finish_table(r, &m, &why);
	vh_relay_conclude(r, &m, verdict, why);
}

static enum vh_verdict set_mem_table(struct vh_relay *r, struct vh_msg *m,
				     enum vh_relay_end *why)
{
	const char *wrong = vh_layout_check(&m->mem);
	int err;

	if (wrong)
		return breach(r, m, wrong);
	r->sent = m->mem;
	r->sent_need_reply = m->need_reply;
	r->in_use = true;
	err = r->window->ops->place(r->window, m, &r->table, on_placed, r);
	r->placing = err == -EINPROGRESS;
	if (r->placing)
		return VH_WAIT;
	return err < 0 ? refuse_table(err, why) : finish_table(r, m, why);
}

/* ---- The dirty log ---- */

static enum vh_verdict set_log_base(struct vh_relay *r, struct vh_msg *m,
				    enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_LOG) || m->payload != VH_PAYLOAD_LOG) {
		vh_log(r, VH_LOG_WARN, "a dirty log that was not negotiated");
		return VH_REFUSE;
	}
	if (!m->n_fds)
		return breach(r, m, "fewer fds than this message calls for");
	if (vh_relay_set_log(r, m) < 0)
		return VH_REFUSE;
	r->ops->area(r->arg, VH_VVU_SHM_LOG, VH_AREA_LOG_OFFSET, m->log.size);
	/* As with memory: where it is in what the driver sees, not in the file. */
	m->log.offset = 0;
	return VH_PASS_CHANGED;
}

static enum vh_verdict set_log_fd(struct vh_relay *r, struct vh_msg *m,
				  enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_LOG))
		return VH_SWALLOW;
	return vh_relay_wire(r, m) < 0 ? VH_BREACH : VH_PASS;
}

/* ---- Vrings ---- */

static enum vh_verdict set_vring_fd(struct vh_relay *r, struct vh_msg *m,
				    enum vh_relay_end *why)
{
	(void)why;
	return vh_relay_wire(r, m) < 0 ? VH_BREACH : VH_PASS;
}

/* ---- Requests of the driver's ---- */

static enum vh_verdict set_channel(struct vh_relay *r, struct vh_msg *m,
				   enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_BACKEND_REQ))
		return breach(r, m, "it was not offered");
	if (vh_connector_set_channel(r->front, vh_msg_take_fd(m, 0)) < 0)
		return VH_REFUSE;
	/* What was asked on the old one is not answered any more. */
	r->n_requests = 0;
	return VH_PASS;
}

/* ---- Inflight ---- */

static enum vh_verdict get_inflight_fd(struct vh_relay *r, struct vh_msg *m,
				       enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_INFLIGHT))
		return breach(r, m, "it was not offered");
	vh_area_clear_inflight(r->area);
	r->ops->area(r->arg, VH_VVU_SHM_INFLIGHT, VH_AREA_INFLIGHT_OFFSET, VH_AREA_HALF);
	return VH_PASS;
}

/* The driver has mapped our area, and cannot be given another one. */
static enum vh_verdict set_inflight_fd(struct vh_relay *r, struct vh_msg *m,
				       enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_INFLIGHT))
		return breach(r, m, "it was not offered");
	if (!vh_area_is(r->area, m->fds[0]))
		return breach(
			r, m,
			"it is not the area that this process has given out (was it "
			"restarted?): start the front-end anew");
	if (!m->inflight.size ||
	    !vh_range_inside(m->inflight.offset, m->inflight.size, 0, VH_AREA_HALF))
		return breach(r, m, "it is not inside of the area");
	r->ops->area(r->arg, VH_VVU_SHM_INFLIGHT, m->inflight.offset, m->inflight.size);
	return VH_PASS;
}

/* ---- What cannot be ---- */

static enum vh_verdict crypto(struct vh_relay *r, struct vh_msg *m,
			      enum vh_relay_end *why)
{
	(void)why;
	if (!(r->filter.protocol & VH_BIT(VH_PF_CRYPTO_SESSION)))
		return breach(r, m, "it was not offered");
	return VH_PASS;
}

static enum vh_verdict skip_drain(struct vh_relay *r, struct vh_msg *m,
				  enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_INFLIGHT))
		return breach(r, m, "it was not offered");
	return VH_PASS;
}

static enum vh_verdict in_band_kick(struct vh_relay *r, struct vh_msg *m,
				    enum vh_relay_end *why)
{
	(void)why;
	if (!vh_relay_granted(r, VH_VVU_F_BACKEND_REQ))
		return breach(r, m, "it was not offered");
	return VH_PASS;
}

static enum vh_verdict never(struct vh_relay *r, struct vh_msg *m, enum vh_relay_end *why)
{
	(void)why;
	return breach(r, m, "it was not offered, since a guest cannot serve it");
}

/* ---- The table ---- */

/* NULL: it only goes on to the driver. */
static action *const actions[] = {
	[VH_MSG_GET_FEATURES] = NULL,
	[VH_MSG_SET_FEATURES] = set_features,
	[VH_MSG_SET_OWNER] = NULL,
	[VH_MSG_RESET_OWNER] = NULL,
	[VH_MSG_SET_MEM_TABLE] = set_mem_table,
	[VH_MSG_SET_LOG_BASE] = set_log_base,
	[VH_MSG_SET_LOG_FD] = set_log_fd,
	[VH_MSG_SET_VRING_NUM] = NULL,
	[VH_MSG_SET_VRING_ADDR] = NULL,
	[VH_MSG_SET_VRING_BASE] = NULL,
	[VH_MSG_GET_VRING_BASE] = NULL, /* its answer means something */
	[VH_MSG_SET_VRING_KICK] = set_vring_fd,
	[VH_MSG_SET_VRING_CALL] = set_vring_fd,
	[VH_MSG_SET_VRING_ERR] = set_vring_fd,
	[VH_MSG_GET_PROTOCOL_FEATURES] = NULL,
	[VH_MSG_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VH_MSG_GET_QUEUE_NUM] = NULL,
	[VH_MSG_SET_VRING_ENABLE] = NULL,
	[VH_MSG_SEND_RARP] = NULL,
	[VH_MSG_NET_SET_MTU] = NULL,
	[VH_MSG_SET_BACKEND_REQ_FD] = set_channel,
	[VH_MSG_IOTLB_MSG] = NULL,
	[VH_MSG_SET_VRING_ENDIAN] = NULL,
	[VH_MSG_GET_CONFIG] = NULL,
	[VH_MSG_SET_CONFIG] = NULL,
	[VH_MSG_CREATE_CRYPTO_SESSION] = crypto,
	[VH_MSG_CLOSE_CRYPTO_SESSION] = crypto,
	[VH_MSG_POSTCOPY_ADVISE] = never,
	[VH_MSG_POSTCOPY_LISTEN] = never,
	[VH_MSG_POSTCOPY_END] = never,
	[VH_MSG_GET_INFLIGHT_FD] = get_inflight_fd,
	[VH_MSG_SET_INFLIGHT_FD] = set_inflight_fd,
	[VH_MSG_GPU_SET_SOCKET] = never,
	[VH_MSG_RESET_DEVICE] = NULL,
	[VH_MSG_VRING_KICK] = in_band_kick,
	[VH_MSG_GET_MAX_MEM_SLOTS] = never,
	[VH_MSG_ADD_MEM_REG] = never,
	[VH_MSG_REM_MEM_REG] = never,
	[VH_MSG_SET_STATUS] = NULL,
	[VH_MSG_GET_STATUS] = NULL,
	[VH_MSG_GET_SHARED_OBJECT] = never,
	[VH_MSG_SET_DEVICE_STATE_FD] = never,
	[VH_MSG_CHECK_DEVICE_STATE] = never,
	[VH_MSG_GET_SHMEM_CONFIG] = never,
	[VH_MSG_GET_VRING_BASE_SKIP_DRAIN] = skip_drain,
};

/* The vring that @m is about; 0 when it is about none. */
static uint64_t vring_of(const struct vh_msg *m)
{
	switch (m->payload) {
	case VH_PAYLOAD_STATE:
		return m->state.index;
	case VH_PAYLOAD_ADDR:
		return m->addr.index;
	case VH_PAYLOAD_VRING_FD:
		return m->u64 & VH_VRING_INDEX_MASK;
	default:
		return 0;
	}
}

enum vh_verdict vh_relay_intercept(struct vh_relay *r, struct vh_msg *m,
				   enum vh_relay_end *why)
{
	*why = VH_RELAY_FRONTEND_ERROR;
	if (!vh_rule_of(m->channel, m->id))
		return m->n_fds ? breach(r, m, "with fds") : VH_PASS;
	if (vring_of(m) >= r->max_vrings)
		return breach(r, m, "a vring that the device does not have");
	return actions[m->id] ? actions[m->id](r, m, why) : VH_PASS;
}
