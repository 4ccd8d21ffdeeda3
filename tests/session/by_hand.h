/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that says what a test wants said, message by message: for what
 * vh_client never does.  Two memory regions, a ring in the first one.
 */
#ifndef VH_TESTS_SESSION_BY_HAND_H
#define VH_TESTS_SESSION_BY_HAND_H

#include "pair.h"

#include "conn/connector.h"
#include "ring/driver.h"

#define RAW_REGION   0x10000u
#define RAW_SIZE     16u
#define RAW_FEATURES (VH_BIT(32) | VH_BIT(VH_F_PROTOCOL_FEATURES))

struct raw {
	struct vh_connector *c;
	int memory[2]; /* memfds                                            */
	uint8_t *va[2];
	int kick, call, err;
	struct vh_driver_ring *ring; /* of queue 0, in region 0 */
};

/* Connect to @address, negotiate all protocol features, share both regions as slots. */
void raw_open(struct raw *r, const char *address);
void raw_close(struct raw *r);

/* Send @m, which asks for an ack, and wait for it: its value. */
uint64_t raw_ack(struct raw *r, struct vh_msg *m);
/* The two halves of that. */
void raw_send(struct raw *r, struct vh_msg *m);
void raw_receive(struct raw *r, struct vh_msg *reply);
/* No answer is there, and none comes within a few milliseconds. */
bool raw_is_kept_waiting(struct raw *r);

uint64_t raw_get(struct raw *r, uint32_t id);
uint64_t raw_set(struct raw *r, uint32_t id, uint64_t value);
uint64_t raw_set_vring(struct raw *r, uint32_t id, uint32_t value);

struct vh_wire_region raw_region(const struct raw *r, unsigned i);
/* ADD_MEM_REG or REM_MEM_REG. */
void raw_init_slot(struct raw *r, struct vh_msg *m, uint32_t id, unsigned i);

/* Run queue 0 from @base on. */
void raw_start(struct raw *r, uint32_t base);
/* GET_VRING_BASE without waiting, and the base that its answer tells. */
void raw_send_stop(struct raw *r);
uint32_t raw_base(struct raw *r);

/* Wait for an eventfd, which the back-end made one that does not block. */
void raw_hear(int fd);

/* A chain of one byte of region @i to write to. */
void raw_add(struct raw *r, unsigned i);
/* Wait for a chain that is done. */
void raw_get_done(struct raw *r);

#endif
