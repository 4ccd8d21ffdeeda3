/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server of a small function, on a reactor in a thread of its own, and a client.
 *
 * The function: BAR 0 is 4 KiB of trapped memory, BAR 2 64 KiB of a file that can be
 * mapped but for its first and its last page, MSI-X with 20 vectors is in BAR 4, and it
 * has an interrupt pin.  What is the server's thread's is looked at in rig_do().
 */
#ifndef TESTS_VFU_RIG_H
#define TESTS_VFU_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "client.h"
#include "seen.h"
#include "pci/function.h"
#include "vfu/vfu.h"

#define RIG_BAR0     4096u
#define RIG_BAR2     0x10000u
#define RIG_PAGE     4096u
#define RIG_VECTORS  20u
#define RIG_REGISTER 0x10u	     /* of BAR 0: has a doorbell's eventfd          */
#define RIG_SLOW     0x20u	     /* of BAR 0: a write there ends when it is told */
#define RIG_BROKEN   0x30u	     /* of BAR 0: accesses there fail                */
#define RIG_UNWANTED 0x7000000000ull /* memory there is refused                */

struct rig {
	char dir[32], path[64], address[96];
	int n_fds; /* open before the test                            */
	struct vfu_client c;
	struct vh_reactor *reactor;
	pthread_t thread;
	struct vh_vfu *v;
	/* Before rig_open(): what .reset, .dma_added and .dma_removed say. */
	bool slow_reset, slow_adding, slow_removal;
	int result; /* of what was slow */
	/* The server's thread's. */
	struct vh_pci_function fn;
	uint8_t bar0[RIG_BAR0];
	int bar2, doorbell;
	unsigned n_resets, n_came, n_went, n_added, n_removed, n_pending, n_vectors;
	struct vh_map *map; /* of the client's memory; let go of when some goes */
};

int rig_setup(void **state);	/* a folder, fds counted, the log empty */
int rig_teardown(void **state); /* all is gone, no fd and no file left   */

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

/* Start the server. */
void rig_open(struct rig *rig);
/* And connect rig->c to it. */
void rig_connect(struct rig *rig);
/* End the server; rig_teardown() does, too. */
void rig_close(struct rig *rig);

/* Run @fn(@rig) on the server's thread and wait for that. */
void rig_do(struct rig *rig, void (*fn)(struct rig *rig));
/* The value of a counter of the server's thread's. */
unsigned rig_get(struct rig *rig, const unsigned *counter);
/* Waits until the counter is @n. */
void rig_wait(struct rig *rig, const unsigned *counter, unsigned n);
/* What is pending is done. */
void rig_resume(struct rig *rig);
struct vh_vfu_stats rig_stats(struct rig *rig);

/* A memfd of @size bytes. */
int rig_memory(uint64_t size);
/* Its value, which is 0 afterwards; 0: it was not signalled. */
uint64_t rig_signalled(int eventfd);
int rig_eventfd(void);

#endif
