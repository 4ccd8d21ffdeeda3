/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of the adapter.  A register that tells of something is written before the
 * interrupt that points to it; the table of memory before the message that speaks of it,
 * which is the owner's to see to.
 */
#include "vvu/adapter_regs.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "spec/vhost_user.h"
#include "spec/vvu.h"

#define MSIX_BAR_SIZE 0x4000u
#define MSIX_PBA      0x2000u

static const uint32_t connected = VH_ADAPTER_STATUS_CONNECTED;
static const uint32_t quiesce = VH_ADAPTER_STATUS_QUIESCE;
static const uint32_t live = VH_ADAPTER_STATUS_LIVE;

/* ---- Interrupts ---- */

static bool interrupt(struct vh_adapter_regs *r, uint16_t vector)
{
	return vector != VH_ADAPTER_NO_VECTOR && r->ops->interrupt(r->arg, vector);
}

static void status_changed(struct vh_adapter_regs *r)
{
	r->int_status |= VH_ADAPTER_INT_CHANGED;
	interrupt(r, r->status_vector);
}

void vh_adapter_used(struct vh_adapter_regs *r, unsigned q)
{
	r->int_status |= q == VH_ADAPTER_M2S ? VH_ADAPTER_INT_M2S : VH_ADAPTER_INT_S2M;
	interrupt(r, r->bank[q].vector);
}

void vh_adapter_kicked(struct vh_adapter_regs *r, unsigned vring)
{
	if (vring >= VH_ADAPTER_MAX_VRINGS || !(r->status & connected) ||
	    interrupt(r, r->kick_vector[vring]))
		return;
	r->kick_pending[vring] = true;
	r->int_status |= VH_ADAPTER_INT_KICK;
}

/* ---- Sessions ---- */

void vh_adapter_session_begins(struct vh_adapter_regs *r)
{
	memset(r->kick_pending, 0, sizeof(r->kick_pending));
	vh_adapter_set_memory(r, NULL);
	r->session++;
	r->status |= connected;
	status_changed(r);
}

/* What the driver has mapped stays as it is until it says that it is done. */
void vh_adapter_session_ends(struct vh_adapter_regs *r, enum vh_relay_end why)
{
	if (!(r->status & connected))
		return;
	r->error = why;
	r->status = (r->status & ~connected) | quiesce;
	status_changed(r);
}

void vh_adapter_fail(struct vh_adapter_regs *r, enum vh_relay_end why)
{
	r->failed++;
	r->error = why;
	r->status = VH_ADAPTER_STATUS_FAILED;
	r->ready = false;
	status_changed(r);
}

/* ---- What the driver asks for ---- */

void vh_adapter_regs_reset(struct vh_adapter_regs *r)
{
	r->ops->reset(r->arg);
	r->drv_features = 0;
	r->status = r->error = r->session = r->session_ack = r->int_status = 0;
	r->ready = false;
	r->status_vector = VH_ADAPTER_NO_VECTOR;
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++)
		r->bank[q] = (struct vh_adapter_bank){.size = VH_ADAPTER_QUEUE_SIZE,
						      .vector = VH_ADAPTER_NO_VECTOR};
	memset(r->kick_vector, 0xff, sizeof(r->kick_vector));
	memset(r->kick_pending, 0, sizeof(r->kick_pending));
	vh_adapter_set_memory(r, NULL);
	r->log_off = r->log_len = r->inflight_off = r->inflight_len = 0;
}

static void lock_features(struct vh_adapter_regs *r)
{
	if (r->drv_features & ~r->dev_features ||
	    !(r->drv_features & VH_BIT(VH_ADAPTER_F_VERSION_1)))
		return;
	r->status |= VH_ADAPTER_STATUS_FEATURES_OK;
	r->ops->features(r->arg);
}

static bool bank_is_valid(const struct vh_adapter_bank *b)
{
	return b->enabled && b->desc % 16 == 0 && b->avail % 2 == 0 && b->used % 4 == 0;
}

static void become_ready(struct vh_adapter_regs *r)
{
	r->ready = true;
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++)
		if (!bank_is_valid(&r->bank[q])) {
			vh_adapter_fail(r, VH_RELAY_BAD_QUEUE);
			return;
		}
	if (r->ops->check(r->arg)) {
		vh_adapter_fail(r, VH_RELAY_BAD_QUEUE);
		return;
	}
	r->status |= live;
	r->ops->ready(r->arg, true);
}

static void become_unready(struct vh_adapter_regs *r)
{
	r->ready = false;
	r->status &= ~(live | connected | quiesce);
	r->ops->ready(r->arg, false);
}

void vh_adapter_write_control(struct vh_adapter_regs *r, uint32_t v)
{
	const bool ready = v & VH_ADAPTER_CONTROL_READY;

	if (v & VH_ADAPTER_CONTROL_RESET) {
		vh_adapter_regs_reset(r);
		return;
	}
	if (r->status & VH_ADAPTER_STATUS_FAILED)
		return;
	if (v & VH_ADAPTER_CONTROL_FEATURES_OK &&
	    !(r->status & VH_ADAPTER_STATUS_FEATURES_OK))
		lock_features(r);
	if (ready == r->ready || !(r->status & VH_ADAPTER_STATUS_FEATURES_OK))
		return;
	if (ready)
		become_ready(r);
	else
		become_unready(r);
}

void vh_adapter_write_ack(struct vh_adapter_regs *r, uint32_t v)
{
	r->session_ack = v;
	if (!(r->status & quiesce) || v != r->session)
		return;
	r->status &= ~quiesce;
	r->ops->ready(r->arg, true);
}

/* ---- What can be read of the session ---- */

/*
 * Nobody sees it half-written: this is one thread.  But the driver reads it in pieces,
 * and finds another generation when it changed meanwhile.
 */
void vh_adapter_set_memory(struct vh_adapter_regs *r, const struct vh_window_table *table)
{
	r->mem_gen += 2;
	r->table = table ? *table : (struct vh_window_table){0};
}

void vh_adapter_set_area(struct vh_adapter_regs *r, uint8_t shmid, uint64_t offset,
			 uint64_t size)
{
	if (shmid == VH_VVU_SHM_LOG) {
		r->log_off = offset;
		r->log_len = size;
	} else if (shmid == VH_VVU_SHM_INFLIGHT) {
		r->inflight_off = offset;
		r->inflight_len = size;
	}
}

/* ---- Making one ---- */

int vh_adapter_regs_init(struct vh_adapter_regs *r, struct vh_pci_function *f,
			 const struct vh_adapter_regs_params *p)
{
	const struct vh_pci_ids ids = {.vendor = VH_VVU_PCI_VENDOR,
				       .device = VH_VPCI_ADAPTER_DEVICE,
				       .subsystem_vendor = VH_VVU_PCI_VENDOR,
				       .subsystem = VH_ADAPTER_SUBSYSTEM,
				       .class = VH_ADAPTER_CLASS,
				       .revision = 1};
	int err;

	*r = (struct vh_adapter_regs){.ops = p->ops,
				      .arg = p->arg,
				      .dev_features = p->features,
				      .proto_mask = p->proto_mask,
				      .window_size = p->window_size,
				      .device_id = p->device_id};
	memcpy(r->uuid, p->uuid, sizeof(r->uuid));
	vh_adapter_regs_reset(r);
	vh_pci_init(f, &ids);
	err = vh_pci_add_bar(f, VH_ADAPTER_BAR, VH_ADAPTER_BAR_SIZE, 0);
	if (!err)
		err = vh_pci_add_bar(f, VH_ADAPTER_MSIX_BAR, MSIX_BAR_SIZE, 0);
	if (!err)
		err = vh_pci_add_msix(f, VH_ADAPTER_VECTORS, VH_ADAPTER_MSIX_BAR, 0,
				      MSIX_PBA);
	return err ? err : vh_adapter_add_blocks(r, f);
}
