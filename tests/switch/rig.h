/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real switch, run by a server, and network cards that drive it from the
 * test's thread through the front-end role.
 *
 * Nothing here waits for a time.  A test sends, flushes its card (the switch has given
 * all of it back) and has the rig settle (every reactor has ended the turn it was in):
 * then every frame is where it goes and every counter says so.
 */
#ifndef TESTS_SWITCH_RIG_H
#define TESTS_SWITCH_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdbool.h>

#include <vhost/vhost.h>

#include "spec/vhost_user.h"
#include "spec/virtio_net.h"
#include "switch/switch.h"

/* ---- The switch ---- */

#define RIG_REACTORS 3

struct rig {
	struct vh_reactor *reactor[RIG_REACTORS]; /* [0] is control */
	unsigned n;
	struct vh_server *server;
	struct vh_switch *sw;
	pthread_t thread;
};

/* One way to run all tests of a program. */
struct rig_cell {
	const char *name;
	enum vh_poll_mode poll;
	unsigned reactors;
	uint64_t ring_features; /* of every card */
};

extern const struct rig_cell *rig_cell; /* the present one */

void rig_start(struct rig *r, const struct vh_switch_params *p);
void rig_stop(struct rig *r);

/* Have @fn(@arg) run on a reactor, and wait for it. */
void rig_call(struct rig *r, unsigned reactor, void (*fn)(void *arg), void *arg);
/* Every reactor has ended the turn that it was in. */
void rig_settle(struct rig *r);
/* Control looks every few ms; the test fails if it never becomes true. */
void rig_until(struct rig *r, bool (*is_true)(void *arg), void *arg);

void rig_add(struct rig *r, const char *port); /* "a=loop:a,vlan=10" */
/* It is gone when this returns. */
void rig_remove(struct rig *r, const char *name);

/* After rig_settle(), exact. */
struct vh_port_stats rig_stats(struct rig *r, const char *name);
/* For use on the control thread, e.g. in rig_until(). */
struct vh_port_info rig_info(struct rig *r, const char *name);
unsigned rig_macs(struct rig *r, const char *name);

/* Run the tests once in every cell; how many failed. */
int rig_run_cells(const struct CMUnitTest *tests, size_t n);
#define RIG_RUN_CELLS(tests) rig_run_cells(tests, sizeof(tests) / sizeof((tests)[0]))
/* Only in those where two threads move data. */
int rig_run_threaded_cells(const struct CMUnitTest *tests, size_t n);

/* ---- Cards ---- */

#define CARD_RING      256
#define CARD_TX_SLOTS  32
#define CARD_TX_LEN    (72 * 1024)
#define CARD_FRAME_MAX 70000
#define CARD_MEMORY    (12u << 20)

struct card_buffer {
	uint8_t *va;
	unsigned len, piece; /* bytes of it, and of a descriptor */
};

struct card {
	struct vh_client *client;
	struct vh_client_queue *rx, *tx; /* of the pair in use */
	uint64_t features;
	unsigned hdr_len, pairs;
	bool keep; /* do not give received buffers back to the ring */
	uint8_t *tx_slot[CARD_TX_SLOTS];
	unsigned n_tx_free;
	struct card_buffer *buffer;
	unsigned n_buffers;
};

/* A frame as it was received. */
struct card_frame {
	struct virtio_net_hdr_v1 hdr;
	unsigned n_buffers; /* it was spread over */
	uint32_t len;
	uint8_t *data; /* in bytes, behind the header */
	uint8_t bytes[sizeof(struct virtio_net_hdr_v1) + CARD_FRAME_MAX];
};

/* @features beside VERSION_1 and the cell's. */
void card_open(struct card *c, const char *address, uint64_t features);
void card_open_pairs(struct card *c, const char *address, uint64_t features,
		     unsigned pairs);
/* Exactly these features; ring of @pairs. */
void card_open_as(struct card *c, const char *address, uint64_t features, unsigned pairs);
void card_close(struct card *c);
/* Send and receive through another pair. */
void card_use(struct card *c, unsigned pair);

/* Put @n receive buffers of @len bytes into the ring, in descriptors of @piece bytes. */
void card_fill(struct card *c, unsigned n, unsigned len, unsigned piece);

/* Header and frame in a descriptor each. */
void card_send(struct card *c, const struct virtio_net_hdr_v1 *hdr, const void *frame,
	       uint32_t len);
/* Both in one row of descriptors of @piece bytes. */
void card_send_cut(struct card *c, const struct virtio_net_hdr_v1 *hdr, const void *frame,
		   uint32_t len, unsigned piece);
/* These bytes as a chain, header or not. */
void card_send_raw(struct card *c, const void *bytes, uint32_t len, unsigned piece);
/* True: there was room for it. */
bool card_try_send(struct card *c, const void *frame, uint32_t len);

/* Until the switch has given back all that was sent. */
void card_flush(struct card *c);
/* That, and the rig settles. */
void card_sync(struct rig *r, struct card *c);

/* The next frame, or false. */
bool card_take(struct card *c, struct card_frame *f);
/* Take all; how many there were. */
unsigned card_drain(struct card *c);

/* ---- Plain frames: station @n has the address 02:00:00:00:00:n ---- */

#define EVERYBODY 0xff
#define FRAME_LEN 60

/* From station @from to @to, of a type of its own; its bytes depend on all arguments. */
void frame_make(uint8_t *frame, unsigned to, unsigned from, uint32_t len, uint32_t seq);
/* Send one of FRAME_LEN. */
void card_say(struct card *c, unsigned to, unsigned from, uint32_t seq);
/* The next frame received is that one. */
void card_hears(struct card *c, unsigned to, unsigned from, uint32_t seq);
void card_hears_nothing(struct card *c);

#endif
