/* SPDX-License-Identifier: BSD-3-Clause */
/* See nic.h. */
#include "nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/virtio_config.h>

#define BUFFER_ALIGN 64
#define AHEAD	     8 /* send buffers, a few cache misses */

static size_t aligned(unsigned len)
{
	return ((size_t)len + BUFFER_ALIGN - 1) & ~(size_t)(BUFFER_ALIGN - 1);
}

static int start(struct nic *n)
{
	struct vh_client_info info;
	int err = vh_client_connect(n->client);

	if (err)
		return err;
	vh_client_info(n->client, &info);
	n->mergeable = info.features >> VIRTIO_NET_F_MRG_RXBUF & 1;
	n->hdr_len = n->mergeable || info.features >> VIRTIO_F_VERSION_1 & 1
			     ? sizeof(struct virtio_net_hdr_v1)
			     : sizeof(struct virtio_net_hdr);
	n->rx_mem = vh_client_alloc(n->client, n->ring_size * aligned(n->rx_buf_len),
				    BUFFER_ALIGN);
	n->tx_mem = vh_client_alloc(n->client, n->ring_size * aligned(n->tx_buf_len),
				    BUFFER_ALIGN);
	n->tx_free = calloc(n->ring_size, sizeof(n->tx_free[0]));
	if (!n->rx_mem || !n->tx_mem || !n->tx_free)
		return -ENOMEM;
	return vh_client_start(n->client, 2, n->ring_size);
}

static void fill_rings(struct nic *n)
{
	n->rx = vh_client_queue(n->client, 0);
	n->tx = vh_client_queue(n->client, 1);
	for (unsigned i = 0; i < n->ring_size; i++) {
		n->tx_free[n->n_tx_free++] = n->tx_mem + i * aligned(n->tx_buf_len);
		nic_rx_done(n, n->rx_mem + i * aligned(n->rx_buf_len));
	}
	vh_client_kick(n->rx);
}

int nic_open(struct nic *n, const struct nic_params *p)
{
	const struct vh_client_params params = {
		.size = sizeof(params),
		.address = p->address,
		.features = p->features,
		.memory =
			p->ring_size * (aligned(p->rx_buf_len) + aligned(p->tx_buf_len)),
		.timeout_ms = p->timeout_ms,
		.file = p->memory_file,
	};
	int err;

	*n = (struct nic){.ring_size = p->ring_size,
			  .rx_buf_len = p->rx_buf_len,
			  .tx_buf_len = p->tx_buf_len};
	err = vh_client_create(&params, &n->client);
	if (!err)
		err = start(n);
	if (!err)
		fill_rings(n);
	else
		nic_close(n);
	return err;
}

void nic_close(struct nic *n)
{
	if (n->client)
		vh_client_destroy(n->client);
	free(n->tx_free);
	*n = (struct nic){0};
}

static void collect_sent(struct nic *n)
{
	uint8_t *buffer;
	uint32_t len;

	while ((buffer = vh_client_get(n->tx, &len)))
		n->tx_free[n->n_tx_free++] = buffer;
}

uint8_t *nic_tx_buffer(struct nic *n)
{
	uint8_t *buffer;

	if (!n->n_tx_free)
		collect_sent(n);
	if (!n->n_tx_free)
		return NULL;
	buffer = n->tx_free[--n->n_tx_free];
	/* The device's processor has read it: ask for one of the next ones to write. */
	if (n->n_tx_free >= AHEAD)
		__builtin_prefetch(n->tx_free[n->n_tx_free - AHEAD], 1);
	memset(buffer, 0, n->hdr_len);
	return buffer;
}

void nic_tx(struct nic *n, uint8_t *buffer, size_t len)
{
	const struct iovec iov = {.iov_base = buffer, .iov_len = len};

	if (vh_client_add(n->tx, &iov, 1, 0, buffer) < 0)
		n->tx_free[n->n_tx_free++] =
			buffer; /* the queue is broken: see its error */
}

void nic_kick(struct nic *n)
{
	vh_client_kick(n->tx);
}

uint8_t *nic_rx(struct nic *n, uint32_t *len)
{
	return vh_client_get(n->rx, len);
}

void nic_rx_done(struct nic *n, uint8_t *buffer)
{
	const struct iovec iov = {.iov_base = buffer, .iov_len = n->rx_buf_len};

	(void)vh_client_add(n->rx, &iov, 0, 1, buffer); /* as above */
}

void nic_rx_kick(struct nic *n)
{
	vh_client_kick(n->rx);
}
