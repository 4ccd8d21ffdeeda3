/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net card driven from this process through the front-end role: what
 * demo's guests and the traffic generator of bench have in common.  One pair of
 * queues; buffers are sent and received in place.
 */
#ifndef CMD_NIC_H
#define CMD_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_net.h>

#include <vhost/client.h>

struct nic_params {
	const char *address;
	uint64_t features;
	unsigned ring_size;  /* of both queues                         */
	unsigned rx_buf_len; /* bytes of a receive buffer              */
	unsigned tx_buf_len; /* bytes of a send buffer, header counted */
	unsigned timeout_ms;
	const char *memory_file; /* NULL: memory without a name */
};

struct nic {
	struct vh_client *client;
	struct vh_client_queue *rx, *tx;
	unsigned hdr_len;
	bool mergeable;
	unsigned ring_size, rx_buf_len, tx_buf_len;
	uint8_t *rx_mem, *tx_mem; /* ring_size buffers each                        */
	uint8_t **tx_free;	  /* stack of free send buffers                    */
	unsigned n_tx_free;
};

/* Connect, start both queues, fill the receive ring.  0 or -errno (logged). */
int nic_open(struct nic *n, const struct nic_params *p);
void nic_close(struct nic *n);

/*
 * A free send buffer of tx_buf_len bytes, which begins with a virtio-net header
 * that is zeroed; NULL: all are under way.
 */
uint8_t *nic_tx_buffer(struct nic *n);
/* Queue @len bytes of it (header counted).  It is sent with the next nic_kick(). */
void nic_tx(struct nic *n, uint8_t *buffer, size_t len);
void nic_kick(struct nic *n);

/*
 * The next received buffer and its length, header counted, or NULL.  Give it back with
 * nic_rx_done(); a mergeable frame's next buffers follow in order.
 */
uint8_t *nic_rx(struct nic *n, uint32_t *len);
void nic_rx_done(struct nic *n, uint8_t *buffer);
void nic_rx_kick(struct nic *n);

#endif
