/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of vhost demo: made and checked.  Small ones are bare Ethernet; those
 * that no wire would take are TCP over IPv4 with a virtio-net header that asks for
 * segmentation, as a guest's own stack would send them.
 */
#ifndef CMD_DEMO_FRAME_H
#define CMD_DEMO_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_net.h>

#define FRAME_JUMBO 9014	 /* the largest bare frame           */
#define FRAME_TSO   (14 + 65535) /* Ethernet and 64 KiB of IP packet */

struct demo_info {
	uint32_t seq; /* from 1 on; 0: an acknowledgement only */
	uint32_t ack; /* all up to here have arrived           */
	uint64_t sent_ns;
};

/* The address of guest @index. */
void demo_mac(unsigned index, uint8_t mac[6]);

/* The length of frame @seq: a walk through all sizes, with big ones among them. */
uint32_t demo_frame_len(uint32_t seq);

/* Make a frame of @len bytes at @frame, its header at @hdr (zeroed), for guest @from's
 * peer. */
void demo_frame_make(struct virtio_net_hdr *hdr, uint8_t *frame, uint32_t len,
		     unsigned from, const struct demo_info *info);

/* Is it one of ours, whole and undamaged?  Then *@info is what it says. */
bool demo_frame_check(const uint8_t *frame, uint32_t len, struct demo_info *info);

#endif
