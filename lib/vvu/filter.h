/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which features may be negotiated between a front-end and a driver in a guest.  Many
 * drivers offer what they would on a socket, fds and all, and die when they are taken
 * at their word; so what cannot work is cleared in their offers, unless they said that
 * they can cope with it.  Bits are only ever cleared, never added.  Pure.
 */
#ifndef VH_VVU_FILTER_H
#define VH_VVU_FILTER_H

#include <stddef.h>
#include <stdint.h>

struct vh_filter {
	uint64_t features, protocol; /* what may pass */
};

/* @driver: VH_BIT(VH_VVU_F_...); @max_msg: the largest message that it takes. */
void vh_filter_init(struct vh_filter *f, uint64_t driver, size_t max_msg);

/* The driver's replies to GET_FEATURES and GET_PROTOCOL_FEATURES. */
uint64_t vh_filter_features(const struct vh_filter *f, uint64_t offered);
uint64_t vh_filter_protocol(const struct vh_filter *f, uint64_t offered);

/* And to GET_QUEUE_NUM, in which one stands for @group vrings. */
uint64_t vh_filter_queues(uint64_t offered, unsigned max_vrings, unsigned group);

#endif
