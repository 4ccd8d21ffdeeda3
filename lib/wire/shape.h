/* SPDX-License-Identifier: BSD-3-Clause */
/* How each payload lies on the wire; shared by decode and encode only. */
#ifndef VH_WIRE_SHAPE_H
#define VH_WIRE_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/msg.h"

struct vh_shape {
	uint16_t min, max;	 /* bytes that a peer may send                      */
	uint8_t pad_at, pad_len; /* reads as zero, and is zero in whatever we send  */
};

extern const struct vh_shape vh_shapes[VH_PAYLOAD_COUNT];

/* Where the payload's bytes are in a message: the union, whatever its member. */
static inline uint8_t *vh_msg_body(struct vh_msg *m)
{
	return (uint8_t *)m + offsetof(struct vh_msg, u64);
}

#endif
