/* SPDX-License-Identifier: BSD-3-Clause */
/* Which functions handle which message; what messages.def says is not repeated. */
#include "proto/backend_handler.h"

#include <stddef.h>

const char *vh_backend_accept(struct vh_backend *b, const struct vh_msg *m,
			      struct vh_effects *fx)
{
	return NULL;
}

const char *vh_backend_take_fd(struct vh_backend *b, const struct vh_msg *m,
			       struct vh_effects *fx)
{
	fx->action = VH_ACTION_TAKE_FD;
	return NULL;
}

#define ASK(name)                                                               \
	{                                                                       \
		.begin = vh_backend_accept, .finish = vh_backend_##name##_reply \
	}

static const struct vh_backend_handler handlers[] = {
	/* Questions, which nothing can be wrong with. */
	[VH_MSG_GET_FEATURES] = ASK(get_features),
	[VH_MSG_GET_PROTOCOL_FEATURES] = ASK(get_protocol_features),
	[VH_MSG_GET_QUEUE_NUM] = ASK(get_queue_num),
	[VH_MSG_GET_MAX_MEM_SLOTS] = ASK(get_max_mem_slots),
	[VH_MSG_GET_STATUS] = ASK(get_status),

	[VH_MSG_SET_FEATURES] = {.begin = vh_backend_set_features,
				 .commit = vh_backend_set_features_done,
				 .revert = vh_backend_set_features_undone},
	[VH_MSG_SET_PROTOCOL_FEATURES] = {.begin = vh_backend_set_protocol_features,
					  .refusal = VH_REFUSAL_CLOSE},
	/* Old ways of starting and stopping a session: harmless, and without meaning. */
	[VH_MSG_SET_OWNER] = {.begin = vh_backend_accept,
			      .refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_RESET_OWNER] = {.begin = vh_backend_accept,
				.refusal = VH_REFUSAL_ACK_OR_IGNORE},

	[VH_MSG_SET_MEM_TABLE] = {.begin = vh_backend_set_mem_table,
				  .commit = vh_backend_memory_done,
				  .revert = vh_backend_memory_undone,
				  .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_ADD_MEM_REG] = {.begin = vh_backend_add_mem_reg,
				.commit = vh_backend_memory_done,
				.revert = vh_backend_memory_undone},
	[VH_MSG_REM_MEM_REG] = {.begin = vh_backend_rem_mem_reg,
				.commit = vh_backend_memory_done,
				.revert = vh_backend_memory_undone},
	[VH_MSG_SET_LOG_BASE] = {.begin = vh_backend_set_log_base,
				 .commit = vh_backend_set_log_base_done,
				 .finish = vh_backend_set_log_base_reply,
				 .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_SET_LOG_FD] = {.begin = vh_backend_take_fd,
			       .commit = vh_backend_set_log_fd_done},

	[VH_MSG_SET_VRING_NUM] = {.begin = vh_backend_set_vring_num},
	[VH_MSG_SET_VRING_ADDR] = {.begin = vh_backend_set_vring_addr,
				   .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_SET_VRING_BASE] = {.begin = vh_backend_set_vring_base},
	[VH_MSG_GET_VRING_BASE] = {.begin = vh_backend_get_vring_base,
				   .finish = vh_backend_get_vring_base_reply},
	[VH_MSG_SET_VRING_KICK] = {.begin = vh_backend_take_fd,
				   .commit = vh_backend_set_vring_kick_done,
				   .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_SET_VRING_CALL] = {.begin = vh_backend_take_fd,
				   .commit = vh_backend_set_vring_call_done,
				   .finish = vh_backend_set_vring_call_reply,
				   .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_SET_VRING_ERR] = {.begin = vh_backend_take_fd,
				  .commit = vh_backend_set_vring_err_done,
				  .refusal = VH_REFUSAL_CLOSE},
	[VH_MSG_SET_VRING_ENABLE] = {.begin = vh_backend_set_vring_enable,
				     .refusal = VH_REFUSAL_ACK_OR_IGNORE},

	[VH_MSG_GET_INFLIGHT_FD] = {.begin = vh_backend_get_inflight_fd},
	[VH_MSG_SET_INFLIGHT_FD] = {.begin = vh_backend_set_inflight_fd,
				    .commit = vh_backend_set_inflight_fd_done,
				    .revert = vh_backend_set_inflight_fd_undone,
				    .refusal = VH_REFUSAL_CLOSE},

	[VH_MSG_SEND_RARP] = {.begin = vh_backend_send_rarp,
			      .refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_NET_SET_MTU] = {.begin = vh_backend_net_set_mtu,
				.refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_SET_BACKEND_REQ_FD] = {.begin = vh_backend_take_fd,
				       .commit = vh_backend_set_backend_req_fd_done},
	[VH_MSG_GET_CONFIG] = {.begin = vh_backend_get_config},
	[VH_MSG_SET_CONFIG] = {.begin = vh_backend_set_config,
			       .refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_RESET_DEVICE] = {.begin = vh_backend_reset_device,
				 .finish = vh_backend_reset_device_reply,
				 .refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_SET_STATUS] = {.begin = vh_backend_set_status,
			       .finish = vh_backend_set_status_reply,
			       .refusal = VH_REFUSAL_ACK_OR_IGNORE},

	[VH_MSG_GET_SHMEM_CONFIG] = {.begin = vh_backend_get_shmem_config},

	/* Never offered; refused with a better reason than an unknown number. */
	[VH_MSG_IOTLB_MSG] = {.begin = vh_backend_iotlb_msg},
	[VH_MSG_GPU_SET_SOCKET] = {.begin = vh_backend_gpu_set_socket},
	[VH_MSG_CLOSE_CRYPTO_SESSION] = {.refusal = VH_REFUSAL_ACK_OR_IGNORE},
	[VH_MSG_VRING_KICK] = {.refusal = VH_REFUSAL_ACK_OR_IGNORE},
};

const struct vh_backend_handler *vh_backend_handler_of(uint32_t id)
{
	static const struct vh_backend_handler none = {.refusal =
							       VH_REFUSAL_ACK_OR_CLOSE};

	return id < sizeof(handlers) / sizeof(handlers[0]) ? &handlers[id] : &none;
}

bool vh_backend_names_vring(const struct vh_rule *rule, const struct vh_msg *m,
			    uint32_t *index)
{
	switch (rule->payload) {
	case VH_PAYLOAD_STATE:
		*index = m->state.index;
		return true;
	case VH_PAYLOAD_ADDR:
		*index = m->addr.index;
		return true;
	case VH_PAYLOAD_VRING_FD:
		*index = m->u64 & VH_VRING_INDEX_MASK;
		return true;
	default:
		return false;
	}
}

bool vh_backend_has(const struct vh_backend *b, enum vh_protocol_feature feature)
{
	return b->protocol_features & VH_BIT(feature);
}
