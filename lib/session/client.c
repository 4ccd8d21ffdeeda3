/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end role for applications: a client's life, its connection, and the
 * requests that are no queue's.  Memory is in client_memory.c, starting and
 * stopping in client_start.c, chains in client_queue.c, waiting for the
 * back-end in client_link.c.  Client's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "session/client.h"
#include "spec/virtio.h"

#define TIMEOUT_MS 5000

/* What QEMU, DPDK and libvhost-user transfer at once. */
#define CONFIG_PIECE 256u

/* ---- Life ---- */

/* Parts of the transport and the rings that the driver's side here has not. */
static uint64_t features_of_others(void)
{
	uint64_t bits = VH_BIT(VIRTIO_F_ACCESS_PLATFORM) | VH_BIT(VH_F_LOG_ALL) |
			VH_BIT(VIRTIO_F_IN_ORDER) | VH_BIT(VIRTIO_F_NOTIFICATION_DATA);

	if (!vh_driver_ring_bytes(256, VH_BIT(VIRTIO_F_RING_PACKED)))
		bits |= VH_BIT(VIRTIO_F_RING_PACKED);
	return bits;
}

/* The end of a long address says more than its beginning. */
static void make_tag(struct vh_client *c)
{
	const size_t len = strlen(c->address), max = sizeof(c->tag) - 1;

	snprintf(c->tag, sizeof(c->tag), "%s", c->address + (len > max ? len - max : 0));
}

static int create(struct vh_client *c, const struct vh_client_params *params)
{
	c->address = strdup(params->address);
	if (!c->address)
		return -ENOMEM;
	make_tag(c);
	c->wanted = params->features & ~features_of_others();
	c->timeout_ms = params->timeout_ms ? params->timeout_ms : TIMEOUT_MS;
	c->tracks = params->track;
	c->thread = pthread_self();
	if (params->file) {
		const int err = vh_client_memory_open(c, params->file);

		if (err)
			return err;
	}
	if (!params->memory)
		return 0;
	if (params->memory > SIZE_MAX / 2)
		return -ENOMEM;
	return vh_client_memory_make(c, &c->ram, VH_CLIENT_GPA, params->memory,
				     params->hugepages);
}

int vh_client_create(const struct vh_client_params *params, struct vh_client **client)
{
	struct vh_client *c;
	int err;

	*client = NULL;
	if (params->size != sizeof(*params) || !params->address) {
		vh_log_line("client", VH_LOG_ERROR,
			    "params.size is %zu, this library's is %zu; or no address",
			    params->size, sizeof(*params));
		return -EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->inflight_fd = c->file = -1;
	err = create(c, params);
	if (err)
		vh_client_destroy(c);
	else
		*client = c;
	return err;
}

void vh_client_destroy(struct vh_client *c)
{
	if (!c)
		return;
	vh_connector_close(c->conn);
	vh_client_queues_destroy(c);
	vh_client_memory_release(&c->ram);
	vh_fd_drop(&c->file);
	free(c->address);
	free(c);
}

/* ---- The connection ---- */

/*
 * The rings are made for the features that were negotiated first, and the
 * application knows only these: another connection has the same.
 */
static void begin(struct vh_client *c)
{
	if (c->n_queues)
		vh_frontend_init(&c->fe, c->features, c->features);
	else
		vh_frontend_init(&c->fe, c->wanted, 0);
	c->fe.tracks = c->tracks;
	c->ram.offered = false;
	c->rings.offered = false;
}

/* @last: how the talk with the one before ended, or 0. */
static int wait_up(struct vh_client *c, uint64_t deadline, int last)
{
	int err = vh_client_wait_up(c, deadline);

	if (err != -ETIMEDOUT)
		return err;
	vh_log(c, VH_LOG_ERROR, "no back-end ready to talk within %u ms%s", c->timeout_ms,
	       last ? ": it hangs up at once; does another front-end have it?" : "");
	return last ? last : err;
}

/*
 * A back-end that hangs up before it said anything may be busy with its last
 * front-end, or on its way out: the next try may find it ready.
 */
static int negotiate(struct vh_client *c)
{
	const uint64_t deadline = vh_client_now() + c->timeout_ms;
	int err, last = 0;

	do {
		err = wait_up(c, deadline, last);
		if (err)
			return err;
		begin(c);
		err = last = vh_client_pursue(c, VH_GOAL_CONNECTED);
	} while (err == -EPIPE && !c->fe.has_offer);
	return err;
}

/* The old connection goes in good order, so that its chains are known to be done. */
static void end_connection(struct vh_client *c)
{
	if (c->link != VH_CLIENT_READY || vh_client_listen(c))
		return;
	if (c->running)
		vh_client_pursue(c, VH_GOAL_STOPPED);
	vh_client_hang_up(c);
}

static int connect_again(struct vh_client *c)
{
	int err = negotiate(c);

	if (err)
		return err;
	c->link = VH_CLIENT_READY;
	vh_log(c, VH_LOG_INFO, "connected, features 0x%llx, protocol features 0x%llx",
	       (unsigned long long)c->fe.features,
	       (unsigned long long)c->fe.protocol_features);
	return c->running ? vh_client_run(c) : 0;
}

int vh_client_connect(struct vh_client *c)
{
	int err = 0;

	vh_store_relaxed(&c->thread, pthread_self());
	end_connection(c);
	if (!c->conn)
		err = vh_connector_open(c->address, VH_ROLE_FRONTEND, c->tag, &c->conn);
	return err ? err : connect_again(c);
}

void vh_client_info(const struct vh_client *c, struct vh_client_info *info)
{
	*info = (struct vh_client_info){
		.offered_features = c->fe.offered_features,
		.features = c->fe.features,
		.offered_protocol_features = c->fe.offered_protocol_features,
		.protocol_features = c->fe.protocol_features,
		.queue_num = c->fe.queue_num,
		.memory_slots = c->fe.memory_slots,
	};
}

int vh_client_fd(const struct vh_client *c)
{
	return c->conn ? vh_connector_poll_fd(c->conn) : -1;
}

int vh_client_handle(struct vh_client *c, bool *config_changed)
{
	int err;

	vh_store_relaxed(&c->thread, pthread_self());
	err = c->conn ? vh_client_listen(c) : -EPIPE;
	if (config_changed) {
		*config_changed = c->config_changed;
		c->config_changed = false;
	}
	return err;
}

/* ---- Config space ---- */

static int read_piece(struct vh_client *c, size_t off, uint8_t *buf, size_t len)
{
	struct vh_msg m, reply;
	int err;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.config.offset = off;
	m.config.size = len;
	err = vh_client_ask(c, &m, &reply);
	if (!err)
		memcpy(buf, reply.config.data, len);
	return err == -EREMOTEIO ? -EINVAL : err;
}

static int write_piece(struct vh_client *c, size_t off, const uint8_t *buf, size_t len)
{
	struct vh_msg m, reply;
	int err;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_CONFIG);
	m.config.offset = off;
	m.config.size = len;
	m.config.flags = VH_CONFIG_WRITABLE;
	memcpy(m.config.data, buf, len);
	err = vh_client_ask(c, &m, &reply);
	return err == -EREMOTEIO ? -EINVAL : err;
}

static bool config_range_is_possible(size_t off, size_t len)
{
	return len > 0 && off <= UINT32_MAX && len <= UINT32_MAX - off;
}

int vh_client_read_config(struct vh_client *c, size_t off, void *buf, size_t len)
{
	int err = config_range_is_possible(off, len) ? 0 : -EINVAL;

	for (size_t done = 0; done < len && !err; done += CONFIG_PIECE) {
		size_t n = len - done < CONFIG_PIECE ? len - done : CONFIG_PIECE;

		err = read_piece(c, off + done, (uint8_t *)buf + done, n);
	}
	return err;
}

int vh_client_write_config(struct vh_client *c, size_t off, const void *buf, size_t len)
{
	int err = config_range_is_possible(off, len) ? 0 : -EINVAL;

	for (size_t done = 0; done < len && !err; done += CONFIG_PIECE) {
		size_t n = len - done < CONFIG_PIECE ? len - done : CONFIG_PIECE;

		err = write_piece(c, off + done, (const uint8_t *)buf + done, n);
	}
	return err;
}

/* ---- Other requests ---- */

int vh_client_enable(struct vh_client *c, unsigned queue, bool on)
{
	struct vh_msg m, reply;

	if (queue >= c->n_queues)
		return -EINVAL;
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_ENABLE);
	m.state = (struct vh_wire_state){.index = queue, .num = on};
	return vh_client_ask(c, &m, &reply);
}

int vh_client_send_rarp(struct vh_client *c, const uint8_t mac[6])
{
	struct vh_msg m, reply;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SEND_RARP);
	memcpy(&m.u64, mac, 6);
	return vh_client_ask(c, &m, &reply);
}

int vh_client_set_mtu(struct vh_client *c, uint16_t mtu)
{
	struct vh_msg m, reply;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_NET_SET_MTU);
	m.u64 = mtu;
	return vh_client_ask(c, &m, &reply);
}
