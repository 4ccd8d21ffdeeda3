/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end of bytes for a device that is served at a real socket, by reactors
 * on threads of their own.  It is the hoard, which keeps every chain until it is told
 * to let go, or any other.
 */
#ifndef VH_TESTS_SESSION_RAW_H
#define VH_TESTS_SESSION_RAW_H

#include "conn/rig.h"

#include <linux/virtio_ring.h>
#include <pthread.h>

#include <vhost/vhost.h>

/*
 * Guest memory is one file, and guest addresses are offsets in it.  The ring is in
 * the first region, buffers are in the second.
 */
#define RAW_MEMORY  0x100000u
#define RAW_AVAIL   0x8000u
#define RAW_USED    0x10000u
#define RAW_BUFFERS 0x20000u
#define RAW_UVA	    0x7f0000000000ull

struct raw {
	struct rig *rig;
	struct vh_reactor *reactor[2];
	struct vh_server *server;
	struct vh_device *device;
	pthread_t thread;

	int fd; /* the connection; -1: none */
	int mem_fd, kick, call, err;
	uint8_t *mem;
	uint32_t num;
	uint16_t avail;

	/* The hoard's reactor. */
	bool stubborn; /* keep them although the queue is to drain; set before a run */
	struct vh_chain *held[256];
	uint32_t n_held; /* read by anybody */
};

extern const struct vh_device_ops raw_hoard; /* its ctx is the struct raw */

/* A served device, by default the hoard; in the end no fd, no file and no mapping is
 * left. */
int raw_open(void **state, const struct vh_device_ops *ops, const struct vh_param *params,
	     size_t n);
int raw_setup(void **state);
int raw_teardown(void **state);

#define RAW_TEST(fn) cmocka_unit_test_setup_teardown(fn, raw_setup, raw_teardown)

/*
 * The guard of mem/guard.h installs its handler once, and cmocka takes SIGBUS for each
 * test: do the first in main(), the second in a test of files that shrink.
 */
void raw_install_guard(void);
void raw_use_guard(void);

/* Come in: the session of whoever was there before has ended when this returns. */
void raw_connect(struct raw *r);
void raw_hang_up(struct raw *r);
/* Take all that is offered, but for the log. */
void raw_negotiate(struct raw *r);

/* One message; false: nobody listens any more. */
bool raw_say(struct raw *r, uint32_t id, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, unsigned n_fds);
/* The 8 bytes that answer it; 1: refused; -1: the connection was closed instead. */
int raw_ask(struct raw *r, uint32_t id, const void *payload, uint32_t size,
	    const int *fds, unsigned n_fds, uint64_t *answer);
/* The same for a message whose answer is an ack: 0, 1 (refused) or -1. */
int raw_tell(struct raw *r, uint32_t id, const void *payload, uint32_t size,
	     const int *fds, unsigned n_fds);
int raw_tell_u64(struct raw *r, uint32_t id, uint64_t v);
int raw_tell_state(struct raw *r, uint32_t id, uint32_t index, uint32_t num);

/* SET_MEM_TABLE of the first @n regions: 0, 1 or -1. */
int raw_table(struct raw *r, unsigned n);

/* A connection with features, memory and a running ring 0 of @num entries. */
void raw_run(struct raw *r, uint32_t num, uint16_t base);
/* Only the ring, of a device that has the rest. */
void raw_start_ring(struct raw *r, uint32_t num, uint16_t base);
/* GET_VRING_BASE: the base. */
uint16_t raw_stop_ring(struct raw *r);

void raw_desc(struct raw *r, unsigned i, uint64_t gpa, uint32_t len, unsigned flags,
	      unsigned next);
/* Make @head available, and kick. */
void raw_offer(struct raw *r, unsigned head);
uint16_t raw_used_index(const struct raw *r);
/* Until the device holds so many. */
void raw_wait_held(const struct raw *r, uint32_t n);
/* Until the used index is this. */
void raw_wait_used(const struct raw *r, uint16_t index);
/* Let the device complete all it holds. */
void raw_release(struct raw *r);

/* ---- What tests begin and end with ---- */

/* An answer is there, or will not come for a while. */
bool raw_is_answered(struct raw *r);
/* The size of a valid payload, or of one that is as good as any. */
uint32_t raw_size_of(uint32_t id);
/* One chain through ring 0, which holds none. */
void raw_use_a_chain(struct raw *r);
/* What the last request left is let go after its answer: wait for that. */
void raw_wait_for_release(struct raw *r);
/* Somebody new comes, and all is as it should be. */
void raw_expect_service(struct raw *r);

#endif
