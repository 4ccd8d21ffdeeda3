/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the back-end machine share; nobody else includes it.
 * backend.c knows the life of a request and no message; the handlers know their
 * messages and nothing of phases.  Control thread.
 */
#ifndef VH_PROTO_BACKEND_HANDLER_H
#define VH_PROTO_BACKEND_HANDLER_H

#include "proto/backend.h"

/* What becomes of a request that breaks a rule, if it was not strict anyway. */
enum vh_refusal {
	VH_REFUSAL_ACK_OR_CLOSE,  /* a non-zero ack when one was asked for, else close */
	VH_REFUSAL_ACK_OR_IGNORE, /* ... else log and go on                            */
	VH_REFUSAL_CLOSE,	  /* memory safety or fd accounting: close             */
};

/*
 * One message.  A row without @begin is a message that this machine does not
 * know.  Queues named with vh_backend_view() in @begin (no action) or @commit
 * get new views, and @finish runs when they have settled.
 */
struct vh_backend_handler {
	/*
	 * Check the message; change the state, or choose fx->action and leave
	 * that to @commit.  NULL, or a literal that says what is wrong with the
	 * message: then nothing may have changed.
	 */
	const char *(*begin)(struct vh_backend *b, const struct vh_msg *m,
			     struct vh_effects *fx);
	/* The action ended with @result >= 0.  May be NULL. */
	void (*commit)(struct vh_backend *b, int result, struct vh_effects *fx);
	/* The action failed, or its end is of no interest: undo @begin.  May be NULL. */
	void (*revert)(struct vh_backend *b);
	/* The content of the reply and other last effects.  May be NULL. */
	void (*finish)(struct vh_backend *b, struct vh_effects *fx);
	uint8_t refusal; /* enum vh_refusal */
};

/* Never NULL. */
const struct vh_backend_handler *vh_backend_handler_of(uint32_t id);

/* The vring that @m names, or false for a message that names none. */
bool vh_backend_names_vring(const struct vh_rule *rule, const struct vh_msg *m,
			    uint32_t *index);

/* Was @feature negotiated? */
bool vh_backend_has(const struct vh_backend *b, enum vh_protocol_feature feature);

/* ---- backend_handlers.c: what holds for more than one message ---- */

const char *vh_backend_accept(struct vh_backend *b, const struct vh_msg *m,
			      struct vh_effects *fx);
const char *vh_backend_take_fd(struct vh_backend *b, const struct vh_msg *m,
			       struct vh_effects *fx);

/* ---- backend_ring.c: when rings start, park and stop ---- */

bool vh_backend_ring_resolves(const struct vh_backend *b, const struct vh_vring *v);
/* Has @v all that starting takes? */
bool vh_backend_ring_is_complete(const struct vh_backend *b, const struct vh_vring *v);
bool vh_backend_any_started(const struct vh_backend *b);
/* Queue @q gets a new view and settles at @level, or a stricter one named before. */
void vh_backend_view(struct vh_effects *fx, unsigned q, enum vh_settle level);
void vh_backend_view_started(struct vh_backend *b, struct vh_effects *fx,
			     enum vh_settle level);
/* Start ring @q if it just became complete. */
void vh_backend_update_ring(struct vh_backend *b, unsigned q, struct vh_effects *fx);
/* Memory is another: park, un-park and start what that concerns. */
void vh_backend_update_rings(struct vh_backend *b, struct vh_effects *fx);
/* It starts again at the next kick, if nothing else is missing. */
void vh_backend_stop_ring(struct vh_backend *b, unsigned q, struct vh_effects *fx);
void vh_backend_stop_rings(struct vh_backend *b, struct vh_effects *fx);

/* ---- The handlers, by file ---- */

#define VH_BEGIN(name)                                                              \
	const char *vh_backend_##name(struct vh_backend *b, const struct vh_msg *m, \
				      struct vh_effects *fx)
#define VH_COMMIT(name)                                                 \
	void vh_backend_##name##_done(struct vh_backend *b, int result, \
				      struct vh_effects *fx)
#define VH_FINISH(name) \
	void vh_backend_##name##_reply(struct vh_backend *b, struct vh_effects *fx)

/* backend_features.c */
VH_FINISH(get_features);
VH_BEGIN(set_features);
VH_COMMIT(set_features);
void vh_backend_set_features_undone(struct vh_backend *b);
VH_FINISH(get_protocol_features);
VH_BEGIN(set_protocol_features);
VH_FINISH(get_queue_num);

/* backend_memory.c */
VH_BEGIN(set_mem_table);
VH_BEGIN(add_mem_reg);
VH_BEGIN(rem_mem_reg);
VH_COMMIT(memory);
void vh_backend_memory_undone(struct vh_backend *b);
VH_FINISH(get_max_mem_slots);
VH_BEGIN(set_log_base);
VH_COMMIT(set_log_base);
VH_FINISH(set_log_base);
VH_COMMIT(set_log_fd);

/* backend_vring.c */
VH_BEGIN(set_vring_num);
VH_BEGIN(set_vring_addr);
VH_BEGIN(set_vring_base);
VH_BEGIN(get_vring_base);
VH_FINISH(get_vring_base);
VH_COMMIT(set_vring_kick);
VH_COMMIT(set_vring_call);
VH_FINISH(set_vring_call);
VH_COMMIT(set_vring_err);
VH_BEGIN(set_vring_enable);

/* backend_inflight.c */
VH_BEGIN(get_inflight_fd);
VH_BEGIN(set_inflight_fd);
VH_COMMIT(set_inflight_fd);
void vh_backend_set_inflight_fd_undone(struct vh_backend *b);

/* backend_device.c */
VH_BEGIN(send_rarp);
VH_BEGIN(net_set_mtu);
VH_COMMIT(set_backend_req_fd);
VH_BEGIN(get_config);
VH_BEGIN(set_config);
VH_BEGIN(reset_device);
VH_BEGIN(set_status);
VH_FINISH(reset_device);
VH_FINISH(set_status);
VH_FINISH(get_status);
VH_BEGIN(iotlb_msg);
VH_BEGIN(get_shmem_config);
VH_BEGIN(gpu_set_socket);

#undef VH_BEGIN
#undef VH_COMMIT
#undef VH_FINISH

#endif
