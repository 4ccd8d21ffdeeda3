/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of the vhost-pci adapter (spec/adapter.h) on a struct vh_pci_function:
 * what the driver writes is checked, and its owner told what it means; what the owner
 * tells can be read.  Knows nothing of rings, sockets or vfio-user.  Pure.
 *
 *	RESET --FEATURES_OK-> CONFIG --READY-> IDLE --begin-> SESSION --end-> QUIESCE
 *	                        ^---------- READY cleared ------+-- or RESET ----+
 *	                                       IDLE <---------- SESSION_ACK -----+
 */
#ifndef VH_VVU_ADAPTER_REGS_H
#define VH_VVU_ADAPTER_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/function.h"
#include "spec/adapter.h"
#include "vvu/relay.h"

#define VH_ADAPTER_QUEUE_SIZE 256u
#define VH_ADAPTER_MAX_MSG    4096u

struct vh_adapter_bank {
	uint32_t size;
	uint64_t desc, avail, used; /* addresses of the driver's */
	uint16_t vector;
	bool enabled; /* nothing of it changes until a reset */
};

struct vh_adapter_regs_ops {
	/* Back to the beginning: no session, no queues. */
	void (*reset)(void *arg);
	/* @drv_features are locked. */
	void (*features)(void *arg);
	/* Both queues are enabled: 0, or -errno: they cannot be used. */
	int (*check)(void *arg);
	/* Sessions may begin, also from inside of this; or none any more. */
	void (*ready)(void *arg, bool ready);
	void (*notify)(void *arg, unsigned q);
	void (*doorbell)(void *arg, unsigned n);
	/* VH_ADAPTER_VR_... of @vring. */
	uint16_t (*wires)(void *arg, unsigned vring);
	/* Signal @vector, which is one of MSI-X.  False: there is nobody to hear it. */
	bool (*interrupt)(void *arg, uint16_t vector);
};

struct vh_adapter_regs {
	const struct vh_adapter_regs_ops *ops;
	void *arg;
	/* Fixed, or changed by the owner as it likes. */
	uint64_t dev_features, proto_mask, window_size;
	uint32_t device_id;
	uint8_t uuid[16];
	uint64_t failed; /* how often */
	/* Registers. */
	uint64_t drv_features;
	uint32_t status, error, session, session_ack, int_status;
	bool ready; /* CONTROL's READY */
	uint16_t status_vector;
	struct vh_adapter_bank bank[VH_ADAPTER_QUEUES];
	uint16_t kick_vector[VH_ADAPTER_MAX_VRINGS];
	bool kick_pending[VH_ADAPTER_MAX_VRINGS];
	uint32_t mem_gen;
	struct vh_window_table table;
	uint64_t log_off, log_len, inflight_off, inflight_len;
};

struct vh_adapter_regs_params {
	uint64_t features, proto_mask, window_size;
	uint32_t device_id;
	const uint8_t *uuid; /* 16 bytes */
	const struct vh_adapter_regs_ops *ops;
	void *arg;
};

/* Adds BARs 0 and 1, MSI-X and blocks to @f, which is fresh.  0 or -errno. */
int vh_adapter_regs_init(struct vh_adapter_regs *r, struct vh_pci_function *f,
			 const struct vh_adapter_regs_params *p);

/* As the driver's RESET. */
void vh_adapter_regs_reset(struct vh_adapter_regs *r);

/* ---- What happens on the other side ---- */

void vh_adapter_session_begins(struct vh_adapter_regs *r);
void vh_adapter_session_ends(struct vh_adapter_regs *r, enum vh_relay_end why);
/* Only a reset helps. */
void vh_adapter_fail(struct vh_adapter_regs *r, enum vh_relay_end why);
void vh_adapter_used(struct vh_adapter_regs *r, unsigned q);
void vh_adapter_kicked(struct vh_adapter_regs *r, unsigned vring);
/* NULL: there is no memory. */
void vh_adapter_set_memory(struct vh_adapter_regs *r,
			   const struct vh_window_table *table);
void vh_adapter_set_area(struct vh_adapter_regs *r, uint8_t shmid, uint64_t offset,
			 uint64_t size);

static inline bool vh_adapter_is_live(const struct vh_adapter_regs *r)
{
	return r->status & VH_ADAPTER_STATUS_LIVE;
}

/* ---- adapter_access.c: the blocks of BAR 0 ---- */

int vh_adapter_add_blocks(struct vh_adapter_regs *r, struct vh_pci_function *f);
void vh_adapter_write_control(struct vh_adapter_regs *r, uint32_t v);
void vh_adapter_write_ack(struct vh_adapter_regs *r, uint32_t v);

#endif
