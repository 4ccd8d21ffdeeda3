/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end for the tests of the client: a thread that speaks bytes, answers as
 * its members say, and does one evil deed when told to.  It lives in the
 * client's process, so its tests use the rings where the client has them.
 */
#ifndef VH_TESTS_SESSION_FAKE_BACKEND_H
#define VH_TESTS_SESSION_FAKE_BACKEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include <vhost/client.h>

#include "wire/msg.h"

#define FAKE_SEEN   256
#define FAKE_QUEUES 2

enum fake_deed {
	FAKE_NONE,
	FAKE_HANG_UP,
	FAKE_SILENCE,
	FAKE_WRONG_ID,
	FAKE_WRONG_SIZE,
	FAKE_WRONG_FLAGS,
	FAKE_TWICE,    /* answers twice                                         */
	FAKE_REFUSE,   /* an ack of 1                                           */
	FAKE_FDS,      /* the right answer, with three fds                      */
	FAKE_FLOOD,    /* requests on the back-end channel in place of an answer */
	FAKE_NEWS,     /* CONFIG_CHANGE on the back-end channel, then the answer */
	FAKE_QUESTION, /* SHARED_OBJECT_ADD there, whose ack it waits for; answer */
};

struct fake_ring {
	uint32_t num, base;
	uint64_t desc, avail, used; /* addresses in this process            */
	int kick, call, err;
	bool enabled;
};

struct fake {
	char dir[32], address[80];
	char path[64];
	int listener;
	pthread_t thread;
	int n_fds; /* of the process, before the test                       */

	/* The script; set before the client connects. */
	uint64_t features, protocol_features, queue_num, slots;
	uint32_t at; /* the request at which ... */
	enum fake_deed deed;
	unsigned times;	   /* ... it does that so many times                 */
	uint32_t base_lie; /* added to what GET_VRING_BASE answers           */

	/* What it saw; read after an answer of its. */
	unsigned n_lives; /* connections                                     */
	unsigned n_seen;
	uint32_t seen[FAKE_SEEN];
	uint64_t last_u64[64]; /* by request: the first 8 bytes of its payload */
	uint32_t question_ack; /* of FAKE_QUESTION                           */
	int seals;	       /* of the first region's file                 */
	unsigned n_regions;
	struct fake_ring ring[FAKE_QUEUES];

	int channel; /* the thread's own                                 */
	pthread_mutex_t lock;
	int peer; /* the connected socket, or -1; under the lock         */
};

/* cmocka's set-up and tear-down: a listening fake that offers everything; no fd leaks. */
int fake_setup(void **state);
int fake_teardown(void **state);

#define FAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, fake_teardown)

/* A client for it with 64 KiB of memory. */
struct vh_client *fake_client(const struct fake *f, unsigned timeout_ms);
/* The same, connected. */
struct vh_client *fake_connected(const struct fake *f);

/* At @at do @deed, so many times: also while a client is connected. */
void fake_plan(struct fake *f, uint32_t at, enum fake_deed deed, unsigned times);

/* Hang up, from any thread, while a client is connected. */
void fake_hang_up(struct fake *f);

bool fake_saw(const struct fake *f, uint32_t id);

/* ---- Its rings, from any thread ---- */

/* Take the chain at place @i of the available ring: its head. */
uint16_t fake_avail(const struct fake_ring *r, uint16_t i);
uint16_t fake_avail_index(const struct fake_ring *r);
/* Put @head and @len at place @i of the used ring, then set the index to @i + 1. */
void fake_use(const struct fake_ring *r, uint16_t i, uint32_t head, uint32_t len);
void fake_set_used_index(const struct fake_ring *r, uint16_t index);
void fake_call(const struct fake_ring *r);

#endif
