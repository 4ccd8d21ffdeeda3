/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between a front-end of bytes at a real socket and a guest side that keeps what
 * it is told.  One thread: what the front-end says is done when relay_drive() returns.
 */
#ifndef TESTS_VVU_RELAY_RIG_H
#define TESTS_VVU_RELAY_RIG_H

#include "conn/rig.h"
#include "reactor/drive.h"
#include "vvu/relay.h"

#include <limits.h>

#define MAX_DELIVERED 256
#define MEMORY	      0x40000u

struct delivered {
	struct vh_wire_header header;
	uint8_t payload[VH_MAX_PAYLOAD];
	size_t len;
};

/* The guest side: what it was told, and how it answers. */
struct guest {
	unsigned buffers; /* how many messages it takes; UINT_MAX: any number */
	size_t buffer_len;
	unsigned n, read; /* delivered, and looked at */
	struct delivered msg[MAX_DELIVERED];
	char order[64]; /* U: session up, D: down, M: a message, T: a table */
	enum vh_relay_end why;
	unsigned kicks[VH_VVU_MAX_VRINGS];
	struct vh_window_table table;
	struct {
		uint64_t offset, size;
	} area[4];
};

/* A window that puts regions where the test says, in order. */
struct fake_window {
	struct vh_window w;
	int result; /* of the next place() */
	uint64_t at[VH_MAX_TABLE_REGIONS];
	unsigned n_placed, n_dropped;
	/* -EINPROGRESS: */
	struct vh_window_table *table;
	void (*done)(void *arg, int err);
	void *arg;
	struct vh_wire_mem mem;
};

struct relay_rig {
	struct rig *rig;
	struct vh_reactor *reactor;
	struct vh_relay *relay;
	struct vh_area *area;
	struct fake_window window;
	struct guest guest;
	struct vh_relay_params params;
	int fd;	    /* the front-end's socket; -1: none */
	int memory; /* a memfd of MEMORY bytes         */
};

/* All features of the driver, messages of 4096 bytes, ready, 8 vrings. */
#define ALL_FEATURES                                           \
	(VH_BIT(VH_VVU_F_BACKEND_REQ) | VH_BIT(VH_VVU_F_LOG) | \
	 VH_BIT(VH_VVU_F_INFLIGHT) | VH_BIT(VH_VVU_F_NOTIFY) | \
	 VH_BIT(VH_VVU_F_LONG_MSG))
#define N_VRINGS 8u

int relay_setup(void **state);	   /* a driver with all features, ready */
int relay_setup_old(void **state); /* ... with none, and not ready yet  */
int relay_teardown(void **state);  /* no fd, no mapping and no file is left */

#define RELAY_TEST(fn) cmocka_unit_test_setup_teardown(fn, relay_setup, relay_teardown)
#define RELAY_TEST_OLD(fn) \
	cmocka_unit_test_setup_teardown(fn, relay_setup_old, relay_teardown)

/* Another relay with x->params in place of the one that is there. */
void relay_renew(struct relay_rig *x);

/* Until nothing is left to do. */
void relay_drive(struct relay_rig *x);

/* ---- The front-end ---- */

void relay_connect(struct relay_rig *x);
void relay_hang_up(struct relay_rig *x);
void relay_say(struct relay_rig *x, uint32_t id, uint32_t flags, const void *payload,
	       uint32_t size, const int *fds, unsigned n_fds);
void relay_say_u64(struct relay_rig *x, uint32_t id, uint64_t v);
void relay_say_state(struct relay_rig *x, uint32_t id, uint32_t index, uint32_t num);
/* SET_VRING_KICK, CALL, ERR. */
void relay_say_fd(struct relay_rig *x, uint32_t id, unsigned vring, int fd);
/* SET_MEM_TABLE of @r, all in x->memory, or with these @fds. */
void relay_say_table(struct relay_rig *x, uint32_t flags, const struct vh_wire_region *r,
		     unsigned n, const int *fds);
/* The answer with this number and 8 bytes that has come. */
uint64_t relay_read_u64(struct relay_rig *x, uint32_t id);
/* Nothing has come. */
void relay_expect_silence(struct relay_rig *x);
/* The relay hung up: the session has ended for this reason, if it was one. */
void relay_expect_closed(struct relay_rig *x, enum vh_relay_end why);
/* The same, by a message that the driver must not have heard of. */
void relay_expect_refused(struct relay_rig *x, enum vh_relay_end why);

/* ---- The driver ---- */

/* The next message that was delivered has this number. */
const struct delivered *relay_next(struct relay_rig *x, uint32_t id);
void relay_expect_nothing(struct relay_rig *x);
/* What vh_relay_send() says. */
int relay_answer(struct relay_rig *x, uint32_t id, uint32_t flags, const void *payload,
		 uint32_t size);
void relay_answer_u64(struct relay_rig *x, uint32_t id, uint64_t v);

/* GET_FEATURES and so on up to SET_FEATURES, with @protocol in force. */
void relay_negotiate(struct relay_rig *x, uint64_t protocol);

#define PLAIN	   VH_FLAG_VERSION
#define ANSWER	   (VH_FLAG_VERSION | VH_FLAG_REPLY)
#define NEED_REPLY (VH_FLAG_VERSION | VH_FLAG_NEED_REPLY)

#endif
