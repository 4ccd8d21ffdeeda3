/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of a guest as back-end in one process: a server with a device at vvu:, in a thread;
 * the virtio-vhost-user device, in another; between them a VMM of ours.  The front-end is
 * a client of the library, whose memory is the file that the device knows.
 */
#ifndef TESTS_VVU_TOGETHER_RIG_H
#define TESTS_VVU_TOGETHER_RIG_H

#include "../conn/rig.h"
#include "../session/pair.h"
#include "../vfu/client.h"

#include "vvu/vvu_pci.h"

struct together {
	struct rig *rig;
	char vmm[64], front[80], memory[64], served[80];
	struct vh_reactor *reactor;
	pthread_t thread;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_vvu_pci *device;
	struct pair pair; /* the server */
	bool serves;
	struct vh_device *served_device;
};

int together_setup(void **state);
int together_teardown(void **state);

#define TOGETHER_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, together_setup, together_teardown)

/* The device in the middle; then the server, which may go and come again. */
void together_open(struct together *t, bool polls_doorbells);
void together_close(struct together *t);
void together_serve(struct together *t, enum vh_poll_mode poll);
void together_stop(struct together *t);

/* A client with its memory in the file, connected and started with both queues. */
struct vh_client *together_client(struct together *t, uint64_t features, bool track);

/* @n requests through queue @index, each with other bytes, which must come back. */
void together_echo(struct vh_client *c, unsigned index, unsigned n);

void together_stats(struct together *t, struct vh_vvu_pci_stats *s);

#endif
