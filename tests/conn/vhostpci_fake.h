/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-pci adapter for tests of its driver: the registers are the library's, what is
 * behind them is under the test's control, and so may be wrong.  It is on a bus of its
 * own, "adapter:", in this process and thread.
 */
#ifndef VH_TESTS_CONN_VHOSTPCI_FAKE_H
#define VH_TESTS_CONN_VHOSTPCI_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/host.h"
#include "vvu/adapter_regs.h"

#define FAKE_WINDOW 0x40000u /* bytes of BAR 2 */
#define FAKE_AREA   0x10000u /* of BAR 4       */
#define FAKE_LIES   4u

struct fake_adapter {
	struct vh_pci_host h;
	struct vh_pci_function fn;
	struct vh_adapter_regs regs;
	int window, area; /* memfds */
	bool is_open, is_gone;
	unsigned n_ready, n_unready, n_reset, n_doorbells;
	uint16_t taken[VH_ADAPTER_QUEUES]; /* how far each queue was read or filled */
	int vector[VH_ADAPTER_VECTORS];
	unsigned n_vectors; /* that the machine has at most     */
	/* Registers that read as something else. */
	struct {
		uint64_t at, value;
	} lie[FAKE_LIES];
	unsigned n_lies;
	bool moves; /* each look at MEM_GEN sees another one */
};

/* The only one; the bus is added once.  The driver opens "vhostpci:adapter:". */
void fake_make(struct fake_adapter *f);
void fake_free(struct fake_adapter *f);

void fake_lie(struct fake_adapter *f, uint64_t at, uint64_t value);

/* A front-end comes; says what has no payload; goes. */
void fake_come(struct fake_adapter *f);
void fake_say(struct fake_adapter *f, uint32_t id);
void fake_go(struct fake_adapter *f);
/* The number of the next message that the driver sent; 0: none. */
uint32_t fake_hear(struct fake_adapter *f);

#endif
