/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages that are for the device: config space, reset, status, network. */
#include "proto/backend_handler.h"

#define MTU_MIN 68 /* "Network Device": device configuration layout */
#define MTU_MAX 65535

const char *vh_backend_send_rarp(struct vh_backend *b, const struct vh_msg *m,
				 struct vh_effects *fx)
{
	fx->action = VH_ACTION_SEND_RARP;
	return NULL;
}

const char *vh_backend_net_set_mtu(struct vh_backend *b, const struct vh_msg *m,
				   struct vh_effects *fx)
{
	if (m->u64 < MTU_MIN || m->u64 > MTU_MAX)
		return "an MTU that is not between 68 and 65535";
	fx->action = VH_ACTION_SET_MTU;
	return NULL;
}

void vh_backend_set_backend_req_fd_done(struct vh_backend *b, int result,
					struct vh_effects *fx)
{
	b->has_channel = true;
}

static const char *config_fault(const struct vh_wire_config *c)
{
	if (c->size > VH_MAX_CONFIG)
		return "more config space than a message holds";
	if (c->offset > UINT32_MAX - c->size)
		return "a piece of config space that wraps around";
	return NULL;
}

const char *vh_backend_get_config(struct vh_backend *b, const struct vh_msg *m,
				  struct vh_effects *fx)
{
	const char *fault = config_fault(&m->config);

	if (!fault)
		fx->action = VH_ACTION_READ_CONFIG;
	return fault;
}

const char *vh_backend_set_config(struct vh_backend *b, const struct vh_msg *m,
				  struct vh_effects *fx)
{
	const char *fault = config_fault(&m->config);

	if (!fault && m->config.flags > VH_CONFIG_MIGRATION)
		fault = "unknown flags";
	if (!fault)
		fx->action = VH_ACTION_WRITE_CONFIG;
	return fault;
}

const char *vh_backend_reset_device(struct vh_backend *b, const struct vh_msg *m,
				    struct vh_effects *fx)
{
	b->status = 0;
	vh_backend_stop_rings(b, fx);
	return NULL;
}

/*
 * Owner, fds and memory stay, and the feature word until the next one comes;
 * that one is told to the device even if it is the same, since the device has
 * forgotten it.  Rings are as new: their addresses were those of a driver that
 * has let go of them.  Only where they stopped is still told: QEMU before 8.0 resets
 * by SET_STATUS before it asks for their bases, also when it merely pauses a guest
 * or migrates it.
 */
void vh_backend_reset_device_reply(struct vh_backend *b, struct vh_effects *fx)
{
	for (unsigned q = 0; q < b->offer.n_vrings; q++)
		b->vring[q] = (struct vh_vring){.base = b->vring[q].base, .fresh = true};
	b->has_features = false;
	fx->reset_device = true;
}

const char *vh_backend_set_status(struct vh_backend *b, const struct vh_msg *m,
				  struct vh_effects *fx)
{
	if (m->u64 > UINT8_MAX)
		return "a device status of more than 8 bits";
	if (!m->u64)
		return vh_backend_reset_device(b, m, fx);
	b->status = m->u64;
	return NULL;
}

void vh_backend_set_status_reply(struct vh_backend *b, struct vh_effects *fx)
{
	if (!b->status)
		vh_backend_reset_device_reply(b, fx);
}

void vh_backend_get_status_reply(struct vh_backend *b, struct vh_effects *fx)
{
	fx->reply_u64 = b->status;
}

const char *vh_backend_iotlb_msg(struct vh_backend *b, const struct vh_msg *m,
				 struct vh_effects *fx)
{
	return "needs VIRTIO_F_ACCESS_PLATFORM, which is not offered";
}

/* The sizes are the shell's to fill in. */
const char *vh_backend_get_shmem_config(struct vh_backend *b, const struct vh_msg *m,
					struct vh_effects *fx)
{
	return b->offer.shmem ? NULL : "this device has no shared memory";
}

const char *vh_backend_gpu_set_socket(struct vh_backend *b, const struct vh_msg *m,
				      struct vh_effects *fx)
{
	return "this device is no GPU";
}
